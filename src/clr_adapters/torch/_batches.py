"""Batches without end from whatever yields them, on the device where they are wanted."""

from __future__ import annotations

import copy
import dataclasses
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, MutableMapping
from types import FunctionType, MemberDescriptorType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, Sampler

import clrcore

RANDOM = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
# What a DataLoader draws its order with, and what it sets itself when it is used.
ORDER = ("sampler", "batch_sampler", "generator")
USED = ("_iterator", "_IterableDataset_len_called")
# What samplers hold of the data: it may be large, or read-only, and nobody writes to it.
DATA = ("data_source", "dataset")
# Where nothing is that an order comes from.
CLOSED = (
    *(bool, int, float, complex, str, bytes, type(None)),
    *(type, FunctionType, ModuleType),
    *(torch.Tensor, nn.Module, Optimizer, Dataset, np.ndarray),
)
# A longer container holds data; a loader with more parts holds the whole program.
MANY = 1000
MOST_PARTS = 10_000


class OutOfBatches(Exception):
    """The batches have come to an end; the text says which and why."""


def endless(loader: Iterable[Any], first_epoch: int | None = None) -> Generator[Any, None, None]:
    """Every batch, again and again; raises OutOfBatches where there is no again.

    first_epoch: told to the samplers that shuffle by epoch (`set_epoch`), and counted on from;
        by default their own.
    """
    samplers = shuffled_by_epoch(loader)
    firsts = [s.epoch if first_epoch is None else first_epoch for s in samplers]

    def set_epochs(number: int) -> None:
        for sampler, first in zip(samplers, firsts, strict=True):
            sampler.set_epoch(first + number)

    yield from clrcore.RangeTest.repeated(loader, set_epochs)
    raise OutOfBatches(clrcore.RangeTest.data_end("train_loader"))


def parts(loader: object) -> list[Any]:
    """A loader and what it holds, near things first, each once: samplers, generators, loaders.

    It looks into attributes and containers, but not into data, models and code.
    """
    found = {id(loader): loader}
    waiting = deque([loader])
    while waiting and len(found) < MOST_PARTS:
        for one in _held(waiting.popleft()):
            if id(one) not in found and not isinstance(one, CLOSED):
                found[id(one)] = one
                waiting.append(one)
    return list(found.values())


def attributes(one: object) -> dict[str, Any]:
    """The attributes that an object keeps for itself, in its dictionary or in slots."""
    slots = {
        name: getattr(one, name)
        for kind in type(one).__mro__
        for name, member in vars(kind).items()
        if isinstance(member, MemberDescriptorType) and hasattr(one, name)
    }
    return slots | getattr(one, "__dict__", {})


def _held(one: Any) -> Iterable[Any]:
    if isinstance(one, list | tuple | set | frozenset | dict | deque):
        if len(one) > MANY:
            return ()
        return one.values() if isinstance(one, dict) else one
    return [value for name, value in attributes(one).items() if name not in (*DATA, *USED)]


def loaders_in(loader: object) -> list[Any]:
    """The loader, and the DataLoaders that it wraps."""
    return [one for one in parts(loader) if one is loader or isinstance(one, DataLoader)]


def samplers_in(loader: object) -> list[Any]:
    """What the order of a loader's batches comes from: samplers, of PyTorch or of any class."""
    found = parts(loader)
    named = [one for part in found for name, one in attributes(part).items() if name in ORDER]
    known = {id(one) for one in named if not isinstance(one, RANDOM)}
    return [one for one in found if id(one) in known or isinstance(one, Sampler)]


def shuffled_by_epoch(loader: object) -> list[Any]:
    """The samplers of a data loader whose order depends on an epoch that they are told."""
    return [one for one in parts(loader) if hasattr(one, "set_epoch") and hasattr(one, "epoch")]


def generators(loader: object) -> list[Any]:
    """The generators of its own that a data loader shuffles with: those in RANDOM."""
    return [
        one
        for one in parts(loader)
        if isinstance(one, RANDOM) and not isinstance(one, random.SystemRandom)
    ]


def reseed(generator: Any, seed: int) -> None:
    """Begin one of RANDOM anew."""
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        bits.state = type(bits)(seed).state
    elif isinstance(generator, np.random.RandomState):
        kind = generator.get_state(legacy=False)["bit_generator"]
        generator.set_state(getattr(np.random, kind)(seed).state)
    else:
        generator.seed(seed)


def moved(batch: Any, device: torch.device | None) -> Any:
    """The batch with its tensors on `device`; None leaves them where they are.

    It keeps its type, and is the same one where nothing had to move.
    """

    def move(one: Any) -> Any:
        if isinstance(one, torch.Tensor):
            return one.to(device, non_blocking=True)
        # A batch that knows how.
        return one.to(device) if callable(getattr(one, "to", None)) else _PARTS

    return batch if device is None else _with_parts(batch, move)


def kept(batch: Any) -> Any:
    """The batch with tensors and arrays of its own, as a loader may fill them anew."""

    def copied(one: Any) -> Any:
        if isinstance(one, np.ndarray):
            return one.copy()
        return one.clone() if callable(getattr(one, "clone", None)) else _PARTS

    return _with_parts(batch, copied)


# What a function says of a batch that it leaves to its parts.
_PARTS = object()


def _with_parts(batch: Any, change: Callable[[Any], Any]) -> Any:
    """The batch with all in it changed, of its own type; the same one where nothing changed."""
    changed = change(batch)
    if changed is not _PARTS:
        return changed
    if isinstance(batch, Mapping):
        items = {key: _with_parts(value, change) for key, value in batch.items()}
        if all(items[key] is value for key, value in batch.items()):
            return batch
        if not isinstance(batch, MutableMapping):
            return items
        other = copy.copy(batch)
        other.update(items)
        return other
    if isinstance(batch, list | tuple):
        values = [_with_parts(value, change) for value in batch]
        if all(new is old for new, old in zip(values, batch, strict=True)):
            return batch
        return type(batch)(*values) if hasattr(batch, "_fields") else type(batch)(values)
    if dataclasses.is_dataclass(batch) and not isinstance(batch, type):
        fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
        others = {name: _with_parts(value, change) for name, value in fields.items()}
        if all(others[name] is value for name, value in fields.items()):
            return batch
        return dataclasses.replace(batch, **others)
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
