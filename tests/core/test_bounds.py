import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clrcore
from clrcore.bounds import KINDS, RULES, Bounds, BoundsWarning, suggest_bounds
from clrcore.curve import Curve
from clrcore.errors import NoBoundsError


def losses(lr, best=0.1, noise=0.02, seed=0, start=2.3, lost=20.0):
    """A fall from `start`, over by `best`; a blow-up from about ten times that on."""
    fall = start / (1.0 + (10.0 * lr / best) ** 2)
    blow_up = (lr / (lost * best)) ** 4
    return fall + blow_up + noise * np.random.default_rng(seed).normal(size=lr.size)


def exponential(n=200, **changes):
    lr = np.geomspace(1e-6, 10.0, n)
    return Curve(lr, losses(lr, **changes))


def accuracies(lr, noise=0.005, seed=0):
    """Half of the rise is made at 0.1, half of it lost again at 2.5."""
    rise = 0.1 + 0.85 / (1.0 + (0.1 / lr) ** 2)
    return rise / (1.0 + (lr / 2.5) ** 6) + noise * np.random.default_rng(seed).normal(size=lr.size)


def ramp(n=300, top=5.0, accuracy=True, loss=False, **given):
    lr = np.linspace(top / n, top, n)
    given = {"held_out": True, "steps_per_epoch": 50, **given}
    loss = losses(lr, best=1.0, lost=3.0) if loss else None
    return Curve(lr, loss, accuracies(lr) if accuracy else None, **given)


def numbers(bounds):
    return np.log(
        [bounds.base_lr, bounds.lr, bounds.max_lr, *bounds.lr_interval, *bounds.max_lr_interval]
    )


def warned(bounds, part):
    return any(part in warning for warning in bounds.warnings)


