"""Many updates in one `lax.scan`, with checks of the results of the caller's functions.

The checks run while JAX traces the functions, so they cost nothing per update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from clrcore.arguments import refuse

from ._tree import named_leaves

Block = Callable[[Any, list[Any], jax.Array, jax.Array], tuple[Any, dict[str, jax.Array]]]


def copy_state(state: Any, seeds: int | None) -> Any:
    """The state in new arrays, which a block of updates may consume."""

    def copy(name: str, leaf: Any) -> jax.Array:
        try:
            array = jnp.copy(leaf)
        except (TypeError, ValueError):
            refuse(TypeError, name, "an array or a number", leaf)
        if seeds is not None and array.shape[:1] != (seeds,):
            allowed = f"an array with a first axis of {seeds}, the number of seeds"
            advice = "stack the states, or make them with jax.vmap"
            refuse(ValueError, name, allowed, array.shape, advice=advice)
        # A weak type would become strong in the first update, and all be compiled twice.
        return jax.lax.convert_element_type(array, array.dtype)

    leaves, structure = named_leaves("state", state)
    return jax.tree.unflatten(structure, [copy(name, leaf) for name, leaf in leaves.items()])


def compile_block(
    update: Callable[[Any, Any, jax.Array], Any],
    validate: Callable[[Any], Any] | None,
    *,
    seeds: int | None,
    batch_per_seed: bool,
) -> Block:
    """A compiled function of (state, batches, rates, due) -> (state, metrics).

    The function takes a list of batches, their rates, and booleans: whether to validate after
    each update. Metrics have the shape (updates,), or (updates, seeds). With `validate` the
    accuracy is that of held-out data, NaN where it was not due. The state is consumed.
    """
    # With held-out data the batch's own accuracy is not asked for.
    step = _checked_update(update, ("loss",) if validate else ("loss", "accuracy"))
    measure = _checked_validate(validate) if validate else None
    if seeds is not None:
        step = jax.vmap(step, in_axes=(0, 0 if batch_per_seed else None, None))
        measure = measure and jax.vmap(measure)

    def advance(state: Any, given: tuple[Any, jax.Array, jax.Array]) -> tuple[Any, Any]:
        batch, lr, due = given
        state, metrics = step(state, batch, lr)
        if measure is not None:
            absent = jnp.full(metrics["loss"].shape, jnp.nan)
            metrics["accuracy"] = jax.lax.cond(due, measure, lambda _: absent, state)
        return state, metrics

    def run(state: Any, batches: list[Any], rates: jax.Array, due: jax.Array) -> Any:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
        return jax.lax.scan(advance, state, (stacked, rates, due))

    return jax.jit(run, donate_argnums=0)


def _checked_update(update: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    def checked(state: Any, batch: Any, lr: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        result = update(state, batch, lr)
        if not isinstance(result, tuple) or len(result) != 2:
            refuse(TypeError, "the result of update", "a pair (state, metrics)", result)
        after, metrics = result
        if not isinstance(metrics, Mapping) or "loss" not in metrics:
            allowed = "a dictionary with 'loss' and, if it is known, 'accuracy'"
            refuse(TypeError, "the metrics that update returns", allowed, metrics)
        _check_state(state, after)
        return after, {
            name: _scalar(f"metrics[{name!r}]", metrics[name]) for name in names if name in metrics
        }

    return checked


def _checked_validate(validate: Callable[[Any], Any]) -> Callable[[Any], jax.Array]:
    return lambda state: _scalar("the result of validate", validate(state))


def _check_state(before: Any, after: Any) -> None:
    """Refuse an updated state that cannot go into the next update."""
    old, old_structure = named_leaves("state", jax.eval_shape(lambda: before))
    new, new_structure = named_leaves("state", jax.eval_shape(lambda: after))
    if old_structure != new_structure:
        missing = ", ".join(name for name in old if name not in new)
        added = ", ".join(name for name in new if name not in old)
        raise ValueError(
            "update must return a state of the structure that it was given; it dropped "
            f"{missing or 'nothing'} and added {added or 'nothing'}: {old_structure!s:.300} "
            f"became {new_structure!s:.300}"
        )
    for name, was in old.items():
        became = new[name]
        if (was.shape, was.dtype) != (became.shape, became.dtype):
            raise ValueError(
                "update must return a state of the shapes and types that it was given; "
                f"{name} was {_kind(was)} and became {_kind(became)}; lr is a float32, or a "
                "float64 with jax_enable_x64: cast it where the state has another type"
            )


def _kind(array: Any) -> str:
    return f"{array.dtype}{list(array.shape)}"


def _scalar(name: str, value: Any) -> jax.Array:
    kind = getattr(value, "dtype", None)
    if not isinstance(value, float) and (kind is None or not jnp.issubdtype(kind, jnp.floating)):
        refuse(TypeError, name, "a float of no dimension", value)
    array = jnp.asarray(value)
    if array.shape != ():
        advice = "take its mean"
        refuse(ValueError, name, "one number per update", array.shape, advice=advice)
    return array.astype(float)  # JAX's default float, which loses nothing
