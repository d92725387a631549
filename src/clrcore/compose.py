"""Policies of phases and of other policies: chain, cooldown, one_cycle, warm_restarts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate, starmap
from typing import Any, NamedTuple

from . import windows
from .arguments import check_choice, check_float, check_list, check_optional, check_steps, refuse
from .cycles import Cycles, EqualCycles, GrowingCycles, JoinedCycles, SingleCycle
from .policies import left
from .policy import Policy, blend, check_policy, constructor

FORMS = ("two_phase", "three_phase")
ANNEALS = {"cos": windows.hann, "linear": windows.triangular}
SHAPES = ("linear", "cosine", "1-sqrt")
# Far beyond any array of steps; the last cycle that begins before it has no end.
LAST_RESTART = 2**512


@dataclass(frozen=True, repr=False)
class Chain(Policy):
    """Stages, each a policy with its own counter."""

    stages: tuple[tuple[Policy, int | None], ...]
    constructor = "chain"

    def __post_init__(self) -> None:
        allowed = "a list of (policy, num_steps) pairs"
        pairs = tuple(starmap(_stage, enumerate(check_list("stages", self.stages, allowed))))
        if not pairs:
            refuse(ValueError, "stages", allowed + ", at least one", pairs)
        lengths = [steps for _, steps in pairs]
        if None in lengths[:-1]:
            name = f"stages[{lengths.index(None)}] num_steps"
            refuse(ValueError, name, "given, as stages follow", None)
        total_steps = None if lengths[-1] is None else sum(filter(None, lengths))
        self._set(stages=pairs, total_steps=total_steps)
        self._set_depth(*(policy for policy, _ in pairs))

    @cached_property
    def _starts(self) -> list[int]:
        """The first step of every stage."""
        return list(accumulate((steps or 0 for _, steps in self.stages[:-1]), initial=0))

    @cached_property
    def _cycles(self) -> Cycles:
        return JoinedCycles([(policy._cycles, steps) for policy, steps in self.stages])

    def _formula(self, step: Any, maths: Any) -> Any:
        if self.total_steps is not None:
            step = maths.at_most(step, self.total_steps - 1)

        def rate(stage: int, inside: Any) -> Any:
            return self.stages[stage][0]._formula(inside, maths)

        return maths.piecewise(step, self._starts, rate)

    def _lowered(self, factor: float) -> Chain:
        return Chain(tuple((policy._lowered(factor), steps) for policy, steps in self.stages))

    def _unit(self) -> Chain:
        return Chain(tuple((policy._unit(), steps) for policy, steps in self.stages))

    def _arguments(self) -> dict[str, Any]:
        return {"stages": list(self.stages)}

    def to_dict(self) -> dict[str, Any]:
        """As `Policy.to_dict`; the stages hold their policies' dictionaries."""
        stages = [[policy.to_dict(), steps] for policy, steps in self.stages]
        return super().to_dict() | {"stages": stages}


