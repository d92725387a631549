"""Pictures of a result: range tests, paired differences, accuracy. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import clrcore
from clr_adapters.cli.demo.experiment import STAGED, constant_name
from clr_adapters.cli.demo.pictures import draw_accuracy
from clr_adapters.plot import plot_range_test, style

from .tables import CONTROLS, controls, strongest, versus

COLOURS = {"higher": "#009E73", "a tie": "black", "lower": "#D55E00"}
MARKERS = {"higher": "o", "a tie": "s", "lower": "X"}


def all_of(result: Mapping[str, Any]) -> dict[str, Figure]:
    """The three pictures, by name. result: with curves and runs."""
    cases = list(result["cases"].values())
    return {
        "range-tests": range_tests(cases),
        "differences": differences(cases),
        "accuracy": accuracy(cases),
    }


def range_tests(cases: Sequence[Any]) -> Figure:
    """Held-out accuracy along every ramp, with the three readings of it."""
    figure, axes = _panels(cases, 3.6, "Held-out accuracy shows where to train")
    for case, ax in zip(cases, axes, strict=True):
        curves = [_accuracy_alone(plain) for plain in case["curves"]]
        plot_range_test(curves, clrcore.Bounds.from_dict(case["bounds"]), ax=ax)
        for name, reading, colour, dashes in (
            ("by eye", case["eye"], "#0072B2", (0, (6, 2))),
            ("peak rule", case["peak"], "#CC79A7", (0, (1.5, 1.2))),
        ):
            low, high = reading["base_lr"], reading["max_lr"]
            for i, lr in enumerate((low, high)):
                label = None if i else f"{name}: {low:.2g} to {high:.2g}"
                ax.axvline(lr, color=colour, linestyle=dashes, linewidth=1.8, label=label)
        handles, labels = ax.get_legend_handles_labels()
        shown = [
            (handle, label.replace("base_lr", "suggest_bounds:").replace("max_lr ", ""))
            for handle, label in zip(handles, labels, strict=True)
            if " to " in label
        ]
        ax.legend(*zip(*shown, strict=True), loc="lower right", fontsize=9, handlelength=3)
        ax.set_title(case["title"], loc="left", fontsize=10)
    return figure


def differences(cases: Sequence[Any]) -> Figure:
    """The paper's staged cycles less each control of the same length, with its interval."""
    words = [versus(row["difference"]) for case in cases for row in controls(case)]
    counts = [words.count(word) for word in COLOURS]
    message = "Staged cycles against controls: {} higher, {} tied, {} lower".format(*counts)
    figure, axes = _panels(cases, 1.5, message, sharex=True)
    for case, ax in zip(cases, axes, strict=True):
        rows = controls(case)
        for place, row in enumerate(rows):
            interval = row["difference"]
            word = versus(interval)
            ax.plot([interval["low"], interval["high"]], [place] * 2, color=COLOURS[word])
            ax.plot(interval["mean"], place, MARKERS[word], color=COLOURS[word], markersize=6)
            ax.annotate(
                f"{interval['mean']:+.2f}",
                (interval["mean"], place),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                color=COLOURS[word],
            )
        ax.axvline(0, color="0.4", linewidth=1)
        names = [CONTROLS[row["against"]] for row in rows]
        ax.set_yticks(range(len(names)), names)
        ax.set_ylim(len(names) - 0.4, -0.8)
        ax.set_title(case["title"], loc="left", fontsize=10)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("points of test accuracy, with 95 % intervals")
    return figure


def accuracy(cases: Sequence[Any]) -> Figure:
    """Test accuracy of the staged cycles, the best constant rate and the strongest other arm."""
    figure, axes = _panels(cases, 3.0, "Staged cycles, a constant, the strongest opponent")
    for case, ax in zip(cases, axes, strict=True):
        best = constant_name(case["chosen"])
        names = {STAGED: "staged cycles", best: "best constant"}
        other = strongest(case)
        names[other] = CONTROLS.get(other, other)
        runs = {label: case["runs"][name] for name, label in names.items()}
        draw_accuracy(
            ax,
            {label: (np.array(run["steps"]), np.array(run["test"])) for label, run in runs.items()},
        )
        ax.legend(loc="lower right", handlelength=3)
        ax.set_title(case["title"], loc="left", fontsize=10)
    axes[-1].set_xlabel(style.STEP_LABEL)
    return figure


def _panels(
    cases: Sequence[Any], height: float, message: str, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a phone with one Axes for each case, and its message."""
    size = (style.SIZE[0], 0.6 + height * len(cases))
    figure = Figure(figsize=size, dpi=style.DPI, layout="constrained")
    figure.suptitle(message, x=0.02, ha="left", fontsize=11, weight="bold")
    return figure, list(figure.subplots(len(cases), 1, squeeze=False, **options)[:, 0])


def _accuracy_alone(plain: dict[str, Any]) -> clrcore.Curve:
    """The curve without its loss, as the paper's Figure 3 draws it."""
    return clrcore.Curve.from_dict({**plain, "loss": None})
