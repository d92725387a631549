"""The laws every policy keeps."""

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from strategies import EXACT_WINDOWS, halving, policies, restarts, steps, undecayed

OWN = [f"{name}" for name in ("triangular", "triangular2", "cyclic")]


@given(undecayed(), st.integers(0, 10**6))
def test_base_and_peak_are_exact_bit_for_bit(policy, cycle):
    trough = cycle * policy.period
    peak = trough + policy.step_size

    assert policy(trough) == policy.base_lr
    assert policy(peak) == policy.max_lr
    if peak < 2**63:
        assert policy(np.array([trough, peak])).tolist() == [policy.base_lr, policy.max_lr]


@given(halving())
def test_the_first_peak_is_exact_where_the_amplitude_halves(policy):
    assert policy(policy.step_size) == policy.max_lr


@given(st.one_of(undecayed(), halving(), restarts()), steps)
def test_rates_stay_between_the_bounds(policy, step):
    assert policy.base_lr <= policy(step) <= policy.max_lr
    assert policy.base_lr <= policy(np.array([step]))[0] <= policy.max_lr


@given(undecayed(), steps, st.integers(1, 10**6))
def test_rates_are_monotone_on_each_half(policy, step, gap):
    cycle, inside, rising, _ = policy.locate(step)
    end = policy.step_size if rising else policy.period
    later = min(inside + gap, end) + cycle * policy.period
    before, after = policy(step), policy(later)
    if not rising:
        before, after = after, before

    slack = 0.0 if policy.window == "triangular" else 2 * math.ulp(policy.max_lr)

    assert before <= after + slack


@given(undecayed(), st.integers(0, 10**6))
def test_equal_halves_mirror_bit_for_bit(policy, offset):
    if policy.step_size != policy.step_size_down:
        return
    offset %= policy.step_size + 1

    assert policy(offset) == policy(policy.period - offset)


@given(
    st.one_of(undecayed(st.sampled_from(EXACT_WINDOWS)), halving(st.sampled_from(EXACT_WINDOWS)))
)
def test_scalars_and_arrays_agree_bit_for_bit(policy):
    chosen = [0, 1, 7, policy.step_size, policy.period + 3, 2_000 * policy.period + 5]
    chosen = [step for step in chosen if step < 2**63]

    assert [policy(step) for step in chosen] == policy(np.array(chosen)).tolist()


@given(policies, steps)
def test_scalars_and_arrays_agree_everywhere(policy, step):
    scalar = policy(step)
    array = policy(np.array([[step]]))

    assert type(scalar) is float
    assert array.shape == (1, 1)
    assert array[0, 0] == pytest.approx(scalar, rel=1e-12, abs=4e-16 * policy(0) + 1e-300)
    assert math.isfinite(scalar)
    assert scalar >= 0


@given(policies, st.integers(0, 10**7), st.integers(0, 300), st.integers(0, 300))
def test_resuming_gives_the_rates_of_running_on(policy, start, before, length):
    whole = policy.values(start, start + before + length)

    assert (
        policy.values(start + before, start + before + length).tolist() == whole[before:].tolist()
    )


@given(policies, steps)
def test_plain_data_and_pickles_bring_the_policy_back(policy, step):
    import json

    read = clrcore.policy_from_dict(json.loads(json.dumps(policy.to_dict())))

    for twin in (
        read,
        pickle.loads(pickle.dumps(policy)),
        copy.deepcopy(policy),
        eval_repr(policy),
    ):
        assert twin == policy
        assert hash(twin) == hash(policy)
        assert twin(step) == policy(step)


def eval_repr(policy):
    """A repr is the expression that makes the policy."""
    names = {name: getattr(clrcore, name) for name in dir(clrcore) if name not in ("Curve",)}
    return eval(repr(policy), {name: names[name] for name in names})


@given(policies, st.integers(0, 3000))
def test_completed_cycles_are_the_cycle_ends(policy, total):
    ends = policy.cycle_ends(total)

    completed = [step for step in range(total + 1) if policy.completes(step) is not None]
    numbers = [policy.completes(step) for step in completed]

    assert ends == completed
    assert numbers == sorted(set(numbers))
    for end, number in zip(ends, numbers, strict=True):
        assert policy.locate(end - 1).cycle == number


