"""Features of a curve: where its metric falls, where it rises again, and its noise.

Heights are fractions of the metric's own fall, so its scale and offset do not matter.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from .. import smoothing
from .calibration import fitted
from .points import FEWEST, FIRST, Points, medians_of_three

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..smoothing import Floats

# The baseline of an exponential sweep, which crosses decades of no effect first: a tenth of the
# points, or a quarter where that is higher, as a few points may be low by chance. A linear sweep
# trains from its first points on: three of them, or a thirtieth where it was logged now and then.
BASELINE, LONGER = 0.1, 0.25
BASELINE_LINEAR, SPARSE = 3, 30
# Share of the points in a window of the smoother, and the least number. Those of the loss are
# narrow: the features are means and smooth by themselves, and a wide window carries the blow-up
# into the plateau. The accuracy of a small held-out set is coarse.
WINDOWS = {"loss": (0.06, 5), "accuracy": (0.12, 7)}
# Values above the start count up to this many falls, so that the height of a blow-up does not.
HIGHEST = 0.5
# A rise that leaves less than this fraction of the fall counts as a whole rise.
ALL_LOST = 0.1
# A metric has risen above its start where its last two values are above it by this many times
# the noise.
RISEN = 3.0
# The fall begins where this fraction of it is reached.
BEGUN = 0.1
# A correlation of neighbours counts from this many standard errors on.
SURE = 2.0
# Noise is each step less the median of this many steps, cut at this many times its size.
# Steps below the last number, as a fraction of the values, are rounding.
TREND_STEPS, OUTLIER, ROUNDING = 11, 4.0, 1e-6
# Every other step of noise turns back; where fewer than this share do, the curve is smooth.
TURNS = 0.3
# No fall is smaller, in typical values; it keeps divisions finite.
TINY = 1e-200


class Features:
    """The features of a metric of a curve, for the rules and the diagnosis.

    Attributes:
        points: The points that count.
        x: Log10 rates, rising; at most 1000 of them.
        smoothed: The metric there, turned so that it falls.
        head: The metric at the very first points.
        start: The metric before it falls.
        depth: How far it falls.
        fraction: How much of the fall is reached at x: 0 at the start, 1 at the bottom.
        bottom: Index of the lowest place.
        lead: Number of points in the baseline.
        speed: Decades per update of an exponential sweep; 0 for a linear one.
    """

    def __init__(self, points: Points) -> None:
        self.points = points
        self.metric, self.scale = points.metric, points.scale
        rates = smoothing.log_rates(points.lr)
        self.edges = float(rates[0]), float(rates[-1])
        self.num_updates = int(points.updates[-1] - points.updates[0]) + 1
        exponential = 0.0 if points.linear else self.edges[1] - self.edges[0]
        self.speed = exponential / (self.num_updates - 1)
        self.lead, longer = self._baselines()
        y = points.y
        self.head = float(np.median(y[: min(FIRST, self.lead)]))
        self.start = float(max(np.median(y[: self.lead]), np.median(y[:longer])))
        self.x, self.raw = smoothing.thin(rates, y)
        self._smooth()
        self.lead_end = float(rates[self.lead - 1])

    def _baselines(self) -> tuple[int, int]:
        """How many of the first points are untrained, and how many may be."""
        n = self.points.y.size
        if self.points.linear:
            few = n // SPARSE
            dense = self.num_updates == n
            lead = BASELINE_LINEAR if dense else max(1, min(BASELINE_LINEAR, few))
            return lead, max(lead, min(FEWEST, few))
        return max(FIRST, round(BASELINE * n)), max(FEWEST, round(LONGER * n))

    def _smooth(self) -> None:
        """Smooth the metric and find its bottom, depth and fraction."""
        raw, start = self.raw, self.start
        window = WINDOWS[self.metric]
        # A single low value is nobody's fall, the first value neither; a high one is cut below.
        middle = medians_of_three(raw)
        first = middle[:1] if raw[0] < raw[1:].min() else raw[:1]
        y = np.concatenate([first, middle, raw[-1:]])
        # Twice, because how far above the start values may stand is measured in falls.
        lowest = float(smoothing.local_lines(self.x, np.minimum(y, start), *window).min())
        self.highest = start + HIGHEST * (start - lowest)
        self.smoothed = smoothing.local_lines(self.x, np.minimum(y, self.highest), *window)
        self.bottom = int(np.argmin(self.smoothed))
        self.depth = start - float(self.smoothed[self.bottom])
        self.fraction: Floats = (start - self.smoothed) / max(self.depth, TINY)

    @property
    def share(self) -> float | None:
        """The fall as a fraction of the start; None for accuracy and for losses below 0."""
        if self.metric == "accuracy" or self.start - self.depth < 0.0:
            return None
        return self.depth / self.start if self.start > 0.0 else None

    @property
    def end_seen(self) -> bool:
        """Whether the metric rose again by half of its fall, or the run diverged."""
        return self.points.lost or self.loses(0.5)

    @property
    def centre(self) -> float:
        """Log10 rate at the centre of where most of the fall is reached.

        It is steadier than the bottom.
        """
        # A baseline that is low by chance has not fallen.
        fallen = np.where(self.x > self.lead_end, self.fraction, 0.0)
        power = fitted("centre_power")
        weight = np.clip(fallen, 0.0, 1.0) ** power * (np.gradient(self.x) + TINY)
        return float(np.average(self.x, weights=weight))

    @property
    def end(self) -> float:
        """Log10 rate at which the metric rises again, on average over its levels.

        The levels go from the bottom up to the highest counted value. A level that is not reached
        again counts at the last rate, or at the rate of a whole rise.
        """
        kept = np.minimum.accumulate(self.fraction[self.bottom :])
        if kept[-1] < ALL_LOST:  # however long it then stays where it began
            kept[kept < kept[-1] + ALL_LOST] = -HIGHEST
        level = np.clip((kept + HIGHEST) / (1.0 + HIGHEST), 0.0, 1.0)
        x = self.x[self.bottom :]
        return float(x[0] + np.sum(0.5 * (level[1:] + level[:-1]) * np.diff(x)))

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

    def _crossing(self, i: int, level: float) -> float:
        low, high = self.fraction[i], self.fraction[i + 1]
        return float(self.x[i] + (level - low) / (high - low) * (self.x[i + 1] - self.x[i]))

    @cached_property
    def noise(self) -> float:
        """Standard deviation of a value, as large as that of independent values would have to be.

        Losses that are like their neighbours, as those of a running average, hide the noise of
        their mean. Held-out accuracies are like their neighbours without that.
        """
        values = np.minimum(self.points.y, self.highest)
        end = int(np.searchsorted(self.points.lr, 10.0 ** self.x[self.bottom], side="right"))
        before = values[: max(end, FEWEST)]
        width = max(smoothing.FEWEST, round(smoothing.SPAN * values.size))
        noise, near = value_noise(before), value_noise(before[-width:])
        if self.metric == "loss":
            # Values of a run that blew up grow correlated, but they are not noise.
            alike, pairs = likeness(before if self.points.lost else values)
            surely = max(min(alike, 1.0) - SURE * 2.0 / math.sqrt(max(pairs, 1)), 0.0)
            noise *= math.sqrt(1.0 + surely) / (1.0 - surely)
        return max(noise, near)

    @property
    def risen(self) -> bool:
        """Whether the metric got worse than its start at the end, beyond its noise."""
        last = self.points.y[-2:]
        return self.points.lost or float(np.min(last)) > self.start + RISEN * self.noise

    @property
    def flat(self) -> Floats:
        """The values before the fall begins."""
        begun = np.flatnonzero(self.fraction > BEGUN)
        if not begun.size:
            return self.points.y
        return self.points.y[: int(np.searchsorted(self.points.lr, 10.0 ** self.x[begun[0]]))]


def value_noise(y: Floats) -> float:
    """Standard deviation of the noise; by its mean square where most values are equal."""
    return smoothing.difference_noise(y) or float(np.std(np.diff(y)) / math.sqrt(2.0))


def likeness(y: Floats) -> tuple[float, int]:
    """The correlation of the noise of neighbours, and the number of pairs it comes from.

    0 for independent values, near 1 for a running average. From the correlation of neighbouring
    steps, which is -(1 - likeness) / 2, in places without a trend.
    """
    if y.size < 2 * TREND_STEPS:
        return 0.0, 0
    steps = np.diff(y)
    size = float(smoothing.SIGMA * np.median(np.abs(steps - np.median(steps))))
    if size <= ROUNDING * float(np.median(np.abs(y))):
        return 0.0, 0
    padded = np.pad(steps, TREND_STEPS // 2, mode="reflect")
    trend = np.median(np.lib.stride_tricks.sliding_window_view(padded, TREND_STEPS), axis=1)
    rest = np.clip(steps - trend, -OUTLIER * size, OUTLIER * size)
    level = np.abs(trend) < size
    pairs = level[1:] & level[:-1]
    number = int(np.count_nonzero(pairs))
    turns = (steps[1:] * steps[:-1] < 0.0)[pairs]
    if not number or float(np.mean(turns)) < TURNS:
        return 0.0, 0
    products = float(np.mean((rest[1:] * rest[:-1])[pairs]))
    return 1.0 + 2.0 * products / float(np.mean(rest[level] ** 2)), number
