"""Held-out metrics in the middle of `fit`, without a trace in the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from clrcore.arguments import refuse

from ._snapshot import global_seed_states, torch_restored, variables_restored

# tf.data.INFINITE_CARDINALITY, without importing TensorFlow.
INFINITE = -1


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


def evaluate(model: Any, data: Any, batch_size: int | None) -> dict[str, float]:
    """The model's metrics on held-out data, by name.

    The running metrics of the epoch, statistics, generators, and on PyTorch the mode of every
    module are afterwards as before.

    Args:
        model: A compiled model.
        data: (x, y) or (x, y, sample_weight), or a data set that `model.evaluate` takes.
        batch_size: Of data given as arrays.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    # With the seed generators, as a dropout that is active in evaluation draws numbers, too.
    variables = [*model.non_trainable_variables, *model.metrics_variables, *global_seed_states()]
    with torch_restored(model, x), variables_restored(variables):
        result = model.evaluate(
            x, y, sample_weight=weight, batch_size=batch_size, verbose=0, return_dict=True
        )
    return {name: float(value) for name, value in result.items()}


def pick(metrics: dict[str, Any], name: str | None, default: str, argument: str) -> str:
    """The name of the metric wanted: `name`, or the first that ends like `default`.

    Raises:
        ValueError: There is no such metric; the message lists the metrics.
    """
    for key in metrics:
        if key == name if name else key.endswith(default):
            return key
    refuse(
        ValueError,
        argument,
        f"a metric of the compiled model: {', '.join(map(repr, metrics))}",
        name,
        advice=f"compile the model with metrics=[{name or default!r}]",
    )
