"""What the ranks of a `torch.distributed` job agree on: where to end, mean metrics, failures.

The ranks have a process group of their own on the host, beside the group that averages gradients.
Before a step that may communicate, each rank waits until all are ready for it. So no rank waits in
a collective for a rank that has failed or has no batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import distributed

from clrcore.arguments import refuse

from . import _private

Point: TypeAlias = tuple[float, float | None]
"""The loss of an update, and an accuracy if there is one."""

# What a rank sends to the others before each step, if not 0.
FLAG, STOPPED = 1, 2
# Longest reason that a rank sends to the others, in characters.
LONGEST_REASON = 300


class Outcome(NamedTuple):
    """The result of a block of updates.

    Attributes:
        points: The points of the updates.
        cause: Why there is no further update, such as the end of the data, or None.
        failure: The exception that ended the block, or None.
    """

    points: Sequence[Point]
    cause: str | None = None
    failure: BaseException | None = None


class StoppedElsewhere(Exception):
    """Another rank cannot go on; `combine` returns why."""


class Ranks:
    """The ranks of a job, or a single process, which agrees with itself.

    Every call waits for all ranks.

    Args:
        group: Their process group on the host; None for a single process.
    """

    def __init__(self, group: Any = None) -> None:
        self._group = group
        self.rank = 0 if group is None else distributed.get_rank()
        self.size = 1 if group is None else distributed.get_world_size()
        self._stopped_elsewhere = False

    def wait_for_all(self, flag: bool) -> bool:
        """Wait until every rank is ready; whether any rank has raised its flag.

        Raises:
            StoppedElsewhere: Where another rank cannot go on.
        """
        answer = self._largest(FLAG if flag else 0)
        self._stopped_elsewhere = answer == STOPPED
        if self._stopped_elsewhere:
            raise StoppedElsewhere
        return answer == FLAG

    def combine(self, outcome: Outcome) -> Outcome:
        """The outcome for all ranks: mean points, and why to end if any rank has to."""
        if self._group is None:
            return outcome
        own = outcome.failure
        failure = own and (time.time(), self.rank, f"{type(own).__name__}: {own}"[:LONGEST_REASON])
        try:
            # The others may wait in wait_for_all(). A rank that was stopped there has answered.
            if not self._stopped_elsewhere:
                self._largest(STOPPED if own or outcome.cause else 0)
            self._stopped_elsewhere = False
            reports = self._gather((list(outcome.points), outcome.cause, failure))
        except RuntimeError as error:
            reason = f"another rank of the job has ended or does not answer: {error}"
            if own is None:
                own = RuntimeError(reason)
                own.__cause__ = error
            else:
                own.add_note(reason)
            return Outcome([], None, own)
        columns, causes, failures = zip(*reports, strict=True)
        points = [_mean(row) for row in zip(*columns, strict=False)]
        cause = next((f"on rank {i}, {text}" for i, text in enumerate(causes) if text), None)
        first = min(filter(None, failures), default=None)
        if first is not None:
            reason = f"rank {first[1]} failed: {first[2]}"
            if own is None:
                own = RuntimeError(f"the run ended because {reason}")
            elif first[1] != self.rank:
                own.add_note(f"before that, {reason}")
        return Outcome(points, cause, own)

    def check_same(self, settings: Mapping[str, object]) -> None:
        """Raise ValueError unless all ranks have the same plain values."""
        everybodys = self._gather(dict(settings))
        for name, value in settings.items():
            if any(other.get(name) != everybodys[0].get(name) for other in everybodys):
                allowed = "the same on every rank of the job"
                message = f"{name} must be {allowed}, got {value!r} on rank {self.rank}"
                refuse(ValueError, name, allowed, value, message=message)

    def of_first(self, value: float | None) -> float | None:
        """The value that rank 0 has."""
        return self._gather(value)[0]  # type: ignore[no-any-return]

    def _largest(self, word: int) -> int:
        if self._group is None:
            return word
        largest = torch.tensor(word)
        distributed.all_reduce(largest, distributed.ReduceOp.MAX, group=self._group)
        return int(largest)

    def _gather(self, value: object) -> list[Any]:
        everybodys = [value] * self.size
        if self._group is not None:
            distributed.all_gather_object(everybodys, value, group=self._group)
        return everybodys


def _mean(points: Sequence[Point]) -> Point:
    """The mean over the ranks, the same in every bit on each of them."""
    losses, accuracies = zip(*points, strict=True)
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    mean = sum(known) / len(points) if len(known) == len(points) else None
    return sum(losses) / len(points), mean


@contextmanager
def agreement() -> Iterator[Ranks]:
    """The ranks of the job, or this process alone."""
    together = distributed.is_available() and distributed.is_initialized()
    if not together or distributed.get_world_size() == 1:
        yield Ranks()
        return
    group = distributed.new_group(backend="gloo", timeout=_private.group_timeout())
    try:
        yield Ranks(group)
    finally:
        distributed.destroy_process_group(group)


@contextmanager
def raise_together(ranks: Ranks) -> Iterator[None]:
    """In this block, all ranks raise if any rank does."""
    failure: BaseException | None = None
    try:
        try:
            yield
        except BaseException as error:
            failure = error
        failure = ranks.combine(Outcome([], None, failure)).failure
        if failure is not None:
            raise failure
    finally:
        failure = None  # it would keep itself alive through its traceback
