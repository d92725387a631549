"""The batches of a range test: any iterable, iterated over again where that is possible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import numpy as np

import clrcore
from clrcore.arguments import refuse

from ._tree import named_leaves


def repeated_batches(batches: Iterable[Any], seeds: int | None = None) -> Iterator[Any]:
    """The batches as arrays, again and again, until the iterable gives no more.

    Args:
        batches: An iterable of pytrees, all of the same structure, shapes and types.
        seeds: Length of every array's first axis, or None for any shape.

    Raises:
        TypeError: The batches are not an iterable of arrays.
        ValueError: When a batch differs from the first.
    """
    if not hasattr(batches, "__iter__") and not hasattr(batches, "__getitem__"):
        refuse(TypeError, "batches", "an iterable of batches, such as a list", batches)
    return _checked(clrcore.RangeTest.repeated(batches), seeds)


def _checked(batches: Iterator[Any], seeds: int | None) -> Iterator[Any]:
    first = None
    for i, batch in enumerate(batches):
        leaves, structure = named_leaves(f"batch {i}", batch)
        arrays = {name: _array(name, leaf) for name, leaf in leaves.items()}
        kinds = [(array.shape, array.dtype) for array in arrays.values()]
        first = first or (structure, kinds)
        if structure != first[0]:
            refuse(ValueError, f"batch {i}", f"of the structure of batch 0, {first[0]}", structure)
        for (name, array), expected in zip(arrays.items(), first[1], strict=True):
            if seeds is not None and array.shape[:1] != (seeds,):
                allowed = f"an array with a first axis of {seeds}, for the batches of all seeds"
                refuse(ValueError, name, allowed, array.shape)
            if (array.shape, array.dtype) != expected:
                allowed = f"of the shape and type of batch 0, {expected[0]} and {expected[1]}"
                got = (array.shape, str(array.dtype))
                refuse(ValueError, name, allowed, got, advice="drop a short last batch")
        yield jax.tree.unflatten(structure, arrays.values())


def _array(name: str, leaf: Any) -> Any:
    if isinstance(leaf, jax.Array):
        return leaf
    # A copy, as loaders may fill the same buffer again while a block waits for its batches.
    array = np.array(leaf)
    if array.dtype.kind not in "biufcV":  # V: bfloat16 and other types of ml_dtypes
        refuse(TypeError, name, "an array of numbers", leaf)
    return array
