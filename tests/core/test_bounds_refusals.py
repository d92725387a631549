"""What is refused or warned of: the diagnosis must be true, and so must the advice."""

import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cases import each
from clrcore import Curve, NoBoundsError, suggest_bounds
from clrcore.bounds import KINDS
from curves import exponential, kinds, losses

SWEEP = np.geomspace(1e-6, 10.0, 300)


def refusal(curve, **arguments):
    """Kind and message of a refusal."""
    with pytest.raises(NoBoundsError) as caught:
        suggest_bounds(curve, **arguments)
    assert caught.value.kind in KINDS
    return caught.value.kind, str(caught.value)


def answered(curve):
    try:
        suggest_bounds(curve)
    except NoBoundsError:
        return False
    return True


class TestRefusals:
    @each(
        ("lr", "loss", "kind", "advice"),
        [
            ([], [], "no_values", "check the training step"),
            (
                np.geomspace(1e-3, 1, 50),
                np.full(50, np.nan),
                "no_values",
                r"recorded \(50 points\)",
            ),
            (np.geomspace(1e-3, 1, 9), np.arange(9.0), "few_points", "at least 10 are needed"),
            (
                np.geomspace(1e-3, 1, 50),
                [2.0] * 5 + [np.nan] * 45,
                "diverged_at_start",
                "5 points only, up to lr=0.00176; lower the sweep's start below lr=0.001",
            ),
            (
                np.geomspace(1e-3, 1, 50),
                np.geomspace(1, 100, 50),
                "diverged_at_start",
                "rises without a fall before it; lower the sweep's start below lr=0.001",
            ),
            (np.geomspace(1e-6, 1, 50), np.ones(50), "no_fall", "raise the sweep's top above 1"),
            (
                np.geomspace(1e-6, 1, 50),
                [1.0] * 40 + [5.0] * 10,
                "noise",
                "before it diverged at lr=0.0.*; take more updates",
            ),
            (
                np.geomspace(1e-6, 1, 5000),
                [1.0] * 4000 + [5.0] * 1000,
                "noise",
                "before it diverged at lr=0.0.*; make the noise smaller",
            ),
            (
                np.geomspace(1e-6, 1, 50),
                [1.0] * 10 + [5.0] * 40,
                "diverged_at_start",
                "lower the sweep's start",
            ),
            (
                np.geomspace(1e-5, 10, 100),
                [math.nan, math.inf, math.inf] + [1.0] * 97,
                "diverged_at_start",
                "the first known loss is infinite, at lr=1.15e-05; lower the sweep's start",
            ),
            (
                np.geomspace(1e-5, 10, 100),
                [1.0] * 60 + [math.inf] * 40,
                "noise",
                "before it diverged",
            ),
            ([0.1, 0.2, 0.15, 0.3] * 5, np.ones(20), "not_a_sweep", "0.2 is followed by 0.15 at"),
            (np.full(20, 0.1), np.arange(20.0), "not_a_sweep", "all are 0.1"),
            (np.zeros(20), np.arange(20.0), "not_a_sweep", "all are 0"),
            (np.geomspace(1, 1e-3, 50), np.arange(50.0), "not_a_sweep", "smallest rate to its la"),
        ],
    )
    def test_the_kind_and_what_to_do(self, lr, loss, kind, advice):
        found, message = refusal(Curve(lr, loss))
        assert found == kind

        assert re.search(advice, message), message

    @each("power", [0.5, 1.0, 3.0])
    @each("noise", [0.0, 0.05, 0.1])
    @each("seed", range(10))
    def test_a_loss_that_only_rises(self, power, noise, seed):
        rising = np.linspace(1.0, 5.0, 300) ** power
        loss = rising + noise * np.random.default_rng(seed).normal(size=300)
        assert refusal(Curve(np.geomspace(1e-6, 1.0, 300), loss))[0] == "diverged_at_start"

    @each("height", [0.1, 1e-30, -7.3, 1e12])
    def test_a_constant_of_any_height(self, height):
        assert refusal(Curve(SWEEP, np.full(300, height)))[0] == "no_fall"

    @pytest.mark.parametrize("updates", [5000, 14000])
    def test_a_fall_that_was_over_before_the_rate_had_moved(self, updates):
        step = np.arange(updates)
        noise = 0.02 * np.random.default_rng(0).normal(size=updates)
        curve = Curve(np.geomspace(1e-5, 1e-2, updates), 0.3 + 2.1 * np.exp(-step / 60) + noise)
        kind, message = refusal(curve)
        assert kind == "fall_over"
        assert "lower the sweep's start below lr=1e-05, or take fewer updates" in message

    def test_a_fall_within_the_first_points(self):
        lr = np.geomspace(1e-4, 10.0, 20)
        kind, message = refusal(Curve(lr, [2.3, 2.2, 0.5, 0.2, 0.2, *np.linspace(0.3, 3.0, 15)]))
        assert kind == "start_not_seen"
        assert "was over within the first 4 updates" in message
        assert "lower the sweep's start below lr=0.0001" in message

    def test_ramps_from_zero_cannot_start_lower(self):
        lr = np.linspace(0.0, 1.0, 200)
        for loss in (1.0 + 3.0 * lr, [1.0] * 5 + [np.inf] * 195):
            kind, message = refusal(Curve(lr, loss))
            assert kind == "diverged_at_start"
            assert "take more updates for the ramp, or lower its top" in message
        fast = suggest_bounds(Curve(lr, 2.3 / (1 + 200 * lr) + lr**4))
        assert "start_not_seen" not in kinds(fast)

    def test_a_best_rate_at_the_first_rates(self):
        lr = np.geomspace(0.05, 5.0, 100)
        loss = np.concatenate([np.full(10, 2.3), np.linspace(2.3, 0.3, 3), 0.3 + np.arange(87) / 3])
        kind, message = refusal(Curve(lr, loss))
        assert kind == "start_not_seen"
        assert "lower the sweep's start below lr=0.05" in message

    def test_an_accuracy_that_never_rises(self):
        ramp = np.linspace(0.01, 1, 100)
        assert refusal(Curve(ramp, accuracy=np.full(100, 0.1), held_out=True))[0] == "no_fall"
        falling = Curve(ramp, accuracy=np.linspace(0.9, 0.1, 100), held_out=True)
        assert refusal(falling)[0] == "diverged_at_start"
        assert refusal(Curve([0.1] * 20, accuracy=[np.nan] * 20))[0] == "no_values"


