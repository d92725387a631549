"""Where a step lies: cycle number, step in the cycle, and how far it has come.

Everything is integer arithmetic with one division at the end, so it is exact at any step.
"""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Position(NamedTuple):  # noqa: D101 - its docstring is below
        cycle: int
        step: int
        rising: bool
        fraction: float
else:
    Position = namedtuple("Position", ["cycle", "step", "rising", "fraction"])
    Position.__doc__ = """Where a step lies in its policy.

cycle: number of the cycle, from 0. step: steps since that cycle began.
rising: whether the next step of this cycle has the higher rate by its half.
fraction: share of the cycle that is done, in [0, 1], 1 only past the end; 0 for policies
without cycles or end.
"""


def locate(step: int, up: int, down: int) -> Position:
    """The position of `step` >= 0 in cycles of `up` rising and `down` falling steps."""
    cycle, inside = divmod(step, up + down)
    return Position(cycle, inside, inside < up, inside / (up + down))
