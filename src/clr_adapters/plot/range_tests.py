"""The picture of range tests: metrics against the learning rate, and the bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

import clrcore
from clrcore.arguments import check_type, refuse

from . import style
from .style import COLOURS, Floats

SHADE = (0.94, 0.89, 0.26)
# Where all points are shown and the largest is so many times the median, the axis of losses is
# logarithmic above the median: on a linear axis a blow-up would flatten the rest.
BLOW_UP = 30.0
# A label needs this fraction of the picture's width.
EDGE = 0.06


def plot_range_test(
    curves: clrcore.Curve | Sequence[clrcore.Curve],
    bounds: clrcore.Bounds | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """A range test: recorded points, smoothed lines, and the bounds that were read from it.

    The loss is on the left axis and the accuracy on a second axis on the right; a metric that was
    not recorded is left out. The axis of rates is logarithmic for exponential sweeps. With
    bounds the picture ends a little above the first loss; without bounds it shows all points.

    Args:
        curves: One curve, or a list with one per seed. Where there are several, thin lines are
            the seeds and the thick line is their mean, up to the end of the shortest.
        bounds: As `clrcore.suggest_bounds` gives them: base_lr to max_lr is shaded, lr marked.
        ax: The Axes to draw on; by default those of a new Figure, which gets a title.

    Returns:
        The Axes, with the loss if there is one, else with the accuracy.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For no curve, or a curve without points.
    """
    seeds = _checked(curves)
    check_type("bounds", bounds, clrcore.Bounds | None, "None or the result of suggest_bounds")
    ax = style.axes(ax)
    if all(curve.sweep == "exponential" for curve in seeds):
        ax.set_xscale("log")
    losses = [curve for curve in seeds if curve.loss is not None]
    accuracies = [curve for curve in seeds if curve.accuracy is not None]
    if losses:
        _draw(ax, losses, "loss", 0)
        _limit_loss(ax, losses, everything=bounds is None)
        _name_axis(ax, "training loss", 0)
    if accuracies:
        right = ax.twinx() if losses else ax
        right.spines["top"].set_visible(False)
        _draw(right, accuracies, "accuracy", 1)
        raw = [curve.accuracy for curve in accuracies if curve.accuracy is not None]
        style.percent(right, raw)
        right.set_ylim(*_limits(raw))
        _name_axis(right, _accuracy_name(accuracies), 1)
    rates = np.concatenate([curve.lr for curve in seeds])
    ax.set_xlabel(style.LR_LABEL)
    if rates.min() < rates.max():  # else there is no range, and the limits are set around the rate
        ax.set_xlim(rates.min(), rates.max())
    if bounds is None:
        style.title(ax, f"Range test: {max(map(len, seeds)):,} updates, all points")
    else:
        _draw_bounds(ax, bounds)
        low, high = f"{bounds.base_lr:.2g}", f"{bounds.max_lr:.2g}"
        style.title(ax, f"Cycle between {low} and {high}")
    return ax


def _draw(ax: Axes, curves: Sequence[clrcore.Curve], metric: str, number: int) -> None:
    """Recorded points, smoothed lines and their mean."""
    look = style.line_style(number)
    colour = look["color"]
    smoothed = [curve.smoothed(metric) for curve in curves]
    alpha = max(0.15, 0.45 / len(curves) ** 0.5)
    dots = {"markersize": 3, "markeredgewidth": 0, "color": colour, "alpha": alpha, "zorder": 1.5}
    for curve in curves:
        raw = getattr(curve, metric)
        there = np.isfinite(raw)
        ax.plot(curve.lr[there], raw[there], style.MARKERS[number], **dots)
    heavy = {"color": colour, "linewidth": 2.4, "linestyle": look["linestyle"], "zorder": 3}
    if len(curves) == 1:
        ax.plot(curves[0].lr, smoothed[0], label=f"{metric}, smoothed", **heavy)
        return
    for curve, line in zip(curves, smoothed, strict=True):
        ax.plot(curve.lr, line, color=colour, linewidth=0.8, alpha=0.55, zorder=2)
    shortest = min(map(len, curves))
    lr = curves[0].lr[:shortest]
    if all(np.array_equal(curve.lr[:shortest], lr) for curve in curves):
        mean = np.mean([line[:shortest] for line in smoothed], axis=0)
        ax.plot(lr, mean, label=f"{metric}, smoothed, mean of {len(curves)} seeds", **heavy)


def _draw_bounds(ax: Axes, bounds: clrcore.Bounds) -> None:
    """The shaded range from base_lr to max_lr, and a line at the rate for constant training."""
    low, high, lr = bounds.base_lr, bounds.max_lr, bounds.lr
    label = f"base_lr {low:.2g} to max_lr {high:.2g}"
    colours: dict[str, Any] = {"facecolor": (*SHADE, 0.25), "edgecolor": (0, 0, 0, 0.12)}
    ax.axvspan(low, high, **colours, hatch="//", linewidth=0, zorder=0.4, label=label)
    # On the outer sides of the range and at the other end of the line, labels cannot meet. Left of
    # a base_lr near the edge there is no room.
    place = ax.transAxes.inverted().transform(ax.transData.transform((low, 0)))[0]
    style.mark_rate(ax, low, "base_lr", "left" if place < EDGE else "right", 0.98, thin=True)
    style.mark_rate(ax, high, "max_lr", "left", 0.98, thin=True)
    style.mark_rate(ax, lr, "lr", "right", 0.02)


def _name_axis(ax: Axes, name: str, number: int) -> None:
    """The axis' name in the colour of its line."""
    ax.set_ylabel(f"{name} (line: smoothed)", color=COLOURS[number])
    ax.tick_params(axis="y", colors=COLOURS[number])


