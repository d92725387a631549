"""The range test of a plan as in the paper's section 3.3, and `find_bounds` for its network.

Both see no test images: some of the training images are held out for accuracies and losses.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

import clrcore
from clr_adapters.torch import find_bounds, range_test

from .plans import Plan
from .training import Batches, Task

HELD_OUT_BATCHES = 10
# A shorter range test would not give an answer.
LEAST_SWEEP = 100


def measure(task: Task, seeds: Sequence[int], scale: float) -> list[clrcore.Curve]:
    """A curve for each seed, each from a new network: a linear ramp over the plan's epochs.

    A scale below 1 shortens it, to LEAST_SWEEP updates at least.
    """
    plan = task.plan
    curves: list[clrcore.Curve] = []
    for seed in seeds:
        epoch = task.tuning(seed, 1).steps_per_epoch
        steps = max(LEAST_SWEEP, round(plan.sweep_epochs * epoch * scale))
        batches = task.tuning(seed, steps)
        curve = range_test(
            lambda: task.ranks.joined(task.network()),
            plan.optimizers["sgd"],
            batches.train,
            loss_fn=plan.loss,
            sweep=clrcore.linear_sweep(*plan.sweep, steps),
            seeds=[seed],
            **_options(task, batches),
        )
        assert isinstance(curve, list)  # one for each seed
        curves += curve
    return curves


def find(task: Task, seed: int, updates: int) -> clrcore.Bounds:
    """The bounds that a range test suggests and short trials confirm.

    Raises:
        NoBoundsError: Neither the range test nor a trial gives an answer.
    """
    plan = task.plan

    def optimizer(net: nn.Module) -> Optimizer:
        made = plan.optimizers["sgd"](net)
        first = made.param_groups[0]["lr"]
        for group in made.param_groups:
            group["lr"] *= plan.bounds[0] / first
        return made

    batches = task.tuning(seed, updates)
    return find_bounds(
        lambda: task.ranks.joined(task.network()),
        optimizer,
        batches.train,
        loss_fn=plan.loss,
        max_updates=updates,
        seeds=[seed],
        **_options(task, batches),
    )


def read(plan: Plan, curves: list[clrcore.Curve]) -> tuple[clrcore.Bounds | None, str]:
    """The bounds of the curves, or None without an answer; and a text about them."""
    low, high = plan.bounds
    own = f"the plan's bounds: {low:g} to {high:g}"
    try:
        bounds = clrcore.suggest_bounds(curves)
    except clrcore.NoBoundsError as error:
        return None, f"The range test gave no bounds: {error}\n({own})"
    return bounds, f"{bounds}\n({own}; the arms use those)"


def _options(task: Task, batches: Batches) -> dict[str, Any]:
    """What both calls have in common."""
    return {
        "val_loader": batches.held_out,
        "val_batches": HELD_OUT_BATCHES,
        "steps_per_epoch": batches.steps_per_epoch,
        "autocast": task.autocast,
        "device": task.device,
        "progress": sys.stderr.isatty(),
    }
