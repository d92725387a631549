"""Rules of further finders, scored beside those that `suggest_bounds` knows by name."""

import math

import numpy as np
from numpy.typing import NDArray

from clrcore import Curve, NoBoundsError, smoothing
from clrcore.bounds.answer import Answer
from clrcore.bounds.peers import debiased, kept, late_mean, single_rate

Floats = NDArray[np.float64]


def lightning_before(curve: Curve) -> Answer:
    """Lightning's before 2.5.3: the fastest fall per point."""
    lr, loss = kept(curve, late_mean, stop=4.0, skip=(10, 1))
    chosen = int(np.argmin(np.gradient(loss)))
    return single_rate(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


def ktrain_gradient(curve: Curve) -> Answer:
    """The other of ktrain: the fastest fall per point, read 32 points too low, as shipped."""
    lr, loss = kept(curve, debiased, stop=4.0)
    before = loss[32 : int(np.argmin(loss))]
    if before.size < 2:
        raise NoBoundsError(
            "too few points: this rule skips 32 and wants 2 before the lowest smoothed loss; "
            "record more, or lower the sweep's start",
            "few_points",
        )
    chosen = int(np.argmin(np.gradient(before)))
    return single_rate(lr, float(lr[chosen]), "32 points on, the smoothed loss falls fastest")


def pytorch_forecasting(curve: Curve) -> Answer:
    """Fastest fall of Lightning's loss, smoothed over the rate itself."""
    lr, loss = kept(curve, late_mean, fewest=13)
    at, values = smoothing.thin(lr, loss)
    smooth = np.interp(lr, at, _lowess(at, values, 0.1))
    chosen = 10 + int(np.argmin(np.gradient(smooth[10:-1])))
    return single_rate(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per point")


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


def neuralprophet(curve: Curve) -> Answer:
    """NeuralProphet's: Lightning's rate, and that of a smoother loss, their geometric mean."""
    lr, loss = kept(curve, late_mean, skip=(10, 1), fewest=10)
    window = np.hamming(10)
    smooth = np.convolve(loss, window, "same") / np.convolve(np.ones(loss.size), window, "same")
    by_rate, by_point = np.gradient(loss, lr), np.gradient(smooth)
    mean = math.sqrt(lr[int(np.argmin(by_rate))] * lr[int(np.argmin(by_point))])
    return single_rate(
        lr, mean, "it is the geometric mean of two rates where the loss falls fastest"
    )


def knee(curve: Curve) -> Answer:
    """Kneedle's shoulder of a falling curve, over log rate: where the fall begins."""
    return _kneedle(curve, True, "the smoothed loss turns downwards there")


def elbow(curve: Curve) -> Answer:
    """Kneedle's elbow of a falling curve, over log rate: where the fall ends."""
    return _kneedle(curve, False, "the smoothed loss levels out there")


def _kneedle(curve: Curve, above: bool, why: str) -> Answer:
    """Where the loss, up to its lowest, is farthest from the line between its ends.

    That is the first place farther out than its neighbours from which the distance then sinks
    by a step of the log rate, or, once it has risen again, below 0 (Satopaa et al., Kneedle,
    2011, with a sensitivity of 1). Above the line the search begins at the largest rate.
    """
    lr, loss = kept(curve, debiased, stop=4.0)
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
            return single_rate(np.sort(lr), float(lr[top]), why)
    raise NoBoundsError("the loss has no knee; lower the sweep's start, or raise its top")


OTHERS = {
    "lightning_before_2_5_3": lightning_before,
    "ktrain_gradient": ktrain_gradient,
    "pytorch_forecasting": pytorch_forecasting,
    "neuralprophet": neuralprophet,
    "kneed_concave": knee,
    "kneed_convex": elbow,
}
