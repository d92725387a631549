"""Pictures of a result: range tests, paired differences, accuracy. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import clrcore
from clr_adapters.cli.demo.experiment import LONG, SHORT, STAGED, TRIANGULAR, constant_name
from clr_adapters.cli.demo.pictures import draw_accuracy
from clr_adapters.plot import plot_range_test, style

from .claims import HELD, MARGIN, NOT_SHOWN, TIED

LOOKS = {HELD: ("#009E73", "o"), TIED: ("black", "s"), NOT_SHOWN: ("#D55E00", "X")}
DPI = 110


def all_of(result: Mapping[str, Any]) -> dict[str, Figure]:
    """The three pictures, by name. result: with curves and runs."""
    cases = list(result["cases"].values())
    return {
        "range-tests": range_tests(cases),
        "differences": differences(cases),
        "accuracy": accuracy(cases),
    }


def range_tests(cases: list[Any]) -> Figure:
    """Held-out accuracy along every ramp, with the three readings of it."""
    figure = Figure(figsize=(8, 4.2 * len(cases)), dpi=DPI, layout="constrained")
    for case, ax in zip(cases, figure.subplots(len(cases), 1, squeeze=False)[:, 0], strict=True):
        curves = [_accuracy_alone(plain) for plain in case["curves"]]
        bounds = clrcore.Bounds.from_dict(case["bounds"])
        plot_range_test(curves, bounds, ax=ax)
        for name, reading, colour, dashes in (
            ("by eye", case["eye"], "#0072B2", (0, (6, 2))),
            ("peak rule", case["peak"], "#CC79A7", (0, (1.5, 1.2))),
        ):
            low, high = reading["base_lr"], reading["max_lr"]
            for i, lr in enumerate((low, high)):
                label = None if i else f"{name}: {low:.2g} to {high:.2g}"
                ax.axvline(lr, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        handles, labels = ax.get_legend_handles_labels()
        labels = [f"suggest_bounds: {x}" if x.startswith("base_lr") else x for x in labels]
        # Above the axes, where it hides nothing.
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 2}
        ax.legend(handles, labels, frameon=False, handlelength=3, **place)
        ax.annotate(
            case["title"], (0.99, 0.03), xycoords="axes fraction", ha="right", weight="bold"
        )
    return figure


def differences(cases: list[Any]) -> Figure:
    """Every paired difference that a claim rests on, with its interval and its verdict."""
    lines = [
        [found for found in case["findings"] if found["difference"] is not None] for case in cases
    ]
    figure = Figure(figsize=(8, 1.6 + 0.24 * sum(map(len, lines))), dpi=DPI, layout="constrained")
    rows = figure.subplots(
        len(cases), 1, squeeze=False, height_ratios=[len(some) + 1.5 for some in lines]
    )
    for case, some, ax in zip(cases, lines, rows[:, 0], strict=True):
        for place, found in enumerate(some):
            colour, marker = LOOKS[found["verdict"]]
            interval = found["difference"]
            ax.plot([interval["low"], interval["high"]], [place] * 2, color=colour)
            ax.plot(interval["mean"], place, marker, color=colour, markersize=6)
        ax.axvline(0, color="0.4", linewidth=1)
        for side in (-MARGIN, MARGIN):
            ax.axvline(side, color="0.7", linewidth=0.8, linestyle="--")
        ax.set_yticks(
            range(len(some)),
            [f"{found['arm']} - {found['against']}  {found['claim']}" for found in some],
            fontsize=8,
        )
        ax.set_ylim(len(some) - 0.4, -0.6)
        ax.set_title(case["title"], loc="left", fontsize=10, weight="bold")
        ax.spines[["top", "right"]].set_visible(False)
    for verdict, (colour, marker) in LOOKS.items():
        rows[-1, 0].plot([], [], marker, color=colour, label=verdict)
    rows[-1, 0].set_xlabel("difference of test accuracy, points, with its 95 % interval")
    figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return figure


def accuracy(cases: list[Any]) -> Figure:
    """Test accuracy along the main arms of every case."""
    figure = Figure(figsize=(8, 4.4 * len(cases)), dpi=DPI, layout="constrained")
    for case, ax in zip(cases, figure.subplots(len(cases), 1, squeeze=False)[:, 0], strict=True):
        names = (LONG, SHORT, constant_name(case["chosen"]), TRIANGULAR, STAGED)
        runs = {name: case["runs"][name] for name in names}
        draw_accuracy(
            ax,
            {name: (np.array(run["steps"]), np.array(run["test"])) for name, run in runs.items()},
        )
        style.name_lines(ax, ax.lines)
        ax.set_xlabel(style.STEP_LABEL)
        ax.axhline(case["target"] / 100, color="0.35", linewidth=1, zorder=1)
        ax.annotate(
            case["title"], (0.99, 0.03), xycoords="axes fraction", ha="right", weight="bold"
        )
    return figure


def _accuracy_alone(plain: dict[str, Any]) -> clrcore.Curve:
    """The curve without its loss, as the paper's Figure 3 draws it."""
    return clrcore.Curve.from_dict({**plain, "loss": None})