class TestLossRule:
    @given(best=st.floats(1e-3, 0.3), n=st.integers(60, 400), seed=st.integers(0, 2**20))
    @settings(deadline=None)
    def test_bounds_lie_on_the_plateau(self, best, n, seed):
        bounds = suggest_bounds(exponential(n, best=best, seed=seed))
        # The plateau goes from 3/10 of `best` to where the blow-up takes a tenth of the fall.
        assert 0.08 * best < bounds.lr < 15.0 * best
        assert bounds.max_lr <= 15.0 * best
        assert bounds.rule == "loss"

    @given(
        best=st.floats(1e-3, 0.3),
        n=st.integers(150, 400),
        seed=st.integers(0, 2**20),
        noise=st.floats(0.0, 0.2),
        linear=st.booleans(),
    )
    @settings(deadline=None)
    def test_intervals_contain_their_points(self, best, n, seed, noise, linear):
        lr = np.linspace(best / 100, 6 * best, n) if linear else np.geomspace(1e-5, 10, n)
        bounds = suggest_bounds(Curve(lr, losses(lr, best, noise, seed, lost=3.0)))
        assert 0.0 < bounds.base_lr <= bounds.lr <= bounds.max_lr
        assert bounds.lr_interval[0] <= bounds.lr <= bounds.lr_interval[1]
        assert bounds.max_lr_interval[0] <= bounds.max_lr <= bounds.max_lr_interval[1]
        assert bounds.base_lr == pytest.approx(bounds.max_lr / 4, rel=1e-4)
        assert bounds.max_lr <= bounds.lr * 2.0001

    @given(
        scale=st.floats(1e-6, 1e6),
        shift=st.floats(-100, 100),
        seed=st.integers(0, 2**20),
        n=st.integers(40, 300),
    )
    @settings(deadline=None)
    def test_scaling_and_shifting_the_loss_change_nothing(self, scale, shift, seed, n):
        curve = exponential(n, seed=seed)
        same = Curve(curve.lr, scale * (curve.loss + shift))
        assert numbers(suggest_bounds(same)) == pytest.approx(
            numbers(suggest_bounds(curve)), abs=1e-6
        )

    @given(rate=st.floats(1e-6, 1e6))
    @settings(deadline=None, max_examples=20)
    def test_scaling_the_rates_scales_the_answer(self, rate):
        curve = exponential()
        moved = suggest_bounds(Curve(curve.lr * rate, curve.loss))
        assert numbers(moved) - math.log(rate) == pytest.approx(
            numbers(suggest_bounds(curve)), abs=1e-6
        )

    @given(
        tail=st.lists(
            st.one_of(st.floats(60, 1e300), st.just(math.nan), st.just(math.inf)), max_size=60
        ),
        seed=st.integers(0, 2**20),
    )
    @settings(deadline=None)
    def test_points_after_the_divergence_change_nothing(self, tail, seed):
        lr = np.geomspace(1e-6, 10.0, 200)
        loss = losses(lr, seed=seed)
        lost = int(np.flatnonzero(loss > 10.0)[0]) + 3  # stands above its start for three points
        short = Curve(lr[:lost], loss[:lost], sweep="exponential")
        longer = np.concatenate([lr[:lost], lr[lost] * 1.1 ** np.arange(len(tail))])
        long = Curve(longer, np.concatenate([loss[:lost], tail]), sweep="exponential")
        assert numbers(suggest_bounds(long)).tolist() == numbers(suggest_bounds(short)).tolist()

    def test_a_rise_that_comes_back_is_not_the_end(self):
        lr = np.geomspace(1e-6, 1.0, 200)
        # A small fall, lost again by more than it was, and then the real one.
        loss = np.full(200, 2.0)
        loss[20:40], loss[40:60], loss[100:] = 1.8, 2.5, 0.1
        bounds = suggest_bounds(Curve(lr, loss))
        assert bounds.lr > lr[100]

    def test_values_that_are_missing_change_little(self):
        curve = exponential(n=400)
        for gaps in ([150], [0], list(range(0, 300, 2)), [399]):
            loss = curve.loss.copy()
            loss[gaps] = np.nan
            assert numbers(suggest_bounds(Curve(curve.lr, loss))) == pytest.approx(
                numbers(suggest_bounds(curve)), abs=0.4
            )

    def test_points_that_were_not_recorded_do_not_change_the_lag(self):
        lr = np.geomspace(1e-6, 10.0, 200)
        whole = suggest_bounds(Curve(lr, losses(lr)))
        for every in (2, 5):
            some = np.where(np.arange(200) % every == 0, losses(lr), np.nan)
            assert suggest_bounds(Curve(lr, some)).lr == pytest.approx(whole.lr, rel=0.15)
            logged = Curve(lr[::every], losses(lr)[::every], updates=every)
            assert suggest_bounds(logged).lr == pytest.approx(whole.lr, rel=0.15)

    def test_ramps_from_0_are_not_told_to_start_lower(self):
        ramp_from_0 = np.linspace(0.0, 1.0, 200)
        with pytest.raises(NoBoundsError, match="take more updates for the ramp, or lower its top"):
            suggest_bounds(Curve(ramp_from_0, 1.0 + 3.0 * ramp_from_0))
        with pytest.raises(NoBoundsError, match="take more updates for the ramp, or lower its top"):
            suggest_bounds(Curve(ramp_from_0, [1.0] * 5 + [np.inf] * 195))
        fast = suggest_bounds(Curve(ramp_from_0, 2.3 / (1 + 200 * ramp_from_0) + ramp_from_0**4))
        assert not any("first rate" in warning for warning in fast.warnings)

    def test_a_loss_that_falls_to_the_end_says_what_limits_max_lr(self):
        lr = np.geomspace(1e-5, 1.0, 200)
        bounds = suggest_bounds(Curve(lr, 2.3 - 0.01 * np.arange(200)))
        assert bounds.max_lr <= 0.5 * (1 + 1e-9)
        told = (
            "max_lr is twice lr, less what a fast sweep leaves unsure, at most half the last rate"
        )
        assert any(told in reason for reason in bounds.reasons)

    @given(power=st.floats(0.5, 3.0), noise=st.floats(0.0, 0.1), seed=st.integers(0, 999))
    def test_a_loss_that_only_rises_is_refused(self, power, noise, seed):
        lr = np.geomspace(1e-6, 1.0, 300)
        rising = np.linspace(1.0, 5.0, 300) ** power
        loss = rising + noise * np.random.default_rng(seed).normal(size=300)
        with pytest.raises(NoBoundsError, match="already diverging at the first rates"):
            suggest_bounds(Curve(lr, loss))

    def test_a_spike_changes_little(self):
        curve = exponential()
        loss = curve.loss.copy()
        loss[[30, 110]] = [-50.0, 1e9]
        assert numbers(suggest_bounds(Curve(curve.lr, loss))) == pytest.approx(
            numbers(suggest_bounds(curve)), abs=0.1
        )

    @pytest.mark.parametrize(
        ("curve", "wide"),
        # The second one has diverged after a third of its points.
        [(exponential(40), 2), (ramp(top=12.0, accuracy=False, loss=True), 1)],
    )
    def test_the_first_losses_may_be_wrong(self, curve, wide):
        lr = suggest_bounds(curve).lr
        for points, factor in ((1, 10.0), (1, 0.0), (wide, 3.0)):
            loss = curve.loss.copy()
            loss[:points] *= factor
            assert suggest_bounds(Curve(curve.lr, loss)).lr == pytest.approx(lr, rel=0.3)

    def test_how_long_it_stays_lost_changes_little(self):
        def of(top):
            lr = 10.0 ** np.linspace(-6.0, top, round(30 * (top + 6)) + 1)
            made = np.where(lr < 0.03, 0.8 / (1.0 + (1000 * lr) ** -2.0), 0.0)
            by_loss = suggest_bounds(Curve(lr, 1.0 - made))
            by_accuracy = suggest_bounds(Curve(lr, accuracy=0.1 + made, held_out=True))
            return [*numbers(by_loss), *numbers(by_accuracy)]

        assert of(2.0) == pytest.approx(of(-1.0), rel=0.1)

    def test_the_same_twice(self):
        assert suggest_bounds(exponential()) == suggest_bounds(exponential())

    def test_faster_sweeps_are_lowered_more(self):
        lr = np.geomspace(1e-6, 10.0, 100)
        quick, slow = (
            suggest_bounds(Curve(np.geomspace(1e-6, 10, n), losses(np.geomspace(1e-6, 10, n))))
            for n in (100, 1000)
        )
        assert quick.lr < slow.lr
        linear = suggest_bounds(Curve(lr, losses(lr), sweep="linear"))
        assert linear.lr == pytest.approx(quick.lr * 10 ** (6 * 7 / 99 - 0.5), rel=0.15)

    def test_a_plateau_that_goes_on_for_decades_does_not_carry_the_rate_along(self):
        # A network that has learned all there is does not mind how large the rate becomes.
        found = {}
        for top in (1.0, 10.0, 1000.0):
            lr = np.geomspace(1e-6, top, round(50 * math.log10(top / 1e-6)))
            found[top] = suggest_bounds(Curve(lr, losses(lr, best=0.01, noise=0.0, lost=1e9)))
        # 80 % of the fall is made at 0.002: 0.9 decades above, and 8 % of another 0.9 decades,
        # less the lag of 0.38 decades.
        assert found[1000.0].lr == pytest.approx(0.002 * 10 ** (0.9 * 1.08 - 0.38), rel=0.05)
        assert found[1000.0].lr == pytest.approx(found[10.0].lr, rel=0.02)
        assert found[1.0].lr == pytest.approx(found[10.0].lr, rel=0.1)
        assert any("plateau goes on" in reason for reason in found[1000.0].reasons)
        assert not any("plateau goes on" in r for r in suggest_bounds(exponential(lost=3)).reasons)

    def test_the_end_of_the_plateau_counts_in_fast_sweeps_only(self):
        moved = {}
        for n in (40, 2000):
            near, far = (suggest_bounds(exponential(n, noise=0.0, lost=lost)) for lost in (4, 20))
            moved[n] = math.log10(far.lr / near.lr)
            told = any("a sweep this fast" in reason for reason in far.reasons)
            assert told == (n == 40)
        # The centre of the plateau moves by half as much as its end does, by 0.7 decades.
        assert moved[2000] == pytest.approx(0.35, abs=0.07)
        assert moved[40] > 1.4 * moved[2000]

    def test_max_lr_stays_below_where_the_loss_is_lost(self):
        lr = np.geomspace(1e-5, 10.0, 300)
        loss = np.where(lr < 0.1, 2.3 / (1 + (lr / 0.02) ** 4), 5.0)
        bounds = suggest_bounds(Curve(lr, loss))
        assert bounds.max_lr == pytest.approx(0.05, rel=0.1)
        assert bounds.max_lr < 2.0 * bounds.lr
        assert any("half the last rate that was of use" in reason for reason in bounds.reasons)
        lost = suggest_bounds(exponential())
        assert any("half the rate at which the loss has lost" in r for r in lost.reasons)

    @pytest.mark.parametrize(
        ("n", "factor"), [(1401, 1.977), (141, 1.782), (29, 1.125), (21, 1.125)]
    )
    def test_max_lr_is_twice_lr_and_less_for_fast_sweeps(self, n, factor):
        # Seven decades in n - 1 updates; a quarter decade or more per update is as unsure.
        bounds = suggest_bounds(exponential(n, noise=0.0, lost=200.0))
        assert bounds.max_lr / bounds.lr == pytest.approx(factor, rel=0.002)
        lr = np.linspace(0.002, 0.6, n)
        linear = suggest_bounds(Curve(lr, losses(lr, best=0.1, noise=0.0, lost=4.5)))
        assert linear.max_lr / linear.lr == pytest.approx(2.0, rel=0.001)

    def test_the_interval_is_wider_for_fast_sweeps(self):
        widths = []
        for n in (1401, 141):
            bounds = suggest_bounds(exponential(n, noise=0.0))
            low, high = bounds.lr_interval
            assert math.log10(bounds.lr / low) < math.log10(high / bounds.lr)
            widths.append(math.log10(high / low))
        assert widths == pytest.approx([1.07 + 0.005, 1.07 + 0.05], abs=0.001)

    @pytest.mark.parametrize(
        ("lr", "first"), [(np.linspace(0.002, 0.6, 300), 3), (np.geomspace(1e-6, 1.0, 100), 10)]
    )
    def test_first_points_that_are_low_by_chance(self, lr, first):
        # They say that most of the fall is made before the sweep begins.
        loss = losses(lr, best=0.5, noise=0.05, start=1.0, lost=1.0)
        usual = suggest_bounds(Curve(lr, loss))
        loss[:first] = 0.2
        # Several in a row are more than a median of three takes out, and stay in the window.
        assert suggest_bounds(Curve(lr, loss)).lr == pytest.approx(usual.lr, rel=0.1)

    @pytest.mark.parametrize(("n", "below"), [(1001, 0.6 + 1.8 * 0.006), (61, 0.6 + 1.8 * 0.1)])
    def test_the_largest_rate_that_trains_is_sought_round_where_the_loss_is_lost(self, n, below):
        lr = np.geomspace(1e-5, 10.0, n)
        loss = np.where(lr < 0.05, 2.3 / (1 + (lr / 0.01) ** 4), 5.0)
        low, high = suggest_bounds(Curve(lr, loss)).max_lr_interval
        assert math.log10(high / low) == pytest.approx(0.6 + below, abs=0.001)
        if n > 1000:
            assert high == pytest.approx(0.05 * 10**0.6, rel=0.03)

    def test_a_rate_of_zero_at_the_start(self):
        lr = np.linspace(0.0, 4.0, 300)
        bounds = suggest_bounds(Curve(lr, losses(lr)))
        assert 0.01 < bounds.lr < 2.0


