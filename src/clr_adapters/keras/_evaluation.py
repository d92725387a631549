"""Held-out metrics in the middle of `fit`, without a trace in the training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from clrcore.arguments import refuse

from ._snapshot import global_seeds, torch_state, values

# tf.data.INFINITE_CARDINALITY, without importing TensorFlow.
INFINITE = -1


def is_data(data: Any) -> bool:
    """Whether it may be an array or a data set: not None, a number or a string."""
    return not isinstance(data, None | bool | int | float | complex | str | bytes)


def check_held_out(data: Any, *, labelled: bool = False) -> None:
    """Refuse as validation_data what is no data, or can be gone through only once.

    labelled: whether arrays must come with their targets.
    """
    allowed = "arrays (x, y), a PyDataset, a DataLoader or a tf.data.Dataset"
    if not is_data(data):
        refuse(TypeError, "validation_data", allowed, data)
    if isinstance(data, tuple | list) and not 1 <= len(data) <= 3:
        raise ValueError(
            f"validation_data must be (x, y) or (x, y, sample_weight), got {len(data)} parts"
        )
    # Keras unpacks a tuple and a list alike, so data may hide in either.
    parts = data if isinstance(data, tuple | list) else [data]
    if any(isinstance(part, Iterator) for part in parts):
        raise ValueError(
            "validation_data is gone through at every look, so a generator or iterator, which "
            f"can be gone through once, will not do, got {data!r}: give {allowed}"
        )
    arrays = isinstance(data, tuple | list | dict) or hasattr(data, "shape")
    if labelled and arrays and keras.utils.unpack_x_y_sample_weight(data)[1] is None:
        raise ValueError(
            "validation_data must be (x, y), as the model is trained with y, got no y: give both"
        )
    if _endless(data):
        raise ValueError(
            "validation_data is gone through to its end at every look, and has none, got "
            f"{data!r}: give one that does not repeat, such as dataset.take(10)"
        )


def _endless(data: Any) -> bool:
    """Whether a tf.data.Dataset or a PyDataset says that it goes on for ever."""
    if callable(cardinality := getattr(data, "cardinality", None)):
        return int(cardinality()) == INFINITE
    return isinstance(data, keras.utils.PyDataset) and data.num_batches is None


def evaluate(model: Any, data: Any, batch_size: int | None) -> dict[str, float]:
    """The model's metrics on held-out data, by name.

    data: (x, y) or (x, y, sample_weight), or what `model.evaluate` takes as a data set.
    The running metrics of the epoch, statistics and seed generators, and on PyTorch the mode of
    every module and the global generators, are afterwards as before.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    # Seed generators are among them: a dropout that is active in evaluation draws numbers, too.
    variables = [*model.non_trainable_variables, *model.metrics_variables, *global_seeds()]
    with torch_state(model), values(variables):
        result = model.evaluate(
            x, y, sample_weight=weight, batch_size=batch_size, verbose=0, return_dict=True
        )
    return {name: float(value) for name, value in result.items()}


def pick(metrics: dict[str, float], name: str | None, default: str, argument: str) -> str:
    """The name of the metric wanted: `name`, or the first that ends like `default`.

    Raises ValueError, saying which there are, where there is none.
    """
    wanted = [one for one in metrics if (one == name if name else one.endswith(default))]
    if not wanted:
        compiled = ", ".join(map(repr, metrics))
        raise ValueError(
            f"{argument} must be a metric of the compiled model, got {name!r}; there are "
            f"{compiled}; compile the model with metrics=[{name or default!r}]"
        )
    return wanted[0]
