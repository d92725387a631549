"""Policies made of phases or of other policies: chain, one_cycle, warm_restarts."""

from __future__ import annotations

import math
from bisect import bisect_right

from . import windows
from .arguments import check_choice, check_float, check_order, check_steps, refuse
from .arithmetic import at_most, before, divide, piecewise, steps_to
from .cycles import Position
from .policy import Policy, blend, check_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

FORMS = ("two_phase", "three_phase")
ANNEALS = {"cos": windows.hann, "linear": windows.triangular}
# A restart beyond the reach of uint64 is beyond the reach of any array of steps.
LAST_RESTART = 2**64


class Chain(Policy):
    """Stages, each a policy with a counter of its own."""

    __slots__ = ("_cycles", "_starts", "stages", "total_steps")
    stages: tuple[tuple[Policy, int | None], ...]
    total_steps: int | None
    _starts: tuple[int, ...]
    _cycles: tuple[int, ...]
    constructor = "chain"

    def __init__(self, stages: Sequence[tuple[Policy, int | None]]) -> None:
        allowed = "a list of (policy, num_steps) pairs"
        if isinstance(stages, str | bytes | Policy) or not hasattr(stages, "__iter__"):
            refuse(TypeError, "stages", allowed, stages)
        pairs = [_stage(i, stage) for i, stage in enumerate(stages)]
        if not pairs:
            refuse(ValueError, "stages", allowed + ", at least one", stages)
        starts, cycles = [0], [0]
        for i, (policy, steps) in enumerate(pairs[:-1]):
            if steps is None:
                refuse(ValueError, f"stages[{i}] num_steps", "given, as stages follow", steps)
            starts.append(starts[-1] + steps)
            cycles.append(cycles[-1] + policy.locate(steps - 1).cycle + 1)
        last = pairs[-1][1]
        self._set(
            stages=tuple(pairs),
            total_steps=None if last is None else starts[-1] + last,
            _starts=tuple(starts),
            _cycles=tuple(cycles),
        )

    @property
    def has_cycles(self) -> bool:  # type: ignore[override]
        """Whether any stage has cycles."""
        return any(policy.has_cycles for policy, _ in self.stages)

    def _lowered(self, factor: float) -> Chain:
        return Chain([(policy._lowered(factor), steps) for policy, steps in self.stages])

    def _shape(self) -> Chain:
        return Chain([(policy._shape(), steps) for policy, steps in self.stages])

    def _key(self) -> tuple[Any, ...]:
        return (self.stages,)

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        if self.total_steps is not None:
            step = at_most(step, self.total_steps - 1, xp)

        def rate(stage: int, local: Any) -> Any:
            return self.stages[stage][0]._formula(local, xp, cast)

        return piecewise(step, self._starts, rate, xp)

    def _arguments(self) -> dict[str, Any]:
        return {"stages": list(self.stages)}

    def to_dict(self) -> dict[str, Any]:
        """As `Policy.to_dict`; the stages hold their policies' dictionaries."""
        data = super().to_dict()
        data["stages"] = [[policy.to_dict(), steps] for policy, steps in self.stages]
        return data

    def _stage(self, step: int) -> int:
        """The number of the stage that step belongs to."""
        return bisect_right(self._starts, step) - 1

    def _locate(self, step: int) -> Position:
        if self.total_steps is not None:
            step = min(step, self.total_steps - 1)
        i = self._stage(step)
        place = self.stages[i][0].locate(step - self._starts[i])
        return place._replace(cycle=self._cycles[i] + place.cycle)

    def _cycle_ends(self, total_steps: int) -> list[int]:
        ends = []
        for start, (policy, steps) in zip(self._starts, self.stages, strict=True):
            left = total_steps - start
            if left > 0:
                own = left if steps is None else min(left, steps)
                ends += [start + end for end in policy.cycle_ends(own)]
        return ends

    def _completes(self, step: int) -> int | None:
        if self.total_steps is not None and step > self.total_steps:
            return None
        i = self._stage(step - 1)
        cycle = self.stages[i][0].completes(step - self._starts[i])
        return None if cycle is None else self._cycles[i] + cycle


