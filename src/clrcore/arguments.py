"""Checks of arguments, one function per rule.

Every refusal has the same form: the argument's name, the allowed values, the value given. The same
facts are attributes of the exception. NumPy scalars become Python numbers here, at the door.
Adapters may import this module and the public names, nothing else.
"""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, NoReturn, ParamSpec, TypeVar

from .errors import ArgumentTypeError, ArgumentValueError

P = ParamSpec("P")
T = TypeVar("T")

# float64 counts exactly up to here, and the sum of two such counts fits an int64.
LARGEST_COUNT = 2**53
# Every framework's generators take seeds up to here.
LARGEST_SEED = 2**31 - 1
# Flag of a function's code: it has **options.
TAKES_ANY_NAME = 0x08
# Longest value that a message shows, in characters, and most names that it lists.
LONGEST_SHOWN = 200
MOST_NAMES = 10
# Half a cycle takes up to so many epochs (paper, section 3.2).
MOST_EPOCHS = 10


def refuse(
    kind: type[TypeError] | type[ValueError],
    argument: str,
    allowed: str,
    got: object,
    *,
    advice: str = "",
    message: str = "",
    cause: BaseException | None = None,
) -> NoReturn:
    """Raise `kind` with the message form used everywhere.

    Args:
        kind: TypeError or ValueError; the subclass that carries the facts is raised.
        argument: Name of the argument.
        allowed: What would have been accepted; it completes the sentence "NAME must be".
        got: The value that was given.
        advice: What to do, appended after a semicolon.
        message: A whole sentence instead of the usual form.
        cause: The exception behind it, if any.
    """
    error = ArgumentTypeError if issubclass(kind, TypeError) else ArgumentValueError
    if not message:
        message = f"{argument} must be {allowed}, got {shown(got)} ({type(got).__name__})"
    if advice:
        message += f"; {advice}"
    raise error.of(message, argument, allowed, got, advice) from cause


def shown(value: object, longest: int = LONGEST_SHOWN) -> str:
    """`repr(value)`, cut to a length that a message can hold."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 4 * longest:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, str | bytes | list | tuple) and len(value) > longest:
        value = value[:longest]  # repr of millions of elements would take seconds
    try:
        text = repr(value)
    except Exception:  # a broken or endless __repr__ must not hide the refusal
        text = object.__repr__(value)
    return text if len(text) <= longest else text[:longest] + "..."


def listed(names: Iterable[object]) -> str:
    """The first few names, quoted and separated by commas."""
    names = list(names)
    more = ", ..." if len(names) > MOST_NAMES else ""
    return ", ".join(shown(name, 60) for name in names[:MOST_NAMES]) + more


def check_type(name: str, value: object, kind: Any, allowed: str, advice: str = "") -> Any:
    """`value`, if it is of this type, or of a type in this union."""
    if not isinstance(value, kind):
        refuse(TypeError, name, allowed, value, advice=advice)
    return value


def check_optional(
    check: Callable[..., T], name: str, value: object, *rule: Any, **open_ends: bool
) -> T | None:
    """The value as `check` returns it; None stays None."""
    return None if value is None else check(name, value, *rule, **open_ends)


def check_int(
    name: str,
    value: object,
    low: float = 0,
    high: int | None = None,
    *,
    allowed: str = "",
    advice: str = "",
) -> int:
    """`value` as a Python int of at least `low` and at most `high`; bool is not a number."""
    if type(value) is int and low <= value and (high is None or value <= high):
        return value  # before the message is written
    if not allowed:
        allowed = "an integer" if low == -math.inf else f"an integer >= {low}"
        allowed = allowed if high is None else f"an integer from {low} to {high}"
    if _is_bool(value) or _is_array(value):
        refuse(TypeError, name, allowed, value, advice=advice)
    try:
        result = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        # A float is a number of the wrong value when it is fractional, NaN or infinite.
        wrong = isinstance(value, float) and not value.is_integer()
        refuse(ValueError if wrong else TypeError, name, allowed, value, advice=advice)
    if result < low or (high is not None and result > high):
        refuse(ValueError, name, allowed, value, advice=advice)
    return result


def check_steps(name: str, value: object, low: int = 1) -> int:
    """`value` as a number of steps that float64 can still count."""
    return check_int(name, value, low, LARGEST_COUNT)


def check_float(
    name: str,
    value: object,
    low: float = -math.inf,
    high: float = math.inf,
    *,
    above: bool = False,
    below: bool = False,
) -> float:
    """`value` as a finite Python float in [low, high]; `above` and `below` open that end."""
    if type(value) is float and low < value < high:
        return value  # before the message is written
    allowed = "a finite number" + _range(low, high, above, below)
    result = float_from_number(name, value, allowed)
    inside = low <= result <= high and not ((above and result == low) or (below and result == high))
    if not (inside and math.isfinite(result)):
        refuse(ValueError, name, allowed, value)
    return result


def float_from_number(name: str, value: object, allowed: str = "a number") -> float:
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


def float_from_scalar(name: str, value: Any) -> float:
    """A number, or an array or tensor of no dimension, as a float; NaN and infinity pass."""
    of_bools = "bool" in str(getattr(value, "dtype", ""))
    masked = type(value).__name__ == "MaskedConstant"
    if getattr(value, "shape", None) == () and not of_bools and not masked:
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            refuse(TypeError, name, "a number", value)
    return float_from_number(name, value)


def call_user_function(name: str, function: Callable[..., object], *arguments: object) -> float:
    """The result of a caller's function as a float; `name` describes the call."""
    try:
        result = function(*arguments)
    except Exception as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        message = f"{name} raised {type(error).__name__}: {error}"
        refuse(kind, name, "a call without an exception", error, message=message, cause=error)
    return float_from_number(name, result, "a number in [0, 1]")


