"""PolicyLR on real optimizers, beside PyTorch's own schedulers."""

import copy
import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import (
    CyclicLR,
    OneCycleLR,
)

import clrcore
from clr_adapters.torch import PolicyLR
from clr_adapters.torch._group_values import STEPS_AT_ONCE
from strategies import policies
from torch_optimizers import add_group, optimizer, rates, run

TRIANGULAR = clrcore.triangular(0.01, 0.1, 4)


# The rates.


@settings(max_examples=50, deadline=None)
@given(policies, st.integers(0, 10**6))
def test_every_update_uses_the_policys_rate(policy, start):
    opt = optimizer()
    opt.param_groups[0]["params"][0].grad = None  # any rate will do, however large
    scheduler = PolicyLR(opt, policy)
    assert rates(opt) == policy.values(0, 1).tolist()
    opt.step()

    scheduler.jump(start)
    seen = run(opt, scheduler, 3)

    assert seen == policy.values(start, start + 3).tolist()
    assert type(opt.param_groups[0]["lr"]) is float


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "array"])
def test_rates_of_numpy_become_floats_that_torch_can_load(kind, tmp_path):
    numpy = pytest.importorskip("numpy")
    opt = optimizer()
    opt.param_groups[0]["lr"] = getattr(numpy, kind)(1)
    PolicyLR(opt, TRIANGULAR)
    torch.save(opt.state_dict(), tmp_path / "state.pt")

    group = torch.load(tmp_path / "state.pt", weights_only=True)["param_groups"][0]
    assert (group["initial_lr"], type(group["initial_lr"])) == (1.0, float)


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_one_policy_sets_all_groups_alike(tensor, count):
    opt = optimizer(*[0.5, 0.3, 0.1][:count], tensor=tensor)
    scheduler = PolicyLR(opt, TRIANGULAR)

    for step in range(300):
        assert rates(opt) == [TRIANGULAR(step)] * count
        assert [float(lr) for lr in scheduler.get_last_lr()] == rates(opt)
        assert [float(lr) for lr in scheduler.get_lr()] == rates(opt)
        opt.step()
        scheduler.step()


def test_a_policy_per_group():
    opt = optimizer(0.5, 0.3)
    scheduler = PolicyLR(opt, [TRIANGULAR, clrcore.constant(0.2)])
    run(opt, scheduler, 3)

    assert rates(opt) == [TRIANGULAR(3), 0.2]


def test_proportional_keeps_the_ratios_of_the_groups_and_honours_lr_scale():
    opt = optimizer(0.4, 0.1, 0.4)
    opt.param_groups[2]["lr_scale"] = 0.5
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True)

    for step in range(10):
        rate = TRIANGULAR(step)
        assert rates(opt) == pytest.approx([rate, rate / 4, rate / 2], rel=1e-15)
        opt.step()
        scheduler.step()


def test_get_lr_is_pure_in_last_epoch_which_may_be_set_from_outside():
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    before = rates(opt)
    opt.step()

    scheduler.last_epoch = 10**6 + 3
    assert scheduler.get_lr() == [TRIANGULAR(10**6 + 3)]
    assert rates(opt) == before

    scheduler.step()
    assert rates(opt) == [TRIANGULAR(10**6 + 4)]


def test_lists_of_rates_are_the_callers():
    opt = optimizer(tensor=True)
    scheduler = PolicyLR(opt, TRIANGULAR)
    scheduler.get_last_lr()[0].fill_(9.0)
    scheduler.get_lr()[0].fill_(9.0)
    scheduler._last_lr.clear()

    assert rates(opt) == [0.01]
    assert [float(lr) for lr in scheduler.get_last_lr()] == [0.01]


def test_a_jump_writes_the_groups_at_once():
    opt = optimizer(momentum=0.9)
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    scheduler.jump(10**6 + 4)

    assert rates(opt) == [0.1]
    assert opt.param_groups[0]["momentum"] == pytest.approx(0.8)
    assert scheduler.last_epoch == 10**6 + 4


@pytest.mark.parametrize("policy", [TRIANGULAR, [TRIANGULAR, clrcore.constant(0.2)]])
def test_lower_multiplies_all_rates_from_now_on_and_leaves_momentum(policy):
    opt = optimizer(0.5, 0.3, momentum=0.9)
    scheduler = PolicyLR(opt, policy, momentum=[(0.8, 0.9), None])
    run(opt, scheduler, 3)
    before = rates(opt)
    scheduler.lower(0.5)

    assert rates(opt) == pytest.approx([rate / 2 for rate in before])
    assert run(opt, scheduler, 9) == TRIANGULAR.lowered(0.5).values(3, 12).tolist()
    assert scheduler.policies[0] == TRIANGULAR.lowered(0.5)
    assert opt.param_groups[0]["momentum"] == TRIANGULAR.opposed(0.8, 0.9)(12)
    with pytest.raises(ValueError, match="factor must be"):
        scheduler.lower(1.5)