class TestAccuracyRule:
    def test_reads_where_accuracy_rises_and_falls(self):
        bounds = suggest_bounds(ramp(n=1000))
        assert bounds.rule == "accuracy"
        # Of the rise, 15 % is made at 0.042; a tenth is lost again near 1.7.
        assert bounds.base_lr == pytest.approx(0.042, rel=0.4)
        assert 0.5 < bounds.max_lr < 1.7
        assert bounds.base_lr <= bounds.lr <= bounds.max_lr
        assert warned(bounds, "ramp of 1000 updates (20 epochs)")

    def test_says_what_is_not_as_the_rule_wants_it(self):
        lr = np.geomspace(1e-6, 10.0, 200)
        bounds = suggest_bounds(Curve(lr, accuracy=accuracies(lr), steps_per_epoch=150))
        assert bounds.rule == "accuracy"
        assert "accuracy is what all curves have" in bounds.reasons
        for part in ("several epochs", "held-out data", "200 updates (1.33 epochs)"):
            assert warned(bounds, part)
        assert warned(suggest_bounds(ramp(steps_per_epoch=None)), "ramp of 300 updates:")
        assert warned(bounds, "not known to be of held-out data")
        training = Curve(lr, accuracy=accuracies(lr), held_out=False)
        assert warned(suggest_bounds(training), "accuracy is of the training data")

    def test_takes_the_constant_rate_from_the_loss(self):
        both = suggest_bounds(ramp(loss=True))
        alone = suggest_bounds(ramp(loss=True, accuracy=False))
        assert both.rule == "accuracy"
        assert both.lr == pytest.approx(alone.lr)
        assert any("off the loss" in reason for reason in both.reasons)

    @pytest.mark.parametrize("spaced", [np.geomspace, np.linspace])
    def test_an_accuracy_that_only_rises_has_no_bound_at_the_edge(self, spaced):
        lr = spaced(1e-3, 1.0, 300)
        bounds = suggest_bounds(Curve(lr, accuracy=np.linspace(0.1, 0.9, 300)))
        assert bounds.max_lr <= 0.5 * (1 + 1e-9)
        assert any("has not fallen again" in reason for reason in bounds.reasons)
        assert warned(bounds, "raise the sweep's top above 1")

    def test_takes_the_lower_max_lr_of_accuracy_and_loss(self):
        curve = ramp(loss=True)
        alone = suggest_bounds(ramp()).max_lr
        by_loss = suggest_bounds(Curve(curve.lr, curve.loss)).max_lr
        assert by_loss < alone
        lowered = suggest_bounds(curve)
        assert lowered.max_lr == pytest.approx(by_loss)
        assert any("asks for a lower max_lr" in reason for reason in lowered.reasons)
        # A loss that stays low for longer than the accuracy stays high changes nothing.
        later = Curve(
            curve.lr, losses(curve.lr, best=20.0, lost=80.0), curve.accuracy, held_out=True
        )
        kept = suggest_bounds(later)
        assert kept.max_lr == pytest.approx(alone)
        assert not any("asks for a lower max_lr" in reason for reason in kept.reasons)

    def test_base_lr_is_never_above_the_rate_for_all_of_a_training(self):
        lr = np.linspace(0.005, 1.5, 300)
        loss = 2.3 / (1.0 + (lr / 0.01) ** 2) + 2.0 * (lr / 0.4) ** 2
        accuracy = 0.1 + 0.8 / (1.0 + (0.05 / lr) ** 6)
        both = suggest_bounds(Curve(lr, loss, accuracy, held_out=True))
        assert both.base_lr == both.lr
        assert both.lr == pytest.approx(suggest_bounds(Curve(lr, loss)).lr)
        assert any("base_lr is lowered to lr" in reason for reason in both.reasons)

    def test_lr_is_never_above_max_lr(self):
        lr = np.linspace(0.005, 1.5, 300)
        loss = 2.3 / (1.0 + (lr / 0.3) ** 2)
        accuracy = np.where(lr < 0.1, 0.1 + 0.8 / (1.0 + (0.02 / lr) ** 6), 0.1)
        both = suggest_bounds(Curve(lr, loss, accuracy, held_out=True))
        assert both.lr == both.max_lr < suggest_bounds(Curve(lr, loss)).lr
        assert any("lr is lowered to max_lr" in reason for reason in both.reasons)

    def test_the_reasons_tell_what_the_loss_asks_for(self):
        reasons = suggest_bounds(ramp(loss=True)).reasons
        assert any("is taken: max_lr is twice lr" in reason for reason in reasons)

    def test_on_both_kinds_of_ramps(self):
        # A twentieth of the rise is lost again at 1.53, which 0.15 decades divide by 1.41; half way
        # from 0.62 to where it is lost is 1.33, and half of that is taken. On the exponential
        # ramp 30 % is made at 0.065; on the linear one 10 % at 0.045, smoothed over much of it.
        linear = np.linspace(0.005, 5.0, 1000)
        exponential = np.geomspace(1e-4, 10.0, 1000)
        for lr, base, top in ((linear, 0.024, 1.53 / 1.41), (exponential, 0.065, 0.665)):
            bounds = suggest_bounds(Curve(lr, accuracy=accuracies(lr, noise=0.0), held_out=True))
            assert bounds.base_lr == pytest.approx(base, rel=0.05)
            assert bounds.max_lr == pytest.approx(top, rel=0.05)

    def test_loss_and_accuracy_that_disagree_are_told(self):
        lr = np.linspace(0.005, 1.5, 300)
        loss = 2.3 / (1.0 + (lr / 0.01) ** 2) + 2.0 * (lr / 0.1) ** 2
        accuracy = 0.1 + 0.8 / (1.0 + (0.6 / lr) ** 6)
        bounds = suggest_bounds(Curve(lr, loss, accuracy, held_out=True))
        assert bounds.base_lr < bounds.lr <= bounds.max_lr
        assert bounds.base_lr == pytest.approx(bounds.max_lr / 4, rel=1e-4)
        assert warned(bounds, "loss and accuracy disagree")

    def test_does_without_a_loss_that_shows_nothing(self):
        curve = ramp()
        flat = np.ones(len(curve))
        bounds = suggest_bounds(Curve(curve.lr, flat, curve.accuracy, held_out=True))
        assert numbers(bounds) == pytest.approx(numbers(suggest_bounds(curve)))

    def test_accuracy_measured_now_and_then(self):
        curve = ramp(n=600)
        accuracy = np.where(np.arange(600) % 10 == 0, curve.accuracy, np.nan)
        bounds = suggest_bounds(Curve(curve.lr, accuracy=accuracy, held_out=True))
        assert bounds.max_lr == pytest.approx(suggest_bounds(curve).max_lr, rel=1.0)
        assert warned(bounds, "ramp of 600 updates")

    def test_what_comes_after_the_loss_is_lost_has_no_influence(self):
        curve = ramp(loss=True)
        loss = np.where(curve.lr > 3.0, np.nan, curve.loss)
        garbage = np.where(curve.lr > 3.0, 1.0, curve.accuracy)
        first, second = (
            suggest_bounds(Curve(curve.lr, loss, accuracy, held_out=True))
            for accuracy in (curve.accuracy, garbage)
        )
        assert first == second
        assert not warned(first, "did not fall")
        # Where no loss is finite, accuracy speaks for itself.
        silent = Curve(curve.lr, np.full(300, np.nan), curve.accuracy, held_out=True)
        assert suggest_bounds(silent).rule == "accuracy"

    def test_no_rise(self):
        flat = Curve(np.linspace(0.01, 1, 100), accuracy=np.full(100, 0.1), held_out=True)
        with pytest.raises(NoBoundsError, match="no rise of the accuracy seen up to lr=1"):
            suggest_bounds(flat)


