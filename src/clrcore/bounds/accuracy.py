"""The paper's rule: where accuracy starts to rise, and where it stops to (section 3.3).

Made for a linear ramp of several epochs and held-out accuracy.
"""

from __future__ import annotations

from ..errors import NoBoundsError
from .fall import Fall
from .loss import (
    BASE_DECADES,
    TWICE,
    constant_rate,
    loss_rule,
    rate_reasons,
    rate_span,
    trainable_span,
)
from .reading import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..curve import Curve

# "Starts to rise": this part of the rise is made. A linear ramp makes most of it in its first
# points; an exponential one comes to it through decades in which only noise crosses low levels.
STARTED_LINEAR, STARTED = 0.1, 0.3
# "Slows, gets ragged, or falls": on a linear ramp where accuracy is below this part of its rise
# again, taken back by this many decades, as it falls late. On an exponential one it falls so
# late that half way from the centre of its plateau to where the rise is lost, halved, is nearer.
FELL = 0.95
LATE = 0.15

# A ramp of fewer epochs is not what the paper means by several.
SEVERAL_EPOCHS = 2.0


def accuracy_rule(curve: Curve) -> Reading:
    """Bounds from the accuracy of one ramp; the constant rate from its loss where recorded.

    Raises NoBoundsError where the accuracy shows no rise.
    """
    rise = Fall(curve, "accuracy")
    top, why = _top(rise)
    warnings = {**rise.warnings(), **_ramp_warnings(curve)}
    reasons = [why]
    try:
        by_loss = None if curve.loss is None else loss_rule(curve)
    except NoBoundsError:
        by_loss = None
    if by_loss is not None:
        lr, span = by_loss.lr, (by_loss.lr_low, by_loss.lr_high)
        warnings = {**by_loss.warnings, **warnings}
        reasons.append("lr is read off the loss of the same ramp: " + by_loss.reasons[0])
        if by_loss.top < top:
            top = by_loss.top
            reasons.append(
                f"the loss asks for a lower max_lr, {10**top:.3g}, which is taken: "
                + by_loss.reasons[-2]
            )
    else:
        lr = constant_rate(rise)
        span = rate_span(rise, lr)
        reasons.extend(rate_reasons(rise))
    started = STARTED_LINEAR if rise.linear else STARTED
    base = rise.before(started)
    if base < top:
        reasons.append(
            f"accuracy has made {started:.0%} of its rise at lr={10**base:.3g}: base_lr is where "
            "it starts"
        )
    else:
        base = top - BASE_DECADES
        reasons.append("base_lr is max_lr / 4")
        warnings["metrics_disagree"] = (
            "loss and accuracy disagree: the loss asks for rates below those at which accuracy "
            "rises; look at the curve"
        )
    if lr < base:
        # A rate that is good for all of a training is worth more than where a ramp shows a rise.
        base = lr
        reasons.append(f"base_lr is lowered to lr, {10**lr:.3g}")
    if lr > top:
        lr = top
        reasons.append(f"lr is lowered to max_lr, {10**lr:.3g}")
    return Reading(
        base=base,
        lr=lr,
        top=top,
        lr_span=(min(span[0], lr), max(span[1], lr)),
        top_span=trainable_span(rise, top),
        reasons=reasons,
        warnings=warnings,
    )


def _top(rise: Fall) -> tuple[float, str]:
    """Log10 of max_lr, and why."""
    if rise.linear:
        fell = rise.after(FELL)
        top = fell - LATE
        why = f"accuracy falls below {FELL:.0%} of its rise again at lr={10**fell:.3g}"
        falls = rise.cut or rise.loses(FELL)
    else:
        top = 0.5 * (rise.centre + rise.end) - TWICE
        why = (
            f"accuracy is highest round lr={10**rise.centre:.3g} and has lost its rise at "
            f"{10**rise.end:.3g}"
        )
        falls = rise.recovers
    if not falls:
        # The sweep's edge is no answer; what is known to train lies well below it.
        top = min(top, rise.edges[1] - TWICE)
        why = (
            f"accuracy has not fallen again up to lr={10 ** rise.edges[1]:.3g}, and max_lr is at "
            "most half of that"
        )
    return top, f"{why}: max_lr is {10**top:.3g}"


def _ramp_warnings(curve: Curve) -> dict[str, str]:
    """What about the ramp is not as the rule wants it; its length belongs to base_lr."""
    updates = curve.num_updates
    length = f"{updates} updates"
    if curve.steps_per_epoch is not None:
        length += f" ({updates / curve.steps_per_epoch:.3g} epochs)"
    found = {
        "ramp_length": f"base_lr belongs to a ramp of {length}: on a longer ramp accuracy starts "
        "to rise at a smaller rate; max_lr / 4 depends on it less"
    }
    if curve.sweep != "linear":
        found["ramp_shape"] = "the accuracy rule is made for a linear ramp, and this one is not"
    if curve.steps_per_epoch is not None and updates < SEVERAL_EPOCHS * curve.steps_per_epoch:
        found["ramp_shape"] = (
            f"the accuracy rule is made for ramps of several epochs, and this one has {length}"
        )
    if curve.held_out is None:
        found["not_held_out"] = "the accuracy is not known to be of held-out data"
    elif not curve.held_out:
        found["not_held_out"] = (
            "the accuracy is of the training data, and the rule is made for held-out data"
        )
    return found