@dataclass(frozen=True, repr=False)
class Cooldown(Policy):
    """A policy up to a step, then a fall to final_lr."""

    policy: Policy
    at: int
    num_steps: int
    final_lr: float
    shape: str
    constructor = "cooldown"

    def __post_init__(self) -> None:
        policy = check_policy("policy", self.policy)
        at = check_steps("at", self.at, 0)
        super().__post_init__()
        if self.final_lr > policy(at):
            allowed = f"at most the policy's rate at step {at}, {policy(at)!r}"
            refuse(ValueError, "final_lr", allowed, self.final_lr)
        self._set(at=at, shape=check_choice("shape", self.shape, SHAPES))
        self._set(total_steps=at + self.num_steps)
        self._set_depth(policy)

    @cached_property
    def _cycles(self) -> Cycles:
        fall = (Cycles(self.num_steps), None)
        return JoinedCycles([(self.policy._cycles, self.at), fall] if self.at else [fall])

    @cached_property
    def _first_lr(self) -> float:
        """The rate at which the fall begins."""
        return self.policy(self.at)

    def _formula(self, step: Any, maths: Any) -> Any:
        if self.at == 0:
            return self._fall(step, maths)

        def rate(stage: int, inside: Any) -> Any:
            return self._fall(inside, maths) if stage else self.policy._formula(inside, maths)

        return maths.piecewise(step, (0, self.at), rate)

    def _fall(self, step: Any, maths: Any) -> Any:
        """The rate at a step counted from the start of the fall."""
        height = left(step, self.num_steps, maths)
        if self.shape == "cosine":
            height = windows.hann(height, maths)
        elif self.shape == "1-sqrt":
            passed = maths.share(maths.at_most(step, self.num_steps), 0, self.num_steps)
            height = 1.0 - maths.sqrt(passed)
        return blend(self.final_lr, self._first_lr, height, maths)

    def _lowered(self, factor: float) -> Cooldown:
        policy = self.policy._lowered(factor)
        # Rounding may put the lowered final rate above the rate at which the fall begins.
        final_lr = min(self.final_lr * factor, policy(self.at))
        return replace(self, policy=policy, final_lr=final_lr)


class Phase(NamedTuple):
    """A phase of `one_cycle`: its start and end in steps, which may be fractions, and its rates."""

    start: float
    end: float
    first_lr: float
    last_lr: float


@dataclass(frozen=True, repr=False)
class OneCycle(Policy):
    """Two or three phases between three rates, as in PyTorch's OneCycleLR."""

    max_lr: float
    total_steps: int = field()  # without the default that the base class has
    form: str
    pct_start: float
    anneal_strategy: str
    div_factor: float
    final_div_factor: float
    constructor = "one_cycle"

    def __post_init__(self) -> None:
        super().__post_init__()
        form = check_choice("form", self.form, FORMS)
        highest_pct = 1.0 if form == "two_phase" else 0.5
        pct_start = check_float("pct_start", self.pct_start, 0.0, highest_pct)
        anneal = check_choice("anneal_strategy", self.anneal_strategy, ANNEALS)
        self._set(form=form, pct_start=pct_start, anneal_strategy=anneal)
        initial = _quotient("div_factor", self.max_lr, self.div_factor)
        _quotient("final_div_factor", initial, self.final_div_factor)

    @cached_property
    def _phases(self) -> list[Phase]:
        """The phases that last at least a moment."""
        initial = self.max_lr / self.div_factor
        final = initial / self.final_div_factor
        ends = [self.pct_start * self.total_steps - 1.0, self.total_steps - 1.0]
        rates = [initial, self.max_lr, final]
        if self.form == "three_phase":
            ends.insert(1, 2.0 * self.pct_start * self.total_steps - 2.0)
            rates.insert(2, initial)
        phases: list[Phase] = []
        start = 0.0
        for end, first_lr, last_lr in zip(ends, rates, rates[1:], strict=False):
            if math.isclose(end, round(end), abs_tol=1e-9):
                end = float(round(end))  # so that the peak is met, which rounding may prevent
            if end > start:
                phases.append(Phase(start, end, first_lr, last_lr))
                start = end
        return phases or [Phase(0.0, 0.0, final, final)]

    @cached_property
    def _starts(self) -> list[int]:
        """The first step of every phase: a phase holds the steps after its start, and its end."""
        return [0] + [math.floor(phase.start) + 1 for phase in self._phases[1:]]

    @cached_property
    def _cycles(self) -> Cycles:
        return SingleCycle(self.total_steps)

    def _formula(self, step: Any, maths: Any) -> Any:
        anneal = ANNEALS[self.anneal_strategy]

        def rate(number: int, inside: Any) -> Any:
            start, end, first_lr, last_lr = self._phases[number]
            if end == start:
                return maths.cast(inside) * 0.0 + last_lr
            # From the lower end of the phase, counted in integers before the division.
            first, last = self._starts[number], math.floor(end)
            rising = first_lr <= last_lr
            if rising:
                distance, peak = maths.cast(inside) + (first - start), end
            else:
                distance, peak = maths.steps_to(last - first, inside) + (end - last), start
            share = distance / (end - start)
            if peak.is_integer() and peak >= first:
                share = maths.pinned(share, inside, int(peak) - first, rising=rising)
            height = anneal(share, maths)
            return blend(min(first_lr, last_lr), max(first_lr, last_lr), height, maths)

        step = maths.at_most(step, self.total_steps - 1)
        # What rounding left at the very end is not the rate that is held.
        running = maths.before(step, self.total_steps - 1)
        held = self._phases[-1].last_lr
        return maths.where(running, maths.piecewise(step, self._starts, rate), held)


