"""One class per arithmetic: Python ints, NumPy arrays, arrays of any other library.

A policy has one formula, written with operators and with the methods of these classes. No other
module distinguishes kinds of numbers.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from .arguments import check_int, refuse

LOG2 = math.log(2.0)
# 2^-2200 times any float64 is 0, so more halvings than this change nothing.
ENOUGH_HALVINGS = 2200


class Arrays:
    """Arrays of any library, also under its tracing; the base of the other arithmetics.

    A constant never meets a counter whose type cannot hold it: JAX and PyTorch would wrap it.

    Attributes:
        where, exp, cos, sqrt: The library's own functions.
        cast: Function from an integer array to the float array wanted.
    """

    def __init__(self, xp: Any, cast: Callable[[Any], Any]) -> None:
        self.where, self.exp, self.cos, self.sqrt = xp.where, xp.exp, xp.cos, xp.sqrt
        self.cast = cast

    def largest(self, step: Any) -> int | float:
        """The largest number that the type of `step` and a constant in its formula can hold."""
        bits = int("".join(filter(str.isdigit, str(step.dtype))))
        # A uint32 counts twice as far, but JAX without 64 bits takes no larger constant.
        unsigned = "uint" in str(step.dtype) and bits < 32
        return (1 << bits if unsigned else 1 << bits - 1) - 1

    def divide(self, step: Any, period: int) -> tuple[Any, Any]:
        """The number of the cycle and the step in it, in integers."""
        if period > self.largest(step):
            return step * 0, step
        return step // period, step % period

    def steps_to(self, end: int, step: Any) -> Any:
        """The number of steps from `step` to `end` as a float, subtracted as integers."""
        if end > self.largest(step):
            return float(end) - self.cast(step)
        return self.cast(end - step)

    def share(self, step: Any, zero: int, one: int) -> Any:
        """The fraction of the way from step `zero` to step `one`, at which it is exactly 1.

        Args:
            step: Steps from 0 on.
            zero: The step of share 0: 0, or a step after `one`.
            one: The step of share 1.
        """
        count = self.steps_to(zero, step) if zero else self.cast(step)
        return self.pinned(count / float(abs(one - zero)), step, one, rising=zero < one)

    def pinned(self, share: Any, step: Any, one: int, *, rising: bool) -> Any:
        """The share, exactly 1 from step `one` on, or up to it where the share falls.

        XLA divides by multiplying with the reciprocal: n / n may be below 1.
        """
        if one > self.largest(step):
            return share
        return self.where(step < one if rising else step > one, share, 1.0)

    def before(self, step: Any, end: int) -> Any:
        """Whether step < end."""
        return step >= 0 if end > self.largest(step) else step < end

    def at_most(self, step: Any, last: int) -> Any:
        """The smaller of `step` and `last`."""
        if last > self.largest(step):
            return step
        return self.where(step < last, step, step * 0 + last)

    def halved(self, value: Any, times: Any) -> Any:
        """The value times 2^-times."""
        return value * self.exp(self.cast(times) * -LOG2)

    def piecewise(self, step: Any, starts: Sequence[int], piece: Callable[[int, Any], Any]) -> Any:
        """The value of the piece that `step` falls into.

        Args:
            step: Steps >= 0.
            starts: First step of every piece, increasing, from 0 on.
            piece: Function of a piece's number and of the step counted from its start.
        """
        result = piece(0, step)
        for index, start in enumerate(starts[1:], start=1):
            if start > self.largest(step):
                break
            inside = self.where(step < start, step * 0, step - start)
            result = self.where(step < start, result, piece(index, inside))
        return result

    def call(self, function: Any, checked: Callable[..., float], *arguments: Any) -> Any:
        """A user's function of numbers, applied to arrays.

        Args:
            function: The user's function; it gets the arrays where they have no values yet.
            checked: Calls `function` with Python numbers and checks its result.
            arguments: Arrays of one shape.
        """
        return function(*arguments)

    def shaped(self, rates: Any, step: Any) -> Any:
        """The rates of `read_steps(step)` in the shape of `step`."""
        return rates


class NumpyArrays(Arrays):
    """NumPy arrays: exact halving, a search for pieces, checked calls element by element."""

    def largest(self, step: Any) -> int:
        """The largest number of the type."""
        import numpy

        return int(numpy.iinfo(step.dtype).max)

    def divide(self, step: Any, period: int) -> tuple[Any, Any]:
        """As in `Arrays`; NumPy's % takes several times as long as multiplying back."""
        cycle = step // period
        return cycle, step - cycle * period

    def pinned(self, share: Any, step: Any, one: int, *, rising: bool) -> Any:
        """As in `Arrays`; the division is exact already."""
        return share

    def halved(self, value: Any, times: Any) -> Any:
        """As in `Arrays`, exactly."""
        import numpy

        return numpy.ldexp(value, -numpy.minimum(times, ENOUGH_HALVINGS).astype(numpy.intc))

    def piecewise(self, step: Any, starts: Sequence[int], piece: Callable[[int, Any], Any]) -> Any:
        """As in `Arrays`; evaluates only the pieces that steps fall into."""
        import numpy

        if not step.size:
            return self.cast(step)
        first = bisect_right(starts, int(step.min())) - 1
        reached = starts[first : bisect_right(starts, int(step.max()))]
        if len(reached) == 1:
            return piece(first, step - reached[0])
        index = numpy.searchsorted(numpy.array(reached, step.dtype), step, side="right") - 1
        result = self.cast(step)
        for i in numpy.unique(index):
            here = index == i
            result[here] = piece(first + int(i), step[here] - reached[i])
        return result

    def call(self, function: Any, checked: Callable[..., float], *arguments: Any) -> Any:
        """As in `Arrays`, element by element with Python numbers, as for scalars."""
        import numpy

        rows = zip(*(argument.tolist() for argument in arguments), strict=True)
        kind = self.cast(numpy.zeros(0, numpy.int64)).dtype
        return numpy.array([checked(function, *row) for row in rows], kind)

    def shaped(self, rates: Any, step: Any) -> Any:
        """As in `Arrays`; steps are read as one row."""
        return rates.reshape(step.shape)