class TestAuto:
    def test_accuracy_of_the_papers_ramp_else_loss(self):
        assert suggest_bounds(ramp(loss=True)).rule == "accuracy"
        assert suggest_bounds(ramp(loss=True, held_out=False)).rule == "loss"
        assert suggest_bounds(ramp(loss=True, steps_per_epoch=200)).rule == "loss"
        assert suggest_bounds(ramp(loss=True, steps_per_epoch=None)).rule == "accuracy"
        assert suggest_bounds(ramp(loss=True, sweep="exponential")).rule == "loss"
        assert suggest_bounds([ramp(loss=True), ramp(loss=True, held_out=None)]).rule == "loss"
        assert "held-out accuracy" in suggest_bounds(ramp(loss=True)).reasons[0]
        assert "no held-out accuracy" in suggest_bounds(exponential()).reasons[0]

    def test_loss_where_accuracy_has_no_answer(self):
        curve = ramp(loss=True)
        flat = Curve(curve.lr, curve.loss, np.full(300, 0.1), held_out=True)
        bounds = suggest_bounds(flat)
        assert bounds.rule == "loss"
        assert warned(
            bounds, "the accuracy rule gave no answer, so the loss rule was used: no rise"
        )

    def test_no_metric_in_common(self):
        with pytest.raises(ValueError, match="curves must have a metric in common"):
            suggest_bounds([exponential(), ramp()])


class TestSeveralCurves:
    @given(order=st.permutations(range(5)))
    @settings(deadline=None, max_examples=20)
    def test_their_order_does_not_matter(self, order):
        curves = [exponential(seed=seed, noise=0.1) for seed in range(5)]
        curves[3] = Curve(curves[3].lr, np.ones(200))
        curves[4] = Curve(curves[4].lr, np.full(200, np.nan))
        assert suggest_bounds([curves[i] for i in order]) == suggest_bounds(curves)

    def test_equal_curves_say_what_one_says(self):
        one, three = suggest_bounds(exponential()), suggest_bounds([exponential()] * 3)
        assert numbers(three) == pytest.approx(numbers(one))
        assert any("median of 3 curves" in reason for reason in three.reasons)

    def test_the_median_counts_and_disagreement_widens(self):
        rates = (0.02, 0.1, 0.1, 0.12, 3.0)
        curves = [exponential(best=best) for best in rates]
        agreed, torn = suggest_bounds(curves[1]), suggest_bounds(curves)
        assert torn.lr == pytest.approx(agreed.lr, rel=0.05)
        for name in ("lr_interval", "max_lr_interval"):
            (low, high), (inner_low, inner_high) = getattr(torn, name), getattr(agreed, name)
            assert low < inner_low < inner_high < high
        for best in rates:
            assert torn.lr_interval[0] <= suggest_bounds(exponential(best=best)).lr
        assert warned(torn, "the curves disagree")
        assert not warned(suggest_bounds(curves[1:4]), "disagree")

    def test_curves_without_an_answer_are_left_out_up_to_half(self):
        good, flat = exponential(), Curve(np.geomspace(1e-6, 1, 100), np.ones(100))
        bounds = suggest_bounds([good, flat])
        assert numbers(bounds)[:3] == pytest.approx(numbers(suggest_bounds(good))[:3])
        assert warned(bounds, "1 of 2 curves were left out; one of them: no fall of the loss")
        with pytest.raises(
            NoBoundsError, match="2 of 3 curves carry no answer; one of them: no fall"
        ):
            suggest_bounds([good, flat, flat])
        with pytest.raises(NoBoundsError, match="2 of 2 curves carry no answer"):
            suggest_bounds([flat, flat])

    def test_a_warning_of_one_kind_is_told_once(self):
        short = exponential(n=30)
        told = [w for w in suggest_bounds([short, exponential(), short]).warnings if "short" in w]
        assert len(told) == 1
        assert told[0].startswith("2 of 3 curves: ")