def test_steps_to_an_epoch_are_jumps():
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    opt.step()
    scheduler.step(7)

    assert (rates(opt), scheduler.last_epoch) == ([TRIANGULAR(7)], 7)


# Beside PyTorch's own.


@pytest.mark.parametrize("halves", [(4, 4), (3, 7), (1, 1)])
@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
def test_cyclic_lr_has_the_same_rates_and_momenta(mode, halves):
    theirs, ours = optimizer(momentum=0.9), optimizer(momentum=0.9)
    cyclic = CyclicLR(
        theirs, 0.01, 0.1, *halves, mode=mode, gamma=0.99, base_momentum=0.8, max_momentum=0.9
    )
    make = getattr(clrcore, mode)
    options = {"gamma": 0.99, "decays": "amplitude"} if mode == "exp_range" else {}
    scheduler = PolicyLR(ours, make(0.01, 0.1, *halves, **options), momentum=(0.8, 0.9))

    for _ in range(60):
        assert rates(ours) == pytest.approx(rates(theirs), rel=1e-12)
        momenta = [opt.param_groups[0]["momentum"] for opt in (ours, theirs)]
        assert momenta[0] == pytest.approx(momenta[1], rel=1e-12)
        for opt, one in ((theirs, cyclic), (ours, scheduler)):
            opt.step()
            one.step()


@pytest.mark.parametrize("three_phase", [False, True])
@pytest.mark.parametrize("anneal", ["cos", "linear"])
def test_one_cycle_lr_has_the_same_rates(three_phase, anneal):
    theirs, ours = optimizer(), optimizer()
    one_cycle = OneCycleLR(
        theirs, 0.1, 50, three_phase=three_phase, anneal_strategy=anneal, cycle_momentum=False
    )
    form = "three_phase" if three_phase else "two_phase"
    scheduler = PolicyLR(ours, clrcore.one_cycle(0.1, 50, form=form, anneal_strategy=anneal))

    for _ in range(49):
        assert rates(ours) == pytest.approx(rates(theirs), abs=1e-13)
        for opt, one in ((theirs, one_cycle), (ours, scheduler)):
            opt.step()
            one.step()


# Momentum.


@pytest.mark.parametrize(
    ("kind", "options", "read"),
    [
        ("SGD", {"momentum": 0.5}, lambda group: group["momentum"]),
        ("SGD", {}, lambda group: group["momentum"]),
        ("RMSprop", {}, lambda group: group["momentum"]),
        ("Adam", {}, lambda group: group["betas"][0]),
        ("AdamW", {}, lambda group: group["betas"][0]),
        ("NAdam", {}, lambda group: group["betas"][0]),
    ],
)
def test_momentum_moves_against_the_rate(kind, options, read):
    opt = optimizer(kind=kind, **options)
    others = opt.param_groups[0].get("betas", (None,))[1:]
    scheduler = PolicyLR(opt, clrcore.triangular2(0.01, 0.1, 4), momentum=(0.8, 0.9))
    seen = []
    for _ in range(13):
        seen.append(read(opt.param_groups[0]))
        opt.step()
        scheduler.step()

    assert seen[::2] == pytest.approx([0.9, 0.85, 0.8, 0.85, 0.9, 0.875, 0.85])
    assert opt.param_groups[0].get("betas", (None,))[1:] == others


def test_momentum_moves_where_the_bounds_are_equal():
    opt = optimizer()
    scheduler = PolicyLR(opt, clrcore.triangular(0.1, 0.1, 4), momentum=(0.8, 0.9))
    run(opt, scheduler, 4)

    assert (rates(opt), opt.param_groups[0]["momentum"]) == ([0.1], 0.8)


def test_momentum_is_left_alone_unless_asked_for():
    opt = optimizer(momentum=0.5)
    run(opt, PolicyLR(opt, TRIANGULAR), 5)
    assert opt.param_groups[0]["momentum"] == 0.5
    assert set(opt.param_groups[0]) - {"initial_lr"} == set(optimizer().param_groups[0])


def test_momentum_may_be_a_policy_and_differ_by_group():
    opt = optimizer(0.5, 0.5, 0.5)
    scheduler = PolicyLR(
        opt, TRIANGULAR, momentum=[(0.8, 0.9), None, clrcore.linear_sweep(0.1, 0.5, 5)]
    )
    run(opt, scheduler, 4)

    assert [group["momentum"] for group in opt.param_groups] == pytest.approx([0.8, 0.0, 0.5])


