"""CycleEnds and RateLogger in real training, on the backend that KERAS_BACKEND names."""

import csv
import json

import keras
import numpy as np
import pytest

import clrcore
from clr_adapters.keras import CycleEnds, PolicySchedule, RateLogger
from keras_probe import (
    array,
    check,
    data,
    fit,
    needs_several_optimizers,
    prediction,
    probe,
    rates,
)

BACKEND = keras.backend.backend()
ON_TORCH = BACKEND == "torch"

POLICY = clrcore.triangular(0.01, 0.1, 5)  # a cycle is 10 updates
rng = np.random.default_rng(0)
X = rng.normal(size=(120, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int32")


def classifier(optimizer, **options):
    keras.utils.set_random_seed(1)
    layers = [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss=loss, metrics=["accuracy"], **options)
    return model


def sgd(policy=POLICY, **options):
    return keras.optimizers.SGD(PolicySchedule(policy), **options)


def train(model, callbacks, **options):
    options = {"batch_size": 10, "epochs": 4, "shuffle": False, "verbose": 0} | options
    return model.fit(X, Y, callbacks=callbacks, **options)


class Scripted(clrcore.CycleMonitor):
    """A real monitor that sees a metric of ours, so that its verdicts are known."""

    def __init__(self, policy, seen, **options):
        super().__init__(policy, **options)
        self._seen = iter(seen)

    def update(self, metric):
        return super().update(next(self._seen))


# CycleEnds.


def test_cycles_are_judged_where_they_end_also_within_an_epoch():
    ends = CycleEnds(clrcore.CycleMonitor(POLICY, max_lowerings=0), validation_data=(X, Y))
    model = classifier(sgd())
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(int(self.model.optimizer.iterations))
            if seen[-1] % 10 == 0:
                judged = ends.ends[-1]
                assert judged["updates"] == seen[-1]
                exact = self.model.evaluate(X, Y, verbose=0, return_dict=True)
                assert judged["metrics"] == pytest.approx(exact, rel=1e-6)

    train(model, [ends, Look()])

    assert [end["cycle"] for end in ends.ends] == list(range(len(ends.ends)))
    assert [end["updates"] for end in ends.ends] == [10 * (i + 1) for i in range(len(ends.ends))]
    assert len(ends.ends) >= 3


def test_evaluating_leaves_no_trace_in_the_training():
    plain, watched = classifier(sgd()), classifier(sgd())
    first = train(plain, [])
    second = train(watched, [CycleEnds(validation_data=(X, Y))])

    assert first.history == second.history
    for one, other in zip(plain.variables, watched.variables, strict=True):
        assert (array(one) == array(other)).all()


def test_evaluating_with_an_active_dropout_leaves_no_trace_in_the_training():
    class Always(keras.layers.Dropout):
        def call(self, inputs, training=False):
            return super().call(inputs, training=True)

    def model():
        keras.utils.set_random_seed(1)
        layers = [keras.Input((4,)), keras.layers.Dense(8), Always(0.5, seed=3)]
        model = keras.Sequential([*layers, keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(sgd(), loss=loss, metrics=["accuracy"])
        return model

    plain, watched = model(), model()
    first = train(plain, [])
    second = train(watched, [CycleEnds(validation_data=(X, Y))])

    assert first.history == second.history
    for one, other in zip(plain.variables, watched.variables, strict=True):
        assert (array(one) == array(other)).all()


@pytest.mark.skipif(BACKEND == "jax", reason="steps on JAX may not draw unseeded numbers")
def test_evaluating_with_unseeded_noise_leaves_no_trace_in_the_training():
    class Noise(keras.layers.Layer):
        def call(self, inputs):
            return inputs + keras.random.normal(keras.ops.shape(inputs))

    def losses(callbacks):
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), Noise(), keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(sgd(), loss=loss, metrics=["accuracy"])
        return train(model, callbacks).history

    assert losses([CycleEnds(validation_data=(X, Y))]) == losses([])


@pytest.mark.parametrize("every", [1, 4])
def test_lowered_bounds_are_used_from_the_next_update_on(every):
    policy = clrcore.triangular(0.001, 0.006, 5)
    schedule = PolicySchedule(policy, gradient_accumulation_steps=every)
    accumulate = {} if every == 1 else {"gradient_accumulation_steps": every}
    model = probe(keras.optimizers.SGD(schedule, **accumulate), 55 * every)
    monitor = Scripted(policy, [0.5, 0.6, 0.6, 0.7, 0.7, 0.7], factor=0.5)
    ends = CycleEnds(monitor, validation_data=data(55 * every), metric="accuracy")
    model.compile(model.optimizer, loss=prediction, metrics=["accuracy"])

    used = every * fit(model, callbacks=[ends])[::every]

    factors = [1.0] * 30 + [0.5] * 25
    assert [end["action"] for end in ends.ends] == ["continue"] * 2 + ["lower"] + ["continue"] * 2
    exact = [factor * policy(t) for t, factor in enumerate(factors)]
    assert used == pytest.approx(exact, abs=5e-7 * 0.006)


def test_a_step_size_in_epochs_is_warned_of():
    short = clrcore.triangular(0.01, 0.1, 2)
    ends = CycleEnds(validation_data=(X[:1], Y[:1]))
    advice = r"half a cycle takes 2 updates, and an epoch 60: .*; for 2 epochs pass step_size=120"
    with pytest.warns(UserWarning, match=advice):
        train(classifier(sgd(short)), [ends], batch_size=2, epochs=1)
    assert len(ends.ends) == 15  # cycles may be shorter than an epoch


def test_a_verdict_of_stop_ends_fit_within_the_epoch():
    model = classifier(sgd())
    monitor = Scripted(POLICY, [0.5, float("nan")])
    ends = CycleEnds(monitor, validation_data=(X, Y))
    train(model, [ends])

    assert int(model.optimizer.iterations) == 20
    assert ends.ends[-1]["action"] == "stop"
    assert "nan" in ends.ends[-1]["reason"]


def test_the_end_of_a_policy_stops():
    policy = clrcore.one_cycle(0.1, 18)
    model = classifier(sgd(policy))
    ends = CycleEnds(clrcore.CycleMonitor(policy), validation_data=(X, Y))
    train(model, [ends])

    assert int(model.optimizer.iterations) == 18


def test_snapshots_hold_the_model_at_the_end_of_the_cycle(tmp_path):
    model = classifier(sgd(momentum=0.9))
    monitor = Scripted(POLICY, [0.5, 0.5, 0.5, 0.6])
    path = tmp_path / "of" / "run" / "cycle-{cycle:02d}-{updates}.keras"
    train(model, [CycleEnds(monitor, validation_data=(X, Y), snapshots=path)])

    folder = tmp_path / "of" / "run"
    names = sorted(file.name for file in folder.iterdir())
    assert names == [f"cycle-{i:02d}-{10 * i + 10}.keras" for i in range(4)]
    # The third cycle lowered the bounds, which the snapshot goes on with.
    last = keras.models.load_model(folder / names[-1])
    assert int(last.optimizer.iterations) == 40
    assert float(last.optimizer.learning_rate) == pytest.approx(0.1 * POLICY(40), rel=1e-6)
    train(last, [], epochs=1, initial_epoch=0)
    assert int(last.optimizer.iterations) == 52


def test_weights_alone_as_snapshots(tmp_path):
    model = classifier(sgd())
    train(model, [CycleEnds(snapshots=str(tmp_path / "latest.weights.h5"))])
    other = classifier(sgd())
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "latest.weights.h5")

    assert int(other.optimizer.iterations) == 40


@pytest.mark.skipif(ON_TORCH, reason="Keras has it on TensorFlow and JAX only")
def test_several_steps_per_execution():
    model = classifier(sgd(), steps_per_execution=4)
    ends = CycleEnds(validation_data=(X, Y))
    train(model, [ends])
    assert [end["updates"] for end in ends.ends] == [12, 20, 32, 40]

    short = clrcore.triangular(0.01, 0.1, 1)
    model = classifier(sgd(short), steps_per_execution=4)
    with pytest.raises(RuntimeError, match="smaller steps_per_execution"):
        train(model, [CycleEnds(validation_data=(X, Y))])


def test_skipped_batches_do_not_complete_a_cycle():
    optimizer = keras.optimizers.LossScaleOptimizer(sgd())
    model = probe(optimizer, 34, dtype="mixed_float16")
    inputs, _ = data(34)
    inputs[[3, 9, 12]] = np.inf
    ends = CycleEnds(validation_data=(np.zeros((1, 34)), np.zeros((1, 1))))
    logger = RateLogger()
    used = fit(model, inputs=inputs, callbacks=[logger, ends])

    assert [end["updates"] for end in ends.ends] == [10, 20, 30]
    made = np.delete(np.arange(34), [3, 9, 12])
    check(used[made], POLICY, range(31))
    used[[3, 9, 12]] = used[[2, 8, 11]]  # the rates of the last updates made
    assert logger.rates == pytest.approx(used, abs=5e-7 * 0.1)


def test_a_second_fit_goes_on_where_the_first_ended():
    model = classifier(sgd())
    ends = CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=(X, Y))
    train(model, [ends], epochs=1)
    train(model, [ends], epochs=1)

    assert [end["updates"] for end in ends.ends] == [10, 20]


@needs_several_optimizers
def test_several_optimizers_are_lowered_together():
    model = classifier(sgd())
    first, second = sgd(), keras.optimizers.Adam(PolicySchedule(clrcore.triangular(0.0, 0.01, 5)))
    mapped = keras.optimizers.OptimizerMap(first)
    mapped[f".*{model.layers[-1].name}/.*"] = second
    model.compile(keras.optimizers.MultiOptimizer(mapped), loss=model.loss, metrics=["accuracy"])
    monitor = Scripted(POLICY, [0.5, 0.5, 0.5, 0.6])
    ends, logger = CycleEnds(monitor, validation_data=(X, Y)), RateLogger()
    train(model, [logger, ends], epochs=3)

    assert float(first.learning_rate) == pytest.approx(0.1 * POLICY(36), rel=1e-6)
    assert float(second.learning_rate) == pytest.approx(0.1 * 0.008, rel=1e-6)
    names = [f"lr_{part.name}" for part in (first, second)]
    for update, exact in ((29, [POLICY(29), 0.002]), (33, [0.1 * POLICY(33), 0.1 * 0.006])):
        logged = [logger.rates[update][name] for name in names]
        assert logged == pytest.approx(exact, rel=1e-6)


@needs_several_optimizers
def test_several_optimizers_that_accumulate_differently_are_refused():
    model = classifier(sgd())
    mapped = keras.optimizers.OptimizerMap(sgd())
    schedule = PolicySchedule(POLICY, gradient_accumulation_steps=4)
    mapped[f".*{model.layers[-1].name}/.*"] = keras.optimizers.SGD(
        schedule, gradient_accumulation_steps=4
    )
    model.compile(keras.optimizers.MultiOptimizer(mapped), loss=model.loss)
    before = [array(variable) for variable in model.variables]

    with pytest.raises(
        ValueError, match=r"MultiOptimizer must accumulate the same number.*\[4, 1\]"
    ):
        train(model, [CycleEnds(validation_data=(X, Y))])
    assert all((array(v) == b).all() for v, b in zip(model.variables, before, strict=True))


@needs_several_optimizers
def test_several_optimizers_with_different_cycles_are_refused():
    model = classifier(sgd())
    mapped = keras.optimizers.OptimizerMap(sgd())
    mapped[f".*{model.layers[-1].name}/.*"] = sgd(clrcore.triangular(0.01, 0.1, 7))
    model.compile(keras.optimizers.MultiOptimizer(mapped), loss=model.loss)

    with pytest.raises(ValueError, match="must share their cycles"):
        train(model, [CycleEnds(validation_data=(X, Y))])


@needs_several_optimizers
def test_a_state_with_another_number_of_optimizers_is_refused():
    first = CycleEnds(validation_data=(X, Y))
    train(classifier(sgd()), [first], epochs=1)
    model = classifier(sgd())
    mapped = keras.optimizers.OptimizerMap(sgd())
    mapped[f".*{model.layers[-1].name}/.*"] = sgd()
    model.compile(keras.optimizers.MultiOptimizer(mapped), loss=model.loss)
    train(model, [], epochs=1)
    second = CycleEnds(validation_data=(X, Y))
    second.load_state_dict(first.state_dict())

    with pytest.raises(ValueError, match="must be of 2 optimizers, as the model has") as caught:
        train(model, [second], epochs=2, initial_epoch=1)
    assert caught.value.got == 1


@pytest.mark.parametrize(("epochs", "lowerings"), [(2, 0), (3, 1)])
def test_a_step_is_compiled_anew_only_for_new_rates(epochs, lowerings):
    class Counted(keras.Sequential):
        def make_train_function(self, force=False):
            forced.append(force)
            return super().make_train_function(force)

    forced = []
    model = Counted([keras.Input((4,)), keras.layers.Dense(2)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(sgd(), loss=loss, metrics=["accuracy"])
    monitor = Scripted(POLICY, [0.5, 0.5, 0.5])  # lowers after the third cycle
    train(model, [CycleEnds(monitor, validation_data=(X, Y))], epochs=epochs)
    assert forced.count(True) == lowerings == monitor.state_dict()["lowerings"]


def test_more_updates_than_batches_are_refused():
    class Hasty(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.optimizer.iterations.assign_add(int(batch == 11))

    with pytest.raises(RuntimeError, match="made 13 instead of 12; feed CycleMonitor in your own"):
        train(classifier(sgd()), [Hasty(), CycleEnds(validation_data=(X, Y))], epochs=1)


def test_a_state_is_a_copy():
    ends = CycleEnds(validation_data=(X, Y))
    train(classifier(sgd()), [ends], epochs=1)
    state = ends.state_dict()
    state["ends"][0]["updates"] = 3
    state["history"].clear()

    assert ends.state_dict()["ends"][0]["updates"] == 10
    assert len(ends.state_dict()["history"]) == 2


def test_the_state_is_plain_and_resumes_monitor_and_bounds():
    def make(seen):
        return CycleEnds(Scripted(POLICY, seen), validation_data=(X, Y))

    model = classifier(sgd())
    ends = make([0.5, 0.5, 0.5])
    train(model, [ends], epochs=3)
    state = json.loads(json.dumps(ends.state_dict()))
    assert state["history"][-1]["policies"][0]["max_lr"] == pytest.approx(0.01)

    # As a script does that is run anew: the schedule is the first one again.
    again = classifier(sgd())
    again.optimizer.build(again.trainable_variables)
    again.optimizer.iterations.assign(36)
    resumed = make([0.6])
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    logger = RateLogger()
    train(again, [logger, resumed], epochs=1)

    assert logger.rates == pytest.approx([0.1 * POLICY(t) for t in range(36, 48)], rel=1e-6)
    assert [end["updates"] for end in resumed.ends] == [10, 20, 30, 40]
    assert "after 4 cycles" in resumed.ends[-1]["reason"]


STATE = {"version": 2, "ends": [], "history": [{"monitor": None, "policies": None}]}


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        ([], TypeError, "state must be a dictionary"),
        ({"version": 2}, ValueError, "state lacks 'ends', 'history'"),
        (STATE | {"version": 1}, ValueError, "version 1"),
        (STATE | {"ends": 3}, TypeError, r"state\['ends'\] must be a list of dictionaries"),
        (STATE | {"history": []}, ValueError, r"state\['history'\] must be a list of 1"),
        (STATE, ValueError, "make CycleEnds with a monitor"),
    ],
)
def test_wrong_states_are_refused(state, kind, message):
    ends = CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=(X, Y))
    with pytest.raises(kind, match=message):
        ends.load_state_dict(state)
    assert ends.ends == []


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, ValueError, "CycleEnds needs monitor, validation_data or snapshots"),
        ({"monitor": POLICY}, TypeError, "monitor must be a clrcore.CycleMonitor"),
        ({"monitor": clrcore.CycleMonitor(POLICY)}, ValueError, "monitor needs validation_data"),
        ({"snapshots": 3}, TypeError, "snapshots must be a path"),
        ({"snapshots": "model.h5"}, ValueError, "snapshots must be a path ending in .keras"),
        ({"snapshots": "{epoch}.keras"}, ValueError, "no fields but {cycle} and {updates}"),
        ({"snapshots": "{cycle.foo}.keras"}, ValueError, "no fields but {cycle} and {updates}"),
        ({"snapshots": "{cycle[0]}.keras"}, ValueError, "no fields but {cycle} and {updates}"),
        ({"validation_data": (X, Y), "batch_size": 0}, ValueError, "batch_size must be"),
        ({"validation_data": (X, Y), "verbose": 2}, ValueError, "verbose must be"),
        ({"snapshots": "a.keras", "save_best_only": True}, ValueError, "save_best_only must be F"),
        ({"validation_data": iter([(X, Y)])}, ValueError, "iterated over at every evaluation"),
        ({"validation_data": 3.0}, TypeError, "validation_data must be arrays"),
        ({"validation_data": (X, Y), "metric": 1}, TypeError, "metric must be"),
        (
            {
                "monitor": clrcore.CycleMonitor(POLICY),
                "validation_data": (X, Y),
                "metric": "loss",
            },
            ValueError,
            "make the monitor with mode='min'",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        CycleEnds(**arguments)


def test_a_monitor_of_the_lowest_judges_the_loss_by_default():
    monitor = clrcore.CycleMonitor(POLICY, mode="min")
    ends = CycleEnds(monitor, validation_data=(X, Y))
    train(classifier(sgd()), [ends])
    losses = [end["metrics"]["loss"] for end in ends.ends]
    assert len(losses) == 4
    assert monitor.state_dict()["best"] == min(losses)


def test_models_that_have_no_cycles_or_not_the_metric_are_refused():
    def ends():
        return CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=(X, Y), metric="auc")

    example = r"with a PolicySchedule, such as keras\.optimizers\.SGD\(PolicySchedule\(policy\)\)$"
    with pytest.raises(ValueError, match=example):
        train(classifier(keras.optimizers.SGD(0.1)), [ends()])
    with pytest.raises(ValueError, match=r"a PolicySchedule, .* give the optimizer PolicySchedule"):
        train(classifier(keras.optimizers.SGD(POLICY)), [ends()])
    with pytest.raises(ValueError, match="a policy with cycles"):
        train(classifier(sgd(clrcore.constant(0.1))), [ends()])
    with pytest.raises(ValueError, match=r"metric must be a metric .*'loss'"):
        train(classifier(sgd()), [ends()])


