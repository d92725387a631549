"""The picture of a confirmation: the loss that each trial ended at, against its rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes

import clrcore
from clrcore.arguments import check_type, refuse

from . import style


def plot_confirmation(bounds: clrcore.Bounds, *, ax: Axes | None = None) -> Axes:
    """The loss at the end of each trial run, against the rate, and the rate that was confirmed.

    A dot is a trial, a line joins the means of the rates. Trials that broke down are crosses at
    the upper edge.

    Args:
        bounds: The bounds of a `clrcore.Confirmation`.
        ax: The Axes to draw on; by default those of a new Figure, which gets a title.

    Returns:
        The Axes.

    Raises:
        TypeError: For anything but Bounds.
        ValueError: For bounds without trials.
    """
    check_type("bounds", bounds, clrcore.Bounds, "the bounds of a Confirmation")
    if not bounds.trials:
        refuse(ValueError, "bounds", "bounds with trials, as Confirmation.bounds returns", bounds)
    ax = style.axes(ax)
    ax.set_xscale("log")
    colour = style.COLOURS[0]
    trials = sorted(bounds.trials, key=lambda trial: trial.lr)
    held = [trial for trial in trials if math.isfinite(trial.loss)]
    broken = [trial.lr for trial in trials if not math.isfinite(trial.loss)]
    rates = sorted({trial.lr for trial in held})
    means = [np.mean([trial.loss for trial in held if trial.lr == lr]) for lr in rates]
    ax.plot([trial.lr for trial in held], [trial.loss for trial in held], "o", color=colour)
    ax.plot(rates, means, color=colour, linewidth=1.8, label="mean loss")
    if broken:
        crosses: dict[str, Any] = {"color": style.COLOURS[1], "markersize": 9}
        heights, edge = [0.97] * len(broken), ax.get_xaxis_transform()
        ax.plot(broken, heights, "X", transform=edge, label="broke down", **crosses)
    style.mark_rate(ax, bounds.lr, "lr", "right", 0.98)
    tried = sorted({trial.lr for trial in trials})
    ax.set_xticks(tried, [f"{lr:.2g}" for lr in tried])
    ax.set_xticks([], minor=True)
    ax.set_xlabel(style.LR_LABEL)
    ax.set_ylabel("loss at the end of the trial")
    style.title(ax, f"{len(trials)} short trials confirm lr {bounds.lr:.2g}")
    return ax
