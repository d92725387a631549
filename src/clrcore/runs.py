"""A run in a training loop: it hands out rates and takes the metrics of their updates.

`RangeTest` and `Trial` are runs, so that a driver needs one loop for both.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Self

from .arguments import check_int, check_list, refuse
from .policy import Policy


class Run:
    """The updates of a run, one at a time or in blocks.

    A subclass records the loss of an update and another metric, which it checks in `_point`.

    Args:
        policy: The rates of the updates.
        total_steps: Number of updates.
        noun: What messages call the run.
        other: What messages call the other metric.
    """

    def __init__(self, policy: Policy, total_steps: int, noun: str, other: str) -> None:
        self._policy, self._num_steps = policy, total_steps
        self._noun, self._other = noun, other
        self._clear()

    def _clear(self) -> None:
        self._points: list[tuple[Any, Any]] = []
        self._handed_out = 0
        self._reason: str | None = None

    @property
    def total_steps(self) -> int:
        """Updates of the whole run."""
        return self._num_steps

    @property
    def step_count(self) -> int:
        """Updates recorded so far."""
        return len(self._points)

    @property
    def reason(self) -> str | None:
        """Why the run ended, in words; None before its end."""
        return self._reason

    def __iter__(self) -> Self:
        """Go on with the first rate that nothing was recorded for."""
        self._handed_out = 0
        return self

    def __next__(self) -> float:
        """The rate of the next update.

        Raises:
            RuntimeError: If nothing was recorded for the last rate.
        """
        if self._reason is not None:
            raise StopIteration
        return self.next_rates(1)[0]

    def next_rates(self, count: int) -> list[float]:
        """The rates of the next updates; an empty list once the run is over.

        Args:
            count: Rates wanted, an integer >= 1. Fewer are returned at the end of the run.

        Raises:
            RuntimeError: If nothing was recorded for the previous rates.
        """
        count = check_int("count", count, 1)
        if self._reason is not None:
            return []
        if self._handed_out:
            raise RuntimeError(
                f"nothing was recorded for lr={self._policy(self.step_count)!r}: call "
                "record(loss=...) once for every rate"
            )
        start = self.step_count
        rates = [self._policy(step) for step in range(start, min(start + count, self._num_steps))]
        self._handed_out = len(rates)
        return rates

    def _record(self, point: tuple[Any, Any]) -> None:
        """Take the metrics of the update at the last rate handed out."""
        if self._reason is not None:
            raise RuntimeError(f"the {self._noun} is over: {self._reason}")
        if not self._handed_out:
            raise RuntimeError(
                f"record() comes once after each rate: take the next rate from the {self._noun} "
                "first"
            )
        self._handed_out -= 1
        self._take(point)

    def _record_block(self, name: str, losses: Sequence[Any] | None, others: Any) -> int:
        """Take the metrics of several updates, up to the end of the run; how many were taken.

        Args:
            name: Argument of the other metric.
            losses: A loss per update, or None.
            others: Another metric per update, or None.
        """
        given = {"losses": losses, name: others}
        columns = {
            key: check_list(key, column, "a list of numbers")
            for key, column in given.items()
            if column is not None
        }
        lengths = {len(column) for column in columns.values()}
        if len(lengths) != 1 or max(lengths) > self._handed_out:
            allowed = f"of the same length as {name}, at most {self._handed_out}, the number of "
            allowed += "rates handed out"
            refuse(ValueError, "losses", allowed, sorted(lengths))
        size = lengths.pop()
        pairs = zip(*(columns.get(key, [None] * size) for key in given), strict=True)
        points = [self._point(*pair) for pair in pairs]
        self._handed_out = 0
        before = self.step_count
        for point in points:
            if self._reason is None:
                self._take(point)
        return self.step_count - before

    def end_early(self, cause: str) -> None:
        """End the run before its last update, because the data have ended.

        A range test warns with the number of updates recorded and planned.

        Args:
            cause: Why there is no further update, in words.

        Raises:
            ValueError: Where no update was recorded.
        """
        if self._reason is not None:
            return
        if not self._points:
            raise ValueError(f"the {self._noun} ended before its first update: {cause}")
        made = f"{self.step_count} of {self._num_steps}"
        self._reason = f"the {self._noun} ended after {made} updates: {cause}"
        if self._warns:
            warnings.warn(self._reason, UserWarning, stacklevel=3)

    _warns = False

    def _point(self, loss: Any, other: Any) -> tuple[Any, Any]:
        """The checked metrics of an update."""
        raise NotImplementedError

    def _take(self, point: tuple[Any, Any]) -> None:
        """Take checked metrics, and end the run where they do."""
        lr = self._policy(self.step_count)
        self._points.append(point)
        where = f"at lr={lr!r}, update {self.step_count} of {self._num_steps}"
        for name, value in zip(("loss", self._other), point, strict=True):
            if value is not None and not math.isfinite(value):
                self._reason = f"the {name} is {value} {where}"
                return
        if self._has_diverged(point[0]):
            self._reason = f"the loss diverged {where}"
        elif self.step_count == self._num_steps:
            self._reason = f"all {self._num_steps} updates were made"

    def _has_diverged(self, loss: Any) -> bool:
        """Whether the next loss ends the run."""
        return False
