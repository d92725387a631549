"""Policies in the arithmetic of other libraries: eager, compiled and traced.

CLR_REQUIRE names libraries that must be there, parted by commas; others are skipped where
they are missing.
"""

import importlib
import os

import numpy as np
import pytest

import clrcore

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
REQUIRED = [name for name in os.environ.get("CLR_REQUIRE", "").split(",") if name]

# Of the amplitude; float32 itself is good for 6e-8 of the rate.
TOLERANCE = 5e-7

STEPS = np.unique(
    [*range(0, 5000, 7), 10**6, 10**6 + 1, 2**24 + 1, 10**7 - 1, 10**8, 10**8 + 3, 2**31 - 1]
)

TABLE_2 = clrcore.chain(
    [
        (clrcore.triangular2(1e-3, 5e-3, 2000), 16_000),
        (clrcore.triangular2(1e-4, 5e-4, 1000), 6_000),
        (clrcore.triangular2(1e-5, 5e-5, 500), 3_000),
    ]
)
POLICIES = [
    clrcore.triangular(0.001, 0.006, 2000),
    clrcore.triangular(0.001, 0.006, 50, 30, window="hann"),
    clrcore.triangular(0.001, 0.006, 2000, window="welch"),
    clrcore.triangular2(0.001, 0.006, 2000),
    clrcore.exp_range(0.001, 0.006, 2000, gamma=0.99994, decays="amplitude"),
    clrcore.exp_range(0.001, 0.006, 2000, gamma=0.999999, decays="bounds"),
    clrcore.constant(0.1),
    clrcore.stepwise(0.1, [10, 20, 10**6]),
    clrcore.exponential(0.1, 0.9999),
    clrcore.decay(0.5, 0.1, 4000),
    clrcore.linear_sweep(0.0, 1.0, 300),
    clrcore.exponential_sweep(1e-6, 1.0, 10**7),
    clrcore.one_cycle(0.1, 10**7),
    clrcore.one_cycle(0.1, 1000, form="three_phase", anneal_strategy="linear"),
    clrcore.smith_one_cycle(0.1, 1.0, 2246),
    clrcore.warm_restarts(0.001, 0.1, 100),
    clrcore.warm_restarts(0.001, 0.1, 100, multiplier=2),
    TABLE_2,
    clrcore.cosine(0.5, 0.1, 4000),
    clrcore.cooldown(clrcore.triangular(0.001, 0.006, 50), 1999, 4000, shape="1-sqrt"),
    clrcore.triangular2(0.001, 0.006, 50).opposed(0.85, 0.95),
    # Longer than an int32 counter can count.
    clrcore.triangular(0.001, 0.006, 3 * 10**9),
    clrcore.chain([(clrcore.triangular(0.0, 1.0, 10), 5 * 10**9), (clrcore.constant(0.5), None)]),
    clrcore.one_cycle(0.1, 10**10),
    clrcore.linear_sweep(0.0, 1.0, 10**10),
]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=lambda p: repr(p)[:50])


def library(name):
    if name in REQUIRED:
        return importlib.import_module(name)
    return pytest.importorskip(name)


def check(policy, rates, steps=STEPS):
    exact = policy(np.asarray(steps))
    assert np.asarray(rates, dtype=float) == pytest.approx(
        exact, rel=0, abs=TOLERANCE * np.abs(exact).max()
    )


@pytest.fixture(scope="session")
def jax():
    return library("jax")


@every_policy
def test_jax_arrays_under_every_transformation(policy, jax):
    counters = jax.numpy.asarray(STEPS, dtype="int32")

    for rates in (
        policy(counters),
        jax.jit(policy)(counters),
        jax.vmap(policy)(counters),
        jax.lax.scan(lambda carry, step: (carry, policy(step)), 0, counters)[1],
    ):
        assert isinstance(rates, jax.Array)
        assert (rates.dtype, rates.weak_type) == (jax.numpy.float32, False)
        check(policy, rates)


