"""What trainers ask of a scheduler: Lightning, Accelerate, Ignite, Hugging Face, PyTorch's own.

The calls are those of the trainers, made here on real optimizers.
"""

import copy
import inspect
import io
import json
import pickle

import pytest
import torch
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ExponentialLR,
    LRScheduler,
    SequentialLR,
)

import clrcore
from clr_adapters.torch import PolicyLR
from torch_optimizers import add_group, optimizer, rates, run

TRIANGULAR = clrcore.triangular(0.01, 0.1, 4)
MOMENTA = TRIANGULAR.opposed(0.8, 0.9).values(0, 20)


def test_it_is_a_scheduler_of_pytorch():
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)

    assert isinstance(scheduler, LRScheduler)
    assert scheduler.optimizer is opt
    assert not hasattr(scheduler, "total_steps")  # Accelerate would stop an endless policy
    assert opt.param_groups[0]["initial_lr"] == 0.5  # other schedulers need it
    assert scheduler.base_lrs == [0.5]
    inspect.signature(scheduler.step).bind()


def test_accelerate_counts_steps_itself_where_an_update_was_skipped():
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    assert scheduler._step_count == 1
    scheduler._step_count += 1
    run(opt, scheduler, 3)

    assert (scheduler._step_count, scheduler.last_epoch) == (5, 3)


def ignite_update(scheduler):
    """Ignite 0.5.5 never steps: it asks for the rates, sets them, and counts by itself."""
    scheduler._get_lr_called_within_step = True
    values = scheduler.get_lr()
    scheduler._get_lr_called_within_step = False
    for group, value in zip(scheduler.optimizer.param_groups, values, strict=True):
        group["lr"] = value
    scheduler.last_epoch += 1


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_momentum_moves_in_ignite_too(kind):
    opt = optimizer(kind=kind)
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    for step in range(20):
        ignite_update(scheduler)
        group = opt.param_groups[0]
        found = group["momentum"] if kind == "SGD" else group["betas"][0]
        assert (group["lr"], found) == (TRIANGULAR(step), pytest.approx(MOMENTA[step]))
        opt.step()


def test_groups_added_in_ignite_keep_their_ratio():
    opt = optimizer(0.5)
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True, momentum=(0.8, 0.9))
    ignite_update(scheduler)
    add_group(opt, 0.25)
    for step in range(1, 9):
        ignite_update(scheduler)
        assert rates(opt) == [TRIANGULAR(step), TRIANGULAR(step) / 2]


def test_get_lr_by_hand_changes_nothing():
    opt = optimizer(0.5, 0.25, momentum=0.7)
    scheduler = PolicyLR(opt, TRIANGULAR, proportional=True, momentum=(0.8, 0.9))
    run(opt, scheduler, 2)
    add_group(opt, 0.125)
    scheduler.last_epoch = 4
    groups = copy.deepcopy(opt.state_dict()["param_groups"])

    assert scheduler.get_lr() == [0.1, 0.05, 0.025]
    assert opt.state_dict()["param_groups"] == groups
    opt.param_groups[2]["lr"] = 0.25  # before the step that takes it in
    scheduler.step()
    assert rates(opt) == pytest.approx([TRIANGULAR(5), TRIANGULAR(5) / 2, TRIANGULAR(5) / 2])


def simulate(scheduler, steps):
    """Rates ahead of time as Ignite takes them: save both, run, load both."""
    file = io.BytesIO()
    torch.save([scheduler.state_dict(), scheduler.optimizer.state_dict()], file)
    seen = []
    for _ in range(steps):
        ignite_update(scheduler)
        seen.append(rates(scheduler.optimizer)[0])
    file.seek(0)
    states = torch.load(file, weights_only=True)
    scheduler.load_state_dict(states[0])
    scheduler.optimizer.load_state_dict(states[1])
    return seen