class OneCycle(Policy):
    """Two or three phases between three rates, as PyTorch's OneCycleLR has them."""

    __slots__ = (
        "_phases",
        "anneal_strategy",
        "div_factor",
        "final_div_factor",
        "form",
        "max_lr",
        "pct_start",
        "total_steps",
    )
    max_lr: float
    total_steps: int
    form: str
    pct_start: float
    anneal_strategy: str
    div_factor: float
    final_div_factor: float
    _phases: tuple[tuple[float, float, float, float], ...]
    constructor = "one_cycle"
    has_cycles = True

    def __init__(
        self,
        max_lr: float,
        total_steps: int,
        form: str,
        pct_start: float,
        anneal_strategy: str,
        div_factor: float,
        final_div_factor: float,
    ) -> None:
        form = check_choice("form", form, FORMS)
        highest_pct = 1.0 if form == "two_phase" else 0.5
        self._set(
            max_lr=check_float("max_lr", max_lr, 0.0),
            total_steps=check_steps("total_steps", total_steps),
            form=form,
            pct_start=check_float("pct_start", pct_start, 0.0, highest_pct),
            anneal_strategy=check_choice("anneal_strategy", anneal_strategy, ANNEALS),
            div_factor=check_float("div_factor", div_factor, 0.0, above=True),
            final_div_factor=check_float("final_div_factor", final_div_factor, 0.0, above=True),
        )
        self._set(_phases=self._make_phases())

    @property
    def period(self) -> int:  # type: ignore[override]
        """Length of the one cycle, in steps."""
        return self.total_steps

    def _make_phases(self) -> tuple[tuple[float, float, float, float], ...]:
        """(start, end, rate at start, rate at end) of every phase that lasts."""
        initial = _quotient("div_factor", self.max_lr, self.div_factor)
        final = _quotient("final_div_factor", initial, self.final_div_factor)
        ends = [self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0]
        rates = [initial, self.max_lr, final]
        if self.form == "three_phase":
            ends.insert(1, 2.0 * self.pct_start * self.total_steps - 2.0)
            rates.insert(2, initial)
        phases = []
        start = 0.0
        for end, low, high in zip(ends, rates, rates[1:], strict=False):
            if math.isclose(end, round(end), abs_tol=1e-9):
                end = float(round(end))  # so that the peak is met, which rounding may prevent
            if end > start:
                phases.append((start, end, low, high))
                start = end
        return tuple(phases) or ((0.0, 0.0, final, final),)

    def _key(self) -> tuple[Any, ...]:
        return tuple(self._arguments().values())

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        step = at_most(step, self.total_steps - 1, xp)
        # A phase holds the steps after its start up to and with its end.
        starts = [0] + [math.floor(start) + 1 for start, *_ in self._phases[1:]]
        anneal = ANNEALS[self.anneal_strategy]

        def rate(phase: int, local: Any) -> Any:
            start, end, opening, closing = self._phases[phase]
            if end == start:
                return cast(local) * 0.0 + closing
            # From the lower end of the phase, counted in integers before the division.
            first, last = starts[phase], math.floor(end)
            if opening <= closing:
                distance = cast(local) + (first - start)
            else:
                distance = steps_to(last - first, local, cast) + (end - last)
            height = anneal(distance / (end - start), xp)
            return blend(min(opening, closing), max(opening, closing), height, xp)

        # What rounding left at the very end is not the rate that is held.
        held = self._phases[-1][3]
        running = before(step, self.total_steps - 1)
        return xp.where(running, piecewise(step, starts, rate, xp), held)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _ONE_CYCLE_ARGUMENTS}

    def _lowered(self, factor: float) -> OneCycle:
        return OneCycle(**self._arguments() | {"max_lr": self.max_lr * factor})

    def _locate(self, step: int) -> Position:
        rising = any(a <= step < b and low < high for a, b, low, high in self._phases)
        return super()._locate(step)._replace(rising=rising)

    def _cycle_ends(self, total_steps: int) -> list[int]:
        return [self.total_steps] if self.total_steps <= total_steps else []

    def _completes(self, step: int) -> int | None:
        return 0 if step == self.total_steps else None


