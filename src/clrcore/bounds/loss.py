"""The loss rule: the middle of the plateau where the loss has made most of its fall.

The plateau is where the smoothed loss has made 90 % of its fall. Its middle is steadier than
the lowest point, and lies to the right of the best constant rate, because a sweep moves on
before the loss has answered to a rate, and because it arrives with a network already trained.
"""

from __future__ import annotations

import math

from .fall import Fall
from .reading import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..curve import Curve

PLATEAU = 0.9

# The loss answers to a rate about this many updates late. An exponential sweep has moved on by
# as many steps, but what it gains on the best rate is bounded.
LAG_POINTS = 6.0
LARGEST_LAG = 0.5
# A linear sweep dwells at each rate, so it gains by having trained on the way, not by the lag.
LINEAR_LAG = 0.5

# The method's own error, in decades, that several seeds do not lower.
LR_ERROR = 0.4

# Decades of a factor of 2: a cycle passes its peak only briefly and stands twice the rate.
TWICE = 0.30103
# The part of max_lr that base_lr is (paper, section 3.3: a third to a fourth).
BASE_DECADES = 0.60206
# The largest rate that trains, in decades from where half of the fall is lost again.
TRAINS_LOW, TRAINS_HIGH = 0.75, 0.25


def loss_rule(curve: Curve) -> Reading:
    """Bounds from the training loss of one sweep.

    Raises NoBoundsError where the loss shows no fall.
    """
    fall = Fall(curve, "loss")
    lr = constant_rate(fall)
    top = max(lr, min(lr + TWICE, fall.after(PLATEAU), fall.after(0.5) - TWICE))
    low, high = 10 ** fall.before(PLATEAU), 10 ** fall.after(PLATEAU)
    return Reading(
        base=top - BASE_DECADES,
        lr=lr,
        top=top,
        lr_span=rate_span(fall, lr),
        top_span=trainable_span(fall, top),
        reasons=(
            f"the smoothed loss has made 90 % of its fall from lr={low:.3g} to {high:.3g}; lr is "
            f"the middle of it in log rate, divided by {10 ** lag(fall):.3g} because "
            f"{'a linear' if fall.linear else 'an exponential'} sweep of this length shows it at "
            "that much too large a rate",
            _top_reason(fall),
            "base_lr is max_lr / 4",
        ),
        warnings=fall.warnings(),
    )


def _top_reason(fall: Fall) -> str:
    if fall.loses(0.5):
        return (
            "max_lr is twice lr, at most where the loss has lost a tenth of its fall again and "
            "half the rate where it has lost half of it"
        )
    return "max_lr is twice lr, at most half the last rate that was of use"


def lag(fall: Fall) -> float:
    """By how many decades the sweep shows the plateau at too large rates."""
    if fall.linear:
        return LINEAR_LAG
    return min(LARGEST_LAG, LAG_POINTS * fall.decades_per_update)


def constant_rate(fall: Fall) -> float:
    """Log10 of the rate for constant training; never below the sweep's first rate."""
    middle = 0.5 * (fall.before(PLATEAU) + fall.after(PLATEAU))
    return max(fall.edges[0], middle - lag(fall))


def rate_span(fall: Fall, lr: float) -> tuple[float, float]:
    """Where the best constant rate is expected."""
    error = LR_ERROR + fall.decades_per_update
    low = min(lr - error, fall.before(0.8) - lag(fall))
    high = max(lr + error, fall.after(PLATEAU))
    return max(low, fall.edges[0]), min(high, _last(fall))


def trainable_span(fall: Fall, top: float) -> tuple[float, float]:
    """Where the largest rate that trains is expected, `top` included."""
    lost = fall.after(0.5)
    low = max(lost - TRAINS_LOW, fall.edges[0])
    high = min(lost + TRAINS_HIGH, _last(fall))
    return min(low, top), max(high, top)


def _last(fall: Fall) -> float:
    """The largest log10 rate to speak of: the sweep's last, unless its plateau ended before."""
    return math.inf if fall.recovers else fall.edges[1]