class TestRefusals:
    @pytest.mark.parametrize(
        ("lr", "loss", "message"),
        [
            ([], [], r"no finite loss was recorded \(0 points\)"),
            (np.geomspace(1e-3, 1, 50), np.full(50, np.nan), "no finite loss was recorded"),
            (np.geomspace(1e-3, 1, 9), np.arange(9.0), "too few points: 9 .* at least 10"),
            (
                np.geomspace(1e-3, 1, 50),
                [2.0] * 5 + [np.nan] * 45,
                r"already diverging at the first rates: the loss is lost from lr=0.00202 on, after "
                r"5 points; lower the sweep's start below lr=0.001",
            ),
            (
                np.geomspace(1e-3, 1, 50),
                np.geomspace(1, 100, 50),
                r"already diverging at the first rates: the loss rises without a fall before it; "
                r"lower the sweep's start below lr=0.001",
            ),
            (
                np.geomspace(1e-6, 1, 50),
                np.ones(50),
                r"no fall of the loss seen up to lr=1: .* raise the sweep's top above 1",
            ),
            (
                np.geomspace(1e-6, 1, 50),
                [1.0] * 40 + [5.0] * 10,
                r"no fall of the loss seen before it was lost at lr=0.0791: its change of 0 is not "
                r"larger than its noise of 1e-12; take more updates for the sweep",
            ),
            (
                np.geomspace(1e-6, 1, 50),
                [1.0] * 10 + [5.0] * 40,
                "already diverging at the first rates: the loss rises without a fall before it",
            ),
            (
                [0.1, 0.2, 0.15, 0.3] * 5,
                np.ones(20),
                "do not rise: lr=0.2 is followed by 0.15 at point 2",
            ),
            (np.full(20, 0.1), np.arange(20.0), "the rates do not rise: all are 0.1"),
            (np.zeros(20), np.arange(20.0), "the rates do not rise: all are 0"),
            (np.geomspace(1, 1e-3, 50), np.arange(50.0), "the rates do not rise"),
        ],
    )
    def test_says_why_and_what_next(self, lr, loss, message):
        with pytest.raises(NoBoundsError, match=message):
            suggest_bounds(Curve(lr, loss))

    def test_an_empty_accuracy(self):
        with pytest.raises(NoBoundsError, match=r"no finite accuracy .* \(20 points\)"):
            suggest_bounds(Curve([0.1] * 20, accuracy=[np.nan] * 20))

    @pytest.mark.parametrize(
        ("lr", "seeds", "most"),
        [(np.geomspace(1e-6, 1, 300), 60, 1), (np.linspace(0.01, 1, 100), 100, 2)],
    )
    def test_noise_is_hardly_ever_taken_for_a_fall(self, lr, seeds, most):
        taken = 0
        for seed in range(seeds):
            noise = np.random.default_rng(seed).normal(size=lr.size)
            try:
                suggest_bounds(Curve(lr, noise))
                taken += 1
            except NoBoundsError:
                pass
        assert taken <= most

    def test_a_noisy_fall_is_hardly_ever_refused(self):
        refused = 0
        for seed in range(60):
            try:
                suggest_bounds(exponential(n=100, noise=0.7, seed=seed))
            except NoBoundsError:
                refused += 1
        assert refused <= 3

    def test_a_fall_of_few_points_counts_where_it_is_clear(self):
        # A short sweep of a network that learns late: far below the noise, but for three points.
        loss = 2.3 + 0.015 * np.random.default_rng(7).normal(size=40)
        loss[35:] = [2.2, 2.15, 2.15, 3.7, 9.0]
        lr = np.geomspace(1e-6, 10.0, 40)
        assert lr[28] < suggest_bounds(Curve(lr, loss)).lr < lr[36]
        loss[35:38] = [2.3, 2.29, 2.3]
        with pytest.raises(NoBoundsError, match="no fall of the loss seen before it was lost"):
            suggest_bounds(Curve(lr, loss))

    def test_a_constant_curve_of_any_height_has_no_fall(self):
        for height in (0.1, 1e-30, -7.3, 1e12):
            with pytest.raises(NoBoundsError, match="no fall"):
                suggest_bounds(Curve(np.geomspace(1e-6, 1, 70), np.full(70, height)))