@pytest.mark.parametrize(
    ("metric", "metrics"), [("acc", ["accuracy"]), (None, []), ("val_accuracy", ["accuracy"])]
)
def test_a_metric_that_is_not_compiled_is_refused_at_the_first_batch(metric, metrics):
    model = classifier(sgd())
    model.compile(model.optimizer, loss=model.loss, metrics=metrics)
    ends = CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=(X, Y), metric=metric)
    with pytest.raises(ValueError, match="metric must be a metric of the compiled model"):
        train(model, [RateLogger(), ends])

    assert int(model.optimizer.iterations) == 1


def test_a_step_of_ones_own_may_log_less_than_evaluate():
    class Own(keras.Model):
        def train_step(self, *arguments):
            logs = super().train_step(*arguments)
            # On JAX a step returns the state, too.
            if isinstance(logs, tuple):
                return {"loss": logs[0]["loss"]}, logs[1]
            return {"loss": logs["loss"]}

    inner = classifier(sgd())
    model = Own(inner.inputs, inner.outputs)
    model.compile(sgd(), loss=inner.loss, metrics=["accuracy"])
    ends = CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=(X, Y))
    train(model, [ends], epochs=1)

    assert [end["updates"] for end in ends.ends] == [10]


# Traps of resuming.


@pytest.mark.parametrize("make", [RateLogger, lambda: CycleEnds(validation_data=(X, Y))])
def test_a_run_that_was_not_resumed_is_warned_of(make):
    with pytest.warns(UserWarning, match=r"optimizer.build\(model.trainable_variables\)"):
        train(classifier(sgd()), [make()], initial_epoch=3)


