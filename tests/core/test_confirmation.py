"""Trials around a suggestion: which are run, what they decide, what is refused."""

import inspect
import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from cases import each
from clrcore.confirmation import CARRY

STEPS = 20


def quadratic(lr, step):
    """The loss of gradient descent on w^2 from w = 1; it diverges above lr = 1."""
    return (1.0 - 2.0 * lr) ** (2 * step)


def nothing_learnt(lr, step):
    return 2.3 + 0.01 * (-1) ** step


def always_nan(lr, step):
    return math.nan


def run(check, loss=quadratic):
    """Run all trials; the rates, in order."""
    rates = []
    for trial in check:
        rates.append(trial.lr)
        for step, lr in enumerate(trial):
            trial.record(loss=loss(lr, step))
    return rates


def in_steps(rates, centre):
    return [round(2 * math.log10(lr / centre)) for lr in rates]


def test_the_first_trials_are_around_the_suggestion_and_further_ones_beyond_the_best():
    check = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)

    rates = run(check)

    assert in_steps(rates[:4], 0.01) == [0, -1, 1, -2]
    assert sorted(in_steps(rates, 0.01))[-1] > 1
    assert 0.1 < check.bounds.lr < 0.3


def test_the_answer_is_carried_to_the_planned_length():
    answers = []
    for total_steps in (STEPS, 5 * STEPS, 100 * STEPS, None):
        check = clrcore.Confirmation(0.01, STEPS, total_steps=total_steps)
        run(check)
        answers.append(check.bounds.lr)

    assert answers[0] > answers[3] > answers[1] > answers[2]
    assert answers[2] / answers[0] == pytest.approx(100**-CARRY)


def test_no_trial_is_longer_than_the_training():
    check = clrcore.Confirmation(0.01, 200, total_steps=50)

    assert check.most_updates == 300
    assert next(iter(check)).total_steps == 50


@each(
    ("arguments", "steps", "most"),
    [
        ({}, 200, 1200),
        ({"total_steps": 200}, 200, 1200),
        ({"total_steps": 2000}, 200, 1200),
        ({"total_steps": 60}, 60, 360),
        ({"num_steps": 200, "total_steps": 2000}, 200, 1200),
        ({"num_steps": 50, "seeds": 2}, 50, 600),
        ({"max_updates": 700}, 200, 600),
    ],
)
def test_the_length_of_a_trial_is_at_most_that_of_the_training(arguments, steps, most):
    check = clrcore.Confirmation(0.01, **arguments)

    assert inspect.signature(clrcore.Confirmation).parameters["num_steps"].default == 200
    assert next(iter(check)).total_steps == steps
    assert check.most_updates == most


def test_the_cost_is_known_beforehand_and_never_exceeded():
    check = clrcore.Confirmation(1e-9, STEPS, max_updates=5 * STEPS + 3)

    assert check.most_updates == 5 * STEPS
    assert repr(check) == "Confirmation(lr=1e-09, num_steps=20, kind='constant') after 0 trials"
    run(check)
    assert check.updates <= check.most_updates
    assert len(check.trials) <= 5


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (1.02, "trials tie: any rate from lr=0.00316 to 0.01 ends within 2 % of the best fall"),
        (1.08, "the trial at lr=0.01 is the best, and none ties with it"),
    ],
)
def test_two_rates_that_tie_are_named(second, reason):
    ends = {0.01: 1.0, 0.00316: second}
    check = clrcore.Confirmation(0.01, STEPS)
    run(check, lambda lr, step: 3.0 if step < 10 else ends.get(float(f"{lr:.3g}"), 2.0))

    assert check.bounds.reasons[1] == reason


def test_the_smallest_of_tied_rates_is_taken_and_the_tie_named():
    check = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
    run(check, lambda lr, step: 1.0 if step == 0 or lr < 0.002 else 0.1)

    bounds = check.bounds
    assert 0.003 < bounds.lr < 0.0065
    assert any(
        "trials tie: any rate from lr=0.00316 to 0.0316" in reason for reason in bounds.reasons
    )


def test_no_number_without_a_trial_that_trains():
    for loss in (nothing_learnt, always_nan):
        check = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
        run(check, loss)
        with pytest.raises(clrcore.NoBoundsError) as caught:
            check.bounds  # noqa: B018 - the property raises
        assert caught.value.kind == "none_trains"


def test_a_steep_fall_in_the_first_updates_is_not_noise():
    check = clrcore.Confirmation(1.0, 80, total_steps=80)
    run(check, lambda lr, step: 3.0 if step == 0 or lr < 0.2 else 0.0)

    assert 0.2 < check.bounds.lr < 10


