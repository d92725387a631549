"""What the end of a cycle says: go on, lower the bounds, or stop."""

from __future__ import annotations

import math
from collections import namedtuple

from .arguments import (
    check_choice,
    check_float,
    check_int,
    check_keys,
    check_version,
    float_from_scalar,
    refuse,
)
from .policy import Policy, check_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NamedTuple

    class Verdict(NamedTuple):  # noqa: D101 - its docstring is below
        action: str
        factor: float
        reason: str
else:
    Verdict = namedtuple("Verdict", ["action", "factor", "reason"])
    Verdict.__doc__ = """What to do after a cycle.

action: "continue", "lower" or "stop". factor: what to multiply both bounds by, 1.0 unless
the action is "lower". reason: why, in words.
"""

VERSION = 1
# The paper replaces every step of a stepwise schedule by at least three cycles (section 3.2).
FEWEST_CYCLES = 3


class CycleMonitor:
    """Judges a run at the ends of its cycles, where the rate is lowest (paper, section 3.2).

    It lowers the bounds, or stops, when the metric has stopped improving; lowering and
    stopping themselves are the caller's.

    policy: the policy trained with; it must have cycles.
    mode: "max" if a higher metric is better (accuracy), "min" if a lower one is (loss).
    factor: what to lower the bounds by, in (0, 1).
    patience: cycles in a row without improvement before anything is done, >= 1.
    min_delta: what the metric must improve by, in its unit, to count as improved, >= 0.
    min_cycles: cycles between two changes of the bounds, >= 3.
    max_lowerings: how often to lower before stopping, >= 0.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> monitor = clrcore.CycleMonitor(clrcore.triangular(0.001, 0.006, step_size=2000))
    >>> [monitor.update(accuracy).action for accuracy in (0.70, 0.75, 0.77, 0.77)]
    ['continue', 'continue', 'continue', 'lower']
    """

    def __init__(
        self,
        policy: Policy,
        mode: str = "max",
        *,
        factor: float = 0.1,
        patience: int = 1,
        min_delta: float = 0.0,
        min_cycles: int = FEWEST_CYCLES,
        max_lowerings: int = 2,
    ) -> None:
        if not check_policy("policy", policy).has_cycles:
            refuse(ValueError, "policy", "one with cycles, such as triangular", policy)
        total = policy.total_steps
        self._last = None if total is None else len(policy.cycle_ends(total))
        self._mode = check_choice("mode", mode, ("max", "min"))
        self._factor = check_float("factor", factor, 0.0, 1.0, above=True, below=True)
        self._patience = check_int("patience", patience, 1)
        self._min_delta = check_float("min_delta", min_delta, 0.0)
        self._min_cycles = check_int("min_cycles", min_cycles, FEWEST_CYCLES)
        self._max_lowerings = check_int("max_lowerings", max_lowerings)
        self._cycles = 0
        self._cycles_at_bounds = 0
        self._stale = 0
        self._lowerings = 0
        self._best: float | None = None

    def update(self, metric: Any) -> Verdict:
        """The verdict on a cycle that was just completed.

        metric: the metric at its end, best on held-out data; a number, or an array or tensor
            of no dimension. NaN and infinity say stop.
        Raises TypeError for what is not a number.
        """
        value = float_from_scalar("metric", metric)
        self._cycles += 1
        self._cycles_at_bounds += 1
        if not math.isfinite(value):
            return Verdict("stop", 1.0, f"{self._ordinal()}: the metric is {value}")
        if self._improved(value):
            self._best = value
            self._stale = 0
        else:
            self._stale += 1
        if self._last is not None and self._cycles >= self._last:
            return Verdict("stop", 1.0, f"{self._ordinal()}: the policy has no more")
        if self._stale < self._patience:
            return Verdict("continue", 1.0, f"{self._ordinal()}: {self._told(value)}")
        if self._cycles_at_bounds < self._min_cycles:
            reason = (
                f"{self._ordinal()}: {self._told(value)}, but the bounds stay for at least "
                f"{self._min_cycles} cycles"
            )
            return Verdict("continue", 1.0, reason)
        if self._lowerings == self._max_lowerings:
            reason = (
                f"{self._ordinal()}: {self._told(value)}, and the bounds were lowered "
                f"{self._lowerings} times already"
            )
            return Verdict("stop", 1.0, reason)
        reason = f"{self._ordinal()}: {self._told(value)}; multiply both bounds by {self._factor:g}"
        self._lowerings += 1
        self._cycles_at_bounds = 0
        self._stale = 0
        return Verdict("lower", self._factor, reason)

    def state_dict(self) -> dict[str, Any]:
        """What was seen so far, as plain data of its own."""
        return {
            "version": VERSION,
            "mode": self._mode,
            "cycles": self._cycles,
            "cycles_at_bounds": self._cycles_at_bounds,
            "stale": self._stale,
            "lowerings": self._lowerings,
            "best": self._best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; a refused one changes nothing.

        Raises TypeError or ValueError for another version, missing or unknown keys and
        impossible values.
        """
        check_keys("state", state, self.state_dict())
        check_version("state", state["version"], VERSION)
        if state["mode"] != self._mode:
            refuse(ValueError, "state['mode']", repr(self._mode), state["mode"])
        best = (
            state["best"] if state["best"] is None else check_float("state['best']", state["best"])
        )
        cycles = check_int("state['cycles']", state["cycles"])
        at_bounds = check_int("state['cycles_at_bounds']", state["cycles_at_bounds"], 0, cycles)
        stale = check_int("state['stale']", state["stale"], 0, cycles)
        # Every lowering took at least that many cycles.
        most = min(self._max_lowerings, (cycles - at_bounds) // FEWEST_CYCLES)
        lowerings = check_int("state['lowerings']", state["lowerings"], 0, most)
        self._best, self._cycles, self._cycles_at_bounds = best, cycles, at_bounds
        self._stale, self._lowerings = stale, lowerings

    def __repr__(self) -> str:
        return f"CycleMonitor {self._ordinal()}, best metric {self._best}"

    def _improved(self, value: float) -> bool:
        if self._best is None:
            return True
        gain = value - self._best if self._mode == "max" else self._best - value
        return gain > self._min_delta

    def _ordinal(self) -> str:
        return f"after {self._cycles} cycle{'s' * (self._cycles > 1)}"

    def _told(self, value: float) -> str:
        if self._stale == 0:
            return f"{value:g} is the best so far"
        cycles = "1 cycle" if self._stale == 1 else f"{self._stale} cycles"
        return f"{value:g} after {self._best:g}, no improvement for {cycles}"
