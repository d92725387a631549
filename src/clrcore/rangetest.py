"""The range test: hand out rates, take metrics, know when to stop (paper, section 3.3).

Every driver follows the rules written here: the default sweep, when held-out accuracy is due,
blocks of updates, the length of an epoch, divergence, and why a test ended.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ._plain import from_plain, to_plain
from .arguments import (
    check_bool,
    check_float,
    check_int,
    check_optional,
    check_state,
    float_from_scalar,
    hint_at,
    is_same,
    refuse,
    shown,
)
from .policies import exponential_sweep
from .policy import Policy, check_policy
from .runs import Run

Batch = TypeVar("Batch")

if TYPE_CHECKING:
    from .curve import Curve

VERSION = 1
# Seven decades are wide enough for SGD and for Adam; 300 updates are about 40 per decade.
DEFAULT_SWEEP = (1e-6, 10.0, 300)
# What takes the place of arguments of other finders.
SWEEP_HINT = "pass the rates as sweep=clrcore.exponential_sweep(1e-6, 10.0, 300): from, to, updates"
# Evaluations of held-out accuracy in a sweep: enough to see where accuracy rises and falls.
EVALUATIONS = 50


class RangeTest(Run):
    """One sweep of the learning rate through any training loop.

    Iterate over it for the rates, train one batch at each, and record the metrics. The test ends
    when the sweep is over, when a metric is not finite, or when the loss has diverged. Where
    reading a loss is slow, take a block of rates with `next_rates` and record it with
    `record_block`.

    Args:
        sweep: The rates: `linear_sweep`, `exponential_sweep`, or another policy with an end. By
            default 300 updates from 1e-6 to 10, exponentially.
        validate_every: Updates from one evaluation of held-out accuracy to the next, an integer
            >= 1; by default 50 evaluations in the sweep.
        steps_per_epoch: Updates in an epoch, > 0, if known.
        held_out: Whether the recorded accuracy is of held-out data, measured after the update;
            None if unknown.
        stop_diverged: Whether to end once the loss has diverged (`stop` in the adapters). NaN and
            infinity end the test in any case.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, arXiv
    1506.01186, section 3.3.

    Example:
        >>> import clrcore
        >>> test = clrcore.RangeTest(clrcore.exponential_sweep(1e-3, 10.0, 100))
        >>> weight = 1.0
        >>> for lr in test:
        ...     test.record(loss=weight**2)
        ...     weight -= lr * 2 * weight
        >>> test.reason.startswith("the loss diverged at lr=9.11"), test.step_count
        (True, 99)
    """

    # Advice for arguments that users bring from other finders; drivers give it.
    HINTS: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("start_lr", "end_lr", "min_lr", "max_lr"), SWEEP_HINT),
        **dict.fromkeys(("num_iter", "num_training", "num_steps"), SWEEP_HINT),
        "epochs": "a sweep counts updates, not epochs: " + SWEEP_HINT,
        "step_mode": "pass sweep=clrcore.linear_sweep(...) or clrcore.exponential_sweep(...)",
        "diverge_th": "a divergence is found without a threshold; stop=False continues after it "
        "(stop_diverged=False in clrcore.RangeTest)",
        "max_steps": "the updates are those of the sweep, or max_updates of find_bounds",
        "verbose": "pass progress=False or True",
        "smooth_f": "the curve holds raw losses; suggest_bounds smooths them",
    }

    _warns = True

    @hint_at(**HINTS)
    def __init__(
        self,
        sweep: Policy | None = None,
        *,
        validate_every: int | None = None,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
        stop_diverged: bool = True,
    ) -> None:
        sweep = exponential_sweep(*DEFAULT_SWEEP) if sweep is None else sweep
        if check_policy("sweep", sweep, "exponential_sweep(1e-6, 10.0, 300)").total_steps is None:
            refuse(ValueError, "sweep", "a policy with an end, such as exponential_sweep", sweep)
        super().__init__(sweep, sweep.total_steps or 0, "range test", "accuracy")
        self._held_out = check_optional(check_bool, "held_out", held_out)
        self._validate_every = max(1, self._num_steps // EVALUATIONS)
        if validate_every is not None:
            if self._held_out is False:
                refuse(ValueError, "validate_every", "None without held-out data", validate_every)
            allowed = "an integer >= 1, or None for 50 evaluations in the sweep"
            self._validate_every = check_int("validate_every", validate_every, 1, allowed=allowed)
        self._steps_per_epoch = check_optional(
            check_float, "steps_per_epoch", steps_per_epoch, 0.0, above=True
        )
        self._stop_diverged = check_bool("stop_diverged", stop_diverged)

    def _clear(self) -> None:
        super()._clear()
        self._divergence = Divergence()

    @staticmethod
    def epoch_length(data: object, batches_per_update: int = 1) -> float | None:
        """Updates in an epoch of `data`, or None where the data have no length.

        Args:
            data: Batches, such as a list or a loader.
            batches_per_update: Batches that make one update.
        """
        try:
            length = len(data)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError):  # loaders of streams raise either
            return None
        return length / batches_per_update or None

    @staticmethod
    def repeated(
        data: Iterable[Batch], before_pass: Callable[[int], object] | None = None
    ) -> Generator[Batch, None, None]:
        """The batches of `data`, from the first again at every end.

        It ends where the data can be iterated over only once, or have no batch.

        Args:
            data: Batches, such as a list or a loader.
            before_pass: Called with the number of the pass, from 0, before each pass.
        """
        number = 0
        while True:
            if before_pass is not None:
                before_pass(number)
            batches = iter(data)
            empty = True
            for batch in batches:
                empty = False
                yield batch
            if empty or batches is data:
                return
            number += 1

    @staticmethod
    def data_end(name: str) -> str:
        """Why data that cannot be iterated over again end a test, for `end_early`.

        Args:
            name: Argument that the data were given as.
        """
        return f"{name} has no further batch and cannot be iterated over again"

    @staticmethod
    def check_data(name: str, data: object, seeds: Sequence[int] | None) -> None:
        """Refuse an iterator for several seeds, as it serves only the first.

        Args:
            name: Argument that the data were given as.
            data: Batches, such as a list or a loader.
            seeds: The seeds; each iterates over the data again.

        Raises:
            TypeError: For such an iterator.
        """
        if seeds is not None and len(seeds) > 1 and hasattr(data, "__next__"):
            allowed = "data that can be iterated over again for every run, such as a list"
            refuse(TypeError, name, allowed, data)

    @property
    def sweep(self) -> Policy:
        """The policy that the rates come from."""
        return self._policy

    @property
    def smoothed_loss(self) -> float | None:
        """Running mean over about the last ten losses, for progress bars; None before the first.

        It lags behind the loss, so the curve is never read from it.
        """
        return self._divergence.smoothed

    def validation_due(self, ahead: int = 0) -> bool:
        """Whether held-out accuracy is to be evaluated after the next update.

        It is due after every `validate_every` updates and after the last update, and never without
        held-out data.

        Args:
            ahead: Updates since the last recorded update, for drivers that work in blocks.
        """
        if self._held_out is False:
            return False
        number = self.step_count + ahead + 1
        return number % self._validate_every == 0 or number == self._num_steps

    def record(self, *, loss: Any = None, accuracy: Any = None) -> None:
        """Record the metrics of the update at the last rate.

        Args:
            loss: Loss of the mini-batch, before the update.
            accuracy: Accuracy of the mini-batch, or of held-out data after the update. It may be
                left out for some updates. Both are numbers, or arrays and tensors of no
                dimension; NaN and infinity are recorded and end the test.

        Raises:
            TypeError: For anything else, and where both are left out.
            RuntimeError: There is no rate to record for.
        """
        self._record(self._point(loss, accuracy))

    def record_block(
        self, losses: Sequence[Any] | None = None, accuracies: Sequence[Any] | None = None
    ) -> int:
        """Take the metrics of several updates at once, in order, up to the end of the test.

        Updates after the end of the test are left out. Rates of the block without metrics come
        again.

        Args:
            losses: One loss per update, as in `record`.
            accuracies: An accuracy per update, or None for an update without.

        Returns:
            The number of updates recorded.

        Raises:
            TypeError: For a metric that is not a number; then nothing is recorded.
            ValueError: For columns of different lengths, or longer than the block.
        """
        return self._record_block("accuracies", losses, accuracies)

    @property
    def curve(self) -> Curve:
        """The points recorded so far. Needs NumPy."""
        from .curve import Curve

        def column(index: int) -> list[float] | None:
            values = [point[index] for point in self._points]
            if values and all(value is None for value in values):
                return None
            return [math.nan if value is None else value for value in values]

        accuracy = column(1)
        return Curve(
            [self._policy(step) for step in range(self.step_count)],
            column(0),
            accuracy,
            sweep={"linear_sweep": "linear", "exponential_sweep": "exponential"}.get(
                self._policy.constructor
            ),
            steps_per_epoch=self._steps_per_epoch,
            held_out=None if accuracy is None else self._held_out,
        )

    def state_dict(self) -> dict[str, Any]:
        """The test so far as plain data, valid as JSON."""
        return {
            "version": VERSION,
            "sweep": self._policy.to_dict(),
            "loss": to_plain(loss for loss, _ in self._points),
            "accuracy": to_plain(accuracy for _, accuracy in self._points),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a state that `state_dict` described; a refused state changes nothing.

        Raises:
            TypeError: For data of the wrong type.
            ValueError: For another version, another sweep, missing or unknown keys, and metrics
                that no test can have recorded.
        """
        check_state("state", state, VERSION, ["sweep", "loss", "accuracy"])
        if not is_same(state["sweep"], self._policy.to_dict()):
            allowed = f"that of this RangeTest, {shown(self._policy)}"
            advice = "make the RangeTest with the sweep of the state"
            refuse(ValueError, "state['sweep']", allowed, state["sweep"], advice=advice)
        losses = from_plain("state['loss']", state["loss"])
        accuracies = from_plain("state['accuracy']", state["accuracy"])
        if len(losses) != len(accuracies) or len(losses) > self._num_steps:
            allowed = f"as long as state['loss'], at most {self._num_steps}"
            refuse(ValueError, "state['accuracy']", allowed, accuracies)
        points = list(zip(losses, accuracies, strict=True))
        for i, point in enumerate(points):
            values = [value for value in point if value is not None]
            if not values:
                allowed = "a loss or an accuracy for every update"
                refuse(ValueError, f"state['loss'][{i}]", allowed, None)
            if i + 1 < len(points) and not all(map(math.isfinite, values)):
                allowed = "finite, as further updates follow"
                refuse(ValueError, f"state, update {i},", allowed, point)
        self._clear()
        for point in points:
            self._take(point)

    def _point(self, loss: Any, accuracy: Any) -> tuple[float | None, float | None]:
        if loss is None and accuracy is None:
            message = "record() needs loss=..., accuracy=..., or both; got neither"
            refuse(TypeError, "loss", "given where accuracy is not", None, message=message)
        return (
            check_optional(float_from_scalar, "loss", loss),
            check_optional(float_from_scalar, "accuracy", accuracy),
        )

    def _has_diverged(self, loss: float | None) -> bool:
        diverged = loss is not None and self._divergence.update(loss)
        return diverged and self._stop_diverged

    def __repr__(self) -> str:
        return f"RangeTest({self._policy!r}) after {self.step_count} updates"


class Divergence:
    """Decides from the losses so far whether the run has diverged.

    It has diverged if for three losses in a row both the loss and the smoothed loss exceed the
    start by more than the fall so far plus a margin: six times the mean deviation from the
    smoothed loss, or a tenth of the start, whichever is larger. If the loss starts at or below 0,
    the tenth does not count.
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

    @property
    def smoothed(self) -> float | None:
        """The smoothed loss; None before the first."""
        return self._smoothed if self._count else None

    def update(self, loss: float) -> bool:
        """Take the next loss; whether the run has diverged."""
        self._count += 1
        # Before the smoothing has its length, the mean of all losses; by differences, as a
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
