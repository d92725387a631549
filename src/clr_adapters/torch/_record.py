"""Fill a test with the updates of a run, block by block."""

from __future__ import annotations

from typing import Any, TypeAlias

import clrcore

from ._agreement import Outcome, StoppedElsewhere
from ._measures import Measured
from ._progress import advance
from ._run import NoMoreUpdates, Run

Test: TypeAlias = clrcore.RangeTest | clrcore.Trial


def record(test: Test, run: Run, bar: Any) -> None:
    """Make the test's updates until it or the data end.

    Args:
        test: Hands out the rates.
        run: Makes the updates.
        bar: Progress bar, or None.
    """
    outcome = Outcome([])
    try:
        while rates := test.next_rates(run.block_size):
            outcome = run.ranks.combine(_make_block(test, run, rates))
            losses = [loss for loss, _ in outcome.points]
            count = test.record_block(losses, [accuracy for _, accuracy in outcome.points])
            advance(bar, count, rates[max(0, count - 1)], test.smoothed_loss)
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
