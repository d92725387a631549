"""What the processes of a job agree on: the updates they made, their mean metrics, and failures.

Alone, there is nothing to agree on. In a `torch.distributed` job the processes talk over a group
of their own on the host, apart from the one that averages gradients: a process that failed must
be able to say so while the others are inside the other group's collective.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

import torch
from torch import distributed

Measured: TypeAlias = tuple[torch.Tensor, torch.Tensor | None]
"""The loss of an update, and an accuracy if there is one: tensors of no dimension."""

Point: TypeAlias = tuple[float, float | None]
"""The same as numbers."""


class Agreement(Protocol):
    """How the points of a block of updates become everybody's."""

    rank: int
    leads: bool

    def same(self, **settings: float) -> None:
        """Raise ValueError unless all processes were given the same numbers."""

    def of_first(self, number: float) -> float:
        """What rank 0 has for this number."""

    def settle(
        self, measured: Sequence[Measured], failure: BaseException | None
    ) -> tuple[list[Point], BaseException | None]:
        """The points of the updates that all have made, and this process's reason to end."""


class Alone:
    """One process: its own points, its own failures."""

    rank = 0
    leads = True

    def same(self, **settings: float) -> None:
        """Nobody disagrees."""

    def of_first(self, number: float) -> float:
        """The number itself."""
        return number

    def settle(
        self, measured: Sequence[Measured], failure: BaseException | None
    ) -> tuple[list[Point], BaseException | None]:
        """The points as they are."""
        return _fetched(measured, failure)


class Together:
    """The processes of a job. Every call waits for all of them.

    length: the most points that are settled at once.
    """

    def __init__(self, group: Any, length: int) -> None:
        self._group, self._length = group, length
        self.rank = distributed.get_rank()
        self._size = distributed.get_world_size()
        self.leads = self.rank == 0

    def same(self, **settings: float) -> None:
        """Raise ValueError on all of them unless all were given the same numbers."""
        own = torch.tensor(list(settings.values()), dtype=torch.float64)
        first = own.clone()
        distributed.broadcast(first, 0, group=self._group)
        differ = [not torch.equal(a, b) for a, b in zip(own, first, strict=True)]
        anywhere = torch.tensor(differ, dtype=torch.int64)
        distributed.all_reduce(anywhere, distributed.ReduceOp.MAX, group=self._group)
        for (name, value), one in zip(settings.items(), anywhere.tolist(), strict=True):
            if one:
                raise ValueError(
                    f"{name} must be the same on every rank of the job, got {value!r} on rank "
                    f"{self.rank}"
                )

    def of_first(self, number: float) -> float:
        """What rank 0 has for this number."""
        first = torch.tensor(number, dtype=torch.float64)
        distributed.broadcast(first, 0, group=self._group)
        return float(first)

    def settle(
        self, measured: Sequence[Measured], failure: BaseException | None
    ) -> tuple[list[Point], BaseException | None]:
        """The mean points of the updates that all have made, and whoever's failure."""
        points, failure = _fetched(measured, failure)
        failed = self.rank if failure is not None else -1
        word = torch.tensor([failed, -len(points)])
        distributed.all_reduce(word, distributed.ReduceOp.MAX, group=self._group)
        culprit, count = int(word[0]), -int(word[1])
        agreed = self._means(points[:count])
        if failure is None and culprit >= 0:
            failure = RuntimeError(
                f"the range test ended because rank {culprit} failed; its own error says why"
            )
        return agreed, failure

    def _means(self, points: Sequence[Point]) -> list[Point]:
        table = torch.zeros(self._length, 3, dtype=torch.float64)
        for row, (loss, accuracy) in zip(table, points, strict=False):
            row[0] = loss
            row[1] = 0.0 if accuracy is None else accuracy
            row[2] = accuracy is not None
        distributed.all_reduce(table, group=self._group)
        table[:, :2] /= self._size
        # Sums may differ in the last bit from rank to rank; a decision must not.
        distributed.broadcast(table, 0, group=self._group)
        return [
            (loss, accuracy if measured == self._size else None)
            for loss, accuracy, measured in table[: len(points)].tolist()
        ]


def ranks() -> int:
    """The number of processes in the job; 1 where there is none."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size()
    return 1


@contextmanager
def agreement(length: int) -> Iterator[Agreement]:
    """Whoever takes part: the processes of the job, or this one alone."""
    if ranks() == 1:
        yield Alone()
    else:
        group = distributed.new_group(backend="gloo")
        try:
            yield Together(group, length)
        finally:
            distributed.destroy_process_group(group)


def _fetched(
    measured: Sequence[Measured], failure: BaseException | None
) -> tuple[list[Point], BaseException | None]:
    try:
        return _numbers(measured), failure
    except Exception as error:  # a device tells only now what failed on it
        return [], failure or error


def _numbers(measured: Sequence[Measured]) -> list[Point]:
    """The points of a block as numbers: the one place that waits for the device."""
    if not measured:
        return []
    losses = torch.stack([loss for loss, _ in measured]).tolist()
    known = [accuracy for _, accuracy in measured if accuracy is not None]
    accuracies = iter(torch.stack(known).tolist() if known else ())
    return [
        (loss, None if accuracy is None else next(accuracies))
        for loss, (_, accuracy) in zip(losses, measured, strict=True)
    ]
