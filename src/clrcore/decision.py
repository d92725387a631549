"""Which of the tried rates is the answer, and which is tried next.

Rates are integers, in steps of half a decade from the suggestion.
"""

from __future__ import annotations

import math

# A rate ties with the best within this fraction of the best trial's fall. Carrying to the planned
# length is cautious enough; a wider tie would be cautious twice.
TIE = 0.005


def ties(losses: dict[int, float], start: float, share: float = TIE) -> list[int]:
    """The rates that tie with the best, rising.

    Args:
        losses: Loss at the end by rate, in steps; infinite where the run broke down.
        start: The loss before training.
        share: How near the best they end, as a fraction of its fall.
    """
    best = min(losses, key=losses.__getitem__)
    lowest, highest = min(losses.values()), max(filter(math.isfinite, losses.values()), default=0.0)
    # Held-out losses may stand above the start of the training loss; then their range counts.
    fall = start - lowest if start > lowest else highest - lowest
    return [k for k in sorted(losses) if losses[k] <= losses[best] + share * fall]


def vertex(losses: dict[int, float], at: int) -> float:
    """Where the parabola through three neighbouring losses is lowest, at most half a step away.

    Args:
        losses: Loss at the end by rate, in steps.
        at: The middle of the three. Where a neighbour is missing or broke down, it is the answer.
    """
    low, middle, high = (losses.get(at + k, math.inf) for k in (-1, 0, 1))
    curvature = low - 2.0 * middle + high
    if not math.isfinite(curvature) or curvature <= 0.0:
        return float(at)
    return at + max(-0.5, min(0.5, 0.5 * (low - high) / curvature))


def extension(losses: dict[int, float], start: float) -> int | None:
    """The next rate to try beyond an edge, in steps; None where the best is inside."""
    if not any(map(math.isfinite, losses.values())):
        return min(losses) - 1
    tied = ties(losses, start)
    if min(losses, key=losses.__getitem__) == max(losses):
        return max(losses) + 1
    return min(losses) - 1 if tied[0] == min(losses) else None
