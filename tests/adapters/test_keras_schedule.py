"""PolicySchedule in real training, on the backend that KERAS_BACKEND names."""

import json
import os
import subprocess
import sys
import textwrap
from contextlib import nullcontext

import keras
import numpy as np
import pytest

import clrcore
from clr_adapters.keras import PolicySchedule
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
not_on_torch = pytest.mark.skipif(ON_TORCH, reason="Keras has it on TensorFlow and JAX only")

COUNT = 70  # batches of a probe
COUNTERS = (0, 10**6 - 7, 2**24 + 1, 10**8)
TRIANGULAR = clrcore.triangular(0.001, 0.006, 30)
POLICIES = {
    "triangular": TRIANGULAR,
    "unequal halves": clrcore.triangular(0.001, 0.006, 20, 45),
    "triangular2": clrcore.triangular2(0.001, 0.006, 20),
    "long triangular2": clrcore.triangular2(0.001, 0.006, 10**6),
    "exp_range, amplitude": clrcore.exp_range(0.001, 0.006, 30, gamma=0.9999, decays="amplitude"),
    "exp_range, bounds": clrcore.exp_range(0.001, 0.006, 30, gamma=0.9999999, decays="bounds"),
    "hann": clrcore.triangular(0.001, 0.006, 30, window="hann"),
    "welch": clrcore.triangular(0.001, 0.006, 30, window="welch"),
    "chain": clrcore.chain([(clrcore.triangular2(0.001, 0.005, 10), 25), (TRIANGULAR, None)]),
    "one_cycle": clrcore.one_cycle(0.1, 60),
    "long one_cycle": clrcore.one_cycle(0.1, 10**8 + 50),
    "warm_restarts": clrcore.warm_restarts(0.001, 0.1, 20, multiplier=2),
}


def sgd(policy, **options):
    return keras.optimizers.SGD(PolicySchedule(policy), **options)


def in_another_process(program, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        env=environment,
    )


# The rates.


@pytest.mark.parametrize("name", POLICIES)
def test_every_update_uses_the_policys_rate(name):
    policy = POLICIES[name]
    model = probe(sgd(policy), COUNT)

    for start in COUNTERS:
        check(fit(model, start=start), policy, range(start, start + COUNT))


def test_an_exponential_sweep_is_as_good_as_stated():
    sweep = clrcore.exponential_sweep(1e-6, 10.0, 300)
    used = fit(probe(sgd(sweep), 300))

    # Seven decades, each 3e-7 of max_lr.
    assert np.abs(used - sweep(np.arange(300))).max() <= 7 * 3e-7 * 10.0


COMPILED = [{"jit_compile": False}, {"run_eagerly": True}]


# PyTorch's compiler warns of PyTorch itself.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "options", [{"jit_compile": True}, *COMPILED], ids=["jit", "no jit", "eager"]
)
def test_compiled_or_not(options):
    # PyTorch's compiler takes long with what a chain asks for.
    policy = TRIANGULAR if ON_TORCH else POLICIES["chain"]
    model = probe(sgd(policy), 40, **options)

    check(fit(model), policy, range(40))


@not_on_torch
def test_several_steps_per_execution():
    model = probe(sgd(TRIANGULAR), COUNT, steps_per_execution=7)

    check(fit(model), TRIANGULAR, range(COUNT))


def test_accumulated_batches_are_counted_in_updates():
    schedule = PolicySchedule(TRIANGULAR, gradient_accumulation_steps=4)
    model = probe(keras.optimizers.SGD(schedule, gradient_accumulation_steps=4), 4 * 60)

    used = 4 * fit(model)

    check(used, TRIANGULAR, np.repeat(np.arange(60), 4))


def test_without_the_accumulation_steps_batches_are_counted():
    """And so the test above can fail."""
    model = probe(sgd(TRIANGULAR, gradient_accumulation_steps=4), 4 * 20)

    check(4 * fit(model), TRIANGULAR, np.repeat(np.arange(3, 80, 4), 4))


