"""Cycle ends: when to go on, lower, stop."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from cases import each

ENDLESS = clrcore.triangular(0.001, 0.006, 10)


def actions(metrics, policy=ENDLESS, **options):
    monitor = clrcore.CycleMonitor(policy, **options)
    return [monitor.update(metric).action for metric in metrics]


def test_it_goes_on_while_the_metric_improves():
    assert actions([0.1 * i for i in range(20)]) == ["continue"] * 20


def test_it_lowers_twice_and_then_stops():
    flat = ["continue", "continue", "lower"] * 2 + ["continue", "continue", "stop"]

    assert actions([0.5] * 9) == flat


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 4), st.integers(3, 6))
def test_bounds_stay_for_at_least_three_cycles(metrics, patience, min_cycles):
    judged = actions(metrics, patience=patience, min_cycles=min_cycles, max_lowerings=100)

    changes = [-1] + [i for i, action in enumerate(judged) if action == "lower"]
    assert all(b - a >= min_cycles for a, b in pairwise(changes))


def test_lower_is_better_in_mode_min():
    assert actions([3.0, 2.0, 1.0, 0.5], mode="min") == ["continue"] * 4
    assert actions([1.0, 2.0, 3.0], mode="min") == ["continue", "continue", "lower"]


def test_small_gains_do_not_count():
    assert actions([0.5, 0.51, 0.52], min_delta=0.05)[-1] == "lower"
    assert actions([0.5, 0.56, 0.62], min_delta=0.05)[-1] == "continue"


def test_patience_spans_cycles():
    assert actions([0.9, 0.5, 0.5, 0.5, 0.5], patience=4) == ["continue"] * 4 + ["lower"]


def test_the_verdict_says_factor_and_reason():
    monitor = clrcore.CycleMonitor(ENDLESS, factor=0.5)

    first, second, third = (monitor.update(metric) for metric in (0.7, 0.6, 0.65))

    assert first == ("continue", 1.0, "after 1 cycle: 0.7 is the best so far")
    assert second.reason == (
        "after 2 cycles: 0.6 after 0.7, no improvement for 1 cycle, but the bounds stay for at "
        "least 3 cycles"
    )
    assert third == (
        "lower",
        0.5,
        "after 3 cycles: 0.65 after 0.7, no improvement for 2 cycles; multiply both bounds by 0.5",
    )


def test_a_stop_says_how_often_the_bounds_were_lowered():
    monitor = clrcore.CycleMonitor(ENDLESS, max_lowerings=0)
    verdicts = [monitor.update(0.5) for _ in range(3)]

    assert verdicts[-1].action == "stop"
    assert verdicts[-1].reason.endswith("and the bounds were lowered 0 times already")


@pytest.mark.parametrize("metric", [math.nan, math.inf, -math.inf])
def test_a_run_that_blew_up_stops(metric):
    verdict = clrcore.CycleMonitor(ENDLESS).update(metric)

    assert (verdict.action, verdict.factor) == ("stop", 1.0)
    assert verdict.reason == f"after 1 cycle: the metric is {metric}"


@each(
    ("policy", "cycles"),
    [
        (clrcore.one_cycle(1.0, 100), 1),
        (clrcore.chain([(clrcore.warm_restarts(0.1, 1.0, 3, multiplier=2), 22)]), 3),
        (clrcore.chain([(ENDLESS, 40), (ENDLESS, 20)]), 3),
        (clrcore.chain([(ENDLESS, 30), (ENDLESS, 50)]), 3),
        (clrcore.chain([(clrcore.constant(0.1), 5), (ENDLESS, 40), (ENDLESS, 7)]), 2),
        (clrcore.chain([(ENDLESS, 40), (clrcore.constant(0.1), None)]), None),
    ],
)
def test_it_stops_after_the_policys_last_cycle(policy, cycles):
    judged = actions([0.1 * i for i in range(cycles or 10)], policy)

    assert judged == ["continue"] * (len(judged) - bool(cycles)) + ["stop"] * bool(cycles)


@given(st.lists(st.floats(0, 1), max_size=20), st.lists(st.floats(0, 1), max_size=20))
def test_saving_and_loading_goes_on_the_same(before, after):
    monitor = clrcore.CycleMonitor(ENDLESS)
    for metric in before:
        monitor.update(metric)
    twin = clrcore.CycleMonitor(ENDLESS)
    twin.load_state_dict(json.loads(json.dumps(monitor.state_dict())))

    assert [twin.update(metric) for metric in after] == [monitor.update(m) for m in after]


STATE = clrcore.CycleMonitor(ENDLESS).state_dict()


@each(
    ("state", "message"),
    [
        (STATE | {"version": 9}, "state has version 9"),
        (STATE | {"mode": "min"}, r"state\['mode'\] must be 'max', got 'min'"),
        (STATE | {"best": math.nan}, r"state\['best'\] must be"),
        (STATE | {"cycles": -1}, r"state\['cycles'\] must be"),
        (STATE | {"cycles_at_bounds": 1}, r"state\['cycles_at_bounds'\] must be .* from 0 to 0"),
        (STATE | {"stale": 1}, r"state\['stale'\] must be"),
        (STATE | {"cycles": 99, "lowerings": 3}, r"state\['lowerings'\] must be .* from 0 to 2"),
        (STATE | {"cycles": 5, "lowerings": 2}, r"state\['lowerings'\] must be .* from 0 to 1"),
        ({"version": 1}, "state lacks"),
    ],
)
def test_wrong_states_change_nothing(state, message):
    monitor = clrcore.CycleMonitor(ENDLESS)
    monitor.update(0.5)
    before = monitor.state_dict()

    with pytest.raises(ValueError, match=message):
        monitor.load_state_dict(state)

    assert monitor.state_dict() == before


@each(
    ("options", "kind", "message"),
    [
        ({"policy": clrcore.constant(0.1)}, ValueError, "policy must be one with cycles"),
        ({"policy": clrcore.linear_sweep(0.0, 1.0, 5)}, ValueError, "policy must be one with"),
        ({"policy": 0.1}, TypeError, "policy must be a policy of clrcore"),
        ({"mode": "best"}, ValueError, "mode must be one of 'max', 'min'"),
        ({"factor": 1.0}, ValueError, r"factor must be a finite number in \(0, 1\)"),
        ({"factor": 0.0}, ValueError, r"factor must be a finite number in \(0, 1\)"),
        ({"patience": 0}, ValueError, "patience must be an integer >= 1"),
        ({"min_delta": -1.0}, ValueError, "min_delta must be a finite number >= 0"),
        ({"min_cycles": 2}, ValueError, "min_cycles must be an integer >= 3"),
        ({"max_lowerings": -1}, ValueError, "max_lowerings must be an integer >= 0"),
    ],
)
def test_bad_arguments_are_refused(options, kind, message):
    with pytest.raises(kind, match=message):
        clrcore.CycleMonitor(**{"policy": ENDLESS} | options)


@each("metric", ["0.5", None, True, [0.5]])
def test_bad_metrics_are_refused_and_not_counted(metric):
    monitor = clrcore.CycleMonitor(ENDLESS)

    with pytest.raises(TypeError, match="metric must be a number"):
        monitor.update(metric)

    assert monitor.state_dict() == STATE


def test_arrays_of_no_dimension_are_metrics():
    import numpy as np

    monitor = clrcore.CycleMonitor(ENDLESS)

    assert monitor.update(np.array(0.5)).action == monitor.update(np.float32(0.5)).action
    assert repr(monitor) == "CycleMonitor after 2 cycles, best metric 0.5"
    assert monitor.policy is ENDLESS


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=30))
def test_only_lowering_has_a_factor(metrics):
    monitor = clrcore.CycleMonitor(clrcore.chain([(ENDLESS, 800)]))

    for metric in metrics:
        verdict = monitor.update(metric)
        assert verdict.factor == (0.1 if verdict.action == "lower" else 1.0)
        assert verdict.reason.startswith("after ")


def test_the_policys_end_is_a_reason_to_stop():
    monitor = clrcore.CycleMonitor(clrcore.one_cycle(1.0, 100))

    assert monitor.update(0.5) == ("stop", 1.0, "after 1 cycle: the policy has no more")
    assert monitor.update(0.6).action == "stop"


def test_a_policy_of_very_many_cycles_is_judged_without_a_list_of_them():
    policy = clrcore.chain([(clrcore.triangular(0.1, 1.0, 1), 10**15), (ENDLESS, 40)])

    assert clrcore.CycleMonitor(policy).update(0.5).action == "continue"


def test_after_lowering_patience_begins_anew():
    assert actions([0.5] * 9, patience=2, min_cycles=3) == (
        ["continue"] * 2 + ["lower"] + ["continue"] * 2 + ["lower"] + ["continue"] * 2 + ["stop"]
    )
    waited = actions([0.5] * 9, patience=4)
    assert [i for i, action in enumerate(waited) if action == "lower"] == [4, 8]


def test_the_mode_is_known():
    policy = clrcore.triangular(0.001, 0.006, step_size=2)
    assert [clrcore.CycleMonitor(policy, mode=mode).mode for mode in ("max", "min")] == [
        "max",
        "min",
    ]
