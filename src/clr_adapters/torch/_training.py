"""All that a training needs, checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypedDict

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Dataset, IterableDataset

import clrcore
from clrcore.arguments import (
    check_choice,
    check_float,
    check_int,
    check_optional,
    check_type,
    refuse,
)

from ._groups import check_groups, check_sharing, initial_rate, rate_scale

Autocast: TypeAlias = torch.dtype | torch.autocast | Callable[[], AbstractContextManager[Any]]
"""A dtype to compute in, or the context for it."""
Metric: TypeAlias = Callable[[Any, Any], Any]
"""From outputs and targets to a number."""


class Options(TypedDict, total=False):
    """Arguments of `range_test` and `find_bounds` that define an update."""

    train_step: Callable[[Any], torch.Tensor] | None
    val_loader: Iterable[Any] | None
    metric: Metric | None
    val_step: Callable[[Any], Any] | None
    val_batches: int
    accumulate: int
    autocast: Autocast | None
    scaler: torch.amp.GradScaler | None
    max_grad_norm: float | None
    device: str | torch.device | None
    steps_per_epoch: float | None
    preserve: Sequence[object]
    snapshot: str
    block_size: int | None


@dataclass
class Training:
    """The arguments that define an update, checked; their defaults are here.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed.
    """

    model: nn.Module | Callable[[], nn.Module]
    optimizer: Optimizer | Callable[[nn.Module], Optimizer]
    train_loader: Iterable[Any]
    loss_fn: Callable[[Any, Any], torch.Tensor] | None = None
    train_step: Callable[[Any], torch.Tensor] | None = None
    val_loader: Iterable[Any] | None = None
    metric: Metric | None = None
    val_step: Callable[[Any], Any] | None = None
    val_batches: int = 10
    accumulate: int = 1
    autocast: Autocast | None = None
    scaler: torch.amp.GradScaler | None = None
    max_grad_norm: float | None = None
    device: str | torch.device | None = None
    steps_per_epoch: float | None = None
    preserve: Sequence[object] = ()
    snapshot: str = "device"
    block_size: int | None = None
    # Batches of val_loader, once they are drawn.
    held_out: list[Any] = field(default_factory=list, init=False)
    # Whether trials follow, so that a sweep can do without held-out accuracy.
    held_out_loss_decides: bool = field(default=False, init=False)
    # Whether train_loader has given a batch.
    has_drawn: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._check_model()
        _check_batches("train_loader", self.train_loader)
        check_optional(_check_batches, "val_loader", self.val_loader)
        self._check_functions()
        check_int("val_batches", self.val_batches, 1)
        check_int("accumulate", self.accumulate, 1)
        check_optional(check_int, "block_size", self.block_size, 1)
        check_optional(check_float, "max_grad_norm", self.max_grad_norm, 0.0, above=True)
        scalers = torch.amp.GradScaler | None
        check_type("scaler", self.scaler, scalers, "a torch.amp.GradScaler or None")
        check_type("preserve", self.preserve, list | tuple, "a tuple or list of objects")
        check_choice("snapshot", self.snapshot, ["device", "host"])
        _check_autocast(self.autocast)
        _check_device(self.device)
        if self.steps_per_epoch is None:
            epoch_length = clrcore.RangeTest.epoch_length
            self.steps_per_epoch = epoch_length(self.train_loader, self.accumulate)

    def _check_model(self) -> None:
        if isinstance(self.model, nn.Module):
            check_optimizer("optimizer", self.optimizer, self.model)
            return
        if not callable(self.model):
            allowed = "a torch.nn.Module, or a function that makes a module"
            refuse(TypeError, "model", allowed, self.model)
        if isinstance(self.optimizer, Optimizer) or not callable(self.optimizer):
            allowed = "a function that makes the optimizer of a model, as model is a function"
            refuse(TypeError, "optimizer", allowed, self.optimizer)

    def _check_functions(self) -> None:
        if (self.loss_fn is None) == (self.train_step is None):
            message = "loss_fn must be given for batches (inputs..., targets), or train_step for "
            message += f"others; got {'neither' if self.loss_fn is None else 'both'}"
            refuse(TypeError, "loss_fn", "given, or train_step", self.loss_fn, message=message)
        for name in ("loss_fn", "train_step", "metric", "val_step"):
            value = getattr(self, name)
            if isinstance(value, type):
                refuse(TypeError, name, f"a function; make one with {value.__name__}()", value)
            if value is not None and not callable(value):
                refuse(TypeError, name, "a function or None", value)
        makes_models, no_data = not isinstance(self.model, nn.Module), self.val_loader is None
        for kind, name, useless, why in (
            (TypeError, "train_step", makes_models, "where model is a function: use loss_fn"),
            (TypeError, "val_step", makes_models, "where model is a function: use metric"),
            (TypeError, "metric", self.val_step is not None, "where val_step measures accuracy"),
            (ValueError, "metric", no_data and self.loss_fn is None, "without loss or val_loader"),
            (ValueError, "val_step", no_data, "without val_loader"),
        ):
            if useless and getattr(self, name) is not None:
                refuse(kind, name, f"None {why}", getattr(self, name))

    def settings(self) -> dict[str, object]:
        """What all ranks must have in common."""
        return {
            "accumulate": self.accumulate,
            "block_size": self.block_size,
            "whether train_step is given": self.train_step is not None,
            "whether val_loader is given": self.val_loader is not None,
        }

    def make_pair(self) -> tuple[nn.Module, Optimizer]:
        """The model and its optimizer on their device."""
        if isinstance(self.model, nn.Module):
            return self.model, self.optimizer  # type: ignore[return-value]
        made = self.model()
        model: nn.Module = check_type("the result of model()", made, nn.Module, "a torch.nn.Module")
        try:
            optimizer = self.optimizer(model)  # type: ignore[operator]
        except TypeError as error:
            maker = getattr(self.optimizer, "func", self.optimizer)  # that of a partial
            if not (isinstance(maker, type) and issubclass(maker, Optimizer)):
                raise
            advice = f"pass lambda model: torch.optim.{maker.__name__}(model.parameters())"
            if not maker.__module__.startswith("torch.optim."):
                advice = advice.replace("torch.optim.", "")
            allowed = "a function that makes the optimizer of a model"
            refuse(TypeError, "optimizer", allowed, self.optimizer, advice=advice, cause=error)
        check_optimizer("the result of optimizer(model)", optimizer, model)
        return model, optimizer

    def device_of(self, model: nn.Module) -> torch.device | None:
        """Where the batches of a model belong; None leaves them where they are."""
        if self.device is not None:
            return torch.device(self.device)
        first = next(model.parameters(), None)
        return None if first is None else first.device

    def forward_context(self, device: torch.device | None) -> AbstractContextManager[Any]:
        """The autocast of a forward pass on a device."""
        if self.autocast is None:
            return nullcontext()
        if isinstance(self.autocast, torch.dtype):
            return torch.autocast(device.type if device else "cpu", dtype=self.autocast)
        return self.autocast if isinstance(self.autocast, torch.autocast) else self.autocast()


def group_ratios(optimizer: Optimizer) -> list[float]:
    """The ratio of each group's rate to the swept rate.

    It is the ratio of the group's initial rate to that of the first group, as a scheduler may have
    moved the present rates, times the group's `lr_scale`.

    Raises:
        TypeError: For a rate that cannot be set.
        ValueError: For rates without a ratio, or groups that share a tensor.
    """
    groups = optimizer.param_groups
    no_momenta = [None] * len(groups)
    check_groups(groups, no_momenta)
    rates = [initial_rate(i, group) for i, group in enumerate(groups)]
    differ = len(set(rates)) > 1
    if differ and not rates[0] > 0:
        allowed = "an optimizer with a rate > 0 in its first group, as the others keep their ratio"
        message = f"optimizer must be {allowed} to it, got the rates {rates}"
        refuse(ValueError, "optimizer", allowed, optimizer, message=message)
    own = [rate / rates[0] if differ else 1.0 for rate in rates]
    ratios = [ratio * rate_scale(i, groups[i]) for i, ratio in enumerate(own)]
    check_sharing(groups, ratios, no_momenta)
    return ratios


def check_optimizer(name: str, optimizer: object, model: nn.Module) -> None:
    """Refuse anything but an optimizer that trains this model."""
    checked: Optimizer = check_type(name, optimizer, Optimizer, "a torch.optim.Optimizer")
    closure = inspect.signature(type(checked).step).parameters.get("closure")
    parameters = [p for group in checked.param_groups for p in group["params"]]
    own = {id(parameter) for parameter in model.parameters()}
    problem = ""
    if closure is not None and closure.default is closure.empty:
        problem = f"must make a step without a closure, which {type(optimizer).__name__} cannot"
    elif not any(id(parameter) in own for parameter in parameters):
        problem = "holds no parameter of this model: make it after the model is complete and moved"
    elif not any(parameter.requires_grad for parameter in parameters):
        problem = "has no trainable parameter, so there is nothing to train: call "
        problem += "requires_grad_(True) on the parameters to train"
    if problem:
        allowed = "an optimizer of trainable parameters of this model, which needs no closure"
        refuse(ValueError, name, allowed, optimizer, message=f"{name} {problem}")
    group_ratios(checked)


def _check_autocast(value: Any) -> None:
    if value is None or value is torch.float16 or value is torch.bfloat16:
        return
    # Most contexts other than torch.autocast can be entered only once.
    once = isinstance(value, AbstractContextManager) and not isinstance(value, torch.autocast)
    if once or value is torch.autocast or not callable(value):
        kind = ValueError if isinstance(value, torch.dtype) else TypeError
        allowed = "torch.float16, torch.bfloat16, a torch.autocast, or a function that makes a "
        refuse(kind, "autocast", allowed + "context", value)


def _check_device(value: Any) -> None:
    try:
        torch.device("cpu" if value is None else value)
    except (RuntimeError, TypeError):
        kind = ValueError if isinstance(value, str) else TypeError
        refuse(kind, "device", "a torch.device, or a name such as 'cuda'", value)


def _check_batches(name: str, value: object) -> None:
    if isinstance(value, Dataset) and not isinstance(value, IterableDataset):
        refuse(TypeError, name, "batches, not single examples: pass a DataLoader", value)
    if not hasattr(value, "__iter__") and not hasattr(value, "__getitem__"):
        refuse(TypeError, name, "batches that can be iterated over", value)
