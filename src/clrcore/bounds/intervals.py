"""How far the best constant rate and the largest rate that trains may be from the answer."""

from __future__ import annotations

import math

from .. import smoothing
from .calibration import fitted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .features import Features

# A curve that continues for this many decades after it diverged did not end because of that.
SOON = 0.3
# With any of these warnings the best rate may be further below.
UNSURE = frozenset({"few_points", "slow_start", "start_not_seen"})


def rate_interval(
    features: Features, lr: float, warnings: Mapping[str, str]
) -> tuple[float, float]:
    """Where the best constant rate is expected; log10 rates, `lr` included."""
    below = fitted("lr_below_unsure")
    if not UNSURE & warnings.keys():
        # The lag of a fast sweep is less sure, so that the interval is wider by the lag.
        below = min(below, fitted("lr_below") + fitted("lag_updates") * features.speed)
    above = fitted("lr_above_open" if "end_not_reached" in warnings else "lr_above")
    return _inside(features, lr - below, lr + above, lr)


def trainable_interval(features: Features, top: float) -> tuple[float, float]:
    """Where the largest rate that trains is expected; log10 rates, `top` included."""
    above = fitted("trains_above" if features.end_seen else "trains_above_open")
    return _inside(features, features.end - fitted("trains_below"), features.end + above, top)


def _inside(features: Features, low: float, high: float, rate: float) -> tuple[float, float]:
    """The interval with the rate in it, and within the sweep where its end was seen."""
    first, last = features.edges
    if features.points.lost:
        # A test ends soon after it has diverged, and its last rate is not the sweep's top then.
        top = float(smoothing.log_rates(features.points.curve.lr)[-1])
        last = top if top > last + SOON else math.inf
    elif not features.end_seen:
        last = math.inf
    return min(max(low, first), rate), max(min(high, last), rate)
