"""Policies as optax schedules, and the range test on the device, on real optimizers."""

import os
import pickle
import subprocess
import sys
import textwrap

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import clrcore
from clr_adapters.jax import policy_schedule
from clr_adapters.jax import range_test as range_test_shown

BOUNDS = 0.001, 0.006
AMPLITUDE = 0.005
# Of the amplitude; float32 itself is good for 6e-8 of the rate.
TOLERANCE = 5e-7
COUNTERS = [0, 10**6, 2**24 + 1, 10**8]
UPDATES = 100

POLICIES = {
    "triangular": clrcore.triangular(*BOUNDS, 20),
    "unequal halves": clrcore.triangular(*BOUNDS, 7, 13),
    "triangular2": clrcore.triangular2(*BOUNDS, 10**6),
    "amplitude decays": clrcore.exp_range(*BOUNDS, 20, gamma=1 - 1e-8, decays="amplitude"),
    "bounds decay": clrcore.exp_range(*BOUNDS, 20, gamma=1 - 1e-8, decays="bounds"),
    "hann": clrcore.triangular(*BOUNDS, 20, window="hann"),
    "welch": clrcore.triangular(*BOUNDS, 20, window="welch"),
    "chain": clrcore.chain(
        [
            (clrcore.triangular2(*BOUNDS, 20), 10**6 + 50),
            (clrcore.triangular(*BOUNDS, 30), 10**8),
            (clrcore.triangular(*BOUNDS, 40), None),
        ]
    ),
    "one_cycle": clrcore.one_cycle(0.006, 2 * 10**8),
}
needs_nnx = pytest.mark.skipif(
    tuple(map(int, flax.__version__.split(".")[:2])) < (0, 12),
    reason="NNX of older Flax takes other arguments",
)
every_policy = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


def at(state, count):
    """The optimizer's state after `count` updates."""
    return jax.tree.map(lambda x: jnp.int32(count) if x.dtype == jnp.int32 else x, state)


def rates_used(optimizer, start, updates=UPDATES):
    """The rate of every update, read off weights that each get one gradient of 1."""
    weights = jnp.zeros(updates)

    @jax.jit
    def run(weights, state):
        def step(carry, gradient):
            weights, state = carry
            change, state = optimizer.update(gradient, state, weights)
            return (optax.apply_updates(weights, change), state), None

        return jax.lax.scan(step, (weights, state), jnp.eye(updates))[0]

    weights, state = run(weights, at(optimizer.init(weights), start))
    assert [x for x in jax.tree.leaves(state) if x.dtype == jnp.int32] == [start + updates]
    return -np.asarray(weights, dtype=float)


def close(rates, expected):
    return np.asarray(rates, dtype=float) == pytest.approx(
        expected, rel=0, abs=TOLERANCE * AMPLITUDE
    )


def range_test(*arguments, **options):
    return range_test_shown(*arguments, **({"progress": False} | options))


# A policy is an optax schedule.


@every_policy
@pytest.mark.parametrize("start", COUNTERS)
def test_every_update_in_a_scan_uses_the_policys_rate(policy, start):
    assert close(rates_used(optax.sgd(policy), start), policy.values(start, start + UPDATES))


@every_policy
def test_the_same_dictionary_gives_the_same_rates(policy):
    again = clrcore.policy_from_dict(policy.to_dict())

    assert rates_used(optax.sgd(again), 0).tolist() == rates_used(optax.sgd(policy), 0).tolist()


@every_policy
@pytest.mark.parametrize("start", COUNTERS)
def test_it_can_be_compiled_and_mapped_alone(policy, start):
    steps = jnp.arange(start, start + UPDATES)
    expected = policy.values(start, start + UPDATES)

    for rates in (policy(steps), jax.jit(policy)(steps), jax.vmap(policy)(steps)):
        assert (rates.dtype, rates.weak_type) == (jnp.float32, False)
        assert close(rates, expected)


