"""Batches without end from whatever yields them, on the device where they are wanted."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Any

import torch


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


def shuffled_by_epoch(loader: object) -> list[Any]:
    """The samplers of a data loader whose order depends on an epoch that they are told."""
    parts = [getattr(loader, name, None) for name in ("sampler", "batch_sampler")]
    parts += [getattr(part, "sampler", None) for part in parts]
    unique = {id(part): part for part in parts}.values()
    return [part for part in unique if hasattr(part, "set_epoch") and hasattr(part, "epoch")]


def generators(loader: object) -> list[torch.Generator]:
    """The generators of its own that a data loader shuffles with."""
    owners = [loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None)]
    owners.append(getattr(owners[-1], "sampler", None))
    found = [getattr(owner, "generator", None) for owner in owners]
    return [one for one in found if isinstance(one, torch.Generator)]


def moved(batch: Any, device: torch.device | None) -> Any:
    """The batch with its tensors on `device`; None leaves them where they are."""
    if device is None:
        return batch
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if callable(getattr(batch, "to", None)):  # a batch that knows how
        return batch.to(device)
    if isinstance(batch, Mapping):
        return {key: moved(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(moved(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(moved(value, device) for value in batch)
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
