"""Means with their intervals."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95


class Estimate(NamedTuple):
    """A mean and half the width of its 95 % interval, in the unit of the values."""

    mean: float
    half_width: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width


def estimate(values: Floats) -> Estimate:
    """The mean of independent values and Student's interval for it.

    Args:
        values: Shape (n,), n >= 2, one per seed. For a paired comparison, the differences.
    """
    spread = float(values.std(ddof=1))
    width = student(len(values) - 1) * spread / math.sqrt(len(values))
    return Estimate(float(values.mean()), width)


def student(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The half width, in standard errors, of Student's two-sided interval.

    For whole degrees of freedom the distribution is a finite sum (Abramowitz & Stegun, 26.7.3 and
    26.7.4), so bisection needs no library.
    """
    low, high = 0.0, 1.0
    while _probability_within(high, freedom) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        if _probability_within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high


def _probability_within(t: float, freedom: int) -> float:
    """The probability that Student's variable lies between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for i in range(3 if odd else 2, freedom - 1, 2):
        term *= (i - 1) / i * math.cos(angle) ** 2
        total += term
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total
