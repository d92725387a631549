"""Policies against exact rational arithmetic: scalars and NumPy, at any step."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from strategies import (
    EXACT_WINDOWS,
    bounds,
    decaying,
    halves,
    halving,
    rates,
    step_sizes,
    steps,
    ulps,
    undecayed,
)

ULPS = 4


def exact_height(step, up, down):
    """Smith's triangle, u, as a fraction."""
    inside = step % (up + down)
    return Fraction(inside, up) if inside <= up else Fraction(up + down - inside, down)


def exact_window(window, u):
    return {"triangular": u, "welch": u * (2 - u)}[window]


def exact_cyclic(policy, step):
    low, high = Fraction(policy.base_lr), Fraction(policy.max_lr)
    u = exact_height(step, policy.step_size, policy.step_size_down)
    height = exact_window(policy.window, u)
    if policy.constructor == "triangular2":
        height /= 2 ** (step // policy.period)
    return low + (high - low) * height


def both(policy, step):
    """The scalar and the array value, which must be one."""
    scalar = policy(step)
    array = policy(np.array([step, 0]))
    assert type(scalar) is float
    assert array.dtype == np.float64
    assert array[0] == scalar or policy.constructor not in ("triangular", "triangular2")
    return scalar


@given(undecayed(st.sampled_from(EXACT_WINDOWS)), steps)
def test_cyclic_is_exact_to_four_ulp(policy, step):
    assert ulps(both(policy, step), exact_cyclic(policy, step)) <= ULPS


@given(halving(st.sampled_from(EXACT_WINDOWS)), st.integers(0, 10**4), st.integers(0, 10**15))
def test_halving_is_exact_to_four_ulp_and_never_overflows(policy, cycle, inside):
    step = min(cycle * policy.period + inside % policy.period, 10**15)

    assert ulps(both(policy, step), exact_cyclic(policy, step)) <= ULPS


@given(undecayed(st.just("hann")), steps)
def test_hann_is_exact_to_1e12_of_the_bound(policy, step):
    u = float(exact_height(step, policy.step_size, policy.step_size_down))
    exact = policy.base_lr + (policy.max_lr - policy.base_lr) * math.sin(math.pi * u / 2) ** 2

    assert policy(step) == pytest.approx(exact, abs=1e-12 * policy.max_lr, rel=0)
    assert policy(np.array([step]))[0] == pytest.approx(
        policy(step), abs=4 * math.ulp(policy.max_lr)
    )


@given(decaying(), steps)
def test_gamma_is_exact_to_1e12(policy, step):
    """gamma^t through integer powers of a rational."""
    if policy.window == "hann":
        return
    low, high = Fraction(policy.base_lr), Fraction(policy.max_lr)
    gamma = policy.scale.gamma
    if step * math.log(gamma) < math.log(1e-290):
        return
    decay = exact_power(gamma, step)
    u = exact_window(policy.window, exact_height(step, policy.step_size, policy.step_size_down))
    if policy.scale.decays == "bounds":
        exact = decay * (low + (high - low) * u)
    else:
        exact = low + (high - low) * u * decay

    value = both(policy, step)
    if exact > Fraction(1e-290):
        assert abs(Fraction(value) - exact) <= exact * Fraction(1, 10**12)


def exact_power(gamma, step):
    """gamma^step to 60 digits: squarings, rounded to a grid finer than any float64."""
    from decimal import Context, Decimal

    context = Context(prec=60, Emin=-(10**9))
    return Fraction(context.power(context.create_decimal(gamma), Decimal(step)))


@given(rates, st.sampled_from([0.99994, 0.5, 0.9, 1.0]), st.integers(0, 10**7))
def test_exponential_is_exact_to_1e12(lr, gamma, step):
    value = both(clrcore.exponential(lr, gamma), step)
    if lr == 0.0 or math.log(lr) + step * math.log(gamma) < math.log(1e-290):
        return
    exact = Fraction(lr) * exact_power(gamma, step)

    if exact > Fraction(1e-290):
        assert abs(Fraction(value) - exact) <= exact * Fraction(1, 10**12)


@given(bounds(), step_sizes, steps)
def test_decay_is_exact_to_four_ulp(pair, step_size, step):
    low, high = map(Fraction, pair)
    left = max(0, step_size - step)

    value = both(clrcore.decay(pair[1], pair[0], step_size), step)

    assert ulps(value, low + (high - low) * Fraction(left, step_size)) <= ULPS


@given(bounds(), steps, step_sizes, steps)
def test_linear_cooldown_is_exact_to_four_ulp(pair, at, num_steps, step):
    low, high = map(Fraction, pair)
    over = Fraction(min(max(0, step - at), num_steps), num_steps)
    policy = clrcore.cooldown(clrcore.constant(pair[1]), at, num_steps, final_lr=pair[0])

    assert ulps(both(policy, step), high + (low - high) * over) <= ULPS


@given(bounds(), step_sizes, steps)
def test_smith_one_cycle_is_exact_to_four_ulp(pair, half, step):
    low, high = map(Fraction, pair)
    if step <= half:
        exact = low + (high - low) * Fraction(step, half)
    else:
        exact = max(high * (2 - Fraction(step, half)), low / 1000)

    assert ulps(both(clrcore.smith_one_cycle(*pair, half), step), exact) <= ULPS


@given(bounds().filter(lambda pair: pair[0] < pair[1]), st.integers(2, 10**15), steps)
def test_linear_sweep_is_exact_to_four_ulp(pair, num_steps, step):
    low, high = map(Fraction, pair)
    u = Fraction(min(step, num_steps - 1), num_steps - 1)

    value = both(clrcore.linear_sweep(*pair, num_steps), step)

    assert ulps(value, low + (high - low) * u) <= ULPS


@given(
    st.floats(1e-12, 1e-2), st.floats(0.1, 1e3), st.integers(2, 10**6), st.integers(0, 2 * 10**6)
)
def test_exponential_sweep_is_exact_to_1e12(low, high, num_steps, step):
    u = min(step, num_steps - 1) / (num_steps - 1)
    exact = low ** (1 - u) * high**u

    assert both(clrcore.exponential_sweep(low, high, num_steps), step) == pytest.approx(
        exact, rel=1e-12
    )


@given(rates, st.lists(st.integers(1, 10**6), min_size=1, max_size=5, unique=True), steps)
def test_stepwise_is_exact_to_four_ulp(lr, milestones, step):
    milestones = sorted(milestones)
    passed = sum(milestone <= step for milestone in milestones)

    value = both(clrcore.stepwise(lr, milestones), step)

    assert ulps(value, Fraction(lr) * Fraction(0.1) ** passed) <= ULPS


@given(halves(), steps)
def test_the_literal_caffe_listing_agrees(pair, step):
    """Appendix A of the paper, in fractions: cycle = itr/(2s), x = (itr - (2 cycle + 1) s)/s."""
    half, _ = pair
    cycle = step // (2 * half)
    x = Fraction(step - (2 * cycle + 1) * half, half)
    literal = 1 + 5 * max(Fraction(0), 1 - abs(x))

    assert ulps(clrcore.triangular(1.0, 6.0, half)(step), literal) <= ULPS


@pytest.mark.parametrize("low", [5e-324, 1e-8])
def test_sweeps_between_the_smallest_and_the_largest_float(low):
    """Neither an OverflowError nor a warning, which the test run would turn into an error."""
    policy = clrcore.exponential_sweep(low, 1.797e308, 11)

    assert policy(0) == low
    assert policy(5) == pytest.approx(math.sqrt(low) * math.sqrt(1.797e308), rel=1e-12)
    assert policy.values(0, 12) == pytest.approx([policy(step) for step in range(12)], rel=1e-12)
    assert policy(10) == policy(11) == 1.797e308


def test_rounding_does_not_put_a_long_sweep_below_its_first_rate():
    low = 0.28336255841399915  # where the formula alone ends 2e-16 of it too low
    assert clrcore.exponential_sweep(low, 55.687259883178164, 2**53).values(0, 1000).min() == low


@given(st.floats(1e-300, 1e-200), st.floats(1e200, 1e300), st.integers(2, 50))
def test_sweeps_over_hundreds_of_decades_rise(low, high, num_steps):
    policy = clrcore.exponential_sweep(low, high, num_steps)
    scalars = [policy(step) for step in range(num_steps)]

    assert scalars[0] == low
    assert scalars[-1] == high
    assert scalars == sorted(scalars)
    assert policy.values(0, num_steps) == pytest.approx(scalars, rel=1e-12)


def test_powers_below_the_smallest_float_are_still_factors():
    halved = clrcore.stepwise(1e300, list(range(1, 36)), factor=1e-10)
    many = clrcore.stepwise(1e3, list(range(1, 313)))

    assert ulps(halved(35), Fraction(1e300) * Fraction(1e-10) ** 35) <= ULPS
    assert ulps(many(312), Fraction(1e3) * Fraction(0.1) ** 312) <= ULPS
    assert clrcore.exponential(1e300, 0.5)(1100) == pytest.approx(1e300 * 2.0**-550 * 2.0**-550)


def test_the_largest_floats_are_bounds_too():
    policy = clrcore.smith_one_cycle(1.0, 1.7e308, 5)

    assert policy(np.arange(12)).tolist() == [policy(step) for step in range(12)]
    assert policy(5) == 1.7e308
