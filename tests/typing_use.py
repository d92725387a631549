"""A user's program, for the type checker alone: what the public names give and take."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import clrcore


def use() -> None:
    policy = clrcore.triangular(0.001, 0.006, step_size=2000, window="hann")
    assert_type(policy(3), float)
    assert_type(policy(np.arange(3)), NDArray[np.float64])
    assert_type(policy.values(0, 10), NDArray[np.float64])
    assert_type(policy.period, int)
    assert_type(policy.total_steps, int | None)
    assert_type(policy.locate(3).cycle, int)
    assert_type(policy.locate(3).fraction, float)
    assert_type(policy.cycle_ends(100), list[int])
    assert_type(clrcore.policy_from_dict(policy.to_dict()), clrcore.Policy)

    stages: list[tuple[clrcore.Policy, int | None]] = [
        (policy, 8000),
        (clrcore.constant(0.1), None),
    ]
    chained = clrcore.chain(stages)
    scheduler = clrcore.Scheduler(chained)
    assert_type(scheduler.lr, float)
    assert_type(scheduler.step(), int | None)

    verdict = clrcore.CycleMonitor(policy).update(0.5)
    assert_type(verdict, clrcore.Verdict)
    assert_type(verdict.action, str)
    assert_type(clrcore.whole_cycles(total_steps=100, step_size=10).cycles, int)

    test = clrcore.RangeTest(clrcore.exponential_sweep(1e-6, 1.0, 300))
    for rate in test:
        assert_type(rate, float)
        test.record(loss=1.0)
    assert_type(test.curve, clrcore.Curve)
    assert_type(test.curve.lr, NDArray[np.float64])
    bounds = clrcore.suggest_bounds([test.curve, test.curve])
    assert_type(bounds, clrcore.Bounds)
    assert_type(bounds.lr_interval, tuple[float, float])
    assert_type(bounds.policy(step_size=2000), clrcore.Policy)
