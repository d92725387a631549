"""Data for training and held-out data: what `fit` takes, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from types import GeneratorType
from typing import Any

import keras
import numpy as np

import clrcore
from clrcore.arguments import check_float, refuse

from ._private import split_off_validation

DATA = "arrays, a PyDataset, a DataLoader, a tf.data.Dataset, or an iterable of batches"
# tf.data.INFINITE_CARDINALITY, without importing TensorFlow.
INFINITE = -1


def check_training(x: Any, y: Any, sample_weight: Any) -> None:
    """Refuse data that `fit` cannot train with."""
    if not is_data(x):
        refuse(TypeError, "x", DATA, x)
    if y is None and isinstance(x, tuple) and len(x) == 2:
        allowed = "the inputs, with the targets as y"
        refuse(TypeError, "x", allowed, x, advice="for a pair of both pass *pair")
    if any(tuple(getattr(item, "shape", ()))[:1] == (0,) for item in keras.tree.flatten(x)):
        refuse(ValueError, "x", "at least one batch", x, advice="give more samples")
    if sample_weight is not None and not is_data(sample_weight):
        refuse(TypeError, "sample_weight", "an array with a weight per sample", sample_weight)


def check_batched(name: str, data: Any, model: Any) -> None:
    """Refuse a tf.data.Dataset of single samples, which Keras reports as a wrong input shape."""
    x, y, _ = keras.utils.unpack_x_y_sample_weight(getattr(data, "element_spec", None))
    shapes = [getattr(item, "shape", None) for item in keras.tree.flatten((x, y))]
    ranks = [getattr(shape, "rank", None) for shape in shapes]  # None where it is not known
    inputs = getattr(model, "inputs", None) or []
    # Keras adds a last axis of length 1 to batches that lack it.
    lowest = len(inputs[0].shape) if len(inputs) == 1 and inputs[0].shape[-1] != 1 else 1
    if 0 in ranks or (ranks[0] is not None and ranks[0] < lowest):
        allowed = "a dataset of batches"
        message = f"{name} must be {allowed}, got single samples of the shape {shapes[0]}"
        advice = f"pass {name}=dataset.batch(32)"
        refuse(ValueError, name, allowed, data, message=message, advice=advice)


def hold_out(x: Any, y: Any, sample_weight: Any, validation_split: Any) -> tuple[Any, Any]:
    """The rows to train with and the last rows to hold out, both as (x, y, sample_weight)."""
    check_float("validation_split", validation_split, 0.0, 1.0, below=True)
    try:
        return split_off_validation((x, y, sample_weight), validation_split)
    except ValueError as error:
        name, advice = "validation_split", "give other data as validation_data"
        allowed = "0, or a share of arrays that leaves samples on both sides"
        refuse(ValueError, name, allowed, validation_split, advice=advice, cause=error)


def is_data(data: Any) -> bool:
    """Whether it may be an array or a data set: not None, a number or a string."""
    return not isinstance(data, None | bool | int | float | complex | str | bytes)


def check_held_out(data: Any, *, labelled: bool = False) -> None:
    """Refuse validation_data that cannot be evaluated again and again.

    Args:
        data: What was given as validation_data.
        labelled: Whether arrays must come with their targets.
    """
    allowed = "arrays (x, y), a PyDataset, a DataLoader or a tf.data.Dataset"
    if not is_data(data):
        refuse(TypeError, "validation_data", allowed, data)
    items = data if isinstance(data, tuple | list) else [data]
    if not 1 <= len(items) <= 3:
        refuse(ValueError, "validation_data", "(x, y) or (x, y, sample_weight)", data)
    # Keras unpacks tuples and lists, so an iterator may be an item of either.
    if any(isinstance(item, Iterator) for item in items):
        advice = "it is iterated over at every evaluation, and an iterator only once"
        refuse(ValueError, "validation_data", allowed, data, advice=advice)
    arrays = isinstance(data, tuple | list | dict) or hasattr(data, "shape")
    if labelled and arrays and keras.utils.unpack_x_y_sample_weight(data)[1] is None:
        advice = "the model is trained with y, so give both"
        refuse(ValueError, "validation_data", "(x, y)", data, advice=advice)
    if _endless(data):
        advice = "give data that do not repeat, such as dataset.take(10)"
        refuse(ValueError, "validation_data", "data with an end", data, advice=advice)


def _endless(data: Any) -> bool:
    """Whether it is a tf.data.Dataset or a PyDataset without an end."""
    if callable(cardinality := getattr(data, "cardinality", None)):
        return int(cardinality()) == INFINITE
    return isinstance(data, keras.utils.PyDataset) and data.num_batches is None


def batches_per_epoch(x: Any, batch_size: int | None) -> float | None:
    """Batches in an epoch; None or 0 where the data have no length."""
    if isinstance(x, keras.utils.PyDataset):
        return x.num_batches  # type: ignore[no-any-return]
    if callable(cardinality := getattr(x, "cardinality", None)):
        return max(0, int(cardinality()))  # negative where it is unknown or infinite
    if shapes := [item.shape for item in keras.tree.flatten(x) if hasattr(item, "shape")]:
        return -(-int(shapes[0][0]) // (batch_size or 32))
    return clrcore.RangeTest.epoch_length(x)


def as_keras_data(x: Any) -> Any:
    """The data as `fit` takes them; iterables that it does not know become generators."""
    if isinstance(x, Iterator):
        return x if isinstance(x, GeneratorType) else (batch for batch in x)
    known = isinstance(x, keras.utils.PyDataset) or hasattr(x, "cardinality") or hasattr(x, "shape")
    if known or not hasattr(x, "__iter__") or clrcore.RangeTest.epoch_length(x) is not None:
        return x
    # A loader without a length, or whose __len__ raises.
    return (
        tuple(keras.tree.map_structure(np.asarray, item) for item in batch)
        for batch in clrcore.RangeTest.repeated(x)
    )


def repeat(batch: Any) -> Iterator[Any]:
    """The batch, without end."""
    while True:
        yield batch


def chain(first: Any, others: Iterator[Any]) -> Iterator[Any]:
    """The first batch, then the others."""
    yield first
    yield from others