class TestDisturbances:
    """What is wrong with single values moves the answer little."""

    @pytest.mark.parametrize("n", [100, 300])
    @pytest.mark.parametrize("wrong", [0.0, -5.0, math.inf, math.nan, 100.0])
    def test_one_wrong_value(self, n, wrong):
        curve = exponential(n=n, noise=0.03)
        usual = suggest_bounds(curve)
        for place in (n // 5, n // 3, n // 2):
            loss = curve.loss.copy()
            loss[place] = wrong
            assert suggest_bounds(Curve(curve.lr, loss)).lr == pytest.approx(usual.lr, rel=0.15)

    def test_equal_values_with_some_lower_ones_are_noise(self):
        random = np.random.default_rng(2)
        answered = 0
        for _ in range(20):
            low = random.random(300) < 0.2
            for curve in (
                Curve(np.geomspace(1e-5, 1.0, 300), 2.3 - 0.01 * low),
                Curve(np.linspace(0.0, 1.0, 300), accuracy=0.1 + 0.01 * low, held_out=True),
            ):
                try:
                    suggest_bounds(curve)
                    answered += 1
                except NoBoundsError:
                    pass
        assert answered <= 2  # of 40

    @pytest.mark.parametrize("every", [5, 10])
    def test_accuracy_measured_now_and_then_on_a_ramp(self, every):
        lr = np.linspace(0.002, 0.6, 300)
        accuracy = 0.1 + 0.85 / (1 + (0.08 / lr) ** 4) - 0.8 / (1 + (0.45 / lr) ** 16)
        usual = suggest_bounds(Curve(lr, accuracy=accuracy, held_out=True))
        accuracy[(np.arange(300) + 1) % every != 0] = math.nan
        bounds = suggest_bounds(Curve(lr, accuracy=accuracy, held_out=True))
        assert bounds.max_lr == pytest.approx(usual.max_lr, rel=0.25)
        assert bounds.base_lr == pytest.approx(usual.base_lr, rel=0.6)

    def test_a_best_rate_at_the_first_ones_is_refused(self):
        lr = np.geomspace(0.05, 5.0, 100)
        loss = np.concatenate([np.full(10, 2.3), np.linspace(2.3, 0.3, 3), 0.3 + np.arange(87) / 3])
        with pytest.raises(NoBoundsError, match=r"lower the sweep's start below lr=0\.05"):
            suggest_bounds(Curve(lr, loss))

    def test_a_run_lost_without_a_fall_is_not_told_to_go_higher(self):
        loss = [1.0] * 60 + [math.inf] * 40
        with pytest.raises(NoBoundsError, match="before it was lost"):
            suggest_bounds(Curve(np.geomspace(1e-5, 10.0, 100), loss))


class TestWarnings:
    def test_nothing_to_warn_of(self):
        assert suggest_bounds(exponential()).warnings == ()

    def test_still_falling_at_the_top(self):
        lr = np.geomspace(1e-6, 0.01, 200)
        bounds = suggest_bounds(Curve(lr, losses(lr, noise=0.0)))
        assert warned(bounds, "still getting better at the last rate: raise the sweep's top above")
        assert warned(bounds, "touches the sweep's last rate")

    def test_never_diverged(self):
        bounds = suggest_bounds(exponential(lost=1e6))
        assert warned(bounds, "did not rise by half of its change again up to lr=10")
        assert warned(bounds, "max_lr_interval touches the sweep's last rate")

    def test_a_run_cut_by_nan_has_diverged(self):
        lr = np.geomspace(1e-6, 10, 200)
        loss = np.where(lr > 1.0, np.nan, losses(lr, lost=1e6))
        assert suggest_bounds(Curve(lr, loss)).warnings == ()

    def test_falling_from_the_start(self):
        lr = np.geomspace(0.01, 10.0, 200)
        bounds = suggest_bounds(Curve(lr, losses(lr, noise=0.0)))
        assert warned(
            bounds, "changing from the first rates on: lower the sweep's start below 0.01"
        )
        # A narrow plateau that soon follows the start.
        index = np.arange(200)
        loss = np.where(index < 22, 2.0, np.where(index < 40, 0.1, 9.0))
        bounds = suggest_bounds(Curve(lr, loss))
        assert warned(bounds, "lr_interval touches the sweep's first rate")

    def test_short(self):
        assert warned(suggest_bounds(exponential(n=40)), "a short sweep of 39 usable points")
        assert warned(
            suggest_bounds(
                Curve(np.geomspace(1e-12, 1e3, 70), losses(np.geomspace(1e-12, 1e3, 70)))
            ),
            "a short sweep of",
        )


def debiased(loss, late=0):
    """The exponential mean of every beginning of the losses, from its weights."""
    means = []
    for k in range(1, len(loss) + 1):
        weights = 0.98 ** np.arange(k - 1, -1, -1)
        means.append(0.02 * weights @ loss[:k] / (1 - 0.98 ** (k + late)))
    return np.array(means)


def plain(loss):
    means = [loss[0]]
    for value in loss:
        means.append(0.95 * means[-1] + 0.05 * value)
    return np.array(means[1:])


def until(lr, smoothed, stop):
    """Up to the first smoothed loss above `stop` times the lowest before it."""
    for k in range(len(smoothed)):
        if smoothed[k] > stop * min(smoothed[: k + 1]):
            return lr[: k + 1], smoothed[: k + 1]
    return lr, smoothed


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


def lightning_before(curve):
    lr, loss = until(curve.lr, debiased(curve.loss, late=1), 4)
    return lr[10:-1][np.gradient(loss[10:-1]).argmin()]


def ktrain_minimum(curve):
    lr, loss = until(curve.lr, debiased(curve.loss), 4)
    return lr[loss.argmin()] / 5


def ktrain_gradient(curve):
    lr, loss = until(curve.lr, debiased(curve.loss), 4)
    return lr[np.gradient(loss[32 : loss.argmin()]).argmin()]


def keras_lr_finder(curve):
    loss = curve.loss
    for k in range(5, len(loss)):
        if loss[k] > 4 * min(loss[: k + 1]):
            loss = loss[: k + 1]
            break
    falls = [0.0] * 20 + [loss[k] - loss[k - 20] for k in range(20, len(loss))]
    return curve.lr[10 + int(np.argmin(falls[10:-5]))]


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
    "steepest": steepest,
    "minimum": minimum,
    "valley": valley,
    "slide": slide,
    "torch_lr_finder": torch_lr_finder,
    "ignite": ignite,
    "lightning": lightning,
    "lightning_before_2_5_3": lightning_before,
    "ktrain_minimum": ktrain_minimum,
    "ktrain_gradient": ktrain_gradient,
    "keras_lr_finder": keras_lr_finder,
    "pytorch_forecasting": pytorch_forecasting,
    "neuralprophet": neuralprophet,
    "kneed_concave": lambda curve: kneedle(curve, above=True),
    "kneed_convex": lambda curve: kneedle(curve, above=False),
}


