"""What the processes of a job agree on: the updates they made, their mean metrics, and failures.

Alone, there is nothing to agree on. In a `torch.distributed` job the processes talk over a group
of their own on the host, apart from the one that averages gradients: a process that failed must
be able to say so while the others are inside the other group's collective.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
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

    def checks(self) -> AbstractContextManager[None]:
        """Where a process refuses its arguments: what it raises ends the others too."""

    def same(self, settings: Mapping[str, object]) -> None:
        """Raise ValueError unless all processes were given the same plain values."""

    def of_first(self, number: float) -> float:
        """What rank 0 has for this number."""

    def settle(
        self, measured: Sequence[Measured], failure: BaseException | None, length: int
    ) -> tuple[list[Point], BaseException | None]:
        """The points of the updates that all have made, and this process's reason to end.

        length: the most points that there may be.
        """


class Alone:
    """One process: its own points, its own failures."""

    rank = 0
    leads = True

    def checks(self) -> AbstractContextManager[None]:
        """Nobody else is waiting."""
        return nullcontext()

    def same(self, settings: Mapping[str, object]) -> None:
        """Nobody disagrees."""

    def of_first(self, number: float) -> float:
        """The number itself."""
        return number

    def settle(
        self, measured: Sequence[Measured], failure: BaseException | None, length: int
    ) -> tuple[list[Point], BaseException | None]:
        """The points as they are."""
        return _fetched(measured, failure)


class Together:
    """The processes of a job. Every call waits for all of them."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self.rank = distributed.get_rank()
        self._size = distributed.get_world_size()
        self.leads = self.rank == 0

    @contextmanager
    def checks(self) -> Iterator[None]:
        """Raise RuntimeError on those that refused nothing themselves."""
        failure: BaseException | None = None
        try:
            yield
        except BaseException as error:
            failure = error
        _, failure = self.settle([], failure, 0)
        if failure is not None:
            raise failure

    def same(self, settings: Mapping[str, object]) -> None:
        """Raise ValueError on all of them unless all were given the same plain values."""
        everybodys: list[Any] = [None] * self._size
        distributed.all_gather_object(everybodys, dict(settings), group=self._group)
        for name, value in settings.items():
            if any(one.get(name) != everybodys[0].get(name) for one in everybodys):
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
        self, measured: Sequence[Measured], failure: BaseException | None, length: int
    ) -> tuple[list[Point], BaseException | None]:
        """The mean points of the updates that all have made, and whoever's failure."""
        points, failure = _fetched(measured, failure)
        word = torch.tensor([-1 if failure is None else self.rank, -len(points)])
        try:
            distributed.all_reduce(word, distributed.ReduceOp.MAX, group=self._group)
        except RuntimeError as unheard:  # the others are gone, or wait elsewhere until the timeout
            raise failure or unheard from None
        culprit, count = int(word[0]), -int(word[1])
        agreed = self._means(points[:count], length)
        if failure is None and culprit >= 0:
            failure = RuntimeError(
                f"the range test ended because rank {culprit} failed; its own error says why"
            )
        return agreed, failure

    def _means(self, points: Sequence[Point], length: int) -> list[Point]:
        table = torch.zeros(length, 3, dtype=torch.float64)
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
def agreement() -> Iterator[Agreement]:
    """Whoever takes part: the processes of the job, or this one alone."""
    if ranks() == 1:
        yield Alone()
    else:
        group = distributed.new_group(backend="gloo", timeout=_timeout())
        try:
            yield Together(group)
        finally:
            distributed.destroy_process_group(group)


def _timeout() -> Any:
    """The default group's, as the job was started with; None, for PyTorch's, if it is not told."""
    world: Any = distributed.group.WORLD
    with suppress(AttributeError, IndexError, RuntimeError):
        return world._get_backend(world._device_types[0]).options._timeout
    return None


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