# Tensors.


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("floats", [0, 1])
@pytest.mark.parametrize("count", [3, 30])  # many are filled in inference mode
def test_tensor_rates_are_filled_in_place_and_floats_stay_floats(kind, floats, count):
    opt = optimizer(*[0.5] * count, tensor=True, kind=kind)
    for group in opt.param_groups[:floats]:
        group["lr"] = 0.5
    before = [group["lr"] for group in opt.param_groups[floats:]]
    scheduler = PolicyLR(opt, TRIANGULAR)
    run(opt, scheduler, 300)
    scheduler.jump(4)
    scheduler.load_state_dict(scheduler.state_dict())

    after = opt.param_groups
    assert all(group["lr"] is lr for group, lr in zip(after[floats:], before, strict=True))
    assert all(type(group["lr"]) is float for group in after[:floats])
    assert before[0] is not before[1]
    assert rates(opt) == [0.1] * count
    assert not any(lr.is_inference() for lr in before)
    before[0] *= 2  # autograd still lets it be changed


def test_tensor_betas_are_filled_in_place():
    betas = (torch.tensor(0.9), torch.tensor(0.999))
    opt = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=torch.tensor(0.1), betas=betas)
    before = opt.param_groups[0]["betas"]
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    scheduler.jump(4)

    assert opt.param_groups[0]["betas"] is before
    assert [float(beta) for beta in before] == pytest.approx([0.8, 0.999])


# Groups that come and go.


@pytest.mark.parametrize(("count", "place"), [(3, 0), (3, 1), (3, 2), (1, 0)])
def test_a_group_in_the_place_of_another_has_its_own_ratio(count, place):
    opt = optimizer(*[0.4, 0.2, 0.2][:count])
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True)
    run(opt, scheduler, 2)
    del opt.param_groups[place]
    add_group(opt, 0.1)
    scheduler.jump(4)

    assert rates(opt)[-1] == pytest.approx(0.025)
    assert opt.param_groups[-1]["initial_lr"] == 0.1


@pytest.mark.parametrize("arguments", [{}, {"momentum": [(0.8, 0.9), None]}])
def test_a_group_in_the_place_of_another_is_refused_where_it_cannot_be_set(arguments):
    opt = optimizer(0.4, 0.2, momentum=0.9)
    scheduler = PolicyLR(opt, TRIANGULAR, **arguments)
    run(opt, scheduler, 2)
    del opt.param_groups[0]
    add_group(opt, torch.tensor(1))
    with pytest.raises(TypeError, match=r"param_groups\[1\]\['lr'\] must be a number or a tensor"):
        scheduler.step()

    assert opt.param_groups[1]["lr"] == 1
    assert (scheduler.last_epoch, rates(opt)[0]) == (2, TRIANGULAR(2))


def test_a_group_put_in_the_middle_is_seen_where_the_next_block_begins():
    opt = optimizer(0.4, 0.2, 0.1)
    scheduler = PolicyLR(opt, TRIANGULAR)
    opt.param_groups[1] = {**opt.param_groups[1], "lr": 0.3}
    del opt.param_groups[1]["initial_lr"]
    run(opt, scheduler, STEPS_AT_ONCE)

    assert opt.param_groups[1]["initial_lr"] == TRIANGULAR(STEPS_AT_ONCE - 1)


# State.


def test_the_state_is_plain_and_its_own():
    scheduler = PolicyLR(optimizer(), TRIANGULAR)
    scheduler.jump(7)
    state = scheduler.state_dict()
    assert state == {
        "version": 1,
        "last_epoch": 7,
        "groups": 1,
        "first_ratio": None,
        "applied": True,
    }
    state["last_epoch"] = 99

    assert scheduler.state_dict()["last_epoch"] == 7


ORDERS = ["optimizer, new, scheduler", "new, optimizer, scheduler", "new, scheduler, optimizer"]


def resumed(saved, opt, order, policy=TRIANGULAR, **arguments):
    """A scheduler of `opt`, after both states were loaded in this order."""
    for what in order.split(", "):
        if what == "optimizer":
            opt.load_state_dict(saved[0])
        elif what == "new":
            scheduler = PolicyLR(opt, policy, **arguments)
        elif what == "jump":
            scheduler.jump(saved[1]["last_epoch"])
        else:
            scheduler.load_state_dict(saved[1])
    return scheduler


def all_rates(opt, scheduler, steps):
    """The rates of all groups at every update."""
    return [(rates(opt), run(opt, scheduler, 1))[0] for _ in range(steps)]


STEEP = clrcore.triangular2(1e-4, 5e-2, 100)
FLAT = clrcore.triangular2(1e-4, 1e-3, 100)
JUMPS = ["new, jump, optimizer", "new, optimizer, jump"]


