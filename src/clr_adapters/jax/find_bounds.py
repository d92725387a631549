"""`find_bounds`: range test, suggestion and confirmation of a pure update function in a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import jax

import clrcore
from clrcore.arguments import check_bool, hint_at

from ._driver import Driver
from ._scan import copy_state
from .range_test import check_states

State = TypeVar("State")
Batch = TypeVar("Batch")


@hint_at(**clrcore.RangeTest.HINTS)
def find_bounds(
    update: Callable[[State, Batch, jax.Array], tuple[State, Mapping[str, Any]]],
    state: State,
    batches: Iterable[Batch],
    *,
    sweep: clrcore.Policy | None = None,
    default_lr: float = 1e-3,
    max_updates: int = 1500,
    total_steps: int | None = None,
    kind: str = "constant",
    seeds: int | None = None,
    validate: Callable[[State], Any] | None = None,
    validate_every: int | None = None,
    block_size: int = 25,
    steps_per_epoch: float | None = None,
    progress: bool = True,
) -> clrcore.Bounds:
    """Find the rates to train with: a range test, its suggestion, and trials that confirm it.

    The range test is that of `range_test`. Short trial runs at rates around its suggestion follow,
    each from the same state. The training loss decides between them.

    Args:
        update: As in `range_test`.
        state: As in `range_test`. It is not changed.
        batches: Batches that can be iterated over again.
        sweep: Rates of the range test; by default 300 updates from 1e-6 to 10, fewer where a
            quarter of max_updates does not hold them.
        default_lr: Rate, > 0, that the trials start from where the range test gives no answer.
        max_updates: The most updates of all runs together.
        total_steps: Updates of the planned training, if known.
        kind: "constant", or the schedule of the planned training, which the trials rehearse: a
            kind of `Bounds.policy(total_steps=...)`.
        seeds: Number of states stacked in `state`, as in `range_test`. Each has a range test;
            the trials use the first.
        validate: As in `range_test`, for the range test.
        validate_every: As in `range_test`.
        block_size: As in `range_test`.
        steps_per_epoch: As in `range_test`.
        progress: As in `range_test`.

    Returns:
        The bounds that held; `bounds.trials` has the trials.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed, such as a max_updates that leaves no trials.
        NoBoundsError: Where neither the range test nor a trial gives an answer.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from clr_adapters.jax import find_bounds
        >>> x = jax.random.normal(jax.random.key(0), (16, 16, 4))
        >>> def loss_of(weights, batch):
        ...     return jnp.mean((batch @ weights - batch.sum(axis=1)) ** 2)
        >>> def update(weights, batch, lr):
        ...     loss, gradient = jax.value_and_grad(loss_of)(weights, batch)
        ...     return weights - lr * gradient, {"loss": loss}
        >>> start = jnp.zeros(4)
        >>> bounds = find_bounds(update, start, list(x), max_updates=400, progress=False)
        >>> 0.01 < bounds.lr < 1
        True
    """
    number = check_states(seeds)
    check_bool("progress", progress)
    clrcore.RangeTest.check_data("batches", batches, [0, 1])
    driver = Driver(update, validate, None, False, block_size, progress)
    trials = driver if validate is None else replace(driver, validate=None)
    if steps_per_epoch is None:
        steps_per_epoch = clrcore.RangeTest.epoch_length(batches)
    search = clrcore.BoundsSearch(
        default_lr,
        sweep=sweep,
        max_updates=max_updates,
        total_steps=total_steps,
        kind=kind,
        seeds=number,
        validate_every=validate_every,
        steps_per_epoch=steps_per_epoch,
        held_out=validate is not None,
    )
    state = copy_state(state, number)
    for run in search:
        start = state if number is None else jax.tree.map(lambda x: x[search.seed], state)
        chosen = trials if isinstance(run, clrcore.Trial) else driver
        chosen.run([run], start, batches, search.stage)
    return search.bounds
