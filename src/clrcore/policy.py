"""What every policy is: an immutable value that maps a step to a rate."""

from __future__ import annotations

from ._values import Value
from .arguments import check_float, check_int, check_order, refuse
from .arithmetic import PYTHON, arithmetic, counters, is_numpy, python_cast
from .cycles import Position

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, ClassVar, Self, overload

    import numpy as np
    from numpy.typing import NDArray

VERSION = 1


class Policy(Value):
    """A learning-rate policy: step (updates already made) -> learning rate.

    Immutable, hashable, comparable and picklable. Update number t, counted from 0, uses
    `policy(t)`. Made by the constructors (`triangular`, `chain`, ...), not by hand.
    """

    __slots__ = ()

    constructor: ClassVar[str]
    """Name of the function that makes such a policy."""

    period: int | None = None
    """Length of a cycle in steps; None where there is no such length."""

    total_steps: int | None = None
    """Number of steps after which the last rate is held; None where the policy is endless."""

    has_cycles: bool = False
    """Whether there are cycles, whose ends are moments to judge the run."""

    repeats: bool = False
    """Whether cycles of one length follow each other without end."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, step: int) -> float: ...
        @overload
        def __call__(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64]: ...
        @overload
        def __call__(self, step: Any) -> Any: ...

    def __call__(self, step: Any) -> Any:
        """The rate of the update that comes after `step` updates.

        step: an int >= 0 gives a float; a NumPy array of any integer type gives a float64
            array of its shape; an integer array of any library with the Python array API
            gives that library's array in its default float type, also under its tracing (a
            uint32 of other libraries than NumPy counts to 2^31 - 1).
        Raises TypeError for anything else (bool and float too), ValueError for negative
        steps; traced steps cannot be checked, negative ones count as 0.

        >>> import clrcore
        >>> clrcore.triangular(0.001, 0.006, step_size=2000)(1000)
        0.0035
        """
        if type(step) is int and step >= 0:
            return self._formula(step, PYTHON, python_cast)
        step, xp, cast = arithmetic(step)
        if xp is PYTHON:
            return self._formula(step, xp, cast)
        if not is_numpy(step):
            return self.evaluate(step, xp, cast)
        return xp.asarray(self._formula(step, xp, cast), dtype=float).reshape(step.shape)

    def evaluate(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        """The same formula in an explicit arithmetic, for libraries without the array API.

        step: an int, or an array of integers of any width; negative ones count as 0.
        xp: a namespace with `where`, `exp` and `cos`: numpy, jax.numpy, torch, tensorflow,
            keras.ops, ...
        cast: function from an integer array to the float array wanted.
        Returns an array of the type `cast` makes, of the shape of `step`. Raises TypeError or
        ValueError for steps that are not integers.

        >>> import clrcore, numpy as np
        >>> policy = clrcore.triangular(0.001, 0.006, step_size=2000)
        >>> policy.evaluate(np.arange(3), np, lambda n: n.astype(np.float32)).dtype
        dtype('float32')
        """
        step = counters(step)
        if isinstance(step, int):
            step = max(step, 0)
        else:
            step = xp.where(step < 0, step * 0, step)
        return self._formula(step, xp, cast)

    def values(self, start: int, stop: int) -> NDArray[np.float64]:
        """The rates of steps start <= t < stop, as a float64 array.

        Raises TypeError or ValueError unless 0 <= start <= stop, integers.

        >>> import clrcore
        >>> clrcore.triangular(0.0, 1.0, step_size=2).values(0, 6).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
        """
        start = check_int("start", start)
        stop = check_int("stop", stop, start, 2**63 - 1)
        return self._values(start, stop)

    def locate(self, step: int) -> Position:
        """The cycle `step` belongs to, the step in it, whether it rises, the share done.

        Raises TypeError or ValueError for what is not an integer >= 0.

        >>> import clrcore
        >>> clrcore.triangular(0.0, 1.0, step_size=2).locate(7)
        Position(cycle=1, step=3, rising=False, fraction=0.75)
        """
        return self._locate(check_int("step", step))

    def cycle_ends(self, total_steps: int) -> list[int]:
        """Numbers of updates, up to `total_steps`, after which a cycle is complete.

        These are the moments to judge, to lower the bounds or to stop (paper, section 3.2).
        Empty for policies without cycles. Raises TypeError or ValueError for what is not an
        integer >= 0.

        >>> import clrcore
        >>> clrcore.triangular(0.0, 1.0, step_size=2).cycle_ends(10)
        [4, 8]
        """
        return self._cycle_ends(check_int("total_steps", total_steps))

    def completes(self, step: int) -> int | None:
        """The number of the cycle that is complete after `step` updates, None within a cycle.

        >>> import clrcore
        >>> policy = clrcore.triangular(0.0, 1.0, step_size=2)
        >>> [policy.completes(step) for step in (0, 3, 4, 8)]
        [None, None, 0, 1]
        """
        step = check_int("step", step)
        return self._completes(step) if step else None

    def lowered(self, factor: float) -> Self:
        """The same policy with all its rates multiplied by `factor`.

        Steps, window and scale stay. This is what the verdict "lower" of a `CycleMonitor` asks
        for.

        Args:
            factor: Factor of every rate, in (0, 1].

        Raises:
            TypeError: `factor` is not a number.
            ValueError: `factor` is outside (0, 1].

        Example:
            >>> import clrcore
            >>> clrcore.triangular(0.01, 0.08, step_size=100).lowered(0.5)(100)
            0.04
        """
        return self._lowered(check_float("factor", factor, 0.0, 1.0, above=True))

    def opposed(self, low: float, high: float) -> Opposed:
        """The policy that moves against this one: `high` at the base, `low` at the peak.

        Its value is high - (high - low) h(t), with h the policy's shape: 0 at base_lr, 1 at the
        first max_lr. Momentum is moved like this against the rate (arXiv 1803.09820, section
        4.3). The shape does not depend on base_lr and max_lr.

        Args:
            low: Value at the peak, finite and >= 0.
            high: Value at the base, finite and >= `low`.

        Raises:
            TypeError: `low` or `high` is not a number.
            ValueError: `low` or `high` is out of range, or this policy does not move between two
                bounds.

        Example:
            >>> import clrcore
            >>> momentum = clrcore.triangular(0.001, 0.006, step_size=2).opposed(0.5, 1.0)
            >>> momentum.values(0, 5).tolist()
            [1.0, 0.75, 0.5, 0.75, 1.0]
        """
        return Opposed(self._shape(), low, high)

    def height(self) -> Policy:
        """The policy's shape, as a policy from 0 to 1. `opposed` replaces it."""
        return self._shape()

    def to_dict(self) -> dict[str, Any]:
        """The policy as plain JSON data, which `policy_from_dict` reads in any framework.

        Flat: `version`, `type` (the constructor's name), and its arguments by name. Raises
        ValueError for a policy that holds a callable.
        """
        data: dict[str, Any] = {"version": VERSION, "type": self.constructor}
        for name, value in self._arguments().items():
            if callable(value) and not isinstance(value, Policy):
                raise ValueError(
                    f"{name} is the callable {value!r}, which plain data cannot hold; pickle "
                    "the policy, or store the constructor's arguments yourself"
                )
            data[name] = value
        return data

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{self.constructor}({arguments})"

    # What a kind of policy defines: its formula, its arguments, and its cycles if it has any.

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        """The rate at a checked step >= 0: an int, an int64 or int32 array."""
        raise NotImplementedError

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, as given or as resolved."""
        raise NotImplementedError

    def _lowered(self, factor: float) -> Self:
        """This policy with its rates multiplied by a checked factor."""
        raise NotImplementedError

    def _shape(self) -> Policy:
        """This policy between the bounds 0 and 1."""
        raise ValueError(f"{self.constructor} does not move between two bounds; pass a policy")

    def _values(self, start: int, stop: int) -> NDArray[np.float64]:
        import numpy

        return self(numpy.arange(start, stop))

    def _locate(self, step: int) -> Position:
        total = self.total_steps
        return Position(0, step, False, 0.0 if total is None else min(step, total) / total)

    def _cycle_ends(self, total_steps: int) -> list[int]:
        return []

    def _completes(self, step: int) -> int | None:
        return None


class Opposed(Policy):
    """A policy that moves against another: high - (high - low) h(t)."""

    __slots__ = ("high", "low", "shape")
    shape: Policy
    low: float
    high: float
    constructor = "opposed"

    def __init__(self, shape: Policy, low: float, high: float) -> None:
        low, high = check_float("low", low, 0.0), check_float("high", high, 0.0)
        check_order("low", low, "high", high)
        self._set(shape=shape, low=low, high=high)

    @property
    def period(self) -> int | None:  # type: ignore[override]
        """Length of a cycle in steps, as of the policy it moves against."""
        return self.shape.period

    @property
    def total_steps(self) -> int | None:  # type: ignore[override]
        """Number of steps, as of the policy it moves against."""
        return self.shape.total_steps

    @property
    def has_cycles(self) -> bool:  # type: ignore[override]
        """Whether the policy it moves against has cycles."""
        return self.shape.has_cycles

    @property
    def repeats(self) -> bool:  # type: ignore[override]
        """Whether the policy it moves against repeats."""
        return self.shape.repeats

    def __repr__(self) -> str:
        return f"{self.shape!r}.opposed({self.low!r}, {self.high!r})"

    def to_dict(self) -> dict[str, Any]:
        """As `Policy.to_dict`, with the dictionary of the policy it moves against."""
        return super().to_dict() | {"policy": self.shape.to_dict()}

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        return self._against(self.shape._formula(step, xp, cast), xp)

    def _values(self, start: int, stop: int) -> NDArray[np.float64]:
        import numpy

        return numpy.asarray(self._against(self.shape._values(start, stop), numpy))

    def _against(self, height: Any, xp: Any) -> Any:
        span = self.high - self.low
        part = span * height
        return xp.where(part < span, self.high - part, self.low)

    def _arguments(self) -> dict[str, Any]:
        return {"policy": self.shape, "low": self.low, "high": self.high}

    def _lowered(self, factor: float) -> Opposed:
        return Opposed(self.shape, self.low * factor, self.high * factor)

    def _shape(self) -> Policy:
        return Opposed(self.shape, 0.0, 1.0)

    def _locate(self, step: int) -> Position:
        place = self.shape._locate(step)
        return place._replace(rising=self(step + 1) > self(step))

    def _cycle_ends(self, total_steps: int) -> list[int]:
        return self.shape._cycle_ends(total_steps)

    def _completes(self, step: int) -> int | None:
        return self.shape._completes(step)


def blend(low: float, high: float, height: Any, xp: Any) -> Any:
    """Low + (high - low) height, exactly `high` at height 1 and never above it."""
    span = high - low
    part = span * height
    # Rounding gives part == span just where the height is 1, so the sum is never above `high`.
    return xp.where(part < span, low + part, high)


def check_policy(name: str, value: object) -> Policy:
    """`value`, if it is a policy."""
    if not isinstance(value, Policy):
        refuse(TypeError, name, "a policy of clrcore, such as clrcore.triangular(...)", value)
    return value
