"""Every private name of Keras that the adapter uses: a test fails when one is gone."""

import keras
import numpy as np

from clr_adapters.keras import _private

X, Y = np.ones((8, 2), "float32"), np.ones((8, 1), "float32")


def network():
    layers = [keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)]
    model = keras.Sequential([*layers])
    model.compile(keras.optimizers.SGD(0.25), loss="mse", metrics=["mae"])
    return model


def test_the_rate_is_a_variable_a_schedule_or_a_function():
    variable = _private.rate_source(keras.optimizers.SGD(0.25))
    assert isinstance(variable, keras.Variable)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert _private.rate_source(keras.optimizers.SGD(schedule)) is schedule


def test_all_layers_are_found_in_nested_models():
    inner = network()
    outer = keras.Sequential([keras.Input((2,)), inner])
    found = _private.all_layers(outer)
    assert found[0] is outer
    assert {inner, *inner.layers} <= set(found)


def test_a_call_is_noted():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    model = Own()
    assert not _private.was_called(model)
    model(X)
    assert _private.was_called(model)


def test_the_first_fit_after_compile_reads_a_batch_in_advance():
    model = network()
    assert _private.reads_a_batch_first(model)
    model.fit(X, Y, verbose=0)
    assert not _private.reads_a_batch_first(model)


def test_fit_sets_these_attributes_and_callbacks_know_the_model():
    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            assert _private.unsynced_model(self) is model

    model = network()
    model.fit(X, Y, verbose=0, callbacks=[Look()])
    assert all(hasattr(model, name) for name in _private.SET_BY_FIT)


def test_the_generator_of_unseeded_numbers_can_be_set():
    keras.random.normal((2,))
    generator = _private.global_seed_generator()
    assert isinstance(generator, keras.random.SeedGenerator)
    try:
        _private.set_global_seed_generator(None)
        assert _private.global_seed_generator() is None
    finally:
        _private.set_global_seed_generator(generator)
    before = np.array(keras.ops.convert_to_numpy(generator.state.value))
    keras.random.normal((2,))
    assert (keras.ops.convert_to_numpy(generator.state.value) != before).any()


def test_the_split_of_arrays_is_that_of_fit():
    (x, y, none), (last_x, last_y, _) = _private.split_off_validation((X, Y, None), 0.3)
    assert (len(x), len(y), none, len(last_x), len(last_y)) == (5, 5, None, 3, 3)
