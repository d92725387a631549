"""A training as a range test needs it: update by update at given rates, leaving no trace."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Dataset, IterableDataset

from clrcore.arguments import check_choice, check_float, check_int, refuse

from .._interrupts import Interrupts
from ._agreement import Measured
from ._batches import OutOfBatches, endless, generators, kept, loaders_in, moved, reseed
from ._evaluation import HeldOut, Metric, as_scalar, share_right
from ._snapshot import Snapshot
from ._update import SkippedUpdates, Update, ratios

# Apart, so that the processes of a job draw other dropout and other orders from one seed.
BETWEEN_RANKS = 7919
# More epochs than a range test has, so that no two seeds share the order of an epoch.
BETWEEN_EPOCHS = 1009

Autocast: TypeAlias = torch.dtype | torch.autocast | Callable[[], AbstractContextManager[Any]]
"""A dtype to compute in, or the context for it."""


class Training:
    """Everything a training needs; the arguments are those of `range_test`.

    Raises TypeError or ValueError, naming the argument, before anything is touched.
    """

    def __init__(
        self,
        model: nn.Module | Callable[[], nn.Module],
        optimizer: Optimizer | Callable[[nn.Module], Optimizer],
        train_loader: Iterable[Any],
        *,
        loss_fn: Callable[[Any, Any], torch.Tensor] | None,
        train_step: Callable[[Any], torch.Tensor] | None,
        val_loader: Iterable[Any] | None,
        metric: Metric | None,
        val_step: Callable[[Any], Any] | None,
        due: Sequence[bool],
        val_batches: int,
        accumulate: int,
        autocast: Autocast | None,
        scaler: torch.amp.GradScaler | None,
        max_grad_norm: float | None,
        device: str | torch.device | None,
        snapshot: str,
    ) -> None:
        if isinstance(model, nn.Module):
            _check_optimizer("optimizer", optimizer, model)
        else:
            _check_factories(model, optimizer, (train_step, val_step))
        _batches("train_loader", train_loader)
        if (loss_fn is None) == (train_step is None):
            raise TypeError(
                "range_test needs loss_fn=..., for batches (inputs..., targets), or "
                f"train_step=..., for others; got {'neither' if loss_fn is None else 'both'}"
            )
        _callable("loss_fn", loss_fn)
        _callable("train_step", train_step)
        _callable("metric", metric)
        _callable("val_step", val_step)
        if metric is not None and val_step is not None:
            raise TypeError("metric and val_step were given; the accuracy is what one of them says")
        if metric is not None and train_step is not None and val_loader is None:
            raise ValueError(
                "metric has nothing to measure: train_step returns losses only; pass val_loader"
            )
        if val_loader is not None:
            _batches("val_loader", val_loader)
        elif val_step is not None:
            raise ValueError("val_step needs val_loader=..., got None")
        if scaler is not None and not isinstance(scaler, torch.amp.GradScaler):
            refuse(TypeError, "scaler", "a torch.amp.GradScaler or None", scaler)
        self._model, self._optimizer, self._train_loader = model, optimizer, train_loader
        self._loss_fn, self._train_step = loss_fn, train_step
        self._val_loader, self._metric, self._val_step = val_loader, metric, val_step
        self._due = due
        self._val_batches = check_int("val_batches", val_batches, 1)
        self._accumulate = check_int("accumulate", accumulate, 1)
        self._autocast = _autocast(autocast)
        self._scaler = scaler
        self._max_grad_norm = (
            None
            if max_grad_norm is None
            else check_float("max_grad_norm", max_grad_norm, 0.0, above=True)
        )
        self._device = None if device is None else _device(device)
        self._host = check_choice("snapshot", snapshot, ["device", "host"]) == "host"
        self._looked_at: list[Any] = []
        self.cut_short: str | None = None

    @property
    def held_out(self) -> bool | None:
        """Whether the accuracy is of held-out data; None if there is none."""
        if self._train_step is not None and self._val_loader is None:
            return None
        return self._val_loader is not None

    @property
    def waits(self) -> bool:
        """Whether reading a loss makes an accelerator wait."""
        device = self._device
        if device is None:
            if not isinstance(self._model, nn.Module):  # it may be made there
                return torch.accelerator.is_available()
            device = _device_of(self._model)
        return device is not None and device.type != "cpu"

    def updates(
        self, rates: Sequence[float], seed: int | None, rank: int, interrupts: Interrupts
    ) -> Generator[Measured, None, None]:
        """Make an update at each rate, yield what was measured, and put everything back.

        seed: of weights, if the model is made, of data order and dropout; None leaves chance
            as it is.
        interrupts: let through in what the caller's functions do.
        Ends early where the batches do; `cut_short` says why then. Raises what the model
        raises. Close it, or go through to the end: that is when things are put back.
        """
        with self._no_trace(), torch.inference_mode(False), torch.enable_grad():
            if self._val_loader is not None and not self._looked_at:
                # The same ones for all seeds.
                self._looked_at = interrupts.let_through(
                    lambda source: [kept(one) for one in islice(source, self._val_batches)],
                    self._val_loader,
                )
                if not self._looked_at:
                    raise ValueError("val_loader must yield batches, got none")
            if seed is not None:
                _seed(seed)
            model, optimizer = interrupts.let_through(self._pair)
            if seed is not None:
                _seed(seed + BETWEEN_RANKS * rank)
                for generator in generators(self._train_loader):
                    reseed(generator, seed + BETWEEN_RANKS * rank)
            # One that is in training mode may have parts that are not, on purpose.
            if not model.training:
                model.train()
            yield from self._updates(rates, model, optimizer, seed, interrupts)

    def _updates(
        self,
        rates: Sequence[float],
        model: nn.Module,
        optimizer: Optimizer,
        seed: int | None,
        interrupts: Interrupts,
    ) -> Iterator[Measured]:
        device = self._device or _device_of(model)
        autocast = partial(self._autocast, device)
        look = HeldOut(model, self._looked_at, partial(self._look, model), autocast, device)
        batches = endless(self._train_loader, None if seed is None else seed * BETWEEN_EPOCHS)
        update = Update(
            model,
            optimizer,
            partial(self._step, model, device),
            batches,
            ratios=ratios(optimizer),
            accumulate=self._accumulate,
            autocast=autocast,
            scaler=self._scaler,
            max_grad_norm=self._max_grad_norm,
        )
        # Closed, so that a loader's workers end before the loader is put back.
        with closing(batches):
            for number, lr in enumerate(rates):
                try:
                    loss, accuracy = interrupts.let_through(update, lr)
                except (OutOfBatches, SkippedUpdates) as end:
                    self.cut_short = str(end)
                    return
                if self._due[number]:
                    accuracy = interrupts.let_through(look)
                yield loss, accuracy

    def _step(
        self, model: nn.Module, device: torch.device | None, batch: Any
    ) -> tuple[Any, torch.Tensor | None]:
        """Loss and, unless it is to be of held-out data, accuracy of a training batch."""
        batch = moved(batch, device)
        if self._train_step is not None:
            return self._train_step(batch), None
        assert self._loss_fn is not None
        inputs, targets = _parted(batch, "loss_fn", "train_step=lambda batch: model(**batch).loss")
        outputs = model(*inputs)
        loss = self._loss_fn(outputs, targets)
        if self.held_out:
            return loss, None
        with torch.no_grad():
            return loss, self._accuracy(outputs, targets)

    def _look(self, model: nn.Module, batch: Any) -> torch.Tensor | None:
        """Accuracy of a held-out batch."""
        if self._val_step is not None:
            return as_scalar("val_step", self._val_step(batch))
        inputs, targets = _parted(batch, "val_loader without val_step", "val_step=...")
        return self._accuracy(model(*inputs), targets)

    def _accuracy(self, outputs: Any, targets: Any) -> torch.Tensor | None:
        if self._metric is None:
            return share_right(outputs, targets)
        return as_scalar("metric", self._metric(outputs, targets))

    def _pair(self) -> tuple[nn.Module, Optimizer]:
        """The model and its optimizer, made if they are to be."""
        if isinstance(self._model, nn.Module):
            return self._model, self._optimizer  # type: ignore[return-value]
        model = self._model()
        if not isinstance(model, nn.Module):
            refuse(TypeError, "what model() returns", "a torch.nn.Module", model)
        optimizer = self._optimizer(model)  # type: ignore[operator]
        _check_optimizer("what optimizer(model) returns", optimizer, model)
        return model, optimizer

    @contextmanager
    def _no_trace(self) -> Iterator[None]:
        snapshot = Snapshot(host=self._host)
        snapshot.take_random()
        for module in (self._model, self._loss_fn):
            if isinstance(module, nn.Module):
                snapshot.take_module(module)
        for owner in (self._optimizer, self._scaler):
            if isinstance(owner, Optimizer | torch.amp.GradScaler):
                snapshot.take(owner)
        loaders = [one for one in (self._train_loader, self._val_loader) if one is not None]
        for loader in loaders:
            snapshot.take_loader(loader)
        try:
            for loader in loaders:
                # Workers that a loader keeps go on with its own iterator afterwards.
                for one in loaders_in(loader):
                    if getattr(one, "_iterator", None) is not None:
                        one._iterator = None
            yield
        finally:
            snapshot.restore()


def _check_factories(model: object, optimizer: object, steps: Sequence[object]) -> None:
    if not callable(model):
        refuse(TypeError, "model", "a torch.nn.Module, or a function that makes one", model)
    if isinstance(optimizer, Optimizer) or not callable(optimizer):
        refuse(
            TypeError,
            "optimizer",
            "a function that makes the optimizer of the model it is given, as model is a function",
            optimizer,
        )
    if any(step is not None for step in steps):
        raise TypeError(
            "train_step and val_step know one model, but model is a function that makes new ones: "
            "use loss_fn and metric"
        )


def _check_optimizer(name: str, optimizer: object, model: nn.Module) -> None:
    if not isinstance(optimizer, Optimizer):
        refuse(TypeError, name, "a torch.optim.Optimizer", optimizer)
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise ValueError(
            f"{name} must make a step without a closure, which {type(optimizer).__name__} cannot"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in held for p in model.parameters()):
        raise ValueError(
            f"{name} must be of this model, but holds none of its parameters: make it after the "
            "model is complete and moved"
        )
    ratios(optimizer)


def _parted(batch: Any, name: str, instead: str) -> tuple[Sequence[Any], Any]:
    """The inputs of a batch, and its targets, which come last."""
    if isinstance(batch, list | tuple) and len(batch) >= 2:
        return batch[:-1], batch[-1]
    raise TypeError(
        f"with {name}, a batch must be a tuple or list (inputs..., targets), got "
        f"{type(batch).__name__}; for others pass {instead}"
    )


def _autocast(value: Any) -> Callable[[torch.device | None], AbstractContextManager[Any]]:
    """What makes the context of a forward pass on a device."""
    if value is None:
        return lambda _: nullcontext()
    if isinstance(value, torch.dtype) and value in (torch.float16, torch.bfloat16):
        return lambda device: torch.autocast(device.type if device else "cpu", dtype=value)
    if isinstance(value, torch.autocast):
        return lambda _: value
    allowed = "torch.float16, torch.bfloat16, a torch.autocast, or a function that makes a context"
    # Most contexts can be entered only once.
    once = isinstance(value, AbstractContextManager)
    if not callable(value) or once or value is torch.autocast:
        kind = ValueError if isinstance(value, torch.dtype) else TypeError
        refuse(kind, "autocast", allowed, value)
    return lambda _: value()


def _device(value: Any) -> torch.device:
    try:
        return torch.device(value)
    except (RuntimeError, TypeError):
        refuse(
            ValueError if isinstance(value, str) else TypeError,
            "device",
            "a torch.device, or a name such as 'cuda'",
            value,
        )


def _device_of(model: nn.Module) -> torch.device | None:
    parameter = next(model.parameters(), None)
    return None if parameter is None else parameter.device


def _batches(name: str, value: object) -> None:
    if isinstance(value, Dataset) and not isinstance(value, IterableDataset):
        refuse(TypeError, name, "batches, not single examples: pass a DataLoader", value)
    if not hasattr(value, "__iter__") and not hasattr(value, "__getitem__"):
        refuse(TypeError, name, "batches that can be iterated over", value)


def _callable(name: str, value: object) -> None:
    if value is not None and not callable(value):
        refuse(TypeError, name, "a function or None", value)
    if isinstance(value, type):
        refuse(TypeError, name, f"a function; make one with {value.__name__}()", value)


def _seed(seed: int) -> None:
    random.seed(seed)
    # The global generator is what augmentations of data draw from.
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
