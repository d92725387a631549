"""The batches of a range test: any iterable, gone through again where that is possible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

from clrcore.arguments import refuse

from ._tree import named


def endless(batches: Iterable[Any], num_steps: int, seeds: int | None = None) -> Iterator[Any]:
    """One batch per update: of arrays, all of the same structure, shapes and types.

    batches: gone through again at its end, unless it is an iterator, which cannot be.
    num_steps: how many will be wanted; only said where there are fewer.
    seeds: the length of every array's first axis, or None for any shape.
    Raises TypeError or ValueError, when the batch is wanted, for anything else.
    """
    try:
        iterator = iter(batches)
    except TypeError:
        refuse(TypeError, "batches", "an iterable of batches, such as a list", batches)
    return _checked(_repeated(batches, iterator, num_steps), seeds)


def _repeated(batches: Iterable[Any], iterator: Iterator[Any], num_steps: int) -> Iterator[Any]:
    taken = before = 0
    while True:
        for batch in iterator:
            taken += 1
            yield batch
        if not taken:
            raise ValueError("batches is empty; it must hold at least one batch")
        if iterator is batches or taken == before:
            raise ValueError(
                f"batches ran out after {taken} of the sweep's {num_steps} updates; pass a list "
                "or a loader that can be gone through again, an endless iterator, or a shorter "
                "sweep"
            )
        before, iterator = taken, iter(batches)


def _checked(batches: Iterator[Any], seeds: int | None) -> Iterator[Any]:
    first = None
    for i, batch in enumerate(batches):
        leaves, structure = named(f"batch {i}", batch)
        arrays = {name: _array(name, leaf) for name, leaf in leaves.items()}
        kinds = [(array.shape, array.dtype) for array in arrays.values()]
        first = first or (structure, kinds)
        if structure != first[0]:
            raise ValueError(
                f"batch {i} has the structure {structure}, batch 0 has {first[0]}; all batches "
                "must have the same"
            )
        for name, array in arrays.items():
            if seeds is not None and array.shape[:1] != (seeds,):
                raise ValueError(
                    f"{name} has the shape {array.shape}; with batch_per_seed=True every array of "
                    f"a batch must have a first axis of {seeds}, one batch per seed"
                )
        for name, kind, expected in zip(arrays, kinds, first[1], strict=True):
            if kind != expected:
                raise ValueError(
                    f"{name} is of shape {kind[0]} and type {kind[1]}, that of batch 0 of "
                    f"{expected[0]} and {expected[1]}; all batches must be alike: drop a short "
                    "last batch"
                )
        yield jax.tree.unflatten(structure, arrays.values())


def _array(name: str, leaf: Any) -> Any:
    if isinstance(leaf, jax.Array):
        return leaf
    # A copy: loaders may fill one buffer again and again, and a block waits for all its batches.
    array = np.array(leaf)
    if array.dtype.kind not in "biufcV":  # V: bfloat16 and other types of ml_dtypes
        refuse(TypeError, name, "an array of numbers", leaf)
    return array
