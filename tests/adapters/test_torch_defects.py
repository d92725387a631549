"""The situations in which PyTorch 2.13's own schedulers fail, with PolicyLR in their place.

B1 to B23 number the defects in the order in which they were collected; those that a scheduler
of one policy cannot have, or that PyTorch has cured, are left out. Where PyTorch's tracker
knows a defect, its issue is named.
"""

import copy
import functools
import math
import warnings
from fractions import Fraction

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, SequentialLR, StepLR

import clrcore
from clr_adapters.torch import PolicyLR
from torch_optimizers import add_group, optimizer, rates, run

TRIANGULAR = clrcore.triangular(0.01, 0.1, 4)


@pytest.mark.parametrize("cycle", [1024, 1025, 1026, 10**6])
def test_b1_halving_does_not_overflow_in_late_cycles(cycle):
    """pytorch#52989: 2.0**(cycle - 1) at cycle 1025."""
    opt = optimizer()
    scheduler = PolicyLR(opt, clrcore.triangular2(0.01, 0.1, 5))
    scheduler.jump(10 * cycle - 1)
    run(opt, scheduler, 12)

    assert rates(opt) == [0.01]


def test_b2_loading_a_state_leaves_it_as_it_was():
    """The second load of one dictionary failed, also through SequentialLR."""
    opt = optimizer()
    scheduler = SequentialLR(
        opt, [PolicyLR(opt, TRIANGULAR), PolicyLR(opt, TRIANGULAR)], milestones=[3]
    )
    run(opt, scheduler, 5)
    state = scheduler.state_dict()
    before = copy.deepcopy(state)
    for _ in range(2):
        scheduler.load_state_dict(state)
        assert state == before
        assert rates(opt) == [TRIANGULAR(2)]


@pytest.mark.parametrize("tensor", [False, True])
def test_b3_the_first_rate_is_the_policys_whatever_came_before(tensor):
    """pytorch#21965: an earlier scheduler's initial_lr was used for step 0."""
    opt = optimizer(0.5, tensor=tensor)
    StepLR(opt, 1)
    PolicyLR(opt, clrcore.triangular(0.2, 0.3, 4))
    PolicyLR(opt, TRIANGULAR)

    assert rates(opt) == [0.01]


def test_b4_rates_are_never_aliased():
    """A tensor bound became the group's rate itself, was filled, and the schedule froze."""
    bound = torch.tensor(0.1)
    with pytest.raises(TypeError, match="max_lr must be a finite number"):
        clrcore.triangular(0.01, bound, 4)
    opt = optimizer(0.3)
    scheduler = PolicyLR(opt, clrcore.triangular(0.01, 0.1, 4))
    assert run(opt, scheduler, 9) == TRIANGULAR.values(0, 9).tolist()

    for group in opt.param_groups:
        group["lr"] = bound
    assert run(opt, scheduler, 9)[1:] == pytest.approx(TRIANGULAR.values(10, 18))
    kept = [scheduler.get_lr()[0], scheduler.get_last_lr()[0], opt.param_groups[0]["initial_lr"]]
    assert all(one is not bound for one in kept)


@pytest.mark.parametrize("anneal", ["cos", "linear"])
@pytest.mark.parametrize("form", ["two_phase", "three_phase"])
@pytest.mark.parametrize("total", [4, 20, 100])
def test_b5_the_rate_after_the_last_update_is_the_last_rate(anneal, form, total):
    """pytorch#91765: it was extrapolated, below zero or up again."""
    opt = optimizer()
    policy = clrcore.one_cycle(0.1, total, form=form, anneal_strategy=anneal)
    scheduler = PolicyLR(opt, policy)
    for updates in (total, 1, 50):
        run(opt, scheduler, updates)
        assert rates(opt) == [policy(total - 1)]
    assert policy(total - 1) == pytest.approx(0.1 / 25 / 1e4, rel=1e-9)


def warm_up_and_cycles(opt, policy=TRIANGULAR):
    warm_up = PolicyLR(opt, clrcore.linear_sweep(0.01, 0.04, 4))
    return SequentialLR(opt, [warm_up, PolicyLR(opt, policy)], milestones=[3])


