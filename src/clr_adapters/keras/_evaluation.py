"""Held-out metrics in the middle of `fit`, without a trace in the training."""

from __future__ import annotations

from typing import Any

import keras

from clrcore.arguments import refuse

from ._snapshot import global_seed_states, torch_restored, variables_restored


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
    allowed = f"a metric of the compiled model: {', '.join(map(repr, metrics))}"
    advice = f"compile the model with metrics=[{name or default!r}]"
    refuse(ValueError, argument, allowed, name, advice=advice)
