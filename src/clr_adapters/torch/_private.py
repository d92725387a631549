"""Every private name of PyTorch that this adapter uses.

Each has a test in tests/adapters/test_torch_private.py that fails when the name is gone.
"""

from __future__ import annotations

import functools
import math
import warnings
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from torch import distributed
from torch.compiler import is_compiling
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter


class BaseScheduler(LRScheduler):
    """A scheduler of PyTorch in public names: a subclass defines `advance` and `get_lr`."""

    def advance(self, epoch: int | None) -> None:
        """Count one update, or jump to `epoch`, and set the next values."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Count one update of the optimizer and set the rates of the next update.

        Args:
            epoch: The step to jump to instead; PyTorch has deprecated it.
        """
        if self._step_count == 1 and not step_was_called(self.optimizer):
            warnings.warn(
                "scheduler.step() was called before optimizer.step(), so the policy's first rate "
                "was never used; call optimizer.step() first. If you did, the scheduler holds "
                "another optimizer than the optimizer that you train with",
                stacklevel=2,
            )
        self.advance(epoch)
        self._step_count += 1

    @property
    def is_asked_within_step(self) -> bool:
        """Whether somebody else's step asks for the rates and will set them (Ignite does)."""
        return self._get_lr_called_within_step

    @property
    def _last_lr(self) -> list[Any]:  # type: ignore[override]
        # The base class stores this list. Reading the groups on demand costs a step nothing.
        return self.get_last_lr()

    def _get_closed_form_lr(self) -> list[Any]:
        return self.get_lr()

    def _update_lr(self, epoch: int | None = None) -> None:
        self.advance(epoch)


def watch_step(optimizer: Optimizer) -> None:
    """Note when the optimizer's step is called, where the base class cannot.

    The base class expects a method of the optimizer; a step may be compiled or wrapped.
    """
    step = optimizer.step
    if getattr(step, "__self__", None) is optimizer or hasattr(step, "_wrapped_by_lr_sched"):
        return
    found = weakref.ref(optimizer)

    @functools.wraps(step)
    def watched(*args: Any, **options: Any) -> Any:
        found()._opt_called = True  # type: ignore[union-attr]
        return step(*args, **options)

    watched._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = watched  # type: ignore[method-assign]


def step_was_called(optimizer: Optimizer) -> bool:
    """Whether the optimizer was asked for an update; True where this cannot be known."""
    if getattr(optimizer, "_opt_called", False):
        return True
    if not hasattr(optimizer.step, "_wrapped_by_lr_sched"):  # replaced, or dropped in a copy
        return True
    # A GradScaler skips updates whose gradients have overflown.
    return any(
        parameter.grad is not None and not math.isfinite(parameter.grad.sum())
        for group in optimizer.param_groups
        for parameter in group["params"]
    )


def call_after_load(optimizer: Optimizer, method: Callable[[], None]) -> None:
    """Call a bound method, while its object lives, after the optimizer has loaded a state."""
    if (inner := _with_hooks(optimizer)) is not None:
        call = _while_it_lives(method)
        inner.register_load_state_dict_post_hook(lambda _: call())


def call_after_update(optimizer: Optimizer, method: Callable[[], None]) -> None:
    """Call a bound method, while its object lives, after each update that is not compiled."""
    if (inner := _with_hooks(optimizer)) is not None:
        call = _while_it_lives(method)
        # A compiled step would be compiled anew for each number of a count.
        inner.register_step_post_hook(lambda *_: None if is_compiling() else call())


def _with_hooks(optimizer: Optimizer) -> Optimizer | None:
    """The optimizer inside wrappers such as Accelerate's, which are optimizers without hooks."""
    while not hasattr(optimizer, "_optimizer_load_state_dict_post_hooks"):
        if not isinstance(inner := getattr(optimizer, "optimizer", None), Optimizer):
            return None
        optimizer = inner
    return optimizer


def _while_it_lives(method: Callable[[], None]) -> Callable[[], None]:
    """What calls a bound method while its object lives, and does not keep it alive."""
    found = weakref.WeakMethod(method)

    def call() -> None:
        if (alive := found()) is not None:
            alive()

    return call


def detach_iterator(loader: DataLoader[Any]) -> None:
    """Take its iterator from a loader, and with it the persistent workers."""
    loader._iterator = None


def is_begun(loader: object) -> bool:
    """Whether it is the iterator of a DataLoader."""
    return isinstance(loader, _BaseDataLoaderIter)


def end_workers(iterator: object) -> None:
    """End the workers of a loader's iterator, also where an exception of theirs holds it."""
    if hasattr(iterator, "_shutdown_workers"):  # none without workers
        iterator._shutdown_workers()


def group_timeout() -> timedelta | None:
    """The timeout of the job's default process group; None, for PyTorch's, where it is unknown."""
    world: Any = distributed.group.WORLD
    try:
        timeout: timedelta = world._get_backend(world._device_types[0]).options._timeout
    except (AttributeError, IndexError, RuntimeError):  # backends of third parties
        return None
    return timeout
