"""The claims, their rules, and the verdicts; all of it was fixed before anything was trained.

Accuracies are in percent here, differences in percentage points, intervals at 95 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clr_adapters.cli.demo.experiment import FOUND, LONG, SHORT, STAGED, TRIANGULAR
from clr_adapters.cli.demo.statistics import Estimate, estimate

from .arms import (
    DECAY,
    EXP,
    EXP_RANGE_AMPLITUDE,
    EXP_RANGE_BOUNDS,
    PEAK,
    SHORT_MAX,
    TRIANGULAR2,
)

Floats = NDArray[np.float64]

HELD, TIED, NOT_CONFIRMED = "held", "tied", "not confirmed"

MARGIN = 0.5
"""Percentage points that count as no worse, or as little."""

COLLAPSED = 50.0
"""Test accuracy in percent below which a seed counts as collapsed."""

BEST = "constants, best"
MEAN = "constants, mean"
LAST_END, LAST_PEAK = "triangular, last cycle end", "triangular, last peak"
ENDS, PEAKS = "triangular, ends around peaks", "triangular, peaks"

# The rules.


def superior(difference: Estimate) -> str:
    """Held if the interval lies above 0, tied if 0 is in it."""
    if difference.low > 0:
        return HELD
    return NOT_CONFIRMED if difference.high < 0 else TIED


def non_inferior(difference: Estimate) -> str:
    """Held if the interval lies above -MARGIN; a tie in the usual sense is not enough."""
    return HELD if difference.low > -MARGIN else NOT_CONFIRMED


def little_gain(difference: Estimate) -> str:
    """Held if the interval lies below MARGIN; tied if it does not, but 0 is in it."""
    if difference.high < MARGIN:
        return HELD
    return TIED if difference.low <= 0 else NOT_CONFIRMED


def none_collapsed(collapsed: int) -> str:
    """Held if no seed collapsed."""
    return NOT_CONFIRMED if collapsed else HELD


def overall(verdicts: Iterable[str]) -> str:
    """A claim holds if all its lines hold; one line that is not confirmed is enough against it."""
    words = set(verdicts)
    if NOT_CONFIRMED in words:
        return NOT_CONFIRMED
    return TIED if TIED in words else HELD


RULES = {rule.__name__: rule for rule in (superior, non_inferior, little_gain)}
COLLAPSE = "none_collapsed"

# The claims.


class Claim(NamedTuple):
    """A claim of the paper, the rule for it, and the cases that test it.

    lines: (rule, arm, against); against is None where collapsed seeds are counted.
    """

    title: str
    says: str
    rule: str
    cases: tuple[str, ...]
    lines: tuple[tuple[str, str, str | None], ...]


SGD = ("relu-sgd", "sigmoid-sgd")
ALL = (*SGD, "relu-adam")


def _usable(suffix: str) -> tuple[tuple[str, str, str | None], ...]:
    """That no seed collapses, and that nothing is lost against the best constant."""
    names = [name + suffix for name in (TRIANGULAR, TRIANGULAR2, STAGED)]
    return (
        *((COLLAPSE, name, None) for name in names),
        *(("non_inferior", name, BEST) for name in names),
    )


CLAIMS = (
    Claim(
        "same accuracy in fewer updates",
        "Cycles reach the same accuracy in fewer updates: 50 epochs, and 8 of range test, do as "
        "well as the paper's stepwise baseline of 140 epochs from base_lr.",
        f"Held if the lower end of the interval is above -{MARGIN} points; otherwise not "
        "confirmed.",
        SGD,
        (("non_inferior", STAGED, LONG), ("non_inferior", TRIANGULAR2, LONG)),
    ),
    Claim(
        "better than tuned schedules of the same length",
        "At the same length of 50 epochs, cycles do better than the stepwise schedule from "
        "base_lr, than the stepwise schedule from max_lr, and than the best constant rate of "
        "the grid. A tie means that cycles match a tuned rate without tuning.",
        "Held if the interval lies above 0, tied if 0 is in it; otherwise not confirmed.",
        SGD,
        tuple(
            ("superior", name, other)
            for name in (STAGED, TRIANGULAR2)
            for other in (SHORT, SHORT_MAX, BEST)
        ),
    ),
    Claim(
        "the range test's bounds are usable",
        "The range test gives usable bounds: between the bounds of suggest_bounds no seed "
        "collapses, and cycles do as well as the best constant of the grid.",
        f"Held if no seed ends below {COLLAPSED:g} % and the lower end of the interval is above "
        f"-{MARGIN} points; otherwise not confirmed.",
        ALL,
        _usable(""),
    ),
    Claim(
        "the peak rule's bounds are usable",
        "The same with the bounds of the peak rule: max_lr is 0.8 of the rate with the best "
        "held-out accuracy, base_lr = max_lr / 4.",
        "The rule is the same.",
        ALL,
        _usable(PEAK),
    ),
    Claim(
        "cycles save tuning",
        "Cycles save tuning: with 58 epochs in all they do better than a constant rate picked "
        "blindly, the mean over the grid. The grid itself costs 300 epochs.",
        "Held if the interval lies above 0, tied if 0 is in it; otherwise not confirmed.",
        ALL,
        (("superior", STAGED, MEAN), ("superior", TRIANGULAR2, MEAN)),
    ),
    Claim(
        "cycles need their rise",
        "Cycles need their rise: triangular does better than the paper's control decay, which "
        "falls from max_lr to base_lr in 8 epochs and stays there.",
        "Held if the interval lies above 0, tied if 0 is in it; otherwise not confirmed.",
        SGD,
        (("superior", TRIANGULAR, DECAY),),
    ),
    Claim(
        "with Adam cycles gain little",
        "With Adam cycles gain little against the stepwise baseline, at 140 and at 50 epochs. "
        "They may lose.",
        f"Held if the upper end of the interval is below {MARGIN} points; tied if it is not and "
        "0 is in the interval; otherwise not confirmed.",
        ("relu-adam",),
        tuple(
            ("little_gain", name, other) for name in (STAGED, TRIANGULAR) for other in (LONG, SHORT)
        ),
    ),
    Claim(
        "the end of a cycle is the moment to stop",
        "The end of a cycle is the moment to stop: accuracy of the triangular run is higher at the "
        "last end of a cycle (50 epochs) than at the last peak (45), and higher at ends than at "
        "the peaks between them.",
        "Held if the interval lies above 0, tied if 0 is in it; otherwise not confirmed.",
        ALL,
        (("superior", LAST_END, LAST_PEAK), ("superior", ENDS, PEAKS)),
    ),
)

FURTHER = (
    (TRIANGULAR, LONG),
    (SHORT, LONG),
    (FOUND, BEST),
    (TRIANGULAR, BEST),
    (TRIANGULAR, SHORT_MAX),
    (SHORT_MAX, DECAY),
    (STAGED, DECAY),
    (TRIANGULAR2, EXP),
    (EXP_RANGE_BOUNDS, EXP),
    (EXP_RANGE_AMPLITUDE, EXP),
    (EXP_RANGE_BOUNDS, EXP_RANGE_AMPLITUDE),
    (STAGED, STAGED + PEAK),
)
"""Differences that no claim is made about; those with the stepwise run from max_lr came later."""


class Finding(NamedTuple):
    """One line of a claim and its verdict.

    difference: paired, arm less against, over the seeds; None where seeds are counted.
    collapsed: number of seeds of the arm; None where a difference is judged.
    """

    claim: str
    rule: str
    arm: str
    against: str | None
    verdict: str
    difference: Estimate | None
    collapsed: int | None


def judge(case: str, finals: Mapping[str, Floats]) -> list[Finding]:
    """The verdict on every line of every claim that is made about a case.

    finals: by name of the arm, one accuracy per seed.
    """
    findings = []
    for claim in CLAIMS:
        for rule, arm, against in claim.lines if case in claim.cases else ():
            if against is None:
                collapsed = count_collapsed(finals[arm])
                verdict = none_collapsed(collapsed)
                findings.append(Finding(claim.title, rule, arm, None, verdict, None, collapsed))
            else:
                difference = estimate(finals[arm] - finals[against])
                verdict = RULES[rule](difference)
                findings.append(Finding(claim.title, rule, arm, against, verdict, difference, None))
    return findings


def count_collapsed(accuracy: Floats) -> int:
    """How many seeds have collapsed."""
    return int((accuracy < COLLAPSED).sum())


def around_peaks(test: Floats) -> dict[str, Floats]:
    """Accuracies of the triangular run at ends and peaks of its five cycles.

    test: shape (seeds, 50), one look per epoch; cycles take 10 epochs. Every peak but the
    first stands against the mean of the two ends around it, which were trained as long.
    """
    ends, peaks = test[:, 9::10], test[:, 14::10]
    return {
        LAST_END: ends[:, -1],
        LAST_PEAK: peaks[:, -1],
        ENDS: (ends[:, 1:] + ends[:, :-1]).mean(axis=1) / 2,
        PEAKS: peaks.mean(axis=1),
    }
