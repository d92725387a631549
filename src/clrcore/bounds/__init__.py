"""From range-test curves to bounds: `suggest_bounds`, and the rules it knows by name."""

from __future__ import annotations

from .. import smoothing
from ..arguments import check_choice, refuse
from ..curve import Curve
from ..errors import NoBoundsError
from .accuracy import SEVERAL_EPOCHS
from .fall import starts_at_zero
from .kinds import KINDS as KINDS
from .kinds import BoundsWarning as BoundsWarning
from .result import Bounds as Bounds
from .rules import RULES as RULES
from .rules import Rule as Rule
from .rules import bound_rules as bound_rules
from .seeds import combine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .reading import Reading


def suggest_bounds(curves: Curve | Sequence[Curve], *, rule: str = "auto") -> Bounds:
    """Learning rates for a setting, from its range test.

    curves: one Curve, or a list of them, one per seed of the same setting; their order has no
        influence. Several say more about how sure the answer is.
    rule: name of a rule in `RULES`, or "auto": the paper's accuracy rule where every curve has
        held-out accuracy of a linear ramp (of two epochs or more, where that is known),
        otherwise the loss rule, otherwise accuracy as it is.

    Returns `Bounds`, with reasons and warnings in words. With several curves each rate is the
    median in log rate, and curves without an answer are left out as long as half have one.
    Raises NoBoundsError, with a diagnosis and what to do next, where the curves carry no answer;
    TypeError or ValueError for other arguments.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv
    1506.01186, section 3.3; the loss rule is clrcore's own.

    >>> import clrcore
    >>> rates = [10 ** (k / 30 - 4) for k in range(120)]
    >>> losses = [2.3 / (1 + (100 * lr) ** 2) + (lr / 0.5) ** 3 for lr in rates]
    >>> bounds = clrcore.suggest_bounds(clrcore.Curve(rates, losses))
    >>> bounds.base_lr < bounds.lr < bounds.max_lr
    True
    """
    several = _curves(curves)
    name = check_choice("rule", rule, ["auto", *RULES])
    if name != "auto":
        for i, curve in enumerate(several):
            if getattr(curve, RULES[name].needs) is None:
                refuse(
                    ValueError,
                    "rule",
                    f"one that the recorded metrics allow: {name!r} needs {RULES[name].needs}, "
                    f"which curve {i} lacks",
                    rule,
                )
        return _bounds(several, name, (), ())
    if all(_is_papers_ramp(curve) for curve in several):
        why = "held-out accuracy over a linear ramp was recorded, as the paper's rule wants"
        try:
            return _bounds(several, "accuracy", (why,), ())
        except NoBoundsError as error:
            if any(curve.loss is None for curve in several):
                raise
            failed = f"the accuracy rule gave no answer, so the loss rule was used: {error}"
            return _bounds(several, "loss", (), (BoundsWarning(failed, "other_metric"),))
    if all(curve.loss is not None for curve in several):
        why = "there is no held-out accuracy over a linear ramp of epochs, so the loss was read"
        return _bounds(several, "loss", (why,), ())
    if all(curve.accuracy is not None for curve in several):
        why = "accuracy is what all curves have"
        return _bounds(several, "accuracy", (why,), ())
    refuse(
        ValueError,
        "curves",
        "curves with a metric in common",
        curves,
        message="curves must have a metric in common, got some with loss only and some with "
        "accuracy only",
        advice="pass them separately",
    )


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


def _is_papers_ramp(curve: Curve) -> bool:
    """Whether the curve is what the paper's rule wants: held-out accuracy, linear, epochs."""
    if curve.accuracy is None or not curve.held_out or curve.sweep != "linear":
        return False
    epoch = curve.steps_per_epoch
    return epoch is None or curve.num_updates >= SEVERAL_EPOCHS * epoch


def _bounds(
    curves: Sequence[Curve], name: str, reasons: Sequence[str], warnings: Sequence[BoundsWarning]
) -> Bounds:
    """The bounds that one rule reads off the curves that have an answer."""
    readings: list[Reading] = []
    refusals: list[NoBoundsError] = []
    for curve in curves:
        try:
            readings.append(RULES[name].function(curve))
        except NoBoundsError as error:
            refusals.append(error)
    refusals.sort(key=str)
    if not readings and len(curves) == 1:
        raise NoBoundsError(str(refusals[0]), refusals[0].kind)
    if 2 * len(readings) < len(curves):
        raise NoBoundsError(
            f"{len(refusals)} of {len(curves)} curves carry no answer; one of them: {refusals[0]}",
            refusals[0].kind,
        )
    if refusals:
        without = (
            f"{len(refusals)} of {len(curves)} curves were left out; one of them: {refusals[0]}"
        )
        warnings = [*warnings, BoundsWarning(without, "curves_left_out")]
    rates = [smoothing.log_rates(curve.lr) for curve in curves if len(curve)]
    first = None if any(map(starts_at_zero, curves)) else min(float(x[0]) for x in rates)
    last = max(float(x[-1]) for x in rates)
    return combine(readings, name, (first, last), reasons, warnings)
