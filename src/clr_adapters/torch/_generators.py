"""Random generators of torch, NumPy and Python: their states and their seeds."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)


def is_generator(value: object) -> bool:
    """Whether it is a generator with a state; the system's has none."""
    return isinstance(value, GENERATORS) and not isinstance(value, random.SystemRandom)


def keep_state(generator: Any) -> Callable[[], object]:
    """A function that gives the generator its present state again."""
    if isinstance(generator, torch.Generator):
        return partial(generator.set_state, generator.get_state())
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        return partial(setattr, bits, "state", bits.state)
    if isinstance(generator, np.random.RandomState):
        return partial(generator.set_state, generator.get_state(legacy=False))
    return partial(generator.setstate, generator.getstate())


def reseed(generator: Any, seed: int) -> None:
    """Start the generator from `seed`."""
    if isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    elif isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        bits.state = type(bits)(seed).state
    elif isinstance(generator, np.random.RandomState):
        kind = generator.get_state(legacy=False)["bit_generator"]
        generator.set_state(getattr(np.random, kind)(seed).state)
    else:
        generator.seed(seed)


def keep_global_states() -> list[Callable[[], object]]:
    """Functions that give the global generators their states again, on every device in use."""
    kept: list[Callable[[], object]] = [
        partial(random.setstate, random.getstate()),
        # Augmentations of data draw from NumPy's global generator.
        partial(np.random.set_state, np.random.get_state()),  # noqa: NPY002
        partial(torch.set_rng_state, torch.get_rng_state()),
    ]
    # Asking CUDA for its state would start it where nothing has used it yet.
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        kept.append(partial(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all()))
    if torch.backends.mps.is_available():
        kept.append(partial(torch.mps.set_rng_state, torch.mps.get_rng_state()))
    if torch.xpu.is_available():
        kept.append(partial(torch.xpu.set_rng_state_all, torch.xpu.get_rng_state_all()))
    return kept


def seed_global(seed: int) -> None:
    """Start the global generators from `seed`."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
