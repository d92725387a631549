"""Published values: the paper, Smith's training logs, the test values of PyTorch and TFA."""

import numpy as np
import pytest

import clrcore
from cases import each


@each(
    ("step", "rate"),
    [(0, 0.1), (100, 0.158), (1000, 0.68), (2400, 1.492), (2500, 1.55), (9900, 0.158)],
)
def test_smiths_logged_triangular_run(step, rate):
    assert clrcore.triangular(0.1, 3.0, 5000)(step) == pytest.approx(rate, rel=1e-6)


def test_smiths_logged_ramps_are_half_a_triangle():
    ramp = clrcore.triangular(0.0, 2.0, 80_000)
    shorter = clrcore.triangular(0.0, 3.0, 20_000)

    # Caffe computes in float32: its log has .00250006 for .0025.
    assert [ramp(100), ramp(79_900)] == pytest.approx([0.0025, 1.9975], rel=3e-5)
    assert [shorter(100), shorter(19_900)] == pytest.approx([0.015, 2.985], rel=1e-6)


@pytest.mark.parametrize(
    ("bounds", "step_size", "logged"),
    [
        (
            (0.1, 1.0),
            2246,
            {
                800: 0.42057,
                1600: 0.74114,
                2400: 0.931434,
                4000: 0.219056,
                4400: 0.0409617,
                4600: 1e-4,
            },
        ),
        ((0.1, 1.2), 3417, {400: 0.228768, 3600: 1.13573, 6800: 0.0119403, 7000: 1e-4}),
        ((0.002, 0.02), 2246, {4400: 0.000819235, 4600: 2e-6}),
    ],
)
def test_smiths_logged_one_cycle_runs(bounds, step_size, logged):
    policy = clrcore.smith_one_cycle(*bounds, step_size)

    assert [policy(step) for step in logged] == pytest.approx(list(logged.values()), rel=5e-6)


@pytest.mark.parametrize(
    ("step_size", "logged"),
    [
        (2246, {800: 0.914381, 2400: 0.856857, 4600: 0.947596, 4800: 0.943143}),
        (3417, {7000: 0.947571}),
    ],
)
def test_smiths_logged_momenta_are_a_triangular2_upside_down(step_size, logged):
    height = clrcore.triangular2(0.0, 1.0, step_size)

    momenta = [0.95 - 0.1 * height(step) for step in logged]

    assert momenta == pytest.approx(list(logged.values()), abs=5e-7)


@pytest.fixture
def table2():
    return clrcore.chain(
        [
            (clrcore.triangular2(0.001, 0.005, 2000), 16_000),
            (clrcore.triangular2(0.0001, 0.0005, 1000), 6_000),
            (clrcore.triangular2(0.00001, 0.00005, 500), 3_000),
        ]
    )


def test_table_2_has_its_peaks(table2):
    peaks = [2000 + 4000 * c for c in range(4)]
    peaks += [17_000 + 2000 * c for c in range(3)]
    peaks += [22_500 + 1000 * c for c in range(3)]
    expected = [5e-3, 3e-3, 2e-3, 1.5e-3, 5e-4, 3e-4, 2e-4, 5e-5, 3e-5, 2e-5]

    assert table2(np.array(peaks)) == pytest.approx(expected, rel=1e-15)
    assert [table2(16_000), table2(22_000)] == [0.0001, 0.00001]


def test_table_2_has_the_last_updates_of_its_stages(table2):
    last = [table2(step) for step in (15_999, 21_999, 24_999)]

    assert last == pytest.approx([0.00100025, 0.0001001, 0.00001002], rel=1e-12)


def test_table_2_has_ten_cycles(table2):
    assert table2.cycle_ends(25_000) == [
        *(4000, 8000, 12_000, 16_000, 18_000, 20_000, 22_000, 23_000, 24_000, 25_000)
    ]
    assert table2.locate(22_500).cycle == 7


def test_the_papers_exponential_factors():
    factors = [
        clrcore.exponential(1.0, 0.99994)(42_000),
        clrcore.exponential(1.0, 0.999995)(300_000),
        clrcore.exponential(1.0, 0.99998)(240_000),
    ]

    assert factors == pytest.approx([0.08045, 0.2231, 0.008229], rel=5e-4)


