"""`values`: the formula's rates, at memory speed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clrcore
from clrcore import _fill


@given(
    st.sampled_from(["triangular", "welch", "hann"]),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(0, 2000),
    st.integers(0, 2000),
)
def test_values_are_the_formula_bit_for_bit(window, up, down, start, length):
    policy = clrcore.triangular(0.01, 0.026, up, down, window=window)

    values = policy.values(start, start + length)

    assert values.dtype == np.float64
    assert values.tolist() == policy(np.arange(start, start + length)).tolist()


@pytest.mark.parametrize("window", ["triangular", "welch"])
@pytest.mark.parametrize("halves", [(40_000, 40_000), (100_000, 3), (70_000, 90_000), (10**7, 5)])
def test_long_ramps_are_the_formula_bit_for_bit(window, halves):
    policy = clrcore.triangular(0.001, 0.006, *halves, window=window)

    for start, length in ((0, 250_000), (39_990, 50_000), (139_999, 10), (99_000, 101_003)):
        values = policy.values(start, start + length)
        assert np.array_equal(values, policy(np.arange(start, start + length)))


@pytest.mark.parametrize(
    "halves", [(16_384, 16_384), (16_385, 16_385), (65_536, 65_536), (100_000, 30), (10**12, 7)]
)
@pytest.mark.parametrize("bounds", [(0.001, 0.006), (0.0, 1.0), (1.0, 1.0 + 1e-12), (0.3, 0.3)])
def test_long_hann_ramps_agree_within_ulps_of_the_bound(halves, bounds):
    policy = clrcore.triangular(*bounds, *halves, window="hann")
    period = policy.period

    for start, length in ((0, 70_000), (65_530, 12), (max(0, period - 40_000), 80_000)):
        steps = np.arange(start, start + length)
        values = policy.values(start, start + length)
        assert np.abs(values - policy(steps)).max() <= 4 * np.spacing(bounds[1])
        assert values.min() >= bounds[0]
        assert values.max() <= bounds[1]


@settings(max_examples=20)
@given(st.integers(0, 400_000), st.integers(1, 70_000), st.integers(0, 1000))
def test_a_steps_rate_does_not_depend_on_the_range_asked_for(start, length, offset):
    policy = clrcore.triangular(0.001, 0.006, 150_000, window="hann")

    whole = policy.values(start, start + offset + length)

    assert np.array_equal(policy.values(start + offset, start + offset + length), whole[offset:])


@pytest.mark.parametrize("bounds", [(0.01, 0.026), (0.0, 1e-310), (1.0, 1.0 + 1e-15)])
@pytest.mark.parametrize("window", ["triangular", "welch", "hann"])
@pytest.mark.parametrize("halves", [(10**9, 10**9), (5, 10**9), (10**9, 5)])
def test_long_ramps_stay_below_their_peak(bounds, window, halves):
    """Heights that round to 1 before the peak must not round above max_lr."""
    policy = clrcore.triangular(*bounds, *halves, window=window)
    peak = policy.step_size

    for start in (max(0, peak - 50_000), peak, policy.period - 50_000):
        values = policy.values(start, start + 50_000)
        assert bounds[0] <= values.min() <= values.max() <= bounds[1]
        if window != "hann":
            assert np.array_equal(values, policy(np.arange(start, start + 50_000)))


def test_the_ends_of_long_hann_ramps_are_exact():
    policy = clrcore.triangular(0.01, 0.026, 100_000, window="hann")

    values = policy.values(0, 200_001)

    assert values[[0, 100_000, 200_000]].tolist() == [0.01, 0.026, 0.01]
    assert values[1:100_000].tolist() == values[199_999:100_000:-1].tolist()


def test_custom_windows_are_filled_too():
    policy = clrcore.triangular(0.0, 1.0, 7, 5, window=lambda u: u**3)

    assert policy.values(3, 40).tolist() == policy(np.arange(3, 40)).tolist()


def test_values_are_the_callers_to_change():
    policy = clrcore.triangular(0.0, 1.0, 10)
    policy.values(0, 20)[:] = -1

    assert policy.values(0, 20).min() == 0.0


def test_pieces_and_tiles_are_crossed_by_these_tests():
    assert _fill.PIECE < 40_000
    assert _fill.ROWS * _fill.COLUMNS < 70_000
    assert _fill.DIRECT_COSINES < 16_385