@pytest.mark.parametrize(("low", "high"), [(1e-6, 10.0), (1e-5, 1.0), (0.01, 0.1)])
def test_an_exponential_sweep_is_as_good_as_stated(low, high):
    sweep = clrcore.exponential_sweep(low, high, 300)
    steps = jnp.arange(300)
    # exp in float32 loses with the size of its argument; up to 2.6e-7 per decade was seen.
    tolerance = 3e-7 * high * np.log10(high / low)

    for rates in (sweep(steps), jax.jit(sweep)(steps)):
        assert np.asarray(rates, dtype=float) == pytest.approx(
            sweep.values(0, 300), rel=0, abs=tolerance
        )


def test_a_state_that_was_saved_goes_on_at_its_step():
    optimizer = optax.sgd(POLICIES["hann"], momentum=0.9)
    gradients = jax.random.normal(jax.random.key(0), (60, 3))

    @jax.jit
    def run(carry, gradients):
        def step(carry, gradient):
            weights, state = carry
            change, state = optimizer.update(gradient, state, weights)
            return (optax.apply_updates(weights, change), state), None

        return jax.lax.scan(step, carry, gradients)[0]

    fresh = jnp.ones(3), optimizer.init(jnp.ones(3))
    saved = pickle.dumps(jax.device_get(run(fresh, gradients[:27])))

    resumed = run(pickle.loads(saved), gradients[27:])

    assert identical(resumed, run(fresh, gradients))


def test_an_accumulated_update_counts_once():
    optimizer = optax.MultiSteps(optax.sgd(POLICIES["triangular"]), every_k_schedule=4)
    weight, state = jnp.float32(0.0), None
    state = optimizer.init(weight)
    for _ in range(4 * 5):
        change, state = optimizer.update(jnp.float32(1.0), state, weight)
        weight = optax.apply_updates(weight, change)

    assert -float(weight) == pytest.approx(POLICIES["triangular"].values(0, 5).sum(), rel=1e-6)


@needs_nnx
def test_nnx_optimizers_take_it():
    class Line(nnx.Module):
        def __init__(self):
            self.weights = nnx.Param(jnp.zeros(UPDATES))

    model = Line()
    optimizer = nnx.Optimizer(model, optax.sgd(POLICIES["welch"]), wrt=nnx.Param)

    @nnx.jit
    def train(model, optimizer, t):
        optimizer.update(model, nnx.grad(lambda model: model.weights[...][t])(model))

    for t in range(UPDATES):
        train(model, optimizer, t)

    assert close(-model.weights[...], POLICIES["welch"].values(0, UPDATES))


# Momentum and weight decay.


older_optax = pytest.mark.skipif(
    tuple(map(int, optax.__version__.split(".")[:3])) < (0, 2, 8),
    reason="optax 0.2.4 casts injected values to the type of the parameters",
)


@pytest.mark.parametrize("kind", [jnp.float32, pytest.param(jnp.bfloat16, marks=older_optax)])
def test_injected_values_stay_float32(kind):
    """A weak type would become that of the parameters, and in bfloat16 lose three digits."""
    policy = POLICIES["triangular"]
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=policy)
    weights = jnp.ones(2, kind)
    state = optimizer.init(weights)
    for t in range(5):
        change, state = optimizer.update(weights, state, weights)
        assert state.hyperparams["learning_rate"].dtype == jnp.float32
        assert close(state.hyperparams["learning_rate"], policy(t))
        weights = optax.apply_updates(weights, change)

    assert weights.dtype == kind