def test_the_two_readings_of_exp_range():
    amplitude = clrcore.exp_range(0.001, 0.006, 2000, gamma=0.99994, decays="amplitude")
    both = clrcore.exp_range(0.001, 0.006, 2000, gamma=0.99994, decays="bounds")
    factor = 0.99994**42_000

    assert amplitude(42_000) == pytest.approx(0.001 + 0.005 * factor, rel=1e-12)
    assert both(42_000) == pytest.approx(0.006 * factor, rel=1e-12)


def test_the_headline_peak_is_not_rounded_up():
    """0.01 + (0.026 - 0.01) is 0.026000000000000002 in float64."""
    assert clrcore.triangular(0.01, 0.026, 30_000)(30_000) == 0.026


TRIANGLE = [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0, 0.25, 0.5, 0.75, 1]


def test_pytorch_triangular_values():
    policy = clrcore.triangular(1.0, 5.0, 4)

    assert policy.values(0, 11).tolist() == [1, 2, 3, 4, 5, 4, 3, 2, 1, 2, 3]


def test_pytorch_unequal_halves():
    policy = clrcore.triangular(1.0, 5.0, 4, 6)

    expected = [1, 2, 3, 4, 5, 13 / 3, 11 / 3, 3, 7 / 3, 5 / 3, 1]
    assert policy.values(0, 11) == pytest.approx(expected, rel=1e-15)


def test_pytorch_triangular2_values():
    policy = clrcore.triangular2(1.0, 5.0, 4)

    expected = [1, 2, 3, 4, 5, 4, 3, 2, 1, 1.5, 2, 2.5, 3, 2.5, 2, 1.5, 1, 1.25, 1.5, 1.75, 2]
    assert policy.values(0, 21).tolist() == expected


def test_pytorch_exp_range_values_count_from_the_start_of_training():
    policy = clrcore.exp_range(1.0, 5.0, 4, gamma=0.9, decays="amplitude")

    expected = [1 + 4 * x * 0.9**t for t, x in enumerate(TRIANGLE)]
    assert policy.values(0, 13) == pytest.approx(expected, rel=1e-14)


def test_pytorch_triangular2_crash_site():
    """CyclicLR(step_size_up=5) raises OverflowError at step 10,240."""
    policy = clrcore.triangular2(0.01, 0.1, 5)

    assert policy(10_240) == 0.01
    assert 0.01 <= policy(10_245) < 0.0100000001
    assert policy(10**12 + 5) == 0.01


@pytest.mark.parametrize("step_size", [2000, 4000])
def test_tensorflow_addons_values(step_size):
    """Their tests: base .1, maximum 1, heights |x| of the triangle over three cycles."""
    steps = np.arange(3 * 2 * step_size + 1)
    heights = np.concatenate(
        [np.r_[np.linspace(0, 1, step_size + 1)[:-1], np.linspace(1, 0, step_size + 1)[:-1]]] * 3
        + [[0.0]]
    )
    cycle = steps // (2 * step_size)

    triangular = clrcore.triangular(0.1, 1.0, step_size)
    triangular2 = clrcore.triangular2(0.1, 1.0, step_size)
    exponential = clrcore.exp_range(0.1, 1.0, step_size, gamma=0.996, decays="amplitude")
    by_cycle = clrcore.cyclic(0.1, 1.0, step_size, scale=lambda cycle, step: 1 / 5 ** (cycle * 0.1))

    for policy, scale in (
        (triangular, 1.0),
        (triangular2, 0.5**cycle),
        (exponential, 0.996**steps),
        (by_cycle, 1 / 5 ** (cycle * 0.1)),
    ):
        np.testing.assert_allclose(policy(steps), 0.1 + 0.9 * heights * scale, rtol=1e-12)


def test_sgdr_restarts_that_a_logarithm_misses():
    """floor(log(243, 3)) is 4, so closed forms by logarithm restart one update late."""
    policy = clrcore.warm_restarts(0.0, 1.0, 1, multiplier=3)

    starts = [(3**n - 1) // 2 for n in range(30)]

    assert [policy(start) for start in starts] == [1.0] * 30
    assert policy(np.array(starts)).tolist() == [1.0] * 30
    assert [policy.locate(start).cycle for start in starts] == list(range(30))
    assert policy.period is None
    assert clrcore.warm_restarts(0.0, 1.0, 7).period == 7
