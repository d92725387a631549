import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clrcore import smoothing
from clrcore.smoothing import difference_noise, local_lines, log_rates, smooth, thin


def test_log_rates_put_zero_one_step_below_the_smallest():
    assert log_rates(np.array([0.0, 0.01, 0.02])) == pytest.approx(
        [-2 - np.log10(2), -2, np.log10(0.02)]
    )
    assert log_rates(np.array([0.0, 0.1])).tolist() == [-2.0, -1.0]
    assert log_rates(np.array([0.0, 0.0])).tolist() == [0.0, 0.0]
    assert log_rates(np.array([1.0, 100.0])).tolist() == [0.0, 2.0]
    assert np.isfinite(log_rates(np.array([0.0, 5e-324, 1.7e308]))).all()


@given(
    n=st.integers(1, 400),
    slope=st.floats(-100, 100),
    span=st.floats(0.01, 1.0),
    power=st.floats(0.3, 3.0),
)
def test_straight_lines_come_back(n, slope, span, power):
    x = np.linspace(0.0, 1.0, n) ** power
    assert local_lines(x, slope * x + 1.0, span) == pytest.approx(slope * x + 1.0, abs=1e-8)


def test_a_spike_has_no_influence_and_a_step_stays_where_it_is():
    lr = np.geomspace(1e-4, 1.0, 201)
    values = np.linspace(0.0, 1.0, 201)
    spiked = values.copy()
    spiked[50] = 1e6
    assert smooth(lr, spiked) == pytest.approx(values, abs=1e-3)
    # Zero phase: a step is crossed in the middle, not later.
    step = smooth(
        lr, np.where(np.arange(201) < 100, 0.0, 1.0) + np.where(np.arange(201) == 100, -0.5, 0)
    )
    assert step[100] == pytest.approx(0.5, abs=0.1)


def test_noise_shrinks():
    noise = np.random.default_rng(1).normal(size=300)
    left = smooth(np.geomspace(1e-5, 1, 300), noise)
    assert left.std() < 0.35 * noise.std()
    assert difference_noise(noise) == pytest.approx(1.0, rel=0.2)


def test_reads_like_a_plain_fit_in_the_window():
    """Against weighted least squares written out, without outliers to weigh down."""
    x = np.sort(np.random.default_rng(2).random(40))
    y = np.sin(3 * x)
    k = round(0.3 * 40)
    for passes in (0, 2):
        smoothing.ROBUST_PASSES, before = passes, smoothing.ROBUST_PASSES
        try:
            ours = local_lines(x, y, 0.3)
        finally:
            smoothing.ROBUST_PASSES = before
        plain = []
        for at in x:
            near = np.argsort(np.abs(x - at))[:k]
            reach = np.abs(x[near] - at).max() * 1.001
            weight = (1 - np.abs((x[near] - at) / reach) ** 3) ** 3
            line = np.polyfit(x[near] - at, y[near], 1, w=np.sqrt(weight))
            plain.append(line[1])
        assert ours == pytest.approx(plain, abs=1e-9 if passes == 0 else 0.02)


def test_gaps_are_bridged_and_ends_without_values_are_nan():
    lr = np.geomspace(1e-3, 1, 60)
    values = np.log10(lr)
    values[[0, 1, 20, 40, 58, 59]] = [np.nan, np.inf, np.nan, -np.inf, np.nan, np.nan]
    smoothed = smooth(lr, values)
    assert np.isnan(smoothed[[0, 1, 58, 59]]).all()
    assert smoothed[2:58] == pytest.approx(np.log10(lr)[2:58])
    assert np.isnan(smooth(lr, np.full(60, np.nan))).all()
    assert smooth(np.array([]), np.array([])).size == 0


def test_order_and_equal_rates_do_not_matter():
    rng = np.random.default_rng(3)
    lr, values = np.geomspace(1e-3, 1, 80), rng.normal(size=80)
    order = rng.permutation(80)
    assert smooth(lr[order], values[order]) == pytest.approx(smooth(lr, values)[order])
    assert smooth(np.full(7, 0.1), np.arange(7.0)) == pytest.approx(np.full(7, 3.0))


@given(n=st.integers(1, 3000), seed=st.integers(0, 99), linear=st.booleans())
def test_thinning_keeps_few_points_near_the_curve(n, seed, linear):
    lr = np.linspace(1e-4, 1, n) if linear else np.geomspace(1e-4, 1, n)
    x = np.log10(lr)
    y = 5 * x + np.random.default_rng(seed).uniform(-0.01, 0.01, n)
    at, kept = thin(x, y)
    assert at.size <= smoothing.MOST_POINTS
    assert np.all(np.diff(at) > 0)
    assert kept == pytest.approx(5 * at, abs=0.06)
    if n <= smoothing.MOST_POINTS:
        assert at is x
        assert kept is y


def test_thinning_of_equal_rates():
    at, kept = thin(np.zeros(5000), np.ones(5000))
    assert at.size == 1000
    assert np.all(at == 0.0)
    assert np.all(kept == 1.0)


def test_a_million_points_are_smoothed():
    lr = np.linspace(1e-6, 1, 10**6)
    values = np.random.default_rng(4).normal(size=10**6) + np.log10(lr)
    smoothed = smooth(lr, values)
    assert np.abs(smoothed - np.log10(lr))[10**5 :].max() < 0.2  # approx would take seconds


def test_lines_stay_within_what_was_recorded():
    """A steep start that sparse rates stretch over a decade is not run out below its values."""
    lr = np.linspace(0.005, 1.5, 280)
    accuracy = 0.1 + 0.75 * np.minimum(1.0, lr / 0.2) ** 2

    smoothed = smooth(lr, accuracy)

    assert smoothed.min() >= accuracy.min()
    assert smoothed.max() <= accuracy.max()
