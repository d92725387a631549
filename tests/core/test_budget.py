"""Budgets of whole cycles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from cases import each

sizes = st.integers(1, 10**6)


@given(sizes, sizes)
def test_a_budget_is_floored_to_whole_cycles(total, size):
    if total < 2 * size:
        with pytest.raises(ValueError, match="no whole cycle fits"):
            clrcore.whole_cycles(total_steps=total, step_size=size)
        return
    budget = clrcore.whole_cycles(total_steps=total, step_size=size)

    assert budget.step_size == size
    assert budget.total_steps == 2 * size * budget.cycles
    assert total - 2 * size < budget.total_steps <= total
    policy = clrcore.triangular(0.1, 1.0, size)
    assert policy.completes(budget.total_steps) == budget.cycles - 1


@given(sizes, st.integers(1, 100))
def test_a_step_size_is_fitted_to_a_budget(total, cycles):
    if total < 2 * cycles:
        with pytest.raises(ValueError, match="no whole cycle fits"):
            clrcore.whole_cycles(total_steps=total, cycles=cycles)
        return
    budget = clrcore.whole_cycles(total_steps=total, cycles=cycles)

    assert budget.cycles == cycles
    assert budget.total_steps == 2 * budget.step_size * cycles
    assert total - 2 * cycles < budget.total_steps <= total


@given(sizes, st.integers(1, 100))
def test_a_budget_follows_from_cycles(size, cycles):
    assert clrcore.whole_cycles(step_size=size, cycles=cycles)[:3] == (
        2 * size * cycles,
        size,
        cycles,
    )


@each(
    ("given_arguments", "reason"),
    [
        (
            {"total_steps": 10, "step_size": 2},
            "2 cycles of 4 steps fit into 10; the last 2 are left out",
        ),
        ({"total_steps": 4, "step_size": 2}, "1 cycle of 4 steps fits into 4 exactly"),
        (
            {"total_steps": 8, "cycles": 2},
            "2 cycles of 4 steps fit into 8 with step_size=2 exactly",
        ),
        (
            {"total_steps": 9, "cycles": 2},
            "2 cycles of 4 steps fit into 9 with step_size=2; the last 1 are left out",
        ),
        ({"step_size": 2, "cycles": 1}, "1 cycle of 4 steps are 4 steps"),
    ],
)
def test_the_reason_says_what_was_fitted(given_arguments, reason):
    assert clrcore.whole_cycles(**given_arguments).reason == reason


@each(
    ("given_arguments", "message"),
    [
        ({}, "give two of total_steps, step_size and cycles, the third follows; got none"),
        ({"cycles": 3}, "got cycles"),
        ({"total_steps": 12, "step_size": 2, "cycles": 3}, "got total_steps, step_size, cycles"),
        ({"total_steps": 0, "cycles": 3}, "total_steps must be an integer from 1"),
        ({"total_steps": 10, "step_size": 1.5}, "step_size must be an integer from 1"),
        ({"total_steps": 9, "step_size": 5}, "9 is less than 10 steps; make step_size at most 4"),
        ({"total_steps": 9, "cycles": 5}, "9 is less than 10 steps; ask for at most 4 cycles"),
        ({"total_steps": 2, "cycles": 5}, "2 is less than 10 steps; ask for at most 1 cycles"),
        ({"total_steps": 3, "step_size": 5}, "3 is less than 10 steps; make step_size at most 1"),
        ({"total_steps": 2, "step_size": 5}, "2 is less than 10 steps; make step_size at most 1"),
        ({"total_steps": 1, "cycles": 1}, "1 is less than 2 steps; train longer"),
        ({"total_steps": 1, "step_size": 1}, "1 is less than 2 steps; train longer"),
    ],
)
def test_what_does_not_fit_is_refused(given_arguments, message):
    with pytest.raises(ValueError, match=message):
        clrcore.whole_cycles(**given_arguments)


def test_step_sizes_from_epochs():
    """The paper: CIFAR-10 at batch 100 has 500 steps an epoch, and step size 2000 is 4 epochs."""
    assert clrcore.step_size_from_epochs(500) == 2000
    assert clrcore.step_size_from_epochs(500, epochs=2) == 1000
    assert clrcore.step_size_from_epochs(5004.56, epochs=6) == 30_027
    assert clrcore.step_size_from_epochs(1, epochs=0.1) == 1


@pytest.mark.parametrize(
    ("steps", "epochs", "message"),
    [
        (0, 4, "steps_per_epoch must be"),
        (500, 0, "epochs must be"),
        (1e300, 4, "steps_per_epoch . epochs must be at most"),
    ],
)
def test_bad_epochs_are_refused(steps, epochs, message):
    with pytest.raises(ValueError, match=message):
        clrcore.step_size_from_epochs(steps, epochs)