@pytest.mark.parametrize("order", ORDERS + JUMPS)
@pytest.mark.parametrize("policy", [STEEP, FLAT])
@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("proportional", [False, True])
def test_the_update_after_any_order_of_loading_is_that_of_the_schedulers_own_policy(
    order, policy, tensor, proportional
):
    """pytorch#119168, #65342: an update at the rate and momentum of the constructor.

    The optimizer's state holds the rates of the run before, whose policy may be another.
    """
    opt = optimizer(0.4, 0.1, tensor=tensor, momentum=0.9)
    scheduler = PolicyLR(opt, STEEP, momentum=(0.85, 0.95), proportional=proportional)
    run(opt, scheduler, 130)
    saved = copy.deepcopy((opt.state_dict(), scheduler.state_dict()))

    opt = optimizer(0.8, 0.2, tensor=tensor, momentum=0.9)
    arguments = {"momentum": (0.5, 0.6), "proportional": proportional}
    scheduler = resumed(saved, opt, order, policy, **arguments)
    second = policy(130) * (0.25 if proportional else 1.0)
    assert rates(opt) == pytest.approx([policy(130), second], rel=1e-15)
    momentum = policy.opposed(0.5, 0.6)(130)
    assert [group["momentum"] for group in opt.param_groups] == [momentum] * 2
    assert run(opt, scheduler, 3) == policy.values(130, 133).tolist()


@pytest.mark.parametrize("copied", [lambda x: x, copy.deepcopy])
def test_an_optimizer_loaded_after_a_jump_keeps_the_rate_of_the_jump(copied):
    opt = optimizer()
    run(opt, PolicyLR(opt, STEEP), 130)
    saved = copy.deepcopy(opt.state_dict())
    scheduler = PolicyLR(optimizer(), FLAT)
    scheduler.jump(57)
    scheduler = copied(scheduler)
    scheduler.optimizer.load_state_dict(saved)

    assert rates(scheduler.optimizer) == [FLAT(57)]


def test_an_optimizer_loaded_outside_the_schedulers_turn_keeps_its_rates():
    opt = optimizer()
    saved = copy.deepcopy(opt.state_dict())
    scheduler = PolicyLR(opt, [TRIANGULAR])
    PolicyLR(opt, FLAT)  # the turn of another, which is gone
    opt.load_state_dict(saved)
    assert rates(opt) == [0.5]
    scheduler.jump(3)
    add_group(opt)
    saved = copy.deepcopy(opt.state_dict())
    opt.load_state_dict(saved)  # the list does not cover the new group
    assert rates(opt) == [TRIANGULAR(3), 0.25]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("removed", [None, "before", "at the end"])
def test_ratios_are_those_of_the_run_in_any_order_of_loading(order, tensor, removed):
    opt = optimizer(0.4, 0.1, 0.05, tensor=tensor)
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True)
    run(opt, scheduler, 2)
    if removed == "before":
        del opt.param_groups[0]
    run(opt, scheduler, 5)
    if removed == "at the end":
        del opt.param_groups[0]
    saved = copy.deepcopy((opt.state_dict(), scheduler.state_dict()))
    add_group(opt, 0.2)
    expected = all_rates(opt, scheduler, 9)

    opt = optimizer(*[0.001] * (3 if removed is None else 2), tensor=tensor)
    scheduler = resumed(saved, opt, order, proportional=True)
    add_group(opt, 0.2)
    assert all_rates(opt, scheduler, 9) == [pytest.approx(one) for one in expected]


def test_ratios_are_those_of_the_optimizers_state_without_the_schedulers():
    opt = optimizer(0.1, 0.05)
    PolicyLR(opt, TRIANGULAR, proportional=True)
    saved = copy.deepcopy(opt.state_dict())
    opt = optimizer(0.001, 0.001)
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True)
    opt.load_state_dict(saved)
    scheduler.jump(4)

    assert rates(opt) == pytest.approx([0.1, 0.05])


def added(opt):
    add_group(opt, 0.2)


def cut(opt):
    for group in opt.param_groups:
        group["lr"] = group["lr"] * 0.1


def rescaled(opt):
    opt.param_groups[1]["lr_scale"] = 0.5


def warmed(opt):
    cut(opt)
    for group in opt.param_groups:
        group["momentum"] = group["momentum"] * 0.5


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("change", [added, cut, rescaled, warmed])
@pytest.mark.parametrize("tensor", [False, True])
def test_what_was_set_last_before_saving_is_used_in_any_order_of_loading(order, change, tensor):
    arguments = {"proportional": change is rescaled, "momentum": (0.8, 0.9)}
    opt = optimizer(0.1, 0.1, tensor=tensor, momentum=0.9)
    scheduler = PolicyLR(opt, TRIANGULAR, **arguments)
    run(opt, scheduler, 6)
    change(opt)
    saved = copy.deepcopy((opt.state_dict(), scheduler.state_dict()))
    assert not saved[1]["applied"]
    expected = all_rates(opt, scheduler, 9)

    opt = optimizer(*[0.3] * len(opt.param_groups), tensor=tensor, momentum=0.7)
    scheduler = resumed(saved, opt, order, **arguments)
    assert [g["momentum"] for g in opt.param_groups] == [
        g["momentum"] for g in saved[0]["param_groups"]
    ]
    assert all_rates(opt, scheduler, 9) == expected


