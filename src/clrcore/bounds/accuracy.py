"""The paper's rule: where accuracy starts to rise, and where it stops (section 3.3).

It is meant for a linear ramp of several epochs and held-out accuracy.
"""

from __future__ import annotations

from ..errors import NoBoundsError
from .answer import Answer
from .calibration import fitted
from .features import Features
from .intervals import rate_interval, trainable_interval
from .loss import QUARTER, TWICE, constant_rate, rate_reasons, top_rate
from .refusals import diagnose, features_or_refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..curve import Curve

# The paper asks for several epochs; a ramp of fewer gets a warning.
SEVERAL_EPOCHS = 2.0
# Bounds of loss and accuracy that are further apart than this factor deserve a warning.
DISAGREE = 3.0


def accuracy_rule(curve: Curve) -> Answer:
    """Bounds from the accuracy of one ramp; the constant rate from its loss where recorded.

    Raises NoBoundsError where the accuracy shows no rise.
    """
    rise = features_or_refuse(curve, "accuracy")
    fall, lr = _by_loss(curve)
    warnings = {**(diagnose(fall) if fall else {}), **diagnose(rise), **_ramp_warnings(curve)}
    top, reasons = max_rate(rise, fall)
    if fall is not None:
        limit = top_rate(fall, lr) if rise.points.linear else fall.end - TWICE
        if fall.end_seen and limit < top:
            top = limit
            reasons.append(
                f"The loss rises again around {10**fall.end:.3g} and asks for a lower max_lr, "
                f"{10**top:.3g}, which is taken."
            )
        if top > limit + fitted("late") and 10 ** (top - limit) > DISAGREE:
            warnings["metrics_disagree"] = (
                f"loss and accuracy disagree: the loss asks for max_lr={10**limit:.3g}, the "
                f"accuracy for {10**top:.3g}, which is taken, as the loss keeps its fall up to "
                "the last rate; confirm it by trial runs"
            )
    else:
        fall, lr = rise, constant_rate(rise)
    span = rate_interval(fall, lr, warnings)
    reasons.extend(rate_reasons(fall))
    base, why = base_rate(rise, top)
    reasons.append(why)
    if base >= top:
        base = top - QUARTER
        warnings["metrics_disagree"] = (
            "loss and accuracy disagree: the loss asks for rates below those at which accuracy "
            "rises; base_lr is max_lr / 4 instead; inspect the curve"
        )
    if lr < base:
        # A rate that is good for all of a training is worth more than where a ramp shows a rise.
        base = lr
        reasons.append(f"base_lr is lowered to lr, {10**lr:.3g}.")
    if lr > top:
        lr = top
        reasons.append(f"lr is lowered to max_lr, {10**lr:.3g}.")
    return Answer(
        base=base,
        lr=lr,
        top=top,
        lr_span=(min(span[0], lr), max(span[1], lr)),
        top_span=trainable_interval(rise, top),
        reasons=reasons,
        warnings=warnings,
    )


def _by_loss(curve: Curve) -> tuple[Features | None, float]:
    """The features of the loss and its constant rate, where it carries an answer."""
    if curve.loss is None:
        return None, 0.0
    try:
        fall = features_or_refuse(curve, "loss")
        return fall, constant_rate(fall)
    except NoBoundsError:
        return None, 0.0


def max_rate(rise: Features, fall: Features | None) -> tuple[float, list[str]]:
    """Log10 of max_lr by the accuracy, and why."""
    last = rise.edges[1] - fitted("late")
    if not rise.points.linear:
        # Accuracy falls late there: the limit lies about half way from its peak to its fall.
        top = 0.5 * (rise.centre + rise.end) - TWICE
        why = (
            f"Accuracy is highest around {10**rise.centre:.3g} and loses its rise around "
            f"{10**rise.end:.3g}: max_lr is {10**top:.3g}."
        )
        seen = rise.end_seen
    else:
        # Where the loss keeps its fall, as that of a normalised network does, a slow decline of
        # accuracy is the noise of large rates and not their limit.
        level = 0.5 if fall is not None and not fall.end_seen else fitted("fell")
        end = rise.after(level)
        top = end - fitted("late")
        why = (
            f"Accuracy falls below {level:.0%} of its rise again at {10**end:.3g}, which shows "
            f"late on a ramp: max_lr is {10**top:.3g}."
        )
        seen = rise.points.lost or rise.loses(level)
    if seen or top < last:
        return top, [why]
    # The sweep's edge is no answer.
    return last, [
        f"Accuracy has not fallen again up to {10 ** rise.edges[1]:.3g}: max_lr is at most "
        f"{10**last:.3g}."
    ]


def base_rate(rise: Features, top: float) -> tuple[float, str]:
    """Log10 of base_lr, and why."""
    started = fitted("started_linear" if rise.points.linear else "started")
    base = rise.before(started)
    if base < top:
        why = f"Accuracy reaches {started:.0%} of its rise at {10**base:.3g}, which is base_lr."
        return base, why
    return base, "base_lr is max_lr / 4, as in the paper."


def _ramp_warnings(curve: Curve) -> dict[str, str]:
    """Warnings of a ramp that does not suit the rule, and of base_lr's dependence on the ramp."""
    updates, epoch = curve.num_updates, curve.steps_per_epoch
    length = f"{updates} updates"
    if epoch is not None:
        length += f" ({updates / epoch:.3g} epochs)"
    found = {
        "ramp_length": f"base_lr belongs to a ramp of {length}: on a longer ramp accuracy starts "
        "to rise at a smaller rate; max_lr / 4 depends on it less"
    }
    if epoch is not None and updates < SEVERAL_EPOCHS * epoch:
        found["ramp_shape"] = (
            f"the accuracy rule is meant for ramps of several epochs, and this ramp has {length}"
        )
    elif curve.sweep != "linear":
        found["ramp_shape"] = (
            "the accuracy rule is meant for a linear ramp, and this sweep is not linear"
        )
    if not curve.held_out:
        known = "is of the training data" if curve.held_out is False else "may be of training data"
        found["not_held_out"] = f"the accuracy {known}, and the rule is meant for held-out data"
    return found