def lightning(loss, late=1, keeps=0.98):
    """What Lightning records: a mean that is divided by the weight of a value too many."""
    mean, found = 0.0, []
    for k, value in enumerate(loss, start=1):
        mean = keeps * mean + (1.0 - keeps) * value
        found.append(mean / (1.0 - keeps ** (k + late)))
    return np.array(found)


def keras(loss):
    """The mean of all losses so far, which Keras shows within an epoch."""
    return np.cumsum(loss) / np.arange(1, loss.size + 1)


class TestRunningAverages:
    @each("seed", range(5))
    def test_they_are_refused(self, seed):
        loss = losses(SWEEP, noise=0.1, seed=seed)
        averages = (lightning(loss), lightning(loss, late=0), lightning(loss, late=0, keeps=0.9))
        assert refusal(Curve(SWEEP, averages[0])) == (
            "running_average",
            "the values resemble a running average, from half of its first value on, rather than "
            "the loss of each update: an average lags behind the rate by many updates; record the "
            "loss itself, or undo the average of a finder with from_lightning of clr_adapters.logs",
        )
        for average in averages[1:]:
            assert refusal(Curve(SWEEP, average))[0] == "running_average"
        suggest_bounds(Curve(SWEEP, loss))

    def test_means_of_separate_blocks_are_none(self):
        for seed in range(5):
            loss = losses(np.geomspace(1e-6, 10.0, 3000), noise=0.3, seed=seed)
            curve = Curve(SWEEP, loss.reshape(300, 10).mean(axis=1), updates=10)
            assert suggest_bounds(curve).rule == "loss"

    def test_smooth_losses_are_none(self):
        for n in (60, 100, 160, 300, 1000):
            for best in (0.01, 0.1, 0.3):
                suggest_bounds(exponential(n, noise=0.0, best=best))
                suggest_bounds(exponential(n, noise=1e-7, best=best))

    def test_the_running_mean_of_noise(self):
        found = [refusal_or_none(lightning(noise(seed), late=0)) for seed in range(20)]
        assert found.count("running_average") >= 10
        assert found.count(None) <= 6


def refusal_or_none(loss):
    try:
        suggest_bounds(Curve(SWEEP, loss))
    except NoBoundsError as error:
        return error.kind
    return None


def noise(seed, like=0.0):
    """Normal noise around 2.3, each value like the one before by that much."""
    fresh = 0.1 * np.random.default_rng(seed).normal(size=400)
    for i in range(1, 400):
        fresh[i] += like * fresh[i - 1]
    return 2.3 + fresh[100:]


class TestNoise:
    @pytest.mark.parametrize(
        ("lr", "most"), [(SWEEP, 1), (np.linspace(0.01, 1, 300), 3)], ids=["exponential", "linear"]
    )
    def test_noise_is_hardly_ever_taken_for_a_fall(self, lr, most):
        assert sum(answered(Curve(lr, noise(seed))) for seed in range(60)) <= most

    def test_noise_whose_neighbours_are_alike(self):
        assert sum(answered(Curve(SWEEP, noise(seed, like=0.5))) for seed in range(40)) <= 6

    def test_equal_values_with_some_lower_values(self):
        random = np.random.default_rng(2)
        found = 0
        for _ in range(20):
            low = random.random(300) < 0.2
            found += answered(Curve(SWEEP, 2.3 - 0.01 * low))
            ramp = Curve(np.linspace(0, 1, 300), accuracy=0.1 + 0.01 * low, held_out=True)
            found += answered(ramp)
        assert found <= 2  # of 40

    def test_a_noisy_fall_is_hardly_ever_refused(self):
        curves = [exponential(n=100, noise=0.7, seed=seed) for seed in range(60)]
        assert sum(map(answered, curves)) >= 57

    def test_a_fall_of_few_points_counts_where_it_is_clear(self):
        # A short sweep of a network that learns late: far below the noise, but for three points.
        loss = 2.3 + 0.015 * np.random.default_rng(7).normal(size=40)
        loss[35:] = [2.2, 2.15, 2.15, 3.7, 9.0]
        lr = np.geomspace(1e-6, 10.0, 40)
        assert lr[28] < suggest_bounds(Curve(lr, loss)).lr < lr[36]
        loss[35:38] = [2.3, 2.29, 2.3]
        assert refusal(Curve(lr, loss))[0] == "noise"


