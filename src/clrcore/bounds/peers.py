"""Rules of other finders, for comparison: a single rate per curve, and no interval.

Each is written from its definition: how it smooths the loss, where its test would have stopped,
which points it skips, and which point it takes. They smooth by an exponential mean of the past,
which moves every feature to larger rates; the rules rely on it.
"""

from __future__ import annotations

import bisect
import math

import numpy as np

from .. import smoothing
from ..errors import NoBoundsError
from .answer import Answer
from .loss import QUARTER
from .refusals import check_rising

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..curve import Curve
    from ..smoothing import Floats

# Differences of losses near the largest float overflow; what is infinite falls or rises most.
quietly = np.errstate(over="ignore", invalid="ignore")


@quietly
def steepest(curve: Curve) -> Answer:
    """The steep of fastai: where the loss falls fastest per logarithm of the rate."""
    lr, loss = _fastai(curve)
    chosen = int(np.argmin(np.diff(loss) / np.diff(np.log(lr))))
    return single_rate(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per log rate")


@quietly
def minimum(curve: Curve) -> Answer:
    """The minimum of fastai: a tenth of the rate of the lowest loss."""
    lr, loss = _fastai(curve)
    lowest = float(lr[int(np.argmin(loss))])
    return single_rate(
        lr, lowest / 10.0, f"the smoothed loss is lowest at ten times it, {lowest:.3g}"
    )


@quietly
def valley(curve: Curve) -> Answer:
    """The valley of fastai: middle of the longest run of falling losses, others between.

    Its begin is counted back from its end by its length, as if there were no others between.
    """
    lr, loss = _fastai(curve)
    # Lengths of the longest falling runs that end at each point, by their smallest last values.
    last: list[float] = []
    lengths = []
    for value in (-loss).tolist():
        place = bisect.bisect_left(last, value)
        last[place : place + 1] = [value]
        lengths.append(place + 1)
    third = len(last) / 3.0
    begin = lengths.index(len(last)) - len(last)
    chosen = max(0, begin + int(third) + int(third / 2.0))
    return single_rate(lr, float(lr[chosen]), "it is the middle of the longest valley of the loss")


@quietly
def slide(curve: Curve) -> Answer:
    """The slide of fastai: down from the end while slopes 15 points apart differ by 0.005."""
    lr, loss = _fastai(curve, fewest=16)
    slopes = np.gradient(loss)
    alike = np.flatnonzero(np.abs(slopes[15:] - slopes[:-15])[::-1] <= 0.005)
    moves = int(alike[0]) if alike.size else lr.size - 15
    chosen = lr.size - 16 - max(0, moves - 1)
    return single_rate(lr, float(lr[chosen]), "from there on the slope of the loss changes")


@quietly
def torch_lr_finder(curve: Curve) -> Answer:
    """torch-lr-finder's steepest gradient: the fastest fall per point."""
    lr, loss = kept(curve, _plain, stop=5.0, skip=(10, 5))
    chosen = int(np.argmin(np.gradient(loss)))
    return single_rate(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


@quietly
def ignite(curve: Curve) -> Answer:
    """Ignite's: the fastest fall per point before the lowest loss."""
    lr, loss = kept(curve, _plain, stop=5.0)
    end = int(np.argmin(loss)) + 1
    if end < 3:
        raise NoBoundsError(
            "too few points: this rule wants 3 up to the lowest smoothed loss, got "
            f"{end}; lower the sweep's start",
            "few_points",
        )
    chosen = 1 + int(np.argmin(loss[2:end] - loss[: end - 2]))
    return single_rate(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


@quietly
def lightning(curve: Curve) -> Answer:
    """Lightning's from 2.5.3 on: the fastest fall per rate, not per log rate."""
    lr, loss = kept(curve, late_mean, stop=4.0, skip=(10, 1))
    chosen = int(np.argmin(np.gradient(loss, lr)))
    return single_rate(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per rate")


@quietly
def ktrain_minimum(curve: Curve) -> Answer:
    """The minimum of ktrain: a fifth of the rate of the lowest loss."""
    lr, loss = kept(curve, debiased, stop=4.0)
    lowest = float(lr[int(np.argmin(loss))])
    return single_rate(
        lr, lowest / 5.0, f"the smoothed loss is lowest at five times it, {lowest:.3g}"
    )


@quietly
def keras_lr_finder(curve: Curve) -> Answer:
    """keras_lr_finder's: the largest fall of the raw loss over 20 points."""
    lr, loss = kept(curve, _raw, stop=4.0, patience=5, fewest=21)
    falls = np.zeros(loss.size)
    falls[20:] = loss[20:] - loss[:-20]
    chosen = 10 + int(np.argmin(falls[10:-5]))
    return single_rate(lr, float(lr[chosen]), "the loss fell most over the 20 points up to there")


def _fastai(curve: Curve, fewest: int = 2) -> tuple[Floats, Floats]:
    """The points that fastai's rules see: without the first tenth of the sweep and the last 5."""
    return kept(curve, debiased, stop=4.0, skip=(len(curve) // 10, 5), fewest=fewest)


def debiased(loss: Floats, late: int = 0) -> Floats:
    """Exponential mean that keeps 0.98, divided by the weight of its values so far."""
    mean, means = 0.0, []
    for k, value in enumerate(loss.tolist(), start=1 + late):
        mean = 0.98 * mean + 0.02 * value
        means.append(mean / (1.0 - 0.98**k))
    return np.array(means)


def late_mean(loss: Floats) -> Floats:
    """The same as Lightning has it: divided by the weight of a value more."""
    return debiased(loss, late=1)


def _plain(loss: Floats) -> Floats:
    """Exponential mean that keeps 0.95 and begins with the first loss."""
    mean, means = float(loss[0]) if loss.size else 0.0, []
    for value in loss.tolist():
        mean = 0.95 * mean + 0.05 * value
        means.append(mean)
    return np.array(means)


def _raw(loss: Floats) -> Floats:
    return loss


def kept(
    curve: Curve,
    smooth: Callable[[Floats], Floats],
    *,
    stop: float = math.inf,
    skip: tuple[int, int] = (0, 0),
    patience: int = 0,
    fewest: int = 2,
) -> tuple[Floats, Floats]:
    """Rates and smoothed losses that a rule sees.

    Args:
        curve: The recorded points.
        smooth: How the rule smooths losses.
        stop: The test would have ended where the smoothed loss exceeds its lowest so many times.
        skip: Points left out at the start and at the end.
        patience: Points before the test could have ended.
        fewest: Points that the rule needs.
    """
    loss = curve.loss
    assert loss is not None  # suggest_bounds has checked that
    known = np.flatnonzero(np.isfinite(loss[: smoothing.finite_until(loss)]))
    rates = curve.lr[known]
    check_rising(rates)
    smoothed = smooth(loss[known])
    lost = smoothed > stop * np.minimum.accumulate(smoothed)
    lost[:patience] = False
    n = int(np.flatnonzero(lost)[0]) + 1 if lost.any() else smoothed.size
    kept = slice(skip[0], max(0, n - skip[1]))
    lr, smoothed = rates[:n][kept], smoothed[:n][kept]
    # Rates that repeat, and 0, have no slope per log rate.
    distinct = (lr > 0.0) & (np.diff(lr, prepend=-1.0) > 0.0)
    if np.count_nonzero(distinct) < fewest:
        raise NoBoundsError(
            f"too few points: {n} before this rule stops, of which it skips the first {skip[0]} "
            f"and the last {skip[1]} and wants {fewest}; lower the sweep's start, or record more "
            "points",
            "few_points",
        )
    return lr[distinct], smoothed[distinct]


def single_rate(lr: Floats, rate: float, why: str) -> Answer:
    """The answer of a rule that gives a single rate, from the rates that it sees."""
    chosen = math.log10(max(rate, math.ulp(0.0)))  # a tenth of the smallest float is 0
    warnings = {"no_interval": "this rule gives a single rate and does not know how sure it is"}
    edges = (float(lr[0]), float(lr[-1]))
    if not edges[0] < rate < edges[1]:
        warnings["interval_at_edge"] = (
            f"the rate is at the edge of the points that this rule reads, lr={edges[0]:.3g} to "
            f"{edges[1]:.3g}: widen the sweep"
        )
    return Answer(
        base=chosen - QUARTER,
        lr=chosen,
        top=chosen,
        lr_span=(chosen, chosen),
        top_span=(chosen, chosen),
        reasons=(f"lr and max_lr are {rate:.3g}: {why}.", "base_lr is max_lr / 4."),
        warnings=warnings,
    )
