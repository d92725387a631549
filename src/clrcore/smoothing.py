"""Smoothing of recorded metrics: robust, without lag, in the logarithm of the rate.

A running mean of past values moves every feature of the curve to larger rates; this smoother uses
both sides equally. It is LOWESS (Cleveland, "Robust locally weighted
regression and smoothing scatterplots", JASA 74, 1979) with two changes: windows are runs of
neighbouring points, so that the cost is linear, and outliers are judged by the
window it lies in, because a range test is quiet in the middle and wild at its end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Fraction of the points in a window, and the fewest points for a robust line.
SPAN = 0.12
FEWEST = 7

# More points than this are first put together to groups of neighbours.
MOST_POINTS = 1000

# Passes that weigh outliers down, and the median residuals after which a point has no weight.
ROBUST_PASSES = 2
CUTOFF = 6.0

# Larger log10 rates count as this, so that no interval above them overflows.
LARGEST = 300.0

# Standard deviation of normal noise, in medians of its absolute value.
SIGMA = 1.4826


def log_rates(lr: Floats) -> Floats:
    """Log10 of the rates; a rate of 0 stands one step below the smallest rate above 0.

    lr: rates >= 0, shape (n,), in any order.
    Returns float64, shape (n,), all finite; all 0 where no rate is above 0.
    """
    positive = lr[lr > 0.0]
    if not positive.size:
        return np.zeros(lr.shape)
    with np.errstate(divide="ignore"):
        x: Floats = np.minimum(np.log10(lr), LARGEST)
    if positive.size < lr.size:
        distinct = np.log10(np.unique(positive)[:2])  # a quotient of rates might overflow
        step = distinct[-1] - distinct[0] if distinct.size > 1 else 1.0
        x[lr == 0.0] = distinct[0] - step
    return x


def finite_until(values: Floats) -> int:
    """How many points come before the blow-up: the first infinity, or NaN to the end.

    NaN with finite values after it is a value that is missing, no blow-up; so is an infinity that
    is the only one, as an overflow in half precision is.
    """
    infinite = np.flatnonzero(np.isinf(values))
    end = int(infinite[0]) if infinite.size > 1 else values.size
    known = np.flatnonzero(np.isfinite(values[:end]))
    return int(known[-1]) + 1 if known.size else 0


def smooth(lr: Floats, values: Floats, *, span: float = SPAN) -> Floats:
    """`values` without their noise, at every rate from the first finite value to the last.

    lr: finite rates >= 0, shape (n,), in any order.
    values: Recorded values at x, shape (n,); NaN and infinity are left out, and gaps
        between finite values are bridged.
    span: Fraction of the points, in (0, 1], in the window of a local line (at least 7 points).

    Returns float64, shape (n,), in the order given; NaN at rates below the first finite value
    and above the last. What is straight in log rate comes back unchanged. Above 1000 points
    neighbours are grouped first, so that the cost stays that of 1000.
    """
    x = log_rates(lr)
    smoothed = np.full(values.shape, np.nan)
    finite = np.isfinite(values)
    if not finite.any():
        return smoothed
    # A power of two, so that scaling is exact, and large values do not overflow.
    _, exponent = np.frexp(np.abs(values[finite]).max())
    scale = np.ldexp(1.0, np.clip(exponent - 2, -1000, 1000))
    given_x, given_y = x[finite], values[finite] / scale
    if np.any(np.diff(given_x) < 0.0):
        order = np.argsort(given_x, kind="stable")
        given_x, given_y = given_x[order], given_y[order]
    at, kept = thin(given_x, given_y)
    inside = (x >= given_x[0]) & (x <= given_x[-1])
    smoothed[inside] = scale * np.interp(x[inside], at, local_lines(at, kept, span))
    return smoothed


def thin(x: Floats, y: Floats, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """At most `most` points that stand for all: neighbours grouped, their medians taken.

    x: rising, shape (n,). y: finite, shape (n,).
    Groups are even in rank and in x at once: a linear sweep keeps its few small rates apart, an
    uneven curve keeps its crowded regions. A short curve stays unchanged.
    """
    n = x.size
    if n <= most:
        return x, y
    width = x[-1] - x[0]
    place = np.linspace(0.0, 1.0, n)
    if width > 0.0:
        place = 0.5 * place + 0.5 * (x - x[0]) / width
    group = np.minimum((place * most).astype(np.intp), most - 1)
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    counts = np.diff(starts, append=n)
    ranked = y[np.lexsort((y, group))]
    middle_low, middle_high = starts + (counts - 1) // 2, starts + counts // 2
    return (
        0.5 * (x[middle_low] + x[middle_high]),
        0.5 * (ranked[middle_low] + ranked[middle_high]),
    )


def local_lines(x: Floats, y: Floats, span: float = SPAN, fewest: int = FEWEST) -> Floats:
    """The value at each point of a robust line through its nearest neighbours.

    x: rising, shape (n,). y: finite, shape (n,). span: part of the points in a window, which
    has at least `fewest`.
    Neighbours weigh by tricube of their distance, outliers by bisquare of their residual.
    """
    n = x.size
    k = min(n, max(fewest, round(span * n)))
    # The k nearest of a point are neighbours in rank; the window from s is the right one as
    # soon as the point beyond its end is no nearer than its first; on even grids many are as
    # near, and rounding must not choose between them.
    rounding = 1e-9 * (x[-1] - x[0])
    start = np.searchsorted(x[: n - k] + x[k:], 2.0 * x - rounding)
    window = start[:, None] + np.arange(k)
    distance = x[window] - x[:, None]
    reach = np.max(np.abs(distance), axis=1, keepdims=True)
    # Equal rates have no reach and equal weights; the farthest neighbour keeps a little weight.
    reach = np.where(reach > 0.0, reach * 1.001, 1.0)
    near = (1.0 - np.abs(distance / reach) ** 3) ** 3
    values = y[window]
    fitted = _line(distance, values, near)
    for _ in range(ROBUST_PASSES):
        residual = np.abs(y - fitted)[window]
        typical = np.median(residual, axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            excess = np.where(residual > 0.0, residual / (CUTOFF * typical), 0.0)
        # Half of a window is always within the cutoff, so no window loses all its weight.
        fitted = _line(distance, values, near * (1.0 - np.minimum(excess, 1.0) ** 2) ** 2)
    # At the ends a line may leave the values of its window, far so where rates are sparse.
    inside: Floats = np.clip(fitted, values.min(axis=1), values.max(axis=1))
    return inside


def _line(distance: Floats, values: Floats, weight: Floats) -> Floats:
    """Weighted straight lines, one per row, at distance 0; level where a line has no slope."""
    total = weight.sum(axis=1)
    centre = (weight * distance).sum(axis=1) / total
    level = (weight * values).sum(axis=1) / total
    off = distance - centre[:, None]
    spread = (weight * off * off).sum(axis=1)
    steep = spread > 1e-12 * total * np.max(distance * distance, axis=1)
    slope = (weight * off * values).sum(axis=1) / np.where(steep, spread, 1.0)
    result: Floats = level - np.where(steep, slope, 0.0) * centre
    return result


def difference_noise(y: Floats) -> float:
    """Standard deviation of the noise of one value of y, from the steps between neighbours.

    Needs no smoothing, and a slow trend does not enter. y: finite, shape (n,), n >= 2.
    """
    return float(SIGMA * np.median(np.abs(np.diff(y))) / np.sqrt(2.0))
