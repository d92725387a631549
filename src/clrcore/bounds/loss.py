"""The loss rule: the centre of the region of low loss, and the rate at which the loss rises again.

The centre is steadier than the lowest point, and lies above the best constant rate: the loss
responds late to a rate, and the smaller rates have already trained the network. A fast sweep shows
little plateau, so there the rise counts more.
"""

from __future__ import annotations

import math

from ..errors import NoBoundsError
from .answer import Answer
from .calibration import fitted
from .intervals import rate_interval, trainable_interval
from .refusals import advice_lower, diagnose, features_or_refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..curve import Curve
    from .features import Features

# A plateau starts where this fraction of the fall is reached.
REACHED = 0.8
# Decades of a factor of 2: a cycle passes its peak only briefly and stands twice the rate. The lr
# of a fast sweep is less sure, and its decades per update are taken off.
TWICE = math.log10(2.0)
# base_lr is a quarter of max_lr (paper, section 3.3: a third to a fourth).
QUARTER = math.log10(4.0)


def loss_rule(curve: Curve) -> Answer:
    """Bounds from the training loss of one sweep.

    Raises NoBoundsError where the loss shows no fall.
    """
    fall = features_or_refuse(curve, "loss")
    lr = constant_rate(fall)
    top, warnings = top_rate(fall, lr), diagnose(fall)
    return Answer(
        base=top - QUARTER,
        lr=lr,
        top=top,
        lr_span=rate_interval(fall, lr, warnings),
        top_span=trainable_interval(fall, top),
        reasons=(
            *rate_reasons(fall),
            _top_reason(fall, lr, top),
            "base_lr is max_lr / 4, as in the paper.",
        ),
        warnings=warnings,
    )


def constant_rate(fall: Features) -> float:
    """Log10 of the rate for constant training.

    Raises NoBoundsError where that is at or below the sweep's first rate.
    """
    centre, end = _marks(fall)
    weight = _end_weight(fall)
    lr = (1.0 - weight) * centre + weight * end - lag(fall)
    if lr <= fall.edges[0]:
        raise NoBoundsError(
            f"the {fall.metric} is best so near to the first rates that the best rate is at or "
            f"below them; {advice_lower(fall.points)}",
            "start_not_seen",
        )
    return lr


def top_rate(fall: Features, lr: float) -> float:
    """Log10 of max_lr: twice the constant rate, at most half of where the loss rises again."""
    return max(lr, min(lr + TWICE - fall.speed, fall.end - TWICE))


def rate_reasons(fall: Features) -> list[str]:
    """How `constant_rate` comes to its answer, in sentences."""
    what = "loss falls" if fall.metric == "loss" else "accuracy rises"
    kind = "a linear sweep" if fall.points.linear else "a sweep this fast"
    centre, end = _marks(fall)
    weight = _end_weight(fall)
    lost = ""
    if weight > 0.1:
        lost = (
            f", and rises again around {10**end:.3g}, which counts for {weight:.0%} in so "
            "fast a sweep"
        )
    found = [
        f"The {what} most around {10**centre:.3g}{lost}; {kind} reads {10 ** lag(fall):.2g} times "
        f"too high, so lr = {10 ** constant_rate(fall):.3g}."
    ]
    if centre < fall.centre:
        found.append(
            "The plateau extends to larger rates; rates of more than "
            f"{10 ** fitted('plateau'):.2g} times that where {REACHED:.0%} of the change is "
            "reached do not count."
        )
    return found


def lag(fall: Features) -> float:
    """By how many decades the sweep reads too high."""
    if fall.points.linear:
        return fitted("trained_linear")
    return fitted("trained") + fitted("lag_updates") * fall.speed


def _marks(fall: Features) -> tuple[float, float]:
    """The centre of the plateau and its end, as far as they depend on the best rate.

    The plateau is longer for a network that has nothing left to learn, or that is normalised; its
    length does not depend on the best rate.
    """
    centre = min(fall.centre, fall.before(REACHED) + fitted("plateau"))
    return centre, min(fall.end, centre + fitted("plateau"))


def _end_weight(fall: Features) -> float:
    """The weight in `constant_rate` of the rate at which the loss rises again."""
    return min(1.0, fitted("end_weight") * fall.speed**3)


def _top_reason(fall: Features, lr: float, top: float) -> str:
    if top == fall.end - TWICE:
        mark = "the rate at which the loss rises again" if fall.end_seen else ""
        return f"max_lr is half of {mark or 'the last rate of use'}, {10**fall.end:.3g}."
    less = "" if top > lr + 0.99 * TWICE else ", less a margin for so fast a sweep"
    return f"max_lr is twice lr{less}: a cycle passes its peak only briefly."