@pytest.mark.parametrize("name", ["triangular", "amplitude decays", "hann", "chain"])
def test_momentum_moves_against_the_rate(name):
    policy = POLICIES[name]
    against = policy.opposed(0.85, 0.95)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=policy, momentum=against)

    @jax.jit
    def run(start):
        def step(carry, _):
            weight, state = carry
            change, state = optimizer.update(jnp.ones(()), state, weight)
            return (optax.apply_updates(weight, change), state), change

        weight = jnp.zeros(())
        return jax.lax.scan(step, (weight, at(optimizer.init(weight), start)), None, UPDATES)[1]

    for start in COUNTERS:
        velocity, expected = 0.0, []
        rates = policy.values(start, start + UPDATES)
        for rate, momentum in zip(rates, against.values(start, start + UPDATES), strict=True):
            velocity = momentum * velocity + 1.0
            expected.append(-rate * velocity)
        # Twenty float32 roundings live on in a velocity.
        assert np.asarray(run(start)) == pytest.approx(expected, rel=3e-6)


def test_weight_decay_follows_a_policy_of_its_own():
    rate, decay = clrcore.triangular(0.01, 0.1, 5), clrcore.triangular(0.1, 0.5, 7)
    optimizer = optax.inject_hyperparams(optax.adamw)(learning_rate=rate, weight_decay=decay)
    weight = jnp.ones(())
    state = optimizer.init(weight)
    expected = 1.0
    for t in range(40):
        # Without a gradient, AdamW does nothing but decay.
        change, state = optimizer.update(jnp.zeros(()), state, weight)
        weight = optax.apply_updates(weight, change)
        expected *= 1 - rate(t) * decay(t)
        assert float(weight) == pytest.approx(expected, rel=1e-5)


def test_with_64_bits_the_rate_is_a_float64_and_float32_parameters_stay_so():
    program = """
        import clrcore, jax, jax.numpy as jnp, optax

        policy = clrcore.triangular(0.001, 0.006, 7)
        rate = jax.jit(policy)(jnp.asarray(10**12 + 3))
        assert (rate.dtype, rate.weak_type) == (jnp.float64, False)
        assert float(rate) == policy(10**12 + 3)

        weights = jnp.ones(3, jnp.float32)
        optimizer = optax.sgd(policy, momentum=0.9)
        change, _ = optimizer.update(weights, optimizer.init(weights))
        assert change.dtype == jnp.float32

        from clr_adapters.jax import range_test

        def update(weight, batch, lr):
            assert lr.dtype == jnp.float64
            return weight - lr * 2 * weight, {"loss": weight**2}

        sweep = clrcore.exponential_sweep(1e-3, 10.0, 100)
        test, weight = clrcore.RangeTest(sweep), 1.0
        for lr in test:
            test.record(loss=weight**2)
            weight -= lr * 2 * weight
        curve = range_test(update, 1.0, [0], sweep=sweep, progress=False)
        # XLA joins a product and a sum into one rounding.
        assert abs(curve.loss / test.curve.loss - 1).max() < 1e-12
    """
    ended = python(program, JAX_ENABLE_X64="1")

    assert (ended.returncode, ended.stderr) == (0, "")


# The range test: a linear model, whose blow-up does not magnify how XLA rounds.

SWEEP = clrcore.exponential_sweep(1e-3, 10.0, 60)
random = np.random.default_rng(0)
IMAGES = random.standard_normal((200, 6)).astype(np.float32)
LABELS = np.sign(IMAGES.sum(1) + random.standard_normal(200)).astype(np.float32)
BATCHES = [(IMAGES[i : i + 20], LABELS[i : i + 20]) for i in range(0, 200, 20)]


def outputs(params, images):
    return images @ params["weights"] + params["bias"]


def start(seed=0):
    weights = (1 + 30 * seed) * jax.random.normal(jax.random.key(seed), (6,))
    params = {"weights": weights, "bias": jnp.zeros(())}
    return params, optax.sgd(0.0, momentum=0.9).init(params)


def update(state, batch, lr):
    params, optimizer_state = state
    images, labels = batch

    def loss_of(params):
        out = outputs(params, images)
        return ((out - labels) ** 2).mean(), (jnp.sign(out) == labels).mean()

    (loss, accuracy), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
    change, optimizer_state = optax.sgd(lr, momentum=0.9).update(gradients, optimizer_state)
    state = optax.apply_updates(params, change), optimizer_state
    return state, {"loss": loss, "accuracy": accuracy, "gradients": gradients}


