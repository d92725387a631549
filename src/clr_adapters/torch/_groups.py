"""Parameter groups of an optimizer: what can be set in them, and setting it.

Momentum is a group's `momentum`, or the first of its `betas` where it has these.
"""

from __future__ import annotations

import functools
import math
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.optim import Optimizer

from clrcore.arguments import check_float, float_from_scalar, refuse

Group: TypeAlias = dict[str, Any]


def set_rates(groups: Sequence[Group], rates: Iterable[float]) -> None:
    """Set every group's rate; tensors are filled, anything else becomes a Python float."""
    for group, rate in zip(groups, rates, strict=True):
        lr = group["lr"]
        if type(lr) is not float and isinstance(lr, Tensor):
            lr.fill_(rate)
        else:
            group["lr"] = rate


def set_momenta(groups: Sequence[Group], momenta: Iterable[float | None]) -> None:
    """Set every group's momentum, as `set_rates` sets rates; None leaves it alone."""
    for group, value in zip(groups, momenta, strict=True):
        if value is None:
            continue
        betas = group.get("betas")
        current = betas[0] if betas else group["momentum"]
        if type(current) is not float and isinstance(current, Tensor):
            current.fill_(value)
        elif betas:
            group["betas"] = (value, *betas[1:])
        else:
            group["momentum"] = value


def get_momentum(group: Group) -> Any:
    """The group's momentum, None where it has none."""
    betas = group.get("betas")
    return betas[0] if betas else group.get("momentum")


def values(
    groups: Sequence[Group], with_momentum: Sequence[bool]
) -> tuple[list[float], list[float | None]]:
    """Rates and momenta as plain numbers, for `set_rates` and `set_momenta`."""
    rates = [float(group["lr"]) for group in groups]
    pairs = zip(groups, with_momentum, strict=True)
    return rates, [float(get_momentum(group)) if wanted else None for group, wanted in pairs]


def like(current: Any, value: float) -> Any:
    """`value` as a group would hold it: a new tensor of the type of `current`, or a float."""
    return torch.full_like(current, value) if isinstance(current, Tensor) else value


def holds(current: Any, value: float) -> bool:
    """Whether a group's entry is `value`, as far as its type can tell."""
    return bool(current == like(current, value))


def initial_rate(i: int, group: Group) -> float:
    """The rate group number `i` began with: `initial_lr`, or `lr` where none has moved it."""
    key = "initial_lr" if "initial_lr" in group else "lr"
    name = f"param_groups[{i}][{key!r}]"
    return check_float(name, float_from_scalar(name, group[key]), 0.0)


def rate_scale(i: int, group: Group) -> float:
    """The factor `lr_scale` of group number `i`, 1.0 where it has none."""
    if "lr_scale" not in group:
        return 1.0
    scale = group["lr_scale"]
    if type(scale) is float and 0.0 <= scale < math.inf:
        return scale
    name = f"param_groups[{i}]['lr_scale']"
    return check_float(name, float_from_scalar(name, scale), 0.0)


def keep_initial_rates(groups: Sequence[Group]) -> None:
    """Note where groups began, as PyTorch's schedulers do for one another; no NumPy numbers."""
    for group in groups:
        lr = group["lr"]
        group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else float(lr))


def check_groups(groups: Sequence[Group], momenta: Sequence[object]) -> None:
    """Refuse groups whose rate cannot be set, or whose momentum where it is to be."""
    for i, (group, momentum) in enumerate(zip(groups, momenta, strict=True)):
        if "lr" not in group:
            raise ValueError(f"param_groups[{i}] has no 'lr' that could be set")
        _check_entry(f"param_groups[{i}]['lr']", group["lr"])
        if momentum is None:
            continue
        current = get_momentum(group)
        if current is None:
            raise ValueError(
                f"momentum cannot be set: param_groups[{i}] has neither betas nor momentum; leave "
                "momentum=None"
            )
        key = "['betas'][0]" if "betas" in group else "['momentum']"
        _check_entry(f"param_groups[{i}]{key}", current)


def check_sharing(
    groups: Sequence[Group], rates: Sequence[object], momenta: Sequence[object]
) -> None:
    """Refuse two groups with one and the same tensor that are to hold different values.

    rates, momenta: what is set in each group; equal where the values will be.
    """
    seen: dict[int, tuple[int, object]] = {}
    for i, (group, rate, momentum) in enumerate(zip(groups, rates, momenta, strict=True)):
        for name, entry, setting in (
            ("lr", group["lr"], rate),
            ("momentum", get_momentum(group), momentum),
        ):
            if not isinstance(entry, Tensor):
                continue
            j, other = seen.setdefault(id(entry), (i, setting))
            if other != setting:
                raise ValueError(
                    f"param_groups[{j}] and param_groups[{i}] share one tensor as their {name}, "
                    "but are to hold different values: give each a tensor of its own, as clone() "
                    "makes it"
                )


def _check_entry(name: str, entry: Any) -> None:
    if not isinstance(entry, Tensor):
        float_from_scalar(name, entry)
    elif not entry.is_floating_point() or entry.numel() != 1:
        refuse(TypeError, name, "a number or a tensor of one float", entry)
    elif entry.requires_grad:
        refuse(ValueError, name, "a tensor that needs no gradient, as it is filled", entry)
    elif entry.is_inference():
        allowed = "a tensor that was not made in inference_mode, as it is filled; clone() it"
        refuse(ValueError, name, allowed, entry)


def watch_step(optimizer: Optimizer) -> None:
    """Have it noted when the optimizer's step is called, where the base class cannot.

    It takes a method of the optimizer for granted; a step may have been compiled or wrapped.
    """
    step = optimizer.step
    if getattr(step, "__self__", None) is optimizer or hasattr(step, "_wrapped_by_lr_sched"):
        return
    found = weakref.ref(optimizer)

    @functools.wraps(step)
    def watched(*args: Any, **options: Any) -> Any:
        found()._opt_called = True  # type: ignore[union-attr]
        return step(*args, **options)

    watched._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = watched  # type: ignore[method-assign]


def was_stepped(optimizer: Optimizer) -> bool:
    """Whether the optimizer was asked for an update, as far as can be told."""
    if getattr(optimizer, "_opt_called", False):
        return True
    if not hasattr(optimizer.step, "_wrapped_by_lr_sched"):  # replaced, or lost in a copy
        return True
    # A GradScaler leaves out the updates whose gradients have overflown.
    return any(
        parameter.grad is not None and not math.isfinite(parameter.grad.sum())
        for group in optimizer.param_groups
        for parameter in group["params"]
    )
