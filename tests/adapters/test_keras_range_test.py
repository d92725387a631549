"""The range test of Keras, on the backend that KERAS_BACKEND names."""

import math
import os
import random
import re
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import clrcore
from clr_adapters.keras import PolicySchedule, find_bounds, range_test
from keras_probe import array, data, needs_several_optimizers, prediction, probe

BACKEND = keras.backend.backend()
ON_TORCH = BACKEND == "torch"

SWEEP = clrcore.exponential_sweep(1e-4, 1.0, 40)
SIZE, BATCH = 85, 5  # 17 batches
rng = np.random.default_rng(0)
X = rng.normal(size=(SIZE, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int32")
BATCHES = [(X[i : i + BATCH], Y[i : i + BATCH]) for i in range(0, SIZE, BATCH)]


def adam(**options):
    return keras.optimizers.Adam(0.5, **options)


def classifier(optimizer=None, *, dropout=0.0, **options):
    """Has statistics, a seed generator, slots: all there is to put back."""
    keras.utils.set_random_seed(1)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dropout(dropout, seed=3),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or adam(), **({"loss": loss, "metrics": ["accuracy"]} | options))
    return model


def run(model, x=X, y=Y, **options):
    options = {"sweep": SWEEP, "shuffle": False, "verbose": 0, "stop": False} | options
    if y is not None:
        options.setdefault("batch_size", BATCH)
    return range_test(model, x, y, **options)


def bits(model):
    """Everything a test may not change, to the bit."""
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    found = [array(variable).tobytes() for variable in variables]
    found += [random.getstate(), np.random.get_state()[1].tobytes()]  # noqa: NPY002
    if ON_TORCH:
        import torch

        found += [torch.get_rng_state().numpy().tobytes()]
        found += [layer.training for layer in (model, *model.layers)]
        found += [variable.value.grad is None for variable in model.trainable_variables]
    return found


# The curve.


def by_hand(model, batches, count):
    """What train_on_batch returns at the rates of the sweep."""
    losses, accuracies = [], []
    for step in range(count):
        model.optimizer.learning_rate = SWEEP(step)
        model.reset_metrics()  # before 3.15, Keras returned running means
        logs = model.train_on_batch(*batches[step % len(batches)], return_dict=True)
        losses.append(float(logs["loss"]))
        accuracies.append(float(logs["accuracy"]))
    return losses, accuracies


def test_the_curve_is_that_of_train_on_batch():
    # Each model is made with the same seed, also of the generators that PyTorch's dropout uses.
    curve = run(classifier(dropout=0.25))
    losses, accuracies = by_hand(classifier(dropout=0.25), BATCHES, 40)

    assert curve.lr.tolist() == [SWEEP(step) for step in range(40)]
    assert curve.loss.tolist() == losses
    assert curve.accuracy.tolist() == accuracies
    assert (curve.sweep, curve.steps_per_epoch, curve.held_out) == ("exponential", 17.0, False)


def test_every_update_uses_the_rate_it_is_recorded_with():
    count = 30
    sweep = clrcore.linear_sweep(0.001, 0.1, count)
    model = probe(keras.optimizers.SGD(7.0), count)
    used = []

    class Kept(keras.optimizers.SGD):
        """Keeps what the weights were at the end, before they are put back."""

        def finalize_variable_values(self, variables):
            used[:] = -array(variables[0])[:, 0]

    model.compile(Kept(7.0), loss=prediction)
    x, y = data(count)
    curve = range_test(model, x, y, sweep=sweep, batch_size=1, shuffle=False, verbose=0)

    assert used == pytest.approx(curve.lr, rel=1e-6)
    assert float(model.optimizer.learning_rate) == 7.0


class Rows(keras.utils.PyDataset):
    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        return BATCHES[index]


def endless():
    while True:
        yield from BATCHES


def tf_data():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(BATCH)


def loader():
    torch = pytest.importorskip("torch")
    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    return torch.utils.data.DataLoader(rows, batch_size=BATCH)


GENTLE = clrcore.exponential_sweep(1e-4, 1e-2, 40)


@pytest.fixture(scope="module")
def of_arrays():
    model = classifier()
    return model, run(model, sweep=GENTLE)


KINDS = {
    "PyDataset": (Rows, 17.0),
    "endless generator": (endless, None),
    "tf.data": (tf_data, 17.0),
    "repeated tf.data": (lambda: tf_data().repeat(), None),
    "DataLoader": (loader, 17.0),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
def test_every_kind_of_data_gives_the_same_curve(kind, of_arrays):
    make, steps_per_epoch = KINDS[kind]
    model, expected = of_arrays

    curve = run(model, make(), None, sweep=GENTLE)

    # TensorFlow compiles batches of unknown size to other arithmetic.
    tolerance = 1e-4 if BACKEND == "tensorflow" else 0
    assert curve.loss == pytest.approx(expected.loss, rel=tolerance, abs=0)
    assert curve.accuracy == pytest.approx(expected.accuracy, rel=tolerance, abs=0)
    assert curve.steps_per_epoch == steps_per_epoch


def test_accumulated_updates_are_one_point_each():
    model = classifier(adam(gradient_accumulation_steps=4))
    curve = run(model)

    other = classifier(adam(gradient_accumulation_steps=4))
    losses = []
    for step in range(40):
        other.optimizer.learning_rate = SWEEP(step)
        found = []
        for i in range(4 * step, 4 * step + 4):
            other.reset_metrics()
            found.append(other.train_on_batch(*BATCHES[i % 17])[0])
        losses.append(np.mean(found))
    assert curve.loss == pytest.approx(losses, rel=1e-6)
    assert curve.steps_per_epoch == 17 / 4


def test_overflowed_batches_are_not_recorded():
    model = probe(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=2.0**20),
        8,
        dtype="mixed_float16",
    )
    x, y = data(8)
    sweep = clrcore.linear_sweep(0.5, 1.0, 8)
    curve = range_test(model, x, y, sweep=sweep, batch_size=1, shuffle=False, verbose=0)

    # 2^20 overflows float16; so do all scales down to 2^16.
    assert len(curve) == 8
    assert int(model.optimizer.iterations) == 0


def test_held_out_accuracy_does_not_change_the_training():
    def make():
        return classifier(dropout=0.25)

    held_out = (X[:20], Y[:20])
    plain = run(make())
    curve = run(make(), validation_data=held_out, validate_every=15)

    assert curve.loss.tolist() == plain.loss.tolist()
    assert curve.held_out is True
    assert np.flatnonzero(np.isfinite(curve.accuracy)).tolist() == [14, 29, 39]
    by_default = run(make(), validation_data=held_out, sweep=clrcore.linear_sweep(0.0, 0.1, 110))
    assert np.flatnonzero(np.isfinite(by_default.accuracy)).tolist() == list(range(1, 110, 2))
    other = make()
    by_hand(other, BATCHES, 15)
    assert curve.accuracy[14] == other.evaluate(*held_out, verbose=0)[1]


def test_the_accuracy_may_be_named():
    metrics = [
        "accuracy",
        keras.metrics.MeanMetricWrapper(lambda y, p: p[:, 0] * 0 + 0.25, name="mine"),
    ]
    curve = run(classifier(metrics=metrics), accuracy="mine")

    assert curve.accuracy.tolist() == [0.25] * 40
    with pytest.raises(
        ValueError, match=r"accuracy must be a metric of the compiled.*'accuracy'.*got 'f1'"
    ):
        run(classifier(), accuracy="f1")


def test_several_seeds_differ_in_order_and_dropout_and_come_again():
    model = classifier(dropout=0.25)
    model.optimizer.build(model.trainable_variables)
    model.evaluate(X, Y, verbose=0)
    before = bits(model)
    first, second, again = run(model, seeds=[1, 2, 1], shuffle=True)

    assert first.loss.tolist() == again.loss.tolist() != second.loss.tolist()
    assert bits(model) == before
    still, other = run(model, seeds=2, shuffle=False)
    assert still.loss.tolist() != other.loss.tolist()  # dropout


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("seeds", [None, [3]])
@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
def test_the_generator_of_a_loader_is_seeded_and_put_back(seeds, own):
    torch = pytest.importorskip("torch")
    generator = torch.Generator() if own else torch.default_generator
    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    options = {"generator": generator} if own else {}
    data = torch.utils.data.DataLoader(rows, batch_size=BATCH, shuffle=True, **options)
    model, before = classifier(), generator.get_state()

    # shuffle=True is the default of `fit`, which warns of it where data have their own order.
    given = {"shuffle": True, "sweep": GENTLE}
    first, second = (run(model, data, None, seeds=seeds, **given) for _ in range(2))
    losses = [curve.loss if seeds is None else curve[0].loss for curve in (first, second)]
    assert losses[0].tolist() == losses[1].tolist()
    assert torch.equal(generator.get_state(), before)
    if seeds is not None:
        (other,) = run(model, data, None, seeds=[4], sweep=GENTLE)
        assert other.loss.tolist() != losses[0].tolist()


def test_the_first_test_of_a_new_model_is_like_the_second():
    model = classifier(dropout=0.25)
    first, second = (run(model, sweep=GENTLE, shuffle=True) for _ in range(2))

    assert first.loss.tolist() == second.loss.tolist()


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a strategy of TensorFlow")
def test_on_several_devices_the_model_is_left_as_it_was():
    program = """
        import keras, numpy as np, tensorflow as tf
        import clrcore
        from clr_adapters.keras import CycleEnds, PolicySchedule, range_test

        cpu = tf.config.list_physical_devices("CPU")[0]
        two = 2 * [tf.config.LogicalDeviceConfiguration()]
        tf.config.set_logical_device_configuration(cpu, two)
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        x = np.random.default_rng(0).normal(size=(120, 4)).astype("float32")
        y = (x.sum(axis=1) > 0).astype("int32")

        def network(rate):
            with strategy.scope():
                layers = [keras.layers.BatchNormalization(), keras.layers.Dense(2)]
                model = keras.Sequential([keras.Input((4,)), *layers])
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                model.compile(keras.optimizers.Adam(rate), loss=loss, metrics=["accuracy"])
            return model

        def bits(model):
            variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
            replicas = [replica for variable in variables for replica in variable.value.values]
            return [replica.numpy().tobytes() for replica in replicas]

        sweep = clrcore.exponential_sweep(1e-3, 0.1, 6)
        options = {"batch_size": 12, "progress": False, "validation_data": (x, y)}
        options |= {"sweep": sweep, "validate_every": 3}
        new = network(0.01)
        assert len(range_test(new, x, y, **options)) == 6
        new.fit(x, y, batch_size=12, verbose=0)
        before = bits(new)
        assert len(range_test(new, x, y, seeds=2, **options)) == 2
        assert bits(new) == before

        policy = clrcore.triangular(0.001, 0.1, 2)
        ends = CycleEnds(clrcore.CycleMonitor(policy), validation_data=(x, y))
        model = network(PolicySchedule(policy))
        model.fit(x, y, batch_size=12, callbacks=[ends], verbose=0)
        assert [end["updates"] for end in ends.ends] == [4, 8]
        print("reached")
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # On a loaded machine `evaluate` of TensorFlow 2.21 itself dies about once in 80 calls, without
    # any callback, where it drops the iterator of its first batch.
    for _ in range(6):
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            env=environment,
        )
        if ended.returncode != -signal.SIGSEGV:
            break
    assert (ended.returncode, ended.stdout) == (0, "reached\n"), ended.stderr


@needs_several_optimizers
def test_several_optimizers_get_the_same_rate():
    model = classifier()
    mapped = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    mapped[f".*{model.layers[-1].name}/.*"] = keras.optimizers.SGD(0.7)
    model.compile(keras.optimizers.MultiOptimizer(mapped), loss=model.loss, metrics=["accuracy"])
    one = classifier(keras.optimizers.SGD(0.2))

    assert run(model).loss.tolist() == pytest.approx(run(one).loss.tolist(), rel=1e-5)
    assert [float(part.learning_rate) for part in model.optimizer.optimizers] == pytest.approx(
        [0.7, 0.1]
    )


@needs_several_optimizers
def test_several_optimizers_that_accumulate_differently_are_refused():
    model = classifier()
    mapped = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    last = keras.optimizers.SGD(0.7, gradient_accumulation_steps=4)
    mapped[f".*{model.layers[-1].name}/.*"] = last
    model.compile(keras.optimizers.MultiOptimizer(mapped), loss=model.loss)

    with pytest.raises(
        ValueError, match=r"MultiOptimizer must accumulate the same number.*\[4, 1\]"
    ):
        run(model)
    assert not model.optimizer.built


# Endings; after each the model is what it was.


def blow_up(_, predicted):
    return keras.ops.mean(keras.ops.exp(keras.ops.square(predicted * 10.0)))


class Breaks(keras.utils.PyDataset):
    """Fails, or is interrupted, in the middle of the second epoch."""

    def __init__(self, failure):
        super().__init__()
        self.failure, self.count = failure, 0

    def __len__(self):
        return len(BATCHES)

    def __getitem__(self, index):
        self.count += 1
        if self.count > 25:
            self.failure()
        return BATCHES[index]


def crash():
    raise RuntimeError("crash")


def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def ends_normally(model):
    assert len(run(model)) == 40


def diverges(model):
    curve = run(model, sweep=clrcore.exponential_sweep(1e-3, 1e4, 200), stop=True)
    assert len(curve) < 200


def is_interrupted(model):
    with pytest.raises(KeyboardInterrupt):
        run(model, Breaks(ctrl_c), None)


def fails(model):
    with pytest.raises(Exception, match="crash"):
        run(model, Breaks(crash), None)


def fails_while_validating(model):
    with pytest.raises(Exception, match="crash"):
        run(model, validation_data=Breaks(crash), validate_every=10)


def runs_out_of_data(model):
    with pytest.warns(UserWarning, match="ended after 17 of 40 updates: x has no further batch"):
        assert len(run(model, (batch for batch in BATCHES), None)) == 17


def is_held_out(model):
    run(model, validation_data=(X, Y), validate_every=10)


def runs_with_seeds(model):
    run(model, seeds=[1, 2])


ENDINGS = [
    ends_normally,
    diverges,
    is_interrupted,
    fails,
    fails_while_validating,
    runs_out_of_data,
    is_held_out,
    runs_with_seeds,
]
OPTIMIZERS = {
    "moving average": lambda: adam(use_ema=True),
    "accumulated": lambda: adam(gradient_accumulation_steps=3),
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
}


@pytest.fixture(scope="module")
def trained():
    """One model for all endings, which leave it as it was."""
    model = classifier(dropout=0.25)
    model.fit(X, Y, epochs=2, batch_size=16, verbose=0)
    model.evaluate(X, Y, verbose=0)
    return model


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.__name__)
def test_the_model_is_left_as_it_was(ending, trained):
    if ON_TORCH:
        trained.train()  # which evaluating would change
        trained.layers[0].eval()
    before, history = bits(trained), trained.history

    ending(trained)

    assert bits(trained) == before
    assert trained.history is history
    assert trained.stop_training is False


def test_a_loss_that_is_not_finite_ends_the_test_and_leaves_the_model_as_it_was():
    model = classifier(loss=blow_up, metrics=[])
    model.fit(X, Y, epochs=1, verbose=0)
    before = bits(model)
    curve = run(model, sweep=clrcore.exponential_sweep(1e-3, 1e6, 60))

    assert not math.isfinite(curve.loss[-1])
    assert len(curve) < 60
    assert bits(model) == before


def test_a_new_model_keeps_no_trace():
    model = classifier()
    weights = [array(variable) for variable in model.variables]
    run(model)

    assert all((array(v) == w).all() for v, w in zip(model.variables, weights, strict=True))
    slots = [array(v) for v in model.optimizer.variables if "learning_rate" not in v.path]
    assert all((slot == 0).all() for slot in slots)
    assert float(model.optimizer.learning_rate) == 0.5
    assert all((array(v) == 0).all() for v in model.metrics_variables)
    assert not hasattr(model, "history") or model.history is None


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_is_left_as_it_was(kind):
    model = classifier(OPTIMIZERS[kind]())
    model.optimizer.build(model.trainable_variables)
    model.evaluate(X, Y, verbose=0)
    if (kind, BACKEND) != ("moving average", "jax"):  # Keras 3.15 cannot `fit` twice there
        model.fit(X, Y, epochs=1, batch_size=16, verbose=0)
    before = bits(model)

    for ending in (ends_normally, is_interrupted):
        ending(model)
        assert bits(model) == before
    again = model.fit(X, Y, epochs=1, batch_size=16, verbose=0)
    assert math.isfinite(again.history["loss"][0])


def test_training_goes_on_as_if_there_had_been_no_test():
    """With all that is not seen in variables: compiled steps, modes."""
    plain, tested = classifier(), classifier()
    run(tested)
    for model in (plain, tested):
        model.fit(X, Y, epochs=2, batch_size=16, shuffle=False, verbose=0)

    for one, other in zip(plain.variables, tested.variables, strict=True):
        assert array(one).tobytes() == array(other).tobytes()


class Noise(keras.layers.Layer):
    """Draws from Keras's global seed generator, which JAX allows only outside of its steps."""

    def call(self, inputs):
        if BACKEND == "jax":
            return inputs
        return inputs + keras.random.normal(keras.ops.shape(inputs))


class Noisy:
    """Batches with noise, as an iterable that Keras itself does not take."""

    def __init__(self, failure):
        self.failure = failure

    def __iter__(self):
        for i, (x, y) in enumerate(2 * BATCHES):
            if self.failure is not None and i == 25:
                self.failure()
            yield x + np.asarray(keras.random.normal(x.shape)), y


def noisy(failure=None):
    if BACKEND != "jax":
        return Rows() if failure is None else Breaks(failure)
    return Noisy(failure)


def ends_with_noise(model):
    assert len(run(model, noisy(), None)) == 40


def is_interrupted_with_noise(model):
    with pytest.raises(KeyboardInterrupt):
        run(model, noisy(ctrl_c), None)


def fails_with_noise(model):
    with pytest.raises(Exception, match="crash"):
        run(model, noisy(crash), None)


def is_held_out_with_noise(model):
    run(model, noisy(), None, validation_data=(X, Y), validate_every=10)


def has_seeds_with_noise(model):
    first, second = run(model, noisy(), None, seeds=2, sweep=GENTLE)
    assert first.loss.tolist() != second.loss.tolist()


@pytest.mark.parametrize(
    ("ending", "used", "seed"),
    [
        (ends_with_noise, False, None),
        (ends_with_noise, True, None),
        (ends_with_noise, True, 5),
        (is_interrupted_with_noise, False, None),
        (fails_with_noise, True, None),
        (is_held_out_with_noise, False, None),
        (has_seeds_with_noise, False, None),
        (has_seeds_with_noise, True, None),
    ],
)
def test_unseeded_random_numbers_go_on_as_if_there_had_been_no_test(ending, used, seed):
    """used: whether Keras's global seed generator exists before. seed: set before training."""

    def trained(test):
        keras.utils.clear_session()
        keras.utils.set_random_seed(1)
        layers = [keras.Input((4,)), Noise(), keras.layers.Dense(2)]
        model = keras.Sequential(layers)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(adam(), loss=loss, metrics=["accuracy"])
        if used:
            keras.random.normal((2,))
        if test:
            ending(model)
        if seed is not None:
            keras.utils.set_random_seed(seed)
        batches = noisy() if BACKEND != "jax" else (batch for batch in noisy())
        history = model.fit(batches, shuffle=False, steps_per_epoch=17, verbose=0).history
        return history, array(keras.random.SeedGenerator().state).tolist(), random.random()

    assert trained(True) == trained(False)


@pytest.mark.skipif(not ON_TORCH, reason="modules of PyTorch are layers there only")
def test_modules_of_pytorch_are_left_as_they_were():
    import torch

    keras.utils.set_random_seed(1)
    norm, drop = torch.nn.BatchNorm1d(8), torch.nn.Dropout(0.25)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8),
            keras.layers.TorchModuleWrapper(norm, output_shape=(None, 8)),
            keras.layers.TorchModuleWrapper(drop, output_shape=(None, 8)),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(adam(), loss=loss, metrics=["accuracy"])
    model(X[:2])
    drop.eval()
    norm.train()
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    generator = torch.get_rng_state()
    run(model)

    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert (norm.training, drop.training) == (True, False)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(variable.value.grad is None for variable in model.trainable_variables)