def only_loss(state, batch, lr):
    state, metrics = update(state, batch, lr)
    return state, {"loss": metrics["loss"]}


def held_out(state):
    return (jnp.sign(outputs(state[0], IMAGES)) == LABELS).mean()


def by_hand(state, batches=BATCHES, validate=None, every=0, sweep=SWEEP, update=update):
    """The same with the core's loop, one compiled update at a time."""
    step = jax.jit(update)
    test = clrcore.RangeTest(
        sweep, held_out=validate is not None, steps_per_epoch=len(batches), stop_diverged=True
    )
    for k, lr in enumerate(test):
        state, metrics = step(state, batches[k % len(batches)], jnp.float32(lr))
        accuracy = metrics["accuracy"] if validate is None else None
        if every and (k + 1) % every == 0:
            accuracy = validate(state)
        test.record(loss=metrics["loss"], accuracy=accuracy)
    return test


def identical(one, other):
    """Whether two pytrees are equal bit for bit."""
    a, b = jax.tree.leaves(one), jax.tree.leaves(other)
    return jax.tree.structure(one) == jax.tree.structure(other) and all(
        x.dtype == y.dtype and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(map(plain, a), map(plain, b), strict=True)
    )


def plain(x):
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


def same(curve, other):
    # XLA may round otherwise in a scan.
    assert curve.lr.tolist() == other.lr.tolist()
    assert curve.loss == pytest.approx(other.loss, rel=1e-4)
    assert curve.accuracy == pytest.approx(other.accuracy, nan_ok=True)
    names = ("sweep", "held_out", "steps_per_epoch")
    assert [getattr(curve, name) for name in names] == [getattr(other, name) for name in names]


@pytest.mark.parametrize("block_size", [1, 7, 25, 1000])
def test_the_curve_is_that_of_the_cores_loop(block_size):
    test = by_hand(start())

    same(range_test(update, start(), BATCHES, sweep=SWEEP, block_size=block_size), test.curve)
    assert "diverged" in test.reason
    assert len(test.curve) < 60  # and so the tail was left out


def test_held_out_accuracy_is_measured_after_every_so_many_updates():
    curve = range_test(
        update, start(), BATCHES, sweep=SWEEP, validate=held_out, validate_every=6, block_size=10
    )

    same(curve, by_hand(start(), validate=held_out, every=6).curve)
    assert np.flatnonzero(np.isfinite(curve.accuracy)).tolist() == list(range(5, len(curve), 6))


@pytest.mark.parametrize("every", [25, 90])
def test_held_out_accuracy_is_measured_after_the_last_update_too(every):
    curve = range_test(
        only_loss,
        start(),
        BATCHES,
        sweep=SWEEP,
        validate=lambda state: jnp.float32(0.5),
        validate_every=every,
        block_size=7,
        stop=False,
    )

    looked = np.flatnonzero(np.isfinite(curve.accuracy)).tolist()
    assert looked == [*range(every - 1, 60, every), 59]


def test_every_update_gets_the_rate_that_is_recorded():
    curve = range_test(
        lambda seen, batch, lr: (seen, {"loss": lr}),
        jnp.zeros(2),
        [0],
        sweep=SWEEP,
        stop=False,
        block_size=7,
    )
    rates = [SWEEP(k) for k in range(60)]

    assert curve.loss.tolist() == np.float32(rates).tolist()
    assert curve.lr.tolist() == rates


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_ends_it(wrong):
    def update(t, batch, lr):
        return t + 1, {"loss": jnp.where(t == 12, wrong, 1.0)}

    curve = range_test(update, 0, [0], sweep=SWEEP, stop=False, block_size=10)

    assert len(curve) == 13
    assert not np.isfinite(curve.loss[-1])


