"""What the estimators share: a metric over log rate, in fractions of its own fall.

Accuracy is turned over first, so that both metrics fall while the network learns and rise when
the rate is too large. Only differences of the metric enter, so its scale and offset do not.
"""

from __future__ import annotations

import math

import numpy as np

from .. import smoothing
from ..errors import NoBoundsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..curve import Curve
    from ..smoothing import Floats

# Fewer points than these show no shape through their noise.
FEWEST_POINTS = 10
# Fewer than these, or larger steps in log10 rate, show it roughly.
FEW_POINTS = 60
WIDE_STEP = 0.12

# Baseline: this part of the points of an exponential sweep, which crosses decades that do
# nothing first; a linear one learns at once, so only its first few points are untrained. The
# median of five bears a spike of two points, that of three one.
BASELINE_PART = 0.1
BASELINE_LEAST = 5
BASELINE_LINEAR = 3
# Of a linear sweep measured now and then, at most one in so many points is untrained.
SPARSE = 30
# A few points may be low by chance. A loss that has not fallen yet is as high over a longer
# baseline, so the higher of the two is nearer to the start.
LONGER_PART = 0.25
LONGER_LEAST = 10

# Part of the points in a window of the smoother, and their least number. Those of the loss are
# narrow: its estimators are means over the curve and smooth by themselves, and a wide window
# carries the blow-up back into the plateau. Accuracy of a small held-out set is coarse.
WINDOWS = {"loss": (0.06, 5), "accuracy": (0.12, 7)}
# A point that has made this part of the fall has a weight of its 6th power in the centre: half
# of the fall counts for a sixtieth, nine tenths for a half.
POWER = 6

# A run has diverged once it stands above its start by as much as it had fallen, and never
# comes back to its lowest value. Before that, values above the start count up to HIGHEST falls,
# so that how high a blow-up goes has no influence.
LEARNED = 4.0
HIGHEST = 0.5
# All of a fall is lost where less than this part of it is left.
LOST = 0.1

# A fall is its noise's work unless it exceeds the noise of one value and this many standard
# errors of the difference between baseline and bottom.
STANDARD_ERRORS = 2.0
# It must be clearer where the metric shows no trend that noise alone hardly has, by this many
# standard errors, or never rises again by as many times its noise.
TREND = 1.0
RISEN = 3.0
CLEAR = 1.5
# Among the many narrow windows of pure noise some are deep; a fall in them must be clearer too.
NARROW = 1.5
# A rise from the start that shows within this part of the points is a sweep that starts too high;
# one that shows later is a sweep too fast to learn in.
EARLY = 0.25
# A curve that begins this part of its fall from its baseline was moving from the start.
MOVING = 0.15
# Falls below this part of the values are rounding.
ROUNDING = 1e-12
TINY = 1e-300