@pytest.mark.parametrize("make", [RateLogger, lambda: CycleEnds(validation_data=(X, Y))])
def test_a_policy_that_counts_batches_is_warned_of(make):
    with pytest.warns(UserWarning, match="pass gradient_accumulation_steps=2"):
        train(classifier(sgd(gradient_accumulation_steps=2)), [make()], epochs=1)


def test_a_monitor_that_was_not_resumed_is_warned_of():
    model = classifier(sgd())
    train(model, [], epochs=3)
    ends = CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=(X, Y))
    with pytest.warns(UserWarning, match="has completed 3 cycles, none.*load_state_dict"):
        train(model, [ends], epochs=1)


@pytest.mark.parametrize("first", [True, False])
def test_a_run_is_resumed_in_either_order_of_the_callbacks(first, tmp_path):
    def callbacks(ends, logger):
        backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
        return [logger, ends, backup] if first else [backup, logger, ends]

    ends = CycleEnds(Scripted(POLICY, [0.5] * 2), validation_data=(X, Y))
    train(classifier(sgd()), callbacks(ends, RateLogger()), epochs=2)

    # As a script does that is run anew; the state comes with the backup.
    resumed, logger = CycleEnds(Scripted(POLICY, [0.6, 0.7]), validation_data=(X, Y)), RateLogger()
    train(classifier(sgd()), callbacks(resumed, logger), epochs=4)
    assert resumed.ends[:2] == ends.ends

    assert [end["updates"] for end in resumed.ends] == [10, 20, 30, 40]
    assert logger.rates == pytest.approx([POLICY(t) for t in range(24, 48)], rel=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_a_run_saved_at_the_end_of_a_cycle_is_resumed_in_either_order(first, tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 32:
                raise RuntimeError("crash")

    def run(*more):
        ends = CycleEnds(Scripted(POLICY, [0.5] * 9), validation_data=(X, Y))
        backup, logger = keras.callbacks.BackupAndRestore(tmp_path, save_freq=30), RateLogger()
        callbacks = [ends, backup] if first else [backup, ends]
        train(classifier(sgd()), [logger, *callbacks, *more])
        return ends, logger.rates

    with pytest.raises(RuntimeError, match="crash"):
        run(Crash())
    ends, rates = run()
    assert [end["updates"] for end in ends.ends[:4]] == [10, 20, 30, 40]
    assert ends.ends[2]["action"] == "lower"
    assert rates[:10] == pytest.approx([0.1 * POLICY(t) for t in range(30, 40)], rel=1e-6)


@pytest.mark.parametrize("first", [True, False])
def test_lost_cycles_are_warned_of_in_either_order_of_the_callbacks(first, tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    train(classifier(sgd()), [backup], epochs=2)

    ends = CycleEnds(clrcore.CycleMonitor(POLICY), validation_data=(X, Y))
    with pytest.warns(UserWarning, match="has completed 2 cycles"):
        train(classifier(sgd()), [ends, backup] if first else [backup, ends], epochs=3)


def test_a_crash_and_a_resumed_run_in_the_same_process_judge_each_cycle_once(tmp_path):
    class Crash(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == 47:
                raise RuntimeError("crash")

    monitor = Scripted(POLICY, [0.5, 0.5, 0.5, 0.5, 0.6, 0.7, 0.8])
    ends, logger = CycleEnds(monitor, validation_data=(X, Y)), RateLogger()
    backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=26)
    with pytest.raises(RuntimeError, match="crash"):
        train(classifier(sgd()), [backup, ends, Crash()])
    assert [end["action"] for end in ends.ends] == ["continue", "continue", "lower", "continue"]

    # Back at update 26, the third cycle is judged again, at the bounds before it.
    logger = RateLogger()
    train(classifier(sgd()), [backup, logger, ends])
    assert [end["updates"] for end in ends.ends[:4]] == [10, 20, 30, 40]
    assert ends.ends[2]["metrics"] != {}
    assert ends.ends[2]["reason"].startswith("after 3 cycles")
    assert logger.rates[:10] == pytest.approx([POLICY(t) for t in range(26, 36)], rel=1e-6)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (clrcore.triangular(0.01, 0.1, 7), "which has other cycles"),
        (POLICY.lowered(0.5), "make the monitor with the model's policy"),
    ],
)
def test_a_monitor_of_another_policy_is_warned_of(policy, message):
    other = clrcore.CycleMonitor(policy)
    with pytest.warns(UserWarning, match=message):
        train(classifier(sgd()), [CycleEnds(other, validation_data=(X, Y))], epochs=1)


def test_only_the_best_snapshots_are_kept(tmp_path):
    ends = CycleEnds(
        Scripted(POLICY, [0.5, 0.7, 0.6, float("nan")]),
        validation_data=(X, Y),
        snapshots=tmp_path / "{cycle}.weights.h5",
        save_best_only=True,
    )
    train(classifier(sgd()), [ends])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.weights.h5", "1.weights.h5"]


# RateLogger.


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"run_eagerly": True},
        pytest.param(
            {"steps_per_execution": 4},
            marks=pytest.mark.skipif(ON_TORCH, reason="Keras has it on TensorFlow and JAX only"),
        ),
    ],
)
def test_the_logged_rates_are_those_used(options, tmp_path):
    policy = clrcore.triangular(0.001, 0.006, 7)
    model = probe(sgd(policy), 40, **options)
    logger, seen = RateLogger(), []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(logs["lr"])

    log = tmp_path / "log.csv"
    model.layers[0].kernel.assign(np.zeros((40, 1)))
    callbacks = [logger, Look(), keras.callbacks.CSVLogger(str(log))]
    x, y = data(40)
    history = model.fit(x, y, batch_size=1, shuffle=False, verbose=0, callbacks=callbacks)

    every = options.get("steps_per_execution", 1)
    used = rates(model)
    assert seen == logger.rates == pytest.approx(used[every - 1 :: every], abs=5e-7 * 0.006)
    assert history.history["lr"] == [seen[-1]]
    with open(log) as file:
        assert float(next(csv.DictReader(file))["lr"]) == pytest.approx(seen[-1])