class TestPeers:
    @pytest.mark.parametrize("rule", DEFINITIONS)
    @pytest.mark.parametrize("n", [100, 300])
    @pytest.mark.parametrize("noise", [0.0, 0.05, 0.4])
    def test_by_their_definitions(self, rule, n, noise):
        # With noise of 0.4 some losses come near 0, where stops by ratio fire early.
        curve = Curve(np.geomspace(1e-6, 3.0, n), exponential(n, noise=noise, seed=n).loss + 0.5)
        bounds = suggest_bounds(curve, rule=rule)
        assert bounds.lr == pytest.approx(DEFINITIONS[rule](curve), rel=1e-9)
        assert bounds.max_lr == bounds.lr == pytest.approx(4 * bounds.base_lr, rel=1e-4)
        assert bounds.lr_interval == bounds.max_lr_interval == (bounds.lr, bounds.lr)
        assert warned(bounds, "not how sure")

    def test_linear_sweeps(self):
        lr = np.linspace(0.001, 0.3, 300)
        curve = Curve(lr, losses(lr, noise=0.05) + 0.5)
        for rule, definition in DEFINITIONS.items():
            assert suggest_bounds(curve, rule=rule).lr == pytest.approx(definition(curve), rel=1e-9)

    def test_every_peer_is_checked(self):
        assert set(RULES) == {"loss", "accuracy", *DEFINITIONS}

    def test_ignite_looks_at_inner_points_only(self):
        # The first point falls most, and has no neighbour before it.
        loss = [5.0, *[2.0] * 29, *(2.0 - 0.02 * np.arange(20))]
        lr = np.geomspace(1e-4, 1.0, 50)
        assert suggest_bounds(Curve(lr, loss), rule="ignite").lr == pytest.approx(lr[1])

    @given(seed=st.integers(0, 2**20), noise=st.floats(0.1, 0.5), above=st.booleans())
    @settings(deadline=None)
    def test_kneedle_on_any_curve(self, seed, noise, above):
        curve = Curve(np.geomspace(1e-6, 3.0, 80), exponential(80, noise=noise, seed=seed).loss + 3)
        rule = "kneed_concave" if above else "kneed_convex"
        expected = kneedle(curve, above)
        if expected is None:
            with pytest.raises(NoBoundsError):
                suggest_bounds(curve, rule=rule)
        else:
            assert suggest_bounds(curve, rule=rule).lr == pytest.approx(expected)

    def test_kneedle(self):
        # Level, then down in a straight line: the shoulder is where it turns, 30 points late
        # for the smoothing, and the elbow of what bends the other way is its first point.
        lr = np.geomspace(1e-5, 1.0, 400)
        bend = np.where(np.arange(400) < 200, 2.0, 2.0 - 0.005 * (np.arange(400) - 200))
        shoulder = suggest_bounds(Curve(lr, bend), rule="kneed_concave").lr
        assert lr[195] < shoulder < lr[260]
        assert suggest_bounds(Curve(lr, bend), rule="kneed_convex").lr == pytest.approx(lr[0])
        level = np.where(np.arange(400) < 100, 2.0 - 0.01 * np.arange(400), 1.0)
        elbow = suggest_bounds(Curve(lr, level), rule="kneed_convex").lr
        assert lr[80] < elbow < lr[250]
        with pytest.raises(NoBoundsError, match="the loss has no knee"):
            suggest_bounds(Curve([0.001, 0.01, 0.1], [3.0, 2.0, 1.0]), rule="kneed_concave")
        with pytest.raises(NoBoundsError, match="wants 3 up to the lowest smoothed loss, got 1"):
            suggest_bounds(Curve(lr, np.linspace(1, 3, 400)), rule="kneed_concave")

    def test_say_when_the_rate_is_at_the_edge(self):
        lr = np.geomspace(0.01, 1.0, 100)
        falling = Curve(lr, np.linspace(2.0, 1.0, 100))
        assert warned(suggest_bounds(falling, rule="minimum"), "intervals of a single")
        rising = Curve(lr, np.linspace(1.0, 2.0, 100))
        assert warned(suggest_bounds(rising, rule="minimum"), "at the edge of what this rule")

    @pytest.mark.parametrize(
        ("rule", "points", "message"),
        [
            ("steepest", 6, "too few points: 6 before this rule stops, of which it skips .* 10 "),
            ("minimum", 16, "too few points: 16 .* the last 5 and wants 2"),
            ("slide", 30, "too few points: 30 .* wants 16"),
            ("torch_lr_finder", 16, "too few points: 16 .* the first 10 and the last 5"),
            ("lightning", 12, "too few points: 12 .* the first 10 and the last 1"),
            ("keras_lr_finder", 20, "too few points: 20 .* wants 21"),
            ("pytorch_forecasting", 12, "too few points: 12 .* wants 13"),
            ("neuralprophet", 20, "too few points: 20 .* wants 10"),
            ("ktrain_gradient", 33, "this rule skips 32 and wants 2 before the lowest"),
            ("ignite", 2, "this rule wants 3 up to the lowest smoothed loss, got 2"),
            ("kneed_convex", 2, "this rule wants 3 up to the lowest smoothed loss, got 2"),
        ],
    )
    def test_say_what_is_too_short_for_them(self, rule, points, message):
        lr = np.geomspace(1e-6, 3.0, 100)
        falling = np.linspace(2.0, 1.0, 100)
        cut = Curve(lr, np.where(np.arange(100) < points, falling, np.nan))
        with pytest.raises(NoBoundsError, match=message):
            suggest_bounds(cut, rule=rule)
        more = Curve(lr, np.where(np.arange(100) < points + 1, falling, np.nan))
        if rule not in ("steepest", "kneed_convex", "ktrain_gradient"):
            suggest_bounds(more, rule=rule)

    @pytest.mark.parametrize("rule", [rule for rule in RULES if rule not in ("loss", "accuracy")])
    def test_refuse_what_is_no_sweep(self, rule):
        curve = exponential(n=100)
        with pytest.raises(NoBoundsError, match="do not rise"):
            suggest_bounds(Curve(curve.lr[::-1], curve.loss), rule=rule)
        with pytest.raises(NoBoundsError, match="too few points"):
            suggest_bounds(Curve(curve.lr, np.full(100, np.nan)), rule=rule)


class TestArguments:
    def test_curves(self):
        with pytest.raises(TypeError, match="curves must be a Curve or a list of Curves, got 3"):
            suggest_bounds(3)
        with pytest.raises(TypeError, match=r"curves\[1\] must be a Curve, got \[0.1\]"):
            suggest_bounds([exponential(), [0.1]])
        with pytest.raises(ValueError, match="at least one Curve"):
            suggest_bounds([])
        assert suggest_bounds((exponential(),)) == suggest_bounds(exponential())

    def test_rule(self):
        with pytest.raises(ValueError, match="rule must be one of 'auto', 'loss'"):
            suggest_bounds(exponential(), rule="best")
        with pytest.raises(TypeError, match="rule must be one of"):
            suggest_bounds(exponential(), rule=None)
        with pytest.raises(ValueError, match="'accuracy' needs accuracy, which curve 1 lacks"):
            suggest_bounds([ramp(), exponential()], rule="accuracy")

    @pytest.mark.parametrize("rule", RULES)
    def test_every_rule_answers(self, rule):
        curve = ramp(loss=True)
        bounds = suggest_bounds(curve, rule=rule)
        assert bounds.rule == rule
        assert bounds.base_lr <= bounds.lr <= bounds.max_lr
        assert RULES[rule].needs in ("loss", "accuracy")
        assert RULES[rule].description


