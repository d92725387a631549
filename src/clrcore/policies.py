"""The policies of the paper: cyclic policies, and those that it compares them with.

Source of all: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017,
arXiv 1506.01186, section 3.1. Rates are in the optimizer's unit, step sizes in steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import scales, windows
from .arguments import check_float, check_list, check_optional, check_steps, refuse
from .cycles import Cycles, EqualCycles
from .policy import Policy, above, blend, constructor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from .windows import Window


@dataclass(frozen=True, repr=False)
class Cyclic(Policy):
    """Cycles between two bounds: triangular, triangular2, exp_range, cyclic."""

    constructor: str = field(compare=False)
    base_lr: float
    max_lr: float
    step_size: int
    step_size_down: Any  # an int; None, given for the same as step_size, does not stay
    window: Window
    scale: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        up = self.step_size
        down = check_optional(check_steps, "step_size_down", self.step_size_down) or up
        self._set(step_size_down=down, window=windows.check_window(self.window))
        self._set(scale=scales.check_scale(self.scale, up, up + down))

    @cached_property
    def period(self) -> int:
        """Length of a cycle in steps."""
        return int(self.step_size + self.step_size_down)

    @cached_property
    def _cycles(self) -> Cycles:
        return EqualCycles(self.period)

    @property
    def _repeated(self) -> int | None:
        return self.period if self.scale is None else None

    def _first_cycle(self) -> NDArray[np.float64]:
        if self.step_size != self.step_size_down:
            return super()._first_cycle()
        import numpy

        rise = self._evaluated(0, self.step_size + 1)
        return numpy.concatenate([rise, rise[-2:0:-1]])  # equal halves mirror bit by bit

    def _formula(self, step: Any, maths: Any) -> Any:
        cycle, inside = maths.divide(step, self.period)
        rising = maths.share(inside, 0, self.step_size)
        falling = maths.share(inside, self.period, self.step_size)
        u = maths.where(maths.before(inside, self.step_size), rising, falling)
        amplitude = (self.max_lr - self.base_lr) * windows.height(self.window, u, maths)
        both_decay = isinstance(self.scale, scales.Exponential) and self.scale.decays == "bounds"
        if self.scale is not None and not both_decay:
            amplitude = scales.scaled(self.scale, amplitude, cycle, step, maths)
        rate = above(self.base_lr, self.max_lr, amplitude, maths)
        return scales.scaled(self.scale, rate, cycle, step, maths) if both_decay else rate

    def _unit(self) -> Cyclic:
        scale = self.scale
        if isinstance(scale, scales.Exponential):
            scale = replace(scale, decays="amplitude")
        return replace(self, base_lr=0.0, max_lr=1.0, scale=scale)

    def _arguments(self) -> dict[str, Any]:
        names = ["base_lr", "max_lr", "step_size", "step_size_down"]
        arguments = {name: getattr(self, name) for name in names}
        if isinstance(self.scale, scales.Exponential):
            arguments |= {"gamma": self.scale.gamma, "decays": self.scale.decays}
        arguments["window"] = self.window
        if self.constructor == "cyclic":
            arguments["scale"] = self.scale
        return arguments


@dataclass(frozen=True, repr=False)
class Stepwise(Policy):
    """A rate lowered at milestones; without any, a constant."""

    lr: float
    milestones: tuple[int, ...] = ()
    factor: float = 1.0

    def __post_init__(self) -> None:
        allowed = "a list of increasing steps >= 1"
        milestones = check_list("milestones", self.milestones, allowed)
        steps = tuple(check_steps(f"milestones[{i}]", step) for i, step in enumerate(milestones))
        if list(steps) != sorted(set(steps)):
            refuse(ValueError, "milestones", "strictly increasing", list(steps))
        super().__post_init__()
        self._set(milestones=steps, factor=self.factor if steps else 1.0)

    @property
    def constructor(self) -> str:  # type: ignore[override]
        """`stepwise`, or `constant` where nothing is ever lowered."""
        return "stepwise" if self.milestones else "constant"

    def _formula(self, step: Any, maths: Any) -> Any:
        def rate(passed: int, inside: Any) -> Any:
            # In two halves, as the power may be below the smallest float. The step times 0.0
            # gives the shape and type.
            half = passed // 2
            lowered = self.lr * self.factor**half * self.factor ** (passed - half)
            return maths.cast(inside) * 0.0 + lowered

        return maths.piecewise(step, (0, *self.milestones), rate)

    def _arguments(self) -> dict[str, Any]:
        if not self.milestones:
            return {"lr": self.lr}
        return {"lr": self.lr, "milestones": list(self.milestones), "factor": self.factor}


@dataclass(frozen=True, repr=False)
class ExponentialDecay(Policy):
    """A rate multiplied by gamma at every step."""

    lr: float
    gamma: float
    constructor = "exponential"

    def _formula(self, step: Any, maths: Any) -> Any:
        return scales.decayed(self.lr, self.gamma, step, maths)


@dataclass(frozen=True, repr=False)
class Decay(Policy):
    """A linear fall from max_lr to base_lr, then base_lr."""

    max_lr: float
    base_lr: float
    step_size: int
    constructor = "decay"

    def _formula(self, step: Any, maths: Any) -> Any:
        return blend(self.base_lr, self.max_lr, left(step, self.step_size, maths), maths)

    def _unit(self) -> Decay:
        return replace(self, base_lr=0.0, max_lr=1.0)


@dataclass(frozen=True, repr=False)
class Cosine(Policy):
    """A cosine fall from max_lr to base_lr, then base_lr."""

    max_lr: float
    base_lr: float
    num_steps: int
    constructor = "cosine"

    def _formula(self, step: Any, maths: Any) -> Any:
        height = windows.hann(left(step, self.num_steps, maths), maths)
        return blend(self.base_lr, self.max_lr, height, maths)

    def _unit(self) -> Cosine:
        return replace(self, base_lr=0.0, max_lr=1.0)


@dataclass(frozen=True, repr=False)
class Sweep(Policy):
    """A rise from min_lr to max_lr, both exact, over num_steps; then max_lr."""

    min_lr: float
    max_lr: float
    num_steps: int

    def __post_init__(self) -> None:
        exponential = self.constructor == "exponential_sweep"
        min_lr = check_float("min_lr", self.min_lr, 0.0, above=exponential)
        super().__post_init__()
        if not min_lr < self.max_lr:
            refuse(ValueError, "max_lr", f"> min_lr={min_lr!r}, as sweeps rise", self.max_lr)
        num_steps = check_steps("num_steps", self.num_steps, 2)
        self._set(min_lr=min_lr, total_steps=num_steps)


@dataclass(frozen=True, repr=False)
class LinearSweep(Sweep):
    """A sweep of equal steps."""

    constructor = "linear_sweep"

    def _formula(self, step: Any, maths: Any) -> Any:
        last = self.num_steps - 1
        u = maths.share(maths.at_most(step, last), 0, last)
        return blend(self.min_lr, self.max_lr, u, maths)

    def _unit(self) -> LinearSweep:
        return replace(self, min_lr=0.0, max_lr=1.0)


@dataclass(frozen=True, repr=False)
class ExponentialSweep(Sweep):
    """A sweep of equal ratios."""

    constructor = "exponential_sweep"

    def _formula(self, step: Any, maths: Any) -> Any:
        share = left(step, self.num_steps - 1, maths)
        # Down from max_lr, in quarters, as the whole ratio may be above the largest float.
        quarter = maths.exp(share * ((math.log(self.min_lr) - math.log(self.max_lr)) / 4))
        rate = self.max_lr * quarter * quarter * quarter * quarter
        return maths.where((share < 1.0) & (rate > self.min_lr), rate, self.min_lr)


def left(step: Any, length: int, maths: Any) -> Any:
    """The remaining fraction of a fall over `length` steps: 1 at step 0, 0 at its end."""
    return maths.share(maths.at_most(step, length), length, 0)


@constructor
def triangular(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    window: Window = "triangular",
) -> Cyclic:
    """Cycles between two fixed bounds (paper, section 3.1, "triangular").

    The rate is base_lr + (max_lr - base_lr) w(u), with u the height of the triangle.

    Args:
        base_lr: Lower bound, 0 <= base_lr <= max_lr.
        max_lr: Upper bound, finite.
        step_size: Half a cycle in steps, an integer >= 1 (the paper: 2-10 epochs).
        step_size_down: The falling half in steps; by default the same.
        window: "triangular", "welch", "hann", or a callable u in [0, 1] -> height in [0, 1] with
            w(0) = 0 and w(1) = 1.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> policy = clrcore.triangular(0.001, 0.006, step_size=2000)
        >>> policy(0), policy(1000), policy(2000), policy(4000)
        (0.001, 0.0035, 0.006, 0.001)
    """
    return Cyclic("triangular", base_lr, max_lr, step_size, step_size_down, window, None)


@constructor
def triangular2(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    window: Window = "triangular",
) -> Cyclic:
    """`triangular` with the amplitude halved each cycle (paper, section 3.1, "triangular2").

    The rate is base_lr + (max_lr - base_lr) w(u) 2^-cycle, with cycles counted from 0.

    Args:
        base_lr: Lower bound, 0 <= base_lr <= max_lr.
        max_lr: Peak of the first cycle, finite.
        step_size: Half a cycle in steps, an integer >= 1.
        step_size_down: The falling half in steps; by default the same.
        window: As in `triangular`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> policy = clrcore.triangular2(0.0, 0.8, step_size=10)
        >>> [policy(10 + 20 * cycle) for cycle in range(3)]
        [0.8, 0.4, 0.2]
    """
    scale = scales.Halving()
    return Cyclic("triangular2", base_lr, max_lr, step_size, step_size_down, window, scale)


@constructor
def exp_range(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    gamma: float,
    decays: str | None = None,
    window: Window = "triangular",
) -> Cyclic:
    """`triangular` with an exponential decay (paper, section 3.1, "exp_range").

    Args:
        base_lr: Lower bound, 0 <= base_lr <= max_lr.
        max_lr: Upper bound before the decay, finite.
        step_size: Half a cycle in steps, an integer >= 1.
        step_size_down: The falling half in steps; by default the same.
        gamma: Factor per step, in (0, 1]; its exponent counts from the start of training.
        decays: Required, as the two readings differ. "amplitude" is
            base_lr + (max_lr - base_lr) w(u) gamma^t, as in PyTorch and the Keras ports;
            "bounds" is gamma^t (base_lr + (max_lr - base_lr) w(u)), as in the paper's text.
        window: As in `triangular`.

    Raises:
        TypeError: An argument is missing or has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> policy = clrcore.exp_range(0.1, 1.0, 2, gamma=0.5, decays="amplitude")
        >>> policy(0), policy(2)
        (0.1, 0.325)
    """
    if decays is None:
        allowed = 'given: "amplitude" (only the distance from base_lr decays, as in PyTorch and '
        allowed += 'the Keras ports) or "bounds" (both bounds decay, as in the paper\'s text)'
        refuse(TypeError, "decays", allowed, decays)
    scale = scales.Exponential(gamma, decays)
    return Cyclic("exp_range", base_lr, max_lr, step_size, step_size_down, window, scale)


@constructor
def cyclic(
    base_lr: float,
    max_lr: float,
    step_size: int,
    step_size_down: int | None = None,
    *,
    window: Window = "triangular",
    scale: Any = None,
) -> Cyclic:
    """The general form of the cyclic policies.

    The rate is base_lr + (max_lr - base_lr) w(u) scale(cycle, step).

    Args:
        base_lr: Lower bound, 0 <= base_lr <= max_lr.
        max_lr: Upper bound, finite.
        step_size: Half a cycle in steps, an integer >= 1.
        step_size_down: The falling half in steps; by default the same.
        window: As in `triangular`.
        scale: None; an object of `clrcore.scales`; or a callable of (cycle, step), both counted
            from 0, that returns a factor in [0, 1]. It is called with Python ints for ints and
            NumPy arrays, with arrays under other libraries.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range, or a factor leaves [0, 1]: at construction where
            the first four cycles show it, else at the step that meets it.

    Example:
        >>> import clrcore
        >>> policy = clrcore.cyclic(0.0, 1.0, 5, scale=lambda cycle, step: 1 / (1 + cycle))
        >>> [policy(5 + 10 * cycle) for cycle in range(3)]
        [1.0, 0.5, 0.3333333333333333]
    """
    names = {scales.Halving: "triangular2", scales.Exponential: "exp_range"}
    name = names.get(type(scale), "cyclic")
    return Cyclic(name, base_lr, max_lr, step_size, step_size_down, window, scale)


@constructor
def constant(lr: float) -> Stepwise:
    """The same rate at every step.

    Args:
        lr: The rate, finite and >= 0.

    Raises:
        TypeError: `lr` is not a number.
        ValueError: `lr` is out of range.

    Example:
        >>> import clrcore
        >>> clrcore.constant(0.1)(12345)
        0.1
    """
    return Stepwise(lr)


@constructor
def stepwise(lr: float, milestones: Sequence[int], factor: float = 0.1) -> Stepwise:
    """The paper's "fixed": a rate multiplied by `factor` at every milestone.

    Args:
        lr: First rate, finite and >= 0.
        milestones: Steps >= 1, strictly increasing; from each on, the rate is lower.
        factor: Factor of the rate, in (0, 1].

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> policy = clrcore.stepwise(0.5, [60_000, 65_000], factor=0.5)
        >>> policy(59_999), policy(60_000), policy(65_000)
        (0.5, 0.25, 0.125)
    """
    return Stepwise(lr, milestones, factor)  # type: ignore[arg-type]


@constructor
def exponential(lr: float, gamma: float) -> ExponentialDecay:
    """The paper's "exp": lr gamma^t.

    Args:
        lr: First rate, finite and >= 0.
        gamma: Factor per step, in (0, 1].

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> clrcore.exponential(0.1, gamma=1.0)(7)
        0.1
    """
    return ExponentialDecay(lr, gamma)


@constructor
def decay(max_lr: float, base_lr: float, step_size: int) -> Decay:
    """The paper's control "decay": from max_lr linearly to base_lr, which is held.

    Args:
        max_lr: First rate, finite.
        base_lr: Last rate, 0 <= base_lr <= max_lr.
        step_size: Length of the fall in steps, an integer >= 1.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> policy = clrcore.decay(0.5, 0.25, step_size=4000)
        >>> policy(0), policy(2000), policy(4000), policy(25_000)
        (0.5, 0.375, 0.25, 0.25)
    """
    return Decay(max_lr, base_lr, step_size)


@constructor
def cosine(max_lr: float, base_lr: float, num_steps: int) -> Cosine:
    """A cosine fall from max_lr to base_lr, which is held.

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
        >>> policy(0), policy(100), policy(1000)
        (1.0, 0.0, 0.0)
    """
    return Cosine(max_lr, base_lr, num_steps)


@constructor
def linear_sweep(min_lr: float, max_lr: float, num_steps: int) -> LinearSweep:
    """The paper's range-test ramp (section 3.3): equal steps from min_lr to max_lr.

    Args:
        min_lr: First rate, exact, 0 <= min_lr < max_lr.
        max_lr: Last rate, exact, finite.
        num_steps: Updates of the sweep, an integer >= 2; past them max_lr is held.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> clrcore.linear_sweep(0.0, 1.0, 5).values(0, 5).tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    return LinearSweep(min_lr, max_lr, num_steps)


@constructor
def exponential_sweep(min_lr: float, max_lr: float, num_steps: int) -> ExponentialSweep:
    """A range-test ramp of equal ratios, for bounds decades apart.

    Args:
        min_lr: First rate, exact, 0 < min_lr < max_lr.
        max_lr: Last rate, exact, finite.
        num_steps: Updates of the sweep, an integer >= 2; past them max_lr is held.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> policy = clrcore.exponential_sweep(1e-6, 1.0, 300)
        >>> policy(0), policy(299)
        (1e-06, 1.0)
    """
    return ExponentialSweep(min_lr, max_lr, num_steps)
