"""The results of a case as plain data, for the terminal, the pictures and the page."""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import clrcore
from clr_adapters.cli.demo.data import TEST, TRAIN, VALIDATION
from clr_adapters.cli.demo.experiment import (
    EPOCH,
    LONG,
    RANGE_TEST_EPOCHS,
    RANGE_TEST_SEEDS,
    TRIANGULAR,
    Arm,
    Settings,
    best_constant,
    constant_name,
)
from clr_adapters.cli.demo.statistics import Estimate, estimate
from clr_adapters.cli.demo.training import History

from .arms import Case, above_name, peak_rule
from .claims import (
    BEST,
    CLAIMS,
    COLLAPSED,
    FURTHER,
    MARGIN,
    MEAN,
    around_peaks,
    count_collapsed,
    judge,
    overall,
)

Plain = dict[str, Any]
Floats = NDArray[np.float64]

RAW = ("curves", "runs")
"""What is left out of the copy that the docs keep."""


class Reached(NamedTuple):
    """Updates until a target: the median over seeds, infinite if most never reach it.

    Attributes:
        median: The median over seeds.
        never: Number of seeds that did not reach the target.
    """

    median: float
    never: int


def reached(steps: NDArray[np.int64], accuracy: Floats, target: float) -> Reached:
    """The first number of updates at which each seed's accuracy is at least `target`.

    Args:
        steps: Shape (evaluations,).
        accuracy: Shape (seeds, evaluations), in the unit of `target`.
        target: The accuracy to be reached.
    """
    there = accuracy >= target
    ever = there.any(axis=1)
    first = np.where(ever, steps[there.argmax(axis=1)], np.inf)
    return Reached(float(np.median(first)), int((~ever).sum()))


def of_case(
    case: Case,
    curves: Sequence[clrcore.Curve],
    bounds: clrcore.Bounds,
    peak: float,
    arms: Sequence[Arm],
    histories: Mapping[str, History],
    settings: Settings,
) -> Plain:
    """Rows, verdicts and differences of a case; every choice follows rules that were fixed."""
    final = {name: 100 * history.test[:, -1] for name, history in histories.items()}
    grid = [constant_name(lr) for lr in case.grid]
    above = [above_name(lr) for lr in case.above]
    chosen = best_constant(histories, case.grid)
    final[BEST] = final[constant_name(chosen)]
    final[MEAN] = np.mean([final[name] for name in grid], axis=0)
    target = float(final[LONG].mean()) - MARGIN
    tried = zip((*case.grid, *case.above), (*grid, *above), strict=True)
    stable = [lr for lr, name in tried if not count_collapsed(final[name])]
    test = RANGE_TEST_EPOCHS * EPOCH

    def row(name: str, source: str | None, tuning: int, steps: int) -> Plain:
        return _row(
            name, final, tuning, steps, None if source is None else histories[source], target
        )

    untuned = {*grid, *above}
    rows = [row(a.name, a.name, 0 if a.name in untuned else test, a.total_steps) for a in arms]
    after = 1 + max(i for i, arm in enumerate(arms) if arm.name in grid)
    # The choice on the validation rows replaces the tuning: the chosen run is one of the grid's.
    cost = (len(grid) - 1) * settings.short
    rows[after:after] = [
        row(MEAN, None, 0, settings.short),
        row(BEST, constant_name(chosen), cost, settings.short),
    ]
    findings = judge(case.key, final | around_peaks(100 * histories[TRIANGULAR].test))
    return {
        "title": case.title,
        "sweep": case.sweep.to_dict(),
        "bounds": bounds.to_dict(),
        "peak": {"lr": peak, **peak_rule(peak)._asdict()},
        "eye": case.eye._asdict(),
        "grid": list(case.grid),
        "above": list(case.above),
        "chosen": chosen,
        "largest_stable": max(stable, default=None),
        "target": target,
        "rows": rows,
        "findings": [
            {**found._asdict(), "difference": _interval(found.difference)} for found in findings
        ],
        "verdicts": {
            claim.title: overall(f.verdict for f in findings if f.claim == claim.title)
            for claim in CLAIMS
            if case.key in claim.cases
        },
        "further": [
            {
                "arm": arm,
                "against": against,
                "difference": _interval(estimate(final[arm] - final[against])),
            }
            for arm, against in FURTHER
            if arm in final and against in final
        ],
        "arms": {
            arm.name: {
                "policy": arm.policy.to_dict(),
                "total_steps": arm.total_steps,
                "rates_sha256": digest(histories[arm.name].rates),
            }
            for arm in arms
        },
        "curves": [curve.to_dict() for curve in curves],
        "runs": {
            arm.name: {
                "steps": histories[arm.name].steps.tolist(),
                # Counts over 500 or 1000 rows: three decimals are all there is.
                "test": histories[arm.name].test.round(6).tolist(),
                "validation": histories[arm.name].validation.round(6).tolist(),
            }
            for arm in arms
        },
    }


def of_all(cases: Mapping[str, Plain], settings: Settings) -> Plain:
    """The whole result; the same for the same seeds, on the same machine and versions."""
    return {
        "settings": {
            "seeds": list(settings.seeds),
            "range_test_seeds": list(settings.seeds[:RANGE_TEST_SEEDS]),
            "rows": {"train": TRAIN, "validation": VALIDATION, "test": TEST},
            "updates_per_epoch": EPOCH,
            "long_updates": settings.long,
            "short_updates": settings.short,
            "margin_points": MARGIN,
            "collapsed_below_percent": COLLAPSED,
        },
        "versions": {
            "clrcore": clrcore.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "machine": platform.machine(),
        },
        "cases": dict(cases),
    }


def evidence(result: Plain, run: Plain) -> Plain:
    """The data of the page: the result without curves and runs, and how it was run."""
    cases = {
        key: {name: value for name, value in case.items() if name not in RAW}
        for key, case in result["cases"].items()
    }
    return {"result": {**result, "cases": cases}, "run": run}


def digest(rates: Floats) -> str:
    """A fingerprint of rates, all bits of them."""
    return hashlib.sha256(np.ascontiguousarray(rates, dtype="<f8").tobytes()).hexdigest()


def _row(
    name: str,
    final: Mapping[str, Floats],
    tuning: int,
    steps: int,
    history: History | None,
    target: float,
) -> Plain:
    """One arm: tuning and training in updates, the tuning counted in until the target."""
    there = None if history is None else reached(history.steps, 100 * history.test, target)
    return {
        "name": name,
        "accuracy": _interval(estimate(final[name])),
        "difference": None if name == LONG else _interval(estimate(final[name] - final[LONG])),
        "worst": float(final[name].min()),
        "collapsed": count_collapsed(final[name]),
        "reached": None if there is None or math.isinf(there.median) else tuning + there.median,
        "never": None if there is None else there.never,
        "tuning": tuning,
        "training": steps,
    }


def _interval(value: Estimate | None) -> Plain | None:
    return None if value is None else {"mean": value.mean, "low": value.low, "high": value.high}
