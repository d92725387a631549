"""From range-test curves to bounds: which rule, which curves, one answer."""

from __future__ import annotations

from .. import smoothing
from ..arguments import check_choice, refuse
from ..curve import Curve
from ..errors import NoBoundsError
from .accuracy import SEVERAL_EPOCHS
from .kinds import BoundsWarning
from .points import starts_at_zero
from .result import Bounds
from .rules import RULES
from .seeds import combine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .answer import Answer


def suggest_bounds(curves: Curve | Sequence[Curve], *, rule: str = "auto") -> Bounds:
    """Learning rates for a setting, from its range test.

    Args:
        curves: One Curve, or a list of them, one per seed of the same setting; their order has no
            influence. Several curves make the intervals more reliable.
        rule: Name of a rule in `bound_rules()`, or "auto": the paper's accuracy rule where every
            curve has held-out accuracy of a linear ramp (of two epochs or more, where that is
            known), otherwise the loss rule, otherwise the accuracy.

    Returns:
        Bounds, with reasons and warnings in words. With several curves each rate is the median in
        log rate, and curves without an answer are left out as long as half have one.

    Raises:
        NoBoundsError: The curves carry no answer; the error has the diagnosis, its `kind`, and what
            to do next.
        TypeError: For anything but curves, or a rule that is not a name.
        ValueError: For an unknown rule, and curves without the metric that it needs.

    Source:
        Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv
        1506.01186, section 3.3; the loss rule is clrcore's own.

    Example:
        >>> import clrcore
        >>> rates = [10 ** (k / 30 - 4) for k in range(120)]
        >>> losses = [2.3 / (1 + (100 * lr) ** 2) + (lr / 0.5) ** 3 for lr in rates]
        >>> bounds = clrcore.suggest_bounds(clrcore.Curve(rates, losses))
        >>> bounds.base_lr < bounds.lr < bounds.max_lr
        True
    """
    several = _curves(curves)
    if check_choice("rule", rule, ["auto", *RULES]) != "auto":
        _check_metric(several, rule)
        return bounds_by(RULES[rule].function, several, rule)
    if all(_is_papers_ramp(curve) for curve in several):
        return _by_accuracy_or_loss(several)
    if all(curve.loss is not None for curve in several):
        why = "There is no held-out accuracy of a linear ramp of epochs, so the loss was used."
        return bounds_by(RULES["loss"].function, several, "loss", [why])
    if all(curve.accuracy is not None for curve in several):
        why = "All curves have accuracy, and not all have loss."
        return bounds_by(RULES["accuracy"].function, several, "accuracy", [why])
    refuse(
        ValueError,
        "curves",
        "curves with a metric in common",
        curves,
        message="curves must have a metric in common, got some with loss only and some with "
        "accuracy only",
        advice="pass them separately",
    )


def bounds_by(
    function: Callable[[Curve], Answer],
    curves: Sequence[Curve],
    rule: str,
    reasons: Sequence[str] = (),
    warnings: Sequence[BoundsWarning] = (),
) -> Bounds:
    """The bounds that a function of one curve gives for all curves that carry an answer."""
    answers: list[Answer] = []
    refusals: list[NoBoundsError] = []
    for curve in curves:
        try:
            answers.append(function(curve))
        except NoBoundsError as error:
            refusals.append(error)
    refusals.sort(key=str)
    number = f"{len(refusals)} of {len(curves)} curves"
    if not answers and len(curves) == 1:
        raise NoBoundsError(str(refusals[0]), refusals[0].kind)
    if 2 * len(answers) < len(curves):
        message = f"{number} carry no answer; one of them: {refusals[0]}"
        raise NoBoundsError(message, refusals[0].kind)
    if refusals:
        message = f"{number} were left out; one of them: {refusals[0]}"
        warnings = [*warnings, BoundsWarning(message, "curves_left_out")]
    rates = [smoothing.log_rates(curve.lr) for curve in curves if len(curve)]
    first = None if any(map(starts_at_zero, curves)) else min(float(x[0]) for x in rates)
    last = max(float(x[-1]) for x in rates)
    return combine(answers, rule, (first, last), reasons, warnings)


def _by_accuracy_or_loss(curves: Sequence[Curve]) -> Bounds:
    """The paper's rule; the loss rule where that has no answer."""
    why = "Held-out accuracy of a linear ramp was recorded, as the paper's rule wants."
    try:
        return bounds_by(RULES["accuracy"].function, curves, "accuracy", [why])
    except NoBoundsError as error:
        if any(curve.loss is None for curve in curves):
            raise
        failed = f"the accuracy rule had no answer, so the loss rule was used: {error}"
    warning = BoundsWarning(failed, "other_metric")
    return bounds_by(RULES["loss"].function, curves, "loss", warnings=[warning])


def _curves(curves: object) -> list[Curve]:
    if isinstance(curves, Curve):
        return [curves]
    if not isinstance(curves, list | tuple):
        refuse(TypeError, "curves", "a Curve or a list of Curves", curves)
    if not curves:
        refuse(ValueError, "curves", "a Curve or a list of at least one Curve", curves)
    for i, curve in enumerate(curves):
        if not isinstance(curve, Curve):
            refuse(TypeError, f"curves[{i}]", "a Curve", curve)
    return list(curves)


def _check_metric(curves: Sequence[Curve], rule: str) -> None:
    """Refuse a rule whose metric a curve lacks."""
    metric = RULES[rule].metric
    for i, curve in enumerate(curves):
        if getattr(curve, metric) is None:
            allowed = (
                f"a rule that the recorded metrics allow: {rule!r} needs {metric}, which curve {i} "
                "lacks"
            )
            refuse(ValueError, "rule", allowed, rule)


def _is_papers_ramp(curve: Curve) -> bool:
    """Whether the curve suits the paper's rule: held-out accuracy, linear, several epochs."""
    if curve.accuracy is None or not curve.held_out or curve.sweep != "linear":
        return False
    epoch = curve.steps_per_epoch
    return epoch is None or curve.num_updates >= SEVERAL_EPOCHS * epoch
