"""Rules of other finders, for comparison: one rate per curve, no statement how sure it is.

Each is written from its definition: what smooths the loss, where its test would have stopped,
which points it skips, and which of the rest it takes. Smoothing here is an exponential mean that
looks back, so that every feature moves to larger rates; the rules were made for that.
"""

from __future__ import annotations

import bisect
import math

import numpy as np

from .. import smoothing
from ..errors import NoBoundsError
from .fall import check_rising, recorded
from .loss import BASE_DECADES
from .reading import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..curve import Curve
    from ..smoothing import Floats


def steepest(curve: Curve) -> Reading:
    """The steep of fastai: where the loss falls fastest per logarithm of the rate."""
    lr, loss = _fastai(curve)
    chosen = int(np.argmin(np.diff(loss) / np.diff(np.log(lr))))
    return _reading(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per log rate")


def minimum(curve: Curve) -> Reading:
    """The minimum of fastai: a tenth of the rate of the lowest loss."""
    lr, loss = _fastai(curve)
    lowest = float(lr[int(np.argmin(loss))])
    return _reading(lr, lowest / 10.0, f"the smoothed loss is lowest at ten times it, {lowest:.3g}")


def valley(curve: Curve) -> Reading:
    """The valley of fastai: middle of the longest run of falling losses, others between.

    Its begin is counted back from its end by its length, as if there were no others between.
    """
    lr, loss = _fastai(curve)
    # Lengths of the longest falling runs that end at each point, by their smallest last values.
    last: list[float] = []
    lengths = []
    for value in (-loss).tolist():
        place = bisect.bisect_left(last, value)
        last[place : place + 1] = [value]
        lengths.append(place + 1)
    third = len(last) / 3.0
    begin = lengths.index(len(last)) - len(last)
    chosen = max(0, begin + int(third) + int(third / 2.0))
    return _reading(lr, float(lr[chosen]), "it is the middle of the longest valley of the loss")


def slide(curve: Curve) -> Reading:
    """The slide of fastai: down from the end while slopes 15 points apart differ by 0.005."""
    lr, loss = _fastai(curve, fewest=16)
    slopes = np.gradient(loss)
    alike = np.flatnonzero(np.abs(slopes[15:] - slopes[:-15])[::-1] <= 0.005)
    moves = int(alike[0]) if alike.size else lr.size - 15
    chosen = lr.size - 16 - max(0, moves - 1)
    return _reading(lr, float(lr[chosen]), "from there on the slope of the loss changes")


def torch_lr_finder(curve: Curve) -> Reading:
    """torch-lr-finder's steepest gradient: the fastest fall per point."""
    lr, loss = _kept(curve, _plain, stop=5.0, skip=(10, 5))
    chosen = int(np.argmin(np.gradient(loss)))
    return _reading(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


def ignite(curve: Curve) -> Reading:
    """Ignite's: the fastest fall per point before the lowest loss."""
    lr, loss = _kept(curve, _plain, stop=5.0)
    end = int(np.argmin(loss)) + 1
    if end < 3:
        raise NoBoundsError(
            "too few points: this rule wants 3 up to the lowest smoothed loss, got "
            f"{end}; lower the sweep's start",
            "few_points",
        )
    chosen = 1 + int(np.argmin(loss[2:end] - loss[: end - 2]))
    return _reading(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


def lightning(curve: Curve) -> Reading:
    """Lightning's from 2.5.3 on: the fastest fall per rate, not per log rate."""
    lr, loss = _kept(curve, _late, stop=4.0, skip=(10, 1))
    chosen = int(np.argmin(np.gradient(loss, lr)))
    return _reading(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per rate")


def lightning_before(curve: Curve) -> Reading:
    """Lightning's before 2.5.3: the fastest fall per point."""
    lr, loss = _kept(curve, _late, stop=4.0, skip=(10, 1))
    chosen = int(np.argmin(np.gradient(loss)))
    return _reading(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


def ktrain_minimum(curve: Curve) -> Reading:
    """The minimum of ktrain: a fifth of the rate of the lowest loss."""
    lr, loss = _kept(curve, _debiased, stop=4.0)
    lowest = float(lr[int(np.argmin(loss))])
    return _reading(lr, lowest / 5.0, f"the smoothed loss is lowest at five times it, {lowest:.3g}")


def ktrain_gradient(curve: Curve) -> Reading:
    """The other of ktrain: the fastest fall per point, read 32 points too low, as shipped."""
    lr, loss = _kept(curve, _debiased, stop=4.0)
    before = loss[32 : int(np.argmin(loss))]
    if before.size < 2:
        raise NoBoundsError(
            "too few points: this rule skips 32 and wants 2 before the lowest smoothed loss; "
            "record more, or lower the sweep's start",
            "few_points",
        )
    chosen = int(np.argmin(np.gradient(before)))
    return _reading(lr, float(lr[chosen]), "32 points on, the smoothed loss falls fastest")


def keras_lr_finder(curve: Curve) -> Reading:
    """keras_lr_finder's: the largest fall of the raw loss over 20 points."""
    lr, loss = _kept(curve, _raw, stop=4.0, patience=5, fewest=21)
    falls = np.zeros(loss.size)
    falls[20:] = loss[20:] - loss[:-20]
    chosen = 10 + int(np.argmin(falls[10:-5]))
    return _reading(lr, float(lr[chosen]), "the loss fell most over the 20 points up to there")


def pytorch_forecasting(curve: Curve) -> Reading:
    """pytorch-forecasting's: Lightning's loss smoothed over the rate itself, then steepest."""
    lr, loss = _kept(curve, _late, fewest=13)
    at, kept = smoothing.thin(lr, loss)
    smooth = np.interp(lr, at, _lowess(at, kept, 0.1))
    chosen = 10 + int(np.argmin(np.gradient(smooth[10:-1])))
    return _reading(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


def _lowess(x: Floats, y: Floats, span: float) -> Floats:
    """Cleveland's smoother as statsmodels has it: outliers are judged by all residuals.

    x: rising, shape (n,). y: finite, shape (n,). span: part of the points in a window.
    """
    n, k = x.size, int(span * x.size + 1e-10)
    # As in smoothing.local_lines, the k nearest of a point are neighbours in rank.
    window = np.searchsorted(x[: n - k] + x[k:], 2.0 * x)[:, None] + np.arange(k)
    distance, values = x[window] - x[:, None], y[window]
    reach = np.max(np.abs(distance), axis=1, keepdims=True)
    near = (1.0 - np.abs(distance / np.where(reach > 0.0, reach, 1.0)) ** 3) ** 3
    weight, fitted = near, y
    for _ in range(4):
        # One point is no line, and keeps its value.
        several = np.count_nonzero(weight > 1e-12, axis=1) > 1
        part = weight / np.where(several, weight.sum(axis=1), 1.0)[:, None]
        centre = (part * distance).sum(axis=1, keepdims=True)
        off = distance - centre
        # The least spread is absolute there: among rates of 1e-6 lines are level.
        spread = np.maximum((part * off * off).sum(axis=1, keepdims=True), 1e-12)
        tilt = 1.0 - centre * off / spread
        fitted = np.where(several, (part * tilt * values).sum(axis=1), y)
        residual = np.abs(y - fitted)
        typical = float(np.median(residual))
        if typical == 0.0:
            break
        judged = (1.0 - np.minimum(residual / (6.0 * typical), 1.0) ** 2) ** 2
        weight = near * judged[window]
    return fitted


def neuralprophet(curve: Curve) -> Reading:
    """NeuralProphet's: Lightning's rate, and that of a smoother loss, their geometric mean."""
    lr, loss = _kept(curve, _late, skip=(10, 1), fewest=10)
    window = np.hamming(10)
    smooth = np.convolve(loss, window, "same") / np.convolve(np.ones(loss.size), window, "same")
    by_rate, by_point = np.gradient(loss, lr), np.gradient(smooth)
    mean = math.sqrt(lr[int(np.argmin(by_rate))] * lr[int(np.argmin(by_point))])
    return _reading(lr, mean, "it is the geometric mean of two rates where the loss falls fastest")


def knee(curve: Curve) -> Reading:
    """Kneedle's shoulder of a falling curve, over log rate: where the fall begins."""
    return _kneedle(curve, True, "the smoothed loss turns downwards there")


def elbow(curve: Curve) -> Reading:
    """Kneedle's elbow of a falling curve, over log rate: where the fall ends."""
    return _kneedle(curve, False, "the smoothed loss levels out there")


def _kneedle(curve: Curve, above: bool, why: str) -> Reading:
    """Where the loss, up to its lowest, is farthest from the line between its ends.

    That is the first place farther out than its neighbours from which the distance then sinks
    by a step of the log rate, or, once it has risen again, below 0 (Satopaa et al., Kneedle,
    2011, with a sensitivity of 1). Above the line the search begins at the largest rate.
    """
    lr, loss = _kept(curve, _debiased, stop=4.0)
    end = int(np.argmin(loss)) + 1
    if end < 3:
        raise NoBoundsError(
            f"too few points: this rule wants 3 up to the lowest smoothed loss, got {end}; lower "
            "the sweep's start",
            "few_points",
        )
    lr, loss = lr[:end], loss[:end]
    x = (np.log(lr) - math.log(lr[0])) / math.log(lr[-1] / lr[0])
    distance = (loss - loss[-1]) / np.ptp(loss) - (1.0 - x)
    if above:
        lr, distance = lr[::-1], distance[::-1]
    else:
        distance = -distance
    before, after = np.append(distance[0], distance[:-1]), np.append(distance[1:], distance[-1])
    tops = (distance >= before) & (distance >= after)
    lows = (distance <= before) & (distance <= after)
    step = 1.0 / (end - 1)
    top, least = 0, -math.inf
    for k in range(int(np.argmax(tops)), end - 1):
        if tops[k]:
            top, least = k, float(distance[k]) - step
        if lows[k]:
            least = 0.0
        if distance[k + 1] < least:
            return _reading(np.sort(lr), float(lr[top]), why)
    raise NoBoundsError("the loss has no knee; lower the sweep's start, or raise its top")


def _fastai(curve: Curve, fewest: int = 2) -> tuple[Floats, Floats]:
    """What fastai's rules look at: without the first tenth of the sweep and the last 5 points."""
    return _kept(curve, _debiased, stop=4.0, skip=(len(curve) // 10, 5), fewest=fewest)


def _debiased(loss: Floats, late: int = 0) -> Floats:
    """Exponential mean, 0.98 of it kept, divided by the weight of what it has seen."""
    mean, means = 0.0, []
    for k, value in enumerate(loss.tolist(), start=1 + late):
        mean = 0.98 * mean + 0.02 * value
        means.append(mean / (1.0 - 0.98**k))
    return np.array(means)


def _late(loss: Floats) -> Floats:
    """The same as Lightning has it: divided by the weight of one point more than it has seen."""
    return _debiased(loss, late=1)


def _plain(loss: Floats) -> Floats:
    """Exponential mean, 0.95 of it kept, that begins with the first loss."""
    mean, means = float(loss[0]) if loss.size else 0.0, []
    for value in loss.tolist():
        mean = 0.95 * mean + 0.05 * value
        means.append(mean)
    return np.array(means)


def _raw(loss: Floats) -> Floats:
    return loss


def _kept(
    curve: Curve,
    smooth: Callable[[Floats], Floats],
    *,
    stop: float = math.inf,
    skip: tuple[int, int] = (0, 0),
    patience: int = 0,
    fewest: int = 2,
) -> tuple[Floats, Floats]:
    """Rates and smoothed losses that a rule looks at.

    stop: the test would have ended where the smoothed loss is above so many times its lowest,
    after `patience` points. skip: points left out at the start and at the end.
    """
    rates, values, _, _ = recorded(curve, "loss")
    check_rising(rates)
    finite = smoothing.finite_until(values)
    smoothed = smooth(values[:finite])
    lost = smoothed > stop * np.minimum.accumulate(smoothed)
    lost[:patience] = False
    n = int(np.flatnonzero(lost)[0]) + 1 if lost.any() else smoothed.size
    kept = slice(skip[0], max(0, n - skip[1]))
    lr, smoothed = rates[:n][kept], smoothed[:n][kept]
    # Rates that repeat, and 0, have no slope per log rate.
    distinct = (lr > 0.0) & (np.diff(lr, prepend=-1.0) > 0.0)
    if np.count_nonzero(distinct) < fewest:
        raise NoBoundsError(
            f"too few points: {n} before this rule stops, of which it skips the first {skip[0]} "
            f"and the last {skip[1]} and wants {fewest}; lower the sweep's start, or record more "
            "points",
            "few_points",
        )
    return lr[distinct], smoothed[distinct]


def _reading(lr: Floats, rate: float, why: str) -> Reading:
    chosen = math.log10(rate)
    warnings = {
        "no_interval": "this rule says one rate and not how sure it is: the intervals of a single "
        "curve are that rate"
    }
    edges = (float(lr[0]), float(lr[-1]))
    if not edges[0] < rate < edges[1]:
        warnings["interval_at_edge"] = (
            f"the rate is at the edge of what this rule looks at, lr={edges[0]:.3g} to "
            f"{edges[1]:.3g}: widen the sweep"
        )
    return Reading(
        base=chosen - BASE_DECADES,
        lr=chosen,
        top=chosen,
        lr_span=(chosen, chosen),
        top_span=(chosen, chosen),
        reasons=(f"lr and max_lr: {why}", "base_lr is max_lr / 4"),
        warnings=warnings,
    )
