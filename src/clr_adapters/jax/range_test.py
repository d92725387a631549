"""The range test for pure update functions, block by block on the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar, overload

import jax
import jax.numpy as jnp
import numpy as np

import clrcore
from clrcore.arguments import check_bool, check_int, refuse

from .._sweep import default_sweep
from ._batches import endless
from ._scan import block, own_copy

State = TypeVar("State")
Batch = TypeVar("Batch")


@overload
def range_test(
    update: Callable[[State, Batch, jax.Array], tuple[State, Mapping[str, Any]]],
    state: State,
    batches: Iterable[Batch],
    *,
    sweep: clrcore.Policy | None = ...,
    validate: Callable[[State], Any] | None = ...,
    validate_every: int = ...,
    seeds: None = ...,
    batch_per_seed: bool = ...,
    block_size: int = ...,
    steps_per_epoch: float | None = ...,
    stop: bool = ...,
) -> clrcore.Curve: ...
@overload
def range_test(
    update: Callable[[State, Batch, jax.Array], tuple[State, Mapping[str, Any]]],
    state: State,
    batches: Iterable[Batch],
    *,
    sweep: clrcore.Policy | None = ...,
    validate: Callable[[State], Any] | None = ...,
    validate_every: int = ...,
    seeds: int,
    batch_per_seed: bool = ...,
    block_size: int = ...,
    steps_per_epoch: float | None = ...,
    stop: bool = ...,
) -> list[clrcore.Curve]: ...
def range_test(
    update: Callable[[State, Batch, jax.Array], tuple[State, Mapping[str, Any]]],
    state: State,
    batches: Iterable[Batch],
    *,
    sweep: clrcore.Policy | None = None,
    validate: Callable[[State], Any] | None = None,
    validate_every: int = 0,
    seeds: int | None = None,
    batch_per_seed: bool = False,
    block_size: int = 25,
    steps_per_epoch: float | None = None,
    stop: bool = True,
) -> clrcore.Curve | list[clrcore.Curve]:
    """Train for a sweep of the rate, from a copy of the state, and return the curve.

    update: pure function (state, batch, lr) -> (state, metrics) that JAX can trace. lr is a
        float32 of no dimension; metrics is a dictionary with "loss", of the batch before the
        update, and, if known, "accuracy"; other keys are left out.
    state: pytree of arrays: parameters, optimizer state, random keys, ... It is not changed.
    batches: iterable of pytrees of arrays, all of the same shapes; a list or a loader is gone
        through again at its end, an iterator must last for the sweep.
    sweep: `linear_sweep` or `exponential_sweep`; by default 300 updates from 1e-6 to 10.
    validate: pure function state -> held-out accuracy, called after every `validate_every`-th
        update, >= 1, and after the last; its values take the place of the batch's accuracy.
    seeds: None, or a number of states, >= 1, trained side by side: every array of `state` has
        a first axis of that length. `update` and `validate` stay functions of one state.
    batch_per_seed: whether every array of a batch has such an axis too; by default all
        seeds see the same batches.
    block_size: most updates, >= 1, that run on the device before the metrics are read; as many
        batches are held at once. The end of a test is noticed at the end of a block, and
        what came after it left out.
    steps_per_epoch: updates in an epoch; by default `len(batches)` where it has a length.
    stop: end once the loss has diverged. NaN and infinity end the test in any case.
    Returns a `clrcore.Curve`, or with `seeds` a list of them, one per seed.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore, jax.numpy as jnp
    >>> from clr_adapters.jax import range_test
    >>> def update(weight, batch, lr):
    ...     return weight - lr * 2 * weight, {"loss": weight**2}
    >>> range_test(update, jnp.float32(1.0), [0], sweep=clrcore.exponential_sweep(1e-3, 10.0, 100))
    Curve(99 points of loss, lr 0.001..9.11163, sweep='exponential')
    """
    for name, function in (("update", update), ("validate", validate)):
        if not callable(function) and not (name == "validate" and function is None):
            refuse(TypeError, name, "a function", function)
    check_int("validate_every", validate_every)
    if (validate is None) != (validate_every == 0):
        raise ValueError(
            "validate and validate_every >= 1 belong together, got "
            f"validate={validate!r:.100}, validate_every={validate_every}"
        )
    if seeds is not None:
        check_int("seeds", seeds, 1)
    if check_bool("batch_per_seed", batch_per_seed) and seeds is None:
        raise ValueError("batch_per_seed=True needs seeds=..., the number of states")
    check_int("block_size", block_size, 1)
    check_bool("stop", stop)
    if steps_per_epoch is None:
        steps_per_epoch = _length(batches)

    def start(held_out: bool | None) -> clrcore.RangeTest:
        return clrcore.RangeTest(
            default_sweep() if sweep is None else sweep,
            steps_per_epoch=steps_per_epoch,
            held_out=held_out,
            stop_diverged=stop,
        )

    rising = start(None).sweep
    num_steps: int = rising.total_steps  # type: ignore[assignment]
    # Blocks of one length, so that they are compiled once; the last is filled up.
    length = -(-num_steps // -(-num_steps // block_size))
    steps = np.arange(-(-num_steps // length) * length)
    rates = rising(steps)
    looks = np.zeros(steps.shape, bool)
    if validate_every:
        looks = ((steps + 1) % validate_every == 0) | (steps + 1 == num_steps)
    source = endless(batches, num_steps, seeds if batch_per_seed else None)
    trained = own_copy(state, seeds)
    run = block(update, validate, seeds=seeds, batch_per_seed=batch_per_seed)
    tests: list[clrcore.RangeTest] = []
    # A range test goes on until the loss is NaN, which is no mistake to debug.
    with jax.debug_nans(False), jax.debug_infs(False):
        for begin in range(0, num_steps, length):
            here = slice(begin, begin + length)
            taken = list(islice(source, min(length, num_steps - begin)))
            taken += [taken[-1]] * (length - len(taken))
            trained, metrics = run(
                trained, taken, jnp.asarray(rates[here]), jnp.asarray(looks[here])
            )
            tests = tests or [
                start(validate is not None if "accuracy" in metrics else None)
                for _ in range(seeds or 1)
            ]
            _record(tests, metrics, looks[here] if validate_every else np.ones(length, bool))
            if all(test.reason is not None for test in tests):
                break
    curves = [test.curve for test in tests]
    return curves[0] if seeds is None else curves


def _length(batches: Any) -> int | None:
    try:
        return len(batches) or None
    except TypeError:  # loaders of streams have a length that cannot be asked for
        return None


def _record(
    tests: list[clrcore.RangeTest], metrics: dict[str, jax.Array], known: np.ndarray[Any, Any]
) -> None:
    """Give every test the metrics of a block, until it ends; accuracy only where it is known."""
    columns = {
        name: np.asarray(values, dtype=float).reshape(len(known), len(tests)).T.tolist()
        for name, values in metrics.items()
    }
    for i, test in enumerate(tests):
        losses = columns["loss"][i]
        accuracies = columns["accuracy"][i] if "accuracy" in columns else [None] * len(losses)
        for loss, accuracy, is_known, _ in zip(losses, accuracies, known, test, strict=False):
            test.record(loss=loss, accuracy=accuracy if is_known else None)
