"""Immutable values: equality, hash and pickling from the slots a class declares.

For classes whose constructor does more than to check and store its arguments; elsewhere frozen
dataclasses serve.
"""

from __future__ import annotations

from typing import Any


class Value:
    """An immutable object: its slots are its fields."""

    __slots__ = ("__weakref__",)  # jax.jit keeps its functions in weak tables

    def _set(self, **fields: Any) -> None:
        """Fill the slots, once, from `__init__`."""
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def _key(self) -> tuple[Any, ...]:
        """What makes two values of one class equal."""
        return tuple(getattr(self, name) for name in self.__slots__)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{type(self).__name__} is immutable: cannot set {name!r}; create a new object instead"
        )

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash((type(self), self._key()))

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._set(**state)
