"""Runs of a training at given rates, from the present state, which they leave as it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

import clrcore
from clrcore.arguments import check_float, refuse

from .._interrupts import Interrupts
from . import _private
from ._agreement import Ranks, raise_together
from ._batches import clone
from ._generators import reseed, seed_global
from ._groups import initial_rate, set_rates
from ._measures import Measured, Measures
from ._snapshot import Snapshot, generators_of, order_of
from ._training import Training, group_ratios

# Updates whose losses are read together where reading makes a device or other ranks wait.
BLOCK = 20
# A scaler halves its scale when it skips; so many skips in a row pass all the scales there are.
MOST_SKIPS = 64
# Between the epochs of two seeds; more than a range test has, so that no two seeds share an epoch.
BETWEEN_EPOCHS = 1009
# Between the seeds of two ranks, so that they draw different dropout and orders.
BETWEEN_RANKS = 7919

# What stands for the end of the batches; a batch may be None.
END = object()


class NoMoreUpdates(Exception):
    """There is no further update; the message has the reason."""


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
            with raise_together(ranks):
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

    The arguments are those of `started`. A Ctrl-C is held back while ranks wait for each other.
    """

    def __init__(
        self,
        training: Training,
        seed: int | None,
        ranks: Ranks,
        interrupts: Interrupts,
        is_trial: bool,
    ) -> None:
        self._training, self.ranks, self.interrupts = training, ranks, interrupts
        if seed is not None:
            seed_global(seed)
        self._model, self._optimizer = training.make_pair()
        if seed is not None:
            _seed_order(training, seed + BETWEEN_RANKS * ranks.rank)
        # A model in training mode may have children that are not, on purpose.
        if not self._model.training:
            self._model.train()
        self.measures = Measures(training, self._model, is_trial=is_trial)
        self._ratios = group_ratios(self._optimizer)
        self._passes = _Passes(training.train_loader, interrupts)
        self._batches = _repeated(self._passes, seed)
        self._is_first = True

    @property
    def default_lr(self) -> float:
        """The rate that the optimizer began with, of its first group; it must be > 0."""
        rate = initial_rate(0, self._optimizer.param_groups[0])
        return check_float("param_groups[0]['lr']", rate, 0.0, above=True)

    @property
    def block_size(self) -> int:
        """Updates whose losses are read together: many where reading makes others wait."""
        if self._training.block_size is not None:
            return self._training.block_size
        device = self.measures.device
        on_host = device is None or device.type == "cpu"
        return 1 if on_host and self.ranks.size == 1 else BLOCK

    def close(self) -> None:
        """Let go of the loader: its workers end."""
        self._batches.close()
        _private.end_workers(self._passes.iterator)

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
        set_rates(self._optimizer.param_groups, [lr * ratio for ratio in self._ratios])
        for _ in range(MOST_SKIPS):
            loss, accuracy = self._compute_gradients()
            skipped = self._step_optimizer()
            # Inside an autocast of the user's, it would keep the weights of the first update.
            torch.clear_autocast_cache()
            # Where the loss itself is not finite, no scale helps.
            if self._training.scaler is None or not self._wait_for_all(
                skipped and _is_finite(loss)
            ):
                evaluates = validate and self.measures.can_evaluate
                return loss, self.measures.evaluate() if evaluates else accuracy
        raise NoMoreUpdates(f"the scaler skipped {MOST_SKIPS} updates in a row at lr={lr:g}")

    def _compute_gradients(self) -> Measured:
        """The gradients of the mean loss of the micro-batches, which is returned."""
        self._optimizer.zero_grad(set_to_none=True)
        measured = []
        for left in reversed(range(self._training.accumulate)):
            batch = next(self._batches, END)
            if batch is END:
                raise NoMoreUpdates(self._data_end())
            self._training.has_drawn = True
            self._wait_for_all()
            # Data-parallel models average gradients only after the last micro-batch.
            no_sync = getattr(self._model, "no_sync", nullcontext)
            with no_sync() if left else nullcontext():
                watched = self._watched() if self._is_first else nullcontext()
                with self.measures.forward_context(), watched:
                    loss, accuracy = self.measures.measure(batch)
                self._wait_for_all()
                self._backward(loss)
            measured.append((loss.detach().reshape(()), accuracy))
        if len(measured) == 1:
            return measured[0]
        losses = torch.stack([loss for loss, _ in measured])
        known = [accuracy for _, accuracy in measured if accuracy is not None]
        return losses.mean(), torch.stack(known).mean() if known else None

    def _data_end(self) -> str:
        """Why there is no further batch."""
        loader = self._training.train_loader
        if self._training.has_drawn or hasattr(loader, "__next__"):
            return clrcore.RangeTest.data_end("train_loader")
        return "train_loader has no batches; does drop_last leave none?"

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
        if steps or any(parameter.grad is not None for parameter in self._parameters()):
            name = "loss_fn" if self._training.train_step is None else "train_step"
            allowed = "a function that only returns the loss, without backward(), "
            allowed += "optimizer.step() and zero_grad()"
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
            nn.utils.clip_grad_norm_(self._parameters(), self._training.max_grad_norm)
        if scaler is None:
            self._optimizer.step()
            return False
        scale = scaler.get_scale()
        scaler.step(self._optimizer)
        scaler.update()
        # A scaler lowers its scale when it skips; fused optimizers skip by themselves.
        return scaler.get_scale() < scale

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self._optimizer.param_groups for p in group["params"]]

    def _wait_for_all(self, flag: bool = False) -> bool:
        return self.interrupts.hold_back(self.ranks.wait_for_all, flag)


def _is_finite(loss: torch.Tensor) -> bool:
    return bool(torch.isfinite(loss))


class _Passes:
    """The passes over a loader, whose workers can be ended."""

    iterator: Any = None

    def __init__(self, loader: Iterable[Any], interrupts: Interrupts) -> None:
        self.loader, self._interrupts = loader, interrupts

    def __iter__(self) -> Iterator[Any]:
        if getattr(self.loader, "num_workers", 0):
            # Nobody could end workers that a Ctrl-C left half started.
            self._interrupts.hold_back(self._begin)
        else:
            self._begin()
        return self.iterator  # type: ignore[no-any-return]

    def _begin(self) -> None:
        self.iterator = iter(self.loader)


def _repeated(passes: _Passes, seed: int | None) -> Any:
    """The loader's batches again and again; samplers by epoch get a new epoch each time."""
    owners = order_of(passes.loader)
    samplers = [o for o in owners if hasattr(o, "set_epoch") and hasattr(o, "epoch")]
    firsts = [s.epoch if seed is None else seed * BETWEEN_EPOCHS for s in samplers]

    def set_epochs(number: int) -> None:
        for sampler, first in zip(samplers, firsts, strict=True):
            sampler.set_epoch(first + number)

    # The workers of an iterator belong to whoever has begun it.
    data = passes.loader if hasattr(passes.loader, "__next__") else passes
    return clrcore.RangeTest.repeated(data, set_epochs)


def _seed_order(training: Training, seed: int) -> None:
    """Seed data order and dropout, with the generators of the loader and in `preserve`."""
    seed_global(seed)
    for source in (training.train_loader, *training.preserve):
        for generator in generators_of(source):
            reseed(generator, seed)