@pytest.mark.parametrize("steps", [0, 2])
def test_a_state_of_values_not_applied_leaves_what_was_set_since(steps):
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    run(opt, scheduler, steps)
    if not steps:
        opt.param_groups[0]["lr"] = 0.7
    before = rates(opt)
    scheduler.load_state_dict(GOOD | {"applied": False})

    assert rates(opt) == before


GOOD = PolicyLR(optimizer(), TRIANGULAR).state_dict()


@pytest.mark.parametrize(
    ("state", "kind", "message"),
    [
        (GOOD | {"last_epoch": -7}, ValueError, r"state_dict\['last_epoch'\] must be an integer"),
        (GOOD | {"last_epoch": math.nan}, ValueError, r"state_dict\['last_epoch'\] must be"),
        (GOOD | {"last_epoch": "3"}, TypeError, r"state_dict\['last_epoch'\] must be"),
        (GOOD | {"first_ratio": -1.0}, ValueError, r"state_dict\['first_ratio'\] must be"),
        (GOOD | {"first_ratio": "1"}, TypeError, r"state_dict\['first_ratio'\] must be"),
        (GOOD | {"applied": 1}, TypeError, r"state_dict\['applied'\] must be True or False"),
        (GOOD | {"groups": 3}, ValueError, "is of 3 parameter groups, but the optimizer has 1"),
        (
            GOOD | {"version": 9},
            ValueError,
            "state_dict has version 9, but this clrcore reads version 1",
        ),
        (GOOD | {"lr": 1.0}, ValueError, "state_dict has unknown 'lr'; its keys must be exactly"),
        ({}, ValueError, "state_dict lacks 'version', 'last_epoch', 'groups', 'first_ratio'"),
        (None, TypeError, "state_dict must be a dictionary"),
    ],
)
def test_wrong_states_change_nothing(state, kind, message):
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    scheduler.jump(3)

    with pytest.raises(kind, match=message):
        scheduler.load_state_dict(state)

    assert (scheduler.last_epoch, rates(opt)) == (3, [TRIANGULAR(3)])


# At the door, and at the edges.


def test_groups_that_come_and_go_change_nothing_for_the_others():
    """Ratios are to the group that was first when the scheduler was made."""
    opt = optimizer(0.4, 0.2)
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True)
    run(opt, scheduler, 2)
    add_group(opt, 0.1)
    run(opt, scheduler, 1)
    add_group(opt, 0.05)
    run(opt, scheduler, 1)
    assert rates(opt) == pytest.approx([0.1, 0.05, 0.025, 0.0125])

    del opt.param_groups[0]
    run(opt, scheduler, 8)
    assert rates(opt) == pytest.approx([0.05, 0.025, 0.0125])
    opt.param_groups.clear()
    scheduler.step()
    assert scheduler.get_last_lr() == scheduler.get_lr() == []