_ONE_CYCLE_ARGUMENTS = (
    "max_lr",
    "total_steps",
    "form",
    "pct_start",
    "anneal_strategy",
    "div_factor",
    "final_div_factor",
)


class SmithOneCycle(Policy):
    """Up to max_lr, down towards 0, held at base_lr / 1000."""

    __slots__ = ("base_lr", "max_lr", "step_size")
    base_lr: float
    max_lr: float
    step_size: int
    constructor = "smith_one_cycle"
    has_cycles = True

    def __init__(self, base_lr: float, max_lr: float, step_size: int) -> None:
        base_lr = check_float("base_lr", base_lr, 0.0)
        max_lr = check_float("max_lr", max_lr, 0.0)
        check_order("base_lr", base_lr, "max_lr", max_lr)
        self._set(base_lr=base_lr, max_lr=max_lr, step_size=check_steps("step_size", step_size))

    @property
    def period(self) -> int:  # type: ignore[override]
        """Length of the one cycle, in steps."""
        return 2 * self.step_size

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        half = self.step_size
        step = at_most(step, 2 * half, xp)
        up = blend(self.base_lr, self.max_lr, cast(at_most(step, half, xp)) / float(half), xp)
        share = steps_to(2 * half, step, cast) / float(half)
        down = xp.where(share < 1.0, share, 1.0) * self.max_lr
        floor = self.base_lr / 1000.0
        return xp.where(before(step, half + 1), up, xp.where(down > floor, down, floor))

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("base_lr", "max_lr", "step_size")}

    def _lowered(self, factor: float) -> SmithOneCycle:
        return SmithOneCycle(self.base_lr * factor, self.max_lr * factor, self.step_size)

    def _locate(self, step: int) -> Position:
        done = min(step, self.period) / self.period
        return Position(0, step, step < self.step_size, done)

    def _cycle_ends(self, total_steps: int) -> list[int]:
        return [self.period] if self.period <= total_steps else []

    def _completes(self, step: int) -> int | None:
        return 0 if step == self.period else None


