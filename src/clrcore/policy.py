"""What every policy is: an immutable value that maps a step to a rate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Self, TypeVar, overload

from .arguments import (
    check_float,
    check_int,
    check_order,
    check_steps,
    policy_advice,
    refuse,
    shown,
)
from .arithmetic import PYTHON, numpy_arithmetic, read_steps, read_steps_for
from .cycles import Cycles, Position, place
from .hints import hinting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

VERSION = 1
# Policies within policies: chains, cooldowns, opposed policies. Deeper nesting could not be
# printed, hashed or copied within Python's limit of recursion.
DEEPEST = 32
# `values` evaluates so many steps at a time, and copies at least so many at a time: few enough for
# the cache, enough to hide the cost of a call.
PIECE = 16_384
ROW = 4096
LARGEST_STEP = 2**63 - 1
# How arguments are checked that mean the same in every policy.
_RATES = ("lr", "base_lr", "max_lr", "final_lr", "low", "high")
_LENGTHS = ("step_size", "num_steps", "total_steps", "multiplier")
CHECKS: dict[str, Callable[..., float]] = {
    **dict.fromkeys(_RATES, partial(check_float, low=0.0)),
    **dict.fromkeys(("gamma", "factor"), partial(check_float, low=0.0, high=1.0, above=True)),
    **dict.fromkeys(("div_factor", "final_div_factor"), partial(check_float, low=0.0, above=True)),
    **dict.fromkeys(_LENGTHS, check_steps),
}
# Keras calls a learning_rate that is a function without arguments.
NO_STEP = (
    "call policy(t) for the rate of update number t; a Keras optimizer takes "
    "learning_rate=clr_adapters.keras.PolicySchedule(policy)"
)


class Policy:
    """A learning-rate policy: step (number of completed updates) -> learning rate.

    Immutable, hashable, comparable and picklable. Update number t, counted from 0, uses
    `policy(t)`. The constructors (`triangular`, `chain`, ...) make policies.

    Attributes:
        constructor: Name of the function that makes such a policy.
        total_steps: Number of steps after which the last rate is held; None if endless.
    """

    constructor: str
    total_steps: int | None = None

    # Each kind defines its formula. The other two have defaults.

    def _formula(self, step: Any, maths: Any) -> Any:
        """The rate at a checked step >= 0, in an arithmetic of `arithmetic`."""
        raise NotImplementedError

    @cached_property
    def _cycles(self) -> Cycles:
        """The cycles."""
        return Cycles(self.total_steps)

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, as given or as resolved."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    @property
    def period(self) -> int | None:
        """Length of a cycle in steps; None where there is no such length."""
        return self._cycles.period

    @property
    def has_cycles(self) -> bool:
        """Whether there are cycles, whose ends are moments to judge the run."""
        return self._cycles.first_end is not None

    @property
    def repeats(self) -> bool:
        """Whether cycles of one length follow each other without end."""
        return self._cycles.repeats

    if TYPE_CHECKING:

        @overload
        def __call__(self, step: int) -> float: ...
        @overload
        def __call__(self, step: NDArray[np.integer[Any]]) -> NDArray[np.float64]: ...
        @overload
        def __call__(self, step: Any) -> Any: ...

    def __call__(self, step: Any = None) -> Any:
        """The rate of the update that comes after `step` updates.

        Args:
            step: Steps >= 0. An int gives a float; a NumPy array of any integer type gives a
                float64 array of its shape; an integer array of any library with the Python array
                API gives that library's array in its default float type, also under its tracing
                (a uint32 of other libraries than NumPy counts to 2^31 - 1).

        Raises:
            TypeError: `step` is anything else, bool and float included.
            ValueError: A step is negative. Traced steps cannot be checked; negative steps count
                as 0.

        Example:
            >>> import clrcore
            >>> clrcore.triangular(0.001, 0.006, step_size=2000)(1000)
            0.0035
        """
        if type(step) is int and step >= 0:
            return self._formula(step, PYTHON)
        if step is None:
            refuse(TypeError, "step", "an integer >= 0 or an array of them", None, advice=NO_STEP)
        steps, maths = read_steps(step)
        return maths.shaped(self._formula(steps, maths), step)

    def evaluate(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        """The same formula in an explicit arithmetic, for libraries without the array API.

        Args:
            step: An int, or an array of integers of any width; negative steps count as 0.
            xp: A namespace with `where`, `exp`, `cos` and `sqrt`: numpy, jax.numpy, torch,
                tensorflow, keras.ops, ...
            cast: Function from an integer array to the float array wanted.

        Returns:
            An array of the type that `cast` makes, of the shape of `step`.

        Raises:
            TypeError: `step` is neither an integer nor an array of integers.
            ValueError: `step` is a number with a fraction.

        Example:
            >>> import clrcore, numpy as np
            >>> policy = clrcore.triangular(0.001, 0.006, step_size=2000)
            >>> policy.evaluate(np.arange(3), np, lambda n: n.astype(np.float32)).dtype
            dtype('float32')
        """
        steps, maths = read_steps_for(step, xp, cast)
        return maths.shaped(self._formula(steps, maths), step)

    def values(self, start: int, stop: int) -> NDArray[np.float64]:
        """The rates of the steps start <= t < stop, as a float64 array.

        Args:
            start: First step, an integer >= 0.
            stop: Step after the last, an integer >= `start`.

        Raises:
            TypeError: An argument is not an integer.
            ValueError: An argument is out of range.

        Example:
            >>> import clrcore
            >>> clrcore.triangular(0.0, 1.0, step_size=2).values(0, 6).tolist()
            [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
        """
        start = check_int("start", start, 0, LARGEST_STEP)
        stop = check_int("stop", stop, start, LARGEST_STEP)
        return self._values(start, stop)

    def _values(self, start: int, stop: int) -> NDArray[np.float64]:
        """The rates of a checked range; where all cycles are equal, one is evaluated and copied."""
        import numpy

        size, period = stop - start, self._repeated
        if period is None or size <= period:
            return self._evaluated(start, stop)
        cycle = numpy.roll(self._first_cycle(), -(start % period))
        row = numpy.tile(cycle, -(-ROW // period))
        return numpy.tile(row, -(-size // row.size))[:size]

    def _evaluated(self, start: int, stop: int) -> NDArray[np.float64]:
        """The rates of a checked range by the formula, in pieces that fit the processor's cache."""
        import numpy

        rates = numpy.empty(stop - start)
        for first in range(start, stop, PIECE):
            steps = numpy.arange(first, min(first + PIECE, stop))
            rates[first - start :][: steps.size] = self._formula(steps, numpy_arithmetic())
        return rates

    @property
    def _repeated(self) -> int | None:
        """Length of the cycle whose rates all cycles have; None where there is no such cycle."""
        return None

    def _first_cycle(self) -> NDArray[np.float64]:
        """The rates of a cycle that repeats."""
        return self._evaluated(0, self._repeated or 0)

    def locate(self, step: int) -> Position:
        """The cycle of `step`, the step within it, whether the rate rises, the fraction completed.

        Args:
            step: An integer >= 0.

        Raises:
            TypeError: `step` is not an integer.
            ValueError: `step` is negative.

        Example:
            >>> import clrcore
            >>> clrcore.triangular(0.0, 1.0, step_size=2).locate(7)
            Position(cycle=1, step=3, rising=False, fraction=0.75)
        """
        step = check_int("step", step)
        return place(self._cycles, step, rising=self(step + 1) > self(step))

    def cycle_ends(self, total_steps: int) -> list[int]:
        """The numbers of updates, up to `total_steps`, after which a cycle is complete.

        These are the moments to judge, to lower the bounds or to stop (paper, section 3.2).

        Args:
            total_steps: An integer >= 0.

        Returns:
            Increasing numbers; none for policies without cycles.

        Raises:
            TypeError: `total_steps` is not an integer.
            ValueError: `total_steps` is negative.

        Example:
            >>> import clrcore
            >>> clrcore.triangular(0.0, 1.0, step_size=2).cycle_ends(10)
            [4, 8]
        """
        return self._cycles.ends(check_int("total_steps", total_steps))

    def completes(self, step: int) -> int | None:
        """The number of the cycle that is complete after `step` updates, None within a cycle.

        Args:
            step: An integer >= 0.

        Raises:
            TypeError: `step` is not an integer.
            ValueError: `step` is negative.

        Example:
            >>> import clrcore
            >>> policy = clrcore.triangular(0.0, 1.0, step_size=2)
            >>> [policy.completes(step) for step in (0, 3, 4, 8)]
            [None, None, 0, 1]
        """
        step = check_int("step", step)
        return self._cycles.completes(step) if step else None

    def lowered(self, factor: float) -> Self:
        """The same policy with all its rates multiplied by `factor`.

        Steps, window and scale stay. The verdict "lower" of a `CycleMonitor` asks for this.

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

    def _lowered(self, factor: float) -> Self:
        """Every argument named lr or ..._lr is a rate."""
        names = [name for name in self._arguments() if name == "lr" or name.endswith("_lr")]
        return replace(self, **{name: getattr(self, name) * factor for name in names})  # type: ignore[type-var]

    def opposed(self, low: float, high: float) -> Opposed:
        """The policy that moves against this policy: `high` at the base, `low` at the peak.

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
        return Opposed(self._unit(), low, high)

    def _unit(self) -> Policy:
        """The same policy between the bounds 0 and 1."""
        message = f"{self.constructor} does not move between two bounds"
        allowed = "a policy that moves between two bounds"
        advice = "for momentum, pass a policy of its own"
        refuse(ValueError, "policy", allowed, self, message=message, advice=advice)

    def to_dict(self) -> dict[str, Any]:
        """The policy as plain JSON data, which `policy_from_dict` reads in any framework.

        Flat: `version`, `type` (the constructor's name), and its arguments by name; policies
        within a policy are dictionaries too.

        Raises:
            ValueError: The policy holds a callable.
        """
        data: dict[str, Any] = {"version": VERSION, "type": self.constructor}
        for name, value in self._arguments().items():
            if isinstance(value, Policy):
                value = value.to_dict()
            elif callable(value):
                message = f"{name} is the callable {shown(value)}, which plain data cannot hold"
                advice = "pickle the policy, or store the constructor's arguments yourself"
                refuse(ValueError, name, "plain data", value, message=message, advice=advice)
            data[name] = value
        return data

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{self.constructor}({arguments})"

    @property
    def plot(self) -> NoReturn:
        """There is none: `clr_adapters.plot.plot_policy(policy)` draws the rates."""
        raise AttributeError("a policy has no plot: use clr_adapters.plot.plot_policy(policy)")

    def _set(self, **checked: Any) -> None:
        """Store checked arguments, during construction."""
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __post_init__(self) -> None:
        """Check and store the arguments that mean the same in every policy."""
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]
        for name in filter(CHECKS.__contains__, names):
            self._set(**{name: CHECKS[name](name, getattr(self, name))})
        for low, high in (("base_lr", "max_lr"), ("low", "high")):
            if low in names:
                check_order(low, getattr(self, low), high, getattr(self, high))

    _depth = 0

    def _set_depth(self, *inner: Policy) -> None:
        """Check and store how many policies lie within each other."""
        depth = 1 + max(policy._depth for policy in inner)
        if depth > DEEPEST:
            refuse_depth(self.constructor)
        self._set(_depth=depth)


