"""Budgets that end where a cycle ends, and step sizes from epochs."""

from __future__ import annotations

from collections import namedtuple

from .arguments import LARGEST_COUNT, check_float, check_steps, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple

    class Budget(NamedTuple):  # noqa: D101 - its docstring is below
        total_steps: int
        step_size: int
        cycles: int
        reason: str
else:
    Budget = namedtuple("Budget", ["total_steps", "step_size", "cycles", "reason"])
    Budget.__doc__ = """A run of whole cycles: total_steps == 2 * step_size * cycles.

reason: what was fitted to what, in words.
"""


def whole_cycles(
    *, total_steps: int | None = None, step_size: int | None = None, cycles: int | None = None
) -> Budget:
    """Fit a budget to whole cycles, or a step size to a budget (paper, section 3.2).

    Give two of the three; the third follows, and no run becomes longer than its budget.

    total_steps: budget of updates, >= 1. step_size: half a cycle, in steps, >= 1.
    cycles: number of cycles, >= 1.
    Raises ValueError when not exactly two are given, and when no whole cycle fits; TypeError
    or ValueError, naming the argument, for what is not an integer >= 1.

    >>> import clrcore
    >>> clrcore.whole_cycles(total_steps=70_000, step_size=2000)
    Budget(total_steps=68000, step_size=2000, cycles=17, reason='17 cycles of 4000 steps fit \
into 70000; the last 2000 are left out')
    >>> clrcore.whole_cycles(total_steps=70_000, cycles=4).step_size
    8750
    """
    given = {"total_steps": total_steps, "step_size": step_size, "cycles": cycles}
    known = {name: check_steps(name, value) for name, value in given.items() if value is not None}
    if len(known) != 2:
        raise ValueError(
            "give two of total_steps, step_size and cycles, the third follows; got "
            + (", ".join(known) or "none")
        )
    if "total_steps" not in known:
        size, number = known["step_size"], known["cycles"]
        total = 2 * size * number
        return Budget(total, size, number, f"{_cycles(number, size)} are {total} steps")
    total = known["total_steps"]
    if "step_size" in known:
        size = known["step_size"]
        number = total // (2 * size)
        remedy = f"make step_size at most {total // 2}" if total > 1 else "train longer"
    else:
        number = known["cycles"]
        size = total // (2 * number)
        remedy = f"ask for at most {total // 2} cycles" if total > 1 else "train longer"
    if not size or not number:
        raise ValueError(
            f"no whole cycle fits: total_steps={total} is less than "
            f"{2 * (size or 1) * (number or 1)} steps; {remedy}"
        )
    used = 2 * size * number
    left = f"; the last {total - used} are left out" if total > used else " exactly"
    if "step_size" not in known:
        left = f" with step_size={size}" + left
    fit = "fits" if number == 1 else "fit"
    return Budget(used, size, number, f"{_cycles(number, size)} {fit} into {total}{left}")


def step_size_from_epochs(steps_per_epoch: float, epochs: float = 4.0) -> int:
    """Half a cycle in steps, from its length in epochs (paper, section 3.2).

    steps_per_epoch: optimizer updates in an epoch, > 0; with accumulation, updates and not
        micro-batches. epochs: epochs in half a cycle, > 0; the paper found 2 to 10 good, and
        results robust within that.
    Returns the nearest number of steps, at least 1. Raises TypeError or ValueError, naming
    the argument, for anything else.

    >>> import clrcore
    >>> clrcore.step_size_from_epochs(500)
    2000
    """
    length = check_float("steps_per_epoch", steps_per_epoch, 0.0, above=True)
    steps = length * check_float("epochs", epochs, 0.0, above=True)
    if steps > LARGEST_COUNT:
        refuse(ValueError, "steps_per_epoch * epochs", f"at most {LARGEST_COUNT}", steps)
    return max(1, round(steps))


def _cycles(number: int, step_size: int) -> str:
    return f"{number} cycle{'s' * (number > 1)} of {2 * step_size} steps"