def check_order(low_name: str, low: float, high_name: str, high: float) -> None:
    """Refuse a lower bound above the upper one."""
    if high < low:
        advice = "swap them if they were given in the wrong order"
        refuse(ValueError, high_name, f">= {low_name}={low!r}", high, advice=advice)


def check_choice(name: str, value: object, options: Iterable[str]) -> str:
    """`value` as one of the names in `options`; a near miss is named in the refusal."""
    options = list(options)
    if isinstance(value, str) and value in options:
        return str(value)
    allowed = "one of " + ", ".join(repr(option) for option in options)
    if not isinstance(value, str):
        refuse(TypeError, name, allowed, value)
    refuse(ValueError, name, allowed, value, advice=did_you_mean(value, options))


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """A hint to the nearest of `options`, or "" where none is near."""
    from difflib import get_close_matches  # only errors need it

    near = get_close_matches(name[:LONGEST_SHOWN], list(options), 1)
    return f"did you mean {near[0]!r}?" if near else ""


def hint_at(*more: str, **hints: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator: refuse names of arguments that a function does not have, with advice.

    Args:
        more: Names that the function takes as `**options`. Without them, such a function refuses
            unknown names itself.
        hints: Advice for each name that users bring from elsewhere, such as "pass a policy".
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        code = function.__code__
        known = [*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount], *more]
        takes_any = bool(code.co_flags & TAKES_ANY_NAME) and not more

        @wraps(function)
        def hinted(*arguments: P.args, **options: P.kwargs) -> T:
            for name, value in options.items():
                if name not in known and (name in hints or not takes_any):
                    called = function.__qualname__.removesuffix(".__init__")
                    message = f"{called} has no argument {name!r}"
                    listing = f"its arguments are {', '.join(known)}"
                    advice = hints.get(name) or did_you_mean(name, known) or listing
                    refuse(TypeError, name, "absent", value, message=message, advice=advice)
            return function(*arguments, **options)

        return hinted

    return decorate


def policy_advice(value: object) -> str:
    """What to do with `value` in place of a policy, where that is known; else ""."""
    if hasattr(value, "max_lr_interval"):
        return "make one with bounds.policy(step_size=...) or bounds.policy(total_steps=...)"
    if hasattr(getattr(value, "__self__", None), "max_lr_interval"):
        return "call it: bounds.policy(step_size=...) or bounds.policy(total_steps=...)"
    return ""


def warn_of_cycles(policy: Any, total_steps: float, steps_per_epoch: float) -> None:
    """Warn of cycles that are longer than a training, or whose length seems to be in epochs.

    Args:
        policy: A policy with cycles.
        total_steps: Updates of the training; infinity, or at most 0, where they are not known.
        steps_per_epoch: Updates of an epoch, infinity where they are not known.
    """
    import warnings

    if 0 < total_steps < math.inf and not policy.cycle_ends(int(total_steps)):
        message = (
            f"no cycle will end: the training makes {int(total_steps)} updates, and the first "
            "cycle is longer; lower step_size or train longer"
        )
        warnings.warn(message, UserWarning, stacklevel=4)
    half = (policy.period or math.inf) / 2
    if half <= MOST_EPOCHS and 20 * half <= steps_per_epoch < math.inf:
        message = (
            f"half a cycle takes {half:g} updates, and an epoch {steps_per_epoch:g}: step_size "
            f"counts updates; for {half:g} epochs pass step_size={half * steps_per_epoch:g}"
        )
        warnings.warn(message, UserWarning, stacklevel=4)


