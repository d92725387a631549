"""All that a training needs, checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Dataset, IterableDataset

from clrcore.arguments import check_choice, check_float, check_int, refuse

from ._evaluation import Metric
from ._groups import check_groups, check_sharing, initial_rate, rate_scale

Autocast: TypeAlias = torch.dtype | torch.autocast | Callable[[], AbstractContextManager[Any]]
"""A dtype to compute in, or the context for it."""


HALF = (torch.float16, torch.bfloat16)


@dataclass(kw_only=True)
class Training:
    """The arguments of `range_test` that make updates and evaluations.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed.
    """

    model: nn.Module | Callable[[], nn.Module]
    optimizer: Optimizer | Callable[[nn.Module], Optimizer]
    train_loader: Iterable[Any]
    loss_fn: Callable[[Any, Any], torch.Tensor] | None
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
    preserve: Sequence[object]
    snapshot: str
    # Batches of val_loader, once they are drawn.
    held_out: list[Any] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.model, nn.Module):
            _check_optimizer("optimizer", self.optimizer, self.model)
        else:
            self._check_factories()
        self._check_functions()
        for name in ("train_loader", "val_loader"):
            if getattr(self, name) is not None or name == "train_loader":
                _check_batches(name, getattr(self, name))
        if self.scaler is not None and not isinstance(self.scaler, torch.amp.GradScaler):
            refuse(TypeError, "scaler", "a torch.amp.GradScaler or None", self.scaler)
        if not isinstance(self.preserve, list | tuple):
            refuse(TypeError, "preserve", "a tuple or list of objects", self.preserve)
        self.val_batches = check_int("val_batches", self.val_batches, 1)
        self.accumulate = check_int("accumulate", self.accumulate, 1)
        if self.max_grad_norm is not None:
            self.max_grad_norm = check_float("max_grad_norm", self.max_grad_norm, 0.0, above=True)
        check_choice("snapshot", self.snapshot, ["device", "host"])
        _check_autocast(self.autocast)
        if self.device is not None:
            _checked_device(self.device)

    def _check_factories(self) -> None:
        if not callable(self.model):
            allowed = "a torch.nn.Module, or a function that makes one"
            refuse(TypeError, "model", allowed, self.model)
        if isinstance(self.optimizer, Optimizer) or not callable(self.optimizer):
            allowed = "a function that makes the optimizer of a model, as model is a function"
            refuse(TypeError, "optimizer", allowed, self.optimizer)
        for name in ("train_step", "val_step"):
            if getattr(self, name) is not None:
                allowed = "None where model is a function, as it knows a single model"
                advice = "use loss_fn and metric"
                refuse(TypeError, name, allowed, getattr(self, name), advice=advice)

    def _check_functions(self) -> None:
        if (self.loss_fn is None) == (self.train_step is None):
            got = "neither" if self.loss_fn is None else "both"
            message = (
                "range_test needs loss_fn=..., for batches (inputs..., targets), or "
                f"train_step=..., for others; got {got}"
            )
            refuse(TypeError, "loss_fn", "given, or train_step", self.loss_fn, message=message)
        for name in ("loss_fn", "train_step", "metric", "val_step"):
            value = getattr(self, name)
            if isinstance(value, type):
                refuse(TypeError, name, f"a function; make one with {value.__name__}()", value)
            if value is not None and not callable(value):
                refuse(TypeError, name, "a function or None", value)
        if self.metric is not None and self.val_step is not None:
            allowed = "None where val_step is given, as either measures the accuracy"
            refuse(TypeError, "metric", allowed, self.metric)
        if self.val_loader is None and self.metric is not None and self.train_step is not None:
            allowed = "None where train_step returns losses only"
            refuse(ValueError, "metric", allowed, self.metric, advice="pass val_loader")
        if self.val_loader is None and self.val_step is not None:
            allowed = "None without held-out data"
            refuse(ValueError, "val_step", allowed, self.val_step, advice="pass val_loader")

    def make_pair(self) -> tuple[nn.Module, Optimizer]:
        """The model and its optimizer, made where they are to be."""
        if isinstance(self.model, nn.Module):
            return self.model, self.optimizer  # type: ignore[return-value]
        model = self.model()
        if not isinstance(model, nn.Module):
            refuse(TypeError, "what model() returns", "a torch.nn.Module", model)
        optimizer = self.optimizer(model)  # type: ignore[operator]
        _check_optimizer("what optimizer(model) returns", optimizer, model)
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


def _check_optimizer(name: str, optimizer: object, model: nn.Module) -> None:
    if not isinstance(optimizer, Optimizer):
        refuse(TypeError, name, "a torch.optim.Optimizer", optimizer)
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    own = {id(parameter) for parameter in model.parameters()}
    problem = ""
    if closure is not None and closure.default is closure.empty:
        problem = f"must make a step without a closure, which {type(optimizer).__name__} cannot"
    elif not any(id(parameter) in own for parameter in parameters):
        problem = "holds no parameter of this model: make it after the model is complete and moved"
    elif not any(parameter.requires_grad for parameter in parameters):
        problem = (
            "has no trainable parameter, so there is nothing to train: call requires_grad_(True) "
            "on the parameters to train"
        )
    if problem:
        allowed = "an optimizer of trainable parameters of this model, which needs no closure"
        refuse(ValueError, name, allowed, optimizer, message=f"{name} {problem}")
    group_ratios(optimizer)


def _check_autocast(value: Any) -> None:
    if value is None or (isinstance(value, torch.dtype) and value in HALF):
        return
    # Most contexts other than torch.autocast can be entered only once.
    once = isinstance(value, AbstractContextManager) and not isinstance(value, torch.autocast)
    if once or value is torch.autocast or not callable(value):
        kind = ValueError if isinstance(value, torch.dtype) else TypeError
        allowed = "torch.float16, torch.bfloat16, a torch.autocast, or a function that makes a "
        refuse(kind, "autocast", allowed + "context", value)


def _checked_device(value: Any) -> torch.device:
    try:
        return torch.device(value)
    except (RuntimeError, TypeError):
        kind = ValueError if isinstance(value, str) else TypeError
        refuse(kind, "device", "a torch.device, or a name such as 'cuda'", value)


def _check_batches(name: str, value: object) -> None:
    if isinstance(value, Dataset) and not isinstance(value, IterableDataset):
        refuse(TypeError, name, "batches, not single examples: pass a DataLoader", value)
    if not hasattr(value, "__iter__") and not hasattr(value, "__getitem__"):
        refuse(TypeError, name, "batches that can be iterated over", value)
