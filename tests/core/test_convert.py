"""Peaks of one schedule from those of another."""

import math

import pytest

import clrcore
from cases import each

T = 10_000
CONSTANT = clrcore.constant(0.3)


@each(
    ("policy", "ratio"),
    [
        (clrcore.constant(1e-5), 1.0),
        (clrcore.decay(1.0, 0.0, T), 3.28),
        (clrcore.cosine(1.0, 0.0, T), 3.19),
        (clrcore.one_cycle(0.1, T), 2.99),
        (clrcore.triangular2(0.25, 1.0, T // 8), 2.75),
        (clrcore.warm_restarts(0.0, 1.0, T // 4), 2.63),
        (clrcore.triangular(0.25, 1.0, T // 8), 1.87),
        (clrcore.cooldown(clrcore.constant(1.0), 8000, 2000), 1.69),
    ],
)
def test_ratios_of_peaks_to_the_best_constant_rate(policy, ratio):
    """Computed apart from this code, with shapes that may differ by half a percent."""
    assert clrcore.convert_rate(2.0, CONSTANT, policy, T) / 2.0 == pytest.approx(ratio, rel=0.005)
    assert clrcore.convert_rate(ratio, policy, CONSTANT, T) == pytest.approx(1.0, rel=0.005)


@each("steps", [1, 2, 3, 7])
def test_the_sums_are_those_of_the_bound(steps):
    policy = clrcore.triangular(0.0, 0.3, 3, 2)

    def bound(rates):
        shape = [rate / max(rates) for rate in rates if rate > 0]
        a = sum(s * s for s in shape) / sum(shape)
        for k in range(len(shape) - 1):
            squares = sum(s * s for s in shape[k:]) / sum(shape[k:])
            a += shape[k] / sum(shape[k + 1 :]) * squares
        return sum(shape) * a

    rates = [policy(step + 1) for step in range(steps)]
    later = clrcore.chain([(clrcore.linear_sweep(0.1, 0.2, 5), 3), (policy, None)])
    started = [0.1, 0.125, 0.15, *(policy(step) for step in range(steps))]
    expected = math.sqrt(bound([1.0] * (3 + steps)) / bound(started))
    assert clrcore.convert_rate(1.0, CONSTANT, later, 3 + steps) == pytest.approx(expected)
    assert max(rates) <= 0.3


@each(
    ("change", "kind", "message"),
    [
        ({"lr": 0.0}, ValueError, "lr must be a finite number > 0"),
        ({"lr": "0.1"}, TypeError, "lr must be"),
        ({"from_policy": 0.1}, TypeError, "from_policy must be a policy"),
        ({"to_policy": None}, TypeError, "to_policy must be a policy"),
        ({"total_steps": 0}, ValueError, "total_steps must be an integer from 1"),
        ({"to_policy": clrcore.constant(0.0)}, ValueError, "to_policy must be .* rate > 0"),
        *(
            (
                {"to_policy": clrcore.chain([(clrcore.constant(1e300), 5), (end, None)])},
                ValueError,
                "to_policy must be a policy whose rates do not fall by 300 decades",
            )
            for end in (clrcore.constant(1e-10), clrcore.constant(1e-300))
        ),
    ],
)
def test_bad_arguments_are_refused(change, kind, message):
    good = {"lr": 0.1, "from_policy": CONSTANT, "to_policy": CONSTANT, "total_steps": 10}

    with pytest.raises(kind, match=message):
        clrcore.convert_rate(**good | change)