@pytest.mark.parametrize("policy", [TRIANGULAR, clrcore.triangular(0.5, 0.6, 4)])
@pytest.mark.parametrize("updates", [0, 1, 2, 3, 4, 7])
@pytest.mark.parametrize("order", ["optimizer first", "scheduler first", "made last"])
def test_b6_a_sequence_resumes_where_it_was_with_its_own_policy(updates, order, policy):
    """pytorch#162591: SequentialLR restored a rate of the wrong scheduler."""
    opt = optimizer()
    scheduler = warm_up_and_cycles(opt)
    run(opt, scheduler, updates)
    saved = copy.deepcopy((opt.state_dict(), scheduler.state_dict()))

    opt = optimizer()
    if order == "made last":
        opt.load_state_dict(saved[0])
    scheduler = warm_up_and_cycles(opt, policy)
    if order == "optimizer first":
        opt.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])
    if order == "scheduler first":
        opt.load_state_dict(saved[0])

    expected = [*clrcore.linear_sweep(0.01, 0.04, 4).values(0, 3), *policy.values(0, 10)]
    assert run(opt, scheduler, 6) == pytest.approx(expected[updates : updates + 6], rel=1e-15)


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")  # SequentialLR's own
@pytest.mark.parametrize("updates", [2, 3, 5])
@pytest.mark.parametrize("ours_first", [True, False])
def test_b6_a_mixed_sequence_resumes_where_it_was(updates, ours_first):
    """A scheduler whose turn is over, or not yet, leaves the rates to the other one."""

    def mixed(opt):
        pair = [PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9)), ExponentialLR(opt, 0.5)]
        return SequentialLR(opt, pair if ours_first else pair[::-1], milestones=[3])

    opt = optimizer(momentum=0.7)
    scheduler = mixed(opt)
    run(opt, scheduler, updates)
    saved = copy.deepcopy((opt.state_dict(), scheduler.state_dict()))
    expected = run(opt, scheduler, 6)

    opt = optimizer(momentum=0.7)
    scheduler = mixed(opt)
    opt.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])

    assert opt.state_dict()["param_groups"] == saved[0]["param_groups"]
    assert run(opt, scheduler, 6) == expected


def test_b6_a_chain_resumes_by_last_epoch():
    """What SequentialLR(last_epoch=...) is for is one policy here."""
    policy = clrcore.chain([(clrcore.linear_sweep(0.01, 0.04, 3), 3), (TRIANGULAR, None)])
    for updates in range(1, 9):
        opt = optimizer()
        scheduler = PolicyLR(opt, policy, last_epoch=updates - 1)
        assert run(opt, scheduler, 4) == policy.values(updates, updates + 4).tolist()


def test_b8_two_schedulers_do_not_share_their_bounds():
    """Both kept them in the groups, under the same names: the later one's were used."""
    opt = optimizer(momentum=0.9)
    keys = {*opt.param_groups[0], "initial_lr"}
    first = PolicyLR(opt, clrcore.chain([(TRIANGULAR, 8)]), momentum=(0.85, 0.95))
    second = PolicyLR(opt, clrcore.triangular(1.0, 2.0, 4), momentum=(0.5, 0.6))
    scheduler = SequentialLR(opt, [first, second], milestones=[8])
    seen = []
    for _ in range(16):
        group = opt.param_groups[0]
        seen.append((group["lr"], group["momentum"]))
        opt.step()
        scheduler.step()

    assert (min(seen[:8]), max(seen[:8])) == (
        pytest.approx((0.01, 0.95)),
        pytest.approx((0.1, 0.85)),
    )
    assert (min(seen[8:]), max(seen[8:])) == (pytest.approx((1.0, 0.6)), pytest.approx((2.0, 0.5)))
    assert set(opt.param_groups[0]) == keys


def test_b8_a_resumed_run_uses_the_bounds_it_was_given():
    """OneCycleLR read the old run's from the optimizer's state."""
    opt = optimizer()
    run(opt, PolicyLR(opt, clrcore.one_cycle(0.1, 100)), 5)
    saved = opt.state_dict()
    opt = optimizer()
    scheduler = PolicyLR(opt, clrcore.one_cycle(0.9, 101, pct_start=0.5))
    opt.load_state_dict(saved)
    scheduler.jump(50)

    assert rates(opt)[0] == pytest.approx(0.9, rel=1e-3)


