"""Batches without end from whatever yields them, on the device where they are wanted."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Generator, Iterable, Mapping, MutableMapping
from typing import Any

import torch
from torch.utils.data import DataLoader


class OutOfBatches(Exception):
    """The batches have come to an end; the text says which and why."""


def endless(loader: Iterable[Any], first_epoch: int | None = None) -> Generator[Any, None, None]:
    """Every batch, again and again; raises OutOfBatches where there is no again.

    first_epoch: told to the samplers that shuffle by epoch (`set_epoch`), and counted on from;
        by default their own.
    """
    samplers = shuffled_by_epoch(loader)
    firsts = [s.epoch if first_epoch is None else first_epoch for s in samplers]
    epoch, drawn = 0, 0
    while True:
        for sampler, first in zip(samplers, firsts, strict=True):
            sampler.set_epoch(first + epoch)
        iterator = iter(loader)
        before = drawn
        for batch in iterator:
            drawn += 1
            yield batch
        if not drawn:
            raise OutOfBatches("train_loader yielded no batch at all")
        if iterator is loader or drawn == before:
            raise OutOfBatches(
                f"train_loader can be iterated only once, and ended after {drawn} batches"
            )
        epoch += 1


def loaders_in(loader: object) -> list[Any]:
    """The loader, and the DataLoaders that it wraps."""
    attributes = getattr(loader, "__dict__", {})
    return [loader, *(one for one in attributes.values() if isinstance(one, DataLoader))]


def samplers_of(loader: object) -> list[Any]:
    """Everything that has a say in the order of a loader's batches, the loader included."""
    found = {}
    waiting = loaders_in(loader)
    while waiting:
        one = waiting.pop()
        found[id(one)] = one
        inner = [getattr(one, name, None) for name in ("sampler", "batch_sampler")]
        waiting += [part for part in inner if part is not None and id(part) not in found]
    return list(found.values())


def shuffled_by_epoch(loader: object) -> list[Any]:
    """The samplers of a data loader whose order depends on an epoch that they are told."""
    return [
        part
        for part in samplers_of(loader)
        if hasattr(part, "set_epoch") and hasattr(part, "epoch")
    ]


def generators(loader: object) -> list[torch.Generator]:
    """The generators of its own that a data loader shuffles with."""
    found = [getattr(part, "generator", None) for part in samplers_of(loader)]
    return [one for one in found if isinstance(one, torch.Generator)]


def moved(batch: Any, device: torch.device | None) -> Any:
    """The batch with its tensors on `device`; None leaves them where they are.

    It keeps its type, and is the same one where nothing had to move.
    """
    if device is None:
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if callable(getattr(batch, "to", None)):  # a batch that knows how
        return batch.to(device)
    if isinstance(batch, Mapping):
        items = {key: moved(value, device) for key, value in batch.items()}
        if all(items[key] is value for key, value in batch.items()):
            return batch
        if not isinstance(batch, MutableMapping):
            return items
        other = copy.copy(batch)
        other.update(items)
        return other
    if isinstance(batch, list | tuple):
        values = [moved(value, device) for value in batch]
        if all(new is old for new, old in zip(values, batch, strict=True)):
            return batch
        return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        changed = {name: moved(value, device) for name, value in fields.items()}
        if all(changed[name] is value for name, value in fields.items()):
            return batch
        return dataclasses.replace(batch, **changed)
    return batch


def rows(batch: Any) -> int:
    """How many examples a batch has: the length of the first tensor in it, 1 without one."""
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.ndim else 1
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, list | tuple):
        for value in batch:
            if isinstance(value, torch.Tensor | Mapping | list | tuple):
                return rows(value)
    return 1
