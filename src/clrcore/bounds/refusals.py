"""Refusals and warnings: whether a curve carries an answer, and the true diagnosis."""

from __future__ import annotations

import math

import numpy as np

from .. import smoothing
from ..errors import NoBoundsError
from .features import TINY, Features, likeness
from .points import FEWEST, Points, select, starts_at_zero

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from ..curve import Curve
    from ..smoothing import Floats

# Fewer points, or larger steps in log10 rate, show the shape of a curve roughly.
FEW_POINTS = 60
WIDE_STEP = 0.12
# A fall is not chance where it exceeds the noise of a value this many times, and this many standard
# errors of the difference between baseline and bottom. Narrow windows are many and go deeper by
# chance.
SINGLE, STANDARD_ERRORS = 1.1, 2.0
NARROW = 1.5
# A metric that does not rise again must fall by this many times as much.
CLEAR = 1.75
# Falls below this fraction of the values are rounding.
ROUNDING = 1e-12
# A rise within this fraction of the points is a sweep that starts at too large rates.
EARLY = 0.25
# A curve that begins this fraction of its fall from its baseline, and so many times the noise, was
# moving from the start.
MOVING, SEEN = 0.15, 1.5
# Where the first values stand above the baseline by this fraction of the whole fall, and by so many
# times the noise, the fall was over before the rate had moved.
# It has moved by so many decades.
OVER, SUDDEN, MOVED = 0.5, 4.0, 1.0
# A loss that falls by less than this fraction of its start may only settle after a bad start:
# of such answers 13 % (200 updates) to 47 % (long trainings) were good, of others 80 %.
SLOW = 0.15
# A sweep of more updates than this is not short, and more updates are no advice.
LONG = 1000
# Neighbours with this correlation before the fall, by so many standard errors, are those of a
# running average. Of 456 measured curves none is above 0.6; of their averages 80 % are.
ALIKE, SURELY = 0.6, 3.5
# The same of all values of a run that does not blow up, from so many pairs of them; of 72
# measured curves none is above.
ALIKE_ALL, FEWEST_PAIRS = 0.7, 100
# Lightning's running average begins with half of the loss; its first values rise like this,
# within the noise of their averages.
HALVED = np.arange(1, 9) / np.arange(2, 10)
HALVED_NOISE = 0.15


def features_or_refuse(curve: Curve, metric: str) -> Features:
    """The features of a metric of a curve that carries an answer.

    Raises NoBoundsError, with its kind, for all other curves.
    """
    points = select(curve, metric)
    # First, as such an average seems to diverge from its first values on.
    if metric == "loss" and _begins_halved(curve):
        _refuse_average(", from half of its first value on,", "from_lightning")
    _check_points(points)
    features = Features(points)
    if metric == "loss" and _is_alike(features):
        _refuse_average("", "from_fastai or from_torch_lr_finder")
    _check_fall_over(features)
    _check_depth(features)
    if features.x[features.bottom] <= features.lead_end:
        _refuse_diverged(features)
    return features


def advice_lower(points: Points) -> str:
    """What to do where the sweep begins at too large rates."""
    if starts_at_zero(points.curve):
        return "take more updates for the ramp, or lower its top, as it starts at 0"
    return f"lower the sweep's start below lr={points.curve.lr[0]:.3g}"


def _check_points(points: Points) -> None:
    """Refuse rates that do not rise, and too few points."""
    check_rising(points.lr)
    number, metric = points.y.size, points.metric
    if number >= FEWEST:
        return
    if points.lost and number:
        raise NoBoundsError(
            f"already diverging at the first rates: the {metric} is finite for {number} points "
            f"only, up to lr={points.lr[-1]:.3g}; {advice_lower(points)}",
            "diverged_at_start",
        )
    values = getattr(points.curve, metric)
    if np.isfinite(values).any() and not number:
        raise NoBoundsError(
            f"already diverging at the first rates: the first known {metric} is infinite, at "
            f"lr={points.curve.lr[~np.isnan(values)][0]:.3g}; {advice_lower(points)}",
            "diverged_at_start",
        )
    if not number:
        raise NoBoundsError(
            f"no finite {metric} was recorded ({len(points.curve)} points): check the training "
            "step, and that the metric is recorded at the rates it belongs to",
            "no_values",
        )
    raise NoBoundsError(
        f"too few points: {number} with a finite {metric}, at least {FEWEST} are needed; "
        "record more, best 100 or more",
        "few_points",
    )


