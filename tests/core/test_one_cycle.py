"""one_cycle against the phases of PyTorch's OneCycleLR, written out literally."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import clrcore
from cases import each


def pytorch(step, max_lr, total, form, pct, anneal, div, final_div):
    """What OneCycleLR computes: phase ends as floats, the last phase not clamped."""
    initial = max_lr / div
    minimum = initial / final_div
    if form == "two_phase":
        phases = [(float(pct * total) - 1, initial, max_lr), (total - 1, max_lr, minimum)]
    else:
        phases = [
            (float(pct * total) - 1, initial, max_lr),
            (float(2 * pct * total) - 2, max_lr, initial),
            (total - 1, initial, minimum),
        ]
    start = 0
    for i, (end, before, after) in enumerate(phases):
        if step <= end or i == len(phases) - 1:
            share = (step - start) / (end - start)
            if anneal == "cos":
                return after + (before - after) / 2.0 * (1 + math.cos(math.pi * share))
            return (after - before) * share + before
        start = end
    raise AssertionError


arguments = st.tuples(
    st.floats(1e-4, 10.0),
    st.one_of(st.integers(4, 40), st.integers(4, 10**5)),
    st.sampled_from(["two_phase", "three_phase"]),
    st.floats(0.01, 1.0),
    st.sampled_from(["cos", "linear"]),
    st.floats(0.5, 100.0),
    st.floats(1.0, 1e5),
)


@given(arguments, st.floats(0.0, 1.0))
def test_pytorchs_values_up_to_the_last_step(given_arguments, share):
    max_lr, total, form, pct, anneal, div, final_div = given_arguments
    pct = pct / 2 if form == "three_phase" else pct
    assume(pct * total > 1.001)
    assume(total - pct * total > 0.001)
    step = round(share * (total - 1))
    policy = clrcore.one_cycle(
        max_lr,
        total,
        form=form,
        pct_start=pct,
        anneal_strategy=anneal,
        div_factor=div,
        final_div_factor=final_div,
    )

    expected = pytorch(step, max_lr, total, form, pct, anneal, div, final_div)

    highest = max(max_lr, max_lr / div)
    assert policy(step) == pytest.approx(expected, rel=0, abs=2e-12 * highest)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_phases_that_rise_after_a_fall_start_where_the_fall_ends(anneal):
    """div_factor < 1 turns the phases round; 0.35 x 21 - 1 is no integer."""
    policy = clrcore.one_cycle(
        1.0, 21, form="three_phase", pct_start=0.35, anneal_strategy=anneal, div_factor=0.5
    )

    expected = [pytorch(t, 1.0, 21, "three_phase", 0.35, anneal, 0.5, 1e4) for t in range(21)]
    assert policy.values(0, 21) == pytest.approx(expected, abs=1e-12)


def test_pytorchs_own_test_values():
    """Ten steps, linear and cosine, two and three phases, from PyTorch's test suite."""
    linear = clrcore.one_cycle(
        25, 10, anneal_strategy="linear", pct_start=0.4, div_factor=25, final_div_factor=2
    )
    three = clrcore.one_cycle(
        25, 10, form="three_phase", anneal_strategy="linear", pct_start=0.4, div_factor=25
    )

    expected = [1, 9, 17, 25, 20.916666667, 16.833333333, 12.75, 8.666666667, 4.583333333, 0.5]
    assert linear.values(0, 10) == pytest.approx(expected, rel=1e-9)
    assert three.values(0, 10) == pytest.approx(
        [1, 9, 17, 25, 17, 9, 1, 0.66670, 0.33340, 1e-4], abs=1e-6
    )


def test_defaults_are_those_of_pytorch():
    """30 % of the run rise, from max_lr / 25, down to a ten-thousandth of that, as cosines."""
    policy = clrcore.one_cycle(1.0, 101)

    expected = [pytorch(t, 1.0, 101, "two_phase", 0.3, "cos", 25.0, 1e4) for t in range(101)]
    assert policy.values(0, 101) == pytest.approx(expected, abs=1e-12)


