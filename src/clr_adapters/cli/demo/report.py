"""What the demo reports: a sentence to take home, a table, plain sentences, all numbers as JSON.

All of it is computed from the numbers. Accuracies are in percent here, differences in
percentage points, intervals at 95 %.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import __version__ as matplotlib_version
from matplotlib.figure import Figure
from numpy.typing import NDArray

import clrcore
from clr_adapters import _files

from . import experiment
from .data import TEST, TRAIN, VALIDATION
from .experiment import EPOCH, FOUND, GRID, LONG, SHORT, STAGED, TRIANGULAR, Arm, Settings
from .statistics import Estimate, estimate
from .training import BATCH, History

COLLAPSED = 50.0
"""Test accuracy in percent below which a seed counts as collapsed."""

FEWEST_SEEDS = 5
"""Seeds below which nothing is called higher or lower. Accuracies are counts of few rows: two
seeds often differ by the same, which makes an interval of no width."""

ABOUT = (
    f"{TRAIN + VALIDATION + TEST} handwritten digits: {TRAIN} to train, {VALIDATION} to validate, "
    f"{TEST} to test. A network of 196-64-64-10 units with ReLU; SGD with momentum 0.9 and weight "
    f"decay 5e-4; batches of {BATCH}, {EPOCH} updates an epoch."
)

BEST = "best constant"
MEAN = "mean constant"
POLICIES = (FOUND, TRIANGULAR, STAGED)
"""What the range test gives without further tuning."""
SHOWN = {FOUND: "constant lr"}
OPPONENTS = (LONG, SHORT, BEST, MEAN)


@dataclass(frozen=True)
class Findings:
    """What the runs show.

    Attributes:
        seeds: Number of seeds.
        chosen: The best constant of the grid, chosen on validation rows.
        accuracy: By policy or opponent: accuracy on the test rows after the last update.
        differences: By (policy, opponent): paired difference, seed by seed.
        collapsed: By arm: the number of collapsed seeds, where there are any.
    """

    seeds: int
    chosen: float
    accuracy: Mapping[str, Estimate]
    differences: Mapping[tuple[str, str], Estimate]
    collapsed: Mapping[str, int]

    @property
    def few(self) -> bool:
        """Whether there are too few seeds to distinguish policies."""
        return self.seeds < FEWEST_SEEDS


def find(histories: Mapping[str, History]) -> Findings:
    """Compare the arms. Every choice follows rules that were fixed before."""
    final = {name: 100 * history.test[:, -1] for name, history in histories.items()}
    collapsed = {name: int((last < COLLAPSED).sum()) for name, last in final.items()}
    chosen = experiment.best_constant(histories)
    final[BEST] = final[experiment.constant_name(chosen)]
    final[MEAN] = np.mean([final[experiment.constant_name(lr)] for lr in GRID], axis=0)
    return Findings(
        len(final[LONG]),
        chosen,
        {name: estimate(final[name]) for name in (*POLICIES, *OPPONENTS)},
        {
            (name, other): estimate(final[name] - final[other])
            for name in POLICIES
            for other in OPPONENTS
        },
        {name: count for name, count in collapsed.items() if count},
    )


def versus(difference: Estimate) -> str:
    """Say "higher", "lower", or "tie" where the interval contains 0."""
    if difference.low > 0:
        return "higher"
    return "lower" if difference.high < 0 else "tie"


def described(opponent: str, findings: Findings, settings: Settings) -> str:
    """An opponent in words."""
    return {
        LONG: f"stepwise of {settings.long / EPOCH:g} epochs",
        SHORT: f"stepwise of {settings.short / EPOCH:g} epochs",
        BEST: f"the best of {len(GRID)} constant rates ({findings.chosen:g})",
        MEAN: f"the mean of {len(GRID)} constant rates",
    }[opponent]


def in_short(findings: Findings, settings: Settings) -> str:
    """The sentence to take home."""
    if findings.few:
        return (
            f"In short: {findings.seeds} seeds are too few to distinguish policies; run without "
            f"--quick, or with --seeds {FEWEST_SEEDS} or more."
        )
    clauses = []
    for word, verb in (("higher", "beat"), ("tie", "tie with"), ("lower", "lose to")):
        names = [o for o in OPPONENTS if versus(findings.differences[STAGED, o]) == word]
        if names:
            *more, last = [described(name, findings, settings) for name in names]
            clauses.append(f"{verb} {' and '.join([', '.join(more), last] if more else [last])}")
    return (
        f"In short: cycles ({STAGED}) between the bounds of the range test, "
        f"{settings.short / EPOCH:g} epochs long, {'; they '.join(clauses)}."
    )


def trials_table(bounds: clrcore.Bounds) -> list[list[str]]:
    """The rates that were tried, and the loss that each trial ended at."""
    trials = sorted(bounds.trials, key=lambda trial: trial.lr)
    return [
        [f"trials of {experiment.TRIAL} updates", *(f"lr {trial.lr:.2g}" for trial in trials)],
        ["ended at a loss of", *(f"{trial.loss:.3f}" for trial in trials)],
    ]


def table(findings: Findings, settings: Settings, plus_minus: str = "+-") -> list[list[str]]:
    """Policies as rows, opponents as columns: paired differences in points of test accuracy.

    Args:
        findings: What the runs show.
        settings: How much was run.
        plus_minus: The sign between a mean and the half width of its interval. The default can be
            printed everywhere.
    """
    long, short = f"{settings.long / EPOCH:g}", f"{settings.short / EPOCH:g}"
    rows = [
        ["", "own", "stepwise", "stepwise", "best", "mean"],
        ["", "test %", f"{long} epochs", f"{short} epochs", "constant", "constant"],
        ["opponent's test %", "", *(f"{findings.accuracy[other].mean:.2f}" for other in OPPONENTS)],
    ]
    for name in POLICIES:
        gaps = [findings.differences[name, other] for other in OPPONENTS]
        cells = [f"{gap.mean:+.2f}{plus_minus}{gap.half_width:.2f}" for gap in gaps]
        rows.append([SHOWN.get(name, name), f"{findings.accuracy[name].mean:.2f}", *cells])
    return rows


def verdict(findings: Findings, settings: Settings) -> list[str]:
    """The measurements in sentences: wins, ties and losses."""
    short, trial = settings.short / EPOCH, experiment.TRIAL / EPOCH
    ramps = min(findings.seeds, experiment.RANGE_TEST_SEEDS)
    collapsed = ", ".join(f"{name}: {count}" for name, count in findings.collapsed.items())
    return [
        in_short(findings, settings),
        f"The range test costs {experiment.RANGE_TEST_EPOCHS} epochs per seed, on {ramps} seeds, "
        f"and each trial {trial:.2g}. Trying {len(GRID)} constant rates costs "
        f"{len(GRID) * short:g} epochs per seed.",
        f"Seeds that ended below {COLLAPSED:g} %: "
        + (f"{collapsed}; they are counted in." if collapsed else "none."),
        f"This is one small network on one data set. The {findings.seeds} seeds split the same "
        "digits anew; the intervals show how seeds scatter, and are not corrected for their "
        "number.",
        "The stepwise runs use base_lr, as in the paper. The best constant is the harder "
        "opponent: it was free to use a higher rate.",
    ]


def drawn(findings: Findings) -> tuple[str, ...]:
    """The arms in the picture: a cyclic policy, the baseline, and the strongest opponent."""
    best = experiment.constant_name(findings.chosen)
    stronger = max((SHORT, BEST), key=lambda name: findings.accuracy[name].mean)
    return STAGED, LONG, best if stronger == BEST else SHORT


def message(findings: Findings) -> str:
    """The title of the picture."""
    if findings.few:
        return f"{findings.seeds} seeds cannot distinguish policies"
    gap = findings.differences[STAGED, LONG]
    word = {"higher": "more than", "tie": "as much as", "lower": "less than"}[versus(gap)]
    return f"Cycles reach {word} the longer baseline"


def results(
    arms: Sequence[Arm],
    histories: Mapping[str, History],
    curves: Sequence[clrcore.Curve],
    bounds: clrcore.Bounds,
    findings: Findings,
    settings: Settings,
) -> dict[str, Any]:
    """All numbers, settings and versions as plain data; the same for the same seeds."""
    return {
        "about": ABOUT,
        "settings": {
            "seeds": list(settings.seeds),
            "updates_per_epoch": EPOCH,
            "long_updates": settings.long,
            "short_updates": settings.short,
            "sweep": experiment.SWEEP.to_dict(),
            "grid": list(GRID),
            "collapsed_below_percent": COLLAPSED,
        },
        "versions": {
            "clrcore": clrcore.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "matplotlib": matplotlib_version,
            "machine": platform.machine(),
        },
        "range_test": [curve.to_dict() for curve in curves],
        "bounds": bounds.to_dict(),
        "best_constant": findings.chosen,
        "accuracy": {name: _plain(value) for name, value in findings.accuracy.items()},
        "differences": [
            {
                "policy": name,
                "opponent": described(other, findings, settings),
                **_plain(gap),
                "result": "too few seeds" if findings.few else versus(gap),
            }
            for (name, other), gap in findings.differences.items()
        ],
        "collapsed": dict(findings.collapsed),
        "verdict": verdict(findings, settings),
        "runs": {
            arm.name: {
                "policy": arm.policy.to_dict(),
                "steps": histories[arm.name].steps.tolist(),
                "test_accuracy": _rounded(histories[arm.name].test),
                "validation_accuracy": _rounded(histories[arm.name].validation),
            }
            for arm in arms
        },
    }


def write(path: Path, content: str | Figure) -> None:
    """Write a text, or a picture as PNG; the file is there whole or not at all."""
    if isinstance(content, str):
        _files.write(path, lambda file: file.write(content.encode()))
    else:
        _files.write(path, lambda file: content.savefig(file, format="png"))


def _plain(value: Estimate) -> dict[str, float]:
    return {"mean": value.mean, "low": value.low, "high": value.high}


def _rounded(values: NDArray[np.float64]) -> Any:
    """Accuracies are counts over 500 or 1000 rows: three decimals are all there is."""
    return values.round(6).tolist()
