"""Whatever state they are given, they load it or refuse it, and a refusal changes nothing."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import clrcore
from clr_adapters.torch import PolicyLR
from clr_adapters.torch.trainers import CycleJudge
from hostile import Reader, outcome, refused, with_odd_values
from torch_optimizers import optimizer, rates

POLICY = clrcore.triangular2(0.01, 0.1, 5, 7)
OTHER = clrcore.triangular(0.02, 0.2, 6)


def scheduler_after(steps):
    opt = optimizer(0.1, 0.3)
    scheduler = PolicyLR(opt, [POLICY, OTHER], momentum=(0.85, 0.95))
    for _ in range(steps):
        opt.step()
        scheduler.step()
    return opt, scheduler


def load(state):
    opt, scheduler = scheduler_after(3)

    def everything():
        return copy.deepcopy((scheduler.state_dict(), opt.state_dict()["param_groups"]))

    before = everything()
    if refused(outcome(scheduler.load_state_dict, state)):
        assert everything() == before
        return
    opt.step()
    scheduler.step()
    assert rates(opt) == [policy(scheduler.last_epoch) for policy in (POLICY, OTHER)]


def judge_after(ends):
    """The judge of the trainers' CycleEnds."""
    judge = CycleJudge(clrcore.CycleMonitor(POLICY), average=True)
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(0.5)
    _, scheduler = scheduler_after(0)
    for end in range(ends):
        scheduler.jump(12 * (end + 1))
        judge.judge(scheduler, model, 0.5 - 0.1 * end)
    return judge


def load_judge(state):
    judge = judge_after(1)

    def everything():
        found = copy.deepcopy(judge.state_dict())
        return found, {name: mean.tolist() for name, mean in found.pop("average").items()}

    before = everything()
    if refused(outcome(judge.load_state_dict, state)):
        assert everything() == before
        return
    judge.ended(scheduler_after(3)[1])


READERS = {
    "policy_lr": Reader(load, [scheduler_after(7)[1].state_dict()]),
    "cycle_ends": Reader(load_judge, [judge_after(0).state_dict(), judge_after(4).state_dict()]),
}


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(generated=st.data())
def test_damaged_states_are_loaded_or_refused(name, generated):
    READERS[name].law(generated.draw(READERS[name].data))


@pytest.mark.parametrize("name", READERS)
def test_odd_values_in_states_are_loaded_or_refused(name):
    for valid in READERS[name].valid:
        READERS[name].law(valid)
        for state in with_odd_values(valid):
            READERS[name].law(state)


@pytest.mark.parametrize("value", [torch.tensor([1, 2]), torch.tensor(3.0), torch.ones(2)])
@pytest.mark.parametrize("name", READERS)
def test_tensors_in_states_are_refused(name, value):
    state = READERS[name].valid[-1]
    for key in state:
        READERS[name].law(state | {key: value})
