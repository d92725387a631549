"""The range test for pure update functions, block by block on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import jax

import clrcore
from clrcore.arguments import check_bool, check_int, hint_at, refuse

from ._driver import Driver

State = TypeVar("State")
Batch = TypeVar("Batch")


@hint_at(**clrcore.RangeTest.HINTS)
def range_test(
    update: Callable[[State, Batch, jax.Array], tuple[State, Mapping[str, Any]]],
    state: State,
    batches: Iterable[Batch],
    *,
    sweep: clrcore.Policy | None = None,
    validate: Callable[[State], Any] | None = None,
    validate_every: int | None = None,
    seeds: int | None = None,
    batch_per_seed: bool = False,
    block_size: int = 25,
    steps_per_epoch: float | None = None,
    stop: bool = True,
    progress: bool = True,
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train for one sweep of the rate from a copy of the state, and return the curve.

    Args:
        update: Pure function (state, batch, lr) -> (state, metrics) that JAX can trace. `lr` is
            a float32 of no dimension. `metrics` is a dictionary with "loss", of the batch before
            the update, and, if known, "accuracy"; other keys are ignored.
        state: Pytree of arrays: parameters, optimizer state, random keys. It is not changed.
        batches: Iterable of pytrees of arrays, all of the same shapes. A list or a loader is
            iterated over again at its end.
        sweep: `linear_sweep`, `exponential_sweep`, or another policy with an end; by default 300
            updates from 1e-6 to 10.
        validate: Pure function state -> held-out accuracy. Then the curve's accuracy is that of
            held-out data, otherwise that of the batches.
        validate_every: Updates from one call of `validate` to the next, an integer >= 1; by
            default 50 calls in the sweep. `validate` is called after the last update, too.
        seeds: Number of states, >= 1, trained side by side: every array of `state` has a first
            axis of that length. `update` and `validate` stay functions of one state.
        batch_per_seed: Whether every array of a batch has such an axis, too; by default all
            seeds train on the same batches.
        block_size: Most updates, >= 1, that run on the device before their metrics are read. As
            many batches are held at once. Updates after the end of a test are not recorded.
        steps_per_epoch: Updates in an epoch; by default `len(batches)` where it has a length.
        stop: Whether to end once the loss has diverged. NaN and infinity end the test in any
            case.
        progress: Whether to show the last update, its rate and the smoothed loss on stderr.

    Returns:
        A curve, or with `seeds` a list of curves, one per seed. Where the batches end before the
        sweep, it has the updates recorded so far, and a UserWarning gives their number.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed.

    Source: Smith, arXiv 1506.01186, section 3.3.

    Example:
        >>> import clrcore, jax.numpy as jnp
        >>> from clr_adapters.jax import range_test
        >>> def update(weight, batch, lr):
        ...     return weight - lr * 2 * weight, {"loss": weight**2}
        >>> sweep = clrcore.exponential_sweep(1e-3, 10.0, 100)
        >>> range_test(update, jnp.float32(1.0), [0], sweep=sweep, progress=False)
        Curve(99 points, loss, lr 0.001 to 9.11, sweep='exponential')
    """
    number = check_states(seeds)
    if check_bool("batch_per_seed", batch_per_seed) and number is None:
        refuse(ValueError, "batch_per_seed", "False without seeds", batch_per_seed)
    driver = Driver(update, validate, number, batch_per_seed, block_size, progress)
    if steps_per_epoch is None:
        steps_per_epoch = clrcore.RangeTest.epoch_length(batches)
    runs = clrcore.SeededRangeTests(
        sweep,
        seeds=number,
        validate_every=validate_every,
        steps_per_epoch=steps_per_epoch,
        held_out=validate is not None,
        stop=stop,
    )
    driver.run(runs.tests, state, batches)
    return runs.curve_or_curves


def check_states(seeds: object) -> int | None:
    """The number of states; None for None."""
    allowed = "the number of stacked states, an integer >= 1, as randomness is in the state"
    if getattr(seeds, "shape", None) == ():  # an array of no dimension is a number
        seeds = seeds.item()  # type: ignore[attr-defined]
    return None if seeds is None else check_int("seeds", seeds, 1, allowed=allowed)
