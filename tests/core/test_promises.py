"""The laws every policy keeps."""

import copy
import json
import math
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clrcore
from cases import each
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
    cycle, inside, _, _ = policy.locate(step)
    rising = inside < policy.step_size
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


@each(
    "policy",
    [
        clrcore.triangular(0.01, 0.026, 1),
        clrcore.triangular(0.01, 0.026, 3000, window="hann"),
        clrcore.triangular(0.01, 0.026, 40_000, 3, window="welch"),
        clrcore.triangular(0.01, 0.026, 7, 5, window=lambda u: u**3),
        clrcore.triangular(0.01, 0.026, 7).opposed(0.8, 0.9),
        clrcore.triangular2(0.01, 0.026, 300),
        clrcore.warm_restarts(0.01, 0.026, 900),
        clrcore.warm_restarts(0.01, 0.026, 3, multiplier=2),
    ],
)
@each(("start", "length"), [(0, 0), (5, 3), (0, 7000), (123_457, 7001), (39_990, 90_000)])
def test_values_are_the_formula_bit_for_bit(policy, start, length):
    values = policy.values(start, start + length)

    assert values.dtype == np.float64
    assert np.array_equal(values, policy(np.arange(start, start + length)))
    values[:] = -1.0  # they are the caller's to change
    assert policy.values(start, start + length).min(initial=1.0) > 0


@given(policies, st.integers(0, 10**7), st.integers(0, 300), st.integers(0, 300))
def test_resuming_gives_the_rates_of_running_on(policy, start, before, length):
    whole = policy.values(start, start + before + length)

    assert (
        policy.values(start + before, start + before + length).tolist() == whole[before:].tolist()
    )


@given(policies, steps)
def test_plain_data_and_pickles_bring_the_policy_back(policy, step):
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
    before = getattr(policy, "policy", policy)  # of a cooldown
    if any(total and step + 1 >= total for total in (policy.total_steps, before.total_steps)):
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
    # A cooldown reaches its final rate after its steps, the others by their last step.
    last = total if policy.constructor == "cooldown" else total - 1

    assert policy(total + 1) == policy(10**18) == policy(last)
    assert len(set(policy(np.array([last, total + 1, total + 10**9])).tolist())) == 1


@given(policies)
def test_huge_python_ints_are_steps_too(policy):
    assert math.isfinite(policy(10**400))


def test_huge_steps_are_far_along():
    assert clrcore.exponential(0.1, 0.999999)(10**400) == 0.0
    assert clrcore.warm_restarts(0.1, 1.0, 10, multiplier=2)(10 * (2**100 - 1)) == 1.0


@given(policies)
def test_policies_never_change(policy):
    for name in ("base_lr", "lr", "anything"):
        with pytest.raises(AttributeError, match=r"cannot (assign|delete)"):
            setattr(policy, name, 1.0)
    with pytest.raises(AttributeError, match=r"cannot (assign|delete)"):
        del policy.constructor


@given(policies, steps)
def test_rising_means_that_the_next_rate_is_higher(policy, step):
    assert policy.locate(step).rising is (policy(step + 1) > policy(step))


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


@each(
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
        (clrcore.cooldown(clrcore.triangular(0.1, 1.0, 2), 11, 9), [4, 8]),
        (clrcore.cooldown(clrcore.triangular(0.1, 1.0, 2), 3, 9), []),
        (clrcore.chain([(clrcore.triangular(0.1, 1.0, 2), 3)]), []),
        (clrcore.chain([(clrcore.triangular(0.1, 1.0, 2), 4)]), [4]),
        (clrcore.constant(0.1), []),
        (clrcore.decay(1.0, 0.1, 5), []),
        (clrcore.linear_sweep(0.1, 1.0, 20), []),
    ],
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
    assert ended.values(15, 18).tolist() == [ended(99)] * 3 != [ended(0)] * 3
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


@given(st.one_of(undecayed(), halving(), restarts()), st.floats(0, 1), st.floats(0, 1), steps)
def test_opposed_policies_move_from_high_at_the_base_to_low_at_the_peak(policy, low, high, step):
    low, high = sorted([low, high])
    opposed = policy.opposed(low, high)

    span = policy.max_lr - policy.base_lr
    # Too narrow a span hides where the rate lies in it, as does the coarse grid of tiny floats.
    if span > max(1e-3 * policy.max_lr, 1e-300):
        height = (policy(step) - policy.base_lr) / span
        assert opposed(step) == pytest.approx(high - (high - low) * height, abs=1e-12)
    assert low <= opposed(step) <= high
    assert low <= opposed(np.array([step]))[0] <= high
    if not isinstance(policy, type(clrcore.warm_restarts(0, 1, 1))):
        assert [opposed(0), opposed(policy.step_size)] == [high, low]