class TestBounds:
    bounds = Bounds(
        base_lr=0.001,
        max_lr=0.006,
        lr=0.003,
        lr_interval=(0.002, 0.005),
        max_lr_interval=(0.005, 0.02),
        rule="loss",
        reasons=["so"],
        warnings=("beware",),
    )

    def test_policies(self):
        assert self.bounds.policy(100) == clrcore.triangular2(0.001, 0.006, 100)
        assert self.bounds.policy(7, "triangular", window="hann") == clrcore.triangular(
            0.001, 0.006, 7, window="hann"
        )
        assert self.bounds.policy(7, kind="decay") == clrcore.decay(0.006, 0.001, 7)
        assert self.bounds.policy(7, kind="smith_one_cycle") == clrcore.smith_one_cycle(
            0.001, 0.006, 7
        )
        ranged = self.bounds.policy(7, kind="exp_range", gamma=0.9, decays="bounds")
        assert ranged == clrcore.exp_range(0.001, 0.006, 7, gamma=0.9, decays="bounds")
        with pytest.raises(ValueError, match=r"kind must be one of .* got 'one_cycle'"):
            self.bounds.policy(7, kind="one_cycle")
        with pytest.raises(ValueError, match="step_size"):
            self.bounds.policy(0)

    def test_plain_data(self):
        data = self.bounds.to_dict()
        assert json.loads(json.dumps(data)) == data
        assert data["lr_interval"] == [0.002, 0.005]
        assert data["reasons"] == ["so"]
        assert data["version"] == 1
        assert data["warning_kinds"] == ["unknown"]
        assert Bounds.from_dict(data) == self.bounds
        curve = exponential(n=40)
        bounds = suggest_bounds(curve)
        again = Bounds.from_dict(json.loads(json.dumps(bounds.to_dict())))
        assert again == bounds
        assert [w.kind for w in again.warnings] == [w.kind for w in bounds.warnings] != []

    @pytest.mark.parametrize(
        ("change", "kind", "message"),
        [
            ({"version": 2}, ValueError, "data has version 2"),
            ({"more": 1}, ValueError, "data has unknown 'more'"),
            ({"warnings": []}, ValueError, "warning_kinds must be as many kinds"),
            ({"warning_kinds": [1]}, TypeError, "warning_kinds must be a list"),
            ({"trials": 1}, TypeError, "trials must be a list"),
        ],
    )
    def test_wrong_data_are_refused(self, change, kind, message):
        with pytest.raises(kind, match=message):
            Bounds.from_dict(self.bounds.to_dict() | change)

    def test_warnings_and_refusals_have_a_kind(self):
        lr = np.geomspace(1e-6, 1.0, 50)
        with pytest.raises(NoBoundsError) as caught:
            suggest_bounds(Curve(lr, np.ones(50)))
        assert caught.value.kind == "no_fall"
        warning = pickle.loads(pickle.dumps(suggest_bounds(exponential(n=40)).warnings[0]))
        assert (warning.kind, type(warning)) == ("few_points", BoundsWarning)
        assert {warning.kind, caught.value.kind} <= set(KINDS)

    def test_rules_by_name(self):
        rules = clrcore.bound_rules()
        assert list(rules) == list(RULES)
        assert rules["accuracy"][1] == "accuracy"
        assert all(isinstance(text, str) for rule in rules.values() for text in rule)

    def test_python_floats_only(self):
        bounds = suggest_bounds([exponential(), exponential(seed=1)])
        for value in (bounds.base_lr, bounds.lr, bounds.max_lr, *bounds.lr_interval):
            assert type(value) is float
        given = Bounds(
            **{**{n: getattr(self.bounds, n) for n in Bounds.__slots__}, "lr": np.float32(0.005)}
        )
        assert type(given.lr) is float

    @pytest.mark.parametrize(
        ("change", "kind", "message"),
        [
            ({"lr": 5.0}, ValueError, "lr must be a finite number in"),
            ({"rule": 5}, TypeError, "rule must be the name of a rule"),
            ({"reasons": "abc"}, TypeError, "reasons must be a list of sentences"),
            ({"warnings": None}, TypeError, "warnings must be a list of sentences"),
            ({"warnings": [1]}, TypeError, "warnings must be a list of sentences"),
        ],
    )
    def test_impossible_bounds_are_refused(self, change, kind, message):
        whole = {name: getattr(self.bounds, name) for name in Bounds.__slots__}
        with pytest.raises(kind, match=message):
            Bounds(**whole | change)

    def test_is_a_value(self):
        assert pickle.loads(pickle.dumps(self.bounds)) == self.bounds
        assert hash(self.bounds) == hash(pickle.loads(pickle.dumps(self.bounds)))
        assert (
            repr(self.bounds)
            == "Bounds(base_lr=0.001, lr=0.003, max_lr=0.006, rule='loss', warnings=['unknown'])"
        )
        with pytest.raises(AttributeError, match="immutable"):
            self.bounds.lr = 1.0

    def test_in_words(self):
        text = str(self.bounds)
        assert "between base_lr=0.001 and max_lr=0.006" in text
        assert "constant lr=0.003" in text
        assert "warning: beware" in text
        assert "explain()" in text
        assert "because so" not in text
        assert "because so" in self.bounds.explain()

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"base_lr": 0.1}, ValueError, "max_lr must be >= base_lr"),
            ({"base_lr": math.nan}, ValueError, "base_lr must be a finite number"),
            ({"lr": "0.1"}, TypeError, "lr must be a finite number"),
            ({"lr_interval": 0.1}, TypeError, "lr_interval must be a pair"),
            ({"lr_interval": (0.1,)}, TypeError, "lr_interval must be a pair"),
            ({"max_lr_interval": (0.2, 0.1)}, ValueError, r"max_lr_interval\[1\] must be >="),
        ],
    )
    def test_refuses(self, change, error, message):
        fields = {name: getattr(self.bounds, name) for name in Bounds.__slots__}
        with pytest.raises(error, match=message):
            Bounds(**{**fields, **change})


def test_a_million_points_have_bounds_too():
    curve = exponential(n=10**6)
    bounds = suggest_bounds(curve)
    assert numbers(bounds)[:3] == pytest.approx(
        numbers(suggest_bounds(exponential(n=3000)))[:3], abs=0.2
    )


class TestPeersRules:
    @pytest.mark.parametrize("rule", ["steepest", "minimum"])
    def test_a_missing_value_is_no_end(self, rule):
        curve = exponential(n=200)
        loss = curve.loss.copy()
        loss[50] = np.nan
        gap = suggest_bounds(Curve(curve.lr, loss), rule=rule)
        assert gap.lr == pytest.approx(suggest_bounds(curve, rule=rule).lr, rel=0.3)
