"""Put objects back, bit for bit, as they were: models, optimizers, loaders, generators.

Tensors and containers are written in place, so whoever holds them sees the old values again.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Container, Iterable
from contextlib import nullcontext
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from clrcore.arguments import refuse

from . import _private
from ._generators import is_generator, keep_global_states, keep_state

# Documented names that lead from a loader to what it draws its order with; the last is
# Accelerate's.
ORDER = ("generator", "sampler", "batch_sampler", "base_dataloader")
# Attributes in which samplers hold the data: large, sometimes read-only, never written to.
DATA = ("data_source", "dataset")
PLAIN = (bool, int, float, complex, str, bytes, type(None))


class Snapshot:
    """The present state of some objects, to be restored as often as wanted.

    Args:
        on_host: Whether copies of tensors are kept in host memory instead of on their device.
    """

    def __init__(self, *, on_host: bool = False) -> None:
        self._on_host = on_host
        self._undo: list[Callable[[], object]] = []
        # By identity: shared objects are taken once. The values keep the identities valid.
        self._taken: dict[int, object] = {}

    def restore(self) -> None:
        """Put everything back, then raise the first error that this has met."""
        failures = []
        with torch.no_grad():
            for undo in self._undo:
                try:
                    undo()
                except Exception as error:
                    failures.append(error)
        if failures:
            raise failures.pop(0)  # the list would keep it alive through its traceback

    def take_generators(self) -> None:
        """The global generators of Python, NumPy and torch."""
        self._undo += keep_global_states()

    def take(self, value: Any, name: str = "value") -> None:
        """Any object: module, loader, container, generator, or an object with a state.

        Raises:
            TypeError: For an object whose state cannot be put back; `name` names it.
        """
        if isinstance(value, DataLoader):
            self.take_loader(value)
        elif isinstance(value, type):
            refuse(TypeError, name, "an object, not a class", value)
        elif self._take(value):
            return
        elif hasattr(value, "load_state_dict"):
            self._undo.append(partial(value.load_state_dict, copy.deepcopy(value.state_dict())))
        elif attributes(value):
            self._take_attributes(value, DATA)
        else:
            allowed = "a module, an optimizer, a generator, or an object with attributes or a state"
            refuse(TypeError, name, allowed, value)

    def take_loader(self, loader: Any) -> None:
        """A loader's order: its samplers, its generators, its persistent workers, its state."""
        for owner in order_of(loader):
            # The batches that a loader's iterator has drawn do not come again, and neither may
            # its counters.
            if not _private.is_begun(owner) and not self._take(owner):
                # A loader may hold large data under any name.
                self._take_attributes(owner, attributes(owner) if owner is loader else DATA)
            if isinstance(owner, DataLoader):
                # Its workers continue with its own iterator afterwards.
                _private.detach_iterator(owner)
        self._take_all(generators_of(loader))
        if hasattr(loader, "load_state_dict"):
            try:
                state = copy.deepcopy(loader.state_dict())
            except AttributeError:  # Accelerate's loader has the method, but often no state
                return
            self._undo.append(partial(loader.load_state_dict, state))

    def _take_attributes(self, owner: Any, but: Container[str]) -> None:
        """The attributes of an object, and their values, except for some names."""
        held = attributes(owner)
        self._undo.append(partial(_set_attributes, owner, held))
        self._take_all(value for name, value in held.items() if name not in but)

    def _take_module(self, module: nn.Module) -> None:
        """All its modules: their parameters, gradients, buffers, children, modes, extra state."""
        for child in module.modules():
            self._take(child._parameters)
            self._take(child._buffers)
            if isinstance(child._modules, dict):  # a scripted module cannot get others
                self._undo.append(partial(_refill, child._modules, child._modules.copy()))
            # A scripted module keeps its tensors elsewhere.
            self._take_all([*child.parameters(recurse=False), *child.buffers(recurse=False)])
            self._undo.append(partial(setattr, child, "training", child.training))
            # Extra state is of no use where it cannot be set again.
            if type(child).set_extra_state is not nn.Module.set_extra_state:
                state = child.get_extra_state()
                self._take(state)
                self._undo.append(partial(child.set_extra_state, state))

    def _take(self, value: Any) -> bool:
        """Take a value of a known type; False for others."""
        if id(value) in self._taken:
            return True
        self._taken[id(value)] = value
        if isinstance(value, torch.Tensor):
            self._take_tensor(value)
        elif isinstance(value, nn.Module):
            self._take_module(value)
        elif isinstance(value, Optimizer | torch.amp.GradScaler):
            self._take(vars(value))
        elif is_generator(value):
            self._undo.append(keep_state(value))
        elif isinstance(value, np.ndarray):
            if value.flags.writeable:
                self._undo.append(partial(np.copyto, value, value.copy()))
        elif isinstance(value, dict | list | set | deque):
            self._undo.append(partial(_refill, value, value.copy()))
            self._take_all(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, tuple):
            self._take_all(value)
        else:
            del self._taken[id(value)]
            return False
        return True

    def _take_all(self, values: Iterable[Any]) -> None:
        for value in values:
            if not isinstance(value, PLAIN):
                self._take(value)

    def _take_tensor(self, tensor: torch.Tensor) -> None:
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            allowed = "a model whose parameters all have a shape"
            advice = "run a batch through the model first"
            refuse(ValueError, "model", allowed, tensor, advice=advice)
        # The same memory, type and shape as now, whatever happens to the tensor.
        old = tensor.detach()
        values = old.to("cpu", copy=True) if self._on_host else old.clone()
        self._undo.append(partial(_rewrite, tensor, old, values, tensor.requires_grad))
        if tensor.is_leaf:
            if tensor.grad is not None:
                self._take(tensor.grad)
            self._undo.append(partial(setattr, tensor, "grad", tensor.grad))