class Fall:
    """The fall of one metric of one curve.

    x: log10 rates, rising, shape (m,). smoothed: the metric there, turned so that it falls.
    fraction: how much of its fall it has made there: 0 at the start, 1 at the bottom.
    points: how many points were used, up to the divergence. cut: whether there was one.
    edges: log10 rates of the first and the last point used.

    Raises NoBoundsError where there is no fall to be seen.
    """

    def __init__(self, curve: Curve, metric: str) -> None:
        lr, values, updates, lost = recorded(curve, metric)
        check_rising(lr)
        self.metric = metric
        self.linear = curve.sweep == "linear"
        self._from_zero = starts_at_zero(curve)
        self.first = float(curve.lr[0]) if len(curve) else 0.0
        turned = -values if metric == "accuracy" else values
        self.points = _usable(turned) if metric == "loss" else turned.size
        self.cut = lost or self.points < turned.size
        if self.points < FEWEST_POINTS:
            if not np.isfinite(turned).any():
                raise NoBoundsError(
                    f"no finite {metric} was recorded ({len(curve)} points): check the training "
                    "step, and that the metric is recorded at the rates it belongs to",
                    "no_values",
                )
            _refuse_short(lr, turned, self.points, metric, self.start_lower())
        lr, turned = lr[: self.points], turned[: self.points]
        rates = smoothing.log_rates(lr)
        self.lr = lr
        self.edges = float(rates[0]), float(rates[-1])
        # Per update, recorded or not: the network moved at each.
        made = int(updates[self.points - 1] - updates[0])
        self.decades_per_update = (self.edges[1] - self.edges[0]) / made

        lead, longer = self._baselines(made + 1 == self.points)
        start = float(max(np.median(turned[:lead]), np.median(turned[:longer])))
        window = WINDOWS[metric]
        self.x, raw = smoothing.thin(rates, turned)
        # A single low value is nobody's fall, the first one neither; a high one is cut below.
        middle = _medians_of_three(raw)
        first = middle[:1] if raw[0] < raw[1:].min() else raw[:1]
        y = np.concatenate([first, middle, raw[-1:]])
        # Twice, because how far above the start values may stand is measured in falls.
        lowest = float(smoothing.local_lines(self.x, np.minimum(y, start), *window).min())
        highest = start + HIGHEST * (start - lowest)
        self.smoothed = smoothing.local_lines(self.x, np.minimum(y, highest), *window)
        self.bottom = int(np.argmin(self.smoothed))
        self.depth = start - float(self.smoothed[self.bottom])
        self._check_depth(turned, np.minimum(raw, highest), start, lead)
        self._led = float(rates[lead - 1])
        self._check_place()
        self.fraction: Floats = (start - self.smoothed) / self.depth

    def _baselines(self, dense: bool) -> tuple[int, int]:
        """How many of the first points are untrained, and how many may be.

        dense: whether there is a point for every update, which learns little in a few.
        """
        if self.linear:
            few = self.points // SPARSE
            lead = BASELINE_LINEAR if dense else max(1, min(BASELINE_LINEAR, few))
            return lead, max(lead, min(LONGER_LEAST, few))
        return (
            max(BASELINE_LEAST, round(BASELINE_PART * self.points)),
            max(LONGER_LEAST, round(LONGER_PART * self.points)),
        )

    @property
    def recovers(self) -> bool:
        """Whether the end of the plateau was seen: half of the fall lost again, or a cut."""
        return self.cut or self.loses(0.5)

    @property
    def centre(self) -> float:
        """Log10 rate at the centre of where most of the fall is made; steadier than the bottom."""
        # A baseline that is low by chance has not fallen.
        fallen = np.where(self.x > self._led, self.fraction, 0.0)
        weight = np.clip(fallen, 0.0, 1.0) ** POWER * (np.gradient(self.x) + TINY)
        return float(np.average(self.x, weights=weight))

    @property
    def end(self) -> float:
        """Log10 rate at which the fall is lost again, on average over its levels.

        The levels go from the bottom to as far above the start as values count. Those that are
        not reached again are lost at the last rate, or with all of the fall, where it is lost.
        """
        kept = np.minimum.accumulate(self.fraction[self.bottom :])
        if kept[-1] < LOST:  # however long it then stays where it began
            kept[kept < kept[-1] + LOST] = -HIGHEST
        part = np.clip((kept + HIGHEST) / (1.0 + HIGHEST), 0.0, 1.0)
        x = self.x[self.bottom :]
        return float(x[0] + np.sum(0.5 * (part[1:] + part[:-1]) * np.diff(x)))

    def loses(self, level: float) -> bool:
        """Whether the fraction sinks below `level` again after the bottom."""
        return bool(np.any(self.fraction[self.bottom :] < level))

    def before(self, level: float) -> float:
        """Log10 rate where the fraction last rises through `level` before the bottom."""
        below = np.flatnonzero(self.fraction[: self.bottom] < level)
        return self._crossing(int(below[-1]), level) if below.size else self.edges[0]

    def after(self, level: float) -> float:
        """Log10 rate where the fraction first sinks through `level` after the bottom."""
        below = np.flatnonzero(self.fraction[self.bottom :] < level)
        if not below.size:
            return self.edges[1]
        return self._crossing(self.bottom + int(below[0]) - 1, level)

    def warnings(self) -> dict[str, str]:
        """What the shape of the curve leaves open: kind of warning -> sentence."""
        found = {}
        first, last = (10.0**edge for edge in self.edges)
        turned = "rise" if self.metric == "loss" else "fall"
        if self.bottom == self.x.size - 1 and not self.cut:
            found["end_not_reached"] = (
                f"the {self.metric} was still getting better at the last rate: raise the "
                f"sweep's top above {last:.3g} to see where it ends"
            )
        elif not self.recovers:
            found["end_not_reached"] = (
                f"the {self.metric} did not {turned} by half of its change again up to "
                f"lr={last:.3g}, so the largest rate that trains was not seen: raise the "
                "sweep's top"
            )
        if abs(self.fraction[0]) > MOVING and not self._from_zero:
            found["start_not_seen"] = (
                f"the {self.metric} was changing from the first rates on: lower the sweep's "
                f"start below {first:.3g} to see where it begins"
            )
        if self.points < FEW_POINTS or (not self.linear and self.decades_per_update > WIDE_STEP):
            found["few_points"] = (
                f"a short sweep of {self.points} usable points: 100 or more give a surer answer"
            )
        return found

    def _crossing(self, i: int, level: float) -> float:
        low, high = self.fraction[i], self.fraction[i + 1]
        return float(self.x[i] + (level - low) / (high - low) * (self.x[i + 1] - self.x[i]))

    def _check_place(self) -> None:
        """Refuse a fall that is over where the baseline ends: what follows is a rise."""
        if self.x[self.bottom] > self._led:
            return
        raise NoBoundsError(self._diverging(), "diverged_at_start")

    def _diverging(self) -> str:
        better, worse = ("fall", "rises") if self.metric == "loss" else ("rise", "falls")
        return (
            f"already diverging at the first rates: the {self.metric} {worse} without a "
            f"{better} before it; {self.start_lower()}"
        )

    def start_lower(self) -> str:
        """What to do where the sweep begins at too large rates."""
        if self._from_zero:
            return "take more updates for the ramp, or lower its top, as it starts at 0"
        return f"lower the sweep's start below lr={self.first:.3g}"

    def _check_depth(self, turned: Floats, y: Floats, start: float, lead: int) -> None:
        """Refuse a fall that may be its noise's work."""
        # The noise of the raw values before the blow-up; residuals of narrow windows hide it.
        before = int(np.searchsorted(self.lr, 10.0 ** self.x[self.bottom]))
        early = turned[: max(before, FEWEST_POINTS)]
        # Its median is 0 where most values are equal, as those of few examples are.
        noise = smoothing.difference_noise(early) or float(np.std(np.diff(early)) / math.sqrt(2.0))
        # A median is worth two thirds of its points, a window's line as much of its own.
        window = max(smoothing.FEWEST, smoothing.SPAN * self.x.size)
        error = noise * math.sqrt(1.5 / lead + 1.5 / window)
        least = max(noise, STANDARD_ERRORS * error, ROUNDING * abs(start))
        risen = float(_medians_of_three(turned).max()) > start + RISEN * noise
        if not (risen and _has_trend(y)):
            least *= CLEAR
        depth = start - float(smoothing.local_lines(self.x, y).min())
        if depth > least or self.depth > NARROW * least:
            return
        end = float(np.median(turned[-max(3, self.points // 10) :]))
        message, kind = self._lost_in_noise(turned, start, max(depth, 0.0), least, end)
        raise NoBoundsError(message, kind)

    def _lost_in_noise(
        self, turned: Floats, start: float, change: float, least: float, end: float
    ) -> tuple[str, str]:
        """Why there is no fall, and what to do: by whether and when the metric got worse."""
        better = "fall" if self.metric == "loss" else "rise"
        small = f"its change of {change:.3g} is not larger than its noise of {least:.3g}"
        last = float(self.lr[-1])
        if end - start <= least and not self.cut:
            return (
                f"no {better} of the {self.metric} seen up to lr={last:.3g}: {small}; raise the "
                f"sweep's top above {last:.3g}, or make the noise smaller with larger batches",
                "no_fall",
            )
        # The last median of three that is no higher ends with the first point that is.
        level = _medians_of_three(turned) <= start + least
        worse = min(int(np.flatnonzero(np.append(True, level))[-1]) + 1, self.points - 1)
        if worse < EARLY * self.points:
            return self._diverging(), "diverged_at_start"
        return (
            f"no {better} of the {self.metric} seen before it was lost at "
            f"lr={float(self.lr[worse]):.3g}: {small}; take more updates for the sweep, or make "
            "the noise smaller with larger batches",
            "noise",
        )


def _has_trend(y: Floats) -> bool:
    """Whether neighbours are more alike than values of pure noise (von Neumann's ratio).

    For noise the mean squared step is twice the variance, within 1 / sqrt(n) of it.
    """
    likeness = 0.5 * float(np.mean(np.diff(y) ** 2)) / max(float(np.var(y)), TINY)
    return likeness < 1.0 - TREND / math.sqrt(y.size)


def starts_at_zero(curve: Curve) -> bool:
    """Whether a linear ramp starts at 0 or one step above it, so that nothing lies below."""
    if curve.sweep != "linear" or len(curve) < 2:
        return False
    return bool(curve.lr[0] <= 1.01 * (curve.lr[1] - curve.lr[0]))


def recorded(curve: Curve, metric: str) -> tuple[Floats, Floats, NDArray[np.int64], bool]:
    """Rates and values of the metric where it counts, the updates they are of, and whether the
    run was lost after them.

    A value that is missing is left out; a loss that is lost for good stays, and is cut later.
    Accuracy may be measured at some points only, and says nothing once the loss is lost.
    """
    values = getattr(curve, metric)
    keep = np.isfinite(values)
    lost = False
    if metric == "loss":
        keep[smoothing.finite_until(values) :] = True
    elif curve.loss is not None:
        known = np.flatnonzero(np.isfinite(curve.loss))
        usable = _usable(curve.loss[known])
        if usable:
            end = int(known[usable - 1]) + 1
            lost = end < len(curve)
            keep[end:] = False
    return curve.lr[keep], values[keep], curve.updates[keep], lost


def check_rising(lr: Floats) -> None:
    """Refuse rates that fall or stand still."""
    falls = np.flatnonzero(np.diff(lr) < 0.0)
    if falls.size:
        i = int(falls[0])
        raise NoBoundsError(
            f"the rates do not rise: lr={float(lr[i]):.3g} is followed by {float(lr[i + 1]):.3g} "
            f"at point {i + 1}; pass the points of one sweep, from its smallest rate to its "
            "largest",
            "not_a_sweep",
        )
    if lr.size > 1 and lr[0] == lr[-1]:
        raise NoBoundsError(
            f"the rates do not rise: all are {float(lr[0]):.3g}; sweep the rate from a small value "
            "to a large one",
            "not_a_sweep",
        )


def _usable(y: Floats) -> int:
    """How many points come before the run was no longer finite, or diverged for good.

    What comes after has no influence: a point is judged by those before it, except that a run
    that later falls lower than ever has not diverged.
    """
    lost = np.flatnonzero(~np.isfinite(y))
    n = int(lost[0]) if lost.size else y.size
    if n < FEWEST_POINTS:
        return n
    y = y[:n]
    middle = _medians_of_three(y)
    start = float(np.median(y[:5]))
    fallen = start - np.minimum.accumulate(middle)
    # The noise of the points so far, measured anew whenever their number has doubled.
    noise = np.full(n - 2, smoothing.difference_noise(y[:FEWEST_POINTS]))
    known = 2 * FEWEST_POINTS
    while known < n:
        noise[known - 2 :] = smoothing.difference_noise(y[:known])
        known *= 2
    later = np.minimum.accumulate(middle[::-1])[::-1]
    gone = (fallen > LEARNED * noise) & (middle > start + fallen) & (later > start - fallen)
    first = np.flatnonzero(gone)
    return int(first[0]) + 3 if first.size else n


def _medians_of_three(y: Floats) -> Floats:
    """Medians of each value and the two after it: one spike counts for nothing."""
    a, b, c = y[:-2], y[1:-1], y[2:]
    medians: Floats = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    return medians


def _refuse_short(lr: Floats, y: Floats, usable: int, metric: str, start_lower: str) -> None:
    """Say why there are too few points."""
    if usable < y.size:
        raise NoBoundsError(
            f"already diverging at the first rates: the {metric} is lost from "
            f"lr={float(lr[usable]):.3g} on, after {usable} points; {start_lower}",
            "diverged_at_start",
        )
    raise NoBoundsError(
        f"too few points: {y.size} with a finite {metric}, at least {FEWEST_POINTS} are needed; "
        "record more, best 100 or more",
        "few_points",
    )
