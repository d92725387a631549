"""Rules of other finders, against their definitions written out."""

import math

import numpy as np
import pytest

from cases import each
from clrcore import Curve, NoBoundsError, suggest_bounds
from clrcore.bounds import RULES
from curves import debiased, exponential, kinds, losses, plain, until

MODULE = "clrcore.bounds.peers"
PEERS = [name for name, rule in RULES.items() if rule.function.__module__ == MODULE]


def fastai(curve):
    lr, loss = until(curve.lr, debiased(curve.loss), 4)
    return lr[len(curve) // 10 : -5], loss[len(curve) // 10 : -5]


def steepest(curve):
    lr, loss = fastai(curve)
    slopes = [(loss[k + 1] - loss[k]) / math.log(lr[k + 1] / lr[k]) for k in range(lr.size - 1)]
    return lr[slopes.index(min(slopes))]


def minimum(curve):
    lr, loss = fastai(curve)
    return lr[loss.argmin()] / 10


def valley(curve):
    lr, loss = fastai(curve)
    length = [1] * len(lr)
    for i in range(len(lr)):
        for j in range(i):
            if loss[j] > loss[i]:
                length[i] = max(length[i], length[j] + 1)
    end = length.index(max(length))
    third = max(length) / 3
    return lr[end - max(length) + int(third) + int(third / 2)]


def slide(curve):
    lr, loss = fastai(curve)
    slopes = np.gradient(loss)
    right, found = -1, lr[-16]
    while right - 15 >= -len(lr) and abs(slopes[right] - slopes[right - 15]) > 0.005:
        found = lr[right - 15]
        right -= 1
    return found


def torch_lr_finder(curve):
    lr, loss = until(curve.lr, plain(curve.loss), 5)
    return lr[10:-5][np.gradient(loss[10:-5]).argmin()]


def ignite(curve):
    lr, loss = until(curve.lr, plain(curve.loss), 5)
    falls = [loss[k + 1] - loss[k - 1] for k in range(1, loss.argmin())]
    return lr[1 + int(np.argmin(falls))]


def lightning(curve):
    lr, loss = until(curve.lr, debiased(curve.loss, late=1), 4)
    return lr[10:-1][np.gradient(loss[10:-1], lr[10:-1]).argmin()]


def ktrain_minimum(curve):
    lr, loss = until(curve.lr, debiased(curve.loss), 4)
    return lr[loss.argmin()] / 5


def keras_lr_finder(curve):
    loss = curve.loss
    for k in range(5, len(loss)):
        if loss[k] > 4 * min(loss[: k + 1]):
            loss = loss[: k + 1]
            break
    falls = [0.0] * 20 + [loss[k] - loss[k - 20] for k in range(20, len(loss))]
    return curve.lr[10 + int(np.argmin(falls[10:-5]))]


DEFINITIONS = {
    "steepest": steepest,
    "minimum": minimum,
    "valley": valley,
    "slide": slide,
    "torch_lr_finder": torch_lr_finder,
    "ignite": ignite,
    "lightning": lightning,
    "ktrain_minimum": ktrain_minimum,
    "keras_lr_finder": keras_lr_finder,
}


class TestPeers:
    @each("rule", DEFINITIONS)
    @each("n", [100, 300])
    @each("noise", [0.0, 0.05, 0.4])
    def test_by_their_definitions(self, rule, n, noise):
        # With noise of 0.4 some losses come near 0, where stops by ratio fire early.
        curve = Curve(np.geomspace(1e-6, 3.0, n), exponential(n, noise=noise, seed=n).loss + 0.5)
        bounds = suggest_bounds(curve, rule=rule)
        assert bounds.lr == pytest.approx(DEFINITIONS[rule](curve), rel=1e-9)
        assert bounds.max_lr == bounds.lr
        assert bounds.base_lr == pytest.approx(max(bounds.lr / 4, 1e-6), rel=1e-4)
        assert bounds.lr_interval == bounds.max_lr_interval == (bounds.lr, bounds.lr)
        assert "no_interval" in kinds(bounds)

    def test_linear_sweeps(self):
        lr = np.linspace(0.001, 0.3, 300)
        curve = Curve(lr, losses(lr, noise=0.05) + 0.5)
        for rule, definition in DEFINITIONS.items():
            assert suggest_bounds(curve, rule=rule).lr == pytest.approx(definition(curve), rel=1e-9)

    def test_every_peer_is_checked(self):
        assert set(PEERS) == set(DEFINITIONS)

    def test_slide_gives_its_reason(self):
        why = suggest_bounds(exponential(n=100), rule="slide").reasons
        assert any("from there on the slope of the loss changes" in text for text in why)

    def test_ignite_looks_at_inner_points_only(self):
        # The first point falls most, and has no neighbour before it.
        loss = [5.0, *[2.0] * 29, *(2.0 - 0.02 * np.arange(20))]
        lr = np.geomspace(1e-4, 1.0, 50)
        assert suggest_bounds(Curve(lr, loss), rule="ignite").lr == pytest.approx(lr[1])

    def test_say_when_the_rate_is_at_the_edge(self):
        lr = np.geomspace(0.01, 1.0, 100)
        falling = Curve(lr, np.linspace(2.0, 1.0, 100))
        assert "interval_at_edge" not in kinds(suggest_bounds(falling, rule="minimum"))
        rising = Curve(lr, np.linspace(1.0, 2.0, 100))
        assert "interval_at_edge" in kinds(suggest_bounds(rising, rule="minimum"))

    @each(
        ("rule", "points", "message"),
        [
            ("steepest", 6, "too few points: 6 before this rule stops, of which it skips .* 10 "),
            ("minimum", 16, "too few points: 16 .* the last 5 and wants 2"),
            ("slide", 30, "too few points: 30 .* wants 16"),
            ("torch_lr_finder", 16, "too few points: 16 .* the first 10 and the last 5"),
            ("lightning", 12, "too few points: 12 .* the first 10 and the last 1"),
            ("keras_lr_finder", 20, "too few points: 20 .* wants 21"),
            ("ignite", 2, "this rule wants 3 up to the lowest smoothed loss, got 2"),
        ],
    )
    def test_say_what_is_too_short_for_them(self, rule, points, message):
        lr = np.geomspace(1e-6, 3.0, 100)
        falling = np.linspace(2.0, 1.0, 100)
        cut = Curve(lr, np.where(np.arange(100) < points, falling, np.nan))
        with pytest.raises(NoBoundsError, match=message):
            suggest_bounds(cut, rule=rule)
        more = Curve(lr, np.where(np.arange(100) < points + 1, falling, np.nan))
        if rule != "steepest":
            suggest_bounds(more, rule=rule)

    @each("rule", PEERS)
    def test_refuse_what_is_no_sweep(self, rule):
        curve = exponential(n=100)
        with pytest.raises(NoBoundsError, match="do not rise"):
            suggest_bounds(Curve(curve.lr[::-1], curve.loss), rule=rule)
        with pytest.raises(NoBoundsError, match="too few points"):
            suggest_bounds(Curve(curve.lr, np.full(100, np.nan)), rule=rule)


@pytest.mark.filterwarnings("error")
@each("rule", [*PEERS, "loss"])
def test_losses_near_the_largest_float_give_no_warning(rule):
    curve = exponential()
    for loss in (
        curve.loss / curve.loss.max() * 1.7e308,
        np.where(np.arange(len(curve)) % 2, 1e308, -1e308),
    ):
        try:
            suggest_bounds(Curve(curve.lr, loss), rule=rule)
        except NoBoundsError:
            assert loss.min() < 0.0 or rule == "loss"
