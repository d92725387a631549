"""The numbers that tell a fall from its noise: each counts, just below it and just above it."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from cases import each
from clrcore import Curve, NoBoundsError, suggest_bounds
from clrcore.bounds import refusals
from clrcore.bounds.features import Features
from clrcore.bounds.points import starts_at_zero
from curves import exponential, kinds

LR = np.geomspace(1e-4, 1.0, 100)


def features(linear=False, lost=False, **given):
    """A fall from 2.3 to 0.3 almost without noise, as `Features` describes it."""
    curve = Curve(LR, np.full(LR.size, 2.3))
    points = SimpleNamespace(
        curve=curve, linear=linear, lost=lost, lr=LR, y=curve.loss, updates=curve.updates
    )
    usual = {
        "points": points,
        "metric": "loss",
        "scale": 1.0,
        "x": np.log10(LR),
        "edges": (-4.0, 0.0),
        "lead": 10,
        "lead_end": -3.6,
        "num_updates": 100,
        "speed": 0.04,
        "head": 2.3,
        "start": 2.3,
        "smoothed": np.linspace(2.3, 0.3, 100),
        "noise": 0.01,
        "depth": 2.0,
        "risen": True,
        "bottom": 50,
        "end_seen": True,
        "share": 0.9,
        "fraction": np.linspace(0.0, 1.0, 100),
        "highest": 3.3,
    }
    return SimpleNamespace(**usual | given)


@each(
    ("given", "least"),
    [
        ({"lead": 100, "x": np.zeros(1000)}, 1.1),  # many points
        ({"lead": 3, "x": np.zeros(30)}, 2.0 * math.sqrt(1.5 / 3 + 1.5 / 7)),  # few points
        # few in the baseline
        ({"lead": 5, "x": np.zeros(500)}, 2.0 * math.sqrt(1.5 / 5 + 1.5 / 60)),
        ({"lead": 25, "x": np.zeros(30), "risen": False}, 1.75 * 1.1),  # no rise at the end
    ],
)
def test_the_least_fall_in_units_of_the_noise(given, least):
    assert refusals.least_fall(features(noise=1.0, **given)) == pytest.approx(least)


def test_a_fall_of_rounding_is_none():
    assert refusals.least_fall(features(noise=0.0)) == pytest.approx(2.3e-12)


@pytest.mark.parametrize(("above", "risen"), [(2.9, False), (3.1, True)])
def test_a_rise_of_three_times_the_noise_is_a_rise(above, risen):
    found = features(lost=False)
    found.points.y = np.r_[np.full(98, 0.3), 2.3 + above * found.noise, 9.0]
    assert Features.risen.fget(found) is risen


@each(
    ("given", "refused"),
    [
        ({"start": 1.32}, False),  # half of the fall from 2.3 to 0.3 is 1.0
        ({"start": 1.28}, True),
        ({"start": 1.28, "noise": 0.26}, False),  # a fall of 1.02 in a noise of a quarter of it
        ({"start": 1.28, "noise": 0.25}, True),
        ({"start": 1.28, "lead_end": -2.98}, False),  # the rate has moved by a decade
        ({"start": 1.28, "lead_end": -3.02}, True),
    ],
)
def test_a_fall_that_was_over(given, refused):
    assert is_refused(refusals._check_fall_over, features(**given)) == refused


@pytest.mark.parametrize("noise", [0.51, 0.49])
def test_a_sudden_fall_is_over_not_a_divergence(noise):
    found = features(start=0.3, noise=noise)  # the first values are 2.0 above it
    with pytest.raises(NoBoundsError) as caught:
        refusals._refuse_diverged(found)
    assert caught.value.kind == ("start_not_seen" if 2.0 > 4.0 * noise else "diverged_at_start")


@pytest.mark.parametrize(("depth", "refused"), [(1.48, True), (1.52, False)])
def test_a_deep_fall_in_a_narrow_window_counts(depth, refused):
    """Narrow windows are many; wide windows, which see nothing here, are not asked."""
    found = features(noise=1.0, lead=100, x=np.linspace(-4.0, 0.0, 1000), depth=depth * 1.1)
    found.raw = np.full(1000, found.start)
    assert is_refused(refusals._check_depth, found) == refused


@pytest.mark.parametrize(("first_bad", "kind"), [(248, "diverged_at_start"), (252, "noise")])
def test_a_rise_in_the_first_quarter_is_a_divergence(first_bad, kind):
    found = features(noise=0.1, depth=0.0, x=np.linspace(-4.0, 0.0, 1000))
    # The window is wide; halves of a step in height put its crossing onto the step itself.
    found.raw = np.where(np.arange(1000) < first_bad, 2.3, 2.3 + 2.0 * refusals.least_fall(found))
    with pytest.raises(NoBoundsError) as caught:
        refusals._check_depth(found)
    assert caught.value.kind == kind


@pytest.mark.parametrize(("updates", "advised"), [(1000, True), (1001, False)])
def test_more_updates_are_no_advice_for_a_long_sweep(updates, advised):
    loss = np.where(np.arange(updates) < updates // 2, 1.0, 5.0)
    with pytest.raises(NoBoundsError) as caught:
        suggest_bounds(Curve(np.geomspace(1e-6, 1.0, updates), loss))
    assert ("take more updates" in str(caught.value)) == advised


@each(
    ("given", "warned"),
    [
        ({"fraction": np.full(100, 0.149)}, False),
        ({"fraction": np.full(100, 0.151)}, True),
        ({"fraction": np.full(100, 0.2), "noise": 0.4 / 1.49}, False),
        ({"fraction": np.full(100, 0.2), "noise": 0.4 / 1.51}, True),
    ],
)
def test_a_curve_that_moves_from_the_start(given, warned):
    assert ("start_not_seen" in refusals.diagnose(features(**given))) == warned


@pytest.mark.parametrize(("share", "warned"), [(0.149, True), (0.151, False)])
def test_a_small_share_of_the_start(share, warned):
    curve = exponential(noise=0.001)
    slow = suggest_bounds(Curve(curve.lr, curve.loss + 2.3 / share - 2.3))
    assert ("slow_start" in kinds(slow)) == warned


@each(("first", "at_zero"), [(0.0, True), (1.0, True), (1.005, True), (1.02, False), (2.0, False)])
def test_a_ramp_that_starts_at_most_a_step_above_zero_cannot_start_lower(first, at_zero):
    ramp = 0.01 * (first + np.arange(200))
    curve = Curve(ramp, 1.0 + 3.0 * ramp)
    assert starts_at_zero(curve) == at_zero
    with pytest.raises(NoBoundsError) as caught:
        suggest_bounds(curve)
    assert caught.value.kind == "diverged_at_start"
    assert ("as it starts at 0" in str(caught.value)) == at_zero
    assert ("lower the sweep's start below" in str(caught.value)) != at_zero


def is_refused(check, found):
    try:
        check(found)
    except NoBoundsError:
        return True
    return False