@pytest.mark.parametrize("n", [49, 97, 98, 103, 107])
def test_jax_rates_at_base_peak_and_end_are_exact(n, jax):
    base, peak, cooldown = 0.01, 0.08, clrcore.cooldown
    for policy, rates in [
        (clrcore.triangular(base, peak, n), {0: base, n: peak, 2 * n: base}),
        (clrcore.triangular(base, peak, 50, n), {50: peak, 50 + n: base}),
        (clrcore.triangular(base, peak, n, window="welch"), {0: base, n: peak}),
        (clrcore.triangular(base, peak, n, window=lambda u: u * u), {n: peak}),
        (clrcore.triangular(base, peak, n).opposed(0.85, 0.95), {0: 0.95, n: 0.85}),
        (clrcore.decay(peak, base, n), {0: peak, n: base}),
        (clrcore.decay(peak, base, 3 * 10**9), {0: peak}),
        (clrcore.cosine(peak, base, n), {0: peak, n: base}),
        (clrcore.linear_sweep(base, peak, n + 1), {0: base, n: peak, n + 3: peak}),
        (clrcore.exponential_sweep(1e-6, peak, n + 1), {0: 1e-6, n: peak}),
        (clrcore.smith_one_cycle(base, peak, n), {0: base, n: peak}),
        (clrcore.warm_restarts(base, peak, n), {0: peak, n: peak}),
        (clrcore.one_cycle(peak, 2 * n + 2, pct_start=0.5), {0: peak / 25, n: peak}),
        (clrcore.one_cycle(peak, 99, pct_start=0.4, div_factor=0.5), {0: peak / 0.5}),
        *(
            (cooldown(clrcore.constant(peak), at, n, shape=shape), {at: peak, at + n: 0.0})
            for at in (0, 5)
            for shape in ("linear", "cosine", "1-sqrt")
        ),
    ]:
        for step, rate in rates.items():
            for found in (policy, jax.jit(policy)):
                assert found(jax.numpy.array([step]))[0] == np.float32(rate), (policy, step)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "uint32"])
def test_small_jax_counters_do_not_wrap(kind, jax):
    policy = POLICIES[0]

    check(policy, policy(jax.numpy.asarray([0, 100, 127], dtype=kind)), [0, 100, 127])
    # Longer than the narrow types count; JAX takes no constant above 2^31 - 1 beside a uint32.
    for longer in POLICIES[-4:]:
        check(longer, longer(jax.numpy.asarray([0, 100, 127], dtype=kind)), [0, 100, 127])


@pytest.mark.parametrize("kind", ["int4", "uint4", "int8"])
def test_narrow_jax_counters_do_not_wrap(kind, jax):
    counters = jax.numpy.arange(8).astype(kind)
    policy = clrcore.triangular(0.001, 0.006, 40)

    check(policy, policy(counters), range(8))
    check(policy, policy.evaluate(counters, jax.numpy, lambda n: n.astype("float32")), range(8))


def test_jax_scalars_stay_scalars(jax):
    rate = jax.jit(POLICIES[0])(1000)

    assert rate.shape == ()
    assert float(rate) == pytest.approx(0.0035, rel=1e-6)


def test_traced_negative_steps_count_as_zero_and_others_are_refused(jax):
    policy = POLICIES[0]

    assert float(jax.jit(policy)(-5)) == pytest.approx(0.001)
    with pytest.raises(ValueError, match="step must be an integer >= 0"):
        policy(jax.numpy.asarray([-1]))
    with pytest.raises(TypeError, match="step must be an integer"):
        policy(jax.numpy.asarray([1.0]))


@every_policy
@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_torch(policy, kind):
    torch = library("torch")
    counters = torch.tensor(STEPS, dtype=getattr(torch, kind))

    rates = policy.evaluate(counters, torch, lambda n: n.to(torch.float32))

    assert rates.dtype == torch.float32
    check(policy, rates)


@every_policy
@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize("compiled", [False, True])
def test_tensorflow(policy, kind, compiled):
    tf = library("tensorflow")

    def evaluate(steps):
        return policy.evaluate(steps, tf, lambda n: tf.cast(n, tf.float32))

    rates = (tf.function(evaluate) if compiled else evaluate)(tf.constant(STEPS, dtype=kind))

    assert rates.dtype == tf.float32
    check(policy, rates)


@every_policy
def test_keras(policy):
    ops = library("keras").ops

    rates = policy.evaluate(
        ops.convert_to_tensor(STEPS, dtype="int32"), ops, lambda n: ops.cast(n, "float32")
    )

    check(policy, ops.convert_to_numpy(rates))