def check_rising(lr: Floats) -> None:
    """Refuse rates that fall or stand still."""
    falls = np.flatnonzero(np.diff(lr) < 0.0)
    if falls.size:
        i = int(falls[0])
        raise NoBoundsError(
            f"the rates do not rise: lr={lr[i]:.9g} is followed by {lr[i + 1]:.9g} at point "
            f"{i + 1}; pass the points of one sweep, from its smallest rate to its largest",
            "not_a_sweep",
        )
    if lr.size > 1 and lr[0] == lr[-1]:
        raise NoBoundsError(
            f"the rates do not rise: all are {lr[0]:.3g}; sweep the rate from a small value to a "
            "large one",
            "not_a_sweep",
        )


@np.errstate(over="ignore", invalid="ignore")  # of values near the largest float, and infinity
def _begins_halved(curve: Curve) -> bool:
    """Whether the losses begin as Lightning's running average does."""
    if curve.loss is None or len(curve) < HALVED.size:
        return False
    first = curve.loss[: HALVED.size] / HALVED
    return bool(np.all(np.abs(first - np.median(first)) < HALVED_NOISE * np.median(first)))


def _refuse_average(begins: str, undo: str) -> NoReturn:
    raise NoBoundsError(
        f"the values resemble a running average{begins} rather than the loss of each update: an "
        "average lags behind the rate by many updates; record the loss itself, or undo the average "
        f"of a finder with {undo} of clr_adapters.logs",
        "running_average",
    )


def _is_alike(features: Features) -> bool:
    """Whether neighbours are as correlated as those of a running average.

    A linear sweep has too few values before the fall. Values that blow up are correlated anyway.
    """
    if features.points.linear:
        return False
    alike, pairs = likeness(features.flat)
    if pairs and alike > max(ALIKE, SURELY * 2.0 / math.sqrt(pairs)):
        return True
    alike, pairs = likeness(features.points.y)
    return alike > ALIKE_ALL and pairs >= FEWEST_PAIRS and not features.points.lost


def _check_fall_over(features: Features) -> None:
    """Refuse a fall that was over before the rate had moved."""
    early = features.head - features.start
    whole = features.head - float(features.smoothed.min())
    moved = features.lead_end - features.edges[0]
    if features.metric == "accuracy" or features.points.linear or moved > MOVED:
        return
    if early <= OVER * whole or early <= SUDDEN * features.noise:
        return
    points, scale = features.points, features.scale
    updates = _updates_of_lead(features)
    fewer = ", or take fewer updates" if features.num_updates > FEW_POINTS else ""
    raise NoBoundsError(
        f"the fall was over before the rate had moved: the {features.metric} went from "
        f"{scale * features.head:.3g} to {scale * features.start:.3g} while lr rose from "
        f"{points.lr[0]:.3g} to {points.lr[features.lead - 1]:.3g} in the first {updates} updates; "
        f"lower the sweep's start below lr={points.curve.lr[0]:.3g}{fewer}",
        "fall_over",
    )


def _updates_of_lead(features: Features) -> int:
    """The updates from the first point to the last of the baseline, at least 1."""
    updates = features.points.updates
    return max(1, int(updates[features.lead - 1] - updates[0]))


def least_fall(features: Features) -> float:
    """The smallest fall that is not the work of the noise."""
    noise = features.noise
    # A median is worth two thirds of its points, a window's line the same of its points.
    window = max(smoothing.FEWEST, smoothing.SPAN * features.x.size)
    error = noise * math.sqrt(1.5 / features.lead + 1.5 / window)
    least = max(SINGLE * noise, STANDARD_ERRORS * error)
    if not features.risen:
        least *= CLEAR
    return max(least, ROUNDING * abs(features.start), TINY)


