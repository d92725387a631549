"""The rules for loss and accuracy, and the choice between them, on curves with a known answer."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import each
from clrcore import Curve, NoBoundsError, suggest_bounds
from curves import accuracies, exponential, kinds, losses, numbers, ramp

# Rates of a few sweeps, for properties that hold for any curve with an answer.
learning = {
    "best": st.floats(1e-3, 0.3),
    "n": st.integers(60, 400),
    "seed": st.integers(0, 3),
}


class TestLossRule:
    @given(**learning, noise=st.floats(0.0, 0.1), linear=st.booleans())
    @settings(deadline=None)
    def test_the_answer_lies_on_the_plateau_and_in_its_intervals(
        self, best, n, seed, noise, linear
    ):
        lr = np.linspace(best / 100, 6 * best, n) if linear else np.geomspace(1e-5, 10, n)
        bounds = suggest_bounds(Curve(lr, losses(lr, best, noise, seed, lost=3.0)))
        assert 0.08 * best < bounds.lr < 4.0 * best
        assert 0.0 < bounds.base_lr <= bounds.lr <= bounds.max_lr <= 2.001 * bounds.lr
        assert bounds.lr_interval[0] <= bounds.lr <= bounds.lr_interval[1]
        assert bounds.max_lr_interval[0] <= bounds.max_lr <= bounds.max_lr_interval[1]
        assert bounds.base_lr == pytest.approx(bounds.max_lr / 4, rel=1e-4)
        assert bounds.rule == "loss"

    @given(
        **learning, scale=st.floats(1e-6, 1e6), shift=st.floats(0, 100), rate=st.floats(1e-6, 1e6)
    )
    @settings(deadline=None)
    def test_the_scale_of_losses_and_rates_changes_nothing(self, best, n, seed, scale, shift, rate):
        curve = exponential(n, best=best, seed=seed)
        plain = numbers(suggest_bounds(curve))
        larger = suggest_bounds(Curve(curve.lr, scale * curve.loss))
        assert numbers(larger) == pytest.approx(plain, abs=1e-6)
        # A constant that is added hides how large the fall is, and so how sure the answer is.
        higher = suggest_bounds(Curve(curve.lr, curve.loss + shift))
        assert numbers(higher)[:3] == pytest.approx(plain[:3], abs=1e-6)
        faster = suggest_bounds(Curve(rate * curve.lr, curve.loss))
        assert numbers(faster) - math.log(rate) == pytest.approx(plain, abs=1e-6)

    @pytest.mark.parametrize("factor", [1e-300, 1e155, 1e300])
    def test_tiny_and_huge_losses_are_read(self, factor):
        curve = exponential()
        plain = numbers(suggest_bounds(curve))
        huge = suggest_bounds(Curve(curve.lr, factor * curve.loss))
        assert numbers(huge) == pytest.approx(plain, abs=1e-6)

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
        longer = np.concatenate([lr[:lost], lr[lost] * 1.001 ** np.arange(len(tail))])
        long = Curve(longer, np.concatenate([loss[:lost], tail]), sweep="exponential")
        assert numbers(suggest_bounds(long)).tolist() == numbers(suggest_bounds(short)).tolist()

    def test_a_rise_that_comes_back_is_not_the_end(self):
        lr = np.geomspace(1e-6, 1.0, 200)
        # A small fall, lost again by more than it was, and then the real fall.
        loss = np.full(200, 2.0)
        loss[20:40], loss[40:60], loss[100:] = 1.8, 2.5, 0.1
        assert suggest_bounds(Curve(lr, loss)).lr > lr[100]

    def test_updates_are_counted_not_points(self):
        whole = suggest_bounds(exponential(n=401))
        for every in (2, 4):
            logged = suggest_bounds(exponential(n=1 + 400 // every, updates=every))
            assert logged.lr == pytest.approx(whole.lr, rel=0.15)
            assert "few_points" not in kinds(logged)
        curve = exponential(n=401)
        gaps = np.where(np.arange(401) % 5 == 0, curve.loss, np.nan)
        assert suggest_bounds(Curve(curve.lr, gaps)).lr == pytest.approx(whole.lr, rel=0.15)

    @each("n", [100, 300])
    @each("wrong", [0.0, -5.0, math.inf, math.nan, 1e9])
    def test_a_single_wrong_value_changes_little(self, n, wrong):
        curve = exponential(n=n, noise=0.03)
        usual = suggest_bounds(curve)
        for place in (0, n // 5, n // 3, n // 2):
            loss = curve.loss.copy()
            loss[place] = wrong
            assert suggest_bounds(Curve(curve.lr, loss)).lr == pytest.approx(usual.lr, rel=0.15)

    @pytest.mark.parametrize(
        ("lr", "first"), [(np.linspace(0.002, 0.6, 300), 3), (np.geomspace(1e-6, 1.0, 100), 10)]
    )
    def test_first_points_that_are_low_by_chance_change_little(self, lr, first):
        loss = losses(lr, best=0.5, noise=0.05, start=1.0, lost=1.0)
        usual = suggest_bounds(Curve(lr, loss))
        loss[:first] = 0.2
        assert suggest_bounds(Curve(lr, loss)).lr == pytest.approx(usual.lr, rel=0.1)

    def test_how_long_it_stays_lost_changes_little(self):
        def of(top):
            lr = 10.0 ** np.linspace(-6.0, top, round(30 * (top + 6)) + 1)
            learned = np.where(lr < 0.03, 0.8 / (1.0 + (1000 * lr) ** -2.0), 0.0)
            by_loss = suggest_bounds(Curve(lr, 1.0 - learned))
            by_accuracy = suggest_bounds(Curve(lr, accuracy=0.1 + learned, held_out=True))
            return [*numbers(by_loss)[:3], *numbers(by_accuracy)[:3]]

        assert of(2.0) == pytest.approx(of(-1.0), rel=0.1)

    def test_fast_sweeps_read_higher_and_are_lowered_more(self):
        quick, slow = suggest_bounds(exponential(100)), suggest_bounds(exponential(1000))
        assert quick.lr < slow.lr
        assert quick.max_lr / quick.lr < slow.max_lr / slow.lr < 2.0
        assert "a sweep this fast reads" in quick.reasons[1]
        lr = np.geomspace(1e-6, 10.0, 100)
        linear = suggest_bounds(Curve(lr, losses(lr), sweep="linear"))
        assert linear.max_lr == pytest.approx(2.0 * linear.lr)
        assert "a linear sweep reads" in linear.reasons[1]

    def test_the_interval_of_a_fast_sweep_reaches_farther_down(self):
        quick, slow = suggest_bounds(exponential(100)), suggest_bounds(exponential(1000))
        assert not quick.warnings
        assert quick.lr / quick.lr_interval[0] > 1.5 * slow.lr / slow.lr_interval[0]
        assert quick.lr_interval[1] / quick.lr == pytest.approx(slow.lr_interval[1] / slow.lr)
        # Never as far as with a warning that the answer is unsure.
        few = suggest_bounds(exponential(40))
        assert few.lr / few.lr_interval[0] > quick.lr / quick.lr_interval[0]

    def test_a_plateau_that_goes_on_for_decades_does_not_carry_the_rate_along(self):
        # A network that has learned all there is does not mind how large the rate becomes.
        found = {}
        for top in (1.0, 10.0, 1000.0):
            lr = np.geomspace(1e-6, top, round(50 * math.log10(top / 1e-6)))
            found[top] = suggest_bounds(Curve(lr, losses(lr, best=0.01, noise=0.0, lost=1e9)))
        assert found[1000.0].lr == pytest.approx(found[10.0].lr, rel=0.02)
        assert found[1.0].lr == pytest.approx(found[10.0].lr, rel=0.1)
        assert any("plateau extends" in reason for reason in found[1000.0].reasons)
        assert not any("plateau extends" in r for r in suggest_bounds(exponential(lost=3)).reasons)

    def test_the_end_of_the_plateau_counts_in_fast_sweeps(self):
        moved = {}
        for n in (40, 2000):
            near, far = (suggest_bounds(exponential(n, noise=0.0, lost=lost)) for lost in (4, 20))
            moved[n] = math.log10(far.lr / near.lr)
            assert ("rises again around" in far.reasons[1]) == (n == 40)
        # The centre of the plateau moves by half as much as its end does, by 0.7 decades.
        assert moved[2000] == pytest.approx(0.35, abs=0.07)
        assert moved[40] > 1.4 * moved[2000]

    def test_max_lr_is_at_most_half_of_where_the_loss_is_lost(self):
        lr = np.linspace(0.001, 0.2, 300)
        bounds = suggest_bounds(Curve(lr, np.where(lr < 0.1, 2.3 / (1 + (lr / 0.05) ** 4), 5.0)))
        assert bounds.max_lr == pytest.approx(0.05, rel=0.1)
        assert bounds.max_lr < 2.0 * bounds.lr
        assert any("max_lr is half of the rate at which" in reason for reason in bounds.reasons)

    def test_a_loss_that_falls_to_the_end_has_no_bound_at_the_edge(self):
        lr = np.geomspace(1e-5, 1.0, 200)
        bounds = suggest_bounds(Curve(lr, 2.3 - 0.01 * np.arange(200)))
        assert bounds.max_lr <= 0.5 * (1 + 1e-9)
        assert "end_not_reached" in kinds(bounds)

    def test_a_rate_of_zero_at_the_start(self):
        lr = np.linspace(0.0, 4.0, 300)
        assert 0.01 < suggest_bounds(Curve(lr, losses(lr))).lr < 2.0

    def test_base_lr_is_not_below_the_sweep(self):
        lr = np.geomspace(0.01, 10.0, 200)
        loss = np.where(np.arange(200) < 22, 2.0, np.where(np.arange(200) < 40, 0.1, 9.0))
        bounds = suggest_bounds(Curve(lr, loss))
        assert bounds.base_lr == pytest.approx(0.01)
        assert "interval_at_edge" in kinds(bounds)

    def test_a_million_points(self):
        many, few = suggest_bounds(exponential(n=10**6)), suggest_bounds(exponential(n=3000))
        assert numbers(many)[:3] == pytest.approx(numbers(few)[:3], abs=0.2)

    @each("updates", [None, 5])
    def test_a_short_ramp_of_all_updates_starts_with_three_of_them(self, updates):
        lr = np.linspace(0.002, 0.6, 40)
        noise = 0.003 * np.random.default_rng(0).normal(size=40)
        loss = 2.3 * np.exp(-8 * lr) + 0.2 + (lr / 0.45) ** 8 + noise
        spiked = loss + (lr == lr[0])
        of_all, with_spike = (
            suggest_bounds(Curve(lr, values, sweep="linear", updates=updates)).lr
            for values in (loss, spiked)
        )
        # A batch of bad luck does not count; where points stand for updates, the first must do.
        assert (of_all == with_spike) == (updates is None)


class TestAccuracyRule:
    def test_where_accuracy_rises_and_falls(self):
        bounds = suggest_bounds(ramp(n=1000))
        # Of the rise, 15 % is reached at 0.042; a tenth is lost again near 1.7.
        assert bounds.base_lr == pytest.approx(0.042, rel=0.4)
        assert 0.5 < bounds.max_lr < 1.7
        assert bounds.base_lr <= bounds.lr <= bounds.max_lr
        assert kinds(bounds) == {"ramp_length"}
        assert "1000 updates (20 epochs)" in bounds.warnings[0]

    def test_on_both_kinds_of_ramps(self):
        # A twentieth of the rise is lost again at 1.53, which 0.15 decades divide by 1.41; half way
        # from 0.62 to where it is lost is 1.33, and half of that is taken. On the exponential
        # ramp 30 % is reached at 0.065; on the linear ramp 10 % at 0.045, smoothed over much of it.
        linear, slow = np.linspace(0.005, 5.0, 1000), np.geomspace(1e-4, 10.0, 1000)
        for lr, base, top in ((linear, 0.024, 1.53 / 1.41), (slow, 0.065, 0.665)):
            bounds = suggest_bounds(Curve(lr, accuracy=accuracies(lr, noise=0.0), held_out=True))
            assert bounds.base_lr == pytest.approx(base, rel=0.05)
            assert bounds.max_lr == pytest.approx(top, rel=0.05)

    @pytest.mark.parametrize("spaced", [np.geomspace, np.linspace])
    def test_an_accuracy_that_only_rises_has_no_bound_at_the_edge(self, spaced):
        bounds = suggest_bounds(Curve(spaced(1e-3, 1.0, 300), accuracy=np.linspace(0.1, 0.9, 300)))
        assert bounds.max_lr <= 0.71
        assert "end_not_reached" in kinds(bounds)

    def test_the_constant_rate_comes_from_the_loss(self):
        both, alone = (
            suggest_bounds(ramp(loss=True)),
            suggest_bounds(ramp(loss=True, accuracy=False)),
        )
        assert both.rule == "accuracy"
        assert both.lr == pytest.approx(alone.lr)

    def test_the_loss_limits_max_lr_where_it_is_lost(self):
        curve = ramp(loss=True)
        alone, by_loss = suggest_bounds(ramp()), suggest_bounds(Curve(curve.lr, curve.loss))
        lowered = suggest_bounds(curve)
        assert lowered.max_lr == pytest.approx(by_loss.max_lr)
        assert lowered.max_lr < alone.max_lr
        assert any("asks for a lower max_lr" in reason for reason in lowered.reasons)

    @pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
    def test_the_loss_is_no_limit_where_it_keeps_its_fall(self, scale):
        # As in Smith's ramps of normalised networks: the loss is lowest at 0.25 and rises by a
        # tenth of its fall; accuracy is flat to the end.
        lr = np.linspace(0.0, 2.0, 400)
        random = np.random.default_rng(0).normal(size=(2, 400))
        loss = 2.3 / (1.0 + (lr / 0.05) ** 2) + 0.12 * lr + 0.01 * random[0]
        accuracy = 0.1 + 0.75 / (1.0 + (0.06 / np.maximum(lr, 1e-9)) ** 2) - 0.03 * lr
        accuracy += 0.01 * random[1]
        bounds = suggest_bounds(Curve(scale * lr, loss, accuracy, held_out=True, updates=100))
        assert bounds.max_lr == pytest.approx(1.41 * scale, rel=0.01)
        assert bounds.lr < 0.3 * scale
        assert {"metrics_disagree", "end_not_reached"} <= kinds(bounds)

    def test_base_lr_and_lr_stay_in_order(self):
        lr = np.linspace(0.005, 1.5, 300)
        loss = 2.3 / (1.0 + (lr / 0.01) ** 2) + 2.0 * (lr / 0.4) ** 2
        late = Curve(lr, loss, 0.1 + 0.8 / (1.0 + (0.05 / lr) ** 6), held_out=True)
        low = suggest_bounds(late)
        assert low.base_lr == low.lr == pytest.approx(suggest_bounds(Curve(lr, loss)).lr)
        loss = 2.3 / (1.0 + (lr / 0.3) ** 2)
        early = np.where(lr < 0.1, 0.1 + 0.8 / (1.0 + (0.02 / lr) ** 6), 0.1)
        high = suggest_bounds(Curve(lr, loss, early, held_out=True))
        assert high.lr == high.max_lr < suggest_bounds(Curve(lr, loss)).lr

    def test_metrics_that_disagree_are_reported(self):
        lr = np.linspace(0.005, 1.5, 300)
        loss = 2.3 / (1.0 + (lr / 0.01) ** 2) + 2.0 * (lr / 0.1) ** 2
        bounds = suggest_bounds(Curve(lr, loss, 0.1 + 0.8 / (1.0 + (0.6 / lr) ** 6), held_out=True))
        assert bounds.base_lr == pytest.approx(bounds.max_lr / 4, rel=1e-4)
        assert "metrics_disagree" in kinds(bounds)

    def test_a_loss_that_shows_nothing_is_left_out(self):
        curve = ramp()
        for loss in (np.ones(300), np.full(300, np.nan)):
            bounds = suggest_bounds(Curve(curve.lr, loss, curve.accuracy, held_out=True))
            assert numbers(bounds) == pytest.approx(numbers(suggest_bounds(curve)))

    @pytest.mark.parametrize("every", [5, 10])
    def test_accuracy_measured_now_and_then(self, every):
        lr = np.linspace(0.002, 0.6, 300)
        accuracy = 0.1 + 0.85 / (1 + (0.08 / lr) ** 4) - 0.8 / (1 + (0.45 / lr) ** 16)
        usual = suggest_bounds(Curve(lr, accuracy=accuracy, held_out=True))
        accuracy[(np.arange(300) + 1) % every != 0] = math.nan
        bounds = suggest_bounds(Curve(lr, accuracy=accuracy, held_out=True))
        assert bounds.max_lr == pytest.approx(usual.max_lr, rel=0.25)
        assert bounds.base_lr == pytest.approx(usual.base_lr, rel=0.6)

    def test_accuracy_after_the_loss_is_lost_has_no_influence(self):
        curve = ramp(loss=True)
        loss = np.where(curve.lr > 3.0, np.nan, curve.loss)
        garbage = np.where(curve.lr > 3.0, 1.0, curve.accuracy)
        first, second = (
            suggest_bounds(Curve(curve.lr, loss, accuracy, held_out=True))
            for accuracy in (curve.accuracy, garbage)
        )
        assert first == second

    def test_a_ramp_that_the_rule_is_not_meant_for(self):
        lr = np.geomspace(1e-6, 10.0, 200)
        unknown = suggest_bounds(Curve(lr, accuracy=accuracies(lr)))
        assert {"ramp_shape", "not_held_out", "ramp_length"} <= kinds(unknown)
        short = suggest_bounds(Curve(lr, accuracy=accuracies(lr), steps_per_epoch=150))
        assert any("200 updates (1.33 epochs)" in warning for warning in short.warnings)
        training = suggest_bounds(Curve(lr, accuracy=accuracies(lr), held_out=False))
        assert any("is of the training data" in warning for warning in training.warnings)
        logged = suggest_bounds(ramp(n=300, updates=50))
        assert any("ramp of 15000 updates (300 epochs)" in warning for warning in logged.warnings)


class TestAuto:
    def test_accuracy_of_the_papers_ramp_else_loss(self):
        assert suggest_bounds(ramp(loss=True)).rule == "accuracy"
        assert suggest_bounds(ramp(loss=True, held_out=False)).rule == "loss"
        assert suggest_bounds(ramp(loss=True, steps_per_epoch=200)).rule == "loss"
        assert suggest_bounds(ramp(loss=True, steps_per_epoch=200, updates=2)).rule == "accuracy"
        assert suggest_bounds(ramp(loss=True, steps_per_epoch=None)).rule == "accuracy"
        assert suggest_bounds(ramp(loss=True, sweep="exponential")).rule == "loss"
        assert suggest_bounds([ramp(loss=True), ramp(loss=True, held_out=None)]).rule == "loss"

    def test_the_reasons_say_why_a_metric_was_used(self):
        both, without = ramp(loss=True, held_out=False), ramp(held_out=False)
        mixed = suggest_bounds([both, without])
        assert mixed.rule == "accuracy"
        assert "All curves have accuracy, and not all have loss." in mixed.reasons
        assert "so the loss was used." in " ".join(suggest_bounds(both).reasons)

    def test_loss_where_accuracy_has_no_answer(self):
        curve = ramp(loss=True)
        flat = Curve(curve.lr, curve.loss, np.full(300, 0.1), held_out=True)
        bounds = suggest_bounds(flat)
        assert bounds.rule == "loss"
        assert "other_metric" in kinds(bounds)
        with pytest.raises(NoBoundsError, match="no rise of the accuracy seen up to lr=5"):
            suggest_bounds(Curve(curve.lr, accuracy=np.full(300, 0.1), held_out=True))


class TestSeveralCurves:
    @given(order=st.permutations(range(5)))
    @settings(deadline=None, max_examples=20)
    def test_their_order_does_not_matter(self, order):
        curves = [exponential(seed=seed, noise=0.1) for seed in range(5)]
        curves[3] = Curve(curves[3].lr, np.ones(200))
        curves[4] = Curve(curves[4].lr, np.full(200, np.nan))
        assert suggest_bounds([curves[i] for i in order]) == suggest_bounds(curves)

    def test_equal_curves_give_the_answer_of_one(self):
        single, three = suggest_bounds(exponential()), suggest_bounds([exponential()] * 3)
        assert numbers(three) == pytest.approx(numbers(single))
        assert any("median of 3 curves" in reason for reason in three.reasons)

    def test_the_median_counts_and_disagreement_widens(self):
        rates = (0.02, 0.1, 0.1, 0.12, 3.0)
        curves = [exponential(best=best) for best in rates]
        agreed, torn = suggest_bounds(curves[1]), suggest_bounds(curves)
        assert torn.lr == pytest.approx(agreed.lr, rel=0.05)
        for name in ("lr_interval", "max_lr_interval"):
            (low, high), (inner_low, inner_high) = getattr(torn, name), getattr(agreed, name)
            assert low < inner_low < inner_high < high
        for curve in curves:
            assert torn.lr_interval[0] <= suggest_bounds(curve).lr <= torn.lr_interval[1]
        assert "seeds_disagree" in kinds(torn)
        assert "seeds_disagree" not in kinds(suggest_bounds(curves[1:4]))

    def test_curves_without_an_answer_are_left_out_up_to_half(self):
        good, flat = exponential(), Curve(np.geomspace(1e-6, 1, 100), np.ones(100))
        bounds = suggest_bounds([good, flat])
        assert numbers(bounds)[:3] == pytest.approx(numbers(suggest_bounds(good))[:3])
        assert "curves_left_out" in kinds(bounds)
        for curves in ([good, flat, flat], [flat, flat]):
            with pytest.raises(
                NoBoundsError, match=f"2 of {len(curves)} curves carry no"
            ) as caught:
                suggest_bounds(curves)
            assert caught.value.kind == "no_fall"

    def test_a_warning_of_one_kind_is_given_once(self):
        short = exponential(n=30)
        bounds = suggest_bounds([short, exponential(), short])
        found = [warning for warning in bounds.warnings if warning.kind == "few_points"]
        assert len(found) == 1
        assert found[0].startswith("2 of 3 curves: ")
