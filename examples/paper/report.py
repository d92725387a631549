"""Finished runs read from their logs: tables, verdicts and pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from matplotlib.axes import Axes
from matplotlib.figure import Figure

import clrcore
from clr_adapters.plot import plot_policy

from .files import Row
from .plans import Arm, Claim, Plan

# More lines cannot be distinguished in a picture.
MOST_LINES = 6


@dataclass(frozen=True)
class Result:
    """An arm and the log of each seed."""

    arm: Arm
    logs: tuple[tuple[Row, ...], ...]

    def accuracy(self, step: int | None = None) -> list[float]:
        """The test accuracy of each seed in percent: the last, or the last up to `step`."""
        found = []
        for rows in self.logs:
            evaluated = [row for row in rows if row.test_accuracy is not None]
            before = [row for row in evaluated if step is None or row.step <= step]
            accuracy = before[-1].test_accuracy
            assert accuracy is not None
            found.append(100 * accuracy)
        return found

    def diverged(self) -> int:
        """The number of seeds that ended with a loss that was not finite."""
        return sum(not math.isfinite(rows[-1].loss) for rows in self.logs)

    def evaluations(self) -> list[int]:
        """The steps of all evaluations, from the first that every seed has reached."""
        steps = [[row.step for row in rows if row.test_accuracy is not None] for rows in self.logs]
        first = max(own[0] for own in steps)
        return sorted({step for own in steps for step in own if step >= first})


def table(results: Sequence[Result]) -> list[str]:
    """A line for each arm: updates, mean accuracy, its spread, and the paired difference.

    The difference is to the first arm, seed by seed: mean, lowest and highest.
    """
    baseline = results[0]
    width = max(len(result.arm.name) for result in results)
    lines = [
        f"{'arm':{width}}  {'updates':>8}  {'test accuracy, %':>16}  less {baseline.arm.name}, "
        "mean (lowest to highest)"
    ]
    for result in results:
        total = result.arm.total_steps
        for step in (*(step for step in result.arm.evaluations if step < total), total):
            found = result.accuracy(step)
            cells = [f"{result.arm.name:{width}}", f"{step:8}", f"{_spread(found):>16}"]
            if result is not baseline:
                cells.append(_difference(found, baseline.accuracy()))
            if step == total and result.diverged():
                cells.append(f"{result.diverged()} of {len(found)} seeds diverged")
            lines.append("  ".join(cells))
    return lines


def verdict(plan: Plan, results: Sequence[Result], note: str | None) -> list[str]:
    """A line for each claim whose arms were run.

    A claim gets no verdict if there is a note, or with fewer seeds than the plan has.
    """
    by_name = {result.arm.name: result for result in results}
    lines = []
    for claim in plan.claims:
        if not {claim.arm, claim.minus or claim.arm} <= by_name.keys():
            continue
        if note is not None:
            lines.append(f"{_stated(claim)}: not judged; {note}")
            continue
        found = by_name[claim.arm].accuracy()
        if len(found) < plan.seeds:
            lines.append(f"{_stated(claim)}: not judged: {len(found)} of {plan.seeds} seeds")
            continue
        if claim.minus is not None:
            others = by_name[claim.minus].accuracy()
            found = [a - b for a, b in zip(found, others, strict=True)]
        held = claim.low <= mean(found) <= claim.high
        lines.append(
            f"{_stated(claim)}: {'held' if held else 'did NOT hold'}, the mean of {len(found)} "
            f"seeds is {mean(found):.2f}"
        )
    return lines


def contrasts(plan: Plan, results: Sequence[Result]) -> list[str]:
    """A line for each contrast whose arms were run, with paired differences as in the table.

    There is no validation split, so test accuracy picks the best of several, which favours it.
    """
    by_name = {result.arm.name: result for result in results}
    lines = []
    for contrast in plan.contrasts:
        run = [by_name[name] for name in contrast.others if name in by_name]
        if contrast.arm not in by_name or not run:
            continue
        best = max(run, key=lambda result: mean(result.accuracy()))
        line = _difference(by_name[contrast.arm].accuracy(), best.accuracy())
        lines.append(f"{contrast.arm} less {best.arm.name}: {line}")
        if len(contrast.others) > 1:
            lines[-1] += f"; the best on the test images of {len(run)} of {len(contrast.others)}"
    return lines


def write(ax: Axes, path: Path) -> Path:
    """Write the figure of the Axes."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.set_size_inches(8, 5)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    return path


def pictures(plan: Plan, results: Sequence[Result], out: Path) -> list[Path]:
    """Draw accuracies and rates; each picture has the first arm and a few others."""
    others = list(results[1:])
    sheets = [others[i : i + MOST_LINES - 1] for i in range(0, len(others), MOST_LINES - 1)]
    written = []
    for number, sheet in enumerate(sheets or [[]], 1):
        shown = [results[0], *sheet]
        written.append(write(_draw_accuracy(shown), out / f"{plan.name}-accuracy-{number}.png"))
        # A chain with a single stage ends with the run, and so does its line.
        rates = {
            each.arm.name: clrcore.chain([(each.arm.policy, each.arm.total_steps)])
            for each in shown
        }
        written.append(write(plot_policy(rates), out / f"{plan.name}-rates-{number}.png"))
    return written


def _draw_accuracy(results: Sequence[Result]) -> Axes:
    """The mean test accuracy of every arm against the step."""
    ax = Figure(layout="constrained").subplots()
    for result in results:
        steps = result.evaluations()
        accuracies = [mean(result.accuracy(step)) for step in steps]
        # A single point has no line.
        marker = "o" if len(steps) == 1 else None
        ax.plot(steps, accuracies, marker=marker, label=result.arm.name)
    ax.set(xlabel="step (updates)", ylabel="test accuracy, %")
    ax.legend(frameon=False)
    return ax


def _spread(found: Sequence[float]) -> str:
    if len(found) == 1:
        return f"{found[0]:.2f}"
    return f"{mean(found):.2f} (sd {stdev(found):.2f})"


def _difference(found: Sequence[float], baseline: Sequence[float]) -> str:
    differences = [a - b for a, b in zip(found, baseline, strict=True)]
    if len(differences) == 1:
        return f"{differences[0]:+.2f}"
    return f"{mean(differences):+.2f} ({min(differences):+.2f} to {max(differences):+.2f})"


def _stated(claim: Claim) -> str:
    if claim.minus is None:
        return f"{claim.arm} ends in {claim.low:g} to {claim.high:g} %"
    return f"{claim.arm} ends at most {-claim.low:g} points below {claim.minus}"