@dataclass(frozen=True, repr=False)
class SmithOneCycle(Policy):
    """Up to max_lr, down towards 0, held at base_lr / 1000."""

    base_lr: float
    max_lr: float
    step_size: int
    constructor = "smith_one_cycle"

    @cached_property
    def _cycles(self) -> Cycles:
        return SingleCycle(2 * self.step_size)

    def _formula(self, step: Any, maths: Any) -> Any:
        half = self.step_size
        step = maths.at_most(step, 2 * half)
        u = maths.share(maths.at_most(step, half), 0, half)
        rising = blend(self.base_lr, self.max_lr, u, maths)
        share = maths.share(step, 2 * half, half)
        falling = maths.where(share < 1.0, share, 1.0) * self.max_lr
        floor = self.base_lr / 1000.0
        falling = maths.where(falling > floor, falling, floor)
        return maths.where(maths.before(step, half + 1), rising, falling)


@dataclass(frozen=True, repr=False)
class WarmRestarts(Policy):
    """Cosine falls from max_lr to base_lr, each `multiplier` times as long as the last."""

    base_lr: float
    max_lr: float
    first_period: int
    multiplier: int
    constructor = "warm_restarts"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(first_period=check_steps("period", self.first_period))

    @cached_property
    def _cycles(self) -> Cycles:
        if self.multiplier == 1:
            return EqualCycles(self.first_period)
        return GrowingCycles(self.first_period, self.multiplier)

    @property
    def _repeated(self) -> int | None:
        return self.period

    @cached_property
    def _falls(self) -> tuple[list[int], list[int]]:
        """First steps and lengths of the growing falls."""
        falls = GrowingCycles(self.first_period, self.multiplier).starts(LAST_RESTART)
        starts, lengths = zip(*falls, strict=True)
        return list(starts), list(lengths)

    def _formula(self, step: Any, maths: Any) -> Any:
        def rate(length: int, inside: Any) -> Any:
            height = windows.hann(left(inside, length, maths), maths)
            return blend(self.base_lr, self.max_lr, height, maths)

        if self.multiplier == 1:
            return rate(self.first_period, maths.divide(step, self.first_period)[1])
        starts, lengths = self._falls
        return maths.piecewise(step, starts, lambda fall, inside: rate(lengths[fall], inside))

    def _unit(self) -> WarmRestarts:
        return replace(self, base_lr=0.0, max_lr=1.0)

    def _arguments(self) -> dict[str, Any]:
        arguments = super()._arguments()
        return {"period" if k == "first_period" else k: v for k, v in arguments.items()}


