"""The schedules that compete: those of the paper, and those that people use today."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import clrcore
from clrcore import planning

from .tasks import OWN, PRODIGY, SCHEDULE_FREE

FIXED, TRIANGULAR, TRIANGULAR2 = "fixed rate", "triangular", "triangular2"
EXP_RANGE, WARM_RESTARTS = "exp_range", "warm restarts"
ONE_CYCLE, LINEAR, COSINE, WSD = "one cycle", "linear", "cosine", "WSD"

# The share of a training that warms up, in the schedules of today; that of `wsd` by default.
WARM_UP = 0.05
# The paper's run with exp_range: 42,000 updates, gamma 0.99994. Its rates end at 8 %.
EXP_RANGE_END = 0.99994**42_000
# The rates that the authors of Schedule-Free give as defaults, by the optimizer they replace.
SCHEDULE_FREE_RATES = {"sgd": 1.0, "mom": 1.0, "adam": 0.0025, "adamw": 0.0025}


class Arm(NamedTuple):
    """A way to train.

    Attributes:
        name: What people call it.
        plan: The policy of a training from its peak rate and its updates.
        multiple: The peak without tuning, as a multiple of the range test's constant rate.
        optimizer: The task's own, or one that replaces it.
    """

    name: str
    plan: Callable[[float, int], clrcore.Policy]
    multiple: float = 1.0
    optimizer: str = OWN


def warmed(kind: str) -> Callable[[float, int], clrcore.Policy]:
    """Plan a linear warm-up to the peak, then a schedule that starts there."""

    def plan(peak: float, total_steps: int) -> clrcore.Policy:
        rising = round(WARM_UP * total_steps)
        left = total_steps - rising
        fall = clrcore.constant(peak) if kind == FIXED else planning.planned(kind, peak, left)
        rise = clrcore.linear_sweep(peak / rising, peak, rising)
        return clrcore.chain([(rise, rising), (fall, left)])

    return plan


def _planned(kind: str) -> Callable[[float, int], clrcore.Policy]:
    """Plan as `bounds.policy(total_steps=..., kind=...)` does."""
    return lambda peak, total_steps: planning.planned(kind, peak, total_steps)


def _exp_range(peak: float, total_steps: int) -> clrcore.Policy:
    """Four cycles whose bounds both fall, to the paper's 8 % at the end."""
    gamma = EXP_RANGE_END ** (1 / total_steps)
    half = total_steps // (2 * planning.CYCLES)
    base = planning.BASE * peak
    return clrcore.exp_range(base, peak, half, gamma=gamma, decays="bounds")


CYCLES = (
    Arm(TRIANGULAR2, _planned("triangular2"), planning.PEAKS["triangular2"]),
    Arm(TRIANGULAR, _planned("triangular")),
    # Its peaks fall as those of triangular2 do, so it gets the same multiple.
    Arm(EXP_RANGE, _exp_range, planning.PEAKS["triangular2"]),
    Arm(WARM_RESTARTS, _planned("warm_restarts")),
)
TODAY = (
    Arm(ONE_CYCLE, _planned("one_cycle")),
    Arm(LINEAR, warmed("linear")),
    Arm(COSINE, warmed("cosine")),
    Arm(WSD, _planned("wsd")),
)
SCHEDULES = (Arm(FIXED, lambda peak, total_steps: clrcore.constant(peak)), *CYCLES, *TODAY)

# Rate 1 with a cosine, as its authors advise. Nothing is tuned.
WITH_PRODIGY = Arm(PRODIGY, _planned("cosine"), optimizer=PRODIGY)
WITH_SCHEDULE_FREE = Arm(SCHEDULE_FREE, warmed(FIXED), optimizer=SCHEDULE_FREE)

TUNED = (*SCHEDULES, WITH_SCHEDULE_FREE)
"""The arms whose peaks are tuned."""


def untuned_peak(arm: Arm, optimizer: str, lr: float, max_lr: float) -> float:
    """The peak without tuning, from the rates that the range test gave.

    Prodigy and Schedule-Free take the rates that their authors advise instead.
    """
    if arm.optimizer == PRODIGY:
        return 1.0
    if arm.optimizer == SCHEDULE_FREE:
        return SCHEDULE_FREE_RATES[optimizer]
    return min(arm.multiple * lr, max_lr)
