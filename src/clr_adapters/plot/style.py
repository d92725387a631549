"""What all pictures share: size, colours, line styles, labels and legends.

Lines differ by colour (Okabe and Ito's, which the colour-blind can distinguish) and by line style
or width, for black-and-white printers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from clrcore.arguments import check_type

Floats = NDArray[np.float64]

# Letters of 10 points in a picture this narrow can be read on a phone.
SIZE = (5.2, 3.7)
DPI = 160

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (6, 2)),
    (0, (1.5, 1.2)),
    (0, (6, 2, 1.5, 2)),
    (0, (10, 3)),
    (0, (3, 1, 1, 1, 1, 1)),
)
# For more lines than there are line styles.
WIDTHS = (1.8, 1.0, 2.8)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# More marks than this on one line hide it.
MOST_MARKS = 60

# Inches: the size of the letters (10 points), and the length of a line in the legend.
EM = 10 / 72
LEGEND_LINE = 3.2 * EM

LR_LABEL = "learning rate"
STEP_LABEL = "step (updates)"


class Picture(Axes):
    """Axes that a notebook shows as a picture."""

    def _repr_png_(self) -> bytes:
        """The figure, for IPython's display."""
        return png(self)


def png(ax: Axes) -> bytes:
    """The figure of `ax` as PNG."""
    file = io.BytesIO()
    ax.figure.figure.savefig(file, format="png")
    return file.getvalue()


def axes(ax: Axes | None) -> Axes:
    """The Axes to draw on, by default of a new Figure, with a faint grid."""
    if ax is None:
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        ax = figure.add_subplot(axes_class=Picture)
    check_type("ax", ax, Axes, "None or a matplotlib Axes")
    ax.grid(True, color="0.9", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def title(ax: Axes, message: str) -> None:
    """Write the picture's message above it, on a Figure of our own; others have their titles."""
    if isinstance(ax, Picture):
        ax.figure.suptitle(message, x=0.02, ha="left", fontsize=11, weight="bold")


def line_style(i: int) -> dict[str, Any]:
    """Colour, dashes and width of line number i."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[i % len(DASHES)],
        "linewidth": WIDTHS[i // len(DASHES) % len(WIDTHS)],
    }


def marks(i: int, before: int, places: Sequence[int]) -> dict[str, Any]:
    """Marks at some points of line i; none where there are too many to be seen.

    Args:
        i: Number of the line.
        before: Number of lines that have marks already.
        places: Indices of the points.
    """
    if not 0 < len(places) <= MOST_MARKS:
        return {}
    return {
        "marker": MARKERS[i % len(MARKERS)],
        "markevery": list(places),
        # Policies with the same cycles have marks in the same places: the later, the smaller.
        "markersize": max(4.0, 7.0 - before),
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
    }


def mark_rate(
    ax: Axes, lr: float, name: str, align: str, height: float, *, thin: bool = False
) -> None:
    """A vertical line at a rate, with its name and value along it.

    Args:
        ax: The Axes, with rates on their x axis.
        lr: The rate.
        name: What the rate is called.
        align: The label's alignment: "right" puts it on the left of the line.
        height: Where the label begins, from 0 to 1.
        thin: Whether the line is the edge of a range.
    """
    line: dict[str, Any] = {"color": "black", "linewidth": 1.6, "zorder": 2.2}
    if thin:
        line = {"color": "0.25", "linewidth": 1.0, "zorder": 0.6}
    dashes: Any = "-" if thin else (0, (4, 2, 1, 2))
    label = f"{name} {lr:.2g}"
    ax.axvline(lr, linestyle=dashes, label=label, **line)
    place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    text: dict[str, Any] = {"ha": align, "va": "top" if height > 0.5 else "bottom", "fontsize": 9}
    box = {"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 0.5}
    off = (-2 if align == "right" else 2, 0)
    ax.annotate(label, (lr, height), off, **place, **text, rotation=90, zorder=4, bbox=box)


def name_lines(ax: Axes, lines: Sequence[Line2D]) -> None:
    """Write each label at the right end of its line; where that does not fit, make a legend."""
    ax.autoscale_view()
    ends = np.array([line.get_xydata()[-1] for line in lines])  # type: ignore[index]
    heights = np.sort(ax.transData.transform(ends)[:, 1])
    gap = 1.2 * EM * ax.figure.dpi
    if (ends[:, 0] != ends[0, 0]).any() or (np.diff(heights) < gap).any():
        legend(ax, lines)
        return
    for line, end in zip(lines, ends, strict=True):
        label, colour = str(line.get_label()), line.get_color()
        beside: dict[str, Any] = {"xytext": (5, 0), "textcoords": "offset points", "va": "center"}
        ax.annotate(label, (end[0], end[1]), color=colour, **beside)


def legend(ax: Axes, lines: Sequence[Line2D]) -> None:
    """Explain lines above the Axes, in as many columns as fit."""
    labels = [str(line.get_label()) for line in lines]
    column = LEGEND_LINE + 3 * EM + 0.53 * EM * max(map(len, labels))
    columns = max(1, min(3, int(ax.bbox.width / ax.figure.dpi / column)))
    above: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.3}
    size = LEGEND_LINE / EM
    ax.legend(lines, labels, **above, ncols=columns, frameon=False, handlelength=size)


def thousands(ax: Axes) -> None:
    """Write steps with separators."""
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    ax.xaxis.set_major_locator(MaxNLocator(5))


def percent(ax: Axes, values: Sequence[Floats]) -> float:
    """Write accuracies in percent, also those from 0 to 1; return the value of 100 %."""
    finite = np.concatenate([np.asarray(v).ravel() for v in values])
    finite = finite[np.isfinite(finite)]
    full = 1.0 if finite.size == 0 or finite.max() <= 1 else 100.0
    ax.yaxis.set_major_formatter(PercentFormatter(full))
    return full