# What is refused, and what is shown.


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"sweep": clrcore.triangular(0.1, 1.0, 5)}, ValueError, "sweep must be a policy with an"),
        ({"sweep": 100}, TypeError, "sweep must be a policy"),
        ({"validate_every": 5}, ValueError, "validate_every must be None without held-out data"),
        ({"validation_data": (X, Y), "validate_every": 1.5}, ValueError, "validate_every must"),
        ({"validation_data": (X,)}, ValueError, r"validation_data must be \(x, y\), got"),
        ({"validation_data": X}, ValueError, r"validation_data must be \(x, y\), got"),
        ({"validation_data": []}, ValueError, r"validation_data must be \(x, y\) or .* got \[\]"),
        ({"validation_data": (X, Y, Y, 1)}, ValueError, r"validation_data must be \(x, y\) or"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
        ({"sample_weight": 3}, TypeError, "sample_weight must be an array"),
        ({"x": None, "y": None}, TypeError, "x must be arrays"),
        ({"x": "data"}, TypeError, "x must be arrays"),
        ({"x": X[:0], "y": Y[:0], "shuffle": True}, ValueError, "x must be at least one batch"),
        ({"accuracy": 1}, TypeError, "accuracy must be"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be"),
        ({"stop": 1}, TypeError, "stop must be True or False"),
        ({"shuffle": "batch"}, TypeError, "shuffle must be True or False"),
        ({"class_weight": [1.0, 2.0]}, TypeError, "class_weight must be a dictionary"),
        ({"batch_size": -1}, ValueError, "batch_size must be an integer >= 1"),
        ({"validation_batch_size": 2.5}, ValueError, "validation_batch_size must be an integer"),
        ({"verbose": 3}, ValueError, "verbose must be"),
        ({"verbose": "loud"}, ValueError, "verbose must be 'auto', 0, 1 or 2"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_built(options, kind, message):
    model = classifier()
    with pytest.raises(kind, match=message):
        run(model, **options)
    assert not model.optimizer.built


def test_models_that_cannot_be_tested_are_refused_with_the_remedy():
    schedule = PolicySchedule(clrcore.triangular(0.1, 1.0, 5))
    for source in (schedule, keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)):
        with pytest.raises(ValueError, match=r"compile it anew .* with SGD\(0.01\)"):
            run(classifier(keras.optimizers.SGD(source)))
    policy = clrcore.triangular(0.1, 1.0, 5)
    with pytest.raises(ValueError, match=r"compile it anew .* with SGD\(0.01\)"):
        run(classifier(keras.optimizers.SGD(policy)))
    unbuilt = keras.Sequential([keras.layers.Dense(2)])
    unbuilt.compile(adam(), loss="mse")
    with pytest.raises(ValueError, match="model must be built"):
        run(unbuilt)
    with pytest.raises(ValueError, match="model must be compiled"):
        run(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    with pytest.raises(TypeError, match=r"model must be a keras\.Model"):
        run(3)


def test_a_dataset_of_single_samples_is_refused_with_batch():
    tf = pytest.importorskip("tensorflow")
    model, one_hot = classifier(), np.eye(2, dtype="float32")[Y]
    for targets in (Y, one_hot):  # of no axis and of an axis
        samples = tf.data.Dataset.from_tensor_slices((X, targets))
        refusal = r"must be a dataset of batches, got single samples of the shape \(4,\)"
        with pytest.raises(ValueError, match=rf"^x {refusal}; pass x=dataset\.batch\(32\)"):
            range_test(model, samples, progress=False)
        with pytest.raises(ValueError, match=f"^validation_data {refusal}"):
            range_test(model, X, Y, validation_data=samples, progress=False)


def test_a_dataset_of_batches_may_lack_the_last_axis_that_keras_adds():
    tf = pytest.importorskip("tensorflow")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), loss="mse")
    batches = tf.data.Dataset.from_tensor_slices((X[:, 0], X[:, 1])).batch(8)
    sweep = clrcore.exponential_sweep(1e-4, 0.1, 5)
    assert len(range_test(model, batches, sweep=sweep, progress=False)) == 5


@pytest.mark.parametrize("function", [range_test, find_bounds])
def test_an_optimizer_by_position_is_refused(function):
    model, optimizer = classifier(), keras.optimizers.SGD(0.1)
    for arguments in ((optimizer, X, Y), (X, Y, optimizer), (X, optimizer)):
        with pytest.raises(TypeError, match=r"takes no optimizer, got .*; leave it out"):
            function(model, *arguments, progress=False)
    with pytest.raises(TypeError, match="no argument 'optimizer'; it is the compiled model's"):
        function(model, X, Y, optimizer=optimizer)


@pytest.mark.skipif(ON_TORCH, reason="Keras has it on TensorFlow and JAX only")
def test_several_steps_per_execution_are_refused():
    with pytest.raises(ValueError, match=r"steps_per_execution=1, got 4.*compile it anew"):
        run(classifier(steps_per_execution=4))


def test_rates_in_half_precision_are_refused():
    keras.config.set_floatx("float16")
    try:
        optimizer = adam()
    finally:
        keras.config.set_floatx("float32")
    with pytest.raises(ValueError, match="rate must be float32, got float16") as caught:
        run(classifier(optimizer))
    assert (caught.value.allowed, caught.value.got) == ("float32", "float16")


def test_a_progress_bar_of_keras_counts_the_updates(capsys):
    run(classifier(), verbose="auto")
    shown = capsys.readouterr().out
    assert "40/40" in shown
    assert "/update" in shown
    assert "lr: 1.0000" in shown

    run(classifier(), verbose=0)
    assert capsys.readouterr().out == ""


def test_a_progress_bar_counts_the_updates_of_all_seeds(capsys):
    run(classifier(), verbose=1, seeds=2)
    counts = [int(count) for count in re.findall(r"(-?\d+)/80", capsys.readouterr().out)]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-1] == 80


