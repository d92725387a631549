"""Rules of further finders, against their definitions written out."""

import math

import numpy as np
import pytest
from other_finders import OTHERS

from clrcore import Curve, NoBoundsError
from curves import debiased, exponential, until


def rate(name, curve):
    """The rate that a rule gives."""
    return 10.0 ** OTHERS[name](curve).lr


def lightning_before(curve):
    lr, loss = until(curve.lr, debiased(curve.loss, late=1), 4)
    return lr[10:-1][np.gradient(loss[10:-1]).argmin()]


def ktrain_gradient(curve):
    lr, loss = until(curve.lr, debiased(curve.loss), 4)
    return lr[np.gradient(loss[32 : loss.argmin()]).argmin()]


def lowess(x, y, k):
    """As statsmodels has it: the k nearest points, three robust passes, a least spread."""
    trust, fitted = np.ones(len(x)), np.array(y)
    for _ in range(4):
        for i in range(len(x)):
            near = np.argsort(abs(x - x[i]), kind="stable")[:k]
            weight = (1 - (abs(x - x[i]) / max(abs(x[near] - x[i]))).clip(0, 1) ** 3) ** 3 * trust
            if sum(weight > 1e-12) < 2:
                fitted[i] = y[i]
                continue
            weight /= weight.sum()
            mean = weight @ x
            spread = max(weight @ (x - mean) ** 2, 1e-12)
            fitted[i] = (weight * (1 + (x[i] - mean) * (x - mean) / spread)) @ y
        residual = abs(y - fitted)
        trust = (1 - (residual / (6 * np.median(residual))).clip(0, 1) ** 2) ** 2
    return fitted


def pytorch_forecasting(curve):
    loss = debiased(curve.loss, late=1)
    smooth = lowess(curve.lr, loss, len(loss) // 10)
    return curve.lr[10 + np.gradient(smooth[10:-1]).argmin()]


def neuralprophet(curve):
    lr, loss = curve.lr[10:-1], debiased(curve.loss, late=1)[10:-1]
    smooth = []
    for k in range(len(loss)):
        # Ten points, one more of them before than after.
        near = [
            (np.hamming(10)[j], loss[k + 4 - j]) for j in range(10) if 0 <= k + 4 - j < len(loss)
        ]
        smooth.append(sum(w * x for w, x in near) / sum(w for w, _ in near))
    first, second = np.gradient(loss, lr).argmin(), np.gradient(smooth).argmin()
    return math.sqrt(lr[first] * lr[second])


def kneedle(curve, above):
    lr, loss = until(curve.lr, debiased(curve.loss), 4)
    end = loss.argmin() + 1
    if end < 3:
        return None
    x, y = np.log(lr[:end] / lr[0]) / np.log(lr[end - 1] / lr[0]), loss[:end]
    far = (y - y.min()) / (y.max() - y.min()) - 1 + x
    places = list(range(end))[::-1] if above else list(range(end))
    far = [far[k] if above else -far[k] for k in places]
    wall = [far[0], *far, far[-1]]
    for t in range(end):
        if far[t] < max(wall[t], wall[t + 2]):
            continue
        least = far[t] - 1 / (end - 1)
        for k in range(t, end - 1):
            if k > t and far[k] >= max(wall[k], wall[k + 2]):
                break
            if far[k] <= min(wall[k], wall[k + 2]):
                least = 0.0
            if far[k + 1] < least:
                return lr[places[t]]
    return None


DEFINITIONS = {
    "lightning_before_2_5_3": lightning_before,
    "ktrain_gradient": ktrain_gradient,
    "pytorch_forecasting": pytorch_forecasting,
    "neuralprophet": neuralprophet,
    "kneed_concave": lambda curve: kneedle(curve, above=True),
    "kneed_convex": lambda curve: kneedle(curve, above=False),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("n", [100, 300])
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.4])
def test_by_their_definitions(name, n, noise):
    # With noise of 0.4 some losses come near 0, where stops by ratio fire early.
    curve = Curve(np.geomspace(1e-6, 3.0, n), exponential(n, noise=noise, seed=n).loss + 0.5)
    assert rate(name, curve) == pytest.approx(DEFINITIONS[name](curve), rel=1e-9)


@pytest.mark.parametrize("name", ["kneed_concave", "kneed_convex"])
@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", range(10))
def test_kneedle_on_any_curve(name, noise, seed):
    curve = Curve(np.geomspace(1e-6, 3.0, 80), exponential(80, noise=noise, seed=seed).loss + 3)
    expected = DEFINITIONS[name](curve)
    if expected is None:
        with pytest.raises(NoBoundsError):
            rate(name, curve)
    else:
        assert rate(name, curve) == pytest.approx(expected)


def test_kneedle():
    # Level, then down in a straight line: the shoulder is where it turns, 30 points late
    # for the smoothing, and the elbow of what bends the other way is its first point.
    lr = np.geomspace(1e-5, 1.0, 400)
    bend = np.where(np.arange(400) < 200, 2.0, 2.0 - 0.005 * (np.arange(400) - 200))
    assert lr[195] < rate("kneed_concave", Curve(lr, bend)) < lr[260]
    assert rate("kneed_convex", Curve(lr, bend)) == pytest.approx(lr[0])
    level = np.where(np.arange(400) < 100, 2.0 - 0.01 * np.arange(400), 1.0)
    assert lr[80] < rate("kneed_convex", Curve(lr, level)) < lr[250]
    with pytest.raises(NoBoundsError, match="the loss has no knee"):
        rate("kneed_concave", Curve([0.001, 0.01, 0.1], [3.0, 2.0, 1.0]))
    with pytest.raises(NoBoundsError, match="wants 3 up to the lowest smoothed loss, got 1"):
        rate("kneed_concave", Curve(lr, np.linspace(1, 3, 400)))


@pytest.mark.parametrize(
    ("name", "points", "message"),
    [
        ("pytorch_forecasting", 12, "too few points: 12 .* wants 13"),
        ("neuralprophet", 20, "too few points: 20 .* wants 10"),
        ("ktrain_gradient", 33, "this rule skips 32 and wants 2 before the lowest"),
        ("kneed_convex", 2, "this rule wants 3 up to the lowest smoothed loss, got 2"),
    ],
)
def test_what_is_too_short_for_them(name, points, message):
    lr, falling = np.geomspace(1e-6, 3.0, 100), np.linspace(2.0, 1.0, 100)
    cut = Curve(lr, np.where(np.arange(100) < points, falling, np.nan))
    with pytest.raises(NoBoundsError, match=message):
        rate(name, cut)
