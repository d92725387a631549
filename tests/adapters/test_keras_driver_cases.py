"""The table of driver cases, run against the range test of Keras."""

import keras
import numpy as np
import pytest

from clr_adapters.keras import range_test
from driver_cases import CASES, check


class Keras:
    arguments = {"data": "x", "held_out": "validation_data"}
    seeds_are_states = False

    def run(self, problem, **options):
        layer = keras.layers.Dense(3, use_bias=False, kernel_initializer="zeros")
        model = keras.Sequential([keras.Input((4,)), layer])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        metrics = ["accuracy"] if problem.accuracy else []
        model.compile(keras.optimizers.SGD(0.5), loss=loss, metrics=metrics)
        if problem.held_out:
            options["validation_data"] = problem.held_out
        if problem.source == "list":
            x, y = (np.concatenate(arrays) for arrays in zip(*problem.batches, strict=True))
            return range_test(model, x, y, batch_size=16, shuffle=False, progress=False, **options)
        return range_test(model, problem.data(), progress=False, **options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_outcome_is_that_of_the_table(case):
    check(case, Keras())
