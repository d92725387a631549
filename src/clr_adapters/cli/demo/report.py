"""What the demo says about its runs: a table, plain sentences, two pictures, one JSON file.

All of it is computed from the numbers. Accuracies are in percent here, differences in
percentage points, intervals at 95 %.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import __version__ as matplotlib_version
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

import clrcore
from clr_adapters import _files
from clr_adapters.plot import plot_comparison, plot_policy, plot_range_test

from .data import TEST, TRAIN, VALIDATION
from .experiment import (
    EPOCH,
    FOUND,
    GRID,
    LONG,
    RANGE_TEST_EPOCHS,
    RANGE_TEST_SEEDS,
    SHORT,
    STAGED,
    SWEEP,
    TRIANGULAR,
    Arm,
    Settings,
    best_constant,
    constant_name,
)
from .statistics import Estimate, Reached, estimate, reached
from .training import BATCH, History

MARGIN = 0.5
"""Percentage points that count as "no worse", and by which the target lies below the baseline."""

COLLAPSED = 50.0
"""Test accuracy in percent below which a seed counts as collapsed."""

FEWEST_SEEDS = 5
"""Seeds below which nothing is called higher or lower. Accuracies are counts of few rows: two
seeds often differ by the same, which makes an interval of no width."""

ABOUT = (
    f"{TRAIN + VALIDATION + TEST} digits of 14 x 14 pixels, split into {TRAIN} to train, "
    f"{VALIDATION} to validate, {TEST} to test; 196-64-64-10 ReLU, batches of {BATCH} "
    f"({EPOCH} updates an epoch), momentum 0.9 (v = 0.9 v + lr g; w = w - v), "
    "weight decay 5e-4."
)
"""What is trained, and how."""

CLAIMED = (FOUND, TRIANGULAR, STAGED)
"""What comes out of the range test without further tuning."""

BEST = "constants, best"
MEAN = "constants, mean"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    accuracy: on the test rows after the last update, percent. difference: paired with the
    baseline, seed by seed, None for the baseline itself. reached: updates to the target, those
    of tuning included, None where there is no single run. collapsed: number of seeds. tuning,
    training: epochs.
    """

    name: str
    accuracy: Estimate
    difference: Estimate | None
    reached: Reached | None
    collapsed: int
    tuning: float
    training: float


@dataclass(frozen=True)
class Findings:
    """All that the demo found out.

    target: percent; the baseline's mean less MARGIN. chosen: the best constant's rate.
    contrasts: further paired differences, by the names of the two rows.
    """

    target: float
    chosen: float
    rows: tuple[Row, ...]
    contrasts: Mapping[tuple[str, str], Estimate]

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(row for row in self.rows if row.name == name)


def find(arms: Sequence[Arm], histories: Mapping[str, History], settings: Settings) -> Findings:
    """Compare the arms; the target and every choice follow rules that were fixed before."""
    final = {name: 100 * history.test[:, -1] for name, history in histories.items()}
    baseline = final[LONG]
    target = float(baseline.mean()) - MARGIN
    chosen = best_constant(histories)

    def row(name: str, source: str, tuning: float, steps: int) -> Row:
        history = histories[source]
        return Row(
            name,
            estimate(final[source]),
            None if source == LONG else estimate(final[source] - baseline),
            reached(history.steps + round(tuning * EPOCH), 100 * history.test, target),
            int((final[source] < COLLAPSED).sum()),
            tuning,
            steps / EPOCH,
        )

    grid_names = [constant_name(lr) for lr in GRID]
    grid_cost = len(GRID) * settings.short / EPOCH
    rows = [
        row(arm.name, arm.name, 0 if arm.name in grid_names else RANGE_TEST_EPOCHS, arm.total_steps)
        for arm in arms
    ]
    final[BEST] = final[constant_name(chosen)]
    final[MEAN] = np.mean([final[name] for name in grid_names], axis=0)
    at = 1 + max(i for i, arm in enumerate(arms) if arm.name in grid_names)
    mean = Row(
        MEAN,
        estimate(final[MEAN]),
        estimate(final[MEAN] - baseline),
        None,
        sum(r.collapsed for r in rows if r.name in grid_names),
        0,
        settings.short / EPOCH,
    )
    # The choice on the validation rows replaces the tuning: the chosen run is one of the grid's.
    best = row(BEST, constant_name(chosen), grid_cost - settings.short / EPOCH, settings.short)
    rows[at:at] = [mean, best]
    contrasts = {
        (name, other): estimate(final[name] - final[other])
        for name in CLAIMED
        for other in (SHORT, BEST, MEAN)
    }
    return Findings(target, chosen, tuple(rows), contrasts)