@pytest.mark.skipif(not ON_TORCH, reason="autograd is PyTorch's")
def test_autograd_is_on_again_after_an_interrupt_that_left_it_off():
    import torch

    class Leaves(keras.optimizers.SGD):
        def apply(self, *arguments, **options):
            torch.set_grad_enabled(False)
            raise KeyboardInterrupt

    model = classifier(Leaves(0.1))
    try:
        with pytest.raises(KeyboardInterrupt):
            run(model)
        assert torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


# Data without a batch, and held-out data that lasts for one look.


class Nothing(keras.utils.PyDataset):
    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError(index)


def no_samples():
    return X[:0], Y[:0]


def dropped():
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).batch(SIZE + 1, drop_remainder=True), None


@pytest.mark.parametrize("make", [no_samples, dropped, lambda: (Nothing(), None)])
def test_data_without_a_batch_is_refused(make, trained):
    before = bits(trained)
    # On TensorFlow Keras refuses a PyDataset without a batch itself.
    with pytest.raises(
        ValueError, match=r"x has no further batch|x must be at least one batch|has length 0"
    ):
        run(trained, *make())
    assert bits(trained) == before


@pytest.mark.parametrize(
    ("held_out", "kind", "message"),
    [
        (endless, ValueError, "validation_data must be arrays.* iterated over at every evaluation"),
        (
            lambda: iter(BATCHES),
            ValueError,
            "validation_data must be arrays.* iterated over at every evaluation",
        ),
        (lambda: 3, TypeError, "validation_data must be arrays"),
        (lambda: "test", TypeError, "validation_data must be arrays"),
    ],
)
def test_held_out_data_for_one_look_are_refused(held_out, kind, message, trained):
    with pytest.raises(kind, match=message):
        run(trained, validation_data=held_out())


