"""The range test against a model, in any order of record, pause, save and load."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import clrcore
from cases import each
from clrcore.rangetest import Divergence

SWEEP = clrcore.exponential_sweep(1e-4, 1.0, 50)
numbers = st.floats(-10, 10)


class RangeTestMachine(RuleBasedStateMachine):
    """The model is the list of what was recorded."""

    @initialize(num_steps=st.integers(2, 30))
    def begin(self, num_steps):
        self.sweep = clrcore.linear_sweep(0.0, 1.0, num_steps)
        self.make = lambda: clrcore.RangeTest(self.sweep, stop_diverged=False)
        self.test = self.make()
        self.points = []
        self.waiting = False
        self.saved = []

    def over(self):
        return len(self.points) == self.sweep.total_steps or any(
            value is not None and not math.isfinite(value) for p in self.points[-1:] for value in p
        )

    @precondition(lambda self: not self.waiting)
    @rule()
    def take_a_rate(self):
        rate = next(self.test, None)
        if self.over():
            assert rate is None
        else:
            assert rate == self.sweep(len(self.points))
            self.waiting = True

    @precondition(lambda self: self.waiting)
    @rule(loss=st.one_of(st.none(), numbers, st.just(math.nan)), accuracy=numbers)
    def record(self, loss, accuracy):
        self.test.record(loss=loss, accuracy=accuracy)
        self.points.append((loss, accuracy))
        self.waiting = False

    @precondition(lambda self: self.waiting)
    @rule()
    def forget_to_record(self):
        with pytest.raises(RuntimeError, match="nothing was recorded for lr="):
            next(self.test)

    @precondition(lambda self: not self.waiting)
    @rule()
    def record_out_of_turn(self):
        with pytest.raises(RuntimeError, match=r"test is over|take the next rate"):
            self.test.record(loss=1.0)

    @rule()
    def begin_a_new_loop(self):
        iter(self.test)
        self.waiting = False

    @rule()
    def save(self):
        self.saved.append((self.test.state_dict(), list(self.points)))

    @rule(data=st.data())
    def load(self, data):
        if self.saved:
            state, points = data.draw(st.sampled_from(self.saved))
            self.test = data.draw(st.sampled_from([self.test, self.make()]))
            self.test.load_state_dict(json.loads(json.dumps(state, allow_nan=False)))
            self.points = list(points)
            self.waiting = False

    @invariant()
    def agrees(self):
        if not hasattr(self, "test"):
            return
        assert self.test.step_count == len(self.points)
        assert (self.test.reason is not None) == self.over()
        if self.points:
            curve = self.test.curve
            assert curve.lr.tolist() == self.sweep.values(0, len(self.points)).tolist()
            accuracies = [accuracy for _, accuracy in self.points]
            assert curve.accuracy.tolist() == accuracies


TestRangeTestMachine = RangeTestMachine.TestCase


def run(losses, **options):
    test = clrcore.RangeTest(clrcore.linear_sweep(0.0, 1.0, len(losses)), **options)
    for _, loss in zip(test, losses, strict=False):
        test.record(loss=loss)
    return test


def test_total_steps_are_those_of_the_sweep():
    test = clrcore.RangeTest(clrcore.linear_sweep(0.0, 1.0, 7))
    assert (test.total_steps, test.step_count) == (7, 0)


def test_the_loop_of_the_design():
    test = clrcore.RangeTest(SWEEP)
    for lr in test:
        test.record(loss=2.0 - lr, accuracy=lr)

    assert test.reason == "all 50 updates were made"
    assert len(test.curve) == 50
    assert test.curve.sweep == "exponential"
    assert list(test) == []


def test_a_loop_may_be_left_and_taken_up_again():
    test = clrcore.RangeTest(SWEEP)
    for _ in test:
        if test.step_count == 7:
            break  # the batch of this rate failed: nothing is recorded
        test.record(loss=1.0)

    assert next(iter(test)) == SWEEP(7)


@each("bad", [math.nan, math.inf, -math.inf, np.float32("inf"), 10**400])
@each("metric", ["loss", "accuracy"])
def test_what_is_not_finite_ends_the_test(bad, metric):
    test = clrcore.RangeTest(SWEEP)
    for i, _ in enumerate(test):
        test.record(**{metric: bad if i == 3 else 1.0})

    assert test.step_count == 4
    assert test.reason.startswith(f"the {metric} is ")
    assert test.reason.endswith(f"at lr={SWEEP(3)!r}, update 4 of 50")
    assert not np.isfinite(getattr(test.curve, metric)[-1])


def falls_and_blows_up(scale=1.0, shift=0.0):
    falling = [2.3 - 2.0 * min(1.0, i / 40) for i in range(60)]
    rising = [0.3 * 1.3**i for i in range(1, 40)]
    return [shift + scale * loss for loss in falling + rising]


@each("scale", [1.0, 1e-6, 1e6])
@each("shift", [0.0, -2.5, -1e3, 100.0])
def test_a_divergence_ends_the_test_at_any_scale_and_shift(scale, shift):
    """A ratio to the best loss, as peers have it, ends at once for losses below zero."""
    test = run(falls_and_blows_up(scale, shift * scale))

    assert "the loss diverged at lr=" in test.reason
    assert 70 <= test.step_count <= 90


def test_divergence_can_be_watched_only():
    test = run(falls_and_blows_up(), stop_diverged=False)

    assert test.step_count == 99


def test_noise_and_spikes_are_no_divergence():
    random = np.random.default_rng(0)
    noisy = (2.3 + 0.3 * random.standard_normal(300)).tolist()
    falling = [2.3 - 2 * i / 300 + 0.3 * random.standard_normal() for i in range(300)]
    falling[100] = 30.0

    assert run(noisy).step_count == 300
    assert run(falling).step_count == 300


def test_a_run_that_only_rises_is_a_divergence():
    assert run([1.0] * 5 + [1.5**i for i in range(60)]).step_count < 20


def test_a_small_rise_is_no_divergence():
    assert run([2.3] * 50 + [2.3 + 1e-9] * 50).step_count == 100
    assert run([2.3 + 1e-6 * i for i in range(300)]).step_count == 300
    bump = [2.3 + 0.02 * math.sin(i / 6) for i in range(20)]
    assert run(bump + [2.3 - i / 140 for i in range(280)]).step_count == 300


def test_a_divergence_takes_three_losses_in_a_row():
    """Without noise the limit is a tenth above the start; the mean moves a tenth of the way."""
    assert run([1.0] * 20 + [3.0] * 30).step_count == 23
    assert run([1.0] * 20 + [3.0, 3.0, 1.0, 3.0, 3.0, 3.0] + [3.0] * 30).step_count == 26
    # 1.9 is smoothed to 1.09, which is not above the limit, then to 1.171, 1.244, 1.31.
    assert run([1.0] * 20 + [1.9] * 30).step_count == 24


@pytest.mark.parametrize(("height", "diverged"), [(1.09, False), (1.11, True)])
def test_a_loss_a_tenth_above_its_start_has_diverged(height, diverged):
    test = run([1.0] * 20 + [height] * 200)

    assert (test.step_count < 220) == diverged


@pytest.mark.parametrize(("height", "diverged"), [(6.2, False), (6.5, True)])
def test_noise_raises_the_limit_by_six_deviations(height, diverged):
    """Around 0 the smoothed loss goes from -1/19 to 1/19: the limit is 6 (1 + 1/19) + 1/19."""
    test = run([1.0, -1.0] * 50 + [height] * 200)

    assert (test.step_count < 300) == diverged


def test_a_fall_raises_the_limit_by_as_much():
    """Down to 0 from 1: the limit is 2, and no value at 1.9 passes it."""
    fallen = [1.0] * 10 + [0.0] * 200

    assert run(fallen + [1.9] * 100).step_count == 310
    assert run(fallen + [50.0] * 100).step_count < 220


def test_the_first_losses_are_the_start():
    """A divergence is looked for after the first ten."""
    assert Divergence.FIRST == 10
    assert run([1.0] * 5 + [9.0] * 5 + [5.0] * 40).step_count == 50
    assert run([1.0] * 10 + [9.0] * 40).step_count == 13


def test_outliers_are_no_divergence():
    random = np.random.default_rng(0)
    quiet = 2.3 + 0.05 * random.standard_normal(150)
    spiked = quiet.copy()
    spiked[[60, 100]] = 9.0

    assert run([2.3] * 100 + [9.0] + [2.3] * 50).step_count == 151
    assert run(spiked.tolist()).step_count == 150


def test_a_negative_loss_is_judged_by_its_differences():
    losses = np.r_[np.linspace(0.0, -10.0, 80), np.linspace(-10.0, 95.0, 80)]
    shifted = [run((losses - shift).tolist()).step_count for shift in (0.0, 1000.0, 1e5)]

    assert shifted[0] < 160
    assert len(set(shifted)) == 1


def test_losses_too_large_to_add_are_losses():
    assert run([1e308] * 10 + [1.7e308] * 50).step_count < 60


def test_a_fall_may_be_lost_again_without_diverging():
    """Back at its start, the loss has lost its fall, no more."""
    losses = [2.0] * 10 + [1.0] * 30 + [2.0] * 60

    assert run(losses).step_count == 100


@given(st.lists(st.integers(-800, 800), min_size=6, max_size=60))
def test_divergence_does_not_depend_on_the_scale(losses):
    """Scaled by a power of two every rounding is the same, so every verdict must be."""
    one, other = Divergence(), Divergence()

    for loss in losses:
        assert one.update(float(loss)) == other.update(loss / 1024)


def test_metrics_may_be_missing_now_and_then():
    test = clrcore.RangeTest(clrcore.linear_sweep(0.0, 1.0, 4), held_out=True, steps_per_epoch=2)
    for i, _ in enumerate(test):
        test.record(loss=1.0, accuracy=0.5 if i % 2 else None)

    curve = test.curve
    assert np.isnan(curve.accuracy).tolist() == [True, False, True, False]
    assert (curve.held_out, curve.steps_per_epoch, curve.sweep) == (True, 2.0, "linear")


def test_tensors_of_one_number_are_numbers():
    class Tensor:
        shape = ()

        def __float__(self):
            return 0.5

    test = clrcore.RangeTest(SWEEP)
    for i, _ in enumerate(test):
        test.record(loss=[Tensor(), np.array(0.5), np.float32(0.5), 1][i])
        if i == 3:
            break

    assert test.curve.loss.tolist() == [0.5, 0.5, 0.5, 1.0]


@each("bad", ["0.5", True, [0.5], np.array([0.5]), 1j])
def test_what_is_no_number_is_refused_and_not_recorded(bad):
    test = clrcore.RangeTest(SWEEP)
    next(test)

    with pytest.raises(TypeError, match="loss must be a number"):
        test.record(loss=bad)
    with pytest.raises(TypeError, match=r"^accuracy must be a number"):
        test.record(loss=1.0, accuracy=bad)
    with pytest.raises(TypeError, match=r"^record\(\) needs loss=..., accuracy=..., or both"):
        test.record()

    test.record(loss=0.5)
    assert test.step_count == 1


def test_objects_that_are_no_numbers_though_they_have_no_dimension():
    class Broken:
        shape = ()

        def __float__(self):
            raise ValueError("no number here")

    test = clrcore.RangeTest(SWEEP)
    next(test)
    for bad in (Broken(), np.array("a"), np.array(None)):
        with pytest.raises(TypeError, match="loss must be a number"):
            test.record(loss=bad)


@each(
    ("arguments", "kind", "message"),
    [
        ({"sweep": clrcore.constant(0.1)}, ValueError, "sweep must be a policy with an end"),
        ({"sweep": [0.1, 0.2]}, TypeError, "policy of clrcore, such as clrcore.expon"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be a finite number > 0"),
        ({"held_out": "yes"}, TypeError, "held_out must be True or False"),
        ({"stop_diverged": 1}, TypeError, "stop_diverged must be True or False"),
    ],
)
def test_bad_arguments_are_refused(arguments, kind, message):
    with pytest.raises(kind, match=message):
        clrcore.RangeTest(**{"sweep": SWEEP} | arguments)


def recorded():
    test = clrcore.RangeTest(SWEEP)
    for _ in range(3):
        next(test)
        test.record(loss=1.0)
    return test


GOOD = recorded().state_dict()


@each(
    ("change", "kind", "message"),
    [
        ({"version": 0}, ValueError, "state has version 0"),
        (
            {"sweep": clrcore.linear_sweep(0.0, 1.0, 50).to_dict()},
            ValueError,
            "sweep.* must be that of this",
        ),
        ({"loss": [1.0]}, ValueError, "must be as long as"),
        ({"loss": [1.0] * 51, "accuracy": [None] * 51}, ValueError, "at most 50"),
        ({"loss": "abc"}, TypeError, r"state\['loss'\] must be a list"),
        (
            {"loss": [1.0, "big", 1.0]},
            ValueError,
            r"state\['loss'\]\[1\] must be a number, \"nan\"",
        ),
        ({"loss": [1.0, [], 1.0]}, TypeError, r"state\['loss'\]\[1\] must be"),
        ({"extra": 1}, ValueError, "state has unknown 'extra'"),
        (
            {"loss": [1.0, None, 1.0]},
            ValueError,
            "must be a loss or an accuracy for every update",
        ),
        ({"loss": [1.0, "nan", 1.0]}, ValueError, "update 1, must be finite"),
    ],
)
def test_wrong_states_change_nothing(change, kind, message):
    test = recorded()

    with pytest.raises(kind, match=message) as caught:
        test.load_state_dict(GOOD | change)
    if "sweep" in change and isinstance(caught.value, clrcore.ArgumentError):
        assert caught.value.got == change["sweep"]

    assert test.state_dict() == GOOD


def test_a_divergence_is_remembered_through_a_checkpoint():
    losses = falls_and_blows_up()
    whole = run(losses)
    half = clrcore.RangeTest(whole.sweep)
    for _, loss in zip(half, losses[:70], strict=False):
        if half.step_count == 69:
            break
        half.record(loss=loss)
    resumed = clrcore.RangeTest(whole.sweep)
    resumed.load_state_dict(json.loads(json.dumps(half.state_dict())))
    for _ in resumed:
        resumed.record(loss=losses[resumed.step_count])

    assert resumed.reason == whole.reason
    assert resumed.state_dict() == whole.state_dict()


def test_errors_of_the_loop_say_what_to_do():
    test = clrcore.RangeTest(clrcore.linear_sweep(0.5, 1.0, 2))

    with pytest.raises(RuntimeError, match=r"^record\(\) comes once after each rate: take"):
        test.record(loss=1.0)
    next(test)
    with pytest.raises(RuntimeError, match=r"^nothing was recorded for lr=0.5: call record\(loss="):
        next(test)
    test.record(loss=1.0)
    next(test)
    test.record(loss=1.0)
    with pytest.raises(RuntimeError, match=r"^the range test is over: all 2"):
        test.record(loss=1.0)


def test_states_of_tests_that_ended_are_states_too():
    for losses in ([1.0] * 50, [1.0, 2.0, math.nan]):
        test = clrcore.RangeTest(SWEEP)
        for _, loss in zip(test, losses, strict=False):
            test.record(loss=loss)
        twin = clrcore.RangeTest(SWEEP)
        twin.load_state_dict(test.state_dict())
        assert twin.reason == test.reason
        assert twin.curve == test.curve


def test_an_empty_test_has_an_empty_curve():
    test = clrcore.RangeTest(SWEEP)

    assert len(test.curve) == 0
    assert repr(test) == f"RangeTest({SWEEP!r}) after 0 updates"


def test_other_sweeps_are_inferred_by_the_curve():
    sweep = clrcore.chain([(clrcore.linear_sweep(0.1, 1.0, 10), 10)])
    test = clrcore.RangeTest(sweep)
    for _ in test:
        test.record(accuracy=0.5)

    assert test.curve.sweep == "linear"
    assert test.curve.loss is None


class TestDriverRules:
    """What every driver asks of the range test."""

    def test_default_number_of_evaluations(self):
        test = clrcore.RangeTest(clrcore.linear_sweep(0.0, 1.0, 301))
        due = [step for step in range(301) if test.validation_due(step)]
        assert due == [*range(5, 300, 6), 300]
        assert len(due) == 51
        assert clrcore.RangeTest(SWEEP, validate_every=20).validation_due(19)

    @pytest.mark.parametrize(("every", "kind"), [(0, ValueError), ("a", TypeError)])
    def test_wrong_distances_of_evaluations(self, every, kind):
        with pytest.raises(kind, match=r"^validate_every must be an integer >= 1, or None for 50"):
            clrcore.RangeTest(SWEEP, validate_every=every)

    def test_without_held_out_data_nothing_is_due(self):
        assert not clrcore.RangeTest(SWEEP, held_out=False).validation_due(49)
        with pytest.raises(ValueError, match=r"^validate_every must be None without held-out"):
            clrcore.RangeTest(SWEEP, held_out=False, validate_every=5)

    def test_length_of_an_epoch(self):
        assert clrcore.RangeTest.epoch_length([1, 2, 3], 2) == 1.5
        assert clrcore.RangeTest.epoch_length([]) is None
        assert clrcore.RangeTest.epoch_length(iter([1])) is None

    def test_data_are_repeated_while_they_can_be(self):
        passes = []
        batches = clrcore.RangeTest.repeated([1, 2], passes.append)
        assert [next(batches) for _ in range(5)] == [1, 2, 1, 2, 1]
        assert passes == [0, 1, 2]
        assert list(clrcore.RangeTest.repeated(iter([1, 2]))) == [1, 2]
        assert list(clrcore.RangeTest.repeated([])) == []
        assert clrcore.RangeTest.data_end("loader").startswith("loader has no further batch")

    def test_an_iterator_serves_a_single_seed(self):
        clrcore.RangeTest.check_data("loader", iter([1]), [0])
        clrcore.RangeTest.check_data("loader", [1], [0, 1])
        with pytest.raises(TypeError, match=r"^loader must be data that can be iterated over"):
            clrcore.RangeTest.check_data("loader", iter([1]), [0, 1])

    def test_blocks(self):
        test = clrcore.RangeTest(SWEEP)
        assert test.smoothed_loss is None
        assert len(test.next_rates(4)) == 4
        for columns in ((), ([1.0] * 5,), ([1.0], [None, None])):
            with pytest.raises(ValueError, match=r"^losses must be of the same length"):
                test.record_block(*columns)
        assert test.record_block([1.0, math.nan, 1.0], [None, 0.5, None]) == 2
        assert test.smoothed_loss == 1.0
        assert test.next_rates(4) == []

    def test_data_that_end_early(self):
        test = clrcore.RangeTest(SWEEP)
        with pytest.raises(ValueError, match="ended before its first update: no data"):
            test.end_early("no data")
        next(test)
        test.record(accuracy=0.5)
        with pytest.warns(UserWarning, match="after 1 of 50 updates: no data"):
            test.end_early("no data")
        test.end_early("again")
        assert test.reason.endswith("no data")