class PythonNumbers:
    """Python ints, which have no end; the same methods as `Arrays`."""

    exp = staticmethod(math.exp)
    cos = staticmethod(math.cos)
    sqrt = staticmethod(math.sqrt)
    at_most = staticmethod(min)
    divide = staticmethod(divmod)

    def where(self, condition: bool, yes: Any, no: Any) -> Any:
        """`yes` where the condition holds, else `no`."""
        return yes if condition else no

    def cast(self, number: int) -> float:
        """The number as a float, at most the largest float."""
        try:
            return float(number)
        except OverflowError:
            return sys.float_info.max

    def steps_to(self, end: int, step: int) -> float:
        """The number of steps from `step` to `end` as a float."""
        return self.cast(end - step)

    def share(self, step: int, zero: int, one: int) -> float:
        """The fraction of the way from step `zero` to step `one`."""
        return (zero - step) / float(zero - one) if zero else step / float(one)

    def pinned(self, share: float, step: int, one: int, *, rising: bool) -> float:
        """The share; the division is exact already."""
        return share

    def before(self, step: int, end: int) -> bool:
        """Whether step < end."""
        return step < end

    def halved(self, value: float, times: int) -> float:
        """The value times 2^-times, exactly."""
        return math.ldexp(value, -min(times, ENOUGH_HALVINGS))

    def piecewise(self, step: int, starts: Sequence[int], piece: Callable[[int, Any], Any]) -> Any:
        """The value of the piece that `step` falls into."""
        index = bisect_right(starts, step) - 1
        return piece(index, step - starts[index])

    def call(self, function: Any, checked: Callable[..., float], *arguments: Any) -> float:
        """The checked result of a user's function."""
        return checked(function, *arguments)

    def shaped(self, rate: float, step: int) -> Any:
        """The rate, unchanged."""
        return rate


