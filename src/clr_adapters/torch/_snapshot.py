"""Put objects back, bit for bit, to what they were: models, optimizers, loaders, generators.

Tensors and containers are written in place, so whoever holds them sees the old values again.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.optim import Optimizer

from ._batches import (
    DATA,
    ORDER,
    USED,
    attributes,
    generators,
    loaders_in,
    samplers_in,
    shuffled_by_epoch,
)

PLAIN = (bool, int, float, complex, str, bytes, type(None))


class Snapshot:
    """What some objects are now, to be restored as often as wanted.

    host: keep the copies of tensors in host memory instead of beside the tensors.
    """

    def __init__(self, *, host: bool = False) -> None:
        self._host = host
        self._undo: list[Callable[[], None]] = []
        # By identity, so that what is shared is taken once; the values keep the identities alive.
        self._taken: dict[int, Any] = {}

    def restore(self) -> None:
        """Put everything back; what cannot be is raised at the end."""
        failures = []
        with torch.no_grad():
            for undo in self._undo:
                try:
                    undo()
                except Exception as error:
                    failures.append(error)
        if failures:
            raise failures[0]

    def take_random(self) -> None:
        """The global generators of Python, NumPy and torch on every device."""
        self._undo += [
            partial(random.setstate, random.getstate()),
            # The global generator is what augmentations of data draw from.
            partial(np.random.set_state, np.random.get_state()),  # noqa: NPY002
            partial(torch.set_rng_state, torch.get_rng_state()),
        ]
        # Asking would start CUDA where nothing has used it yet.
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            self._undo.append(partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
        if torch.backends.mps.is_available():
            self._undo.append(partial(torch.mps.set_rng_state, torch.mps.get_rng_state()))
        if torch.xpu.is_available():
            self._undo.append(partial(torch.xpu.set_rng_state_all, torch.xpu.get_rng_state_all()))

    def take_module(self, module: nn.Module) -> None:
        """Parameters, their gradients, buffers, modes and extra state of all its modules."""
        for part in module.modules():
            self._take(part._parameters)
            self._take(part._buffers)
            # A scripted module keeps them elsewhere.
            self._take_all([*part.parameters(recurse=False), *part.buffers(recurse=False)])
            self._undo.append(partial(setattr, part, "training", part.training))
            # Of no use where it cannot be set again.
            if type(part).set_extra_state is not nn.Module.set_extra_state:
                self._take_extra(part)

    def _take_extra(self, part: nn.Module) -> None:
        state = part.get_extra_state()
        self._take(state)
        self._undo.append(partial(part.set_extra_state, state))

    def take_loader(self, loader: object) -> None:
        """The samplers and generators of a data loader, and its workers if it keeps them."""
        for one in shuffled_by_epoch(loader):
            self._undo.append(partial(_set_epoch, one, one.epoch))
        for one in loaders_in(loader):
            for name, value in attributes(one).items():
                if name in (*ORDER, *USED):
                    self._undo.append(partial(_reset, one, name, value))
        for one in samplers_in(loader):
            self._take_sampler(one)
        self._take_all(generators(loader))

    def _take_sampler(self, sampler: Any) -> None:
        """A sampler of any class, without the data that it draws from."""
        self._take(sampler)  # it may be a list
        kept = getattr(sampler, "__dict__", {})
        self._undo.append(partial(_refill_dict, kept, dict(kept)))
        for name, value in attributes(sampler).items():
            if name not in kept:
                self._undo.append(partial(_reset, sampler, name, value))
            if name not in DATA:
                self._take(value)

    def take(self, value: object) -> None:
        """An optimizer, a GradScaler: every attribute, and what is in it."""
        self._take(vars(value))

    def _take(self, value: Any) -> None:
        if isinstance(value, PLAIN) or id(value) in self._taken:
            return
        self._taken[id(value)] = value
        if isinstance(value, torch.Tensor):
            self._take_tensor(value)
        elif isinstance(value, torch.Generator):
            self._undo.append(partial(_reseat, value, value.get_state()))
        elif isinstance(value, np.random.Generator):
            self._undo.append(
                partial(setattr, value.bit_generator, "state", value.bit_generator.state)
            )
        elif isinstance(value, np.random.RandomState):
            self._undo.append(partial(value.set_state, value.get_state(legacy=False)))
        elif isinstance(value, random.SystemRandom):
            return  # it has no state
        elif isinstance(value, random.Random):
            self._undo.append(partial(value.setstate, value.getstate()))
        elif isinstance(value, np.ndarray) and value.flags.writeable:
            self._undo.append(partial(np.copyto, value, value.copy()))
        elif isinstance(value, dict):
            self._undo.append(partial(_refill_dict, value, dict(value)))
            self._take_all(value.values())
        elif isinstance(value, list):
            self._undo.append(partial(_refill_list, value, list(value)))
            self._take_all(value)
        elif isinstance(value, set):
            self._undo.append(partial(_refill, value, value.update, list(value)))
            self._take_all(value)
        elif isinstance(value, deque):
            self._undo.append(partial(_refill, value, value.extend, list(value)))
            self._take_all(value)
        elif isinstance(value, tuple):
            self._take_all(value)
        elif isinstance(value, Optimizer):
            self._take(vars(value))
        elif isinstance(value, nn.Module):
            self.take_module(value)

    def _take_all(self, values: Iterable[Any]) -> None:
        for value in values:
            self._take(value)

    def _take_tensor(self, tensor: torch.Tensor) -> None:
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            raise ValueError(
                "the model must have all its parameters, got one that waits for its first batch: "
                "run one batch through the model first"
            )
        old = tensor.detach()
        copy = old.to("cpu", copy=True) if self._host else old.clone()
        self._undo.append(partial(_rewrite, tensor, old, copy, tensor.requires_grad))
        if tensor.is_leaf:
            if tensor.grad is not None:
                self._take(tensor.grad)
            self._undo.append(partial(setattr, tensor, "grad", tensor.grad))


def _reset(owner: object, name: str, value: object) -> None:
    if getattr(owner, name) is not value:  # a DataLoader refuses some, even to be set to the same
        setattr(owner, name, value)


def _set_epoch(owner: Any, epoch: Any) -> None:
    if owner.epoch != epoch:
        owner.set_epoch(epoch)


def _rewrite(
    tensor: torch.Tensor, old: torch.Tensor, copy: torch.Tensor, requires_grad: bool
) -> None:
    """Write the copy where the tensor was: `old` is the same memory, type and shape as then."""
    if not _is_same(tensor, old):
        tensor.data = old
    if not _repeats(tensor):
        with torch.inference_mode() if tensor.is_inference() else nullcontext():
            tensor.copy_(copy)
    if tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)


def _is_same(tensor: torch.Tensor, old: torch.Tensor) -> bool:
    if tensor.shape != old.shape or tensor.dtype != old.dtype:
        return False
    return tensor.layout != torch.strided or tensor.data_ptr() == old.data_ptr()


def _repeats(tensor: torch.Tensor) -> bool:
    """Whether elements share memory, as after expand(): nobody can write to such in place."""
    if tensor.layout != torch.strided:
        return False
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return any(stride == 0 and size > 1 for size, stride in sizes)


def _reseat(generator: torch.Generator, state: torch.Tensor) -> None:
    generator.set_state(state)


def _refill_dict(kept: dict[Any, Any], items: dict[Any, Any]) -> None:
    same = len(kept) == len(items) and all(
        key is other and kept[key] is value
        for key, (other, value) in zip(kept, items.items(), strict=True)
    )
    # Untouched ones are left so: a compiler may watch them.
    if not same:
        kept.clear()
        kept.update(items)


def _refill_list(kept: list[Any], items: list[Any]) -> None:
    same = len(kept) == len(items) and all(a is b for a, b in zip(kept, items, strict=True))
    if not same:
        kept[:] = items


def _refill(
    kept: set[Any] | deque[Any], add: Callable[[list[Any]], None], items: list[Any]
) -> None:
    kept.clear()
    add(items)