@constructor
def chain(stages: Sequence[tuple[Policy, int | None]]) -> Chain:
    """Policies one after another, each starting from its own step 0 (paper, Table 2).

    Args:
        stages: (policy, num_steps) pairs, num_steps an integer >= 1. The last stage's num_steps
            may be None: it never ends. Otherwise the chain ends, and its last rate is held.

    Raises:
        TypeError: A stage has the wrong type.
        ValueError: A number of steps is out of range, or chains nest more than 32 levels deep.

    Example:
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
    return Chain(stages)  # type: ignore[arg-type]


@constructor
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


@constructor
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
    """The 1cycle policy with PyTorch's values for steps 0..total_steps-1, then the last value.

    The rate goes from max_lr / div_factor up to max_lr, then down to
    max_lr / div_factor / final_div_factor. For Smith's own runs see `smith_one_cycle`.

    Args:
        max_lr: Peak, finite and >= 0.
        total_steps: Updates of the run, an integer >= 1.
        form: "two_phase", or "three_phase", with a fall as long as the rise before the last phase.
        pct_start: Share of the run that rises, in [0, 1], or [0, 0.5] for three phases. A phase
            that would end at or before its start is left out.
        anneal_strategy: "cos" or "linear".
        div_factor: max_lr over the first rate, > 0.
        final_div_factor: The first rate over the last, > 0.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Source:
        Smith, arXiv 1803.09820; Smith & Topin, arXiv 1708.07120.

    Example:
        >>> import clrcore
        >>> policy = clrcore.one_cycle(1.0, total_steps=101, pct_start=0.5)
        >>> policy(0), policy(100) == 1.0 / 25 / 1e4, policy(10**6) == policy(100)
        (0.04, True, True)
    """
    return OneCycle(
        max_lr, total_steps, form, pct_start, anneal_strategy, div_factor, final_div_factor
    )


@constructor
def smith_one_cycle(base_lr: float, max_lr: float, step_size: int) -> SmithOneCycle:
    """1cycle as Smith ran it: up to max_lr, down towards 0, never below base_lr / 1000.

    The rate is base_lr + (max_lr - base_lr) t / step_size up to step_size, then
    max(max_lr (2 - t / step_size), base_lr / 1000). Smith stopped his runs in the fall, after 86 to
    97 % of the cycle (read from his published logs); the policy is endless.

    Args:
        base_lr: First rate, 0 <= base_lr <= max_lr.
        max_lr: Peak, finite.
        step_size: Length of the rise in steps, an integer >= 1.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> policy = clrcore.smith_one_cycle(0.1, 1.0, step_size=2246)
        >>> policy(2246), policy(4600)
        (1.0, 0.0001)
    """
    return SmithOneCycle(base_lr, max_lr, step_size)


@constructor
def warm_restarts(
    base_lr: float, max_lr: float, period: int, *, multiplier: int = 1
) -> WarmRestarts:
    """SGDR: cosine falls from max_lr to base_lr, each followed by a jump back up.

    The rate is base_lr + (max_lr - base_lr) (1 + cos(pi t / T)) / 2, with t steps since the last
    restart.

    Args:
        base_lr: Rate at the end of a fall, 0 <= base_lr <= max_lr.
        max_lr: Rate at a restart, finite.
        period: Length T of the first fall in steps, an integer >= 1.
        multiplier: Length of each fall over that of the fall before, an integer >= 1.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Source:
        Loshchilov & Hutter, arXiv 1608.03983.

    Example:
        >>> import clrcore
        >>> policy = clrcore.warm_restarts(0.0, 1.0, period=10, multiplier=2)
        >>> policy(0), policy(10), policy(30), policy.cycle_ends(100)
        (1.0, 1.0, 1.0, [10, 30, 70])
    """
    return WarmRestarts(base_lr, max_lr, period, multiplier)


def _stage(i: int, stage: Any) -> tuple[Policy, int | None]:
    """The stage with index i, checked."""
    try:
        policy, steps = stage
    except (TypeError, ValueError):
        refuse(TypeError, f"stages[{i}]", "a (policy, num_steps) pair", stage)
    policy = check_policy(f"stages[{i}] policy", policy)
    return policy, check_optional(check_steps, f"stages[{i}] num_steps", steps)


def _quotient(name: str, dividend: float, divisor: float) -> float:
    result = dividend / divisor
    if not math.isfinite(result):
        refuse(ValueError, name, f"large enough for a finite {dividend!r}/{name}", divisor)
    return result