class WarmRestarts(Policy):
    """Cosine falls from max_lr to base_lr, each `multiplier` times as long as the last."""

    __slots__ = ("base_lr", "first_period", "max_lr", "multiplier")
    base_lr: float
    max_lr: float
    first_period: int
    multiplier: int
    constructor = "warm_restarts"
    has_cycles = True

    def __init__(self, base_lr: float, max_lr: float, period: int, multiplier: int) -> None:
        base_lr = check_float("base_lr", base_lr, 0.0)
        max_lr = check_float("max_lr", max_lr, 0.0)
        check_order("base_lr", base_lr, "max_lr", max_lr)
        self._set(
            base_lr=base_lr,
            max_lr=max_lr,
            first_period=check_steps("period", period),
            multiplier=check_steps("multiplier", multiplier),
        )

    @property
    def period(self) -> int | None:  # type: ignore[override]
        """Length of a cycle in steps; None where it grows."""
        return self.first_period if self.multiplier == 1 else None

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        if isinstance(step, int):
            _, inside, length = self._cycle(step)
            return self._rate((length - inside) / length, xp)
        if self.multiplier == 1:
            return self._fall(divide(step, self.first_period)[1], self.first_period, xp, cast)
        cycles = list(self._cycles(LAST_RESTART))

        def rate(cycle: int, local: Any) -> Any:
            return self._fall(local, cycles[cycle][1], xp, cast)

        return piecewise(step, [start for start, _ in cycles], rate, xp)

    def _fall(self, inside: Any, length: int, xp: Any, cast: Callable[[Any], Any]) -> Any:
        return self._rate(steps_to(length, inside, cast) / float(length), xp)

    def _rate(self, left: Any, xp: Any) -> Any:
        """The rate where the share `left` of a fall is still to come."""
        return blend(self.base_lr, self.max_lr, windows.hann(left, xp), xp)

    def _cycles(self, stop: int) -> Iterable[tuple[int, int]]:
        """(first step, length) of every cycle that starts before `stop`."""
        start, length = 0, self.first_period
        while start < stop:
            yield start, length
            start, length = start + length, length * self.multiplier

    def _cycle(self, step: int) -> tuple[int, int, int]:
        """Number of the cycle, step in it, and its length."""
        if self.multiplier == 1:
            cycle, inside = divmod(step, self.first_period)
            return cycle, inside, self.first_period
        *_, (cycle, (start, length)) = enumerate(self._cycles(step + 1))
        return cycle, step - start, length

    def _arguments(self) -> dict[str, Any]:
        return {
            "base_lr": self.base_lr,
            "max_lr": self.max_lr,
            "period": self.first_period,
            "multiplier": self.multiplier,
        }

    @property
    def repeats(self) -> bool:  # type: ignore[override]
        """Whether all cycles have one length."""
        return self.multiplier == 1

    def _lowered(self, factor: float) -> WarmRestarts:
        bounds = self.base_lr * factor, self.max_lr * factor
        return WarmRestarts(*bounds, self.first_period, self.multiplier)

    def _shape(self) -> WarmRestarts:
        return WarmRestarts(0.0, 1.0, self.first_period, self.multiplier)

    def _locate(self, step: int) -> Position:
        cycle, inside, length = self._cycle(step)
        return Position(cycle, inside, False, inside / length)

    def _cycle_ends(self, total_steps: int) -> list[int]:
        ends = [start + length for start, length in self._cycles(total_steps)]
        return [end for end in ends if end <= total_steps]

    def _completes(self, step: int) -> int | None:
        cycle, inside, _ = self._cycle(step)
        return None if inside else cycle - 1