def test_debugging_of_nans_is_off_for_the_test_alone():
    def update(state, batch, lr):
        return state, {"loss": jnp.log(1.0 - lr)}

    with jax.debug_nans(True):
        assert np.isnan(range_test(update, 0, [0], sweep=SWEEP).loss[-1])
        with pytest.raises(FloatingPointError):
            jnp.log(jnp.float32(-1.0)).block_until_ready()


# Several seeds.


def seeds():
    return jax.vmap(start)(jnp.arange(3))


def test_every_seed_has_the_curve_it_has_alone():
    curves = range_test(
        update, seeds(), BATCHES, sweep=SWEEP, seeds=3, validate=held_out, validate_every=5
    )

    for seed, curve in enumerate(curves):
        same(curve, by_hand(start(seed), validate=held_out, every=5).curve)


def test_every_seed_ends_when_it_does_alone():
    def update(left, batch, lr):
        return left - 1, {"loss": jnp.where(left == 0, jnp.nan, 1.0)}

    curves = range_test(update, jnp.array([5, 12, 90]), [0], sweep=SWEEP, seeds=3, block_size=10)

    assert [len(curve) for curve in curves] == [6, 13, 60]


def test_every_seed_may_have_batches_of_its_own():
    orders = [BATCHES, BATCHES[::-1], BATCHES[3:] + BATCHES[:3]]
    batches = [
        tuple(np.stack(parts) for parts in zip(*batch, strict=True))
        for batch in zip(*orders, strict=True)
    ]

    curves = range_test(update, seeds(), batches, sweep=SWEEP, seeds=3, batch_per_seed=True)

    for seed, (curve, order) in enumerate(zip(curves, orders, strict=True)):
        same(curve, by_hand(start(seed), order).curve)


def test_one_seed_gives_a_list_too():
    state = jax.tree.map(lambda x: x[None], start())

    (curve,) = range_test(update, state, BATCHES, sweep=SWEEP, seeds=1)

    same(curve, by_hand(start()).curve)
    assert clrcore.suggest_bounds([curve]).max_lr < 10.0


# The caller's state.


class Network(nnx.Module):
    """All that an update changes: weights, running statistics, random streams."""

    def __init__(self, seed):
        rngs = nnx.Rngs(seed)
        self.hidden = nnx.Linear(6, 8, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.out = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, images):
        return self.out(self.dropout(nnx.relu(self.norm(self.hidden(images)))))


def nnx_start(seed=0):
    model = Network(seed)
    adam = optax.inject_hyperparams(optax.adam)(learning_rate=0.0)
    return model, nnx.Optimizer(model, adam, wrt=nnx.Param)


def nnx_train(model, optimizer, batch, lr):
    images, labels = batch

    def loss_of(model):
        return ((model(images)[:, 0] - labels) ** 2).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.opt_state.hyperparams["learning_rate"][...] = lr
    optimizer.update(model, gradients)
    return loss


@needs_nnx
def test_nnx_modules_are_as_before_bit_for_bit():
    graph, state = nnx.split(nnx_start())
    model, optimizer = nnx_start()  # its twin, for the loop by hand
    before = jax.tree.map(jnp.copy, state)

    def update(state, batch, lr):
        model, optimizer = nnx.merge(graph, state)
        loss = nnx_train(model, optimizer, batch, lr)
        return nnx.state((model, optimizer)), {"loss": loss}

    curve = range_test(update, state, BATCHES, sweep=SWEEP, stop=False)

    assert identical(state, before)
    train = nnx.jit(nnx_train)
    losses = [
        float(train(model, optimizer, BATCHES[k % 10], jnp.float32(SWEEP(k)))) for k in range(60)
    ]
    assert curve.loss[:30] == pytest.approx(losses[:30], rel=1e-4)
    assert not identical(nnx.state((model, optimizer)), before)