def test_a_simulation_leaves_no_trace():
    opt = optimizer(momentum=0.9)
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    run(opt, scheduler, 3)
    before = copy.deepcopy((opt.state_dict()["param_groups"], scheduler.state_dict()))

    assert simulate(scheduler, 5) == TRIANGULAR.values(3, 8).tolist()
    assert (opt.state_dict()["param_groups"], scheduler.state_dict()) == before


@pytest.mark.parametrize("tensor", [False, True])
@pytest.mark.parametrize("way", ["json", "weights_only", "pickle", "deepcopy"])
def test_checkpoints_survive_any_way_of_keeping_them(tensor, way):
    opt = optimizer(tensor=tensor, kind="Adam")
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    run(opt, scheduler, 6)
    state = scheduler.state_dict()
    if way == "json":
        state = json.loads(json.dumps(state))
    elif way == "weights_only":
        file = io.BytesIO()
        torch.save({"scheduler": state, "optimizer": opt.state_dict()}, file)
        file.seek(0)
        state = torch.load(file, weights_only=True)["scheduler"]
    elif way == "pickle":
        state = pickle.loads(pickle.dumps(state))
    else:
        state = copy.deepcopy(state)
    assert state == scheduler.state_dict()
    expected = run(opt, scheduler, 4)

    opt = optimizer(tensor=tensor, kind="Adam")
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=(0.8, 0.9))
    scheduler.load_state_dict(state)
    assert run(opt, scheduler, 4) == expected == TRIANGULAR.values(6, 10).tolist()


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
@pytest.mark.parametrize("updates", [0, 3])
def test_schedulers_can_be_copied(copied, updates):
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR, momentum=[(0.8, 0.9)])
    run(opt, scheduler, updates)
    twin = copied(scheduler)

    assert run(twin.optimizer, twin, 5) == TRIANGULAR.values(updates, updates + 5).tolist()
    assert (twin.last_epoch, scheduler.last_epoch) == (updates + 5, updates)
    assert rates(opt) == [TRIANGULAR(updates)]


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")  # SequentialLR's own
def test_it_works_in_sequence_with_others():
    opt = optimizer(1.0)
    warm_up = PolicyLR(opt, clrcore.linear_sweep(0.01, 0.04, 4))
    cycles = PolicyLR(opt, TRIANGULAR)
    scheduler = SequentialLR(opt, [warm_up, cycles], milestones=[3])

    expected = [0.01, 0.02, 0.03, *TRIANGULAR.values(0, 6)]
    assert run(opt, scheduler, 9) == pytest.approx(expected)
    opt = optimizer(1.0)
    decay = ExponentialLR(opt, 0.5)
    scheduler = SequentialLR(opt, [PolicyLR(opt, TRIANGULAR), decay], milestones=[3])
    assert run(opt, scheduler, 4)[:3] == pytest.approx(TRIANGULAR.values(0, 3))


def test_older_sequences_go_to_the_milestone_by_step_0():
    """Where there is no `_update_lr`."""
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    scheduler.last_epoch -= 1
    scheduler._initial_step()
    assert (scheduler.last_epoch, scheduler._step_count, rates(opt)) == (0, 1, [0.01])
    run(opt, scheduler, 6)
    scheduler.step(0)

    assert (scheduler.last_epoch, rates(opt)) == (0, [0.01])


def test_it_works_in_a_chain_and_resumes_there():
    """A chained decay is applied once to each of the policy's rates, as it sets them anew."""

    def chained():
        opt = optimizer(momentum=0.7)
        return opt, ChainedScheduler([PolicyLR(opt, TRIANGULAR), ExponentialLR(opt, 0.5)])

    opt, scheduler = chained()
    expected = [rate / 2 for rate in TRIANGULAR.values(1, 12)]
    assert run(opt, scheduler, 6)[1:] == expected[:5]
    saved = copy.deepcopy((opt.state_dict(), scheduler.state_dict()))
    opt, scheduler = chained()
    opt.load_state_dict(saved[0])
    scheduler.load_state_dict(saved[1])

    assert run(opt, scheduler, 6) == expected[5:]
    assert scheduler.get_last_lr() == [TRIANGULAR(12) / 2]