def test_batches_that_differ_much_do_not_hide_a_fall():
    check = clrcore.Confirmation(0.1, 150, total_steps=150)
    run(check, lambda lr, step: 1.5 + (1.45 + 0.7 * (-1) ** step) * math.exp(-lr * step))

    assert check.bounds.lr > 0.01


def test_a_loss_that_is_not_finite_ends_its_trial_only():
    check = clrcore.Confirmation(0.3, STEPS)
    run(check, lambda lr, step: math.nan if lr > 0.5 and step > 2 else quadratic(lr, step))

    broken = [trial for trial in check.trials if trial.lr > 0.5]
    assert [len(trial.losses) for trial in broken] == [4]
    assert broken[0].loss == math.inf
    assert check.bounds.max_lr < 0.5


def test_held_out_losses_decide_where_given():
    check = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
    for trial in check:
        for step, lr in enumerate(trial):
            held_out = math.log10(lr / 0.01) ** 2 if trial.validation_due() else None
            trial.record(loss=quadratic(lr, step), held_out_loss=held_out)

    assert check.bounds.lr == pytest.approx(0.01)
    assert check.bounds.reasons[0].endswith("in training")


def test_no_answer_before_the_last_trial():
    check = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
    with pytest.raises(RuntimeError, match="not over"):
        check.bounds  # noqa: B018
    for trial in check:
        for _ in trial:
            trial.record(loss=1.0)
            break
        break
    with pytest.raises(RuntimeError, match="1 of 20 updates"):
        next(check)


def test_a_state_between_trials_goes_on_alike():
    whole = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
    run(whole)
    for done in range(len(whole.trials)):
        first = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
        for _ in range(done):
            for step, lr in enumerate(trial := next(first)):
                trial.record(loss=quadratic(lr, step))
        second = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        run(second)
        assert second.bounds == whole.bounds


def test_confirmed_bounds_are_plain_data_and_back():
    check = clrcore.Confirmation(0.3, STEPS)
    run(check, lambda lr, step: math.inf if lr > 0.5 and step > 2 else quadratic(lr, step))
    bounds = check.bounds

    data = json.loads(json.dumps(bounds.to_dict()))
    assert clrcore.Bounds.from_dict(data) == bounds
    assert hash(bounds) == hash(clrcore.Bounds.from_dict(data))
    data["trials"][0]["lr"] = "fast"
    with pytest.raises(TypeError, match="lr"):
        clrcore.Bounds.from_dict(data)


def test_a_refused_state_changes_nothing():
    check = clrcore.Confirmation(0.01, STEPS, total_steps=STEPS)
    run(check)
    state = check.state_dict()
    before = check.trials
    wrong_trial = {**state["trials"][0], "lr": 0.5}
    for wrong in (
        {**state, "version": 2},
        {**state, "num_steps": 30},
        {**state, "more": 1},
        {**state, "seeds": [1]},
        {**state, "trials": [wrong_trial]},
        {**state, "trials": [*state["trials"], state["trials"][0]]},
        {**state, "trials": [{**state["trials"][0], "losses": ["x"]}]},
    ):
        with pytest.raises(ValueError, match=r"state|trial|losses"):
            check.load_state_dict(wrong)
        assert check.trials == before
    with pytest.raises(TypeError, match="trials"):
        check.load_state_dict({**state, "trials": None})
    state["trials"][0]["losses"][0] = 99.0
    assert check.trials == before


def test_blocks_record_what_single_updates_do():
    single, blocks = (
        clrcore.Confirmation(0.01, STEPS, total_steps=STEPS),
        clrcore.Confirmation(0.01, STEPS, total_steps=STEPS),
    )
    run(single)
    for trial in blocks:
        while rates := trial.next_rates(7):
            start = trial.step_count
            trial.record_block([quadratic(lr, start + i) for i, lr in enumerate(rates)])

    assert blocks.trials == single.trials