@pytest.mark.parametrize("tensor", [False, True])
def test_b10_added_and_removed_groups_follow_the_one_policy_from_the_next_step_on(tensor):
    """pytorch#53712, #62475, #79888: ValueError from zip, or KeyError, half-way through."""
    opt = optimizer(tensor=tensor, momentum=0.5)
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    run(opt, scheduler, 2)
    add_group(opt, 0.25)
    assert [float(lr) for lr in scheduler.get_lr()] == [TRIANGULAR(2)] * 2
    assert rates(opt) == [TRIANGULAR(2), 0.25]  # its own, until the next step
    run(opt, scheduler, 2)

    assert rates(opt) == [0.1, 0.1]
    assert [g["momentum"] for g in opt.param_groups] == pytest.approx([0.8, 0.8])
    del opt.param_groups[0]
    run(opt, scheduler, 2)
    assert rates(opt) == [TRIANGULAR(6)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"policy": [TRIANGULAR, TRIANGULAR]},
        {"policy": TRIANGULAR, "momentum": [(0.8, 0.9), None]},
    ],
)
@pytest.mark.parametrize("move", ["step", "jump", "get_lr"])
def test_b10_groups_that_a_list_does_not_cover_are_refused_and_change_nothing(arguments, move):
    opt = optimizer(0.5, 0.3, momentum=0.7)
    scheduler = PolicyLR(opt, **arguments)
    run(opt, scheduler, 2)
    add_group(opt)
    before = copy.deepcopy(opt.state_dict()["param_groups"])

    with pytest.raises(ValueError, match=r"must be an optimizer with 2 parameter groups.*, got 3"):
        getattr(scheduler, move)(*[7] * (move == "jump"))

    assert opt.state_dict()["param_groups"] == before
    assert (scheduler.last_epoch, scheduler._step_count) == (2, 3)
    assert not scheduler.state_dict()["applied"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda step: functools.partial(step),
        lambda step: lambda *a, **k: step(*a, **k),
        lambda step: torch.compile(step, backend="eager"),
    ],
    ids=["partial", "function", "compiled"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_b11_a_step_without_func_is_fine(wrap):
    """torchtune#2263: AttributeError '__func__'. The order of steps is watched all the same."""
    opt = optimizer()
    opt.step = wrap(opt.step)
    assert run(opt, PolicyLR(opt, TRIANGULAR), 5) == TRIANGULAR.values(0, 5).tolist()

    opt = optimizer()
    opt.step = wrap(opt.step)
    scheduler = PolicyLR(opt, TRIANGULAR)
    with pytest.warns(UserWarning, match="called before optimizer.*holds another optimizer"):
        scheduler.step()


def test_b11_a_watched_step_returns_what_the_step_returns():
    opt = optimizer()
    opt.step = functools.partial(opt.step)
    PolicyLR(opt, TRIANGULAR)
    assert opt.step(lambda: 0.5) == 0.5


def test_b11_a_step_of_another_object_stays_that_objects():
    """The base class binds any method anew, to the optimizer."""

    class Counting:
        def __init__(self, step):
            self.made, self.inner = 0, step

        def step(self):
            self.made += 1
            self.inner()

    opt = optimizer()
    counting = Counting(opt.step)
    opt.step = counting.step
    run(opt, PolicyLR(opt, TRIANGULAR), 5)

    assert counting.made == 5
    assert float(opt.param_groups[0]["params"][0][0].detach()) == pytest.approx(
        -sum(TRIANGULAR.values(0, 5))
    )


def scaled_update(opt, scaler, loss):
    parameter = opt.param_groups[0]["params"][0]
    opt.zero_grad()
    scaler.scale((parameter * loss).sum()).backward()
    scaler.step(opt)
    scaler.update()


def test_b12_a_skipped_first_update_is_no_wrong_order():
    """pytorch#44511, #55585: a GradScaler leaves out an update that overflows."""
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    scaler = torch.amp.GradScaler("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled_update(opt, scaler, math.inf)
        assert not hasattr(opt, "_opt_called")
        scheduler.step()
        scaled_update(opt, scaler, 1.0)
        scheduler.step()

    opt = optimizer()  # with finite gradients the order is wrong, and said to be
    scheduler = PolicyLR(opt, TRIANGULAR)
    with pytest.warns(UserWarning, match="called before optimizer.*holds another optimizer"):
        scheduler.step()


def test_b20_the_state_holds_no_function_and_says_nothing_about_one():
    """States of custom scales crashed, lost the scale, or ran another than they named."""
    custom = clrcore.cyclic(0.01, 0.1, 4, scale=lambda cycle, step: 0.5)
    plain = clrcore.triangular2(0.01, 0.1, 4)
    states = []
    for policy in (custom, plain):
        opt = optimizer()
        scheduler = PolicyLR(opt, policy)
        scheduler.jump(12)
        states.append(scheduler.state_dict())
    assert states[0] == states[1]
    for policy in (custom, plain):
        opt = optimizer()
        PolicyLR(opt, policy).load_state_dict(states[0])
        assert rates(opt) == [policy(12)]  # the policy it was made with


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_b22_a_tensor_keeps_its_precision_which_is_all_a_schedule_can_have(dtype):
    """Bfloat16 knows 128 rates from one to its double, as the docstring says."""
    opt = optimizer()
    opt.param_groups[0]["lr"] = torch.tensor(0.5, dtype=dtype)
    policy = clrcore.triangular(0.0625, 0.125, 2000)
    scheduler = PolicyLR(opt, policy)
    seen = run(opt, scheduler, 2001)

    assert opt.param_groups[0]["lr"].dtype == dtype
    assert seen == torch.tensor(policy.values(0, 2001)).to(dtype).tolist()
    if dtype == torch.bfloat16:
        assert len(set(seen)) == 129
    assert scheduler.state_dict()["applied"]


@pytest.mark.parametrize("power", [6, 9, 12, 15])
def test_b23_precision_does_not_decay(power):
    """t / T + 1 - cycle cancelled: 2.5e-5 relative at step 10^12."""
    low, high, up, down = 1e-7, 0.1, 7, 13
    opt = optimizer()
    scheduler = PolicyLR(opt, clrcore.triangular(low, high, up, down))
    for step in range(10**power - 3, 10**power + 20):
        scheduler.jump(step)
        inside = step % (up + down)
        height = min(Fraction(inside, up), Fraction(up + down - inside, down))
        exact = Fraction(low) + (Fraction(high) - Fraction(low)) * height
        assert abs(Fraction(rates(opt)[0]) - exact) <= 4 * Fraction(math.ulp(float(exact)))
