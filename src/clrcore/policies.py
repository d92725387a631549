"""The policies of the paper: cyclic ones, and those it compares them with.

Source of all: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017,
arXiv 1506.01186, section 3.1. Rates are in the optimizer's unit, step sizes in steps.
"""

from __future__ import annotations

import math

from . import _fill, scales, windows
from .arguments import check_float, check_order, check_steps, refuse
from .arithmetic import at_most, divide, piecewise, rise_and_fall, steps_to
from .cycles import Position, locate
from .policy import Policy, blend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    Window = str | Callable[[Any], Any]


class Cyclic(Policy):
    """Cycles between two bounds: triangular, triangular2, exp_range, cyclic."""

    __slots__ = (
        "base_lr",
        "constructor",
        "max_lr",
        "scale",
        "step_size",
        "step_size_down",
        "window",
    )
    base_lr: float
    max_lr: float
    step_size: int
    step_size_down: int
    window: Window
    scale: Any
    has_cycles = True
    repeats = True

    def __init__(
        self,
        constructor: str,
        base_lr: float,
        max_lr: float,
        step_size: int,
        step_size_down: int | None,
        window: Window,
        scale: Any,
    ) -> None:
        base_lr = check_float("base_lr", base_lr, 0.0)
        max_lr = check_float("max_lr", max_lr, 0.0)
        check_order("base_lr", base_lr, "max_lr", max_lr)
        step_size = check_steps("step_size", step_size)
        down = (
            step_size if step_size_down is None else check_steps("step_size_down", step_size_down)
        )
        window = windows.check_window(window)
        self._set(
            constructor=constructor,
            base_lr=base_lr,
            max_lr=max_lr,
            step_size=step_size,
            step_size_down=down,
            window=window,
            scale=scales.check_scale(scale, step_size, step_size + down),
        )

    @property
    def period(self) -> int:  # type: ignore[override]
        """Length of a cycle in steps."""
        return self.step_size + self.step_size_down

    def _lowered(self, factor: float) -> Cyclic:
        return self._between(self.base_lr * factor, self.max_lr * factor, self.scale)

    def _shape(self) -> Cyclic:
        scale = self.scale
        if isinstance(scale, scales.Exponential):
            scale = scales.Exponential(scale.gamma, "amplitude")
        return self._between(0.0, 1.0, scale)

    def _between(self, base_lr: float, max_lr: float, scale: Any) -> Cyclic:
        """The same cycles between other bounds."""
        return Cyclic(
            self.constructor,
            base_lr,
            max_lr,
            self.step_size,
            self.step_size_down,
            self.window,
            scale,
        )

    def _key(self) -> tuple[Any, ...]:
        return (
            self.base_lr,
            self.max_lr,
            self.step_size,
            self.step_size_down,
            self.window,
            self.scale,
        )

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        cycle, inside = divide(step, self.period)
        u = rise_and_fall(inside, self.step_size, self.step_size_down, xp, cast)
        height = windows.height(self.window, u, xp)
        if self.scale is None:
            return blend(self.base_lr, self.max_lr, height, xp)
        span = self.max_lr - self.base_lr
        part = scales.scaled(self.scale, span * height, cycle, step, xp, cast)
        rate = xp.where(part < span, self.base_lr + part, self.max_lr)
        if isinstance(self.scale, scales.Exponential) and self.scale.decays == "bounds":
            rate = scales.decayed(rate, self.scale.gamma, step, xp, cast)
        return rate

    def _values(self, start: int, stop: int) -> NDArray[np.float64]:
        if self.scale is None:
            return _fill.periodic(self, start, stop)
        return super()._values(start, stop)

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "base_lr": self.base_lr,
            "max_lr": self.max_lr,
            "step_size": self.step_size,
            "step_size_down": self.step_size_down,
        }
        if isinstance(self.scale, scales.Exponential):
            arguments |= {"gamma": self.scale.gamma, "decays": self.scale.decays}
        arguments["window"] = self.window
        if self.constructor == "cyclic":
            arguments["scale"] = self.scale
        return arguments

    def _locate(self, step: int) -> Position:
        return locate(step, self.step_size, self.step_size_down)

    def _cycle_ends(self, total_steps: int) -> list[int]:
        return list(range(self.period, total_steps + 1, self.period))

    def _completes(self, step: int) -> int | None:
        cycle, inside = divmod(step, self.period)
        return None if inside else cycle - 1


