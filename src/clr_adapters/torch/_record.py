"""Fill a test with the updates of a run, block by block."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import clrcore

from ._agreement import Outcome, Ranks, StoppedElsewhere
from ._measures import Measured
from ._progress import advance, progress_bar
from ._run import NoMoreUpdates, Run, started
from ._training import Training

Test: TypeAlias = clrcore.RangeTest | clrcore.Trial


def record_all(
    runs: clrcore.SeededRangeTests, training: Training, ranks: Ranks, progress: bool
) -> None:
    """Make the updates of all runs, each from the present state; the first rank shows a bar."""
    with progress_bar(runs, show=progress and ranks.rank == 0) as bar:
        for test in runs:
            is_trial = isinstance(test, clrcore.Trial)
            with started(training, runs.seed, ranks, is_trial=is_trial) as run:
                _record(test, run, partial(advance, bar, runs.stage))


def _record(test: Test, run: Run, show: Callable[..., None]) -> None:
    """Make the test's updates until it or the data end."""
    outcome = Outcome([])
    try:
        while rates := test.next_rates(run.block_size):
            outcome = run.ranks.combine(_make_block(test, run, rates))
            losses = [loss for loss, _ in outcome.points]
            count = test.record_block(losses, [accuracy for _, accuracy in outcome.points])
            show(count, rates[max(0, count - 1)], test.smoothed_loss)
            # What fails after the end of the test, before it was seen, fails because of that end.
            over = test.reason is not None and isinstance(outcome.failure, Exception)
            if outcome.failure is not None and not over:
                raise outcome.failure
            if outcome.cause is not None:
                test.end_early(outcome.cause)
    finally:
        del outcome  # its failure would keep itself alive through its traceback


def _make_block(test: Test, run: Run, rates: list[float]) -> Outcome:
    """The updates at these rates, as numbers."""
    measured: list[Measured] = []
    cause, failure = None, None
    try:
        try:
            for ahead, lr in enumerate(rates):
                validate = test.validation_due(ahead)
                measured.append(run.interrupts.let_through(run.update, lr, validate=validate))
        except StoppedElsewhere:
            pass
        except NoMoreUpdates as end:
            cause = str(end)
        except BaseException as error:
            failure = error
        try:
            return Outcome(run.measures.read(measured), cause, failure)
        except Exception as error:  # a device reports its failures only now
            return Outcome([], None, failure or error)
    finally:
        del failure  # it would keep itself alive through its traceback