# In words.


def versus(difference: Estimate) -> str:
    """Say "higher", "lower", or "a tie" where the interval contains 0."""
    if difference.low > 0:
        return "higher"
    return "lower" if difference.high < 0 else "a tie"


def too_few(seeds: Sequence[int]) -> bool:
    """Whether there are too few seeds to tell policies apart."""
    return len(seeds) < FEWEST_SEEDS


def shown_difference(difference: Estimate) -> str:
    """A paired difference with both ends of its interval."""
    return (
        f"{difference.mean:+.2f} points, 95 % interval {difference.low:+.2f} to "
        f"{difference.high:+.2f}"
    )


def verdict(findings: Findings, settings: Settings) -> list[str]:
    """What was measured, in sentences; wins, ties and losses alike."""
    long, short = settings.long / EPOCH, settings.short / EPOCH
    baseline = findings.row(LONG)
    if too_few(settings.seeds):
        return [
            f"{len(settings.seeds)} seeds are too few to tell policies apart, whatever the "
            "intervals look like, and nothing follows from them: run without --quick, or with "
            f"--seeds {FEWEST_SEEDS} or more."
        ]
    lines = [
        f"All of this is about one small network and {len(settings.seeds)} seeds, which split "
        "the same 5000 digits anew. A difference counts only if its interval leaves out 0; the "
        "intervals say how seeds scatter, and are not corrected for their number."
    ]
    for name in CLAIMED:
        difference = findings.row(name).difference
        assert difference is not None  # only the baseline has none
        if difference.low > -MARGIN:
            worse = f"no worse by {MARGIN} points or more (non-inferior)"
        else:
            worse = f"being worse by {MARGIN} points or more is not ruled out"
        lines.append(
            f"{name.capitalize()}, {short:g} epochs, against the stepwise baseline of {long:g} "
            f"epochs: {versus(difference)} ({shown_difference(difference)}); {worse}."
        )
    for other, text in (
        (SHORT, f"the same stepwise policy compressed to {short:g} epochs"),
        (
            BEST,
            f"the best of {len(GRID)} constants, {findings.chosen:g}, chosen on validation rows",
        ),
        (MEAN, "the mean of these constants, what an untuned pick gets"),
    ):
        parts = []
        for name in CLAIMED:
            difference = findings.contrasts[name, other]
            parts.append(f"{name}: {versus(difference)} ({shown_difference(difference)})")
        lines.append(f"Against {text}: " + "; ".join(parts) + ".")
    assert baseline.reached is not None  # it is a run
    speeds = [f"{LONG} {_updates(baseline.reached)}"]
    for name in (SHORT, BEST, *CLAIMED):
        there = findings.row(name).reached
        assert there is not None  # these are runs too
        speeds.append(f"{name} {_updates(there)}")
    lines.append(
        f"Updates until {findings.target:.2f} % on the test rows, tuning included, the median over "
        "seeds: " + "; ".join(speeds) + "."
    )
    grid = findings.row(BEST)
    ramps = min(len(settings.seeds), RANGE_TEST_SEEDS)
    lines.append(
        f"Cost: the range test takes {RANGE_TEST_EPOCHS} epochs per seed, trying the "
        f"{len(GRID)} constants {grid.tuning + grid.training:g}, the chosen run included. The "
        f"bounds are medians over the range tests of {ramps} seeds; who reads as many for one run "
        "pays for each."
    )
    collapsed = [f"{row.name}: {row.collapsed}" for row in findings.rows if row.collapsed]
    lines.append(
        f"Seeds that ended below {COLLAPSED:g} %: "
        + (", ".join(collapsed) + "; they are counted in." if collapsed else "none.")
    )
    lines.append(
        "The stepwise runs use base_lr, the lower bound, as in the paper. The best constant is "
        "the harder opponent: it was free to use a higher rate."
    )
    return lines