def _limit_loss(ax: Axes, curves: Sequence[clrcore.Curve], *, everything: bool) -> None:
    """Limits of the loss: around all points, or from the lowest to a little above the start."""
    if everything:
        raw = [curve.loss for curve in curves if curve.loss is not None]
        low, high = _limits(raw)
        sizes = np.abs(np.concatenate(raw))
        typical = float(np.median(sizes[np.isfinite(sizes)])) if np.isfinite(sizes).any() else 0.0
        if typical > 0 and high > BLOW_UP * typical:
            ax.set_yscale("symlog", linthresh=typical)
            low = min(float(np.nanmin(column)) for column in raw) - 0.1 * typical
            high *= 2
        ax.set_ylim(low, high)
        return
    smoothed = [line[np.isfinite(line)] for line in (c.smoothed("loss") for c in curves)]
    smoothed = [line for line in smoothed if line.size]
    low, high = min(line.min() for line in smoothed), max(line[0] for line in smoothed)
    fall = (high - low) or abs(high) or 1.0
    ax.set_ylim(low - 0.12 * fall, high + 0.2 * fall)


def _limits(columns: Sequence[Floats]) -> tuple[float, float]:
    """From the lowest to the highest value, with a margin: a smoothed line may overshoot."""
    finite = np.concatenate(columns)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 0.06
    return low - margin, high + margin


def _accuracy_name(curves: Sequence[clrcore.Curve]) -> str:
    """Whether the accuracy is of held-out data, where all curves agree."""
    kind = curves[0].held_out
    if kind is None or any(curve.held_out != kind for curve in curves):
        return "accuracy"
    return "held-out accuracy" if kind else "training accuracy"


def _checked(curves: object) -> list[clrcore.Curve]:
    """The curves as a list."""
    allowed = "a Curve or a list of Curves, one per seed"
    if isinstance(curves, clrcore.Curve):
        curves = [curves]
    if not isinstance(curves, Sequence) or isinstance(curves, str | bytes):
        refuse(TypeError, "curves", allowed, curves)
    if not curves:
        refuse(ValueError, "curves", f"{allowed}, at least one", curves)
    for i, curve in enumerate(curves):
        check_type(f"curves[{i}]", curve, clrcore.Curve, "a Curve")
        if not len(curve):
            refuse(ValueError, f"curves[{i}]", "a Curve with at least one point", curve)
    return list(curves)
