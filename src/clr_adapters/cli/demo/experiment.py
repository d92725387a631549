"""What the demo runs: the range test, and the policies that share its seeds."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import clrcore

from .data import TRAIN, Splits
from .training import BATCH, History, Start, Tick, start, train

EPOCH = TRAIN // BATCH
RANGE_TEST_EPOCHS = 8
RANGE_TEST_SEEDS = 5
TRIAL = 200
SWEEP = clrcore.linear_sweep(0.0, 1.5, RANGE_TEST_EPOCHS * EPOCH)
GRID = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)

LONG = "stepwise long"
SHORT = "stepwise short"
FOUND = "constant, range test"
TRIANGULAR = "triangular"
STAGED = "staged triangular2"


@dataclass(frozen=True)
class Settings:
    """How much is run.

    Attributes:
        seeds: One per repetition; it fixes the split, the initial weights and the batch order.
        unit: Updates that stand for an epoch of the paper's plan (140 epochs for the baseline,
            50 for the others): a whole epoch, or fewer for a first impression.
    """

    seeds: tuple[int, ...]
    unit: int = EPOCH

    @property
    def long(self) -> int:
        """Updates of the baseline: 140 units."""
        return 140 * self.unit

    @property
    def short(self) -> int:
        """Updates of every other arm: 50 units."""
        return 50 * self.unit


class Arm(NamedTuple):
    """One policy and the number of updates it is run for."""

    name: str
    policy: clrcore.Policy
    total_steps: int


def constant_name(lr: float) -> str:
    """The name of the arm with the constant rate `lr`."""
    return f"constant {lr:g}"


def arms(base_lr: float, max_lr: float, lr: float, settings: Settings) -> list[Arm]:
    """The arms that are compared, the baseline first.

    Args:
        base_lr: Lower bound of the range test.
        max_lr: Upper bound of the range test.
        lr: The range test's rate for constant-rate training.
        settings: How much is run.
    """
    long, short, unit = settings.long, settings.short, settings.unit
    return [
        Arm(LONG, stepwise(base_lr, long), long),
        Arm(SHORT, stepwise(base_lr, short), short),
        *(Arm(constant_name(lr), clrcore.constant(lr), short) for lr in GRID),
        Arm(FOUND, clrcore.constant(lr), short),
        Arm(TRIANGULAR, clrcore.triangular(base_lr, max_lr, 5 * unit), short),
        Arm(STAGED, staged(base_lr, max_lr, unit), short),
    ]


def stepwise(lr: float, total_steps: int) -> clrcore.Policy:
    """The paper's baseline: a tenth at 6/7 and at 13/14 of the run (Caffe: 60k, 65k of 70k)."""
    return clrcore.stepwise(lr, [total_steps * 12 // 14, total_steps * 13 // 14], factor=0.1)


def staged(base_lr: float, max_lr: float, unit: int) -> clrcore.Policy:
    """Table 2 of the paper: step sizes of 4, 2, 1 units for 32, 12, 6 units.

    The bounds are lowered tenfold from stage to stage.
    """
    stages: list[tuple[clrcore.Policy, int | None]] = [
        (clrcore.triangular2(base_lr * factor, max_lr * factor, size * unit), length * unit)
        for factor, size, length in ((1.0, 4, 32), (0.1, 2, 12), (0.01, 1, 6))
    ]
    return clrcore.chain(stages)


def run_arms(
    todo: Sequence[Arm], splits: Splits, settings: Settings, tick: Tick, start: Start = start
) -> dict[str, History]:
    """Train every arm; two at a time where there are two processors.

    The arms do not depend on each other, so the numbers are the same either way. `tick` is
    called from several threads.
    """
    stopped = threading.Event()

    def tick_or_stop(steps: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        tick(steps)

    def run(arm: Arm) -> History:
        tick_or_stop(0)
        given = (arm.policy, arm.total_steps, splits, settings.seeds)
        return train(*given, evaluate_every=settings.unit, tick=tick_or_stop, start=start)

    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        futures = {arm.name: pool.submit(run, arm) for arm in todo}
        try:
            return {name: future.result() for name, future in futures.items()}
        except BaseException:
            # Leaving the pool waits for its threads, so they stop, and no other arm starts. First
            # the flag: a second interrupt may come at any time.
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _StoppedError(Exception):
    """Ends a thread whose result is not needed any more."""


def best_constant(histories: Mapping[str, History], grid: Sequence[float] = GRID) -> float:
    """The rate of the grid with the best mean validation accuracy; the lower of equals."""
    return max(grid, key=lambda lr: (histories[constant_name(lr)].validation.mean(), -lr))