class Cooldown(Policy):
    """A policy up to a step, then a fall to final_lr."""

    __slots__ = ("_start_lr", "at", "final_lr", "num_steps", "policy", "shape")
    policy: Policy
    at: int
    num_steps: int
    final_lr: float
    shape: str
    _start_lr: float
    constructor = "cooldown"

    def __init__(
        self, policy: Policy, at: int, num_steps: int, final_lr: float, shape: str
    ) -> None:
        policy = check_policy("policy", policy)
        at = check_steps("at", at, 0)
        start_lr = policy(at)
        final_lr = check_float("final_lr", final_lr, 0.0)
        check_order("final_lr", final_lr, "policy(at)", start_lr)
        self._set(
            policy=policy,
            at=at,
            num_steps=check_steps("num_steps", num_steps),
            final_lr=final_lr,
            shape=check_choice("shape", shape, SHAPES),
            _start_lr=start_lr,
        )

    @property
    def total_steps(self) -> int:  # type: ignore[override]
        """Number of steps until final_lr is reached; it is held from there on."""
        return self.at + self.num_steps

    @property
    def has_cycles(self) -> bool:  # type: ignore[override]
        """Whether a cycle of the policy is complete when the cooldown begins."""
        return self.policy.has_cycles

    def to_dict(self) -> dict[str, Any]:
        """As `Policy.to_dict`, with the dictionary of the policy before the cooldown."""
        return super().to_dict() | {"policy": self.policy.to_dict()}

    def _key(self) -> tuple[Any, ...]:
        return tuple(self._arguments().values())

    def _formula(self, step: Any, xp: Any, cast: Callable[[Any], Any]) -> Any:
        def rate(stage: int, local: Any) -> Any:
            if stage == 0 < self.at:
                return self.policy._formula(local, xp, cast)
            local = at_most(local, self.num_steps, xp)
            if self.shape == "1-sqrt":
                height = 1.0 - xp.sqrt(cast(local) / float(self.num_steps))
            else:
                height = steps_to(self.num_steps, local, cast) / float(self.num_steps)
                height = ANNEALS[SHAPES[self.shape]](height, xp)
            return blend(self.final_lr, self._start_lr, height, xp)

        return piecewise(step, (0, self.at) if self.at else (0,), rate, xp)

    def _arguments(self) -> dict[str, Any]:
        names = ("policy", "at", "num_steps", "final_lr", "shape")
        return {name: getattr(self, name) for name in names}

    def _lowered(self, factor: float) -> Cooldown:
        policy, final_lr = self.policy._lowered(factor), self.final_lr * factor
        # Rounding may put the lowered rate at the start below the lowered final rate.
        final_lr = min(final_lr, policy(self.at))
        return Cooldown(policy, self.at, self.num_steps, final_lr, self.shape)

    def _locate(self, step: int) -> Position:
        if step < self.at:
            return self.policy._locate(step)
        done = step - self.at
        begun = self.policy._locate(self.at - 1).cycle + 1 if self.at else 0
        return Position(begun, done, False, min(done, self.num_steps) / self.num_steps)

    def _cycle_ends(self, total_steps: int) -> list[int]:
        return self.policy._cycle_ends(min(total_steps, self.at))

    def _completes(self, step: int) -> int | None:
        return self.policy._completes(step) if step <= self.at else None


SHAPES = {"linear": "linear", "cosine": "cos", "1-sqrt": ""}


def chain(stages: Sequence[tuple[Policy, int | None]]) -> Chain:
    """Policies one after another, each starting from its own step 0 (paper, Table 2).

    stages: (policy, num_steps) pairs. num_steps is a number of updates >= 1; the last stage's
        may be None, for ever. With a length it makes the chain end: its last rate is held.
    Raises TypeError or ValueError, naming the stage, for anything else.

    The paper's CIFAR-10 run of 25,000 iterations:

    >>> import clrcore
    >>> table2 = clrcore.chain([
    ...     (clrcore.triangular2(1e-3, 5e-3, 2000), 16_000),
    ...     (clrcore.triangular2(1e-4, 5e-4, 1000), 6_000),
    ...     (clrcore.triangular2(1e-5, 5e-5, 500), 3_000),
    ... ])
    >>> table2(2000), table2(17_000), table2(22_500), table2.total_steps
    (0.005, 0.0005, 5e-05, 25000)
    """
    return Chain(stages)


def cooldown(
    policy: Policy, at: int, num_steps: int, *, final_lr: float = 0.0, shape: str = "linear"
) -> Cooldown:
    """Finish a run: `policy` up to step `at`, then a fall to `final_lr`, which is held.

    The fall may begin at any step, such as the end of a cycle. Its cycles are those that
    `policy` completes by step `at`.

    Args:
        policy: Policy before the fall.
        at: First step of the fall, an integer >= 0; the rate there is policy(at).
        num_steps: Length of the fall in steps, an integer >= 1.
        final_lr: Rate from step at + num_steps on, 0 <= final_lr <= policy(at).
        shape: Form of the fall: "linear", "cosine" or "1-sqrt", which is
            r + (final_lr - r) sqrt(s / num_steps), s steps after `at`, with r = policy(at).

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Source:
        Haegele et al., arXiv 2405.18392 (constant rate with cooldown).

    Example:
        Warm-up, constant rate, cooldown:

        >>> import clrcore
        >>> plateau = [(clrcore.linear_sweep(0.0, 0.1, 51), 50), (clrcore.constant(0.1), None)]
        >>> policy = clrcore.cooldown(clrcore.chain(plateau), at=800, num_steps=200)
        >>> policy(25), policy(800), policy(900), policy(1000)
        (0.05, 0.1, 0.05, 0.0)
    """
    return Cooldown(policy, at, num_steps, final_lr, shape)


