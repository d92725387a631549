"""A run: trains an arm with a seed, logs it, and resumes where it was killed."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from clr_adapters.torch import PolicyLR

from . import files
from .plans import Arm, Plan
from .ranks import Ranks

AtCycleEnd = Callable[[int, nn.Module], None]
DESCRIBED = "run.json"


class Batches(NamedTuple):
    """Batches for tests of the rate, which see no test images.

    Attributes:
        train: Batches that can be iterated over again.
        held_out: Batches of other training images.
        steps_per_epoch: Updates in an epoch of the training batches.
    """

    train: Iterable[Any]
    held_out: Iterable[Any]
    steps_per_epoch: int


class Task(ABC):
    """What an example trains: networks on its data.

    Attributes:
        plan: The plan.
        device: Where it trains.
        ranks: The processes that train together.
    """

    plan: Plan
    device: torch.device
    ranks: Ranks

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What determines a log, beside plan and arm: the data above all."""

    @abstractmethod
    def network(self) -> nn.Module:
        """A new network on the device."""

    @abstractmethod
    def batches(self, seed: int, first: int, stop: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels of the updates first <= t < stop; they depend on seed and t alone."""

    @abstractmethod
    def tuning(self, seed: int, updates: int) -> Batches:
        """Batches for this number of updates or more, in an order of the seed."""

    @abstractmethod
    def accuracy(self, net: nn.Module) -> float:
        """The fraction of test images that the network classifies correctly."""

    def autocast(self) -> AbstractContextManager[Any]:
        """The context of a forward pass."""
        return nullcontext()


@dataclass(frozen=True)
class Cadence:
    """Updates between rows of the log, between evaluations, and between checkpoints."""

    log: int = 100
    evaluate: int = 500
    checkpoint: int = 1000


@dataclass(frozen=True)
class Job:
    """An arm of a plan with a seed.

    Attributes:
        out: Folder of all runs.
        note: How the run differs from the plan's, if it does.
    """

    out: Path
    plan: Plan
    arm: Arm
    seed: int
    cadence: Cadence
    note: str | None = None

    @property
    def folder(self) -> Path:
        """The run's own folder."""
        return self.out / f"{self.plan.name}-{self.arm.name}-seed{self.seed}"

    @property
    def log(self) -> Path:
        """Its log, as CSV."""
        return self.folder / "log.csv"

    @property
    def checkpoint(self) -> Path:
        """Weights, optimizer and counters of the last checkpoint; a finished run has one too."""
        return self.folder / "checkpoint.pt"

    @property
    def evaluations(self) -> set[int]:
        """Numbers of updates after which the test accuracy is measured, the last included."""
        total = self.arm.total_steps
        every = range(self.cadence.evaluate, total, self.cadence.evaluate)
        extra = (step for step in self.arm.evaluations if step < total)
        return {*every, *extra, *self.arm.policy.cycle_ends(total), total}

    def settings(self, task: Task) -> dict[str, Any]:
        """Everything that determines the log, except the machine."""
        return {
            "plan": self.plan.name,
            "arm": self.arm.name,
            "policy": self.arm.policy.to_dict(),
            "total_steps": self.arm.total_steps,
            "optimizer": self.arm.optimizer,
            "batch": self.plan.batch,
            "seed": self.seed,
            **task.settings(),
            "processes": task.ranks.size,
            "log_every": self.cadence.log,
            "evaluate_every": self.cadence.evaluate,
            "note": self.note,
        }


def check(job: Job, task: Task) -> None:
    """Raise RunError if the job's folder holds a run of other settings; nothing is written."""
    described = job.folder / DESCRIBED
    if described.exists():
        files.check_settings(described, job.settings(task))


def train(job: Job, task: Task, at_cycle_end: AtCycleEnd | None = None) -> nn.Module:
    """Train to the end, from the beginning or from the last checkpoint.

    A loss that is no longer finite ends the run at the next row of the log. Where several
    processes train together, all call this, and process 0 writes the files.

    Args:
        job: The run.
        task: Its network and its data.
        at_cycle_end: Called with the number of a completed cycle and the network. A resumed run
            may call it again for the same cycle, with the same network.

    Returns:
        The trained network.

    Raises:
        RunError: The folder belongs to another run.
        DataError: The data cannot be read.
    """
    check(job, task)
    if task.ranks.rank == 0:
        job.folder.mkdir(parents=True, exist_ok=True)
        described = job.folder / DESCRIBED
        if not described.exists():
            files.save_json(described, job.settings(task))
    run = _Run(job, task)
    try:
        run.go(at_cycle_end)
    finally:
        run.close()
    return run.net


class _Run:
    """A training between two updates: the content of a checkpoint."""

    def __init__(self, job: Job, task: Task) -> None:
        self.job, self.task = job, task
        torch.manual_seed(job.seed)  # the same first weights for every arm
        self.net = task.network().train()
        self.optimizer = job.plan.optimizers[job.arm.optimizer](self.net)
        # Groups keep the ratio of their rates, which are multipliers before the first update.
        self.scheduler = PolicyLR(self.optimizer, job.arm.policy, proportional=True)
        self.step, self.over, self.seconds = 0, False, 0.0
        # The sum since the last row of the log in this process's place, with zeros in the places
        # of the others; on the device, so that the loop does not wait for it.
        self.losses = torch.zeros(task.ranks.size, dtype=torch.float64, device=task.device)
        self.count = 0
        size = self.restore() if job.checkpoint.exists() else 0
        self.model = task.ranks.joined(self.net)
        self.batches = task.batches(job.seed, self.step, job.arm.total_steps)
        writes = task.ranks.rank == 0
        self.log = files.Log(job.log, size, job.note) if writes else None
        self.bar = tqdm(
            desc=f"{job.arm.name}, seed {job.seed}",
            total=job.arm.total_steps * job.plan.batch,
            initial=self.step * job.plan.batch,
            unit=" images",
            unit_scale=True,
            disable=None if writes else True,  # None: shown in a terminal only
        )

    def restore(self) -> int:
        """Restore the checkpoint; returns the size of the log at that time."""
        state = files.load(self.job.checkpoint)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step, self.over, self.seconds = state["step"], state["over"], state["seconds"]
        rank, self.count = self.task.ranks.rank, state["count"]
        self.losses[rank] = state["losses"][rank]
        return int(state["log_size"])

    def save(self) -> None:
        """Write the log to the disk, then a checkpoint."""
        losses = self.task.ranks.total(self.losses.clone())
        if self.log is None:
            return
        state = {
            "log_size": self.log.saved(),
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "step": self.step,
            "over": self.over,
            "seconds": self.seconds,
            "losses": losses,
            "count": self.count,
        }
        files.save(self.job.checkpoint, state)

    def close(self) -> None:
        """Close the log and the progress bar."""
        self.bar.close()
        if self.log is not None:
            self.log.close()

    def go(self, at_cycle_end: AtCycleEnd | None) -> None:
        """Make the remaining updates."""
        arm, every, evaluations = self.job.arm, self.job.cadence, self.job.evaluations
        started = time.perf_counter() - self.seconds
        while not self.over:
            lr = self.update()
            completed = arm.policy.completes(self.step)
            if completed is not None and at_cycle_end is not None:
                at_cycle_end(completed, self.net)
            due = self.step in evaluations
            if due or self.step % every.log == 0:
                loss = self.mean_loss()
                self.over = self.step >= arm.total_steps or not math.isfinite(loss)
                right = self.accuracy() if due or self.over else None
                self.seconds = time.perf_counter() - started
                self.write(files.Row(self.step, lr, loss, right, self.seconds))
            if self.over or self.step % every.checkpoint == 0:
                self.seconds = time.perf_counter() - started
                self.save()

    def update(self) -> float:
        """Make one update; returns its rate."""
        lr = float(self.optimizer.param_groups[0]["lr"])
        inputs, labels = next(self.batches)
        draw(self.job.seed, self.step, self.task.ranks.rank)
        self.optimizer.zero_grad()
        with self.task.autocast():
            loss = self.job.plan.loss(self.model(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.scheduler.step()
        self.losses[self.task.ranks.rank] += loss.detach()
        self.count += 1
        self.step += 1
        self.bar.update(self.job.plan.batch)
        return lr

    def mean_loss(self) -> float:
        """The mean loss since the last row of the log, over all processes."""
        total = float(self.task.ranks.total(self.losses).sum())
        mean = total / (self.count * self.task.ranks.size)
        self.losses, self.count = torch.zeros_like(self.losses), 0
        return mean

    def accuracy(self) -> float:
        """The test accuracy of the network that a checkpoint holds."""
        self.task.ranks.share_statistics(self.net)
        return self.task.accuracy(self.net)

    def write(self, row: files.Row) -> None:
        """Write a row of the log, and show it."""
        if self.log is not None:
            self.log.write(row)
            self.bar.set_postfix(step=row.step, lr=f"{row.lr:.2e}", loss=f"{row.loss:.4g}")


def draw(seed: int, step: int, rank: int) -> None:
    """Seed torch for an update, for networks that are random in training."""
    torch.manual_seed(int(np.random.SeedSequence((seed, step, rank)).generate_state(1)[0]))