def test_overflowed_batches_of_mixed_precision_are_no_updates():
    # Compiling wraps an optimizer like this where the model's dtype policy is mixed_float16.
    optimizer = keras.optimizers.LossScaleOptimizer(sgd(TRIANGULAR))
    model = probe(optimizer, COUNT, dtype="mixed_float16")
    inputs, _ = data(COUNT)
    inputs[10] = np.inf
    updates = [*range(10), 10, *range(10, COUNT - 1)]

    used = fit(model, inputs=inputs)
    assert used[10] == 0.0
    used[10] = TRIANGULAR(10)
    check(used, TRIANGULAR, updates)


def two_layers(first, second):
    """A probe of two layers with an optimizer each."""
    inputs = keras.Input((COUNT,))
    kernels = [
        keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name=name)
        for name in ("first", "second")
    ]
    outputs = keras.layers.Add()([kernel(inputs) for kernel in kernels])
    model = keras.Model(inputs, outputs)
    mapped = keras.optimizers.OptimizerMap(first)
    mapped["second/.*"] = second
    return model, keras.optimizers.MultiOptimizer(mapped)


@needs_several_optimizers
def test_a_policy_for_each_optimizer_of_several():
    one, other = POLICIES["hann"], POLICIES["triangular2"]
    model, optimizer = two_layers(sgd(one), sgd(other))
    model.compile(optimizer, loss=prediction)
    x, y = data(COUNT)
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0)

    for name, policy in (("first", one), ("second", other)):
        used = -array(model.get_layer(name).kernel)[:, 0]
        check(used, policy, range(COUNT))


def test_every_kind_of_optimizer_takes_it():
    for kind in ("Adam", "AdamW", "RMSprop", "Adagrad", "Lion", "Nadam"):
        model = probe(getattr(keras.optimizers, kind)(PolicySchedule(TRIANGULAR)), 4)
        fit(model, epochs=2)

        assert int(model.optimizer.iterations) == 8
        assert float(model.optimizer.learning_rate) == pytest.approx(TRIANGULAR(8), rel=1e-6)


@pytest.mark.parametrize("name", ["exp_range, amplitude", "exp_range, bounds", "triangular"])
def test_a_counter_that_has_run_over_stays_at_the_end(name):
    policy = POLICIES[name]
    schedule = PolicySchedule(policy)
    last = keras.ops.convert_to_tensor(2**31 - 1, dtype="int32")

    for over in (-(2**31), -(2**31) + 5, -1):
        rate = schedule(keras.ops.convert_to_tensor(over, dtype="int32"))
        assert float(rate) == float(schedule(last)) <= policy.max_lr


def test_a_64_bit_counter_that_has_run_over_stays_at_its_own_end():
    policy = clrcore.triangular(0.001, 0.006, 7)
    assert len({policy(step) for step in (2**63 - 1, 2**63 - 2, 2**31 - 1)}) == 3
    with wide_integers():
        over = keras.ops.convert_to_tensor(-1, dtype="int64")
        assert keras.backend.standardize_dtype(over.dtype) == "int64"
        rate = PolicySchedule(policy)(over)
    assert float(rate) == pytest.approx(policy(2**63 - 1), rel=1e-6)


def wide_integers():
    """Integers of 64 bits, which JAX makes only where it is asked to."""
    if BACKEND != "jax":
        return nullcontext()
    return pytest.importorskip("jax").enable_x64(True)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow counts in 64 bits")
def test_training_goes_on_when_the_counter_runs_over():
    policy = POLICIES["exp_range, amplitude"]
    used = fit(probe(sgd(policy), 8), start=2**31 - 4)

    check(used, policy, [2**31 - 4, 2**31 - 3, 2**31 - 2, *[2**31 - 1] * 5])


def test_steps_of_every_kind():
    schedule = PolicySchedule(TRIANGULAR)
    steps = [
        15,
        np.int64(15),
        15.0,
        keras.Variable(15.0),
        keras.Variable(15, dtype="int32", trainable=False),
        keras.ops.convert_to_tensor(15),
    ]
    for step in steps:
        rate = schedule(step)
        assert keras.backend.standardize_dtype(rate.dtype) == "float32"
        assert tuple(rate.shape) == ()
        assert float(rate) == pytest.approx(0.0035, rel=1e-6)