def test_every_seed_is_tried_at_every_rate():
    check = clrcore.Confirmation(0.01, STEPS, seeds=[3, 8])
    run(check)

    assert [trial.seed for trial in check.trials] == [3, 8] * (len(check.trials) // 2)
    assert len({trial.lr for trial in check.trials}) == len(check.trials) // 2


@each("kind", ["linear", "one_cycle", "triangular", "wsd"])
def test_a_schedule_is_rehearsed_compressed(kind):
    check = clrcore.Confirmation(0.01, 40, kind=kind)
    trial = next(iter(check))
    rates = trial.next_rates(100)

    planned = check_plan(kind)
    assert rates == [planned(step) for step in range(40)]


def check_plan(kind):
    return bounds_at(0.01).policy(total_steps=40, kind=kind)


def bounds_at(lr):
    return clrcore.Bounds(
        base_lr=lr / 10,
        max_lr=2 * lr,
        lr=lr,
        lr_interval=(lr / 2, 2 * lr),
        max_lr_interval=(lr, 10 * lr),
        rule="loss",
    )


@given(
    centre=st.floats(1e-5, 1.0),
    best=st.integers(-3, 3),
    scale=st.floats(1e-3, 1e3),
    curvature=st.floats(0.2, 2.0),
)
def test_a_single_valley_is_found_wherever_the_suggestion_is(centre, best, scale, curvature):
    valley = centre * 10 ** (best / 2)
    check = clrcore.Confirmation(centre, STEPS, total_steps=STEPS)

    def loss(lr, step):
        depth = curvature * math.log10(lr / valley) ** 2
        return scale * (1.0 if step == 0 else depth / (1.0 + depth))

    run(check, loss)

    assert check.bounds.lr == pytest.approx(valley)
    assert len(check.trials) <= 6


@each(
    ("arguments", "error"),
    [
        ({"num_steps": 0}, ValueError),
        ({"num_steps": 2.5}, ValueError),
        ({"num_steps": True}, TypeError),
        ({"total_steps": 0}, ValueError),
        ({"kind": "triangle"}, ValueError),
        ({"kind": 3}, TypeError),
        ({"seeds": []}, ValueError),
        ({"total_steps": 7, "kind": "triangular"}, ValueError),
        ({"max_updates": 59, "num_steps": 20}, ValueError),
        ({"bounds_or_rate": 0.0}, ValueError),
        ({"bounds_or_rate": bounds_at(0.0)}, ValueError),
        ({"bounds_or_rate": math.nan}, ValueError),
        ({"bounds_or_rate": "0.1"}, TypeError),
        ({"bounds_or_rate": True}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, error):
    name = next(iter(arguments))
    with pytest.raises(error, match=name):
        clrcore.Confirmation(**{"bounds_or_rate": 0.1, **arguments})


def one_trial(num_steps=STEPS):
    return next(iter(clrcore.Confirmation(0.01, num_steps)))


def test_each_rate_is_recorded_once():
    trial = one_trial()
    with pytest.raises(RuntimeError, match="take the next rate"):
        trial.record(loss=1.0)
    next(trial)
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        next(trial)
    with pytest.raises(TypeError, match="loss"):
        trial.record(loss="low")
    trial.record(loss=1.0)
    assert (trial.step_count, trial.smoothed_loss) == (1, 1.0)
    for _ in trial:
        trial.record(loss=2.0)
    assert trial.next_rates(3) == []
    with pytest.raises(RuntimeError, match=r"the trial at lr=0\.01 is over: all 20 updates"):
        trial.record(loss=1.0)


def test_a_block_longer_than_its_rates_is_refused_and_ends_where_the_loss_breaks_down():
    trial = one_trial()
    trial.next_rates(3)
    with pytest.raises(ValueError, match="at most 3"):
        trial.record_block([1.0] * 4)
    with pytest.raises(ValueError, match="same length"):
        trial.record_block([1.0, 1.0], [None])
    assert trial.record_block([1.0, math.nan, 1.0]) == 2
    assert trial.reason == "the loss is nan at lr=0.01, update 2 of 20"
    assert trial.result.loss == math.inf
    assert repr(trial) == "Trial(lr=0.01, seed=0) after 2 of 20 updates"


def test_a_held_out_loss_that_is_not_finite_ends_the_trial():
    trial = one_trial()
    next(trial)
    trial.record(loss=1.0, held_out_loss=math.inf)

    assert trial.reason == "the held-out loss is inf at lr=0.01, update 1 of 20"
    assert trial.result.loss == math.inf


def test_data_that_end_early_end_the_trial():
    trial = one_trial()
    assert trial.smoothed_loss is None
    with pytest.raises(ValueError, match="before its first update: no data"):
        trial.end_early("no data")
    next(trial)
    trial.record(loss=1.0)
    trial.end_early("no data")
    trial.end_early("again")

    assert trial.reason == "the trial at lr=0.01 ended after 1 of 20 updates: no data"


def test_an_answer_at_the_edge_is_warned_about():
    check = clrcore.Confirmation(1e-9, STEPS)
    run(check, lambda lr, step: 1.0 if step == 0 else 0.9 - 1e7 * lr)

    (warning,) = check.bounds.warnings
    assert warning.kind == "trials_at_edge"
    assert f"at the largest rate tried, lr={max(t.lr for t in check.trials):.3g}" in warning


def test_rates_that_break_down_are_followed_by_smaller_rates():
    check = clrcore.Confirmation(0.01, STEPS)
    rates = run(check, always_nan)

    assert min(in_steps(rates, 0.01)) == -4


def test_a_state_is_of_whole_trials():
    check = clrcore.Confirmation(0.01, STEPS)
    trial = next(iter(check))
    assert check.state_dict()["trials"] == []
    assert check.current is trial
    next(trial)
    trial.record(loss=1.0)
    with pytest.raises(RuntimeError, match="whole trials"):
        check.state_dict()


def test_nothing_that_is_read_within_a_trial_changes_it():
    plain, read = (clrcore.Confirmation(0.01, STEPS, total_steps=STEPS) for _ in range(2))
    run(plain)
    for trial in read:
        read.state_dict()
        for step, lr in enumerate(trial):
            trial.record(loss=quadratic(lr, step))
            if trial.reason is None:
                with pytest.raises(RuntimeError, match="not over"):
                    read.bounds  # noqa: B018
        assert read.trials[-1] == trial.result
        assert read.updates == STEPS * len(read.trials) <= read.most_updates

    assert (read.trials, read.bounds) == (plain.trials, plain.bounds)


def test_a_trial_that_nothing_is_recorded_for_is_not_left_out():
    check = clrcore.Confirmation(0.01, STEPS)
    with pytest.raises(RuntimeError, match="0 of 20 updates"):
        for _ in check:
            pass
    assert next(iter(check)).lr == 0.01  # a new loop starts it again


def test_a_slowest_trial_that_breaks_down_at_once_does_not_hide_the_start():
    check = clrcore.Confirmation(0.01, 200)
    run(check, lambda lr, step: math.nan if lr < 2e-3 and step == 2 else quadratic(lr, step))

    assert check.bounds.lr > 0.002
    assert any(
        ", from " in reason and "inf," not in reason[-20:] for reason in check.bounds.reasons
    )


def test_first_losses_that_are_low_by_chance_are_not_the_start():
    check = clrcore.Confirmation(0.01, 200)
    run(check, lambda lr, step: 1.0 if step < 5 else 3 - 1.5 * step / 200)

    assert [warning.kind for warning in check.bounds.warnings] == ["trials_tie"]
    assert any("any rate from" in warning for warning in check.bounds.warnings)
    assert 0.005 < check.bounds.lr < 0.01  # the suggestion, carried to the length


def test_a_first_fifth_that_is_low_by_chance_is_not_the_start():
    def loss(lr, step):
        if lr < 0.01:
            return 1.9 if step < 10 else 2.3 + 0.2 * (-1) ** step
        return 2.0 + 0.01 * (-1) ** step

    check = clrcore.Confirmation(0.01, 50)
    run(check, loss)

    assert 0.01 < check.bounds.lr < 0.1**1.5
    assert "from 2.2" in check.bounds.reasons[0]


def test_a_fall_of_the_held_out_loss_is_enough():
    check = clrcore.Confirmation(0.01, 200, total_steps=200)
    for trial in check:
        for step, _ in enumerate(trial):
            done = step / 200
            held_out = 2 - done + abs(math.log10(trial.lr) + 2) * done
            trial.record(loss=1.0, held_out_loss=held_out)

    assert check.bounds.lr == pytest.approx(0.01)
    assert any(
        "held-out loss of" in reason and reason.endswith("from 2")
        for reason in check.bounds.reasons
    )


def fail(loss, held_out=None, **options):
    """Run all trials; why there is no answer."""
    check = clrcore.Confirmation(0.01, STEPS, **options)
    for trial in check:
        for step, lr in enumerate(trial):
            trial.record(loss=loss(trial, lr, step), held_out_loss=held_out)
    with pytest.raises(clrcore.NoBoundsError) as caught:
        check.bounds  # noqa: B018
    return str(caught.value)


def test_why_no_rate_trains_is_true():
    broken = fail(lambda trial, lr, step: math.nan)
    assert "at every rate the loss was not finite" in broken
    assert "inf" not in broken
    seeds = fail(lambda trial, lr, step: math.nan if trial.seed else quadratic(lr, step), seeds=2)
    assert "6 of 12 runs diverged" in seeds
    constant = fail(lambda trial, lr, step: 2.0)
    assert "the training loss is 2 at every update; check that it depends" in constant
    flat = fail(lambda trial, lr, step: 2.0 + (lr > 0.02), 1.25)
    assert "starts at 2 and ends at 2 at best; the lowest held-out loss is 1.25" in flat


def test_a_schedule_that_does_not_fit_into_a_trial_names_the_trial():
    with pytest.raises(ValueError, match="num_steps must be >= 8"):
        clrcore.Confirmation(0.01, num_steps=5, kind="triangular")


def test_a_budget_below_three_trials_is_refused():
    with pytest.raises(ValueError, match="max_updates must be >= 600, for trials of 200 updates"):
        clrcore.Confirmation(0.01, max_updates=599)
    assert clrcore.Confirmation(0.01, max_updates=600).most_updates == 600


@each("name", clrcore.Confirmation.HINTS)
def test_every_name_from_elsewhere_gets_its_hint(name):
    with pytest.raises(TypeError, match=f"no argument '{name}'; ") as caught:
        clrcore.Confirmation(0.01, **{name: 1})
    assert caught.value.advice == clrcore.Confirmation.HINTS[name]
    assert {"start_lr", "end_lr", "min_lr", "max_lr", "epochs"} <= set(clrcore.Confirmation.HINTS)


def test_an_answer_shows_whether_the_trials_moved_it():
    shown = []
    for rate in (0.001, 0.2):
        check = clrcore.Confirmation(rate, STEPS, total_steps=STEPS)
        run(check)
        shown.append(str(check.bounds))

    assert "moved from 0.001 by" in shown[0]
    assert "confirmed by" in shown[1]


def test_arguments_of_other_finders_are_answered():
    for function, name, advice in (
        (clrcore.RangeTest, "start_lr", "exponential_sweep"),
        (clrcore.Confirmation, "epochs", "total_steps"),
        (clrcore.Confirmation, "start_lr", "around a suggestion"),
        (clrcore.whole_cycles, "epochs", "steps_per_epoch"),
    ):
        with pytest.raises(TypeError, match=advice):
            function(**{name: 3})


@each(
    ("change", "error"),
    [
        ({"losses": 3}, TypeError),
        ({"losses": [None]}, TypeError),
        ({"losses": ["nan", 1.0]}, ValueError),
        ({"held_out_losses": ["inf", 1.0]}, ValueError),
        ({"held_out_losses": [1.0] * 3}, ValueError),
        ({"seed": -1}, ValueError),
        ({"lr": -0.1}, ValueError),
        ({"more": 1}, ValueError),
    ],
)
def test_wrong_trial_data_are_refused_by_name(change, error):
    data = {"lr": 0.1, "seed": 0, "losses": [1.0, "nan"], "held_out_losses": []}
    assert clrcore.TrialResult.from_dict(data).to_dict() == data
    with pytest.raises(error, match=next(iter(change))):
        clrcore.TrialResult.from_dict({**data, **change})


def noisy(seed, falls):
    """Trials with batches that differ by a third; at the largest rates the loss halves or stays."""
    noise = random.Random(seed)
    check = clrcore.Confirmation(0.01, num_steps=56)
    for trial in check:
        fall = 0.55 if falls and trial.lr > 0.005 else 0.0
        for step, _ in enumerate(trial):
            loss = 1.226 - fall * (1 - math.exp(-step / 20))
            trial.record(loss=loss * noise.gammavariate(8, 1 / 8))
    try:
        return check.bounds
    except clrcore.NoBoundsError:
        return None


def test_short_trials_tell_a_fall_from_noise():
    falls = [noisy(seed, falls=True) for seed in range(60)]
    stays = [noisy(seed, falls=False) for seed in range(60)]
    assert sum(bounds is not None for bounds in falls) >= 54
    assert sum(bounds is not None for bounds in stays) <= 6


@pytest.mark.parametrize(("fall", "trains"), [(1.05, False), (1.16, True)])
def test_a_fall_counts_from_three_and_a_half_standard_errors_on(fall, trains):
    """Losses that alternate by 2 have a spread of sqrt(2): 3.5 of the errors of two fifths of
    40 losses are 1.107."""

    def alternating(lr, step):
        return (-1) ** step + (fall if step < 40 else 0.0)

    check = clrcore.Confirmation(0.01, num_steps=200)
    run(check, alternating)

    if trains:
        assert check.bounds.trials
    else:
        with pytest.raises(clrcore.NoBoundsError):
            check.bounds  # noqa: B018


def test_a_trial_shows_the_rates_of_its_updates():
    trial = next(clrcore.Confirmation(0.1, num_steps=20))
    assert trial.policy == clrcore.constant(0.1)
    assert trial.next_rates(30) == trial.policy.values(0, 20).tolist()
