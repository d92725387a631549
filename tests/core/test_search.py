"""Range test, suggestion and confirmation in a row."""

import warnings

import pytest

import clrcore
from cases import each


def quadratic(lr, step):
    return (1.0 - 2.0 * lr) ** (2 * step)


def run(search, loss):
    seeds = []
    for phase in search:
        seeds.append(search.seed)
        step = 0
        while rates := phase.next_rates(16):
            phase.record_block([loss(lr, step + i) for i, lr in enumerate(rates)])
            step += len(rates)
    return seeds


def trained(lr, step):
    """The loss of gradient descent at this rate since its start, from the rate alone."""
    return quadratic(lr, 40)


def noise(lr, step):
    return 2.3 + 0.1 * (-1) ** step


def test_the_suggestion_is_confirmed_within_the_budget():
    search = clrcore.BoundsSearch(default_lr=1e-3)
    run(search, trained)

    assert search.updates <= search.most_updates <= 1500
    assert search.bounds.rule == "confirmation"
    assert len(search.bounds.trials) >= 3


def test_where_the_range_test_has_no_answer_the_default_rate_is_confirmed():
    search = clrcore.BoundsSearch(default_lr=0.01)
    run(
        search,
        lambda lr, step: noise(lr, step) if search.stage == "range test" else trained(lr, step),
    )

    assert search.bounds.trials[0].lr == 0.01
    assert any(
        "the trials started from the optimizer's own rate" in r for r in search.bounds.reasons
    )


def test_where_nothing_trains_both_reasons_are_given():
    search = clrcore.BoundsSearch(default_lr=0.01)
    run(search, noise)

    with pytest.raises(
        clrcore.NoBoundsError, match=r"none of .* the range test gave no answer"
    ) as e:
        search.bounds  # noqa: B018
    assert e.value.kind == "none_trains"


def test_seeds_are_for_the_range_tests_and_the_first_for_the_trials():
    search = clrcore.BoundsSearch(default_lr=1e-3, seeds=[4, 7])
    seeds = run(search, trained)

    assert seeds[:2] == [4, 7]
    assert set(seeds[2:]) == {4}
    assert {trial.seed for trial in search.bounds.trials} == {4}
    assert search.updates <= 1500


@each("max_updates", [70, 200, 399, 1000, 1500, 5000])
def test_any_budget_is_kept(max_updates):
    search = clrcore.BoundsSearch(default_lr=1e-3, max_updates=max_updates)
    run(search, trained)

    assert search.updates <= search.most_updates <= max_updates


def test_a_budget_without_room_for_trials_is_refused():
    sweep = clrcore.exponential_sweep(1e-6, 10.0, 300)
    with pytest.raises(ValueError, match="max_updates must be >= 350"):
        clrcore.BoundsSearch(default_lr=1e-3, sweep=sweep, max_updates=320)


def test_a_budget_too_small_for_its_range_tests_is_refused():
    with pytest.raises(ValueError, match=r"max_updates must be >= 1680.* pass seeds=\[42\]"):
        clrcore.BoundsSearch(default_lr=1e-3, seeds=42)
    with pytest.raises(ValueError, match=r"max_updates must be >= 40, got 39"):
        clrcore.BoundsSearch(default_lr=1e-3, max_updates=39)


def test_the_stage_and_the_curves_are_known():
    search = clrcore.BoundsSearch(default_lr=1e-3)
    assert (search.stage, search.seed) == ("range test", None)
    stages = set()
    for phase in search:
        stages.add(search.stage.split(" at ")[0])
        while rates := phase.next_rates(16):
            phase.record_block([trained(lr, 0) for lr in rates])

    assert stages == {"range test", "trial"}
    assert [len(curve) > 100 for curve in search.curves] == [True]
    assert search.confirmation.trials == search.bounds.trials


def test_runs_are_handed_out_one_after_the_other():
    for seeds in (None, 2):
        search = clrcore.BoundsSearch(default_lr=1e-3, seeds=seeds)
        next(search)
        with pytest.raises(RuntimeError, match="not over"):
            next(search)
    with pytest.raises(RuntimeError, match="not over"):
        search.bounds  # noqa: B018


def test_an_answer_asked_for_within_a_trial_changes_nothing():
    search = clrcore.BoundsSearch(default_lr=1e-3, max_updates=400)
    for phase in search:
        while rates := phase.next_rates(16):
            phase.record_block([trained(lr, 0) for lr in rates])
            if phase.reason is None:
                with pytest.raises(RuntimeError, match="not over"):
                    search.bounds  # noqa: B018

    assert search.bounds.rule == "confirmation"


@each(("total_steps", "length"), [(None, 200), (999, 200), (1000, 300), (2000, 300)])
def test_trials_are_longer_for_long_trainings(total_steps, length):
    search = clrcore.BoundsSearch(default_lr=1e-3, total_steps=total_steps)

    assert next(search.confirmation).total_steps == length


@pytest.mark.parametrize(("total_steps", "length"), [(None, 90), (200, 90), (2000, 90)])
def test_a_small_budget_leaves_a_trial_beyond_an_edge(total_steps, length):
    search = clrcore.BoundsSearch(default_lr=1e-3, total_steps=total_steps, max_updates=600)

    assert next(search.confirmation).total_steps == length
    assert search.most_updates == 150 + 5 * length


@each(
    ("total_steps", "steps_per_epoch", "warns"),
    [(20, 57, True), (57, 57, False), (120, 10_000, False), (20, None, False), (None, 57, False)],
)
def test_epochs_in_place_of_updates_are_warned_about(total_steps, steps_per_epoch, warns):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clrcore.BoundsSearch(
            default_lr=1e-3, total_steps=total_steps, steps_per_epoch=steps_per_epoch
        )
    assert ["epochs * steps_per_epoch" in str(w.message) for w in caught] == [True] * warns


def test_trials_of_a_long_training_share_what_is_left_in_whole_updates():
    search = clrcore.BoundsSearch(default_lr=1e-3, total_steps=2000, max_updates=1101)

    assert (search.most_updates, next(search.confirmation).total_steps) == (275 + 4 * 206, 206)


def test_long_trials_begin_where_four_usual_trials_fit():
    sweep = clrcore.exponential_sweep(1e-6, 10.0, 300)
    search = clrcore.BoundsSearch(1e-3, total_steps=2000, sweep=sweep, max_updates=1100)

    assert next(search.confirmation).total_steps == 200


def test_range_tests_without_seeds_give_a_curve_and_with_seeds_a_list():
    for seeds, count in ((None, None), (1, 1), ([3, 5], 2)):
        tests = clrcore.SeededRangeTests(clrcore.exponential_sweep(1e-3, 0.1, 3), seeds=seeds)
        assert run(tests, quadratic) == {None: [None], 1: [0]}.get(count, [3, 5])
        curves = [test.curve for test in tests.tests]
        assert tests.curve_or_curves == (curves[0] if seeds is None else curves)
        assert len(curves) == (count or 1)