@pytest.mark.parametrize("every", [1, 3])
def test_numbers_beyond_the_backends_integers_have_the_right_rate(every):
    schedule = PolicySchedule(TRIANGULAR, gradient_accumulation_steps=every)
    for step in (2**40, np.int64(2**40), np.float64(2**40)):
        assert float(schedule(step)) == pytest.approx(TRIANGULAR(2**40 // every), rel=1e-6)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (True, TypeError),
        (np.bool_(True), TypeError),
        (float("nan"), ValueError),
        (np.float32("nan"), ValueError),
        (float("inf"), ValueError),
        (-1, ValueError),
    ],
)
def test_numbers_that_are_no_steps_are_refused(step, kind):
    with pytest.raises(kind, match="step must be"):
        PolicySchedule(TRIANGULAR)(step)


# Saving and resuming.

MORE = """
    import sys

    import keras
    import clr_adapters.keras
    import keras_probe

    for path in sys.argv[1:]:
        known = {"prediction": keras_probe.prediction}
        model = keras.models.load_model(path, custom_objects=known)
        print(*(float(rate).hex() for rate in keras_probe.fit(model)))
"""


def test_models_saved_in_mid_cycle_go_on_in_a_new_process(tmp_path):
    saved = {}
    for number, name in enumerate(("chain", "exp_range, amplitude", "triangular2")):
        model = probe(sgd(POLICIES[name]), 20)
        fit(model)
        path = str(tmp_path / f"{number}.keras")
        model.save(path)
        saved[path] = (POLICIES[name], model)

    ended = in_another_process(MORE, *saved)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()[-3:]
    for line, (policy, model) in zip(lines, saved.values(), strict=True):
        used = np.array([float.fromhex(rate) for rate in line.split()])
        check(used, policy, range(20, 40))
        assert (used == fit(model)).all()


def test_weights_loaded_into_a_built_optimizer_go_on(tmp_path):
    path = str(tmp_path / "model.weights.h5")
    first = probe(keras.optimizers.Adam(PolicySchedule(TRIANGULAR)), 20)
    fit(first)
    first.save_weights(path)

    second = probe(keras.optimizers.Adam(PolicySchedule(TRIANGULAR)), 20)
    second.optimizer.build(second.trainable_variables)
    second.load_weights(path)

    assert int(second.optimizer.iterations) == 20
    assert float(second.optimizer.learning_rate) == pytest.approx(TRIANGULAR(20), rel=1e-6)


class Crash(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            raise RuntimeError("crash")


def test_backup_and_restore_goes_on(tmp_path):
    def train(callbacks):
        model = probe(sgd(TRIANGULAR), 20)
        callbacks = [keras.callbacks.BackupAndRestore(str(tmp_path), save_freq=10), *callbacks]
        return model, fit(model, epochs=3, callbacks=callbacks)

    with pytest.raises(RuntimeError, match="crash"):
        train([Crash()])
    model, used = train([])

    # Weights come back too; epochs 0 and 1 went before the backup, made within epoch 1.
    assert int(model.optimizer.iterations) >= 3 * 20
    assert np.isfinite(used).all()


def test_a_second_fit_and_a_recompilation_with_the_same_optimizer_continue():
    model = probe(sgd(TRIANGULAR), 20)
    check(fit(model), TRIANGULAR, range(20))
    model.evaluate(*data(20), verbose=0)
    check(fit(model), TRIANGULAR, range(20, 40))
    model.compile(model.optimizer, loss=model.loss)
    check(fit(model), TRIANGULAR, range(40, 60))


@pytest.mark.parametrize("name", POLICIES)
def test_the_config_is_plain_and_makes_the_same_schedule(name):
    schedule = PolicySchedule(POLICIES[name], gradient_accumulation_steps=4, name="mine")
    config = json.loads(json.dumps(schedule.get_config()))
    assert config["policy"] == POLICIES[name].to_dict()

    stored = keras.saving.serialize_keras_object(schedule)
    assert stored["registered_name"] == "clr_adapters>PolicySchedule"
    for again in (
        PolicySchedule.from_config(config),
        keras.saving.deserialize_keras_object(json.loads(json.dumps(stored))),
        keras.optimizers.SGD.from_config(
            keras.optimizers.SGD(schedule).get_config()
        )._learning_rate,
    ):
        assert (again.policy, again.gradient_accumulation_steps) == (schedule.policy, 4)
        assert again.name == "mine"
        assert dir(again) == dir(schedule)


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ((0.1,), {}, TypeError, "policy must be a policy of clrcore"),
        ((TRIANGULAR.to_dict(),), {}, TypeError, "policy must be a policy of clrcore"),
        (
            (TRIANGULAR,),
            {"gradient_accumulation_steps": 0},
            ValueError,
            "gradient_accumulation_steps must be an integer >= 1",
        ),
        (
            (TRIANGULAR,),
            {"gradient_accumulation_steps": True},
            TypeError,
            "gradient_accumulation_steps must be an integer >= 1",
        ),
        ((TRIANGULAR,), {"name": 3}, TypeError, "name must be a string"),
        (
            (TRIANGULAR,),
            {"momentum": (0.85, 0.95)},
            ValueError,
            "momentum must be None.*silently do nothing",
        ),
        (
            (clrcore.triangular(0.1, 1.0, 5, window=lambda u: u * u),),
            {},
            ValueError,
            "policy must be plain data.*window is the callable.*use window='triangular', 'hann'",
        ),
        (
            (clrcore.chain([(clrcore.cyclic(0.1, 1.0, 5, scale=lambda c, s: 1.0), 9)]),),
            {},
            ValueError,
            "policy must be plain data.*scale is the callable.*exp_range in place of a scale",
        ),
    ],
)
def test_wrong_arguments_are_refused_with_the_reason(arguments, options, kind, message):
    with pytest.raises(kind, match=message) as caught:
        PolicySchedule(*arguments, **options)
    if message.startswith("policy must be a policy"):
        assert caught.value.got is arguments[0]


