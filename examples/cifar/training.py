"""A run: trains an arm with a seed, logs it, and resumes where it was killed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from clr_adapters.torch import PolicyLR

from . import files
from .data import Cifar
from .images import Batches, Images, Pixels, accuracy, draw, probabilities
from .plans import Arm, Plan

AtCycleEnd = Callable[[int, nn.Module], None]
DESCRIBED = "run.json"


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

    def settings(self, data: Cifar) -> dict[str, Any]:
        """Everything that determines the log, except the machine."""
        return {
            "plan": self.plan.name,
            "arm": self.arm.name,
            "policy": self.arm.policy.to_dict(),
            "total_steps": self.arm.total_steps,
            "optimizer": self.arm.optimizer,
            "batch": self.plan.batch,
            "seed": self.seed,
            "data": data.title,
            "train": data.train.fingerprint(),
            "test": data.test.fingerprint(),
            "log_every": self.cadence.log,
            "evaluate_every": self.cadence.evaluate,
            "note": self.note,
        }


@dataclass(frozen=True)
class Loaded:
    """A data set on the device, with the pixels scaled for a plan."""

    data: Cifar
    pixels: Pixels
    train: Images
    test: Images

    @classmethod
    def of(cls, data: Cifar, plan: Plan, device: torch.device) -> Loaded:
        """Move the data; shift and scale come from the training images."""
        pixels = plan.pixels(data.train)
        return cls(
            data, pixels, Images(data.train, pixels, device), Images(data.test, pixels, device)
        )


def check(job: Job, data: Cifar) -> None:
    """Raise RunError if the job's folder holds a run of other settings; nothing is written."""
    described = job.folder / DESCRIBED
    if described.exists():
        files.check_settings(described, job.settings(data))


def train(job: Job, loaded: Loaded, at_cycle_end: AtCycleEnd | None = None) -> nn.Module:
    """Train to the end, from the beginning or from the last checkpoint.

    A loss that is no longer finite ends the run at the next row of the log.

    Args:
        job: The run.
        loaded: Its data.
        at_cycle_end: Called with the number of a completed cycle and the network. A resumed run
            may call it again for the same cycle, with the same network.

    Returns:
        The trained network.

    Raises:
        RunError: The folder belongs to another run.
    """
    check(job, loaded.data)
    job.folder.mkdir(parents=True, exist_ok=True)
    described = job.folder / DESCRIBED
    if not described.exists():
        files.save_json(described, job.settings(loaded.data))
    run = _Run(job, loaded)
    try:
        run.go(at_cycle_end)
    finally:
        run.log.close()
    return run.net


class _Run:
    """A training between two updates: the content of a checkpoint."""

    def __init__(self, job: Job, loaded: Loaded) -> None:
        self.job, self.loaded = job, loaded
        device = loaded.train.device
        torch.manual_seed(job.seed)  # the same first weights for every arm
        self.net = job.plan.network(loaded.data.classes).to(device).train()
        self.optimizer = job.plan.optimizers[job.arm.optimizer](self.net)
        # Groups keep the ratio of their rates, which are multipliers before the first update.
        self.scheduler = PolicyLR(self.optimizer, job.arm.policy, proportional=True)
        self.batches = Batches(loaded.train, job.plan.batch, job.seed, job.plan.augment)
        self.step, self.over, self.seconds = 0, False, 0.0
        # Sums since the last row of the log, on the device, so that the loop does not wait for it.
        self.losses, self.count = torch.zeros((), dtype=torch.float64, device=device), 0
        size = self.restore() if job.checkpoint.exists() else 0
        self.log = files.Log(job.log, size, job.note)

    def restore(self) -> int:
        """Restore the checkpoint; returns the size of the log at that time."""
        state = files.load(self.job.checkpoint)
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.step, self.over, self.seconds = state["step"], state["over"], state["seconds"]
        self.losses, self.count = state["losses"].to(self.losses.device), state["count"]
        return int(state["log_size"])

    def save(self) -> None:
        """Write the log to the disk, then a checkpoint."""
        state = {
            "log_size": self.log.saved(),
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "step": self.step,
            "over": self.over,
            "seconds": self.seconds,
            "losses": self.losses,
            "count": self.count,
        }
        files.save(self.job.checkpoint, state)

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
                loss = float(self.losses) / self.count
                self.losses, self.count = torch.zeros_like(self.losses), 0
                self.over = self.step >= arm.total_steps or not math.isfinite(loss)
                right = self.evaluate() if due or self.over else None
                self.seconds = time.perf_counter() - started
                self.log.write(files.Row(self.step, lr, loss, right, self.seconds))
            if self.over or self.step % every.checkpoint == 0:
                self.seconds = time.perf_counter() - started
                self.save()

    def update(self) -> float:
        """Make one update; returns its rate."""
        lr = float(self.optimizer.param_groups[0]["lr"])
        draw(self.job.seed, self.step)
        inputs, labels = self.batches.at(self.step)
        self.optimizer.zero_grad()
        loss = cross_entropy(self.net(inputs), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.scheduler.step()
        self.losses += loss.detach()
        self.count += 1
        self.step += 1
        return lr

    def evaluate(self) -> float:
        """The test accuracy."""
        return accuracy(probabilities(self.net, self.loaded.test), self.loaded.test)
