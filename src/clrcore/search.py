"""Range test, suggestion and confirmation in a row, for every driver's `find_bounds`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from .arguments import (
    check_bool,
    check_float,
    check_int,
    check_optional,
    check_seeds,
    check_steps,
    refuse,
)
from .confirmation import FIRST_TRIALS, MOST_RATES, TRIAL_STEPS, Confirmation
from .errors import NoBoundsError
from .policies import exponential_sweep
from .policy import Policy
from .rangetest import DEFAULT_SWEEP, RangeTest
from .trials import Trial

if TYPE_CHECKING:
    from .bounds import Bounds
    from .curve import Curve

# Fewer and longer trials answer better for trainings of so many updates or more.
LONG_TRAINING, LONG_TRIAL_STEPS = 1000, 300
# A planned training of fewer updates than this and than an epoch may be a number of epochs.
FEW_STEPS = 100
# Fewer updates do not show whether a rate trains.
LEAST_STEPS = 10
# The most of the budget that range tests with the default sweep take, and the fewest updates of
# such a sweep: fewer points give no answer.
SWEEP_SHARE, LEAST_SWEEP = 4, 10


class SeededRangeTests:
    """A range test for each seed, one after another, for a driver to run.

    Iterate over it for the tests. Before each put the model and the optimizer back to the same
    start, and seed with `seed` where it is not None.

    Args:
        sweep: As in `RangeTest`.
        seeds: None for a single test without a seed, a number n for the seeds 0..n-1, or a
            sequence of seeds.
        validate_every: As in `RangeTest`.
        steps_per_epoch: As in `RangeTest`.
        held_out: As in `RangeTest`.
        stop: As `stop_diverged` in `RangeTest`.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed.

    Example:
        >>> import clrcore
        >>> sweep = clrcore.exponential_sweep(1e-3, 1e-1, 10)
        >>> tests = clrcore.SeededRangeTests(sweep, seeds=2)
        >>> for test in tests:
        ...     for lr in test:
        ...         test.record(loss=1.0 - lr - 0.01 * tests.seed)
        >>> [float(curve.loss[0]) for curve in tests.curve_or_curves]
        [0.999, 0.989]
    """

    def __init__(
        self,
        sweep: Policy | None = None,
        *,
        seeds: int | Sequence[int] | None = None,
        validate_every: int | None = None,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
        stop: bool = True,
    ) -> None:
        checked = check_seeds("seeds", seeds)
        self._is_single = checked is None
        self._seeds: Sequence[int | None] = [None] if checked is None else checked
        self._tests = [
            RangeTest(
                sweep,
                validate_every=validate_every,
                steps_per_epoch=steps_per_epoch,
                held_out=held_out,
                stop_diverged=check_bool("stop", stop),
            )
            for _ in self._seeds
        ]
        self._begun = 0

    @property
    def most_updates(self) -> int:
        """The most updates that all runs together make."""
        return sum(test.total_steps for test in self._tests)

    @property
    def updates(self) -> int:
        """Updates recorded so far."""
        return sum(test.step_count for test in self._tests)

    @property
    def seed(self) -> int | None:
        """The seed of the current run; None without seeds."""
        return self._seeds[max(self._begun - 1, 0)]

    @property
    def stage(self) -> str:
        """The purpose of the current run in words, for progress displays."""
        return "range test" if self._is_single else f"range test, seed {self.seed}"

    @property
    def tests(self) -> Sequence[RangeTest]:
        """The range tests, for drivers that run them side by side."""
        return self._tests

    @property
    def curves(self) -> list[Curve]:
        """The curves of the range tests. Needs NumPy."""
        return [test.curve for test in self._tests]

    @property
    def curve_or_curves(self) -> Curve | list[Curve]:
        """The curve; with seeds a list with a curve for each. Needs NumPy."""
        return self.curves[0] if self._is_single else self.curves

    def __iter__(self) -> Self:
        """Go on with the next run."""
        return self

    def __next__(self) -> RangeTest | Trial:
        """The next run.

        Raises:
            RuntimeError: If the last run is not over.
        """
        self._check_over()
        if self._begun == len(self._tests):
            raise StopIteration
        self._begun += 1
        return self._tests[self._begun - 1]

    def _check_over(self) -> None:
        if self._begun and self._tests[self._begun - 1].reason is None:
            raise RuntimeError("the range test is not over: iterate over it to its end")


class BoundsSearch(SeededRangeTests):
    """A range test, its suggestion, and the trials that confirm it, for a driver to run.

    Iterate over it for runs: first a `RangeTest` for each seed, then the trials of a
    `Confirmation`. Both have `total_steps`, `reason`, `smoothed_loss`, `next_rates`,
    `record_block` and `end_early`, so that a driver needs one loop for them. Before each run put
    the model and the optimizer back to the same start, and seed with `seed` where it is not None.

    Args:
        default_lr: The optimizer's own rate, > 0: trials start there where the range test gives
            no answer.
        sweep: Rates of the range test; by default the default sweep, shortened where a quarter
            of max_updates does not hold it.
        max_updates: The most updates of all runs together.
        total_steps: Updates of the planned training, if known.
        kind: "constant", or the schedule of the planned training, which the trials rehearse.
        seeds: Seeds of the range test: None, a number n for 0..n-1, or a sequence.
        validate_every: As in `RangeTest`.
        steps_per_epoch: As in `RangeTest`.
        held_out: As in `RangeTest`.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed, such as a max_updates that leaves no trials.

    Example:
        >>> import clrcore
        >>> search = clrcore.BoundsSearch(default_lr=1e-3)
        >>> for run in search:
        ...     weight = 1.0
        ...     for lr in run:
        ...         run.record(loss=weight**2)
        ...         weight -= lr * 2 * weight
        >>> search.updates <= search.most_updates <= 1500
        True
        >>> bounds = search.bounds
    """

    def __init__(
        self,
        default_lr: float,
        *,
        sweep: Policy | None = None,
        max_updates: int = 1500,
        total_steps: int | None = None,
        kind: str = "constant",
        seeds: int | Sequence[int] | None = None,
        validate_every: int | None = None,
        steps_per_epoch: float | None = None,
        held_out: bool | None = None,
    ) -> None:
        self._default_lr = check_float("default_lr", default_lr, 0.0, above=True)
        max_updates = check_int("max_updates", max_updates, 1)
        total_steps = check_optional(check_steps, "total_steps", total_steps)
        number = len(check_seeds("seeds", seeds) or [None])
        if sweep is None:
            low, high, longest = DEFAULT_SWEEP
            share = max_updates // (SWEEP_SHARE * number)
            if share < LEAST_SWEEP:
                allowed = f">= {SWEEP_SHARE * LEAST_SWEEP * number}"
                allowed += f", as {number} seeds make {number} range tests" * (number > 1)
                advice = f"for the seed {seeds} alone pass seeds=[{seeds}]" * (number == seeds)
                refuse(ValueError, "max_updates", allowed, max_updates, advice=advice)
            sweep = exponential_sweep(low, high, min(longest, share))
        super().__init__(
            sweep,
            seeds=seeds,
            validate_every=validate_every,
            steps_per_epoch=steps_per_epoch,
            held_out=held_out,
        )
        _warn_of_epochs(total_steps, steps_per_epoch)
        spent = super().most_updates
        num_steps = trial_steps(total_steps, max_updates - spent)
        if num_steps < LEAST_STEPS:
            least = spent + (len(FIRST_TRIALS) + 1) * LEAST_STEPS
            allowed = f">= {least}, as the range test makes {spent} updates"
            refuse(ValueError, "max_updates", allowed, max_updates)
        self._trials: dict[str, Any] = {
            "num_steps": num_steps,
            "total_steps": total_steps,
            "kind": kind,
            "seeds": None if self._is_single else self._seeds[:1],
            "max_updates": min(max_updates - spent, MOST_RATES * num_steps),
        }
        # Refuses wrong arguments now, not after the range test.
        self._confirmation = Confirmation(self._default_lr, **self._trials)
        self._suggested = False
        self._refusal: NoBoundsError | None = None

    @property
    def most_updates(self) -> int:
        """The most updates that all runs together make."""
        return super().most_updates + self._confirmation.most_updates

    @property
    def updates(self) -> int:
        """Updates recorded so far, without those of a trial that is not over."""
        return super().updates + self._confirmation.updates

    @property
    def seed(self) -> int | None:
        """The seed of the current run; None without seeds."""
        return self._seeds[0] if self._suggested else super().seed

    @property
    def stage(self) -> str:
        """The purpose of the current run in words, for progress displays."""
        if not self._suggested:
            return super().stage
        trial = self._confirmation.current
        return "confirmation" if trial is None else f"trial at lr={trial.lr:.3g}"

    @property
    def confirmation(self) -> Confirmation:
        """The confirmation; its trials are known once the range tests are over."""
        return self._confirmation

    def __next__(self) -> RangeTest | Trial:
        """The next run.

        Raises:
            RuntimeError: If the last run is not over.
        """
        with suppress(StopIteration):
            return super().__next__()
        if not self._suggested:
            self._suggest()
        return next(self._confirmation)

    def _suggest(self) -> None:
        """Read the range tests."""
        from .bounds import suggest_bounds

        try:
            self._confirmation = Confirmation(suggest_bounds(self.curves), **self._trials)
        except NoBoundsError as error:
            self._refusal = error
        self._suggested = True

    @property
    def bounds(self) -> Bounds:
        """The confirmed answer. Needs NumPy.

        Raises:
            RuntimeError: Before the last run is over.
            NoBoundsError: Where neither the range test nor a trial gives an answer.
        """
        if not self._suggested:
            raise RuntimeError("the range test is not over: iterate over the search to its end")
        if self._refusal is None:
            return self._confirmation.bounds
        refused = (
            f"the range test gave no answer, so the trials started from the optimizer's own rate, "
            f"lr={self._default_lr:.3g}: {self._refusal}"
        )
        try:
            bounds = self._confirmation.bounds
        except NoBoundsError as error:
            raise NoBoundsError(f"{error}; {refused}", error.kind) from self._refusal
        fields = {name: getattr(bounds, name) for name in bounds.__slots__}
        return type(bounds)(**fields | {"reasons": [*bounds.reasons, refused]})


def trial_steps(total_steps: int | None, left: int) -> int:
    """The length of a trial for a training of this length, with `left` updates for all trials.

    The updates serve for a trial beyond an edge as well. For a long training a longer trial is
    worth more than that. `python benchmarks/long.py` compares both.
    """
    fewest = len(FIRST_TRIALS)
    if total_steps is not None and total_steps >= LONG_TRAINING and left >= fewest * TRIAL_STEPS:
        return min(LONG_TRIAL_STEPS, left // fewest)
    return min(TRIAL_STEPS, left // (fewest + 1))


def _warn_of_epochs(total_steps: int | None, steps_per_epoch: float | None) -> None:
    """Warn of a planned training that is so short that epochs may be meant."""
    if total_steps is None or steps_per_epoch is None:
        return
    if total_steps < min(steps_per_epoch, FEW_STEPS):
        warnings.warn(
            f"total_steps={total_steps} is less than an epoch of {steps_per_epoch:g} updates; it "
            "counts updates: for epochs pass epochs * steps_per_epoch",
            stacklevel=4,
        )
