"""Parameter groups of an optimizer: how their rate and momentum are read and written.

The momentum of a group is its `momentum`, or the first of its `betas` where it has these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from torch import Tensor, full_like

from clrcore.arguments import check_float, float_from_scalar, refuse

Group: TypeAlias = dict[str, Any]
# The rate of a group, and its momentum, or None for a constant momentum.
Values: TypeAlias = tuple[float, float | None]


def set_rate(groups: Iterable[Group], rate: float) -> None:
    """Set the same rate in all groups; tensors are filled, anything else becomes a float."""
    for group in groups:
        lr = group["lr"]
        kind = type(lr)
        if kind is float:
            group["lr"] = rate
        elif kind is Tensor or isinstance(lr, Tensor):
            lr.fill_(rate)
        else:
            group["lr"] = rate


def set_rates(groups: Sequence[Group], rates: Iterable[float]) -> None:
    """Set the rate of each group."""
    for group, rate in zip(groups, rates, strict=True):
        set_rate((group,), rate)


def set_momentum(groups: Iterable[Group], momentum: float | None) -> None:
    """Set the same momentum in all groups, as `set_rate` does; None changes nothing."""
    if momentum is None:
        return
    for group in groups:
        betas = group.get("betas")
        current = betas[0] if betas else group["momentum"]
        if type(current) is not float and isinstance(current, Tensor):
            current.fill_(momentum)
        elif betas:
            group["betas"] = (momentum, *betas[1:])
        else:
            group["momentum"] = momentum


def set_values(groups: Sequence[Group], values: Sequence[Values]) -> None:
    """Set the rate and the momentum of each group."""
    for group, (rate, momentum) in zip(groups, values, strict=True):
        set_rate((group,), rate)
        set_momentum((group,), momentum)


def get_values(groups: Sequence[Group], with_momenta: bool) -> list[Values]:
    """The rate and the momentum of each group as plain numbers."""
    momenta = [get_momentum(group) if with_momenta else None for group in groups]
    return [
        (float(group["lr"]), None if momentum is None else float(momentum))
        for group, momentum in zip(groups, momenta, strict=True)
    ]


def hold_values(groups: Sequence[Group], values: Sequence[Values]) -> bool:
    """Whether the groups hold these values, within the precision of their types."""
    return all(
        _holds(group["lr"], rate) and (momentum is None or _holds(get_momentum(group), momentum))
        for group, (rate, momentum) in zip(groups, values, strict=True)
    )


def get_momentum(group: Group) -> Any:
    """The momentum of the group, None where it has none."""
    betas = group.get("betas")
    return betas[0] if betas else group.get("momentum")


def like(current: Any, value: float) -> Any:
    """`value` as the group would hold it: a new tensor of the type of `current`, or a float."""
    return full_like(current, value) if isinstance(current, Tensor) else value


def _holds(current: Any, value: float) -> bool:
    return bool(current == like(current, value))


def initial_rate(i: int, group: Group) -> float:
    """The rate that group number `i` began with: `initial_lr`, or `lr` before any scheduler."""
    key = "initial_lr" if "initial_lr" in group else "lr"
    name = f"param_groups[{i}][{key!r}]"
    return check_float(name, float_from_scalar(name, group[key]), 0.0)


def rate_scale(i: int, group: Group) -> float:
    """The factor `lr_scale` of group number `i`, 1.0 where it has none."""
    scale = group.get("lr_scale", 1.0)
    if type(scale) is float and 0.0 <= scale < math.inf:
        return scale
    name = f"param_groups[{i}]['lr_scale']"
    return check_float(name, float_from_scalar(name, scale), 0.0)


def keep_initial_rates(groups: Sequence[Group]) -> None:
    """Note the first rate of groups, as PyTorch's schedulers do; NumPy numbers become floats."""
    for group in groups:
        lr = group["lr"]
        group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else float(lr))


def check_groups(groups: Sequence[Group], momenta: Sequence[object]) -> None:
    """Refuse groups whose rate cannot be set, or whose momentum where it is to be set."""
    for i, (group, momentum) in enumerate(zip(groups, momenta, strict=True)):
        name = f"param_groups[{i}]"
        if "lr" not in group:
            refuse(ValueError, name, "a group with an 'lr'", list(group))
        _check_entry(f"{name}['lr']", group["lr"])
        if momentum is None:
            continue
        if (current := get_momentum(group)) is None:
            advice = "leave momentum=None"
            refuse(ValueError, name, "a group with momentum or betas", list(group), advice=advice)
        _check_entry(name + ("['betas'][0]" if "betas" in group else "['momentum']"), current)


def check_sharing(
    groups: Sequence[Group], rates: Sequence[object], momenta: Sequence[object]
) -> None:
    """Refuse two groups that share a tensor but are to hold different values.

    Args:
        groups: The groups.
        rates: What sets the rate of each group; equal where the rates will be equal.
        momenta: The same for the momentum.
    """
    seen: dict[int, tuple[int, object]] = {}
    for i, (group, *settings) in enumerate(zip(groups, rates, momenta, strict=True)):
        for entry, setting in zip((group["lr"], get_momentum(group)), settings, strict=True):
            if not isinstance(entry, Tensor):
                continue
            j, other = seen.setdefault(id(entry), (i, setting))
            if other != setting:
                allowed = f"a group that shares no tensor with param_groups[{j}]"
                advice = "they are to hold different values: give each group its own with clone()"
                refuse(ValueError, f"param_groups[{i}]", allowed, entry, advice=advice)


def _check_entry(name: str, entry: Any) -> None:
    if not isinstance(entry, Tensor):
        float_from_scalar(name, entry)
    elif not entry.is_floating_point() or entry.numel() != 1:
        refuse(TypeError, name, "a number or a tensor of one float", entry)
    elif entry.requires_grad:
        refuse(ValueError, name, "a tensor that needs no gradient, as it is filled", entry)
    elif entry.is_inference():
        allowed = "a tensor that was not made in inference_mode, as it is filled"
        refuse(ValueError, name, allowed, entry, advice="clone() it")