def table(findings: Findings, settings: Settings, plus_minus: str = "+-") -> Table:
    """The table for the terminal, 80 columns wide.

    plus_minus: the sign between a mean and the half width of its interval; the default can be
        printed everywhere.
    """
    result = Table(
        title=f"{len(settings.seeds)} seeds; target: {findings.target:.2f} %, the mean of "
        f"{LONG!r} less {MARGIN}",
        caption="test %: mean with its 95 % interval. difference: paired with the first row, in "
        "points. updates: median until the target, tuning included; in brackets, seeds that never "
        "reach it. "
        "epochs: tuning + training.",
        caption_justify="left",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    result.add_column("policy", no_wrap=True)
    for heading in ("test %", "difference", "updates", "collapsed", "epochs"):
        result.add_column(heading, justify="right", no_wrap=True)
    for row in findings.rows:
        there = row.reached
        result.add_row(
            row.name,
            f"{row.accuracy.mean:.2f} {plus_minus}{row.accuracy.half_width:.2f}",
            ""
            if row.difference is None
            else f"{row.difference.mean:+.2f} {plus_minus}{row.difference.half_width:.2f}",
            "" if there is None else f"{_median(there)} ({there.never})",
            str(row.collapsed),
            f"{row.tuning:g}+{row.training:g}",
        )
    return result


# In pictures.


def range_test_figure(curves: Sequence[clrcore.Curve], bounds: clrcore.Bounds) -> Figure:
    """The range test with its bounds."""
    figure = Figure(figsize=(6, 4.2), dpi=200, layout="constrained")
    plot_range_test(curves, bounds, ax=figure.subplots())
    return figure


def comparison_figure(
    arms: Sequence[Arm], histories: Mapping[str, History], findings: Findings
) -> Figure:
    """The policies above, the test accuracy they lead to below."""
    best = constant_name(findings.chosen)
    shown = [arm for arm in arms if arm.name in (LONG, SHORT, best, TRIANGULAR, STAGED)]
    figure = Figure(figsize=(6, 6.4), dpi=200, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    # A chain of one stage is the same policy with an end: each is drawn as long as it ran.
    plot_policy(
        {arm.name: clrcore.chain([(arm.policy, arm.total_steps)]) for arm in shown}, ax=above
    )
    above.set_xlabel("")
    plot_comparison(
        {
            arm.name: {
                "steps": histories[arm.name].steps,
                "accuracy": histories[arm.name].test,
                "cycle_ends": arm.policy.cycle_ends(arm.total_steps),
            }
            for arm in shown
        },
        target=findings.target / 100,
        ax=below,
    )
    below.set_ylabel("test accuracy")
    legend = below.get_legend()
    if legend is not None:  # the one above names the same lines and marks
        legend.remove()
    return figure


# On disk.


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
            "sweep": SWEEP.to_dict(),
            "grid": list(GRID),
            "margin_points": MARGIN,
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
        "target_percent": findings.target,
        "best_constant": findings.chosen,
        "rows": [_plain_row(row) for row in findings.rows],
        "contrasts": [
            {"row": name, "against": other, "difference": _plain(difference)}
            for (name, other), difference in findings.contrasts.items()
        ],
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


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write `data` as JSON; the file is there whole or not at all."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8; the file is there whole or not at all."""
    _files.write(path, lambda file: file.write(text.encode()))


def write_figure(path: Path, figure: Figure) -> None:
    """Write a picture as PNG; the file is there whole or not at all."""
    _files.write(path, lambda file: figure.savefig(file, format="png"))


def _plain_row(row: Row) -> dict[str, Any]:
    there = row.reached
    return {
        **{key: value for key, value in asdict(row).items() if key not in ("reached",)},
        "accuracy": _plain(row.accuracy),
        "difference": None if row.difference is None else _plain(row.difference),
        "updates_to_target": None
        if there is None or math.isinf(there.median)
        else float(there.median),
        "never_reached": None if there is None else there.never,
    }


def _plain(value: Estimate) -> dict[str, float]:
    return {"mean": value.mean, "low": value.low, "high": value.high}


def _rounded(values: NDArray[np.float64]) -> Any:
    """Accuracies are counts over 500 or 1000 rows: three decimals are all there is."""
    return values.round(6).tolist()


def _median(there: Reached) -> str:
    return "never" if math.isinf(there.median) else f"{there.median:.0f}"


def _updates(there: Reached) -> str:
    return f"{_median(there)} ({there.never} never)" if there.never else _median(there)