class Endless(Rows):
    """Batches for ever, as Keras has them: a length of None."""

    @property
    def num_batches(self):
        return None


@pytest.mark.parametrize("held_out", [Endless, lambda: tf_data().repeat()])
def test_held_out_data_without_an_end_are_refused(held_out, trained):
    with pytest.raises(ValueError, match="validation_data must be data with an end"):
        run(trained, validation_data=held_out())


# Models that cannot be tested.


class Late(keras.Model):
    """Says that it is built when its layers are not."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = keras.layers.Dense(2), keras.layers.Dense(3)

    def build(self, shape):
        self.built = True

    def call(self, inputs):
        return self.used(inputs)


def test_a_model_with_layers_that_are_not_built_is_refused():
    model = Late()
    model.compile(adam(), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.build((None, 4))
    with pytest.raises(ValueError, match=r"model must be built.*not built are dense.*call it on a"):
        run(model)
    assert model.variables == []

    model(X[:1])  # leaves a layer that is not used
    before = [array(variable) for variable in model.variables]
    assert len(run(model)) == 40
    assert all((array(v) == b).all() for v, b in zip(model.variables, before, strict=True))


def test_a_model_without_trainable_weights_is_refused():
    model = classifier()
    model.trainable = False
    model.compile(adam(), loss=model.loss)
    with pytest.raises(ValueError, match=r"model has no trainable weights.*compile"):
        run(model)


def test_a_train_step_that_returns_no_loss_is_refused():
    class Own(keras.Model):
        def train_step(self, *arguments):
            logs = super().train_step(*arguments)
            # On JAX a step returns the state, too.
            if isinstance(logs, tuple):
                return {"mine": logs[0]["loss"]}, logs[1]
            return {"mine": logs["loss"]}

    inner = classifier()
    model = Own(inner.inputs, inner.outputs)
    model.compile(adam(), loss=inner.loss)
    with pytest.raises(ValueError, match=r"train_step must return .*'loss', got \['mine'\]"):
        run(model)


# Arguments of fit.


def test_the_validation_split_is_that_of_fit():
    rows = 59  # of 85: fit(validation_split=0.3) holds out the others
    weights = np.linspace(0.5, 2.0, SIZE, dtype="float32")
    given = {"sample_weight": weights, "validate_every": 5, "stop": True}
    split = run(classifier(), validation_split=0.3, **given)

    held_out = X[rows:], Y[rows:], weights[rows:]
    given["sample_weight"] = weights[:rows]
    by_hand = run(classifier(), X[:rows], Y[:rows], validation_data=held_out, **given)
    assert split == by_hand
    assert split.held_out
    assert split.steps_per_epoch == 12


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"validation_split": 1.0}, ValueError),
        ({"validation_split": -0.1}, ValueError),
        ({"validation_split": 0.995}, ValueError),  # leaves no sample to train with
        ({"validation_split": True}, TypeError),
        ({"validation_split": "0.2"}, TypeError),
        ({"validation_split": 0.2, "validation_data": (X, Y)}, ValueError),
        ({"validation_split": 0.2, "x": iter(BATCHES), "y": None}, ValueError),
        ({"callbacks": 3}, TypeError),
        ({"callbacks": [keras.callbacks.Callback]}, TypeError),
        ({"callbacks": keras.callbacks.CallbackList()}, TypeError),
        ({"callbacks": [keras.callbacks.ModelCheckpoint("best.keras")]}, ValueError),
        ({"callbacks": [keras.callbacks.BackupAndRestore("folder")]}, ValueError),
    ],
)
def test_wrong_splits_and_callbacks_are_refused_by_name(options, error):
    with pytest.raises(error, match=f"^{next(iter(options))} must be"):
        run(classifier(), **options)


def test_what_no_split_can_hold_out_may_come_as_validation_data():
    with pytest.raises(ValueError, match="validation_split must be") as caught:
        run(classifier(), validation_split=0.995)
    assert caught.value.advice == "give other data as validation_data"


class Count(keras.callbacks.Callback):
    """Notes the rate before each batch, and may end the run."""

    def __init__(self, last=None):
        super().__init__()
        self.last, self.rates, self.epochs = last, [], 0

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))
        if len(self.rates) == self.last:
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


def test_callbacks_see_every_batch_and_cannot_change_the_rate():
    model, count = classifier(adam(gradient_accumulation_steps=3)), Count()
    scheduler = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5)
    alone = run(model)
    before = bits(model)
    curve = run(model, callbacks=[count, scheduler])
    assert count.rates == pytest.approx(np.repeat(curve.lr, 3).tolist(), rel=1e-6)
    assert count.epochs >= 7
    assert bits(model) == before
    assert curve == alone


def test_a_callback_that_stops_ends_the_run_with_a_warning():
    with pytest.warns(UserWarning, match=r"ended after 20 of 40 updates: a callback stopped"):
        curve = run(classifier(), callbacks=Count(last=20))
    assert 17 <= len(curve) <= 34
