"""Every argument of every public function and class is named where it is refused."""

import inspect

import numpy as np
import pytest

import clrcore
from cases import each
from clrcore.arguments import check_int
from constructors import ARGUMENTS
from curves import exponential

POLICY = clrcore.triangular(0.01, 0.1, 5)
BOUNDS = clrcore.suggest_bounds(exponential())
RUN = next(clrcore.Confirmation(0.1, 5))
TEST = clrcore.RangeTest()
COLUMNS = {"lr": [0.1, 0.2], "loss": [2.0, 1.0]}
TOTAL = {"total_steps": 100}

# Callables with valid arguments.
GOOD = [
    *((getattr(clrcore, name), arguments) for name, arguments in ARGUMENTS.items()),
    (clrcore.cyclic, {**ARGUMENTS["cyclic"], "scale": None}),
    (clrcore.Scheduler, {"policy": POLICY, "start": 3}),
    (clrcore.Scheduler(POLICY).jump, {"step": 3}),
    (
        clrcore.CycleMonitor,
        {"policy": POLICY, "mode": "max", "factor": 0.1, "patience": 1, "min_delta": 0.0}
        | {"min_cycles": 3, "max_lowerings": 2},
    ),
    (clrcore.CycleMonitor(POLICY).update, {"metric": 0.5}),
    (
        clrcore.RangeTest,
        {"sweep": clrcore.linear_sweep(0.1, 1.0, 9), "validate_every": 1, "steps_per_epoch": 2.0}
        | {"held_out": True, "stop_diverged": True},
    ),
    (TEST.next_rates, {"count": 1}),
    (
        clrcore.Confirmation,
        {"bounds_or_rate": 0.1, "num_steps": 9, "total_steps": 90, "kind": "constant", "seeds": 1}
        | {"max_updates": 90},
    ),
    (
        clrcore.BoundsSearch,
        {"default_lr": 0.1, "sweep": clrcore.linear_sweep(0.1, 1.0, 9), "max_updates": 900}
        | {"total_steps": 90, "kind": "constant", "seeds": 1, "validate_every": 1}
        | {"steps_per_epoch": 2.0, "held_out": True},
    ),
    (
        clrcore.SeededRangeTests,
        {"sweep": clrcore.linear_sweep(0.1, 1.0, 9), "seeds": 1, "validate_every": 1}
        | {"steps_per_epoch": 2.0, "held_out": True, "stop": True},
    ),
    (
        clrcore.Curve,
        COLUMNS
        | {"accuracy": [0.1, 0.2], "sweep": "linear", "steps_per_epoch": 2.0, "held_out": True}
        | {"updates": [0, 1]},
    ),
    (exponential().smoothed, {"metric": "loss"}),
    (clrcore.suggest_bounds, {"curves": exponential(), "rule": "loss"}),
    (
        clrcore.Bounds,
        {"base_lr": 0.01, "max_lr": 0.1, "lr": 0.05, "lr_interval": (0.0, 0.1)}
        | {"max_lr_interval": (0.0, 0.1), "rule": "loss", "reasons": [], "warnings": []}
        | {"trials": []},
    ),
    (BOUNDS.policy, {"step_size": 10, "kind": "triangular"}),
    (BOUNDS.policy, TOTAL | {"kind": "triangular", "base_lr": 0.0, "cycles": 2}),
    (BOUNDS.policy, TOTAL | {"kind": "triangular2", "base_lr": 0.0, "cycles": 2}),
    (BOUNDS.policy, TOTAL | {"kind": "warm_restarts", "base_lr": 0.0, "cycles": 2}),
    (BOUNDS.policy, TOTAL | {"kind": "wsd", "warm_up": 0.1, "cooldown": 0.1}),
    (BOUNDS.policy, TOTAL | {"kind": "one_cycle", "pct_start": 0.1, "div_factor": 2.0}),
    (BOUNDS.policy, TOTAL | {"kind": "linear"}),
    (BOUNDS.policy, TOTAL | {"kind": "cosine"}),
    (POLICY.values, {"start": 0, "stop": 5}),
    (POLICY.locate, {"step": 5}),
    (POLICY.cycle_ends, {"total_steps": 5}),
    (POLICY.completes, {"step": 5}),
    (POLICY.lowered, {"factor": 0.5}),
    (POLICY.opposed, {"low": 0.85, "high": 0.95}),
    (
        clrcore.convert_rate,
        {"lr": 0.1, "from_policy": POLICY, "to_policy": POLICY, "total_steps": 20},
    ),
    (clrcore.step_size_from_epochs, {"steps_per_epoch": 50, "epochs": 4.0}),
    (clrcore.whole_cycles, {"total_steps": 100, "cycles": 4}),
    (clrcore.whole_cycles, {"step_size": 10, "cycles": 4}),
    (clrcore.range_tests, {"run": len, "settings": ["a"], "executor": None}),
]
CASES = [(function, good, name) for function, good in GOOD for name in good]


@each(("function", "good"), GOOD)
def test_the_arguments_are_valid(function, good):
    assert set(good) <= set(inspect.signature(function).parameters) or function == BOUNDS.policy
    function(**good)


@each(("function", "good", "name"), CASES)
def test_a_wrong_argument_is_named(function, good, name):
    wrong = object()
    with pytest.raises(TypeError) as caught:
        function(**good | {name: wrong})
    assert isinstance(caught.value, clrcore.ArgumentError)
    assert caught.value.argument == name
    assert caught.value.got is wrong
    assert str(caught.value).startswith(name)


def test_the_ends_of_a_range_count():
    assert check_int("n", np.int64(5), 5, 5) == 5
    data = clrcore.TrialResult(0.1, 0, (1.0,)).to_dict()
    with pytest.raises(ValueError, match="lr must be"):
        clrcore.TrialResult.from_dict(data | {"lr": 0.0})
