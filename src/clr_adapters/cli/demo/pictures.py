"""The demo's pictures: the range test, and the policies with the accuracy they lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import clrcore
from clr_adapters.plot import plot_policy, style

from .experiment import Arm
from .training import History

Floats = NDArray[np.float64]


def comparison(
    arms: Sequence[Arm], histories: Mapping[str, History], names: Sequence[str], message: str
) -> Figure:
    """The policies above, the test accuracy they lead to below.

    Args:
        arms: The arms that were run.
        histories: What was recorded, by name of the arm.
        names: The arms to draw, two or more.
        message: The picture's title.
    """
    figure = Figure(figsize=(style.SIZE[0], 5.2), dpi=style.DPI, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    shown = [arm for arm in arms if arm.name in names]
    # A chain of one stage is the same policy with an end: each is drawn as long as it ran.
    policies = {arm.name: clrcore.chain([(arm.policy, arm.total_steps)]) for arm in shown}
    plot_policy(policies, ax=above)
    above.set_xlabel("")
    runs = {arm.name: (histories[arm.name].steps, histories[arm.name].test) for arm in shown}
    draw_accuracy(below, runs)
    below.set_xlabel(f"{style.STEP_LABEL}; marks are ends of cycles")
    figure.suptitle(message, x=0.02, ha="left", fontsize=11, weight="bold")
    return figure


def draw_accuracy(ax: Axes, runs: Mapping[str, tuple[NDArray[np.int64], Floats]]) -> None:
    """Test accuracy against the step: means over seeds, with bands of one standard error.

    Args:
        ax: The Axes to draw on.
        runs: By label, the steps and the accuracies from 0 to 1, shape (seeds, steps).
    """
    style.axes(ax)
    means = []
    for i, (label, (steps, accuracy)) in enumerate(runs.items()):
        mean = accuracy.mean(axis=0)
        error = accuracy.std(axis=0, ddof=1) / len(accuracy) ** 0.5
        ax.plot(steps, mean, label=label, **style.line_style(i))
        colour = style.COLOURS[i % len(style.COLOURS)]
        ax.fill_between(steps, mean - error, mean + error, color=colour, alpha=0.2, linewidth=0)
        means.append(mean)
    style.percent(ax, means)
    # The median of the second halves sets the scale: the steep rise of the first steps, and a run
    # that has collapsed, may lie below the picture.
    top = max(float(mean.max()) for mean in means)
    typical = float(np.median(np.concatenate([mean[mean.size // 2 :] for mean in means])))
    span = max(top - typical, 0.01)
    ax.set_ylim(top - 8 * span, top + 1.5 * span)
    ax.set_xlim(left=0)
    style.thousands(ax)
    ax.set_ylabel("test accuracy")
