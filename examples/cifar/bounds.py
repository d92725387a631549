"""The range test of a plan: a linear ramp over 8 epochs, as in the paper's section 3.3.

It uses no test images: the last tenth of the training images is held out for the accuracy.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy

import clrcore
from clr_adapters.torch import range_test

from .data import Cifar
from .images import Batches, Images
from .plans import Plan

EPOCHS = 8


def measure(
    plan: Plan, data: Cifar, device: torch.device, seeds: Sequence[int], scale: float
) -> list[clrcore.Curve]:
    """A curve for each seed, each from a new network."""
    kept = len(data.train.labels) * 9 // 10
    train = data.train.rows(0, kept)
    pixels = plan.pixels(train)
    batches = Batches(Images(train, pixels, device), plan.batch, 0, plan.augment)
    held_out = Images(data.train.rows(kept, len(data.train.labels)), pixels, device)
    batches_held_out = [held_out[chunk] for chunk in held_out.chunks()]
    steps = max(2, round(EPOCHS * len(batches) * scale))
    curves = range_test(
        lambda: plan.network(data.classes).to(device),
        plan.optimizers["sgd"],
        batches,
        loss_fn=cross_entropy,
        sweep=clrcore.linear_sweep(0.0, plan.sweep_to, steps),
        val_loader=batches_held_out,
        val_batches=len(batches_held_out),
        progress=False,
        seeds=list(seeds),
    )
    assert isinstance(curves, list)
    return curves


def read(plan: Plan, curves: list[clrcore.Curve]) -> tuple[clrcore.Bounds | None, str]:
    """The bounds of the curves, or None without an answer; and a text about them."""
    low, high = plan.paper_bounds
    paper = f"the paper's bounds: {low:g} to {high:g}"
    try:
        bounds = clrcore.suggest_bounds(curves)
    except clrcore.NoBoundsError as error:
        return None, f"The range test gave no bounds: {error}\n({paper})"
    return bounds, f"{bounds}\n({paper}; the arms use those)"