class Stepwise(Policy):
    """A rate lowered at milestones; without any, a constant."""

    __slots__ = ("factor", "lr", "milestones")
    lr: float
    milestones: tuple[int, ...]
    factor: float

    def __init__(self, lr: float, milestones: Sequence[int], factor: float) -> None:
        if isinstance(milestones, str | bytes) or not hasattr(milestones, "__iter__"):
            refuse(TypeError, "milestones", "a list of increasing steps >= 1", milestones)
        steps = tuple(check_steps(f"milestones[{i}]", step) for i, step in enumerate(milestones))
        if list(steps) != sorted(set(steps)):
            refuse(ValueError, "milestones", "strictly increasing", list(steps))
        factor = check_float("factor", factor, 0.0, 1.0, above=True)
        self._set(lr=check_float("lr", lr, 0.0), milestones=steps, factor=factor if steps else 1.0)

    @property
    def constructor(self) -> str:  # type: ignore[override]
        """`stepwise`, or `constant` where nothing is ever lowered."""
        return "stepwise" if self.milestones else "constant"

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        def rate(passed: int, local: Any) -> Any:
            # In two halves, as the power may be below the smallest float. Times 0.0 for the
            # shape and type of the step.
            lowered = self.lr * self.factor ** (passed // 2) * self.factor ** (passed - passed // 2)
            return cast(local) * 0.0 + lowered

        return piecewise(step, (0, *self.milestones), rate, xp)

    def _arguments(self) -> dict[str, Any]:
        if not self.milestones:
            return {"lr": self.lr}
        return {"lr": self.lr, "milestones": list(self.milestones), "factor": self.factor}

    def _lowered(self, factor: float) -> Stepwise:
        return Stepwise(self.lr * factor, self.milestones, self.factor)


class ExponentialDecay(Policy):
    """A rate multiplied by gamma at every step."""

    __slots__ = ("gamma", "lr")
    lr: float
    gamma: float
    constructor = "exponential"

    def __init__(self, lr: float, gamma: float) -> None:
        self._set(
            lr=check_float("lr", lr, 0.0), gamma=check_float("gamma", gamma, 0.0, 1.0, above=True)
        )

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        return scales.decayed(self.lr, self.gamma, step, xp, cast)

    def _arguments(self) -> dict[str, Any]:
        return {"lr": self.lr, "gamma": self.gamma}

    def _lowered(self, factor: float) -> ExponentialDecay:
        return ExponentialDecay(self.lr * factor, self.gamma)


class Fall(Policy):
    """A single fall from max_lr to base_lr, linear or as a cosine; then base_lr."""

    __slots__ = ("base_lr", "constructor", "max_lr", "num_steps")
    max_lr: float
    base_lr: float
    num_steps: int

    def __init__(self, constructor: str, max_lr: float, base_lr: float, num_steps: int) -> None:
        max_lr = check_float("max_lr", max_lr, 0.0)
        base_lr = check_float("base_lr", base_lr, 0.0)
        check_order("base_lr", base_lr, "max_lr", max_lr)
        num_steps = check_steps(LENGTHS[constructor], num_steps)
        self._set(constructor=constructor, max_lr=max_lr, base_lr=base_lr, num_steps=num_steps)

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        left = steps_to(self.num_steps, at_most(step, self.num_steps, xp), cast)
        height = left / float(self.num_steps)
        if self.constructor == "cosine":
            height = windows.hann(height, xp)
        return blend(self.base_lr, self.max_lr, height, xp)

    def _arguments(self) -> dict[str, Any]:
        length = LENGTHS[self.constructor]
        return {"max_lr": self.max_lr, "base_lr": self.base_lr, length: self.num_steps}

    def _lowered(self, factor: float) -> Fall:
        bounds = self.max_lr * factor, self.base_lr * factor
        return Fall(self.constructor, *bounds, self.num_steps)

    def _shape(self) -> Fall:
        return Fall(self.constructor, 1.0, 0.0, self.num_steps)


LENGTHS = {"decay": "step_size", "cosine": "num_steps"}


class Sweep(Policy):
    """One rise from min_lr to max_lr, both exact, over num_steps; then max_lr."""

    __slots__ = ("constructor", "max_lr", "min_lr", "num_steps")
    min_lr: float
    max_lr: float
    num_steps: int

    def __init__(self, constructor: str, min_lr: float, max_lr: float, num_steps: int) -> None:
        exponential = constructor == "exponential_sweep"
        min_lr = check_float("min_lr", min_lr, 0.0, above=exponential)
        max_lr = check_float("max_lr", max_lr, 0.0, above=True)
        if not min_lr < max_lr:
            refuse(ValueError, "max_lr", f"> min_lr={min_lr!r}, as sweeps rise", max_lr)
        self._set(
            constructor=constructor,
            min_lr=min_lr,
            max_lr=max_lr,
            num_steps=check_steps("num_steps", num_steps, 2),
        )

    @property
    def total_steps(self) -> int:  # type: ignore[override]
        """Number of steps of the sweep."""
        return self.num_steps

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        last = self.num_steps - 1
        u = cast(at_most(step, last, xp)) / float(last)
        if self.constructor == "linear_sweep":
            return blend(self.min_lr, self.max_lr, u, xp)
        # In two halves, as the whole ratio may be above the largest float.
        half = xp.exp(u * ((math.log(self.max_lr) - math.log(self.min_lr)) / 2))
        rate = half * self.min_lr * half
        return xp.where((u < 1.0) & (rate < self.max_lr), rate, self.max_lr)

    def _arguments(self) -> dict[str, Any]:
        return {"min_lr": self.min_lr, "max_lr": self.max_lr, "num_steps": self.num_steps}

    def _lowered(self, factor: float) -> Sweep:
        bounds = self.min_lr * factor, self.max_lr * factor
        return Sweep(self.constructor, *bounds, self.num_steps)

    def _locate(self, step: int) -> Position:
        return super()._locate(step)._replace(rising=step < self.num_steps - 1)


def triangular(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    window: Window = "triangular",
) -> Cyclic:
    """Cycles between two fixed bounds (paper, section 3.1, "triangular").

    Rate: base_lr + (max_lr - base_lr) w(u), u the height of the triangle.

    base_lr, max_lr: lower and upper bound, 0 <= base_lr <= max_lr, finite.
    step_size: half a cycle, in steps, an integer >= 1 (the paper: 2-10 epochs of steps).
    step_size_down: the falling half, in steps; by default the same.
    window: "triangular", "welch", "hann", or a callable u in [0, 1] -> height in [0, 1] with
        w(0) = 0 and w(1) = 1.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> policy = clrcore.triangular(0.001, 0.006, step_size=2000)
    >>> policy(0), policy(1000), policy(2000), policy(4000)
    (0.001, 0.0035, 0.006, 0.001)
    """
    return Cyclic("triangular", base_lr, max_lr, step_size, step_size_down, window, None)


def triangular2(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    window: Window = "triangular",
) -> Cyclic:
    """`triangular` with the amplitude halved each cycle (paper, section 3.1, "triangular2").

    Rate: base_lr + (max_lr - base_lr) w(u) 2^-cycle, cycle counted from 0. The arguments and
    errors are those of `triangular`.

    >>> import clrcore
    >>> policy = clrcore.triangular2(0.0, 0.8, step_size=10)
    >>> [policy(10 + 20 * cycle) for cycle in range(3)]
    [0.8, 0.4, 0.2]
    """
    scale = scales.Halving()
    return Cyclic("triangular2", base_lr, max_lr, step_size, step_size_down, window, scale)


def exp_range(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    gamma: float,
    decays: str,
    window: Window = "triangular",
) -> Cyclic:
    """`triangular` with an exponential decay (paper, section 3.1, "exp_range").

    gamma: factor per step, in (0, 1]; its exponent counts from the start of training.
    decays: "amplitude": base_lr + (max_lr - base_lr) w(u) gamma^t, as PyTorch and the Keras
        ports have it; "bounds": gamma^t (base_lr + (max_lr - base_lr) w(u)), as the paper's
        text has it. There is no default, because the two differ.
    The other arguments and the errors are those of `triangular`.

    >>> import clrcore
    >>> policy = clrcore.exp_range(0.1, 1.0, 2, gamma=0.5, decays="amplitude")
    >>> policy(0), policy(2)
    (0.1, 0.325)
    """
    scale = scales.Exponential(gamma, decays)
    return Cyclic("exp_range", base_lr, max_lr, step_size, step_size_down, window, scale)


def cyclic(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    window: Window = "triangular",
    scale: Any = None,
) -> Cyclic:
    """The general form that the named cyclic policies are made of.

    Rate: base_lr + (max_lr - base_lr) w(u) scale(cycle, step).

    scale: None for none; an object of `clrcore.scales`; or a callable of (cycle, step), cycle
        counted from 0, that returns a factor in [0, 1]. It is called with Python ints for
        ints and NumPy arrays, with arrays under other libraries.
    The other arguments and the errors are those of `triangular`; a scale that leaves [0, 1]
    raises ValueError, at construction where the first four cycles show it, else when met.

    >>> import clrcore
    >>> policy = clrcore.cyclic(0.0, 1.0, 5, scale=lambda cycle, step: 1 / (1 + cycle))
    >>> [policy(5 + 10 * cycle) for cycle in range(3)]
    [1.0, 0.5, 0.3333333333333333]
    """
    name = "cyclic"
    if isinstance(scale, scales.Halving):
        name = "triangular2"
    elif isinstance(scale, scales.Exponential):
        name = "exp_range"
    return Cyclic(name, base_lr, max_lr, step_size, step_size_down, window, scale)


def constant(lr: float) -> Stepwise:
    """One rate for ever: `lr`, finite and >= 0.

    >>> import clrcore
    >>> clrcore.constant(0.1)(12345)
    0.1
    """
    return Stepwise(lr, (), 1.0)


def stepwise(lr: float, milestones: Sequence[int], factor: float = 0.1) -> Stepwise:
    """The paper's "fixed": a rate multiplied by `factor` at every milestone.

    lr: first rate, finite and >= 0.
    milestones: steps >= 1, strictly increasing; from step m on, the rate is lower.
    factor: in (0, 1].
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> policy = clrcore.stepwise(0.5, [60_000, 65_000], factor=0.5)
    >>> policy(59_999), policy(60_000), policy(65_000)
    (0.5, 0.25, 0.125)
    """
    return Stepwise(lr, milestones, factor)


def exponential(lr: float, gamma: float) -> ExponentialDecay:
    """The paper's "exp": lr gamma^t.

    lr: first rate, finite and >= 0. gamma: factor per step, in (0, 1].
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> clrcore.exponential(0.1, gamma=1.0)(7)
    0.1
    """
    return ExponentialDecay(lr, gamma)


def decay(max_lr: float, base_lr: float, step_size: int) -> Fall:
    """The paper's control "decay": from max_lr linearly to base_lr, and there it stays.

    max_lr, base_lr: bounds, 0 <= base_lr <= max_lr, finite. step_size: steps of the fall.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> policy = clrcore.decay(0.5, 0.25, step_size=4000)
    >>> policy(0), policy(2000), policy(4000), policy(25_000)
    (0.5, 0.375, 0.25, 0.25)
    """
    return Fall("decay", max_lr, base_lr, step_size)


def cosine(max_lr: float, base_lr: float, num_steps: int) -> Fall:
    """A single cosine fall from max_lr to base_lr, then base_lr.

    The rate is base_lr + (max_lr - base_lr) (1 + cos(pi t / num_steps)) / 2 for t <= num_steps.

    Args:
        max_lr: First rate, finite.
        base_lr: Last rate, 0 <= base_lr <= max_lr.
        num_steps: Length of the fall in steps, an integer >= 1.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Source:
        Loshchilov & Hutter, arXiv 1608.03983, without restarts.

    Example:
        >>> import clrcore
        >>> policy = clrcore.cosine(1.0, 0.0, num_steps=100)
        >>> policy(0), policy(50), policy(100), policy(1000)
        (1.0, 0.5, 0.0, 0.0)
    """
    return Fall("cosine", max_lr, base_lr, num_steps)


def linear_sweep(min_lr: float, max_lr: float, num_steps: int) -> Sweep:
    """The paper's range-test ramp (section 3.3): equal steps from min_lr to max_lr.

    min_lr, max_lr: first and last rate, both exact, 0 <= min_lr < max_lr.
    num_steps: updates of the sweep, an integer >= 2; past them max_lr is held.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> clrcore.linear_sweep(0.0, 1.0, 5).values(0, 5).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return Sweep("linear_sweep", min_lr, max_lr, num_steps)


def exponential_sweep(min_lr: float, max_lr: float, num_steps: int) -> Sweep:
    """A range-test ramp of equal ratios, for bounds decades apart; 0 < min_lr < max_lr.

    Otherwise as `linear_sweep`.

    >>> import clrcore
    >>> policy = clrcore.exponential_sweep(1e-6, 1.0, 300)
    >>> policy(0), policy(299)
    (1e-06, 1.0)
    """
    return Sweep("exponential_sweep", min_lr, max_lr, num_steps)
