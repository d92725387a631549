"""The probe of the Keras tests: a model that shows the rate each update really used.

One weight per batch, at 0; batch t is one-hot(t) and the loss is the prediction, so that plain
SGD leaves weight[t] == -(rate at batch t), in float32 and with no callback reading anything.
"""

import keras
import numpy as np
import pytest

# Of the amplitude; float32 itself is good for 6e-8 of the rate.
TOLERANCE = 5e-7

needs_several_optimizers = pytest.mark.skipif(
    not hasattr(keras.optimizers, "OptimizerMap"), reason="Keras 3.15 brought MultiOptimizer"
)


def prediction(target, predicted):
    return keras.ops.mean(predicted)


def data(count):
    return np.eye(count, dtype="float32"), np.zeros((count, 1), dtype="float32")


def probe(optimizer, count, *, dtype=None, **options):
    """A compiled model with `count` weights."""
    layer = keras.layers.Dense(
        1, use_bias=False, kernel_initializer="zeros", name="first", dtype=dtype
    )
    model = keras.Sequential([keras.Input((count,)), layer])
    model.compile(optimizer, loss=prediction, **options)
    return model


def fit(model, *, start=None, inputs=None, **options):
    """The rates used by the batches of an epoch, from a counter at `start`, weights from 0."""
    weights = model.layers[0].kernel
    count = weights.shape[0]
    weights.assign(np.zeros((count, 1)))
    if start is not None:
        model.optimizer._iterations.assign(start)
    x, y = data(count)
    options = {"batch_size": 1, "shuffle": False, "verbose": 0, "epochs": 1} | options
    model.fit(x if inputs is None else inputs, y, **options)
    return rates(model)


def array(variable):
    return np.array(keras.ops.convert_to_numpy(variable.value))


def rates(model, layer=0):
    return -array(model.layers[layer].kernel)[:, 0].astype(float)


def check(used, policy, updates):
    """Within the tolerance of the policy's own rates at these numbers of updates."""
    exact = np.array([policy(int(update)) for update in updates])
    highest = getattr(policy, "max_lr", None) or exact.max()
    assert np.abs(used - exact).max() <= TOLERANCE * highest, (used - exact, exact)
