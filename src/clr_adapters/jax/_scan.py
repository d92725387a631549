"""Many updates in one `lax.scan`, with checks of what the caller's functions return.

The checks run while JAX traces the functions, so they cost nothing per update.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from clrcore.arguments import refuse

from ._tree import named

METRICS = ("loss", "accuracy")

Block = Callable[[Any, list[Any], jax.Array, jax.Array], tuple[Any, dict[str, jax.Array]]]


def own_copy(state: Any, seeds: int | None) -> Any:
    """The state in arrays of its own; the caller's are neither given away nor changed."""

    def copy(name: str, leaf: Any) -> jax.Array:
        try:
            array = jnp.copy(leaf)
        except (TypeError, ValueError):
            refuse(TypeError, name, "an array or a number", leaf)
        if seeds is not None and array.shape[:1] != (seeds,):
            raise ValueError(
                f"{name} has the shape {array.shape}; with seeds={seeds} every array of the state "
                f"must have a first axis of {seeds}: stack the states, or make them with jax.vmap"
            )
        # A weak type would become strong in the first update, and all be compiled twice.
        return jax.lax.convert_element_type(array, array.dtype)

    leaves, structure = named("state", state)
    return jax.tree.unflatten(structure, [copy(name, leaf) for name, leaf in leaves.items()])


def block(
    update: Callable[[Any, Any, jax.Array], Any],
    validate: Callable[[Any], Any] | None,
    *,
    seeds: int | None,
    batch_per_seed: bool,
) -> Block:
    """A compiled function of (state, batches, rates, looks) -> (state, metrics per update).

    batches: a list of them, all alike. rates: shape (updates,). looks: bool, same shape, after
    which updates to validate. Metrics have the shape (updates,), or (updates, seeds); held-out
    accuracy takes the place of the batch's, and means nothing where there was no look. The
    state is given away.
    """
    one = _checked_update(update, METRICS if validate is None else ("loss",))
    look = None if validate is None else _checked_validate(validate)
    if seeds is not None:
        one = jax.vmap(one, in_axes=(0, 0 if batch_per_seed else None, None))
        look = look and jax.vmap(look)

    def step(state: Any, given: tuple[Any, jax.Array, jax.Array]) -> tuple[Any, Any]:
        batch, lr, looked = given
        state, metrics = one(state, batch, lr)
        if look is not None:
            nothing = jnp.full(metrics["loss"].shape, jnp.nan)
            metrics["accuracy"] = jax.lax.cond(looked, look, lambda _: nothing, state)
        return state, metrics

    def run(state: Any, batches: list[Any], rates: jax.Array, looks: jax.Array) -> Any:
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *batches)
        return jax.lax.scan(step, state, (stacked, rates, looks))

    return jax.jit(run, donate_argnums=0)


def _checked_update(update: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    def checked(state: Any, batch: Any, lr: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        result = update(state, batch, lr)
        if not isinstance(result, tuple) or len(result) != 2:
            refuse(TypeError, "what update returns", "a pair (state, metrics)", result)
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
    return lambda state: _scalar("what validate returns", validate(state))


def _check_state(before: Any, after: Any) -> None:
    """Refuse an updated state that cannot go into the next update."""
    old, old_structure = named("state", jax.eval_shape(lambda: before))
    new, new_structure = named("state", jax.eval_shape(lambda: after))
    lost = ", ".join(name for name in old if name not in new)
    gained = ", ".join(name for name in new if name not in old)
    if lost or gained:
        raise ValueError(
            "update must return a state of the structure that it was given; it lost "
            f"{lost or 'nothing'} and gained {gained or 'nothing'}"
        )
    if old_structure != new_structure:
        raise ValueError(
            "update must return a state of the structure that it was given; it was "
            f"{old_structure!s:.300} and became {new_structure!s:.300}"
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
        raise ValueError(
            f"{name} must be one number per update, got the shape {array.shape}; take its mean"
        )
    return array.astype(float)  # JAX's default float, which loses nothing