@needs_nnx
def test_a_module_may_be_the_state():
    state = nnx_start()
    before = jax.tree.map(jnp.copy, nnx.state(state))

    def update(state, batch, lr):
        return state, {"loss": nnx_train(*state, batch, lr)}

    curve = range_test(update, state, BATCHES, sweep=SWEEP)

    assert identical(nnx.state(state), before)
    assert curve.loss[10] < curve.loss[0]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("ending", ["sweep over", "not a number", "exception", "Ctrl-C", "refused"])
def test_the_state_is_as_before_bit_for_bit_whatever_ends_it(ending):
    shared = jnp.arange(3.0)
    state = {
        "network": start(),
        "tied": [shared, shared],
        "key": jax.random.key(7),
        "numpy": np.arange(3.0, dtype=np.float32),
        "bfloat16": jnp.ones(3, jnp.bfloat16),
        "count": np.int32(5),
    }
    before = pickle.dumps(jax.tree.map(lambda x: np.asarray(plain(x)), state))

    def changed(state, batch, lr):
        batch, k = batch
        network, metrics = update(state["network"], batch, lr)
        if ending == "exception":
            raise Interrupted
        loss = jnp.where((k == 40) & (ending == "not a number"), jnp.nan, metrics["loss"])
        after = {
            "network": network,
            "tied": [x + 1 for x in state["tied"]],
            "key": jax.random.split(state["key"])[0],
            "numpy": state["numpy"] * 2,
            "bfloat16": state["bfloat16"] + 1,
            "count": state["count"] + (1.5 if ending == "refused" else 1),
        }
        return after, {"loss": loss}

    def batches():
        for k in range(60):
            if ending == "Ctrl-C" and k == 30:
                raise KeyboardInterrupt
            yield BATCHES[k % 10], k

    endings = {"exception": Interrupted, "Ctrl-C": KeyboardInterrupt, "refused": ValueError}
    call = {"sweep": SWEEP, "stop": False, "block_size": 10}
    if ending in endings:
        with pytest.raises(endings[ending]):
            range_test(changed, state, batches(), **call)
    else:
        curve = range_test(changed, state, batches(), **call)
        assert len(curve) == (41 if ending == "not a number" else 60)

    assert pickle.dumps(jax.tree.map(lambda x: np.asarray(plain(x)), state)) == before


# Batches.


class Loader:
    """Gone through again and again, without a length, as streams are."""

    def __init__(self, batches):
        self.batches, self.epochs = batches, 0

    def __iter__(self):
        self.epochs += 1
        return iter(self.batches)

    def __len__(self):
        raise TypeError("a stream has no length")


def test_loaders_are_gone_through_again():
    loader = Loader(BATCHES)
    curve = range_test(update, start(), loader, sweep=SWEEP, stop=False)

    assert (len(curve), loader.epochs, curve.steps_per_epoch) == (60, 6, None)
    curve = range_test(update, start(), loader, sweep=SWEEP, steps_per_epoch=10)
    same(curve, by_hand(start()).curve)


def test_no_more_batches_are_taken_than_the_sweep_has_updates():
    source = iter([BATCHES[k % 10] for k in range(62)])
    range_test(update, start(), source, sweep=SWEEP, stop=False, block_size=25)

    assert len(list(source)) == 2


def test_a_loader_may_fill_one_buffer_again_and_again():
    def loader():
        buffer, k = np.zeros((2, 3), np.float32), 0
        while True:
            buffer[:] = k
            k += 1
            yield {"images": buffer, "labels": buffer[:, 0]}

    def update(state, batch, lr):
        return state, {"loss": batch["images"].mean() + batch["labels"].mean()}

    curve = range_test(update, 0, loader(), sweep=SWEEP, stop=False)

    assert curve.loss.tolist() == [2.0 * k for k in range(60)]