@given(policies, st.integers(0, 10**6))
def test_positions_advance_one_step_at_a_time(policy, step):
    here, there = policy.locate(step), policy.locate(step + 1)

    assert 0 <= here.fraction <= 1
    if policy.total_steps is not None and step + 1 >= policy.total_steps:
        return
    if there.cycle == here.cycle:
        assert there.step == here.step + 1
    else:
        assert (there.cycle, there.step) == (here.cycle + 1, 0)


@given(policies)
def test_policies_with_an_end_hold_their_last_rate(policy):
    total = policy.total_steps
    if total is None:
        return
    last = policy(total - 1)

    assert policy(total) == last
    assert policy(10**18) == last
    assert (
        policy(np.array([total, total + 10**9])).tolist()
        == policy(np.array([total - 1, total - 1])).tolist()
    )


@given(policies)
def test_huge_python_ints_are_steps_too(policy):
    assert math.isfinite(policy(10**400))


@given(policies)
def test_policies_never_change(policy):
    for name in ("base_lr", "lr", "anything"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(policy, name, 1.0)
    with pytest.raises(AttributeError, match="immutable"):
        del policy.constructor


def test_policies_of_different_kinds_differ():
    made = [
        clrcore.triangular(0.1, 1.0, 10),
        clrcore.triangular2(0.1, 1.0, 10),
        clrcore.exp_range(0.1, 1.0, 10, gamma=0.9, decays="bounds"),
        clrcore.exp_range(0.1, 1.0, 10, gamma=0.9, decays="amplitude"),
        clrcore.triangular(0.1, 1.0, 10, window="hann"),
        clrcore.triangular(0.1, 1.0, 10, 11),
        clrcore.decay(1.0, 0.1, 10),
        clrcore.smith_one_cycle(0.1, 1.0, 10),
        clrcore.linear_sweep(0.1, 1.0, 10),
        clrcore.exponential_sweep(0.1, 1.0, 10),
        clrcore.warm_restarts(0.1, 1.0, 10),
        clrcore.warm_restarts(0.1, 1.0, 10, multiplier=2),
        clrcore.one_cycle(0.1, 10),
        clrcore.one_cycle(0.1, 10, pct_start=0.4),
        clrcore.constant(0.1),
        clrcore.constant(1.0),
        clrcore.chain([(clrcore.constant(0.1), 10)]),
        clrcore.chain([(clrcore.constant(0.1), None)]),
    ]

    assert len(set(made)) == len(made)
    assert clrcore.one_cycle(0.1, 10) == clrcore.one_cycle(0.1, 10, div_factor=25)
    assert made[0] != 0.1


def test_the_general_form_equals_the_named_ones():
    from clrcore.scales import Exponential, Halving

    arguments = (0.1, 1.0, 10, 20)

    assert clrcore.cyclic(*arguments) == clrcore.triangular(*arguments)
    assert clrcore.cyclic(*arguments, scale=Halving()) == clrcore.triangular2(*arguments)
    decaying = clrcore.exp_range(*arguments, gamma=0.9, decays="bounds")
    assert clrcore.cyclic(*arguments, scale=Exponential(0.9, "bounds")) == decaying
    assert clrcore.cyclic(*arguments).to_dict()["type"] == "cyclic"
    assert clrcore.cyclic(*arguments, scale=Halving()).to_dict()["type"] == "triangular2"
    bounds_decay = clrcore.cyclic(*arguments, scale=Exponential(0.9, "bounds"))
    assert bounds_decay.to_dict() == decaying.to_dict()


@pytest.mark.parametrize(
    ("policy", "ends"),
    [
        (clrcore.triangular(0.1, 1.0, 3, 4), [7, 14, 21]),
        (clrcore.smith_one_cycle(0.1, 1.0, 10), [20]),
        (clrcore.one_cycle(1.0, 20), [20]),
        (clrcore.warm_restarts(0.1, 1.0, 7), [7, 14, 21]),
        (clrcore.warm_restarts(0.1, 1.0, 3, multiplier=2), [3, 9, 21]),
        (
            clrcore.chain([(clrcore.triangular(0.1, 1.0, 2), 10), (clrcore.constant(0.1), 10)]),
            [4, 8],
        ),
        (clrcore.constant(0.1), []),
        (clrcore.decay(1.0, 0.1, 5), []),
        (clrcore.linear_sweep(0.1, 1.0, 20), []),
    ],
    ids=repr,
)
def test_cycle_ends_are_known(policy, ends):
    assert policy.cycle_ends(21) == ends
    assert policy.cycle_ends(ends[-1] - 1 if ends else 0) == ends[:-1]
    assert [policy.completes(end) for end in ends] == list(range(len(ends)))
    assert [policy.completes(end + 1) for end in ends] == [None] * len(ends)
    assert policy.has_cycles == bool(ends)


def test_positions_are_known():
    restarts = clrcore.warm_restarts(0.1, 1.0, 4, multiplier=3)

    assert restarts.locate(4) == (1, 0, False, 0.0)
    assert restarts.locate(13) == (1, 9, False, 0.75)
    assert clrcore.smith_one_cycle(0.1, 1.0, 10).locate(15) == (0, 15, False, 0.75)
    assert clrcore.triangular(0.1, 1.0, 3, 5).locate(10) == (1, 2, True, 0.25)
    assert clrcore.triangular(0.1, 1.0, 3, 5).locate(11) == (1, 3, False, 0.375)
    ended = clrcore.chain([(clrcore.triangular(0.1, 1.0, 3, 5), 16)])
    assert ended.locate(99) == ended.locate(15) == (1, 7, False, 0.875)
    assert [ended.completes(step) for step in (8, 16, 24)] == [0, 1, None]
    shortest = clrcore.chain([(clrcore.triangular(0.1, 1.0, 1), 4), (clrcore.constant(0.1), 1)])
    assert shortest.cycle_ends(4) == [2, 4]
    assert clrcore.chain([(clrcore.constant(0.1), 4), (clrcore.one_cycle(1.0, 1), 1)]).cycle_ends(
        5
    ) == [5]


def test_the_peak_belongs_to_the_fall():
    """At the peak the next step has the lower rate."""
    one_cycle = clrcore.one_cycle(1.0, 101, pct_start=50 / 101)
    flat = clrcore.one_cycle(1.0, 101, pct_start=0.5, div_factor=1.0)
    for policy, peak in (
        (clrcore.triangular(0.1, 1.0, 3), 3),
        (clrcore.smith_one_cycle(0.1, 1.0, 3), 3),
        (one_cycle, 49),
    ):
        assert [policy.locate(step).rising for step in (peak - 1, peak)] == [True, False]
        assert policy(peak) == 1.0
    assert not flat.locate(3).rising


@given(st.one_of(undecayed(), halving()), st.integers(0, 10**6))
def test_the_height_is_where_the_rate_lies_between_its_bounds(policy, step):
    height = policy.height()

    span = policy.max_lr - policy.base_lr
    exact = policy.base_lr + span * height(step)
    assert policy(step) == pytest.approx(exact, rel=1e-15, abs=4 * math.ulp(policy.max_lr))
    assert 0.0 <= height(step) <= 1.0


def test_heights_do_not_depend_on_the_bounds():
    flat = clrcore.exp_range(0.1, 0.1, 5, gamma=0.9, decays="bounds")
    wide = clrcore.exp_range(0.0, 1.0, 5, gamma=0.9, decays="amplitude")
    chained = clrcore.chain([(flat, 20), (clrcore.triangular2(0.1, 0.2, 3), None)])

    assert flat.height() == wide.height() == wide
    assert chained.height()(23) == 1.0
    for policy in (
        clrcore.one_cycle(1.0, 10),
        clrcore.constant(0.1),
        clrcore.chain([(clrcore.constant(0.1), None)]),
    ):
        with pytest.raises(ValueError, match="has no height between two bounds; pass a policy"):
            policy.height()