def test_opposed_policies_end_and_repeat_as_the_policy_does():
    stage = clrcore.triangular(0.1, 1.0, 5)
    for policy in (stage, clrcore.chain([(stage, 25)]), clrcore.warm_restarts(0.1, 1.0, 5)):
        opposed = policy.opposed(0.5, 1.0)
        for name in ("total_steps", "period", "has_cycles", "repeats"):
            assert getattr(opposed, name) == getattr(policy, name)
        assert opposed.cycle_ends(40) == policy.cycle_ends(40)


def test_opposed_policies_do_not_depend_on_the_bounds():
    flat = clrcore.exp_range(0.1, 0.1, 5, gamma=0.9, decays="bounds")
    wide = clrcore.exp_range(0.0, 1.0, 5, gamma=0.9, decays="amplitude")
    chained = clrcore.chain([(flat, 20), (clrcore.triangular2(0.1, 0.2, 3), None)])

    opposed = flat.opposed(0.5, 1.0)
    assert opposed == wide.opposed(0.5, 1.0)
    assert opposed(5) == 1.0 - 0.5 * wide(5)
    assert chained.opposed(0.5, 1.0)(23) == 0.5
    for policy, expected in (
        (clrcore.cosine(0.3, 0.1, 8), [0.5, 0.75, 1.0]),
        (clrcore.decay(0.3, 0.1, 8), [0.5, 0.75, 1.0]),
        (clrcore.linear_sweep(0.1, 0.3, 9), [1.0, 0.75, 0.5]),
    ):
        assert policy.opposed(0.5, 1.0).values(0, 9)[[0, 4, 8]].tolist() == expected
    assert opposed.opposed(0.0, 1.0)(5) == wide(5)
    assert (opposed.period, opposed.total_steps, opposed.has_cycles) == (10, None, True)
    assert opposed.cycle_ends(25) == [10, 20]
    assert opposed.locate(3).rising is False
    assert opposed.locate(7).rising is True


@each(
    "policy",
    [
        clrcore.one_cycle(1.0, 10),
        clrcore.constant(0.1),
        clrcore.chain([(clrcore.constant(0.1), None)]),
        clrcore.cooldown(clrcore.triangular(0.1, 1.0, 5), 20, 5),
    ],
)
def test_policies_without_two_bounds_are_not_opposed(policy):
    with pytest.raises(ValueError, match="does not move between two bounds; for momentum"):
        policy.opposed(0.85, 0.95)


def highest(data):
    """The highest rate among a policy's arguments."""
    if isinstance(data, list):
        return max(map(highest, data))
    if not isinstance(data, dict):
        return 0.0
    rates = [value for name, value in data.items() if name.endswith("lr") or name == "high"]
    return max([*rates, *map(highest, data.values())])


@given(policies, st.floats(0.01, 1.0), steps)
def test_lowered_policies_have_all_rates_lowered(policy, factor, step):
    lowered = policy.lowered(factor)

    exact = policy(step) * factor
    assert lowered(step) == pytest.approx(exact, rel=1e-11, abs=1e-12 * highest(policy.to_dict()))
    assert lowered.cycle_ends(1000) == policy.cycle_ends(1000)
    assert (lowered.period, lowered.total_steps) == (policy.period, policy.total_steps)


def test_lowered_keeps_windows_and_scales_of_the_users_own():
    policy = clrcore.cyclic(0.25, 1.0, 5, window=lambda u: u * u, scale=lambda cycle, step: 0.5)

    lowered = policy.lowered(0.5)

    assert lowered.values(0, 30).tolist() == (policy.values(0, 30) * 0.5).tolist()
    assert policy.lowered(1) == policy
    for wrong in (0.0, -0.5, 1.5, math.nan):
        with pytest.raises(ValueError, match=r"factor must be a finite number in \(0, 1\]"):
            policy.lowered(wrong)
    with pytest.raises(TypeError, match="factor must be"):
        policy.lowered(True)


@each(
    ("policy", "repeats"),
    [
        (clrcore.triangular2(0.1, 1.0, 3, 4), True),
        (clrcore.exp_range(0.1, 1.0, 3, gamma=0.9, decays="bounds"), True),
        (clrcore.triangular(0.1, 1.0, 3).opposed(0.85, 0.95), True),
        (clrcore.warm_restarts(0.1, 1.0, 7), True),
        (clrcore.warm_restarts(0.1, 1.0, 7, multiplier=2), False),
        (clrcore.one_cycle(1.0, 20), False),
        (clrcore.smith_one_cycle(0.1, 1.0, 20), False),
        (clrcore.constant(0.1), False),
        (clrcore.cosine(0.1, 0.0, 10), False),
        (clrcore.linear_sweep(0.1, 0.2, 10), False),
        (clrcore.chain([(clrcore.triangular(0.1, 1.0, 3), None)]), False),
        (clrcore.cooldown(clrcore.triangular(0.1, 1.0, 3), 10, 5), False),
    ],
)
def test_repeats_means_cycles_of_one_length_without_end(policy, repeats):
    assert policy.repeats is repeats


