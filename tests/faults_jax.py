"""Range tests and searches of JAX that fail; see faults.py."""

from __future__ import annotations

import io
import random
import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

import clrcore
from clr_adapters.jax import find_bounds, range_test
from faults import Fault

places = ["data", "update", "progress", "out of memory", "NaN"]
MUCH = 2**50  # bytes
SWEEP = clrcore.exponential_sweep(1e-3, 1.0, 60)
X = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
OPTIMIZER = optax.inject_hyperparams(optax.adam)(learning_rate=0.0)


class Data:
    """Fails at a batch."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def __iter__(self) -> Any:
        for rows in X.reshape(6, 16, 4):
            self._fault.raises("data")
            if self._fault.passes("out of memory"):
                np.empty(MUCH, np.uint8)
            yield rows * (np.float32("nan") if self._fault.passes("NaN") else 1)


class Stream(io.StringIO):
    """Takes the progress line, and fails."""

    fault = Fault()

    def write(self, text: str) -> int:
        self.fault.raises("progress")
        return len(text)


def prepare(fault: Fault, rng: random.Random) -> tuple[Callable[[], Any], Any]:
    """A range test or a search, and the state, which is never changed."""
    weights = {"w": jnp.ones((4, 3)), "key": jax.random.key_data(jax.random.key(1))}
    begin = weights, OPTIMIZER.init(weights["w"])

    def loss_fn(w: Any, batch: Any) -> Any:
        return jnp.mean((batch @ w - batch.sum(1, keepdims=True)) ** 2)

    def update(state: Any, batch: Any, lr: Any) -> Any:
        if fault.place == "update":  # it runs only while it is traced
            fault.happened = True
            raise ValueError("on purpose")
        weights, held = state
        loss, gradient = jax.value_and_grad(loss_fn)(weights["w"], batch)
        held = held._replace(hyperparams={**held.hyperparams, "learning_rate": lr})
        change, held = OPTIMIZER.update(gradient, held)
        return ({**weights, "w": optax.apply_updates(weights["w"], change)}, held), {"loss": loss}

    is_search = rng.random() < 0.5
    data = Data(fault)

    def run() -> None:
        Stream.fault = fault
        with mock.patch("sys.stderr", Stream()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                if is_search:
                    find_bounds(update, begin, data, sweep=SWEEP, max_updates=150, default_lr=0.01)
                else:
                    range_test(update, begin, data, sweep=SWEEP, block_size=5)
            except clrcore.NoBoundsError:
                pass

    def state() -> dict[str, Any]:
        return {"state": [np.asarray(x).tobytes() for x in jax.tree.leaves(begin)]}

    return run, state
