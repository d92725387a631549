"""Held-out metrics in the middle of `fit`, without a trace in the training."""

from __future__ import annotations

from typing import Any

import keras

from ._snapshot import torch_state, values


def evaluate(model: Any, data: Any, batch_size: int | None) -> dict[str, float]:
    """The model's metrics on held-out data, by name.

    data: (x, y) or (x, y, sample_weight), or what `model.evaluate` takes as a data set.
    The running metrics of the epoch, and on PyTorch the mode of every module and the global
    generators, are afterwards as before.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    with torch_state(model), values(model.metrics_variables):
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
