"""The range test: hand out rates, take metrics, know when to stop (paper, section 3.3)."""

from __future__ import annotations

import math

from ._plain import from_plain, to_plain
from .arguments import check_bool, check_float, check_keys, check_version, float_from_scalar, refuse
from .policy import Policy, check_policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from .curve import Curve

VERSION = 1


class RangeTest:
    """One sweep of the learning rate through any training loop.

    Iterate over it for the rates, train one batch at each, and record what came out. It ends
    when the sweep is over, when a metric is not finite, or when the loss has diverged.

    sweep: `linear_sweep` or `exponential_sweep`, or another policy with an end.
    steps_per_epoch: updates in an epoch, > 0, if known; a reader of the curve needs it.
    held_out: whether the recorded accuracy is of held-out data, measured after the update;
        None if unknown.
    stop_diverged: whether to end once the smoothed loss is above its start by more than it
        had fallen; NaN and infinity end the test in any case.
    Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> test = clrcore.RangeTest(clrcore.exponential_sweep(1e-3, 10.0, 100))
    >>> weight = 1.0
    >>> for lr in test:
    ...     test.record(loss=weight**2)
    ...     weight -= lr * 2 * weight
    >>> test.reason
    'the loss diverged at lr=9.111627561154911, update 99 of 100'
    """

    def __init__(
        self,
        sweep: Policy,
        *,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
        stop_diverged: bool = True,
    ) -> None:
        if check_policy("sweep", sweep).total_steps is None:
            refuse(ValueError, "sweep", "a policy with an end, such as exponential_sweep", sweep)
        self._sweep = sweep
        self._num_steps: int = sweep.total_steps  # type: ignore[assignment]
        self._steps_per_epoch = (
            None
            if steps_per_epoch is None
            else check_float("steps_per_epoch", steps_per_epoch, 0.0, above=True)
        )
        self._held_out = None if held_out is None else check_bool("held_out", held_out)
        self._stop_diverged = check_bool("stop_diverged", stop_diverged)
        self._start()

    def _start(self) -> None:
        self._points: list[tuple[float | None, float | None]] = []
        self._divergence = Divergence()
        self._handed_out = False
        self._reason: str | None = None

    @property
    def sweep(self) -> Policy:
        """The rates handed out."""
        return self._sweep

    @property
    def total_steps(self) -> int:
        """Updates of the whole sweep."""
        return self._num_steps

    @property
    def step_count(self) -> int:
        """Updates recorded so far."""
        return len(self._points)

    @property
    def reason(self) -> str | None:
        """Why the test ended, in words; None while it goes on."""
        return self._reason

    def __iter__(self) -> Self:
        """Go on with the first rate that nothing was recorded for."""
        self._handed_out = False
        return self

    def __next__(self) -> float:
        """The rate of the next update.

        Raises RuntimeError if nothing was recorded for the last one.
        """
        if self._reason is not None:
            raise StopIteration
        if self._handed_out:
            raise RuntimeError(
                f"nothing was recorded for lr={self._sweep(self.step_count)!r}: call "
                "record(loss=...) or record(accuracy=...) once for every rate"
            )
        self._handed_out = True
        return self._sweep(self.step_count)

    def record(self, *, loss: Any = None, accuracy: Any = None) -> None:
        """Take the metrics of the update made at the last rate handed out.

        loss: of the mini-batch, before the update. accuracy: of the mini-batch, or of
        held-out data after the update; it may be left out for some updates. Numbers, or
        arrays and tensors of no dimension; NaN and infinity are recorded and end the test.
        Raises TypeError for anything else or nothing, RuntimeError without a rate handed out.
        """
        if loss is None and accuracy is None:
            raise TypeError("record() needs loss=..., accuracy=..., or both; got neither")
        point = (
            None if loss is None else float_from_scalar("loss", loss),
            None if accuracy is None else float_from_scalar("accuracy", accuracy),
        )
        if not self._handed_out:
            raise RuntimeError(
                "record() comes once after each rate: take the next rate from the test first"
                if self._reason is None
                else f"the test is over: {self._reason}"
            )
        self._handed_out = False
        self._take(point)

    @property
    def curve(self) -> Curve:
        """What was recorded so far; needs NumPy."""
        from .curve import Curve

        def column(index: int) -> list[float] | None:
            values = [point[index] for point in self._points]
            if values and all(value is None for value in values):
                return None
            return [math.nan if value is None else value for value in values]

        return Curve(
            [self._sweep(step) for step in range(self.step_count)],
            column(0),
            column(1),
            sweep={"linear_sweep": "linear", "exponential_sweep": "exponential"}.get(
                self._sweep.constructor
            ),
            steps_per_epoch=self._steps_per_epoch,
            held_out=self._held_out,
        )

    def state_dict(self) -> dict[str, Any]:
        """The test so far as plain data of its own, valid as JSON."""
        return {
            "version": VERSION,
            "sweep": self._sweep.to_dict(),
            "loss": [to_plain(loss) for loss, _ in self._points],
            "accuracy": [to_plain(accuracy) for _, accuracy in self._points],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; a refused one changes nothing.

        Raises TypeError or ValueError for another version, another sweep, missing or unknown
        keys, and metrics that are not numbers.
        """
        check_keys("state", state, ["version", "sweep", "loss", "accuracy"])
        check_version("state", state["version"], VERSION)
        if state["sweep"] != self._sweep.to_dict():
            raise ValueError(
                f"state is of another sweep, {state['sweep']!r}; make the RangeTest with that "
                f"sweep instead of {self._sweep!r}"
            )
        columns = []
        for name in ("loss", "accuracy"):
            values = state[name]
            if not isinstance(values, list):
                refuse(TypeError, f"state[{name!r}]", "a list", values)
            columns.append([from_plain(f"state[{name!r}][{i}]", x) for i, x in enumerate(values)])
        losses, accuracies = columns
        if len(losses) != len(accuracies) or len(losses) > self._num_steps:
            raise ValueError(
                f"state has {len(losses)} losses and {len(accuracies)} accuracies; it must have "
                f"the same number of both, at most {self._num_steps}"
            )
        for i, point in enumerate(zip(losses, accuracies, strict=True), start=1):
            values = [value for value in point if value is not None]
            if not values:
                raise ValueError(f"state has neither loss nor accuracy for update {i}")
            if i < len(losses) and not all(map(math.isfinite, values)):
                raise ValueError(f"state goes on after update {i}, whose metrics are not finite")
        self._start()
        for point in zip(losses, accuracies, strict=True):
            self._take(point)

    def _take(self, point: tuple[float | None, float | None]) -> None:
        loss, accuracy = point
        lr = self._sweep(self.step_count)
        self._points.append(point)
        where = f"at lr={lr!r}, update {self.step_count} of {self._num_steps}"
        for name, value in (("loss", loss), ("accuracy", accuracy)):
            if value is not None and not math.isfinite(value):
                self._reason = f"the {name} is {value} {where}"
                return
        if loss is not None and self._divergence.update(loss) and self._stop_diverged:
            self._reason = f"the loss diverged {where}"
        elif self.step_count == self._num_steps:
            self._reason = f"the sweep is over: all {self._num_steps} updates were made"

    def __repr__(self) -> str:
        return f"RangeTest({self._sweep!r}) after {self.step_count} updates"


class Divergence:
    """Tells from the losses so far whether the run has diverged.

    The loss and the smoothed loss must stand above the start by more than the fall below it,
    and by more than noise and a tenth of the start explain, for three losses in a row. Where
    the loss starts at or below 0 there is no tenth, and only differences of losses count.
    """

    SMOOTHING = 0.9
    FIRST = 10
    IN_A_ROW = 3
    NOISE = 6.0
    LEAST = 0.1

    def __init__(self) -> None:
        self._count = 0
        self._start = 0.0
        self._smoothed = 0.0
        self._best = 0.0
        self._deviations = 0.0
        self._measured = 0
        self._above = 0

    def update(self, loss: float) -> bool:
        """Take the next loss; whether it shows a divergence."""
        self._count += 1
        # Before the smoothing has its length, the mean of what there is; by differences, as a
        # sum may overflow.
        share = max(1.0 / self._count, 1.0 - self.SMOOTHING)
        deviation = abs(loss - self._smoothed) if self._count > 1 else 0.0
        self._smoothed += share * (loss - self._smoothed)
        if self._count <= self.FIRST:
            self._start = self._best = self._smoothed
        self._best = min(self._best, self._smoothed)
        # Where the loss stands above its start, deviations may be the blow-up itself.
        if self._smoothed <= self._start:
            self._deviations += deviation
            self._measured += 1
        noise = self.NOISE * self._deviations / max(1, self._measured)
        # Both, as one outlier stays in the smoothed loss for a while.
        rise = min(loss, self._smoothed) - self._start
        fall = self._start - self._best
        least = max(noise, self.LEAST * self._start)
        self._above = self._above + 1 if rise > fall + least else 0
        return self._above >= self.IN_A_ROW
