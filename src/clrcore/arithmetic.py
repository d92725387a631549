"""The few places where a Python int, a NumPy array and any other array must be treated apart.

A policy has one formula, written with operators, `where`, `exp` and `cos`; these functions
find the arithmetic a step brings along, and do what that vocabulary cannot say.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_right

from .arguments import check_int, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

LOG2 = math.log(2.0)
# 2^-2200 times any float64 is 0, so more halvings than this change nothing.
ENOUGH_HALVINGS = 2200


class PythonMath:
    """`where`, `exp`, `cos` and `sqrt` for plain Python numbers."""

    @staticmethod
    def where(condition: bool, yes: Any, no: Any) -> Any:
        """`yes` where the condition holds, else `no`."""
        return yes if condition else no

    exp = staticmethod(math.exp)
    cos = staticmethod(math.cos)
    sqrt = staticmethod(math.sqrt)


PYTHON = PythonMath()


def python_cast(number: int) -> float:
    """`number` as a float; one too large for it becomes the largest there is."""
    try:
        return float(number)
    except OverflowError:
        return sys.float_info.max


def arithmetic(step: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    """The checked step, the namespace and the cast to float that belong to it.

    Raises TypeError for what is not an integer or an array of integers, ValueError for
    negative steps. Traced values cannot be checked; `Policy.evaluate` clamps them.
    """
    if is_numpy(step):
        import numpy

        if isinstance(step, numpy.ndarray):
            if step.dtype.kind == "i" and step.size and step.min() < 0:
                refuse(ValueError, "step", "an integer >= 0 or an array of them", step.min())
            return counters(step), numpy, numpy_cast
        return check_int("step", step), PYTHON, python_cast
    if hasattr(step, "__array_namespace__"):
        xp = step.__array_namespace__()
        real = xp.asarray(0.0).dtype
        return _foreign_steps(step, xp), xp, lambda x: xp.astype(x, real)
    if hasattr(step, "shape"):
        raise TypeError(
            f"step is a {type(step).__name__}, an array without the Python array API; use "
            "policy.evaluate(step, xp, cast) with its library as xp"
        )
    return check_int("step", step), PYTHON, python_cast


def counters(step: Any) -> Any:
    """Integers of any library and width, as wide as arithmetic with them needs.

    Numbers become Python ints, NumPy arrays 64 bits wide; other arrays stay as they are.
    Raises TypeError for what is not an integer.
    """
    if not hasattr(step, "dtype"):
        return check_int("step", step, -math.inf)
    if not is_numpy(step):
        if "int" not in str(step.dtype):
            refuse(TypeError, "step", "an integer or an array of integers", step)
        return step
    import numpy

    if not isinstance(step, numpy.ndarray):
        return check_int("step", step, -math.inf)
    if step.dtype.kind not in "iu":
        refuse(TypeError, "step", "an integer or an array of integers", step)
    return step.astype(numpy.uint64 if step.dtype.kind == "u" else numpy.int64)


def numpy_cast(x: Any) -> Any:
    """A NumPy array of integers as float64."""
    return x.astype("float64")


def is_numpy(x: object) -> bool:
    """Whether `x` is a NumPy array or scalar; does not import NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(x, numpy.ndarray | numpy.generic)


def divide(step: Any, period: int) -> tuple[Any, Any]:
    """Cycle number and step in the cycle, in integers."""
    if period > _largest(step):  # the counter's type cannot reach the first cycle's end
        return step * 0, step
    cycle = step // period
    if is_numpy(step):  # its % takes several times as long
        return cycle, step - cycle * period
    return cycle, step % period  # XLA then leaves out the cycle where nothing needs it


def rise_and_fall(step: Any, up: int, down: int, xp: Any, cast: Callable[[Any], Any]) -> Any:
    """Height u of the triangle at a step in the cycle: 0 at 0, 1 at `up`, 0 at `up + down`."""
    rising = cast(step) / float(up)
    falling = steps_to(up + down, step, cast) / float(down)
    return xp.where(before(step, up + 1), rising, falling)


def steps_to(end: int, step: Any, cast: Callable[[Any], Any]) -> Any:
    """End - step as a float: subtracted as integers where the step's type holds the end."""
    if end > _largest(step):
        return float(end) - cast(step)
    return cast(end - step)


def before(step: Any, end: int) -> Any:
    """Whether step < end, also where the step's type does not reach the end."""
    return step >= 0 if end > _largest(step) else step < end


def halved(x: Any, times: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
    """X 2^-times: exactly where the arithmetic has ldexp, else by exp."""
    if xp is PYTHON:
        return math.ldexp(x, -min(times, ENOUGH_HALVINGS))
    if is_numpy(times):
        import numpy

        fewer = numpy.minimum(times, ENOUGH_HALVINGS).astype(numpy.intc)
        return numpy.ldexp(x, -fewer)
    return x * xp.exp(cast(times) * -LOG2)


def piecewise(step: Any, starts: Sequence[int], piece: Callable[[int, Any], Any], xp: Any) -> Any:
    """The piece that `step` falls into, at its own local step.

    starts: first step of every piece, increasing, the first one 0. piece: function of the
    piece's number and of the step counted from its start. Bisection for ints and NumPy,
    `where` elsewhere.
    """
    if isinstance(step, int):
        index = bisect_right(starts, step) - 1
        return piece(index, step - starts[index])
    if is_numpy(step):
        return _numpy_pieces(step, starts, piece)
    result = piece(0, step)
    for index, start in enumerate(starts[1:], start=1):
        if start > _largest(step):
            break
        local = xp.where(step < start, step * 0, step - start)
        result = xp.where(step < start, result, piece(index, local))
    return result


def at_most(step: Any, last: int, xp: Any) -> Any:
    """`step`, or `last` where it is beyond."""
    if isinstance(step, int):
        return min(step, last)
    if last > _largest(step):
        return step
    return xp.where(step < last, step, step * 0 + last)


def _foreign_steps(step: Any, xp: Any) -> Any:
    if not xp.isdtype(step.dtype, "integral"):
        refuse(TypeError, "step", "an integer or an array of integers", step)
    try:
        negative = bool(xp.any(step < 0))
    except TypeError:  # a traced value has no truth
        negative = False
    if negative:
        refuse(ValueError, "step", "an integer >= 0 or an array of them", step)
    if xp.iinfo(step.dtype).bits < 32:
        step = xp.astype(step, xp.int32)
    return step


def _numpy_pieces(step: Any, starts: Sequence[int], piece: Callable[[int, Any], Any]) -> Any:
    import numpy

    reachable = [start for start in starts if start <= _largest(step)]
    ordered = numpy.array(reachable, dtype=step.dtype)
    index = numpy.searchsorted(ordered, step, side="right") - 1
    if not step.size:
        return piece(0, step)
    result = None
    for i in numpy.unique(index):
        here = index == i
        part = piece(int(i), step[here] - ordered[i])
        if result is None:
            result = numpy.empty(step.shape, dtype=part.dtype)
        result[here] = part
    return result


def _largest(step: Any) -> int | float:
    """A number that the type of `step` counts to, and that any constant beside it may have.

    Python's ints have no end. A uint32 counts twice as far as said here, but JAX, where it has
    32 bits only, takes no larger constants beside it.
    """
    if isinstance(step, int):
        return math.inf
    if is_numpy(step):
        import numpy

        return int(numpy.iinfo(step.dtype).max)
    name = str(step.dtype)
    bits = next(bits for bits in (64, 32, 16, 8) if str(bits) in name)
    largest: int = 2 ** (bits - 1) - 1
    return 2 * largest + 1 if "uint" in name and bits < 32 else largest
