"""Trials around a suggestion: which are run, what they decide, what is refused."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
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


@pytest.mark.parametrize(
    ("arguments", "steps", "most"),
    [
        ({}, 200, 1200),
        ({"total_steps": 200}, 200, 1200),
        ({"total_steps": 2000}, 300, 1200),
        ({"total_steps": 60}, 60, 360),
        ({"num_steps": 200, "total_steps": 2000}, 200, 1200),
        ({"num_steps": 50, "seeds": 2}, 50, 600),
        ({"max_updates": 700}, 200, 600),
    ],
)
def test_the_length_of_a_trial_follows_from_that_of_the_training(arguments, steps, most):
    check = clrcore.Confirmation(0.01, **arguments)

    assert next(iter(check)).total_steps == steps
    assert check.most_updates == most


def test_the_cost_is_known_beforehand_and_never_exceeded():
    check = clrcore.Confirmation(1e-9, STEPS, max_updates=5 * STEPS + 3)

    assert check.most_updates == 5 * STEPS
    run(check)
    assert check.updates <= check.most_updates
    assert len(check.trials) <= 5


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
        for trial in [next(iter(first)) for _ in range(1)] if done else []:
            for step, lr in enumerate(trial):
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
        {**state, "trials": [wrong_trial]},
        {**state, "trials": [*state["trials"], state["trials"][0]]},
        {**state, "trials": [{**state["trials"][0], "losses": ["x"]}]},
    ):
        with pytest.raises(ValueError, match=r"state|trial|losses"):
            check.load_state_dict(wrong)
        assert check.trials == before
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


@pytest.mark.parametrize("kind", ["linear", "one_cycle", "triangular", "wsd"])
def test_a_schedule_is_rehearsed_compressed(kind):
    check = clrcore.Confirmation(0.01, 40, kind=kind)
    trial = next(iter(check))
    rates = trial.next_rates(100)

    planned = check_plan(kind)
    assert rates == [planned(step) for step in range(40)]


def check_plan(kind):
    bounds = clrcore.Bounds(
        base_lr=0.001,
        max_lr=0.02,
        lr=0.01,
        lr_interval=(0.005, 0.02),
        max_lr_interval=(0.01, 0.1),
        rule="loss",
    )
    return bounds.policy(total_steps=40, kind=kind)


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


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"num_steps": 0}, ValueError),
        ({"num_steps": 2.5}, ValueError),
        ({"num_steps": True}, TypeError),
        ({"total_steps": 0}, ValueError),
        ({"kind": "triangle"}, ValueError),
        ({"kind": 3}, TypeError),
        ({"seeds": []}, ValueError),
        ({"max_updates": 59, "num_steps": 20}, ValueError),
        ({"bounds_or_rate": 0.0}, ValueError),
        ({"bounds_or_rate": math.nan}, ValueError),
        ({"bounds_or_rate": "0.1"}, TypeError),
        ({"bounds_or_rate": True}, TypeError),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, error):
    name = next(iter(arguments))
    with pytest.raises(error, match=name):
        clrcore.Confirmation(**{"bounds_or_rate": 0.1, **arguments})
