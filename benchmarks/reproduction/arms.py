"""What is trained: three cases, their range tests, and the arms that share their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import clrcore
from clr_adapters.cli.demo.experiment import (
    EPOCH,
    FOUND,
    LONG,
    RANGE_TEST_EPOCHS,
    SHORT,
    STAGED,
    TRIANGULAR,
    Arm,
    Settings,
    constant_name,
    staged,
    stepwise,
)

from .networks import Setup

SHORT_MAX = "stepwise short, max_lr"
TRIANGULAR2 = "triangular2"
EXP_RANGE_BOUNDS = "exp_range, bounds"
EXP_RANGE_AMPLITUDE = "exp_range, amplitude"
EXP = "exp"
DECAY = "decay"
PEAK = ", peak rule"
ABOVE = ", above the grid"

DECAYING = (EXP_RANGE_BOUNDS, EXP_RANGE_AMPLITUDE, EXP)

# The paper's factor per update on CIFAR-10, where an epoch has 500 of them.
GAMMA, PAPERS_EPOCH = 0.99994, 500


class Reading(NamedTuple):
    """Two bounds read off a range test."""

    base_lr: float
    max_lr: float


@dataclass(frozen=True)
class Case:
    """A network and an optimizer, and what was fixed for them before anything was trained.

    key: one word for files. top: last rate of the range test's linear ramp from 0.
    grid: constant rates, half a decade apart. eye: bounds read off the picture of the range
        test by eye, before any rule had read it. above: constant rates above the grid, see below.
    left_out: arms that are not run, for time.
    """

    key: str
    title: str
    setup: Setup
    top: float
    grid: tuple[float, ...]
    eye: Reading
    above: tuple[float, ...]
    left_out: tuple[str, ...] = ()

    @property
    def sweep(self) -> clrcore.Policy:
        """The range test's ramp: 8 epochs, linear, as in the paper's Figure 3."""
        return clrcore.linear_sweep(0.0, self.top, RANGE_TEST_EPOCHS * EPOCH)


# Every grid stops below the rate where its range test's accuracy peaks: 0.425, 3.87, 0.0806.
# Whether a constant rate as high as the peak is stable can be seen only above it. Hence `above`:
# the grid's next two, the last at least twice the peak. They were added after a first run had shown
# the peaks, before any of them was trained, and count for nothing else: not for the grid's mean,
# its best or its cost, and for no claim.
CASES = (
    Case(
        "relu-sgd",
        "ReLU, SGD",
        Setup("relu", "sgd"),
        1.5,
        (0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
        Reading(0.02, 0.25),
        above=(1.0, 3.0),
    ),
    Case(
        "sigmoid-sgd",
        "sigmoid, SGD",
        Setup("sigmoid", "sgd"),
        8.0,
        (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        Reading(0.6, 2.3),
        above=(10.0, 30.0),
        left_out=DECAYING,
    ),
    Case(
        "relu-adam",
        "ReLU, Adam",
        Setup("relu", "adam"),
        0.3,
        (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03),
        Reading(0.002, 0.04),
        above=(0.1, 0.3),
        left_out=(*DECAYING, DECAY, SHORT_MAX),
    ),
)


def above_name(lr: float) -> str:
    """The name of the arm with the constant rate `lr`, above the grid."""
    return constant_name(lr) + ABOVE


def peak_of(curves: Sequence[clrcore.Curve]) -> float:
    """The rate at which the held-out accuracy, smoothed and averaged over seeds, is highest.

    Rates that a seed did not reach, as its test had ended, are left out.
    """
    shortest = min(map(len, curves))
    mean = np.mean([curve.smoothed("accuracy")[:shortest] for curve in curves], axis=0)
    return float(curves[0].lr[np.nanargmax(mean)])


def peak_rule(peak: float) -> Reading:
    """The plainest rule: max_lr is 0.8 of the peak, base_lr a quarter of that."""
    return Reading(0.8 * peak / 4, 0.8 * peak)


def gamma(unit: int) -> float:
    """The paper's factor, per epoch the same, for an epoch of `unit` updates."""
    return float(GAMMA ** (PAPERS_EPOCH / unit))


def arms(case: Case, bounds: clrcore.Bounds, peak: Reading, settings: Settings) -> list[Arm]:
    """The arms of a case, the baseline first.

    bounds: what `suggest_bounds` gave. peak: what the peak rule gave.
    """
    base, top = bounds.base_lr, bounds.max_lr
    short, unit = settings.short, settings.unit
    factor, half = gamma(unit), 5 * unit

    def cycles(low: float, high: float) -> tuple[tuple[str, clrcore.Policy], ...]:
        return (
            (TRIANGULAR, clrcore.triangular(low, high, half)),
            (TRIANGULAR2, clrcore.triangular2(low, high, half)),
            (STAGED, staged(low, high, unit)),
        )

    def exp_range(decays: str) -> clrcore.Policy:
        return clrcore.exp_range(base, top, half, gamma=factor, decays=decays)

    policies = (
        (SHORT, stepwise(base, short)),
        (SHORT_MAX, stepwise(top, short)),
        *((constant_name(lr), clrcore.constant(lr)) for lr in case.grid),
        *((above_name(lr), clrcore.constant(lr)) for lr in case.above),
        (FOUND, clrcore.constant(bounds.lr)),
        *cycles(base, top),
        (EXP_RANGE_BOUNDS, exp_range("bounds")),
        (EXP_RANGE_AMPLITUDE, exp_range("amplitude")),
        (EXP, clrcore.exponential(base, factor)),
        # The paper's: 4000 of 25,000 updates, 8 of 50 epochs.
        (DECAY, clrcore.decay(top, base, 8 * unit)),
        *((name + PEAK, policy) for name, policy in cycles(*peak)),
    )
    return [
        Arm(LONG, stepwise(base, settings.long), settings.long),
        *(Arm(name, policy, short) for name, policy in policies if name not in case.left_out),
    ]
