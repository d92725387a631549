"""Range tests and searches of Keras that fail; see faults.py."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import keras
import numpy as np

import clrcore
from clr_adapters.keras import find_bounds, range_test
from faults import Fault
from keras_probe import array

places = [
    "data", "loss", "optimizer", "metric", "progress", "out of memory", "NaN", "weights replaced",
]  # fmt: skip
MUCH = 2**50  # bytes
SWEEP = clrcore.exponential_sweep(1e-3, 1.0, 20)
X = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int32")


class Data(keras.utils.PyDataset):
    """Fails at a batch."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        self._fault.raises("data")
        if self._fault.passes("out of memory"):
            np.empty(MUCH, np.uint8)
        rows = slice(16 * index, 16 * index + 16)
        return X[rows] * (float("nan") if self._fault.passes("NaN") else 1.0), Y[rows]


class Stream(io.StringIO):
    """Takes the progress bar, and fails."""

    fault = Fault()

    def write(self, text: str) -> int:
        self.fault.raises("progress")
        return len(text)


class Adam(keras.optimizers.Adam):
    """Fails at an update, where each is made in Python."""

    fault = Fault()

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.fault.raises("optimizer")
        super().update_step(gradient, variable, learning_rate)


def prepare(fault: Fault, rng: random.Random) -> tuple[Callable[[], Any], Any]:
    """A range test or a search, and all that it may not change."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.2, seed=3),
            layers.Dense(2),
        ]
    )
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def loss(target: Any, outputs: Any) -> Any:
        fault.raises("loss")
        if fault.passes("weights replaced"):
            model.set_weights([weight + 1.0 for weight in model.get_weights()])
        return cross_entropy(target, outputs)

    def score_accuracy(target: Any, outputs: Any) -> Any:
        fault.raises("metric")
        return keras.ops.cast(keras.ops.argmax(outputs, -1) == target, "float32")

    Adam.fault = fault
    eager = fault.place in ("loss", "optimizer", "metric", "weights replaced")
    model.compile(Adam(0.5), loss=loss, metrics=[score_accuracy], run_eagerly=eager)
    place, fault.place = fault.place, ""
    model.train_on_batch(X[:16], Y[:16])  # builds all variables
    fault.place = place
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    is_search = rng.random() < 0.5
    data = Data(fault)

    def run() -> None:
        Stream.fault = fault
        options = {"validation_data": (X, Y), "validate_every": 5, "sweep": SWEEP}
        with mock.patch("sys.stdout", Stream()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if is_search:
                    find_bounds(model, data, max_updates=80, **options)
                else:
                    range_test(model, data, **options)
            except clrcore.NoBoundsError:
                pass

    def state() -> dict[str, Any]:
        return {
            "variables": [array(variable).tobytes() for variable in variables],
            "Python": random.getstate(),
            "NumPy": repr(np.random.get_state()),  # noqa: NPY002
            "layers": [id(layer) for layer in model.layers],
            "rate": id(model.optimizer._learning_rate),
            "eager": model.run_eagerly,
        }

    return run, state
