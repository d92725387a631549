"""The loss rule: the centre of where the loss has fallen most, and where it is lost again.

The centre is steadier than the lowest point, and lies to the right of the best constant rate:
a sweep moves on before the loss has answered to a rate, and arrives with a network already
trained. The faster the sweep, the less of a plateau there is to see, and the more does the place
where the fall is lost again say.
"""

from __future__ import annotations

import math

from ..errors import NoBoundsError
from .fall import Fall
from .reading import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..curve import Curve

# The centre lies this far above the best constant rate, in decades, because the network comes
# to each rate already trained by those before it. A linear sweep trains it more.
TRAINED = 0.3
TRAINED_LINEAR = 0.4
# The loss answers to a rate about this many updates late, and an exponential sweep has moved on
# by as many steps. One so fast that it moves by more than a quarter decade shows no more lag.
LAG_UPDATES = 4.0
FASTEST = 0.25
# Decades per update, times this, is the weight of where the fall is lost beside its centre.
END_WEIGHT = 4.0

# A plateau goes on for more than this many decades where a network has nothing left to learn, or
# its layers are normalised: how far says nothing about the best rate.
BY_THEN = 0.8
LONGEST = 0.9

# Where the best constant rate lies, in decades from lr, wider by a part of a fast sweep's decades
# per update: measured, so that about nine of ten best rates lie within.
LR_BELOW, LR_ABOVE = 0.42, 0.65
LR_FAST = 0.5

# Decades of a factor of 2: a cycle passes its peak only briefly and stands twice the rate. The lr
# of a fast sweep is less sure, and its decades per update are taken off.
TWICE = 0.30103
# The part of max_lr that base_lr is (paper, section 3.3: a third to a fourth).
BASE_DECADES = 0.60206
# The largest rate that trains, in decades from where the fall is lost again; a fast sweep shows
# that place by these many of its updates too late. Measured as above.
TRAINS_BELOW, TRAINS_ABOVE = 0.6, 0.6
TRAINS_FAST = 1.8


def loss_rule(curve: Curve) -> Reading:
    """Bounds from the training loss of one sweep.

    Raises NoBoundsError where the loss shows no fall.
    """
    fall = Fall(curve, "loss")
    lr = constant_rate(fall)
    top = max(lr, min(lr + TWICE - _speed(fall), fall.end - TWICE))
    return Reading(
        base=top - BASE_DECADES,
        lr=lr,
        top=top,
        lr_span=rate_span(fall, lr),
        top_span=trainable_span(fall, top),
        reasons=(*rate_reasons(fall), _top_reason(fall), "base_lr is max_lr / 4"),
        warnings=fall.warnings(),
    )


def rate_reasons(fall: Fall) -> list[str]:
    """Why `constant_rate` is what it is, in words."""
    what = "loss has fallen" if fall.metric == "loss" else "accuracy has risen"
    kind = "a linear" if fall.linear else "an exponential"
    centre, end = _marks(fall)
    found = [
        f"the smoothed {what} most round lr={10**centre:.3g}; lr is that, divided by "
        f"{10 ** lag(fall):.3g} because {kind} sweep of this length shows the best rate at that "
        "much too large a one"
    ]
    if centre < fall.centre:
        found.append(
            f"the plateau goes on to larger rates; what is more than {LONGEST} decades above "
            f"where {BY_THEN:.0%} of the change was made does not count"
        )
    weight = end_weight(fall)
    if weight > 0.1:
        found.append(
            f"a sweep this fast shows little of a plateau: where the change is lost again, "
            f"lr={10**end:.3g}, has a weight of {weight:.0%} in lr before that"
        )
    return found


def _top_reason(fall: Fall) -> str:
    less = "" if fall.linear else ", less what a fast sweep leaves unsure"
    if fall.loses(0.5):
        most = "half the rate at which the loss has lost its fall again"
    else:
        most = "half the last rate that was of use"
    return f"max_lr is twice lr{less}, at most {most}"


def constant_rate(fall: Fall) -> float:
    """Log10 of the rate for constant training.

    Raises NoBoundsError where that is at or below the sweep's first rate.
    """
    centre, end = _marks(fall)
    weight = end_weight(fall)
    lr = (1.0 - weight) * centre + weight * end - lag(fall)
    if lr <= fall.edges[0]:
        raise NoBoundsError(
            f"the {fall.metric} is best so near to the first rates that the best one lies at or "
            f"below them; {fall.start_lower()}",
            "start_not_seen",
        )
    return lr


def _marks(fall: Fall) -> tuple[float, float]:
    """The centre of the plateau and its end, as far as they tell of the best rate."""
    centre = min(fall.centre, fall.before(BY_THEN) + LONGEST)
    return centre, min(fall.end, centre + LONGEST)


def end_weight(fall: Fall) -> float:
    """What part where the fall is lost again has in `constant_rate`."""
    return 0.0 if fall.linear else min(1.0, END_WEIGHT * fall.decades_per_update)


def lag(fall: Fall) -> float:
    """By how many decades the sweep shows the best rate at too large ones."""
    return TRAINED_LINEAR if fall.linear else TRAINED + LAG_UPDATES * _speed(fall)


def _speed(fall: Fall) -> float:
    """Decades per update of an exponential sweep, as far as they matter; 0 for a linear one."""
    return 0.0 if fall.linear else min(FASTEST, fall.decades_per_update)


def rate_span(fall: Fall, lr: float) -> tuple[float, float]:
    """Where the best constant rate is expected."""
    faster = LR_FAST * _speed(fall)
    low, high = lr - LR_BELOW - faster, lr + LR_ABOVE + faster
    return max(low, fall.edges[0]), max(lr, min(high, _last(fall)))


def trainable_span(fall: Fall, top: float) -> tuple[float, float]:
    """Where the largest rate that trains is expected, `top` included."""
    faster = TRAINS_FAST * _speed(fall)
    low = max(fall.end - TRAINS_BELOW - faster, fall.edges[0])
    high = min(fall.end + TRAINS_ABOVE, _last(fall))
    return min(low, top), max(high, top)


def _last(fall: Fall) -> float:
    """The largest log10 rate to speak of: the sweep's last, unless its plateau ended before."""
    return math.inf if fall.recovers else fall.edges[1]
