"""Budgets that end where a cycle ends, and step sizes from epochs."""

from __future__ import annotations

from typing import NamedTuple

from .arguments import LARGEST_COUNT, check_float, check_steps, refuse
from .hints import hinting


class Budget(NamedTuple):
    """A run of whole cycles: total_steps == 2 * step_size * cycles.

    Attributes:
        total_steps: Length of the run in steps.
        step_size: Half a cycle in steps.
        cycles: Number of cycles.
        reason: The calculation in words.
    """

    total_steps: int
    step_size: int
    cycles: int
    reason: str


@hinting
def whole_cycles(
    *, total_steps: int | None = None, step_size: int | None = None, cycles: int | None = None
) -> Budget:
    """Fit a budget to whole cycles, or a step size to a budget (paper, section 3.2).

    Give two of the three; the third follows. No run becomes longer than its budget.

    Args:
        total_steps: Budget of updates, an integer >= 1.
        step_size: Half a cycle in steps, an integer >= 1.
        cycles: Number of cycles, an integer >= 1.

    Raises:
        TypeError: An argument is not an integer.
        ValueError: An argument is out of range, not exactly two are given, or no cycle fits.

    Example:
        >>> import clrcore
        >>> budget = clrcore.whole_cycles(total_steps=70_000, step_size=2000)
        >>> budget.cycles, budget.total_steps
        (17, 68000)
        >>> budget.reason
        '17 cycles of 4000 steps fit into 70000; the last 2000 are left out'
        >>> clrcore.whole_cycles(total_steps=70_000, cycles=4).step_size
        8750
    """
    given = {"total_steps": total_steps, "step_size": step_size, "cycles": cycles}
    known = {name: check_steps(name, value) for name, value in given.items() if value is not None}
    if len(known) != 2:
        message = "give two of total_steps, step_size and cycles, the third follows; got "
        message += ", ".join(known) or "none"
        names = ", ".join(given)
        refuse(ValueError, names, "two of the three", known, message=message)
    total = known.get("total_steps", 0)
    size = known.get("step_size") or total // (2 * known["cycles"])
    number = known.get("cycles") or total // (2 * size)
    used = 2 * size * number
    if total and not used:
        least = 2 * (size or 1) * (number or 1)
        message = f"no whole cycle fits: total_steps={total} is less than {least} steps"
        most = total // 2
        remedy = f"make step_size at most {most}" if size else f"ask for at most {most} cycles"
        advice = remedy if most else "train longer"
        allowed = f"at least {least}"
        refuse(ValueError, "total_steps", allowed, total, message=message, advice=advice)
    cycles_in_words = f"{number} cycle{'s' * (number > 1)} of {2 * size} steps"
    if not total:
        return Budget(used, size, number, f"{cycles_in_words} are {used} steps")
    left = f"; the last {total - used} are left out" if total > used else " exactly"
    if "step_size" not in known:
        left = f" with step_size={size}" + left
    fit = "fits" if number == 1 else "fit"
    return Budget(used, size, number, f"{cycles_in_words} {fit} into {total}{left}")


def step_size_from_epochs(steps_per_epoch: float, epochs: float = 4.0) -> int:
    """Half a cycle in steps, from its length in epochs (paper, section 3.2).

    Args:
        steps_per_epoch: Optimizer updates in an epoch, > 0. With accumulation, count updates, not
            micro-batches.
        epochs: Epochs in half a cycle, > 0. The paper found 2 to 10 good.

    Returns:
        The nearest number of steps, at least 1.

    Raises:
        TypeError: An argument is not a number.
        ValueError: An argument is out of range.

    Example:
        >>> import clrcore
        >>> clrcore.step_size_from_epochs(500)
        2000
    """
    length = check_float("steps_per_epoch", steps_per_epoch, 0.0, above=True)
    steps = length * check_float("epochs", epochs, 0.0, above=True)
    if steps > LARGEST_COUNT:
        refuse(ValueError, "steps_per_epoch * epochs", f"at most {LARGEST_COUNT}", steps)
    return max(1, round(steps))
