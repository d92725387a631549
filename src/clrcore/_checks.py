"""One helper per rule about arguments, and one form for what a refusal says:
the argument's name, what is allowed, what was given.

NumPy scalars become Python numbers here, at the door.
"""

from __future__ import annotations

import math
import operator
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn

# float64 counts exactly up to here, and two of them still fit an int64.
LARGEST_COUNT = 2**53


def refuse(kind: type[Exception], name: str, allowed: str, value: object) -> NoReturn:
    """Raise `kind` with the message form used everywhere."""
    got = f"{value!r}"
    if len(got) > 200:
        got = got[:200] + "..."
    raise kind(f"{name} must be {allowed}, got {got} ({type(value).__name__})")


def integer(name: str, value: object, low: float = 0, high: int | None = None) -> int:
    """`value` as a Python int of at least `low` and at most `high`; bool is not a number."""
    if low == -math.inf:
        allowed = "an integer"
    else:
        allowed = f"an integer >= {low}" if high is None else f"an integer from {low} to {high}"
    if _is_bool(value) or _is_array(value):
        refuse(TypeError, name, allowed, value)
    try:
        result = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        # A float is a number of the wrong value when it is fractional, NaN or infinite.
        wrong = isinstance(value, float) and not value.is_integer()
        refuse(ValueError if wrong else TypeError, name, allowed, value)
    if result < low or (high is not None and result > high):
        refuse(ValueError, name, allowed, value)
    return result


def count(name: str, value: object, low: int = 1) -> int:
    """`value` as a number of steps that float64 can still count."""
    return integer(name, value, low, LARGEST_COUNT)


def real(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """`value` as a finite Python float in [low, high]; `above` and `below` open that end."""
    allowed = "a finite number" + _range(low, high, above, below)
    result = as_float(name, value, allowed)
    outside = (
        not math.isfinite(result)
        or result < low
        or result > high
        or (above and result == low)
        or (below and result == high)
    )
    if outside:
        refuse(ValueError, name, allowed, value)
    return result


def as_float(name: str, value: object, allowed: str = "a number") -> float:
    """`value`, a Python or NumPy real scalar, as a float; NaN and infinity pass."""
    if type(value) is float:
        return value
    numpy = sys.modules.get("numpy")
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain and not (numpy is not None and isinstance(value, numpy.integer | numpy.floating)):
        refuse(TypeError, name, allowed, value)
    try:
        return float(value)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]


def number(name: str, value: Any) -> float:
    """A number, or an array or tensor of no dimension, as a float; NaN and infinity pass."""
    if getattr(value, "shape", None) == () and not _is_bool(value):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            refuse(TypeError, name, "a number", value)
    return as_float(name, value)


def called(name: str, function: Callable[..., object], *arguments: object) -> float:
    """What a caller's function returns, as a number in [0, 1]; `name` is of the call."""
    try:
        result = function(*arguments)
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{name} raised {type(error).__name__}: {error}") from error
    return as_float(name, result, "a number in [0, 1]")


def between(low_name: str, low: float, high_name: str, high: float) -> None:
    """Refuse a lower bound above the upper one."""
    if high < low:
        raise ValueError(
            f"{high_name} must be >= {low_name}, got {high_name}={high!r} < {low_name}={low!r}; "
            "swap them if they were given in the wrong order"
        )


def choice(name: str, value: object, options: Iterable[str]) -> str:
    """`value` as one of the names in `options`."""
    options = list(options)
    allowed = "one of " + ", ".join(repr(option) for option in options)
    if not isinstance(value, str):
        refuse(TypeError, name, allowed, value)
    if value not in options:
        refuse(ValueError, name, allowed, value)
    return str(value)


def flag(name: str, value: object) -> bool:
    """`value` as True or False."""
    if not _is_bool(value):
        refuse(TypeError, name, "True or False", value)
    return bool(value)


def keys(name: str, given: object, expected: Iterable[str]) -> dict[str, Any]:
    """`given` as a dictionary with exactly the keys in `expected`."""
    if not isinstance(given, dict):
        refuse(TypeError, name, "a dictionary", given)
    expected = list(expected)
    missing = [key for key in expected if key not in given]
    unknown = [key for key in given if key not in expected]
    if missing or unknown:
        parts = []
        if missing:
            parts.append("lacks " + ", ".join(map(repr, missing)))
        if unknown:
            parts.append("has unknown " + ", ".join(map(repr, unknown)))
        raise ValueError(f"{name} {' and '.join(parts)}; its keys must be exactly {expected}")
    return given


def version(name: str, given: object, supported: int) -> None:
    """Refuse plain data written by another version of its format."""
    if type(given) is not int or given != supported:
        raise ValueError(
            f"{name} has version {given!r}, but this clrcore reads version {supported}; "
            "read it with the clrcore that wrote it"
        )


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


def _is_array(value: object) -> bool:
    """Arrays and tensors of one element have `__index__` too, but are not numbers."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return False
    return hasattr(value, "shape")


def _range(low: float, high: float, above: bool, below: bool) -> str:
    if low == -math.inf and high == math.inf:
        return ""
    if high == math.inf:
        return f" {'>' if above else '>='} {low:g}"
    return f" in {'(' if above else '['}{low:g}, {high:g}{')' if below else ']'}"