@pytest.mark.parametrize("convert", [jnp.asarray, lambda x: x.tolist(), lambda x: x.astype("f8")])
def test_batches_may_be_of_other_arrays(convert):
    batches = [{"images": convert(images), "labels": labels} for images, labels in BATCHES]

    def unpacked(state, batch, lr):
        images = jnp.asarray(batch["images"])
        return update(state, (images, batch["labels"]), lr)

    if convert(IMAGES[0]).__class__ is list:
        batches = [batch | {"images": np.asarray(batch["images"])} for batch in batches]
    same(range_test(unpacked, start(), batches, sweep=SWEEP), by_hand(start()).curve)


def test_an_update_is_traced_a_few_times_whatever_the_sweeps_length():
    def traces(num_steps):
        calls = []

        def counted(state, batch, lr):
            calls.append(lr)
            return update(state, batch, lr)

        sweep = clrcore.exponential_sweep(1e-6, 1e-5, num_steps)
        range_test(counted, start(), BATCHES, sweep=sweep)
        return len(calls)

    assert traces(1003) == traces(20) <= 2


def test_batches_that_end_early_give_the_curve_so_far():
    source = iter([BATCHES[k % 10] for k in range(32)])
    with pytest.warns(UserWarning, match="ended after 32 of 60 updates: batches has no further"):
        curve = range_test(update, start(), source, sweep=SWEEP, stop=False, block_size=25)

    assert len(curve) == 32


def test_progress_is_shown_after_every_block(capsys):
    range_test(update, start(), BATCHES, sweep=SWEEP, block_size=30, stop=False, progress=True)

    shown = capsys.readouterr().err
    assert [line.split(",")[0] for line in shown.split("\r")[1:]] == [
        "range test: update 30/60",
        "range test: update 60/60",
    ]
    assert shown.endswith("\n")


