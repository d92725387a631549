"""The judgement at the end of a cycle: continue, lower the bounds, or stop."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .arguments import (
    check_choice,
    check_float,
    check_int,
    check_optional,
    check_state,
    check_steps,
    float_from_scalar,
    is_same,
    refuse,
)
from .policy import Policy, check_policy

VERSION = 1
# The paper replaces every step of a stepwise schedule by at least three cycles (section 3.2).
FEWEST_CYCLES = 3


class Verdict(NamedTuple):
    """What to do after a cycle.

    Attributes:
        action: "continue", "lower" or "stop".
        factor: Factor of both bounds, 1.0 unless the action is "lower".
        reason: The reason in words.
    """

    action: str
    factor: float
    reason: str


class CycleMonitor:
    """Judges a run at the ends of its cycles, where the rate is lowest (paper, section 3.2).

    Where the metric has stopped improving, the verdict is to lower the bounds, or to stop. The
    caller acts on it: `policy.lowered(verdict.factor)` is the lowered policy.

    Args:
        policy: The policy of the run; it must have cycles.
        mode: "max" if a higher metric is better (accuracy), "min" if a lower metric is (loss).
        factor: Factor of the bounds in a verdict "lower", in (0, 1).
        patience: Cycles in a row without improvement before the bounds are lowered, >= 1.
        min_delta: Least improvement that counts, in the metric's unit, >= 0.
        min_cycles: Least number of cycles between two changes of the bounds, >= 3.
        max_lowerings: Number of lowerings before a verdict "stop", >= 0.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of range.

    Example:
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
        self._policy = policy
        total = policy.total_steps
        self._last = None if total is None else policy._cycles.count(total)
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

    @property
    def policy(self) -> Policy:
        """The policy of the constructor; lowered bounds do not change it."""
        return self._policy

    @property
    def mode(self) -> str:
        """Whether a higher or a lower metric is better: "max" or "min"."""
        return self._mode

    def update(self, metric: Any) -> Verdict:
        """The verdict on a cycle that was just completed.

        Args:
            metric: The metric at the cycle's end, best on held-out data: a number, or an array or
                tensor of no dimension. NaN and infinity give the verdict "stop".

        Raises:
            TypeError: `metric` is not a number.
        """
        value = float_from_scalar("metric", metric)
        self._cycles += 1
        self._cycles_at_bounds += 1
        action, why = self._judge(value)
        factor = 1.0
        if action == "lower":
            factor = self._factor
            self._lowerings += 1
            self._cycles_at_bounds = self._stale = 0
        return Verdict(action, factor, f"{self._ordinal()}: {why}")

    def _judge(self, value: float) -> tuple[str, str]:
        """The action after a cycle that ends with this metric, and the reason."""
        if not math.isfinite(value):
            return "stop", f"the metric is {value}"
        gain = 0.0 if self._best is None else value - self._best
        if self._best is None or (gain if self._mode == "max" else -gain) > self._min_delta:
            self._best, self._stale = value, 0
        else:
            self._stale += 1
        if self._last is not None and self._cycles >= self._last:
            return "stop", "the policy has no more"
        compared = self._comparison(value)
        if self._stale < self._patience:
            return "continue", compared
        if self._cycles_at_bounds < self._min_cycles:
            least = f"the bounds stay for at least {self._min_cycles} cycles"
            return "continue", f"{compared}, but {least}"
        if self._lowerings == self._max_lowerings:
            times = f"the bounds were lowered {self._lowerings} times already"
            return "stop", f"{compared}, and {times}"
        return "lower", f"{compared}; multiply both bounds by {self._factor:g}"

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state as plain data."""
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
        """Go to a state that `state_dict` described; a refused state changes nothing.

        Args:
            state: Plain data with the keys of `state_dict`.

        Raises:
            TypeError: `state` is not a dictionary, or a value has the wrong type.
            ValueError: The version or the mode differs, keys are missing or unknown, or values
                contradict each other.
        """
        check_state("state", state, VERSION, self.state_dict())
        if not is_same(state["mode"], self._mode):
            refuse(ValueError, "state['mode']", repr(self._mode), state["mode"])
        best = check_optional(check_float, "state['best']", state["best"])
        cycles = check_steps("state['cycles']", state["cycles"], 0)
        at_bounds = check_int("state['cycles_at_bounds']", state["cycles_at_bounds"], 0, cycles)
        stale = check_int("state['stale']", state["stale"], 0, cycles)
        # Every lowering took at least that many cycles.
        most = min(self._max_lowerings, (cycles - at_bounds) // FEWEST_CYCLES)
        lowerings = check_int("state['lowerings']", state["lowerings"], 0, most)
        self._best, self._cycles, self._cycles_at_bounds = best, cycles, at_bounds
        self._stale, self._lowerings = stale, lowerings

    def __repr__(self) -> str:
        return f"CycleMonitor {self._ordinal()}, best metric {self._best}"

    def _ordinal(self) -> str:
        """The number of cycles in words."""
        return f"after {self._cycles} cycle{'s' * (self._cycles > 1)}"

    def _comparison(self, value: float) -> str:
        """The metric and the best so far, in words."""
        if self._stale == 0:
            return f"{value:g} is the best so far"
        cycles = "1 cycle" if self._stale == 1 else f"{self._stale} cycles"
        return f"{value:g} after {self._best:g}, no improvement for {cycles}"
