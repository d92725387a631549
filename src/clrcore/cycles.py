"""Cycles of all policies: where a step lies, where cycles end, whether they repeat.

Everything is integer arithmetic with one division at the end, so it is exact at any step.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple


class Position(NamedTuple):
    """Where a step lies in its policy.

    Attributes:
        cycle: Number of the cycle, from 0.
        step: Steps since the cycle began.
        rising: Whether the next step has a higher rate.
        fraction: Share of the cycle that is over, in [0, 1], 1 only past the end; for a policy
            without cycles the fraction of its total_steps, 0 if it has no end.
    """

    cycle: int
    step: int
    rising: bool
    fraction: float


class Cycles:
    """The cycles of a policy; here none, which is the base of the other kinds.

    Args:
        length: Length of the first cycle in steps; here of the whole policy, None if endless.

    Attributes:
        period: The length that all cycles have, None if there is no such length.
        first_end: The first step at which a cycle is complete, or None.
        repeats: Whether cycles of one length follow each other without end.
    """

    period: int | None = None
    first_end: int | None = None
    repeats = False

    def __init__(self, length: int | None = None) -> None:
        self.length = length

    def find(self, step: int) -> tuple[int, int, int | None]:
        """The number of the cycle at a step, the steps since its start, its length."""
        return 0, step, self.length

    def ends(self, total_steps: int) -> list[int]:
        """The steps up to `total_steps` at which a cycle is complete."""
        return []

    def count(self, total_steps: int) -> int:
        """The number of cycles that are complete after `total_steps`."""
        return len(self.ends(total_steps))

    def completes(self, step: int) -> int | None:
        """The number of the cycle that ends at `step` >= 1, None if none does."""
        cycle, inside, _ = self.find(step)
        return None if inside else cycle - 1


class SingleCycle(Cycles):
    """A single cycle from step 0 on."""

    length: int

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.period = self.first_end = length

    def ends(self, total_steps: int) -> list[int]:
        """The cycle's length, if it is over by then."""
        return [self.length] if self.length <= total_steps else []

    def completes(self, step: int) -> int | None:
        """0 at the end of the cycle."""
        return 0 if step == self.length else None


class EqualCycles(SingleCycle):
    """A first cycle that others of its length follow, without end."""

    repeats = True
    completes = Cycles.completes

    def find(self, step: int) -> tuple[int, int, int]:
        """By division."""
        return *divmod(step, self.length), self.length

    def ends(self, total_steps: int) -> list[int]:
        """The multiples of the length."""
        return list(range(self.length, total_steps + 1, self.length))

    def count(self, total_steps: int) -> int:
        """By division, as the list of ends may be too long for the memory."""
        return total_steps // self.length


class GrowingCycles(Cycles):
    """Cycles without end, each `growth` >= 2 times as long as the cycle before."""

    length: int

    def __init__(self, length: int, growth: int) -> None:
        super().__init__(length)
        self.first_end, self.growth = length, growth

    def starts(self, stop: int) -> Iterator[tuple[int, int]]:
        """First step and length of every cycle that starts before `stop`."""
        start, length = 0, self.length
        while start < stop:
            yield start, length
            start, length = start + length, length * self.growth

    def find(self, step: int) -> tuple[int, int, int]:
        """By adding lengths."""
        *_, (cycle, (start, length)) = enumerate(self.starts(step + 1))
        return cycle, step - start, length

    def ends(self, total_steps: int) -> list[int]:
        """The starts of all cycles but the first."""
        return [start for start, _ in self.starts(total_steps + 1)][1:]


class JoinedCycles(Cycles):
    """The cycles of stages that follow each other; the end of a stage cuts its last cycle off.

    Args:
        stages: Cycles and number of steps of each stage; None in the last if it has no end.
    """

    def __init__(self, stages: Sequence[tuple[Cycles, int | None]]) -> None:
        super().__init__()
        self.stages = stages

    @cached_property
    def first_end(self) -> int | None:  # type: ignore[override]
        """The first step at which a cycle is complete, or None."""
        for start, (cycles, steps) in zip(self._starts, self.stages, strict=True):
            end = cycles.first_end
            if end is not None and (steps is None or end <= steps):
                return start + end
        return None

    def find(self, step: int) -> tuple[int, int, int | None]:
        """Past the end of the last stage, its last step."""
        i, inside = self._stage(step)
        cycles, steps = self.stages[i]
        cycle, inside, length = cycles.find(inside if steps is None else min(inside, steps - 1))
        return self._numbers[i] + cycle, inside, length

    def ends(self, total_steps: int) -> list[int]:
        """The ends in each stage, up to the end of that stage."""
        stages = self._until(total_steps)
        return [start + end for start, cycles, steps in stages for end in cycles.ends(steps)]

    def count(self, total_steps: int) -> int:
        """The sum over the stages."""
        return sum(cycles.count(steps) for _, cycles, steps in self._until(total_steps))

    def _until(self, total_steps: int) -> Iterator[tuple[int, Cycles, int]]:
        """First step, cycles and number of steps of every stage up to `total_steps`."""
        for start, (cycles, steps) in zip(self._starts, self.stages, strict=True):
            if start >= total_steps:
                return
            left = total_steps - start
            yield start, cycles, left if steps is None else min(left, steps)

    def completes(self, step: int) -> int | None:
        """By the stage of the update before `step`: the end of a stage belongs to that stage."""
        i, before = self._stage(step - 1)
        cycles, steps = self.stages[i]
        if steps is not None and before >= steps:
            return None
        cycle = cycles.completes(before + 1)
        return None if cycle is None else self._numbers[i] + cycle

    def _stage(self, step: int) -> tuple[int, int]:
        """The number of the stage that a step belongs to, and the step in it."""
        i = bisect_right(self._starts, step) - 1
        return i, step - self._starts[i]

    @cached_property
    def _starts(self) -> list[int]:
        """The first step of every stage."""
        starts = [0]
        for _, steps in self.stages[:-1]:
            starts.append(starts[-1] + (steps or 0))
        return starts

    @cached_property
    def _numbers(self) -> list[int]:
        """The number of every stage's first cycle; a stage without cycles takes one number."""
        numbers = [0]
        for cycles, steps in self.stages[:-1]:
            numbers.append(numbers[-1] + cycles.find((steps or 1) - 1)[0] + 1)
        return numbers


def place(cycles: Cycles, step: int, rising: bool) -> Position:
    """The position of `step` >= 0."""
    cycle, inside, length = cycles.find(step)
    fraction = 0.0 if length is None else min(inside, length) / length
    return Position(cycle, inside, rising, fraction)
