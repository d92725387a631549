"""find_bounds of Keras, on the backend that KERAS_BACKEND names."""

import keras
import numpy as np
import pytest

import clrcore
from clr_adapters.keras import find_bounds
from keras_probe import array

rng = np.random.default_rng(0)
X = rng.normal(size=(400, 4)).astype("float32")
Y = (X.sum(axis=1, keepdims=True) + rng.normal(size=(400, 1))).astype("float32")


def network(loss="mse", **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.1), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01, momentum=0.5), loss=loss, **options)
    return model


def found(model, x=X, y=Y, **options):
    usual = {"batch_size": 40, "max_updates": 400, "progress": False}
    return find_bounds(model, x, y, **usual | options)


def bits(model):
    return [
        array(variable).tobytes() for variable in (*model.variables, *model.optimizer.variables)
    ]


def test_a_range_test_is_confirmed_by_trials_and_nothing_is_left():
    model = network()
    model.fit(X[:40], Y[:40], verbose=0)
    before = bits(model)
    bounds = found(model, seeds=[3], max_updates=800)

    assert bounds.rule == "confirmation"
    assert 0.001 < bounds.lr < 1
    # Every trial starts from the same weights, batches and dropout.
    assert len({trial.losses[0] for trial in bounds.trials}) == 1
    assert {trial.seed for trial in bounds.trials} == {3}
    assert sum(len(trial.losses) for trial in bounds.trials) <= 600
    assert bits(model) == before
    assert found(model, seeds=[3], max_updates=800).trials == bounds.trials


def test_held_out_losses_decide_where_there_are_any():
    for trial in found(network(), validation_data=(X[:50], Y[:50])).trials:
        assert len(trial.held_out_losses) == 1
        assert trial.loss == trial.held_out_losses[0] != trial.losses[-1]


def test_an_exception_in_a_trial_leaves_nothing():
    class Crash(keras.utils.PyDataset):
        count = 0

        def __len__(self):
            return 10

        def __getitem__(self, index):
            self.count += 1
            if self.count > 250:
                raise RuntimeError("crash")
            return X[40 * index : 40 * index + 40], Y[40 * index : 40 * index + 40]

    model = network()
    model.fit(X, Y, verbose=0)
    before = bits(model)
    with pytest.raises(Exception, match="crash"):
        found(model, Crash(), None, batch_size=None)
    assert bits(model) == before


def test_where_nothing_trains_there_are_no_bounds():
    model = network(lambda y, predicted: 0.0 * predicted + 2.0)
    with pytest.raises(clrcore.NoBoundsError, match="range test gave no answer"):
        found(model, max_updates=200)


@pytest.mark.parametrize(
    ("kind", "argument", "options"),
    [
        (ValueError, "max_updates", {"max_updates": 30}),
        (ValueError, "kind", {"kind": "cyclic"}),
        (ValueError, "total_steps", {"total_steps": 0}),
        (ValueError, "seeds", {"seeds": 0}),
        (TypeError, "x", {"x": iter([(X, Y)])}),
        (TypeError, "progress", {"progress": 1}),
        (TypeError, "epochs", {"epochs": 3}),
    ],
)
def test_wrong_arguments_are_refused(kind, argument, options):
    model = network()
    with pytest.raises(kind) as caught:
        found(model, **options)
    assert caught.value.argument == argument
    assert not model.optimizer.built


def test_a_single_bar_counts_all_updates(capsys):
    found(network(), progress=True, max_updates=200)
    shown = capsys.readouterr().out
    assert "/200" in shown  # 50 updates of the range test, and its trials
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    ("lr", "x", "options", "kind", "message"),
    [
        (0.0, X, {"y": Y}, ValueError, "the optimizer's learning_rate must be .* > 0, got 0.0"),
        (
            0.1,
            (X, Y),
            {},
            TypeError,
            r"(?s)x must be the inputs.* pass \*pair",
        ),
        (0.1, X, {"y": Y, "val_data": 1}, TypeError, "pass it as validation_data"),
    ],
)
def test_what_new_users_type_leads_on(lr, x, options, kind, message):
    model = network()
    model.optimizer.learning_rate = lr
    with pytest.raises(kind, match=message):
        find_bounds(model, x, progress=False, **options)