def order_of(loader: Any) -> list[Any]:
    """A loader with the samplers and generators of its order."""
    found = [loader]
    for owner in found:  # it grows during the loop
        for name in ORDER:
            value = getattr(owner, name, None)
            if value is not None and not any(value is known for known in found):
                found.append(value)
    return found


def generators_of(loader: Any) -> list[Any]:
    """The generators that a loader and its samplers hold."""
    owners = order_of(loader)
    held = chain(owners, *(attributes(owner).values() for owner in owners))
    return list({id(value): value for value in held if is_generator(value)}.values())


def attributes(owner: object) -> dict[str, Any]:
    """The attributes of an object, kept in its dictionary or in slots."""
    if is_generator(owner):
        return {}
    try:
        state: Any = object.__getstate__(owner)
    except TypeError:  # a class, or an object of C such as an iterator
        return {}
    plain, slots = state if isinstance(state, tuple) else (state, None)
    return {**(plain or {}), **(slots or {})}


def _set_attributes(owner: object, held: dict[str, Any]) -> None:
    for name in attributes(owner).keys() - held.keys():
        delattr(owner, name)
    for name, value in held.items():
        if getattr(owner, name, None) is not value:
            setattr(owner, name, value)


def _refill(container: Any, items: Any) -> None:
    """Fill a container with its old items; an unchanged container is not touched.

    A compiler may watch it.
    """

    def flat(values: Any) -> list[Any]:
        return list(chain.from_iterable(values.items()) if isinstance(values, dict) else values)

    now, old = flat(container), flat(items)
    if len(now) == len(old) and all(a is b for a, b in zip(now, old, strict=True)):
        return
    container.clear()
    if isinstance(container, dict | set):
        container.update(items)
    else:
        container.extend(items)


def _rewrite(
    tensor: torch.Tensor, old: torch.Tensor, values: torch.Tensor, requires_grad: bool
) -> None:
    """Give the tensor its old memory `old`, and that its old values."""
    same = tensor.shape == old.shape and tensor.dtype == old.dtype
    if not same or (tensor.layout == torch.strided and tensor.data_ptr() != old.data_ptr()):
        tensor.data = old
    if not _shares_memory_within(tensor):
        with torch.inference_mode() if tensor.is_inference() else nullcontext():
            tensor.copy_(values)
    if tensor.requires_grad != requires_grad:
        tensor.requires_grad_(requires_grad)


def _shares_memory_within(tensor: torch.Tensor) -> bool:
    """Whether elements share memory, as after expand(); such a tensor cannot be written to."""
    if tensor.layout != torch.strided:
        return False
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return any(stride == 0 and size > 1 for size, stride in sizes)