def shared(kind="SGD"):
    """Two groups with the default rate, and betas, which PyTorch gives to both as they are."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    options = {}
    if kind == "Adam":
        options["betas"] = (torch.tensor(0.9), torch.tensor(0.999))
    return getattr(torch.optim, kind)(groups, lr=torch.tensor(0.5), **options)


def test_groups_that_share_a_tensor_may_have_the_same_rate_only():
    opt = shared()
    assert opt.param_groups[0]["lr"] is opt.param_groups[1]["lr"]
    for same in (TRIANGULAR, [TRIANGULAR, clrcore.triangular(0.01, 0.1, 4)]):
        run(opt, PolicyLR(opt, same), 4)
        assert rates(opt) == pytest.approx([0.1, 0.1])
    message = r"param_groups\[1\] must be a group that shares no tensor with param_groups\[0\]"
    with pytest.raises(ValueError, match=message):
        PolicyLR(opt, [TRIANGULAR, clrcore.constant(0.1)])
    PolicyLR(opt, TRIANGULAR, proportional=True)
    opt.param_groups[1]["lr_scale"] = 0.5
    with pytest.raises(ValueError, match=message):
        PolicyLR(opt, TRIANGULAR, proportional=True)


@pytest.mark.parametrize("second", [None, (0.5, 0.6)])
def test_groups_that_share_betas_may_have_the_same_momentum_only(second):
    opt = shared("Adam")
    run(opt, PolicyLR(opt, TRIANGULAR, momentum=[(0.8, 0.9), (0.8, 0.9)]), 4)
    assert float(opt.param_groups[1]["betas"][0]) == pytest.approx(0.8)
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(ValueError, match="shares no tensor"):
        PolicyLR(opt, TRIANGULAR, momentum=[(0.8, 0.9), second])

    assert opt.state_dict() == before


@pytest.mark.parametrize("wrong", [math.nan, -1.0, math.inf, "1", True, torch.tensor([1.0, 2.0])])
def test_scales_that_are_no_factors_are_refused_and_change_nothing(wrong):
    opt = optimizer(0.5, 0.5)
    opt.param_groups[1]["lr_scale"] = wrong
    with pytest.raises((TypeError, ValueError), match=r"param_groups\[1\]\['lr_scale'\] must be"):
        PolicyLR(opt, TRIANGULAR, proportional=True)

    opt = optimizer(0.5, 0.5)
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True)
    opt.param_groups[1]["lr_scale"] = torch.tensor(0.5)
    run(opt, scheduler, 4)
    assert rates(opt) == [0.1, 0.05]
    opt.param_groups[1]["lr_scale"] = wrong
    with pytest.raises((TypeError, ValueError), match=r"param_groups\[1\]\['lr_scale'\] must be"):
        scheduler.step()
    assert (rates(opt), scheduler.last_epoch) == ([0.1, 0.05], 4)


with torch.inference_mode():
    UNFILLABLE = torch.tensor(0.5)


@pytest.mark.parametrize(
    ("wrong", "allowed"),
    [
        (None, "a number"),
        ("0.1", "a number"),
        (True, "a number"),
        (torch.tensor(1), "a number or a tensor of one float"),
        (torch.tensor([0.1, 0.2]), "a number or a tensor of one float"),
        (torch.tensor(0.1, requires_grad=True), "a tensor that needs no gradient"),
        (UNFILLABLE, "a tensor that was not made in inference_mode"),
    ],
)
def test_groups_whose_rate_cannot_be_set_are_refused_and_nothing_changes(wrong, allowed):
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    run(opt, scheduler, 2)
    add_group(opt)
    opt.param_groups[1]["lr"] = wrong
    message = rf"param_groups\[1\]\['lr'\] must be {allowed}"
    for move in (scheduler.step, lambda: PolicyLR(opt, TRIANGULAR)):
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            move()
        assert caught.value.got is wrong
    del opt.param_groups[1]["lr"]
    with pytest.raises(ValueError, match=r"param_groups\[1\] must be a group with an 'lr'"):
        PolicyLR(opt, TRIANGULAR)

    assert (opt.param_groups[0]["lr"], scheduler.last_epoch) == (TRIANGULAR(2), 2)
    assert "initial_lr" not in opt.param_groups[1]


@pytest.mark.parametrize("wrong", [object(), 0.5])
def test_what_other_tools_pass_to_step_is_refused_with_what_to_pass(wrong):
    """Ignite's event handlers pass an engine, users of ReduceLROnPlateau a loss."""
    scheduler = PolicyLR(optimizer(), TRIANGULAR)
    scheduler.optimizer.step()
    kind = ValueError if isinstance(wrong, float) else TypeError
    with pytest.raises(kind, match=r"as in lambda _: scheduler\.step\(\)"):
        scheduler.step(wrong)


@pytest.mark.parametrize("wrong", [-5, -1, 1.5, math.nan, True, "3", 2**53 + 1])
def test_steps_that_are_no_steps_are_refused_and_change_nothing(wrong):
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    run(opt, scheduler, 3)
    for name, move in (("epoch", scheduler.step), ("step", scheduler.jump)):
        with pytest.raises((TypeError, ValueError), match=f"{name} must be .*an integer from 0 to"):
            move(wrong)
        assert (rates(opt), scheduler.last_epoch) == ([TRIANGULAR(3)], 3)


def test_a_last_epoch_below_0_counts_as_0():
    """`SequentialLR` takes one off, more where it is nested, before a scheduler's turn."""
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    for epoch in (-1, -2):
        scheduler.last_epoch = epoch
        assert scheduler.get_lr() == [0.01]
        state = scheduler.state_dict()
        assert (state["last_epoch"], state["applied"]) == (-1, False)
        opt.param_groups[0]["lr"] = 0.7  # the other scheduler's
        scheduler.load_state_dict(state)
        assert (rates(opt), scheduler.last_epoch) == ([0.7], -1)
        scheduler._update_lr(0)
        assert (rates(opt), scheduler.last_epoch) == ([0.01], 0)


def test_a_fresh_optimizer_may_start_anywhere():
    """PyTorch's own schedulers ask for `initial_lr` here, which a policy does not need."""
    opt = optimizer(0.5, 0.25)
    PolicyLR(opt, TRIANGULAR, proportional=True, last_epoch=3)

    assert rates(opt) == [0.1, 0.05]
    assert [group["initial_lr"] for group in opt.param_groups] == [0.5, 0.25]


