"""A loop that never calls `scheduler.step()` is noticed, and no other loop is."""

import copy
import pickle
import warnings

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR, SequentialLR

import clrcore
from clr_adapters.torch import PolicyLR
from clr_adapters.torch.policy_lr import UNMOVED
from torch_optimizers import optimizer

TRIANGULAR = clrcore.triangular(0.01, 0.1, 4)
FORGOTTEN = "scheduler.step() was not called: call it after each optimizer.step()"


def warned(opt, updates=2 * UNMOVED, after=lambda update: None):
    """What is warned of in a loop of so many updates."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for update in range(updates):
            opt.step()
            after(update)
    return [(str(warning.message), warning.filename) for warning in caught]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("tensor", [False, True])
def test_a_forgotten_step_is_noticed_once_at_the_line_of_the_loop(kind, tensor):
    opt = optimizer(kind=kind, tensor=tensor)
    scheduler = PolicyLR(opt, TRIANGULAR)
    assert warned(opt, UNMOVED - 1) == []
    (message, file), *others = warned(opt)
    assert FORGOTTEN in message
    assert (file, others) == (__file__, [])
    assert scheduler.last_epoch == 0


def test_a_restored_scheduler_notices_it_too():
    opt = optimizer()
    scheduler = copy.deepcopy(PolicyLR(opt, TRIANGULAR))
    assert len(warned(scheduler.optimizer)) == 1
    scheduler = pickle.loads(pickle.dumps(PolicyLR(optimizer(), TRIANGULAR)))
    assert len(warned(scheduler.optimizer)) == 1


def test_every_loop_that_moves_the_scheduler_is_left_alone():
    opt = optimizer()
    scheduler = PolicyLR(opt, TRIANGULAR)
    assert warned(opt, after=lambda update: scheduler.step()) == []

    # An optimizer that accumulates by itself is called for each micro-batch.
    opt = optimizer()
    every = PolicyLR(opt, TRIANGULAR)
    assert warned(opt, after=lambda update: update % 16 == 15 and every.step()) == []

    opt = optimizer()
    jumping = PolicyLR(opt, TRIANGULAR)
    assert warned(opt, after=lambda update: jumping.jump(update + 1)) == []

    opt = optimizer()
    resumed = PolicyLR(opt, TRIANGULAR)
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.last_epoch == 2 * UNMOVED
    assert warned(opt) == []


@pytest.mark.parametrize("milestone", [UNMOVED - 1, UNMOVED, UNMOVED + 1, 5 * UNMOVED])
def test_a_scheduler_that_waits_for_its_turn_is_left_alone(milestone):
    opt = optimizer()
    first, second = LambdaLR(opt, lambda step: 1.0), PolicyLR(opt, TRIANGULAR)
    sequence = SequentialLR(opt, [first, second], milestones=[milestone])
    assert warned(opt, after=lambda update: sequence.step()) == []


def test_rates_that_somebody_else_sets_are_left_alone():
    opt = optimizer()
    unused, used = PolicyLR(opt, TRIANGULAR), PolicyLR(opt, TRIANGULAR)
    assert warned(opt, after=lambda update: used.step()) == []
    assert unused.last_epoch == 0

    opt = optimizer()
    waiting = PolicyLR(opt, TRIANGULAR)
    opt.param_groups[0]["lr"] = 0.5  # a warm-up by hand
    assert warned(opt) == []
    assert waiting.last_epoch == 0


def test_a_policy_that_does_not_move_needs_no_step():
    opt = optimizer()
    scheduler = PolicyLR(opt, clrcore.constant(0.1))
    assert warned(opt) == []
    assert scheduler.last_epoch == 0


def test_a_scheduler_that_is_gone_is_no_concern():
    opt = optimizer()
    PolicyLR(opt, TRIANGULAR)
    assert warned(opt) == []


def test_the_wrappers_of_trainers_are_followed_to_the_optimizer():
    class Wrapper(torch.optim.Optimizer):
        def __init__(self, inner):
            self.optimizer, self.state, self.defaults = inner, inner.state, inner.defaults

        @property
        def param_groups(self):
            return self.optimizer.param_groups

        def step(self):
            self.optimizer.step()

    wrapper = Wrapper(optimizer())
    scheduler = PolicyLR(wrapper, TRIANGULAR)
    assert len(warned(wrapper)) == 1
    assert scheduler.last_epoch == 0
