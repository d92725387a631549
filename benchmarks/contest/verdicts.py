"""Who wins: paired differences over the seeds, counted over tasks and opponents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from clr_adapters.cli.demo.statistics import Estimate, estimate

Plain = Mapping[str, Any]

# The sources of a peak.
UNTUNED, TUNED_PEAK = "range test", "tuned"
WINS, TIES, LOSES = "wins", "ties", "loses"


class Side(NamedTuple):
    """An arm and the source of its peak."""

    arm: str
    source: str


class Record(NamedTuple):
    """How often a side wins, ties and loses."""

    wins: int
    ties: int
    losses: int


def difference(task: Plain, side: Side, other: Side) -> Estimate:
    """The score of a side less the other's, paired seed by seed; positive where it is better."""
    ours, theirs = (np.array(task[source][arm]["score"]) for arm, source in (side, other))
    return estimate(ours - theirs)


def verdict(found: Estimate) -> str:
    """A win if the interval lies above 0, a loss if below, otherwise a tie."""
    if found.low > 0:
        return WINS
    return LOSES if found.high < 0 else TIES


def record(tasks: Iterable[Plain], side: Side, others: Iterable[Side]) -> Record:
    """Count the verdicts over all tasks and opponents."""
    opponents = list(others)
    found = [verdict(difference(task, side, other)) for task in tasks for other in opponents]
    return Record(*(found.count(word) for word in (WINS, TIES, LOSES)))


def mean(task: Plain, side: Side) -> float:
    """The mean score over the seeds."""
    return float(np.mean(task[side.source][side.arm]["score"]))


def strongest(task: Plain, source: str, arms: Iterable[str]) -> str:
    """The arm with the best mean score; the first of equals."""
    return max(arms, key=lambda arm: mean(task, Side(arm, source)))