@pytest.mark.parametrize(
    "policy",
    [
        clrcore.constant(1.0),
        clrcore.linear_sweep(0.5, 1.0, 3000),
        clrcore.triangular(0.5, 1.5, 5000),
        clrcore.chain([(clrcore.constant(0.5), 9000), (clrcore.constant(1.0), None)]),
    ],
)
def test_policies_of_momentum_that_reach_1_are_refused(policy):
    opt = optimizer(momentum=0.5)
    with pytest.raises(ValueError, match=r"momentum must be a policy in \[0, 1\) at step"):
        PolicyLR(opt, TRIANGULAR, momentum=policy)
    assert opt.param_groups[0]["momentum"] == 0.5


def test_a_momentum_that_reaches_1_late_is_refused_before_it_does():
    opt = optimizer(momentum=0.5)
    late = clrcore.chain([(clrcore.constant(0.5), 10**9), (clrcore.constant(1.0), None)])
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=late)
    scheduler.jump(10**8)
    with pytest.raises(ValueError, match=r"in \[0, 1\) at step 1000000000, got 1\.0"):
        scheduler.jump(10**9)

    group = opt.param_groups[0]
    assert (group["momentum"], group["lr"], scheduler.last_epoch) == (0.5, 0.01, 10**8)


def test_momentum_of_0_is_allowed_where_nesterov_asks_for_more():
    """Only SGD's constructor asks; an update at 0 is one without momentum."""
    opt = optimizer(momentum=0.9, nesterov=True)
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.0, 0.9))
    run(opt, scheduler, 4)
    assert opt.param_groups[0]["momentum"] == 0.0
    run(opt, scheduler, 8)
    assert bool(torch.isfinite(opt.param_groups[0]["params"][0]).all())


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_muon_moves_its_momentum():
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.ones(2, 2)
    opt = torch.optim.Muon([parameter], lr=0.1)
    run(opt, PolicyLR(opt, TRIANGULAR, momentum=(0.85, 0.95)), 4)

    assert opt.param_groups[0]["momentum"] == pytest.approx(0.85)


def test_betas_win_where_a_group_has_momentum_too():
    opt = optimizer(kind="Adam")
    opt.param_groups[0]["momentum"] = 0.3
    run(opt, PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9)), 4)

    assert opt.param_groups[0]["betas"] == (pytest.approx(0.8), 0.999)
    assert opt.param_groups[0]["momentum"] == 0.3


@pytest.mark.parametrize("wrong", [torch.tensor(1), torch.tensor(0.9, requires_grad=True), "0.9"])
def test_momenta_that_cannot_be_set_are_refused(wrong):
    opt = optimizer(kind="Adam")
    opt.param_groups[0]["betas"] = (wrong, 0.999)
    with pytest.raises((TypeError, ValueError), match=r"param_groups\[0\]\['betas'\]\[0\] must be"):
        PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))

    assert rates(opt) == [0.5]
    PolicyLR(opt, TRIANGULAR)


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"optimizer": "SGD"}, TypeError, "optimizer must be a torch.optim.Optimizer"),
        ({"policy": 0.1}, TypeError, "policy must be a policy of clrcore, or a list"),
        ({"policy": [TRIANGULAR]}, ValueError, "policy must be .* per parameter group, 2 here"),
        ({"policy": [TRIANGULAR, 0.1]}, TypeError, r"policy\[1\] must be a policy of clrcore"),
        ({"proportional": 1}, TypeError, "proportional must be True or False"),
        (
            {"policy": [TRIANGULAR] * 2, "proportional": True},
            ValueError,
            "policy must be a single policy with proportional=True",
        ),
        ({"last_epoch": -2}, ValueError, "last_epoch must be an integer from -1"),
        ({"last_epoch": 2.5}, ValueError, "last_epoch must be an integer from -1"),
        (
            {"momentum": 0.9},
            TypeError,
            r"momentum must be None, a pair \(base, max\), a policy, or a list",
        ),
        ({"momentum": (0.9, 0.8)}, ValueError, r"momentum\[1\] must be >= momentum\[0\]="),
        (
            {"momentum": (0.8, 1.0)},
            ValueError,
            r"momentum\[1\] must be a finite number in",
        ),
        (
            {"momentum": (-0.1, 0.9)},
            ValueError,
            r"momentum\[0\] must be a finite number in",
        ),
        (
            {"momentum": (math.nan, 0.9)},
            ValueError,
            r"momentum\[0\] must be a finite number in",
        ),
        (
            {"momentum": (True, 0.9)},
            TypeError,
            r"momentum\[0\] must be a finite number in",
        ),
        (
            {"momentum": [(0.8, 0.9)]},
            ValueError,
            "momentum must be a list of 2 items, one per group",
        ),
        (
            {"policy": clrcore.constant(0.1), "momentum": (0.8, 0.9)},
            ValueError,
            "momentum must be a policy or None, as constant does not move between two bounds",
        ),
    ],
)
def test_bad_arguments_are_refused_and_change_nothing(arguments, kind, message):
    opt = optimizer(0.5, 0.3)
    before = copy.deepcopy(opt.state_dict())

    with pytest.raises(kind, match=message):
        PolicyLR(**{"optimizer": opt, "policy": TRIANGULAR} | arguments)

    assert opt.state_dict() == before


