"""Runs of a training at given rates, from the present state, which they leave as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from itertools import islice
from typing import Any, NoReturn, TypeAlias

import torch
from torch import nn
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import refuse

from .._interrupts import Interrupts
from ._agreement import Point, Ranks, refused_together
from ._batches import clone, count_examples, move, split
from ._evaluation import as_scalar, evaluating, share_of_right_classes
from ._generators import reseed, seed_global
from ._groups import initial_rate, set_rates
from ._snapshot import Snapshot, generators_of, order_of
from ._training import Training, group_ratios

# Updates whose losses are read together where reading makes a device or other ranks wait.
BLOCK = 20
# A scaler halves its scale when it skips; so many skips in a row pass all the scales there are.
MOST_SKIPS = 64
# More epochs than a range test has, so that no two seeds share the order of an epoch.
BETWEEN_EPOCHS = 1009
# Apart, so that the ranks of a job draw other dropout and other orders from one seed.
BETWEEN_RANKS = 7919

Measured: TypeAlias = tuple[torch.Tensor, torch.Tensor | None]
"""The loss of an update, and an accuracy if there is one: tensors of no dimension."""


class NoMoreUpdates(Exception):
    """No further update can be made; the text says why."""


@contextmanager
def started(
    training: Training, seed: int | None, ranks: Ranks, *, is_trial: bool = False
) -> Iterator[Run]:
    """A run of the training from the present state, which is put back at the end.

    Args:
        training: What to train.
        seed: Of weights, where the model is made, of data order and dropout; None leaves them to
            chance.
        ranks: The ranks of the job.
        is_trial: Whether held-out loss is measured instead of accuracy.
    """
    snapshot = Snapshot(on_host=training.snapshot == "host")
    with Interrupts() as interrupts, torch.inference_mode(False), torch.enable_grad():
        try:
            with refused_together(ranks):
                _take(snapshot, training)
                interrupts.let_through(_draw_held_out, training)
                run = interrupts.let_through(Run, training, seed, ranks, interrupts, is_trial)
            with closing(run):  # workers end before their loader is put back
                yield run
        finally:
            snapshot.restore()


def _take(snapshot: Snapshot, training: Training) -> None:
    """Take everything that the training changes."""
    snapshot.take_generators()
    for owner in (training.model, training.loss_fn, training.optimizer, training.scaler):
        if isinstance(owner, nn.Module | Optimizer | torch.amp.GradScaler):
            snapshot.take(owner)
    for loader in (training.train_loader, training.val_loader):
        snapshot.take_loader(loader)
    for i, value in enumerate(training.preserve):
        snapshot.take(value, f"preserve[{i}]")


def _draw_held_out(training: Training) -> None:
    """Draw the batches on which held-out accuracy is measured, the same for all seeds."""
    if training.val_loader is None or training.held_out:
        return
    training.held_out = [clone(b) for b in islice(training.val_loader, training.val_batches)]
    if not training.held_out:
        allowed = "held-out data of at least one batch"
        refuse(ValueError, "val_loader", allowed, training.val_loader)


class Run:
    """Makes updates, and draws as many batches as they need.

    The arguments are those of `started`, and a Ctrl-C is held back while ranks agree.
    """

    def __init__(
        self,
        training: Training,
        seed: int | None,
        ranks: Ranks,
        interrupts: Interrupts,
        is_trial: bool,
    ) -> None:
        self._training, self._held_out, self._is_trial = training, training.held_out, is_trial
        self.ranks, self.interrupts = ranks, interrupts
        if seed is not None:
            seed_global(seed)
        self._model, self._optimizer = training.make_pair()
        if seed is not None:
            _seed_order(training, seed + BETWEEN_RANKS * ranks.rank)
        # A model in training mode may have children that are not, on purpose.
        if not self._model.training:
            self._model.train()
        self._device = training.device_of(self._model)
        self._ratios = group_ratios(self._optimizer)
        self._batches = _repeated(training.train_loader, seed)
        self._is_first = True

    @property
    def default_lr(self) -> float:
        """The rate that the optimizer began with, of its first group."""
        return initial_rate(0, self._optimizer.param_groups[0])

    @property
    def block_size(self) -> int:
        """Updates whose losses are read together: many where reading makes others wait."""
        if self._training.block_size is not None:
            return self._training.block_size
        on_host = self._device is None or self._device.type == "cpu"
        return 1 if on_host and self.ranks.size == 1 else BLOCK

    def close(self) -> None:
        """Let go of the loader: its workers end."""
        self._batches.close()

    def update(self, lr: float, *, validate: bool) -> Measured:
        """Make an update at this rate.

        Args:
            lr: The rate.
            validate: Whether to evaluate held-out data after it.

        Returns:
            The loss before the update, and the accuracy, or the held-out loss of a trial, if it
            was measured.

        Raises:
            NoMoreUpdates: Where the data have ended, or the scaler skips all updates.
            StoppedElsewhere: Where another rank cannot go on.
        """
        training = self._training
        set_rates(self._optimizer.param_groups, [lr * ratio for ratio in self._ratios])
        for _ in range(MOST_SKIPS):
            loss, accuracy = self._compute_gradients()
            skipped = self._step_optimizer()
            # Inside an autocast of the user's, it would keep the weights of the first update.
            torch.clear_autocast_cache()
            if training.scaler is None:
                break
            # Where the loss itself is not finite, no scale helps.
            if not self._go_on(skipped and bool(torch.isfinite(loss))):
                break
        else:
            raise NoMoreUpdates(f"the scaler skipped {MOST_SKIPS} updates in a row at lr={lr:g}")
        if validate and self._held_out and not (self._is_trial and training.loss_fn is None):
            return loss, self._evaluate()
        return loss, accuracy

    def read(self, measured: Sequence[Measured]) -> list[Point]:
        """The values of a block of updates as numbers: only this waits for the device."""
        if not measured:
            return []
        losses = torch.stack([loss for loss, _ in measured]).tolist()
        known = [accuracy for _, accuracy in measured if accuracy is not None]
        accuracies = iter(torch.stack(known).tolist() if known else ())
        return [
            (loss, None if accuracy is None else self._check_accuracy(next(accuracies)))
            for loss, (_, accuracy) in zip(losses, measured, strict=True)
        ]

    def _check_accuracy(self, accuracy: float) -> float | None:
        """None for the NaN that stands for targets that are no classes."""
        own = self._training.metric is not None or self._training.val_step is not None
        if own or self._is_trial or accuracy == accuracy:
            return accuracy
        return _refuse_metric() if self._held_out else None

    def _compute_gradients(self) -> Measured:
        """The gradients of the mean loss of the micro-batches, which is returned."""
        self._optimizer.zero_grad(set_to_none=True)
        measured = []
        for left in reversed(range(self._training.accumulate)):
            batch = next(self._batches, None)
            if batch is None:
                raise NoMoreUpdates(clrcore.RangeTest.data_end("train_loader"))
            self._go_on()
            with self._without_averaging() if left else nullcontext():
                with self._training.forward_context(self._device):
                    with self._watched() if self._is_first else nullcontext():
                        loss, accuracy = self._forward(batch)
                _check_loss(loss)
                self._go_on()
                self._backward(loss)
            measured.append((loss.detach().reshape(()), accuracy))
        if len(measured) == 1:
            return measured[0]
        losses = torch.stack([loss for loss, _ in measured])
        known = [accuracy for _, accuracy in measured if accuracy is not None]
        return losses.mean(), torch.stack(known).mean() if known else None

    def _forward(self, batch: Any) -> Measured:
        """Loss of a training batch, and its accuracy unless that is to be of held-out data."""
        training = self._training
        batch = move(batch, self._device)
        if training.train_step is not None:
            return training.train_step(batch), None
        assert training.loss_fn is not None
        inputs, targets = split(batch, "loss_fn", "train_step=lambda batch: model(**batch).loss")
        outputs = self._model(*inputs)
        loss = training.loss_fn(outputs, targets)
        with torch.no_grad():
            measures = not (self._held_out or self._is_trial)
            return loss, self._accuracy(outputs, targets) if measures else None

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """The first forward pass: refuse functions that compute gradients or make a step."""
        steps: list[object] = []
        handle = None
        with suppress(AttributeError):  # wrappers such as Accelerate's have no hooks
            handle = self._optimizer.register_step_post_hook(lambda *given: steps.append(given))
        try:
            yield
        finally:
            if handle is not None:
                handle.remove()
        parameters = (p for group in self._optimizer.param_groups for p in group["params"])
        if steps or any(p.grad is not None for p in parameters):
            name = "loss_fn" if self._training.train_step is None else "train_step"
            allowed = "a function that returns the loss, and leaves backward(), optimizer.step() "
            allowed += "and zero_grad() to range_test"
            refuse(ValueError, name, allowed, getattr(self._training, name))
        self._is_first = False

    def _backward(self, loss: torch.Tensor) -> None:
        if self._training.accumulate > 1:
            loss = loss / self._training.accumulate
        if self._training.scaler is not None:
            loss = self._training.scaler.scale(loss)
        loss.backward()  # type: ignore[no-untyped-call]

    def _step_optimizer(self) -> bool:
        """Take the optimizer's step; whether the scaler found infinite gradients and skipped it."""
        scaler = self._training.scaler
        if self._training.max_grad_norm is not None:
            if scaler is not None:
                scaler.unscale_(self._optimizer)
            parameters = [p for group in self._optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self._training.max_grad_norm)
        if scaler is None:
            self._optimizer.step()
            return False
        scale = scaler.get_scale()
        scaler.step(self._optimizer)
        scaler.update()
        # A scaler lowers its scale when it skips; fused optimizers skip by themselves.
        return scaler.get_scale() < scale

    def _evaluate(self) -> torch.Tensor:
        """The mean over the held-out batches; batches of more examples weigh more."""
        measure = self._held_out_loss if self._is_trial else self._held_out_accuracy
        weighted, count = [], 0
        context = self._training.forward_context(self._device)
        with evaluating(self._model), torch.no_grad(), context:
            for batch in self._held_out:
                batch = move(batch, self._device)
                size = count_examples(batch)
                weighted.append(measure(batch) * size)
                count += size
        return torch.stack(weighted).sum() / count

    def _held_out_loss(self, batch: Any) -> torch.Tensor:
        assert self._training.loss_fn is not None
        inputs, targets = split(batch, "loss_fn", "train_step and val_step")
        return as_scalar("loss_fn", self._training.loss_fn(self._model(*inputs), targets))

    def _held_out_accuracy(self, batch: Any) -> torch.Tensor:
        if self._training.val_step is not None:
            return as_scalar("val_step", self._training.val_step(batch))
        inputs, targets = split(batch, "val_loader without val_step", "val_step=...")
        accuracy = self._accuracy(self._model(*inputs), targets)
        return _refuse_metric() if accuracy is None else accuracy

    def _accuracy(self, outputs: Any, targets: Any) -> torch.Tensor | None:
        metric = self._training.metric
        if metric is None:
            return share_of_right_classes(outputs, targets)
        return as_scalar("metric", metric(outputs, targets))

    def _go_on(self, flag: bool = False) -> bool:
        return self.interrupts.hold_back(self.ranks.go_on, flag)

    def _without_averaging(self) -> AbstractContextManager[Any]:
        """Data-parallel models average gradients only after the last micro-batch."""
        no_sync = getattr(self._model, "no_sync", None)
        return nullcontext() if no_sync is None else no_sync()


