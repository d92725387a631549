"""Everything that training changes, taken and put back: variables, modes, generators.

Values are copied to the host: on JAX a training step consumes the buffers it is given, and on
PyTorch and TensorFlow a NumPy view would change with its variable.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ._optimizers import array

try:
    # Private: there is no public way to the generator of unseeded `keras.random`.
    from keras.src.backend.common import global_state
except ImportError:  # a Keras that has it elsewhere; then that generator is left as it is
    global_state = None

GLOBAL_SEED = "global_seed_generator"
ON_TORCH = keras.backend.backend() == "torch"
# What `fit` leaves on the model itself.
ATTRIBUTES = ("stop_training", "history", "_initial_epoch")


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    """Leave a built and compiled model as it was, however the block ends.

    Weights, statistics, seed generators, Keras's global one included, metrics, the optimizer's
    slots, counter and rate; the state of Python's and NumPy's generators; on PyTorch also
    gradients, buffers of wrapped modules, train or eval mode of every module, and the global
    generators.
    """
    variables = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    attributes = {name: getattr(model, name) for name in ATTRIBUTES if hasattr(model, name)}
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - others use it
    with torch_state(model, tensors=True), values(variables), _global_seed(model):
        try:
            yield
        finally:
            model.reset_metrics()  # those that are new; the others get their values back
            for name in ATTRIBUTES:
                if name in attributes:
                    setattr(model, name, attributes[name])
                elif hasattr(model, name):
                    delattr(model, name)
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


def global_seeds() -> list[Any]:
    """The state of the generator of unseeded `keras.random`; none before its first use."""
    generator = _generator()
    return [] if generator is None else [generator.state]


def _generator() -> Any:
    return global_state and global_state.get_global_attribute(GLOBAL_SEED)


@contextmanager
def _global_seed(model: Any) -> Iterator[None]:
    """Put Keras's global seed generator back; one that came to be goes again."""
    generator, before = _generator(), [array(state).tobytes() for state in global_seeds()]
    with values(global_seeds()):
        try:
            yield
        finally:
            after = [array(state).tobytes() for state in global_seeds()]
            if after and (_generator() is not generator or after != before):
                # A compiled step draws for ever from the generator that it was compiled with.
                model.train_function = model.test_function = None
            if global_state is not None:
                global_state.set_global_attribute(GLOBAL_SEED, generator)


@contextmanager
def values(variables: Iterable[Any]) -> Iterator[None]:
    """Give Keras variables their values back at the end."""
    distinct = {id(variable): variable for variable in variables}.values()
    kept = [(one, np.array(array(one), copy=True)) for one in distinct]
    try:
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)


@contextmanager
def torch_state(model: Any, *, tensors: bool = False) -> Iterator[None]:
    """On the PyTorch backend, keep modes, global generators and autograd; elsewhere do nothing.

    tensors: also gradients, and the tensors of wrapped modules, which Keras does not know.
    """
    if not ON_TORCH:
        yield
        return
    import torch

    # A Ctrl-C at the edge of a `no_grad`, such as the one that Keras evaluates in, leaves it off.
    grad = torch.is_grad_enabled()
    modes = {module: module.training for module in _modules(model)}
    generator = torch.get_rng_state()
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    every = _tensors(modes) if tensors else []
    kept = [(tensor, tensor.detach().clone(), tensor.grad) for tensor in every]
    try:
        yield
    finally:
        torch.set_grad_enabled(False)
        for module in _modules(model):  # some come to be with the first batch
            module.training = modes.get(module, modes[model])
        torch.set_rng_state(generator)
        if devices:
            torch.cuda.set_rng_state_all(devices)
        for tensor, value, gradient in kept:
            tensor.copy_(value)
            tensor.grad = gradient
        torch.set_grad_enabled(grad)


def _modules(model: Any) -> list[Any]:
    """Every PyTorch module of a model; Keras registers its layers with none of them."""
    layers = model._flatten_layers(include_self=True, recursive=True)
    return list({id(one): one for layer in layers for one in layer.modules()}.values())


def _tensors(modules: Iterable[Any]) -> list[Any]:
    """The parameters and buffers of these modules, each once."""
    tensors = (
        tensor
        for module in modules
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
    )
    return list({id(tensor): tensor for tensor in tensors}.values())
