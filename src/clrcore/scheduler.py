"""A counter that walks along a policy, and its checkpoint."""

from __future__ import annotations

from typing import Any

from .arguments import check_int, check_state, refuse, shown
from .policy import Policy, check_policy

VERSION = 1
# Python prints integers of up to 4300 digits, which is 14,284 bits; a state must go into JSON.
LONGEST_COUNT = 14_000


class Scheduler:
    """Counts updates and gives the rate of the next update.

    Args:
        policy: Any policy of clrcore.
        start: Completed updates, an integer >= 0, below 2^14,000.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: `start` is out of range.

    Example:
        >>> import clrcore
        >>> scheduler = clrcore.Scheduler(clrcore.triangular(0.0, 1.0, step_size=2))
        >>> for batch in range(5):
        ...     rate, completed = scheduler.lr, scheduler.step()
        ...     print(rate, completed)
        0.0 None
        0.5 None
        1.0 None
        0.5 0
        0.0 None
    """

    def __init__(self, policy: Policy, start: int = 0) -> None:
        self._policy = check_policy("policy", policy)
        self._step_count = _check_count("start", start)

    @property
    def policy(self) -> Policy:
        """The policy."""
        return self._policy

    @property
    def step_count(self) -> int:
        """Number of completed updates."""
        return self._step_count

    @property
    def lr(self) -> float:
        """The rate of the next update."""
        return self._policy(self._step_count)

    def step(self) -> int | None:
        """Count one update.

        Returns:
            The number of the cycle that this update completed, None if it completed none.
        """
        self._step_count += 1
        return self._policy.completes(self._step_count)

    def jump(self, step: int) -> None:
        """Go to the state after `step` updates at once.

        Args:
            step: An integer >= 0, below 2^14,000.

        Raises:
            TypeError: `step` is not an integer.
            ValueError: `step` is out of range.
        """
        self._step_count = _check_count("step", step)

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state as plain data: `version` and `step_count`."""
        return {"version": VERSION, "step_count": self._step_count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; a refused state changes nothing.

        Args:
            state: Plain data with the keys of `state_dict`.

        Raises:
            TypeError: `state` is not a dictionary, or its count is not an integer.
            ValueError: The version differs, keys are missing or unknown, or the count is out of
                range.
        """
        check_state("state", state, VERSION, ["step_count"])
        self._step_count = _check_count("state['step_count']", state["step_count"])

    def __repr__(self) -> str:
        return f"Scheduler({self._policy!r}, start={shown(self._step_count)})"


def _check_count(name: str, value: object) -> int:
    """The value as a count of updates that plain data can hold."""
    count = check_int(name, value)
    if count.bit_length() > LONGEST_COUNT:
        refuse(ValueError, name, "an integer >= 0, below 2^14,000", value)
    return count
