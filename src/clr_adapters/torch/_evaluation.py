"""Accuracy: of a batch in training, and of held-out batches now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from ._batches import moved, rows

Metric: TypeAlias = Callable[[Any, Any], Any]
"""From outputs and targets to one number."""


def share_right(outputs: object, targets: object) -> torch.Tensor | None:
    """The share of examples whose largest output is the target's; None if these are no classes.

    outputs: floats of shape (batch, classes, ...). targets: integers of shape (batch, ...);
    negative ones, which the losses of PyTorch ignore, do not count.
    """
    if not (isinstance(outputs, torch.Tensor) and isinstance(targets, torch.Tensor)):
        return None
    kinds = (targets.is_floating_point(), targets.is_complex(), outputs.is_complex())
    if any(kinds) or targets.dtype == torch.bool or outputs.ndim < 2:
        return None
    if targets.shape != outputs.shape[:1] + outputs.shape[2:]:
        return None
    right = (outputs.detach().argmax(1) == targets).sum()
    return right / (targets >= 0).sum().clamp(min=1)


def as_scalar(name: str, value: Any) -> torch.Tensor:
    """What the function of that name returned, as a tensor of no dimension."""
    if isinstance(value, torch.Tensor):
        if value.numel() == 1 and not value.is_complex():
            return value.detach().reshape(()).float()
    elif not isinstance(value, complex) and not np.iscomplexobj(value) and np.ndim(value) == 0:
        with suppress(TypeError, ValueError):
            return torch.tensor(float(value))
    raise TypeError(f"{name} must return one number, got {value!r:.200} ({type(value).__name__})")


class HeldOut:
    """The mean accuracy of some held-out batches, always the same ones.

    step: from a batch to its accuracy, a tensor of no dimension. Batches of more examples
    weigh more.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Sequence[Any],
        step: Callable[[Any], torch.Tensor | None],
        autocast: Callable[[], AbstractContextManager[Any]],
        device: torch.device | None,
    ) -> None:
        self._model, self._batches, self._step = model, batches, step
        self._autocast, self._device = autocast, device

    def __call__(self) -> torch.Tensor:
        """Look at all batches in evaluation mode; the model's modes are as before then."""
        weighted, count = [], 0
        with _evaluating(self._model), torch.no_grad(), self._autocast():
            for batch in self._batches:
                batch = moved(batch, self._device)
                accuracy = self._step(batch)
                if accuracy is None:
                    raise ValueError(
                        "metric must be given: val_loader was, but the model's outputs and the "
                        "targets are not those of a classification"
                    )
                size = rows(batch)
                weighted.append(accuracy * size)
                count += size
        return torch.stack(weighted).sum() / count


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