def _check_depth(features: Features) -> None:
    """Refuse a fall that may be the work of the noise."""
    least = least_fall(features)
    if features.depth > NARROW * least:
        return
    wide = smoothing.local_lines(features.x, np.minimum(features.raw, features.highest))
    depth = min(max(features.start - float(wide.min()), 0.0), features.depth)
    if depth > least:
        return
    points, metric = features.points, features.metric
    better = "fall" if metric == "loss" else "rise"
    small = (
        f"its change of {features.scale * depth:.3g} is not larger than its noise of "
        f"{features.scale * least:.3g}"
    )
    otherwise = "make the noise smaller with larger batches, or confirm a usual rate by trial runs"
    last = float(points.lr[-1])
    above = smoothing.local_lines(features.x, features.raw) > features.start + least
    if not above[-1] and not features.risen:
        raise NoBoundsError(
            f"no {better} of the {metric} seen up to lr={last:.3g}: {small}; raise the sweep's "
            f"top above {last:.3g}, {otherwise}",
            "no_fall",
        )
    worse = min(int(np.flatnonzero(np.append(True, ~above))[-1]), features.x.size - 1)
    if worse < EARLY * features.x.size:
        _refuse_diverged(features)
    more = "" if features.num_updates > LONG else "take more updates for the sweep, "
    raise NoBoundsError(
        f"no {better} of the {metric} seen before it diverged at lr={10 ** features.x[worse]:.3g}: "
        f"{small}; {more}{otherwise}",
        "noise",
    )


def _refuse_diverged(features: Features) -> NoReturn:
    """Refuse a metric that only gets worse."""
    better, worse = ("fall", "rises") if features.metric == "loss" else ("rise", "falls")
    first = float(np.median(features.points.y[:3]))
    if first - features.start > SUDDEN * features.noise:
        raise NoBoundsError(
            f"the {better} of the {features.metric} was over within the first "
            f"{_updates_of_lead(features)} updates, and only worse values "
            f"follow; {advice_lower(features.points)}",
            "start_not_seen",
        )
    raise NoBoundsError(
        f"already diverging at the first rates: the {features.metric} {worse} without a {better} "
        f"before it; {advice_lower(features.points)}",
        "diverged_at_start",
    )


def diagnose(features: Features) -> dict[str, str]:
    """What the shape of the curve leaves open: kind of warning -> sentence."""
    found = {}
    points, metric = features.points, features.metric
    last = 10.0 ** features.edges[1]
    worse = "rise" if metric == "loss" else "fall"
    if features.bottom == features.x.size - 1 and not points.lost:
        found["end_not_reached"] = (
            f"the {metric} was still getting better at the last rate: raise the sweep's top above "
            f"{last:.3g} to see where that ends"
        )
    elif not features.end_seen:
        found["end_not_reached"] = (
            f"the {metric} did not {worse} again by half of its change up to lr={last:.3g}, as "
            "with gradient clipping: the largest rate that trains was not seen, and lr may be "
            "several times too low; raise the sweep's top, or confirm lr by trial runs"
        )
    share = features.share
    if share is not None and share < SLOW:
        found["slow_start"] = (
            f"the loss fell by only {share:.0%} of its start in this sweep, which may be a bad "
            "start that settles rather than learning: confirm lr by trial runs"
        )
    moving = abs(float(features.fraction[0]))
    real = moving * features.depth > SEEN * features.noise
    if moving > MOVING and real and not starts_at_zero(points.curve):
        found["start_not_seen"] = (
            f"the {metric} was changing from the first rates on: lower the sweep's start below "
            f"{10.0 ** features.edges[0]:.3g} to see where that begins"
        )
    if points.y.size < FEW_POINTS:
        number, updates = points.y.size, features.num_updates
        found["few_points"] = (
            f"a short sweep of {updates} usable updates: 100 or more give a surer answer"
            if number == updates
            else f"only {number} usable points were recorded in {updates} updates: 100 or more "
            "give a surer answer"
        )
    elif features.speed > WIDE_STEP:
        found["few_points"] = (
            f"the rate rises by a factor of {10.0**features.speed:.3g} per update, which shows the "
            f"curve roughly: take at most {10.0**WIDE_STEP:.3g}, with more updates or a narrower "
            "sweep"
        )
    return found