def test_the_next_rate_after_a_peak_between_two_steps_is_lower():
    assert [clrcore.one_cycle(1.0, 17).locate(step).rising for step in (3, 4)] == [True, False]


def test_past_the_end_the_last_rate_is_held():
    """PyTorch extrapolates: linear rates turn negative, cosine ones bounce back."""
    for anneal in ("linear", "cos"):
        policy = clrcore.one_cycle(1.0, 4, anneal_strategy=anneal)
        assert policy(3) == 1.0 / 25 / 1e4
        assert policy(4) == policy(3) == policy(10**12)


@each(
    ("total", "pct", "form", "first"),
    [
        (10, 0.1, "two_phase", 1.0),  # PyTorch: ZeroDivisionError
        (7, 0.1428571428571429, "two_phase", 1.0),  # times 7 is 1.0000000000000002
        (2, 0.5, "two_phase", 1.0),  # PyTorch: ZeroDivisionError
        (10, 0.0, "two_phase", 1.0),  # PyTorch: 0.98
        (10, 0.05, "two_phase", 1.0),  # PyTorch jumps
        (10, 0.1, "three_phase", 0.04),  # PyTorch: ZeroDivisionError
        (10, 0.0, "three_phase", 0.04),
        (1, 0.3, "two_phase", 4e-6),
    ],
)
def test_phases_without_length_are_left_out(total, pct, form, first):
    policy = clrcore.one_cycle(1.0, total, pct_start=pct, form=form)
    rates = policy.values(0, total).tolist()

    assert rates[0] == pytest.approx(first, rel=1e-15)
    assert rates[-1] == 1.0 / 25 / 1e4
    assert rates == sorted(rates, reverse=True)


def test_a_run_may_be_all_rise():
    """PyTorch raises ZeroDivisionError at the last step."""
    policy = clrcore.one_cycle(1.0, 10, pct_start=1.0, anneal_strategy="linear")

    assert policy.values(0, 12) == pytest.approx([*[0.04 + 0.96 * t / 9 for t in range(10)], 1, 1])
    assert policy(9) == 1.0


def test_the_peak_is_met_where_rounding_would_miss_it():
    """0.28 x 25 - 1 is 6.000000000000001 in float64."""
    policy = clrcore.one_cycle(0.7, 25, pct_start=0.28, anneal_strategy="linear")

    assert policy(6) == 0.7


def test_div_factor_below_one_starts_above_the_peak():
    policy = clrcore.one_cycle(1.0, 101, pct_start=0.5, div_factor=0.5)

    assert policy(0) == 2.0
    assert 1.0 < policy(25) < 2.0


def test_positions_tell_the_rise():
    policy = clrcore.one_cycle(1.0, 101, pct_start=0.5)

    assert policy.locate(0) == (0, 0, True, 0.0)
    assert policy.locate(48).rising
    assert not policy.locate(49).rising  # the peak is at 49.5
    assert policy.locate(101).fraction == 1.0
    assert policy.locate(10**400).fraction == 1.0
    assert clrcore.smith_one_cycle(0.1, 1.0, 50).locate(10**400).fraction == 1.0
    assert (policy.period, clrcore.smith_one_cycle(0.1, 1.0, 50).period) == (101, 100)
    assert policy.cycle_ends(100) == []
    assert policy.cycle_ends(101) == [101]
    assert clrcore.smith_one_cycle(0.1, 1.0, 50).locate(49) == (0, 49, True, 0.49)
    assert clrcore.linear_sweep(0.0, 1.0, 10).locate(9) == (0, 9, False, 0.9)
    assert clrcore.linear_sweep(0.0, 1.0, 10).locate(8).rising
    assert clrcore.constant(0.1).locate(7) == (0, 7, False, 0.0)