def test_a_policy_may_be_joined_to_other_schedules():
    schedule = optax.join_schedules(
        [optax.linear_schedule(0.0, 0.001, 10), policy_schedule(POLICIES["hann"])], [10]
    )

    for rates in (map(schedule, range(50)), jax.vmap(schedule)(jnp.arange(50))):
        expected = [*np.linspace(0, 0.001, 11)[:-1], *POLICIES["hann"].values(0, 40)]
        assert close(list(rates), expected)
    assert policy_schedule(POLICIES["hann"])(10**12) == POLICIES["hann"](10**12)
    with pytest.raises(TypeError, match="policy must be a policy of clrcore"):
        policy_schedule(0.1)


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"update": 3}, TypeError, "update must be a function"),
        ({"validate": 3, "validate_every": 1}, TypeError, "validate must be a function"),
        ({"validate_every": 2}, ValueError, "validate_every must be None without held-out data"),
        ({"validate": held_out, "validate_every": 0}, ValueError, "validate_every must be an int"),
        ({"validate": held_out, "validate_every": True}, TypeError, "validate_every must be an"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
        ({"sweep": 0.1}, TypeError, "sweep must be a policy"),
        ({"sweep": clrcore.constant(0.1)}, ValueError, "sweep must be a policy with an end"),
        ({"seeds": [0, 1]}, TypeError, "seeds must be the number of stacked states"),
        ({"seeds": 3}, ValueError, r"state\[0\]\['bias'\] must be an array with a first axis of 3"),
        ({"state": 0.0, "seeds": 3}, ValueError, "state must be an array with a first axis of 3"),
        ({"batch_per_seed": True}, ValueError, "batch_per_seed must be False without seeds"),
        ({"batch_per_seed": 1}, TypeError, "batch_per_seed must be True or False"),
        (
            {"state": seeds(), "seeds": 3, "batch_per_seed": True},
            ValueError,
            r"^batch 0\[0\] must be an array with a first axis of 3.* got \(20, 6\)",
        ),
        ({"block_size": 0}, ValueError, "block_size must be an integer >= 1"),
        ({"block_size": 2.5}, ValueError, "block_size must be an integer >= 1"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be a finite number > 0"),
        ({"stop": 1}, TypeError, "stop must be True or False"),
        ({"state": {"name": "x"}}, TypeError, r"state\['name'\] must be an array or a number"),
        ({"batches": 5}, TypeError, "batches must be an iterable of batches"),
        ({"batches": []}, ValueError, "ended before its first update: batches has no"),
        ({"batches": ["a"]}, TypeError, "batch 0 must be an array of numbers"),
        (
            {"batches": [(IMAGES, LABELS), (IMAGES[:7], LABELS[:7])]},
            ValueError,
            r"batch 1\[0\] must be of the shape .*\(7, 6\).* drop a short last batch",
        ),
        ({"batches": [BATCHES[0], [0]]}, ValueError, "batch 1 must be of the structure"),
    ],
)
def test_bad_arguments_are_refused(arguments, kind, message):
    good = {"update": update, "state": start(), "batches": BATCHES, "sweep": SWEEP}

    with pytest.raises(kind, match=message):
        range_test(**good | arguments)


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        (lambda s, lr: s, TypeError, r"the result of update must be a pair \(state, metrics\)"),
        (lambda s, lr: (s, lr), TypeError, "metrics that update returns must be a dictionary with"),
        (lambda s, lr: (s, {"accuracy": lr}), TypeError, "must be a dictionary with 'loss'"),
        (lambda s, lr: (s, {"loss": s["w"]}), ValueError, r"metrics\['loss'\] must be one number"),
        (lambda s, lr: (s, {"loss": 1}), TypeError, r"metrics\['loss'\] must be a float"),
        (lambda s, lr: (s, {"loss": "low"}), TypeError, r"metrics\['loss'\] must be a float"),
        (lambda s, lr: (s, {"loss": None}), TypeError, r"metrics\['loss'\] must be a float"),
        (
            lambda s, lr: (s, {"loss": lr, "accuracy": s["w"]}),
            ValueError,
            r"metrics\['accuracy'\] must be one number",
        ),
        (
            lambda s, lr: ({"w": s["w"] * lr}, {"loss": lr}),
            ValueError,
            r"state\['w'\] was bfloat16\[3\] and became float32\[3\]; lr is a float32",
        ),
        (
            lambda s, lr: ({"v": s["w"]}, {"loss": lr}),
            ValueError,
            r"it dropped state\['w'\] and added state\['v'\]",
        ),
        (lambda s, lr: ({"w": s["w"][:2]}, {"loss": lr}), ValueError, r"became bfloat16\[2\]"),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_what_update_returns_is_checked(result, kind, message, several):
    state = {"w": jnp.ones((2, 3) if several else 3, jnp.bfloat16)}

    with pytest.raises(kind, match=message):
        range_test(
            lambda state, batch, lr: result(state, lr), state, [0], seeds=2 if several else None
        )


@pytest.mark.parametrize(
    ("result", "kind"), [(lambda s: s[0]["weights"], ValueError), (lambda s: "high", TypeError)]
)
def test_what_evaluate_returns_is_checked(result, kind):
    with pytest.raises(kind, match="the result of validate must be"):
        range_test(update, start(), BATCHES, sweep=SWEEP, validate=result, validate_every=5)


# Imports.


def python(program, **env):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def test_without_jax_the_module_says_what_to_install():
    ended = python("""
        import sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "jax":
                    raise ModuleNotFoundError("No module named 'jax'", name="jax")

        sys.meta_path.insert(0, Absent())
        import clr_adapters
        import clr_adapters.jax
    """)

    assert (
        'clr_adapters.jax needs JAX: run pip install ".[jax]" in a checkout of clrcore'
        in ended.stderr
    )


def test_only_jax_is_imported():
    others = "torch", "keras", "tensorflow", "flax", "optax", "clr_adapters.torch"
    ended = python(f"""
        import sys
        import clr_adapters.jax
        print([name for name in ("jax", *{others}) if name in sys.modules])
    """)

    assert (ended.stdout, ended.stderr) == ("['jax']\n", "")
