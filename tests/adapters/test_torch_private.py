"""The private names of PyTorch that the adapter uses: each test fails when its name is gone."""

import copy
import datetime

import pytest
import torch
from torch import distributed
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, SequentialLR, StepLR
from torch.utils.data import DataLoader

import clrcore
from clr_adapters.torch import PolicyLR
from clr_adapters.torch._private import detach_iterator, end_workers, group_timeout, is_begun
from torch_optimizers import optimizer, rates

TRIANGULAR = clrcore.triangular(0.01, 0.1, 4)


def test_the_first_step_is_counted_from_1():
    """`_step_count`: the warning of a wrong order needs it, and Accelerate adds to it."""
    assert StepLR(optimizer(), 1)._step_count == 1


def test_steps_of_others_set_a_flag_while_they_ask_for_rates():
    """`_get_lr_called_within_step`: Ignite sets it as PyTorch does."""

    class Asked(LRScheduler):
        def get_lr(self):
            self.flag = self._get_lr_called_within_step
            return [0.1]

    assert Asked(optimizer()).flag
    assert not LRScheduler._get_lr_called_within_step


def test_the_last_rates_are_read_under_their_private_name():
    """`_last_lr`: what the base class and some trainers read."""
    opt = optimizer()
    assert LRScheduler.get_last_lr(StepLR(opt, 1)) == [0.5]
    assert LRScheduler.get_last_lr(PolicyLR(opt, TRIANGULAR)) == [0.01]


@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_an_epoch_asks_for_the_closed_form():
    """`_get_closed_form_lr`: what the base class calls for step(epoch)."""

    class Closed(LRScheduler):
        def get_lr(self):
            return [0.1]

        def _get_closed_form_lr(self):
            return [0.2]

    opt = optimizer()
    scheduler = Closed(opt)
    opt.step()
    scheduler.step(3)
    assert rates(opt) == [0.2]
    scheduler = PolicyLR(opt, TRIANGULAR)
    scheduler.last_epoch = 4
    assert scheduler._get_closed_form_lr() == scheduler.get_lr() == [0.1]


def test_a_sequence_moves_a_scheduler_without_a_count_of_its_steps():
    """`_update_lr`, or step(0) in older versions: what `SequentialLR` calls at a milestone."""
    opt = optimizer()
    second = PolicyLR(opt, TRIANGULAR)
    sequence = SequentialLR(opt, [LambdaLR(opt, lambda step: 1.0), second], milestones=[1])
    opt.step()
    sequence.step()
    assert (rates(opt), second.last_epoch) == ([0.01], 0)


def test_the_base_class_notes_steps_of_the_optimizer():
    """`_wrapped_by_lr_sched` marks a watched step, which sets `_opt_called`."""
    opt = optimizer()
    StepLR(opt, 1)
    assert opt.step._wrapped_by_lr_sched
    assert not getattr(opt, "_opt_called", False)
    opt.step()
    assert opt._opt_called


def test_optimizers_keep_their_hooks_after_loading():
    """`_optimizer_load_state_dict_post_hooks`: an optimizer has it, a wrapper has not."""
    opt = optimizer()
    assert len(opt._optimizer_load_state_dict_post_hooks) == 0
    PolicyLR(opt, TRIANGULAR)
    assert len(opt._optimizer_load_state_dict_post_hooks) == 1


class Wrapper(torch.optim.Optimizer):
    """An optimizer around another, as Accelerate's: the base class's constructor is not called."""

    def __init__(self, inner):
        self.inner = self.optimizer = inner
        self.state, self.defaults = inner.state, inner.defaults

    @property
    def param_groups(self):
        return self.inner.param_groups

    def step(self):
        self.inner.step()

    def load_state_dict(self, state):
        self.inner.load_state_dict(state)


@pytest.mark.parametrize(("found", "expected"), [(True, 0.01), (False, 0.5)])
def test_a_wrapper_is_followed_to_the_optimizer_that_loads_where_it_is_known(found, expected):
    wrapper = Wrapper(optimizer())
    saved = copy.deepcopy(wrapper.inner.state_dict())
    if not found:
        del wrapper.optimizer
    scheduler = PolicyLR(wrapper, TRIANGULAR)
    wrapper.load_state_dict(saved)
    assert scheduler.get_last_lr() == [expected]


def test_a_loader_keeps_its_workers_in_its_iterator():
    """`_iterator`: what a range test takes away and puts back."""
    source = DataLoader([1, 2], num_workers=1, persistent_workers=True)
    iterator = iter(source)
    assert vars(source)["_iterator"] is iterator
    detach_iterator(source)
    assert iter(source) is not iterator


def test_the_iterator_of_a_loader_is_known():
    """`_BaseDataLoaderIter`."""
    source = DataLoader([1, 2])
    assert (is_begun(iter(source)), is_begun(source)) == (True, False)


def test_workers_are_ended_though_somebody_holds_their_iterator():
    """`_shutdown_workers` of a loader's iterator."""
    iterator = iter(DataLoader([1, 2], num_workers=1))
    workers = list(iterator._workers)
    assert workers[0].is_alive()
    end_workers(iterator)
    assert not workers[0].is_alive()
    end_workers(iter(DataLoader([1, 2])))
    end_workers(None)


def test_the_timeout_of_a_job_is_found(tmp_path):
    """`_get_backend`, `_device_types` and `options._timeout` of a process group."""
    timeout = datetime.timedelta(seconds=77)
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1, timeout=timeout
    )
    try:
        assert group_timeout() == timeout
    finally:
        distributed.destroy_process_group()
