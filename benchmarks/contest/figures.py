"""Pictures of the result. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from clr_adapters.cli.demo.pictures import draw_accuracy
from clr_adapters.plot import style

from .page import CYCLES, FIXED, TODAY
from .verdicts import (
    LOSES,
    TIES,
    UNTUNED,
    WINS,
    Plain,
    Side,
    difference,
    record,
    strongest,
    verdict,
)

COLOURS = {WINS: "#009E73", TIES: "0.85", LOSES: "#D55E00"}
INK = {WINS: "white", TIES: "black", LOSES: "white"}
WORDS = {WINS: "win", TIES: "tie", LOSES: "loss"}


def all_of(result: Plain) -> dict[str, Figure]:
    """The pictures, by name."""
    tasks = result["tasks"]
    drawn = next(task for task in tasks.values() if "along" in task[UNTUNED][CYCLES])
    return {"cycles": cycles(list(tasks.values())), "accuracy": accuracy(drawn)}


def cycles(tasks: Sequence[Plain]) -> Figure:
    """Cycles against each of today's schedules, a cell for each task and opponent."""
    others = [Side(arm, UNTUNED) for arm in TODAY]
    counts = record(tasks, Side(CYCLES, UNTUNED), others)
    figure = Figure(figsize=(style.SIZE[0], 0.8 + 0.62 * len(tasks)), dpi=style.DPI)
    figure.subplots_adjust(left=0.3, right=0.99, bottom=0.02, top=0.77)
    ax = figure.subplots()
    for row, task in enumerate(tasks):
        for column, other in enumerate(others):
            found = difference(task, Side(CYCLES, UNTUNED), other)
            word = verdict(found)
            corner = (column - 0.48, row - 0.46)
            ax.add_patch(Rectangle(corner, 0.96, 0.92, color=COLOURS[word], linewidth=0))
            shown = f"{found.mean:+.3f}" if task["in_nats"] else f"{found.mean:+.2f}"
            ax.text(
                column,
                row,
                f"{WORDS[word]}\n{shown}",
                ha="center",
                va="center",
                color=INK[word],
                fontsize=9,
            )
    ax.set(xlim=(-0.5, len(others) - 0.5), ylim=(len(tasks) - 0.5, -0.5))
    ax.xaxis.tick_top()
    ax.set_xticks(range(len(others)), [other.arm for other in others])
    ax.set_yticks(range(len(tasks)), [task["title"].replace(", ", ",\n", 1) for task in tasks])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    message = "Cycles at the range test's rate:\n{} wins, {} ties, {} losses".format(*counts)
    figure.suptitle(message, x=0.02, y=0.98, ha="left", fontsize=11, weight="bold")
    return figure


def accuracy(task: Plain) -> Figure:
    """Test accuracy of cycles, a fixed rate and the strongest schedule of today."""
    other = strongest(task, UNTUNED, TODAY)
    arms = {CYCLES: f"cycles ({CYCLES})", FIXED: FIXED, other: other}
    runs = {}
    for arm, label in arms.items():
        found = np.array(task[UNTUNED][arm]["along"]) / 100
        every = task["total_steps"] // found.shape[1]
        runs[label] = (every * np.arange(1, found.shape[1] + 1), found)
    figure = Figure(figsize=style.SIZE, dpi=style.DPI, layout="constrained")
    ax = figure.subplots()
    draw_accuracy(ax, runs)
    ax.legend(loc="lower right", handlelength=3)
    ax.set_xlabel(style.STEP_LABEL)
    word = WORDS[verdict(difference(task, Side(CYCLES, UNTUNED), Side(other, UNTUNED)))]
    figure.suptitle(
        f"MNIST-5k: a {word} for cycles against {other}",
        x=0.02,
        ha="left",
        fontsize=11,
        weight="bold",
    )
    return figure