def test_a_config_without_a_name_is_read():
    config = {"policy": TRIANGULAR.to_dict(), "gradient_accumulation_steps": 1}
    assert PolicySchedule.from_config(config).policy == TRIANGULAR


@pytest.mark.parametrize(
    "config",
    [{}, {"policy": TRIANGULAR.to_dict()}, {"policy": {}, "gradient_accumulation_steps": 1}],
)
def test_wrong_configs_are_refused(config):
    with pytest.raises(ValueError, match=r"config lacks|data lacks"):
        PolicySchedule.from_config(config)


def test_momentum_of_an_optimizer_stays_what_it_was():
    """The reason for the refusal: where the step is compiled, a change of momentum does nothing."""
    model = probe(keras.optimizers.SGD(0.1, momentum=0.5), 4)
    model.layers[0].kernel.assign(np.zeros((4, 1)))
    x = np.ones((1, 4), dtype="float32")
    model.train_on_batch(x, np.zeros((1, 1)))
    model.optimizer.momentum = 0.0
    model.train_on_batch(x, np.zeros((1, 1)))

    # Velocity -0.1, then 0.5 * -0.1 - 0.1 with the old momentum, -0.1 with the new one.
    second = -0.2 if ON_TORCH else -0.25
    assert rates(model) == pytest.approx([-second] * 4, rel=1e-6)


def test_a_bare_policy_as_learning_rate_fails_in_fit_and_names_the_schedule():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(TRIANGULAR), loss="mse")
    advice = r"a Keras optimizer takes learning_rate=clr_adapters\.keras\.PolicySchedule\(policy\)"
    with pytest.raises(TypeError, match=f"step must be an integer >= 0.*{advice}"):
        model.fit(np.ones((8, 2)), np.ones((8, 1)), verbose=0)


# Imports.


def test_without_keras_the_module_says_what_to_install():
    ended = in_another_process("""
        import sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "keras":
                    raise ModuleNotFoundError("No module named 'keras'", name="keras")

        sys.meta_path.insert(0, Absent())
        import clr_adapters
        print("here")
        import clr_adapters.keras
    """)

    assert ended.stdout == "here\n"
    assert 'clr_adapters.keras needs Keras 3 and a backend: run pip install ".[ten' in ended.stderr


def test_no_other_framework_is_imported_than_keras_imports():
    ended = in_another_process("""
        import sys
        import keras

        keras.ops.ones(1)
        others = ("torch", "jax", "tensorflow", "optax", "matplotlib", "clr_adapters.torch")
        before = {name for name in others if name in sys.modules}
        import clr_adapters.keras

        print({name for name in others if name in sys.modules} - before)
    """)

    assert ended.stdout == "set()\n", ended.stderr
