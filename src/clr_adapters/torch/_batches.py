"""Batches of any kind: on another device, copied, counted, split into inputs and targets."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch

from clrcore.arguments import refuse

# What a function returns for a batch whose items it wants one by one.
ITEMS = object()


def move(batch: Any, device: torch.device | None) -> Any:
    """The batch with its tensors on `device`, of the same type; None moves nothing."""

    def moved(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            return item.to(device, non_blocking=True)
        # Batches of user classes often have a method to move.
        return item.to(device) if callable(getattr(item, "to", None)) else ITEMS

    return batch if device is None else _change(batch, moved)


def clone(batch: Any) -> Any:
    """The batch with copies of its tensors and arrays, as a loader may reuse its memory."""

    def cloned(item: Any) -> Any:
        if isinstance(item, np.ndarray):
            return item.copy()
        return item.clone() if callable(getattr(item, "clone", None)) else ITEMS

    return _change(batch, cloned)


def _change(batch: Any, change: Callable[[Any], Any]) -> Any:
    """The batch with every item changed; the same object where no item changes."""
    changed = change(batch)
    if changed is not ITEMS:
        return changed
    if isinstance(batch, Mapping):
        items = {key: _change(value, change) for key, value in batch.items()}
        if all(items[key] is value for key, value in batch.items()):
            return batch
        if not isinstance(batch, MutableMapping):
            return items
        other = copy.copy(batch)
        other.update(items)
        return other
    if isinstance(batch, list | tuple):
        values = [_change(value, change) for value in batch]
        if all(new is old for new, old in zip(values, batch, strict=True)):
            return batch
        return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        names = [field.name for field in dataclasses.fields(batch)]
        changes = {name: _change(getattr(batch, name), change) for name in names}
        return dataclasses.replace(batch, **changes)
    return batch


def count_examples(batch: Any) -> int:
    """The length of the first tensor in the batch; 1 without tensors."""
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.ndim else 1
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, list | tuple):
        for value in batch:
            if isinstance(value, torch.Tensor | Mapping | list | tuple):
                return count_examples(value)
    return 1


def split(batch: Any, name: str, instead: str) -> tuple[Sequence[Any], Any]:
    """The inputs of a batch and its targets, which come last."""
    if isinstance(batch, list | tuple) and len(batch) >= 2:
        return batch[:-1], batch[-1]
    allowed = "a tuple or list (inputs..., targets)"
    message = f"with {name}, a batch must be {allowed}, got {type(batch).__name__}"
    advice = f"for other batches pass {instead}"
    refuse(TypeError, "a batch", allowed, batch, message=message, advice=advice)
