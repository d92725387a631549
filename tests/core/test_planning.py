"""Whole trainings planned from bounds: length, peak, and how they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from cases import each
from clrcore.planning import PEAKS, SCHEDULES

BOUNDS = clrcore.Bounds(
    base_lr=0.001,
    max_lr=0.02,
    lr=0.01,
    lr_interval=(0.005, 0.02),
    max_lr_interval=(0.01, 0.1),
    rule="loss",
)
CYCLIC = ("triangular", "triangular2", "warm_restarts")


@each("kind", SCHEDULES)
@given(total_steps=st.integers(40, 3000))
def test_the_peak_suits_the_kind_and_the_training_ends_low(kind, total_steps):
    policy = BOUNDS.policy(total_steps=total_steps, kind=kind)
    rates = policy.values(0, total_steps)
    peak = PEAKS[kind] * BOUNDS.lr

    assert (1.0 - 8.0 / total_steps) * peak <= rates.max() <= peak
    assert rates[-1] <= 0.5 * peak


@each("kind", CYCLIC)
@each(("cycles", "total_steps"), [(None, 1000), (None, 1003), (3, 1000), (1, 9)])
def test_whole_cycles_fill_the_training(kind, cycles, total_steps):
    more = {} if cycles is None else {"cycles": cycles}
    ends = BOUNDS.policy(total_steps=total_steps, kind=kind, **more).cycle_ends(total_steps)

    assert len(ends) == (cycles or 4)
    assert total_steps - ends[-1] < (cycles or 4)


def test_warm_up_and_cooldown_have_their_shares():
    policy = BOUNDS.policy(total_steps=1000, kind="wsd")
    peak = policy(500)

    assert [policy(step) < peak for step in (48, 49, 800, 801)] == [True, False, False, True]
    assert policy.total_steps == 1000
    assert policy(1000) == 0.0
    longer = BOUNDS.policy(total_steps=1000, kind="wsd", warm_up=0.0, cooldown=0.5)
    assert [longer(0), longer(500)] == [peak, peak]
    assert longer(750) == pytest.approx(peak / 2)
    assert BOUNDS.policy(total_steps=1000, kind="wsd", cooldown=0.0)(999) == peak


def test_the_peak_is_never_above_max_lr():
    data = {**BOUNDS.to_dict(), "max_lr": BOUNDS.lr}
    policy = clrcore.Bounds.from_dict(data).policy(total_steps=80, kind="triangular2")

    assert max(policy(step) for step in range(80)) == BOUNDS.lr


def test_one_cycle_is_planned_unless_a_kind_is_named():
    assert BOUNDS.policy(total_steps=100) == BOUNDS.policy(total_steps=100, kind="one_cycle")


def test_either_the_step_size_or_the_length_is_given():
    for arguments, got in (({}, "neither"), ({"step_size": 10, "total_steps": 100}, "both")):
        with pytest.raises(TypeError, match=f"either step_size, half a cycle.*; got {got}$"):
            BOUNDS.policy(**arguments)


@each(
    ("arguments", "named"),
    [
        ({"total_steps": 0}, "total_steps"),
        ({"total_steps": 7, "kind": "triangular2"}, "total_steps must be >= 8"),
        ({"total_steps": 100, "kind": "exp_range"}, "kind .* for this kind pass step_size"),
        ({"step_size": 100, "kind": "cosine"}, "kind .* for this kind pass total_steps"),
        ({"step_size": 100, "kind": "cosin"}, "did you mean|kind must be"),
        ({"total_steps": 100, "kind": "triangular", "cycles": 0}, "cycles"),
        ({"total_steps": 100, "kind": "wsd", "warm_up": 0.5, "cooldown": 0.6}, "cooldown"),
        ({"total_steps": 100, "kind": "wsd", "cooldown": 1.5}, "cooldown"),
    ],
)
def test_wrong_plans_are_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        BOUNDS.policy(**arguments)


@pytest.mark.parametrize(
    ("kind", "has"), [("linear", "it has none"), ("wsd", "it has warm_up, cooldown")]
)
def test_arguments_of_other_kinds_are_refused_by_name(kind, has):
    with pytest.raises(TypeError, match=f"kind='{kind}' has no argument cycles; {has}"):
        BOUNDS.policy(total_steps=100, kind=kind, cycles=3)


@pytest.mark.parametrize("name", ["epochs", "max_updates", "num_steps"])
def test_other_lengths_lead_to_total_steps(name):
    with pytest.raises(TypeError, match=rf"has no argument '{name}'; pass total_steps"):
        BOUNDS.policy(**{name: 2})


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"step_size_up": 100}, "use step_size"),
        ({"step_size": 100, "mode": "triangular"}, "use kind"),
        ({"total_steps": 100, "kind": "constant"}, r"clrcore\.constant\(bounds\.lr\)"),
    ],
)
def test_words_of_other_libraries_lead_on(arguments, advice):
    with pytest.raises((TypeError, ValueError), match=advice):
        BOUNDS.policy(**arguments)


def test_bounds_in_place_of_a_policy_lead_on():
    with pytest.raises(TypeError, match=r"make one with bounds\.policy"):
        clrcore.CycleMonitor(BOUNDS)


def test_a_rate_that_bounds_give_is_refused_in_words():
    with pytest.raises(TypeError, match=r"policy\(\) has no argument 'max_lr' here: these bounds"):
        BOUNDS.policy(total_steps=100, max_lr=0.1)
