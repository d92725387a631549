"""Which points of a curve count: those with a value, up to where the run diverged."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .. import smoothing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..curve import Curve
    from ..smoothing import Floats

# Fewer points than these show no shape through their noise.
FEWEST = 10
# The first few values give the start of the metric; the median of five bears two wrong values.
FIRST = 5
# A fall counts as learning, so that its loss is a divergence, from this many times the noise on.
LEARNED = 4.0
# Values are cut at this many times the typical value, so that their squares stay finite.
HUGE = 1e100


class Points(NamedTuple):
    """The points of one metric that count, in the order in which they were recorded.

    Attributes:
        curve: Their curve.
        metric: "loss" or "accuracy".
        lr: Their rates.
        y: Their values, with accuracies negated: both metrics fall while the network learns and
            rise where the rate is too large.
        scale: Divisor of the values, so that their squares neither vanish nor overflow.
        updates: The updates before each point.
        lost: Whether the run diverged after the last point.
    """

    curve: Curve
    metric: str
    lr: Floats
    y: Floats
    scale: float
    updates: NDArray[np.int64]
    lost: bool

    @property
    def linear(self) -> bool:
        """Whether the sweep is linear."""
        return self.curve.sweep == "linear"


def starts_at_zero(curve: Curve) -> bool:
    """Whether a linear sweep starts at 0 or a step above it, so that no rate is below."""
    if curve.sweep != "linear" or len(curve) < 2:
        return False
    return bool(curve.lr[0] <= 1.01 * (curve.lr[1] - curve.lr[0]))


def select(curve: Curve, metric: str) -> Points:
    """The points of a metric that count.

    Missing values are left out. Accuracies count as long as the loss does.
    """
    values = getattr(curve, metric)
    end = values.size
    if curve.loss is not None and np.isfinite(curve.loss).any():
        end = smoothing.finite_until(curve.loss)
        known = np.flatnonzero(np.isfinite(curve.loss[:end]))
        before = before_divergence(curve.loss[known])
        if before < known.size:
            end = int(known[before])
    kept = np.flatnonzero(np.isfinite(values[:end]))
    y = values[kept]
    # Of halves, as the median of two values near the largest float would overflow.
    half = float(np.median(np.abs(y) / 2.0)) if y.size else 0.5
    scale = math.ldexp(1.0, math.frexp(half)[1])
    with np.errstate(over="ignore"):
        y = np.clip(y / scale, -HUGE, HUGE)
    return Points(
        curve=curve,
        metric=metric,
        lr=curve.lr[kept],
        y=-y if metric == "accuracy" else y,
        scale=scale,
        updates=curve.updates[kept],
        lost=end < values.size,
    )


@np.errstate(over="ignore", invalid="ignore")  # of values near the largest float
def before_divergence(y: Floats) -> int:
    """How many points come before the run diverged for good.

    It has diverged where it stands above its start by more than it had fallen, and never falls
    lower afterwards. Later points do not move an earlier end.
    """
    if y.size < FEWEST:
        return y.size
    middle = medians_of_three(y)
    start = float(np.median(y[:FIRST]))
    fallen = start - np.minimum.accumulate(middle)
    later = np.minimum.accumulate(middle[::-1])[::-1]
    learned = fallen > LEARNED * smoothing.difference_noise(y[: 2 * FEWEST])
    gone = np.flatnonzero(learned & (middle > start + fallen) & (later > start - fallen))
    return int(gone[0]) + 3 if gone.size else y.size


def medians_of_three(y: Floats) -> Floats:
    """Medians of each value and the two after it: a single wrong value counts for nothing."""
    a, b, c = y[:-2], y[1:-1], y[2:]
    medians: Floats = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    return medians
