"""Windows and scales of the user's own."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from cases import each
from clrcore.scales import Exponential, Halving


def cubic(u):
    return u**3


def branching(u):
    """Fails on arrays, as many honest functions do."""
    return 0.0 if u < 0.5 else 1.0


def harmonic(cycle, step):
    return 1.0 / (1 + cycle)


def test_a_custom_window_shapes_both_halves():
    policy = clrcore.triangular(1.0, 2.0, 4, window=cubic)

    expected = [1, 1 + 1 / 64, 1.125, 1 + 27 / 64, 2, 1 + 27 / 64, 1.125, 1 + 1 / 64, 1]
    assert [policy(t) for t in range(9)] == expected
    assert policy.values(0, 9).tolist() == expected


@pytest.mark.parametrize("window", [branching, cubic, lambda u: math.sin(math.pi * u / 2) ** 2])
def test_scalars_and_arrays_agree_for_any_window(window):
    policy = clrcore.triangular2(0.001, 0.006, 7, 11, window=window)

    assert policy(np.arange(100)).tolist() == [policy(t) for t in range(100)]


def test_a_custom_scale_counts_cycles_from_0():
    policy = clrcore.cyclic(0.0, 1.0, 5, scale=harmonic)

    assert [policy(5 + 10 * cycle) for cycle in range(4)] == [1.0, 1 / 2, 1 / 3, 1 / 4]


def test_a_custom_scale_gets_python_ints_and_the_global_step():
    seen = []

    def spy(cycle, step):
        seen.append((cycle, step))
        return 1.0

    policy = clrcore.cyclic(0.0, 1.0, 5, scale=spy)
    seen.clear()
    policy(np.array([23, 7]))
    policy(31)

    assert seen == [(2, 23), (0, 7), (3, 31)]
    assert all(type(number) is int for pair in seen for number in pair)


@given(st.integers(0, 10**6))
def test_scalars_and_arrays_agree_for_any_scale(step):
    policy = clrcore.cyclic(0.001, 0.006, 50, scale=lambda cycle, step: 0.5**cycle)

    assert policy(np.array([step])).tolist() == [policy(step)]


def test_custom_functions_meet_other_libraries_arrays_as_they_are():
    xp = pytest.importorskip("array_api_strict")
    steps = xp.asarray([0, 1, 6])

    def scale(cycle, step):
        return (
            1.0 / (1 + cycle)
            if isinstance(cycle, int)
            else 1.0 / (xp.astype(cycle, xp.float64) + 1.0)
        )

    by_window = clrcore.triangular(0.0, 1.0, 2, window=lambda u: u * u)
    by_scale = clrcore.cyclic(0.0, 1.0, 2, scale=scale)

    assert np.asarray(by_window(steps)).tolist() == [0.0, 0.25, 1.0]
    assert np.asarray(by_scale(steps)).tolist() == [0.0, 0.5, 0.5]


@each(
    ("window", "message"),
    [
        (lambda u: u + 0.1, r"window\(0.0\) must be 0.0"),
        (lambda u: u * 0.5, r"window\(1.0\) must be 1.0"),
        (lambda u: 2 * u if u < 1 else 1.0, r"window\(0.\d+\) must be a number in \[0, 1\]"),
        (lambda u: -0.1 if 0 < u < 1 else u, r"window\(0.03125\) must be a number in \[0, 1\]"),
        (lambda u: math.nan, r"window\(0.0\) must be 0.0, got nan"),
        (lambda u: 1 / u, r"window\(0.0\) raised ZeroDivisionError: float division by zero"),
    ],
)
def test_windows_that_break_the_rules_are_refused(window, message):
    with pytest.raises(ValueError, match=message):
        clrcore.triangular(0.1, 1.0, 10, window=window)


@each("window", [lambda u: "high", lambda u: None, lambda u: 1j, lambda u: np.array([u])])
def test_windows_that_give_no_number_are_refused(window):
    with pytest.raises(TypeError, match=r"window\(0.0\) must be a number in \[0, 1\]"):
        clrcore.triangular(0.1, 1.0, 10, window=window)


def test_windows_may_miss_their_ends_by_rounding():
    policy = clrcore.triangular(0.1, 1.0, 10, window=lambda u: 1e-12 + u * (1 - 3e-12))
    below = clrcore.triangular(0.1, 1.0, 10, window=lambda u: u if u == 1.0 else -1e-10)

    furthest = clrcore.triangular(0.1, 1.0, 10, window=lambda u: u if u == 1.0 else -1e-9)
    above = clrcore.triangular(0.1, 1.0, 10, window=lambda u: u if u in (0.0, 1.0) else 1.0 + 1e-9)

    assert below.values(0, 10).tolist() == furthest.values(0, 10).tolist() == [0.1] * 10
    assert above.values(1, 10).tolist() == [1.0] * 9
    assert [policy(0), policy(10)] == [0.1, 1.0]
    assert policy.values(0, 11)[[0, 10]].tolist() == [0.1, 1.0]
    assert policy(np.array([0, 10])).tolist() == [0.1, 1.0]


def test_a_window_that_fails_later_says_where():
    policy = clrcore.triangular(0.1, 1.0, 1000, window=lambda u: math.nan if u == 0.001 else u)

    for step in (1, np.array([1])):
        with pytest.raises(ValueError, match=r"window\(0.001\) must be a number in \[0, 1\]"):
            policy(step)


@each("bad", [5.0, -0.1, math.nan, math.inf])
def test_scales_that_leave_their_range_are_refused(bad):
    with pytest.raises(ValueError, match=r"scale\(cycle=0, step=0\) must be a number in \[0, 1\]"):
        clrcore.cyclic(0.1, 1.0, 10, scale=lambda cycle, step: bad)
    with pytest.raises(ValueError, match=r"scale\(cycle=2, step=50\) must be a number in \[0, 1\]"):
        clrcore.cyclic(0.1, 1.0, 10, scale=lambda cycle, step: bad if step == 50 else 1.0)


def test_a_scale_that_fails_later_says_where():
    policy = clrcore.cyclic(0.1, 1.0, 10, scale=lambda cycle, step: 1 - 0.1 * cycle)

    with pytest.raises(ValueError, match=r"scale\(cycle=11, step=225\) must be a number"):
        policy(225)


def test_functions_that_fail_are_named():
    with pytest.raises(ValueError, match=r"scale\(cycle=0, step=0\) raised ZeroDivisionError"):
        clrcore.cyclic(0.1, 1.0, 10, scale=lambda cycle, step: 1 / cycle)
    with pytest.raises(TypeError, match=r"scale\(cycle=0, step=0\) raised TypeError"):
        clrcore.cyclic(0.1, 1.0, 10, scale=lambda cycle: 1.0)


def test_a_stage_is_asked_for_its_own_steps_only():
    """A scale that fails beyond its stage must not be tried there."""
    fading = clrcore.cyclic(0.1, 1.0, 10, scale=lambda cycle, step: 1 - step / 100)
    policy = clrcore.chain([(fading, 100), (clrcore.constant(0.1), None)])

    assert policy(np.array([5, 10**6])).tolist() == [policy(5), 0.1]


def test_callables_are_not_plain_data():
    for policy, name in (
        (clrcore.triangular(0.1, 1.0, 10, window=cubic), "window"),
        (clrcore.cyclic(0.1, 1.0, 10, scale=harmonic), "scale"),
        (clrcore.chain([(clrcore.cyclic(0.1, 1.0, 10, scale=harmonic), 5)]), "scale"),
    ):
        with pytest.raises(ValueError, match=rf"^{name} is the callable .*pickle"):
            policy.to_dict()


def test_policies_with_named_functions_are_values():
    import pickle

    policy = clrcore.cyclic(0.1, 1.0, 10, window=cubic, scale=harmonic)

    assert pickle.loads(pickle.dumps(policy)) == policy
    assert policy == clrcore.cyclic(0.1, 1.0, 10, window=cubic, scale=harmonic)
    assert hash(policy) == hash(clrcore.cyclic(0.1, 1.0, 10, window=cubic, scale=harmonic))
    assert policy != clrcore.cyclic(0.1, 1.0, 10, window=cubic)


def test_the_scales_are_factors_themselves():
    assert [Halving()(cycle, 0) for cycle in (0, 1, 10, 5000)] == [1.0, 0.5, 2**-10, 0.0]
    assert Exponential(0.5, "amplitude")(7, 3) == pytest.approx(0.125, rel=1e-15)
    assert repr(Exponential(0.5, "bounds")) == "Exponential(gamma=0.5, decays='bounds')"
    assert Halving() == Halving()
    assert len({hash(Halving()), hash(Exponential(0.5, "bounds")), hash(None)}) == 3
    assert Exponential(0.5, "bounds") != Exponential(0.5, "amplitude")
    assert Halving() != Exponential(0.5, "bounds")


def test_a_window_above_1_by_rounding_is_1():
    def window(u):
        return min(1.0, 2.0 * u) + (1e-13 if 0.5 <= u < 1.0 else 0.0)

    assert clrcore.triangular(0.0, 1.0, 4, window=window)(2) == 1.0