@dataclass(frozen=True, repr=False)
class Opposed(Policy):
    """A policy that moves against another: high - (high - low) h(t)."""

    policy: Policy
    low: float
    high: float
    constructor = "opposed"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(total_steps=self.policy.total_steps)
        self._set_depth(self.policy)

    @cached_property
    def _cycles(self) -> Cycles:
        return self.policy._cycles

    @property
    def _repeated(self) -> int | None:
        return self.policy._repeated

    def __repr__(self) -> str:
        return f"{self.policy!r}.opposed({self.low!r}, {self.high!r})"

    def _formula(self, step: Any, maths: Any) -> Any:
        span = self.high - self.low
        part = self.policy._formula(step, maths) * span
        return maths.where(part < span, self.high - part, self.low)

    def _lowered(self, factor: float) -> Opposed:
        return Opposed(self.policy, self.low * factor, self.high * factor)

    def _unit(self) -> Opposed:
        return Opposed(self.policy, 0.0, 1.0)


CONSTRUCTORS: dict[str, Callable[..., Policy]] = {}
"""The functions that make policies; `policy_from_dict` calls them by name."""


def constructor(function: Callable[P, R]) -> Callable[P, R]:
    """The constructor of a policy; it refuses arguments of other libraries with advice."""
    CONSTRUCTORS[function.__name__] = hinted = hinting(function)  # type: ignore[assignment]
    return hinted


def blend(low: float, high: float, height: Any, maths: Any) -> Any:
    """Low + (high - low) height, exactly `high` at height 1 and never above it."""
    return above(low, high, (high - low) * height, maths)


def above(low: float, high: float, amplitude: Any, maths: Any) -> Any:
    """Low + amplitude, exactly `high` where the amplitude is all of high - low."""
    # Rounding gives amplitude == high - low just where the sum is `high`, so it is never above.
    return maths.where(amplitude < high - low, low + amplitude, high)


def check_policy(name: str, value: object, example: str = "triangular(...)") -> Policy:
    """`value`, if it is a policy; `example` is a suitable call in messages."""
    if not isinstance(value, Policy):
        allowed = f"a policy of clrcore, such as clrcore.{example}"
        refuse(TypeError, name, allowed, value, advice=policy_advice(value))
    return value


def refuse_depth(name: str) -> NoReturn:
    """Refuse policies within policies that are nested too deep."""
    message = f"{name} nests policies more than {DEEPEST} levels deep"
    advice = "write the stages of inner chains into the outer chain"
    allowed = f"nested at most {DEEPEST} levels deep"
    refuse(ValueError, name, allowed, name, message=message, advice=advice)