# Accuracies whose robust means fall by 3e-203 of a typical value.
TINY_FALL = [0.0, -536870912.0, -7.669676269930379e-195, 0.0, 0.0, 0.0, 1033798696201721.0]
TINY_FALL += [-536870912.0, -536870912.0, 5617822491524699.0]


class TestWarnings:
    def test_nothing_to_warn_of(self):
        assert suggest_bounds(exponential()).warnings == ()

    @pytest.mark.parametrize("share", [0.05, 0.12])
    def test_a_small_fall(self, share):
        curve = exponential(noise=0.001)
        slow = Curve(curve.lr, curve.loss + 2.3 / share - 2.3)
        bounds = suggest_bounds(slow)
        assert kinds(bounds) == {"slow_start"}
        assert f"fell by only {share:.0%} of its start" in bounds.warnings[0]
        assert "confirm lr by trial runs" in bounds.warnings[0]
        sure = suggest_bounds(curve)
        assert bounds.lr_interval[0] < sure.lr_interval[0]

    def test_a_small_fall_in_its_noise_does_not_ask_for_a_lower_start(self):
        for seed in range(10):
            curve = exponential(n=300, noise=0.7, seed=seed)
            slow = suggest_bounds(Curve(curve.lr, curve.loss + 20.0))
            assert "slow_start" in kinds(slow)
            assert "start_not_seen" not in kinds(slow)

    def test_losses_below_zero_have_no_share(self):
        curve = exponential()
        assert suggest_bounds(Curve(curve.lr, curve.loss - 2.2)).warnings == ()

    def test_the_end_was_not_seen(self):
        lr = np.geomspace(1e-6, 0.01, 200)
        falling = suggest_bounds(Curve(lr, losses(lr, noise=0.0)))
        flat = suggest_bounds(exponential(lost=1e6))  # as with clipping
        for bounds, words in (
            (falling, "still getting better at the last rate"),
            (flat, "did not rise again by half of its change up to lr=10"),
        ):
            assert kinds(bounds) == {"end_not_reached", "interval_at_edge"}
            assert any(words in warning for warning in bounds.warnings)
        cut = exponential(lost=1e6)
        cut = suggest_bounds(Curve(cut.lr, np.where(cut.lr > 1.0, np.nan, cut.loss)))
        assert cut.warnings == ()

    def test_the_start_was_not_seen(self):
        lr = np.geomspace(0.01, 10.0, 200)
        bounds = suggest_bounds(Curve(lr, losses(lr, noise=0.0)))
        assert "start_not_seen" in kinds(bounds)
        assert any("lower the sweep's start below 0.01" in warning for warning in bounds.warnings)

    def test_few_points(self):
        short = exponential(n=40)
        wide = np.geomspace(1e-12, 1e3, 111)
        for curve, words in (
            (short, "a short sweep of 39 usable updates: 100 or more"),
            (
                Curve(short.lr, short.loss, updates=10),
                "only 39 usable points were recorded in 381 updates: 100",
            ),
            (Curve(wide, losses(wide)), "the rate rises by a factor of 1.37 per update"),
        ):
            found = suggest_bounds(curve).warnings
            assert [words in text for text in found if text.kind == "few_points"] == [True]

    @given(
        kind=st.sampled_from(["loss", "accuracy"]),
        values=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60),
        low=st.floats(0.0, 1.0),
        linear=st.booleans(),
    )
    @example("accuracy", TINY_FALL, 1.0, True)
    @settings(deadline=None)
    def test_whatever_was_recorded_is_answered_or_refused(self, kind, values, low, linear):
        n = len(values)
        lr = np.linspace(low, low + 1, n) if linear else (low + 1e-6) * 1.1 ** np.arange(n)
        try:
            bounds = suggest_bounds(Curve(lr, **{kind: values}), rule=kind)
        except NoBoundsError as error:
            found = {error.kind}
        else:
            found = kinds(bounds)
            assert 0.0 <= bounds.base_lr <= bounds.lr <= bounds.max_lr < math.inf
        assert found <= set(KINDS)

    @pytest.mark.parametrize("rule", ["loss", "accuracy"])
    def test_rates_near_the_largest_float_are_answered_or_refused(self, rule):
        lr = np.geomspace(1e290, 1.79e308, 100)
        fall = np.linspace(2.0, 0.1, 100)
        curve = Curve(lr, loss=fall) if rule == "loss" else Curve(lr, accuracy=-fall)
        bounds = suggest_bounds(curve, rule=rule)
        assert bounds.max_lr < math.inf
