"""The answers to some curves, number by number: a change of them is meant, never by chance.

`python tests/core/test_bounds_goldens.py` writes them anew.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import clrcore

sys.path.append(str(Path(__file__).parents[1]))  # where the tests' own modules are
from cases import each
from curves import accuracies, exponential, losses, ramp

FILE = Path(__file__).with_suffix(".json")
LINEAR = np.linspace(0.01, 3.0, 300)
CURVES = {
    "exponential": exponential(),
    "noisy": exponential(n=300, noise=0.3, seed=1),
    "few points": exponential(n=40, noise=0.05),
    "every tenth update": exponential(n=80, updates=10),
    "no end": exponential(lost=1e6),
    "slow start": clrcore.Curve(exponential().lr, exponential(noise=0.001).loss + 30.0),
    "start not seen": exponential(n=150, low=0.005),
    "many points": exponential(n=4000, noise=0.2, seed=3),
    "fast": exponential(n=100, low=1e-9, high=1e3),
    "below zero": clrcore.Curve(exponential().lr, exponential().loss - 5.0),
    "cut off": clrcore.Curve(
        exponential().lr, np.where(exponential().lr > 0.7, np.nan, exponential().loss)
    ),
    "linear": clrcore.Curve(LINEAR, losses(LINEAR, best=1.0, lost=2.0)),
    "accuracy": ramp(),
    "accuracy and loss": ramp(loss=True),
    "accuracy now and then": clrcore.Curve(
        LINEAR,
        accuracy=np.where(np.arange(300) % 6 == 5, accuracies(LINEAR), np.nan),
        held_out=True,
    ),
    "accuracy on an exponential ramp": clrcore.Curve(
        exponential().lr, accuracy=accuracies(exponential().lr), held_out=True
    ),
}
SEVERAL = {
    "seeds": [exponential(noise=0.1, seed=seed) for seed in range(5)],
    "seeds, two without an answer": [
        *(exponential(noise=0.1, seed=seed) for seed in range(3)),
        *(clrcore.Curve(exponential().lr, np.full(200, 2.3 + k)) for k in range(2)),
    ],
    "seeds that differ": [exponential(best=best) for best in (0.02, 0.1, 0.5)],
    "ramps": [ramp(loss=True), ramp(n=400, loss=True)],
}


def answer(curves, rule):
    """The numbers of an answer, or the kind of a refusal."""
    try:
        bounds = clrcore.suggest_bounds(curves, rule=rule)
    except clrcore.NoBoundsError as error:
        return error.kind
    names = ("base_lr", "lr", "max_lr", "lr_interval", "max_lr_interval")
    numbers = np.hstack([getattr(bounds, name) for name in names])
    return {
        "rule": bounds.rule,
        "numbers": [float(f"{number:.7g}") for number in numbers],
        "warnings": sorted(warning.kind for warning in bounds.warnings),
    }


def rules_of(curves):
    if any(curve.loss is not None and np.ptp(curve.loss[:-1]) == 0.0 for curve in curves):
        return ["auto", "loss"]  # foreign rules answer a flat curve, by the last bit of its slope
    known = [clrcore.bound_rules()[name][1] for name in clrcore.bound_rules()]
    kept = [
        name
        for name, metric in zip(clrcore.bound_rules(), known, strict=True)
        if all(getattr(curve, metric) is not None for curve in curves)
    ]
    return ["auto", *kept]


ALL = {name: [curve] for name, curve in CURVES.items()} | SEVERAL


@each("name", ALL)
def test_the_answers_are_those_of_before(name):
    before = json.loads(FILE.read_text())[name]
    assert list(before) == rules_of(ALL[name])
    for rule, expected in before.items():
        found = answer(ALL[name], rule)
        if isinstance(expected, dict):
            # Other processors round exp and log differently.
            expected = expected | {"numbers": pytest.approx(expected["numbers"], rel=1e-5)}
        assert found == expected, rule


if __name__ == "__main__":
    answers = {
        name: {rule: answer(curves, rule) for rule in rules_of(curves)}
        for name, curves in ALL.items()
    }
    FILE.write_text(json.dumps(answers, indent=1) + "\n")
