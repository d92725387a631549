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
    from ..curve import Curve
    from ..smoothing import Floats

# Fewer points than these show no shape through their noise.
FEWEST_POINTS = 10

# Baseline: this part of the points of an exponential sweep, which crosses decades that do
# nothing first; a linear one learns at once, so only its first few points are untrained.
BASELINE_PART = 0.1
BASELINE_LINEAR = 3

# The run has diverged when it stands above its start by this many of its falls; values
# above the start count up to HIGHEST falls, so that a blow-up's height has no influence.
DIVERGED = 1.0
HIGHEST = 0.5

# A fall is more than noise when it exceeds the noise of one value, and this many standard
# errors of itself.
STANDARD_ERRORS = 3.0


class Fall:
    """The fall of one metric of one curve; `fraction` is 0 at its start and 1 at its bottom.

    x: log10 rates, rising. smoothed: the metric there, turned so that it falls.
    diverged: whether the run was cut where it diverged or was no longer finite.
    """

    def __init__(self, curve: Curve, metric: str) -> None:
        self.metric = metric
        self.linear = curve.sweep == "linear"
        self.lr, values = _recorded(curve, metric)
        sign = -1.0 if metric == "accuracy" else 1.0
        end = _end(sign * values)
        self.diverged = end < values.size or _stopped(curve, metric)
        self.points = end
        if end < FEWEST_POINTS:
            self._refuse_short(values.size)
        self.lr, raw = self.lr[:end], sign * values[:end]
        log_lr = smoothing.log_rates(self.lr)
        self.decades_per_point = float(log_lr[-1] - log_lr[0]) / (end - 1)

        lead = BASELINE_LINEAR if self.linear else max(3, round(BASELINE_PART * end))
        self.start = float(np.median(raw[:lead]))
        self.x, y = smoothing.thin(log_lr, raw)
        # Twice, because how far above the start values may stand is measured in falls.
        rough = smoothing.local_lines(self.x, np.minimum(y, self.start))
        top = self.start + HIGHEST * (self.start - float(rough.min()))
        y = np.minimum(y, top)
        self.smoothed = smoothing.local_lines(self.x, y)
        self.bottom = int(np.argmin(self.smoothed))
        self.depth = self.start - float(self.smoothed[self.bottom])
        self.noise = smoothing.residual_noise(y, self.smoothed)
        window = max(smoothing.FEWEST, smoothing.SPAN * y.size)
        error = math.hypot(1.0 / math.sqrt(lead), 1.0 / math.sqrt(window)) * self.noise
        self.fraction = (self.start - self.smoothed) / (self.depth or 1.0)
        self.ratio = self.depth / max(self.noise, STANDARD_ERRORS * error, 1e-300)

    def _refuse_short(self, n):
        raise NoBoundsError("short")

    def before(self, level: float) -> float:
        """Log10 rate where the fraction last rises through `level` before the bottom."""
        below = np.flatnonzero(self.fraction[: self.bottom] < level)
        return self._crossing(int(below[-1]), level) if below.size else float(self.x[0])

    def after(self, level: float) -> float:
        """Log10 rate where the fraction first sinks through `level` after the bottom."""
        below = np.flatnonzero(self.fraction[self.bottom :] < level)
        if not below.size:
            return float(self.x[-1])
        return self._crossing(self.bottom + int(below[0]) - 1, level)

    def _crossing(self, i: int, level: float) -> float:
        low, high = self.fraction[i], self.fraction[i + 1]
        return float(self.x[i] + (level - low) / (high - low) * (self.x[i + 1] - self.x[i]))


def _recorded(curve: Curve, metric: str):
    values = getattr(curve, metric)
    if metric == "accuracy":
        keep = np.isfinite(values)
        return curve.lr[keep], values[keep]
    return curve.lr, values

def _stopped(curve, metric): return False

def _end(y: Floats) -> int:
    """How many points come before the run diverged or was no longer finite."""
    bad = np.flatnonzero(~np.isfinite(y))
    n = int(bad[0]) if bad.size else y.size
    y = y[:n]
    if n < FEWEST_POINTS:
        return n
    a, b, c = y[:-2], y[1:-1], y[2:]
    middle = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    start = float(np.median(y[:5]))
    fallen = start - np.minimum.accumulate(middle)
    # noise of the points so far, renewed whenever their number has doubled
    noise = np.empty(n - 2)
    k = FEWEST_POINTS
    noise[:k] = smoothing.difference_noise(y[:k])
    while k < n:
        noise[k-2:] = smoothing.difference_noise(y[:k])
        k *= 2
    learned = fallen > 4.0 * noise
    gone = np.flatnonzero(learned & (middle > start + DIVERGED * fallen))
    return int(gone[0]) + 3 if gone.size else n