def check_bool(name: str, value: object) -> bool:
    """`value` as True or False."""
    if not _is_bool(value):
        refuse(TypeError, name, "True or False", value)
    return bool(value)


def check_keys(name: str, given: object, expected: Iterable[str]) -> dict[str, Any]:
    """`given` as a dictionary with exactly the keys in `expected`."""
    data: dict[str, Any] = check_type(name, given, dict, "a dictionary")
    expected = list(expected)
    missing = [key for key in expected if key not in data]
    unknown = [key for key in data if key not in expected]
    problems = [f"lacks {listed(missing)}"] * bool(missing)
    problems += [f"has unknown {listed(unknown)}"] * bool(unknown)
    if problems:
        message = f"{name} {' and '.join(problems)}; its keys must be exactly {expected}"
        allowed = f"a dictionary with the keys {expected}"
        refuse(ValueError, name, allowed, data, message=message)
    return data


def check_state(name: str, given: object, version: int, keys: Iterable[str]) -> dict[str, Any]:
    """`given` as a dictionary with these keys, and "version", of this version of its format."""
    state = check_keys(name, given, dict.fromkeys(["version", *keys]))
    check_version(name, state["version"], version)
    return state


def check_list(name: str, value: object, allowed: str) -> list[Any]:
    """What can be iterated over, as a list; text cannot."""
    if not isinstance(value, str | bytes):
        try:
            items = iter(value)  # type: ignore[call-overload]
        except TypeError:  # an array of no dimension has __iter__ all the same
            pass
        else:
            return list(items)
    refuse(TypeError, name, allowed, value)


def check_ends(name: str, value: object) -> list[dict[str, Any]]:
    """A copy of the ends of cycles in a state: dictionaries of numbers, words and metrics."""
    if not isinstance(value, list) or not all(isinstance(end, dict) for end in value):
        refuse(TypeError, name, "a list of dictionaries", value)
    for i, end in enumerate(value):
        check_steps(f"{name}[{i}]['updates']", end.get("updates"), 0)
        metrics = [x for x in end.values() if isinstance(x, dict)]
        plain = [x for x in end.values() if not isinstance(x, dict)]
        plain += [x for values in metrics for x in values.values()]
        if not all(isinstance(x, int | float | str | None) for x in plain):
            refuse(TypeError, f"{name}[{i}]", "a dictionary of numbers, words and metrics", end)
    return [{key: dict(x) if isinstance(x, dict) else x for key, x in end.items()} for end in value]


def check_seeds(name: str, value: object, largest: int = LARGEST_SEED) -> list[int] | None:
    """Seeds as a list: None stays None, a number n means 0..n-1, a sequence stays a sequence.

    A sequence is a list, a tuple, a range or an array of one dimension, with at least one seed.
    """
    if value is None:
        return None
    allowed = "a number of seeds, or a sequence of at least one seed"
    shape = getattr(value, "shape", None)
    if shape == ():  # an array of no dimension is a number
        try:
            value = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            refuse(TypeError, name, allowed, value)
    if isinstance(value, list | tuple | range) or (shape is not None and len(shape) == 1):
        items: list[Any] = list(value)  # type: ignore[call-overload]
        seeds = [check_int(f"{name}[{i}]", seed, 0, largest) for i, seed in enumerate(items)]
        if not seeds:
            refuse(ValueError, name, allowed, value)
        return seeds
    return list(range(check_int(name, value, 1)))


def is_same(given: object, own: object) -> bool:
    """Whether foreign data equal ours; data that cannot be compared, such as arrays, do not."""
    try:
        return bool(given == own)
    except Exception:
        return False


def check_version(name: str, given: object, supported: int) -> None:
    """Refuse plain data written by another version of its format."""
    if type(given) is not int or given != supported:
        advice = "read it with the clrcore that wrote it"
        message = f"{name} has version {shown(given)}, but this clrcore reads version {supported}"
        refuse(
            ValueError, f"{name}['version']", str(supported), given, message=message, advice=advice
        )


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


def _is_array(value: object) -> bool:
    """Whether it is an array or tensor; one of a single element has `__index__` all the same."""
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