@each(
    ("shape", "formula"),
    [
        ("linear", lambda share: 1 - share),
        ("cosine", lambda share: (1 + math.cos(math.pi * share)) / 2),
        ("1-sqrt", lambda share: 1 - math.sqrt(share)),
    ],
)
@each("at", [0, 1, 30, 33])
def test_cooldown_follows_the_policy_and_then_falls(shape, formula, at):
    before = clrcore.triangular(0.01, 0.026, 10)
    policy = clrcore.cooldown(before, at, 7, final_lr=0.003, shape=shape)

    start = before(at)
    falling = [0.003 + (start - 0.003) * formula(share / 7) for share in range(8)]
    expected = [*before.values(0, at), *falling, 0.003, 0.003]
    assert [policy(step) for step in range(at + 10)] == pytest.approx(expected, rel=1e-14)
    assert policy.values(0, at + 10) == pytest.approx(expected, rel=1e-14)
    assert (policy(at), policy(at + 7), policy(10**12)) == (start, 0.003, 0.003)
    assert policy.total_steps == at + 7
    assert policy.cycle_ends(1000) == before.cycle_ends(at)
    assert policy.completes(40) is None
    assert policy.locate(at + 7)[1:] == (7, False, 1.0)


def test_rounding_does_not_keep_a_flat_cooldown_from_being_lowered():
    """Its final rate, lowered, is an ulp above the lowered policy's rate at the start."""
    before = clrcore.triangular(0.001, 0.006, 7)
    lowered = clrcore.cooldown(before, 3, 5, final_lr=before(3)).lowered(0.1)

    assert lowered(3) == lowered(9) == pytest.approx(before(3) * 0.1, rel=1e-15)


@each(
    ("arguments", "kind", "message"),
    [
        (
            {"final_lr": 0.2},
            ValueError,
            "final_lr must be at most the policy's rate at step 10, 0.1",
        ),
        ({"shape": "sqrt"}, ValueError, "shape must be one of 'linear', 'cosine', '1-sqrt'"),
        ({"at": -1}, ValueError, "at must be an integer >= 0|from 0"),
        ({"num_steps": 0}, ValueError, "num_steps must be"),
        ({"policy": 0.1}, TypeError, "policy must be a policy of clrcore"),
    ],
)
def test_cooldown_refuses_bad_arguments(arguments, kind, message):
    with pytest.raises(kind, match=message):
        clrcore.cooldown(**{"policy": clrcore.constant(0.1), "at": 10, "num_steps": 5, **arguments})


def nested(depth):
    policy = clrcore.triangular(0.1, 1.0, 2)
    for _ in range(depth):
        policy = clrcore.chain([(policy, None)])
    return policy


def test_policies_nest_32_deep_and_no_deeper():
    deepest = nested(31).opposed(0.5, 1.0)

    for twin in (
        clrcore.policy_from_dict(json.loads(json.dumps(deepest.to_dict()))),
        pickle.loads(pickle.dumps(deepest)),
        copy.deepcopy(deepest),
        eval_repr(deepest),
    ):
        assert twin == deepest
        assert hash(twin) == hash(deepest)
    assert deepest(2) == deepest.values(2, 3)[0] == 0.5
    assert nested(32).locate(5) == (1, 1, True, 0.25)
    for make in (
        lambda policy: clrcore.chain([(policy, None)]),
        lambda policy: policy.opposed(0.5, 1.0),
        lambda policy: clrcore.cooldown(policy, 4, 2),
    ):
        with pytest.raises(ValueError, match="nests policies more than 32 levels deep; write the"):
            make(nested(32))


def test_a_chain_of_very_many_stages_is_searched_not_walked():
    """The lines of Python that run do not grow with the number of stages."""

    def lines(count):
        policy = clrcore.chain([(clrcore.triangular(0.0, 1.0, 1), 2)] * count)

        def answers():
            return policy(count + 1), *policy.values(count, count + 4), policy.completes(count)

        assert answers() == (1.0, 0.0, 1.0, 0.0, 1.0, count // 2 - 1)  # keeps where stages start
        seen, before = 0, sys.gettrace()

        def trace(frame, event, argument):
            nonlocal seen
            seen += 1
            return trace

        sys.settrace(trace)
        try:
            answers()
        finally:
            sys.settrace(before)
        return seen

    assert lines(20_000) == lines(200)
