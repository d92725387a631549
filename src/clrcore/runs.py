"""A run in a training loop: it hands out rates and takes the metrics of their updates.

`RangeTest` and `Trial` are runs, so that a driver needs one loop for both.
"""

from __future__ import annotations

from .arguments import check_int, check_list, refuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from .policy import Policy


class Run:
    """The updates of a run, one at a time or in blocks.

    A subclass checks the metrics of an update in `_point`, and takes them in `_take`, which sets
    `_reason` where they end the run.

    Args:
        policy: The rates of the updates.
        total_steps: Number of updates.
        noun: What messages call the run.
        how: How an update is recorded, for messages.
    """

    def __init__(self, policy: Policy, total_steps: int, noun: str, how: str) -> None:
        self._policy, self._num_steps = policy, total_steps
        self._noun, self._how = noun, how
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
                f"{self._how} once for every rate"
            )
        start = self.step_count
        rates = [self._policy(step) for step in range(start, min(start + count, self._num_steps))]
        self._handed_out = len(rates)
        return rates

    def _record(self, point: tuple[Any, Any]) -> None:
        """Take the metrics of the update at the last rate handed out."""
        if not self._handed_out:
            raise RuntimeError(
                f"record() comes once after each rate: take the next rate from the {self._noun} "
                "first"
                if self._reason is None
                else f"the {self._noun} is over: {self._reason}"
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
        none = [None] * size
        pairs = zip(*(columns.get(key, none) for key in given), strict=True)
        points = [self._point(*pair) for pair in pairs]
        self._handed_out = 0
        before = self.step_count
        for point in points:
            if self._reason is not None:
                break
            self._take(point)
        return self.step_count - before

    def _point(self, loss: Any, other: Any) -> tuple[Any, Any]:
        """The checked metrics of an update."""
        raise NotImplementedError

    def _take(self, point: tuple[Any, Any]) -> None:
        """Take checked metrics, and end the run where they do."""
        raise NotImplementedError