def _repeated(loader: Iterable[Any], seed: int | None) -> Any:
    """The loader's batches again and again; samplers by epoch are set to a new one each time."""
    samplers = [o for o in order_of(loader) if hasattr(o, "set_epoch") and hasattr(o, "epoch")]
    firsts = [s.epoch if seed is None else seed * BETWEEN_EPOCHS for s in samplers]

    def set_epochs(number: int) -> None:
        for sampler, first in zip(samplers, firsts, strict=True):
            sampler.set_epoch(first + number)

    return clrcore.RangeTest.repeated(loader, set_epochs)


def _seed_order(training: Training, seed: int) -> None:
    """Seed data order and dropout, with the generators of the loader and in `preserve`."""
    seed_global(seed)
    for source in (training.train_loader, *training.preserve):
        for generator in generators_of(source):
            reseed(generator, seed)


def _refuse_metric() -> NoReturn:
    message = (
        "metric must be given: val_loader was, but the model's outputs and the targets are not "
        "those of a classification with outputs (batch, classes, ...)"
    )
    refuse(ValueError, "metric", "a function of outputs and targets", None, message=message)


def _check_loss(loss: object) -> None:
    """Refuse what cannot be differentiated."""
    if not isinstance(loss, torch.Tensor):
        hint = ""
        if loss is None:
            hint = "end the function with `return loss`"
        elif isinstance(loss, Mapping):
            hint = 'return output["loss"]' if "loss" in loss else "return the loss alone"
        elif hasattr(loss, "loss"):
            hint = "return output.loss"
        elif isinstance(loss, list | tuple):
            hint = "return the loss alone"
        message = f"the loss must be a tensor, got {type(loss).__name__}"
        refuse(TypeError, "the loss", "a tensor", loss, message=message, advice=hint)
    if loss.numel() != 1:
        message = f"the loss must be a tensor of one element, got the shape {tuple(loss.shape)}"
        allowed = "a tensor of one element"
        refuse(ValueError, "the loss", allowed, loss, message=message, advice="take its mean")
    if not loss.requires_grad:
        message = (
            "the loss must have a graph behind it: leave backward(), detach() and "
            "optimizer.step() to range_test, and do not compute it under no_grad()"
        )
        refuse(ValueError, "the loss", "a tensor with a graph", loss, message=message)
