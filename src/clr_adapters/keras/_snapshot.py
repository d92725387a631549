"""Everything that training changes, taken and put back: variables, modes, generators.

Values are copied to the host: on JAX a training step consumes its buffers, and on PyTorch and
TensorFlow a NumPy view would change with its variable.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import keras
import numpy as np

from ._optimizers import to_numpy
from ._private import (
    SET_BY_FIT,
    all_layers,
    global_seed_generator,
    set_global_seed_generator,
)

ON_TORCH = keras.backend.backend() == "torch"
LARGEST_SEED = 2**31 - 1


@contextmanager
def restored(model: Any, *data: Any) -> Iterator[None]:
    """Leave a built and compiled model as it was, however the block ends.

    Restored are weights, statistics, seed generators, metrics, the optimizer's slots, counter and
    rate; Keras's global seed generator; the states of the generators of Python, NumPy and, where
    it is imported, PyTorch, those of the loaders in `data` included. On the PyTorch backend also
    gradients, buffers of wrapped modules, and the mode of every module.
    """
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    attributes = {name: getattr(model, name) for name in SET_BY_FIT if hasattr(model, name)}
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - others use it
    with (
        torch_restored(model, *data, tensors=True),
        variables_restored(variables),
        _global_seed_restored(model),
    ):
        try:
            yield
        finally:
            model.reset_metrics()  # for the new variables; the others get their values back
            for name in SET_BY_FIT:
                if name in attributes:
                    setattr(model, name, attributes[name])
                elif hasattr(model, name):
                    delattr(model, name)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def seed_all(model: Any, seed: int, *data: Any) -> None:
    """Start every generator from `seed`: global, of the layers, and of loaders in `data`."""
    keras.utils.set_random_seed(seed)
    for generator in _torch_generators(data):
        generator.manual_seed(seed)
    states = np.random.default_rng(seed)
    for variable in [*model.variables, *global_seed_states()]:
        if variable.name == "seed_generator_state":
            variable.assign(np.array([states.integers(LARGEST_SEED), 0]))


def global_seed_states() -> list[Any]:
    """The state of Keras's global seed generator; none before its first use."""
    generator = global_seed_generator()
    return [] if generator is None else [generator.state]


@contextmanager
def _global_seed_restored(model: Any) -> Iterator[None]:
    """Put Keras's global seed generator back; remove a new generator."""
    generator, before = global_seed_generator(), _bits(global_seed_states())
    with variables_restored(global_seed_states()):
        try:
            yield
        finally:
            after = _bits(global_seed_states())
            if after and (global_seed_generator() is not generator or after != before):
                # A compiled step keeps drawing from the generator that it was compiled with.
                model.train_function = model.test_function = None
            set_global_seed_generator(generator)


def _bits(variables: Iterable[Any]) -> list[bytes]:
    return [to_numpy(variable).tobytes() for variable in variables]


@contextmanager
def variables_restored(variables: Iterable[Any]) -> Iterator[None]:
    """Give Keras variables their values back at the end."""
    distinct = {id(variable): variable for variable in variables}.values()
    copies = [
        (replica, np.array(to_numpy(replica), copy=True))
        for variable in distinct
        for replica in _replicas(variable)
    ]
    try:
        yield
    finally:
        for replica, value in copies:
            replica.assign(value)


def _replicas(variable: Any) -> tuple[Any, ...]:
    """The variable, or its copies on the devices of a tf.distribute strategy."""
    # Metrics differ from replica to replica, and assigning their sum would spread it evenly.
    values = getattr(variable.value, "values", None)
    return values if isinstance(values, tuple) else (variable,)


@contextmanager
def torch_restored(model: Any, *data: Any, tensors: bool = False) -> Iterator[None]:
    """Where PyTorch is imported, restore its generators; on its backend also modes and autograd.

    Args:
        model: The model, whose modules get their modes back.
        data: Data; the generators of loaders among them are restored, too.
        tensors: Also restore gradients, and the tensors of wrapped modules, unknown to Keras.
    """
    states = [(generator, generator.get_state()) for generator in _torch_generators(data)]
    with _modules_restored(model, tensors) if ON_TORCH else nullcontext():
        try:
            yield
        finally:
            for generator, state in states:
                generator.set_state(state)


def _torch_generators(data: Iterable[Any]) -> list[Any]:
    """The global generators of PyTorch, and those of the loaders in `data`."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return []
    generators = [torch.default_generator]
    if torch.cuda.is_initialized():
        generators += torch.cuda.default_generators
    for loader in data:
        if isinstance(loader, torch.utils.data.DataLoader):
            batches = loader.batch_sampler
            for owner in (loader, loader.sampler, batches, getattr(batches, "sampler", None)):
                generators.append(getattr(owner, "generator", None))
    return list({id(one): one for one in generators if one is not None}.values())


@contextmanager
def _modules_restored(model: Any, tensors: bool) -> Iterator[None]:
    import torch

    # A Ctrl-C at the edge of a `no_grad`, such as Keras's in evaluation, leaves it off.
    grad = torch.is_grad_enabled()
    modes = {module: module.training for module in _modules(model)}
    owned = {id(t): t for module in modes for t in _own_tensors(module)} if tensors else {}
    copies = [(tensor, tensor.detach().clone(), tensor.grad) for tensor in owned.values()]
    try:
        yield
    finally:
        torch.set_grad_enabled(False)
        for module in _modules(model):  # some are created with the first batch
            module.training = modes.get(module, modes[model])
        for tensor, value, gradient in copies:
            tensor.copy_(value)
            tensor.grad = gradient
        torch.set_grad_enabled(grad)


def _modules(model: Any) -> list[Any]:
    """Every PyTorch module of a model; Keras registers its layers with none of them."""
    modules = (module for layer in all_layers(model) for module in layer.modules())
    return list({id(module): module for module in modules}.values())


def _own_tensors(module: Any) -> list[Any]:
    """The parameters and buffers of a module itself."""
    return [*module.parameters(recurse=False), *module.buffers(recurse=False)]