def one_cycle(
    max_lr: float,
    total_steps: int,
    *,
    form: str = "two_phase",
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> OneCycle:
    """The 1cycle policy with PyTorch's values for steps 0..total_steps-1, then the last one.

    From max_lr / div_factor up to max_lr, and down to max_lr / div_factor / final_div_factor
    (Smith, arXiv 1803.09820; Smith & Topin, arXiv 1708.07120; for Smith's own runs see
    `smith_one_cycle`).

    max_lr: peak, finite and >= 0. total_steps: updates of the run, an integer >= 1.
    form: "two_phase", or "three_phase" with a fall as long as the rise before the last phase.
    pct_start: share of the run that rises, in [0, 1], [0, 0.5] for three phases. A phase
        that would end at or before its start is left out.
    anneal_strategy: "cos" or "linear". div_factor, final_div_factor: numbers > 0.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> policy = clrcore.one_cycle(1.0, total_steps=101, pct_start=0.5)
    >>> policy(0), policy(100) == 1.0 / 25 / 1e4, policy(10**6) == policy(100)
    (0.04, True, True)
    """
    return OneCycle(
        max_lr, total_steps, form, pct_start, anneal_strategy, div_factor, final_div_factor
    )


def smith_one_cycle(base_lr: float, max_lr: float, step_size: int) -> SmithOneCycle:
    """1cycle as Smith ran it: up to max_lr, down towards 0, never below base_lr / 1000.

    Rate: base + (max - base) t / step_size up to step_size, then
    max(max_lr (2 - t / step_size), base_lr / 1000). Smith's runs stopped in the tail, after
    0.86 to 0.97 of them had passed (read from his published logs); the policy is endless.

    base_lr, max_lr: 0 <= base_lr <= max_lr, finite. step_size: steps of the rise.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> policy = clrcore.smith_one_cycle(0.1, 1.0, step_size=2246)
    >>> policy(2246), policy(4600)
    (1.0, 0.0001)
    """
    return SmithOneCycle(base_lr, max_lr, step_size)


def warm_restarts(
    base_lr: float, max_lr: float, period: int, *, multiplier: int = 1
) -> WarmRestarts:
    """SGDR (Loshchilov & Hutter, arXiv 1608.03983): cosine falls, then a jump back up.

    Rate: base + (max - base) (1 + cos(pi t / T)) / 2, t steps after the last restart.

    base_lr, max_lr: 0 <= base_lr <= max_lr, finite. period: length T of the first fall, in
        steps. multiplier: an integer >= 1 by which every next fall is longer.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> policy = clrcore.warm_restarts(0.0, 1.0, period=10, multiplier=2)
    >>> policy(0), policy(10), policy(30), policy.cycle_ends(100)
    (1.0, 1.0, 1.0, [10, 30, 70])
    """
    return WarmRestarts(base_lr, max_lr, period, multiplier)


def _stage(i: int, stage: Any) -> tuple[Policy, int | None]:
    """The i-th stage, checked."""
    try:
        policy, steps = stage
    except (TypeError, ValueError):
        refuse(TypeError, f"stages[{i}]", "a (policy, num_steps) pair", stage)
    policy = check_policy(f"stages[{i}] policy", policy)
    return policy, None if steps is None else check_steps(f"stages[{i}] num_steps", steps)


def _quotient(name: str, dividend: float, divisor: float) -> float:
    result = dividend / divisor
    if not math.isfinite(result):
        refuse(ValueError, name, f"large enough for a finite {dividend!r}/{name}", divisor)
    return result
