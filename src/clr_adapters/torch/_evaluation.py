"""Accuracy of a batch: the share of right classes, or what the user's metric returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from clrcore.arguments import refuse

Metric: TypeAlias = Callable[[Any, Any], Any]
"""From outputs and targets to a number."""


def share_of_right_classes(outputs: object, targets: object) -> torch.Tensor | None:
    """The share of examples whose largest output is the target's.

    Args:
        outputs: Floats of shape (batch, classes, ...), of at least two classes.
        targets: Integers of shape (batch, ...); negative targets, which PyTorch's losses ignore,
            do not count.

    Returns:
        A tensor of no dimension, or None where outputs and targets are not of this kind. It holds
        NaN where a target is no class: finding out at once would wait for the device.
    """
    if not (isinstance(outputs, torch.Tensor) and isinstance(targets, torch.Tensor)):
        return None
    integers = not (targets.is_floating_point() or targets.is_complex())
    if not integers or targets.dtype == torch.bool or outputs.is_complex():
        return None
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        return None
    if targets.shape != outputs.shape[:1] + outputs.shape[2:]:
        return None
    if outputs.ndim > 2 and targets.shape == outputs.shape[:-1]:
        return None  # language models have their classes last: either axis may be theirs
    right = (outputs.detach().argmax(1) == targets).sum() / (targets >= 0).sum().clamp(min=1)
    return torch.where((targets < outputs.shape[1]).all(), right, torch.nan)


def as_scalar(name: str, value: Any) -> torch.Tensor:
    """What the function of that name returned, as a tensor of no dimension."""
    if isinstance(value, torch.Tensor):
        if value.numel() == 1 and not value.is_complex():
            return value.detach().reshape(()).float()
    elif not isinstance(value, complex) and not np.iscomplexobj(value) and np.ndim(value) == 0:
        with suppress(TypeError, ValueError):
            return torch.tensor(float(value))
    message = f"{name} must return one number, got {value!r:.200} ({type(value).__name__})"
    refuse(TypeError, name, "a function that returns one number", value, message=message)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; every module has its own mode again afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