def test_bounds_are_refused_with_the_way_to_a_policy():
    rates = np.geomspace(1e-4, 1.0, 200)
    loss = 2.3 - 2.0 / (1 + (0.02 / rates) ** 2) + np.maximum(0.0, rates - 0.3) * 9
    bounds = clrcore.suggest_bounds(clrcore.Curve(rates, loss))
    with pytest.raises(TypeError, match=r"policy must be .*; make one with bounds\.policy\("):
        PolicyLR(optimizer(), bounds)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"base_lr": 0.1, "max_lr": 0.2, "step_size_up": 4}, r"clrcore\.triangular2\(base_lr, max"),
        ({"total_steps": 9, "max_lr": 0.2}, r"clrcore\.one_cycle\(max_lr, total_steps\)"),
        ({"policy": TRIANGULAR, "base_momentum": 0.8}, r"use momentum=\(base, max\)"),
        ({"policy": TRIANGULAR, "verbose": True}, "leave it out"),
        ({"policy": TRIANGULAR, "momenta": None}, r"did you mean 'momentum'"),
    ],
)
def test_arguments_of_pytorchs_schedulers_lead_to_ours(arguments, advice):
    with pytest.raises(TypeError, match=f"PolicyLR has no argument .*; .*{advice}"):
        PolicyLR(optimizer(), **arguments)


def test_the_repr_is_short():
    opt = optimizer(0.5, 0.3)
    scheduler = PolicyLR(opt, clrcore.triangular(0.0012345, 0.1, 4))
    run(opt, scheduler, 3)
    assert repr(scheduler) == "PolicyLR(triangular, step=3, lr=0.0753)"
    scheduler = PolicyLR(opt, [TRIANGULAR, clrcore.constant(0.2)])
    assert repr(scheduler) == "PolicyLR(triangular, constant, step=0, lr=0.01, 0.2)"


def test_optimizers_without_momentum_are_refused_it():
    opt = optimizer(kind="Adagrad")

    with pytest.raises(
        ValueError, match=r"param_groups\[0\] must be a group with momentum or betas"
    ):
        PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    PolicyLR(opt, TRIANGULAR)


def test_proportional_needs_a_rate_above_0_to_be_in_proportion_to():
    with pytest.raises(ValueError, match="first group's initial rate must be a finite number > 0"):
        PolicyLR(optimizer(0.0, 0.1), TRIANGULAR, proportional=True)


def test_numpy_numbers_do_not_reach_the_optimizer():
    numpy = pytest.importorskip("numpy")
    opt = optimizer()
    policy = clrcore.triangular(numpy.float64(0.01), numpy.float32(0.5), numpy.int64(4))
    run(opt, PolicyLR(opt, policy), 3)

    assert type(opt.param_groups[0]["lr"]) is float


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_compiled_steps_do_not_recompile():
    """With tensor rates, a hundred distinct rates are one graph (and one for new buffers)."""
    graphs = []

    def count(module, inputs):
        graphs.append(module)
        return module.forward

    for kind in ("SGD", "Adam"):
        torch._dynamo.reset()
        opt = optimizer(tensor=True, kind=kind)
        scheduler = PolicyLR(opt, clrcore.triangular(0.01, 0.1, 100))
        compiled = torch.compile(opt.step, backend=count)
        graphs.clear()
        for _ in range(100):
            compiled()
            scheduler.step()
        assert len(graphs) <= 2


def test_without_torch_the_module_says_what_to_install():
    program = """
        import sys

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] == "torch":
                    raise ModuleNotFoundError("No module named 'torch'", name="torch")

        sys.meta_path.insert(0, Absent())
        import clr_adapters
        import clr_adapters.torch
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (
        'clr_adapters.torch needs PyTorch: run pip install ".[torch]" in a checkout of clrcore'
        in ended.stderr
    )


def test_a_notebook_shows_a_table_of_text():
    scheduler = PolicyLR(optimizer(0.5, 0.25), clrcore.triangular(0.01, 0.1, 4), proportional=True)
    assert scheduler._repr_html_() == (
        "<table><tr><th>policy</th><td>triangular(base_lr=0.01, max_lr=0.1, step_size=4, "
        "step_size_down=4, window=&#x27;triangular&#x27;)</td></tr><tr><th>step</th><td>0</td></tr>"
        "<tr><th>lr</th><td>0.01, 0.005</td></tr></table>"
    )
