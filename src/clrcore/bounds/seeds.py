"""Several curves of one setting, one per seed: a single answer, and how far they agree.

Everything is in log rate, and sorted first, so that the order of the curves has no influence.
"""

from __future__ import annotations

import math

import numpy as np

from .answer import Answer
from .kinds import BoundsWarning
from .result import Bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Rates of seeds further apart than this factor deserve a warning.
DISAGREE = 3.0
# Log10 rates closer than this are equal.
SAME = 1e-9


def combine(
    answers: Sequence[Answer],
    rule: str,
    edges: tuple[float | None, float],
    reasons: Sequence[str] = (),
    warnings: Sequence[BoundsWarning] = (),
) -> Bounds:
    """The bounds that the answers for one or several curves give together.

    Args:
        answers: One for each curve that carries an answer.
        rule: Name of the rule.
        edges: Log10 of the smallest and the largest rate of the sweeps; None instead of the
            smallest for ramps that start at 0, below which there is nothing.
        reasons: Further reasons, put first.
        warnings: Further warnings, put first.
    """
    answers = sorted(answers, key=lambda answer: (*answer[:3], tuple(answer.reasons)))
    rates = {name: [getattr(answer, name) for answer in answers] for name in ("base", "lr", "top")}
    lr, top = _median(rates["lr"]), _median(rates["top"])
    base, lowest = _median(rates["base"]), edges[0]
    lr_span = _span(rates["lr"], [answer.lr_span for answer in answers])
    top_span = _span(rates["top"], [answer.top_span for answer in answers])
    nearest = min(answers, key=lambda answer: abs(answer.lr - lr))
    reasons = [*reasons, *nearest.reasons]
    if len(answers) > 1:
        reasons.append(
            f"Each rate is the median of {len(answers)} curves; the reasons are those of the curve "
            "whose lr is nearest to it."
        )
    if lowest is not None and base < lowest <= lr:
        base = lowest
        reasons.append("base_lr is the sweep's first rate, as smaller rates were not tried.")
    # Where the end of the plateau was seen, nothing is to be learned from larger rates.
    open_top = any("end_not_reached" in answer.warnings for answer in answers)
    warnings = [
        *warnings,
        *_shared(answers),
        *_at_edges("lr_interval", lr_span, edges, open_top),
        *_at_edges("max_lr_interval", top_span, edges, open_top),
        *_disagreement(rates["lr"]),
    ]
    return Bounds(
        base_lr=10.0**base,
        max_lr=10.0**top,
        lr=10.0**lr,
        lr_interval=(10.0 ** lr_span[0], 10.0 ** lr_span[1]),
        max_lr_interval=(10.0 ** top_span[0], 10.0 ** top_span[1]),
        rule=rule,
        reasons=reasons,
        warnings=warnings,
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _span(rates: Sequence[float], spans: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median interval around the median rate, wider by the distance of the farthest seed.

    The method's own error and the scatter of the seeds are independent.
    """
    centre = _median(rates)
    below = centre - _median([low for low, _ in spans])
    above = _median([high for _, high in spans]) - centre
    return (
        centre - math.hypot(below, centre - min(rates)),
        centre + math.hypot(above, max(rates) - centre),
    )


def _shared(answers: Sequence[Answer]) -> list[BoundsWarning]:
    """The curves' own warnings, each kind once, with the number of curves that show it."""
    found = []
    for kind in sorted({kind for answer in answers for kind in answer.warnings}):
        texts = [answer.warnings[kind] for answer in answers if kind in answer.warnings]
        where = f"{len(texts)} of {len(answers)} curves: " if len(answers) > 1 else ""
        found.append(BoundsWarning(where + min(texts), kind))
    return found


def _at_edges(
    name: str, span: tuple[float, float], edges: tuple[float | None, float], open_top: bool
) -> list[BoundsWarning]:
    """Whether an interval ends where the sweep does, beyond which nothing is known."""
    (start, end), (first, last) = span, edges
    found = []
    if first is not None and start <= first + SAME:
        found.append(
            f"{name} ends at the sweep's first rate, and the rate that it is meant to contain may "
            f"be smaller: lower the sweep's start below {10**first:.3g}"
        )
    if open_top and end >= last - SAME:
        found.append(
            f"{name} goes on to where the sweep does not reach: raise the sweep's top above "
            f"{10**last:.3g}"
        )
    return [BoundsWarning(text, "interval_at_edge") for text in found]


def _disagreement(rates: Sequence[float]) -> list[BoundsWarning]:
    """Whether the rates of the seeds are far apart; they are sorted."""
    factor = 10.0 ** (rates[-1] - rates[0])
    if factor <= DISAGREE:
        return []
    text = (
        f"the curves disagree: their lr are up to a factor {factor:.2g} apart, from "
        f"{10 ** rates[0]:.3g} to {10 ** rates[-1]:.3g}; record more seeds or more points"
    )
    return [BoundsWarning(text, "seeds_disagree")]