def test_accumulated_batches_have_the_rate_of_the_last_update():
    schedule = PolicySchedule(POLICY, gradient_accumulation_steps=4)
    model = probe(keras.optimizers.SGD(schedule, gradient_accumulation_steps=4), 10)
    logger = RateLogger()
    x, y = data(10)
    history = model.fit(x, y, batch_size=1, epochs=3, verbose=0, callbacks=[logger])

    # Update u is made with batch 4 u + 3; before the first there is only the rate to come.
    exact = [POLICY(max((batch + 1) // 4 - 1, 0)) for batch in range(30)]
    assert logger.rates == pytest.approx(exact, rel=1e-6)
    assert history.history["lr"] == pytest.approx([exact[9], exact[19], exact[29]], rel=1e-6)


@pytest.mark.parametrize("every", [1, 4])
def test_other_schedules_and_rates(every):
    decay = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    accumulate = {} if every == 1 else {"gradient_accumulation_steps": every}
    for source in (decay, 0.25):
        model = probe(keras.optimizers.SGD(source, **accumulate), 8)
        logger = RateLogger()
        used = fit(model, callbacks=[logger])

        # Of the last update made, or of the first one before it.
        last = [max((batch + 1) // every * every - 1, 0) for batch in range(8)]
        assert logger.rates == pytest.approx(every * used[last], rel=1e-6)


def test_epochs_only():
    model = classifier(sgd())
    logger = RateLogger(per_batch=False)
    history = train(model, [logger], epochs=3)

    exact = [POLICY(t) for t in (11, 23, 35)]
    assert history.history["lr"] == logger.rates == pytest.approx(exact, rel=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="writing its files needs TensorFlow")
def test_tensorboard_sees_the_rates_used(tmp_path):
    pytest.importorskip("tensorboard")
    import tensorflow as tf

    model = classifier(sgd())
    board = keras.callbacks.TensorBoard(tmp_path, update_freq=1)
    train(model, [RateLogger(), board], epochs=1)

    found = {}
    for file in (tmp_path / "train").iterdir():
        for record in tf.data.TFRecordDataset(str(file)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if not value.tag.endswith(("lr", "learning_rate")):
                    continue
                found.setdefault(value.tag, []).append(float(tf.make_ndarray(value.tensor)))
    assert found["batch_lr"] == pytest.approx([POLICY(t) for t in range(12)], rel=1e-6)
    assert found["epoch_lr"] == pytest.approx([POLICY(11)], rel=1e-6)
    # Its own entry is the rate of the next update.
    assert found["epoch_learning_rate"] == pytest.approx([POLICY(12)], rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"name": "learning_rate"}, ValueError, "name must be a name other than"),
        ({"name": ""}, ValueError, "name must be a name other than"),
        ({"name": 1}, TypeError, "name must be a string"),
        ({"per_batch": 1}, TypeError, "per_batch must be True or False"),
    ],
)
def test_wrong_arguments_of_the_logger_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        RateLogger(**arguments)


@pytest.mark.parametrize("per_batch", [True, False])
def test_a_name_that_the_logs_have_is_refused(per_batch):
    with pytest.raises(
        ValueError, match=r"name must be a name that is not in the logs already.*got 'loss'"
    ):
        train(classifier(sgd()), [RateLogger("loss", per_batch=per_batch)])