class NumbersInto(PythonNumbers):
    """Python ints whose rate becomes an array of the type that `into` makes."""

    def __init__(self, into: Callable[[Any], Any]) -> None:
        self.into = into

    def shaped(self, rate: float, step: int) -> Any:
        """The rate as an array of no dimension."""
        return self.into(0) * 0.0 + rate


PYTHON = PythonNumbers()


@cache
def numpy_arithmetic() -> NumpyArrays:
    """The arithmetic of NumPy in float64."""
    import numpy

    return NumpyArrays(numpy, lambda step: step.astype(numpy.float64))


def read_steps(step: Any) -> tuple[Any, Any]:
    """The checked steps, wide enough to count with, and their arithmetic.

    Raises:
        TypeError: `step` is neither an integer nor an array of integers.
        ValueError: `step` is negative. Traced values cannot be checked.
    """
    if _is_number(step):
        return check_int("step", step), PYTHON
    if _is_numpy(step):
        wide = _wide_numpy(step)
        if wide.dtype.kind == "i" and wide.size and wide.min() < 0:
            refuse(ValueError, "step", "an integer >= 0 or an array of them", wide.min())
        return wide, numpy_arithmetic()
    if hasattr(step, "__array_namespace__"):
        xp = step.__array_namespace__()
        real = xp.asarray(0.0).dtype
        return _checked_array(step, xp), Arrays(xp, lambda x: xp.astype(x, real))
    message = f"step is a {type(step).__name__}, an array without the Python array API"
    allowed = "an integer or an array with the Python array API"
    advice = "use policy.evaluate(step, xp, cast) with its library as xp"
    refuse(TypeError, "step", allowed, step, message=message, advice=advice)


def read_steps_for(step: Any, xp: Any, cast: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The steps, at least 0, and the arithmetic of an explicit namespace and cast.

    Raises:
        TypeError: `step` is neither an integer nor an array of integers.
        ValueError: `step` is a number with a fraction.
    """
    if _is_number(step):
        return max(check_int("step", step, -math.inf), 0), NumbersInto(cast)
    if _is_numpy(step):
        kind = NumpyArrays if getattr(xp, "__name__", "") == "numpy" else Arrays
        return _wide_numpy(step).clip(0), kind(xp, cast)
    if "int" not in str(step.dtype):
        refuse(TypeError, "step", "an integer or an array of integers", step)
    maths = Arrays(xp, cast)
    if maths.largest(step) < 127:  # int4 and the like; few libraries have them, or compute in them
        step = xp.astype(step, xp.int32)
    return xp.where(step < 0, step * 0, step), maths


def _is_number(step: object) -> bool:
    """Whether it is no array: NumPy's scalars are numbers."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(step, numpy.generic):
        return True
    return not any(hasattr(step, name) for name in ("shape", "dtype", "__array_namespace__"))


def _is_numpy(step: object) -> bool:
    """Whether it is a NumPy array; does not import NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(step, numpy.ndarray)


def _wide_numpy(step: Any) -> Any:
    """A NumPy array of integers of any type and shape as a row of 64 bits each."""
    name = step.dtype.name
    if not name.removeprefix("u").startswith("int"):
        refuse(TypeError, "step", "an integer or an array of integers", step)
    return step.astype("uint64" if name.startswith("u") else "int64", subok=False).ravel()


def _checked_array(step: Any, xp: Any) -> Any:
    """The steps of a library with the Python array API, checked and at least 32 bits wide."""
    if not xp.isdtype(step.dtype, "integral"):
        refuse(TypeError, "step", "an integer or an array of integers", step)
    step = xp.astype(step, xp.int32) if xp.iinfo(step.dtype).bits < 32 else step
    try:
        negative = bool(xp.any(step < 0))
    except TypeError:  # a traced value has no truth
        return xp.where(step < 0, step * 0, step)
    if negative:
        refuse(ValueError, "step", "an integer >= 0 or an array of them", step)
    return step
