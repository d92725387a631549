"""Pictures of policies, range tests and trainings; needs matplotlib (extra `plot`).

Every function draws on the Axes it is given, or on a new Figure of its own outside pyplot, and
returns the Axes: save with `ax.figure.savefig(...)`, or pass `ax=plt.subplots()[1]` to see it
in a window. Lines differ by colour (Okabe and Ito's, which the colour-blind can tell apart) and
by line style or width, so that they survive a black-and-white printer. A mark on a line is the end
of a cycle; policies without cycles bear none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import clrcore
from clrcore.arguments import check_float, check_steps, refuse

try:
    import numpy as np
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, PercentFormatter
except ImportError as error:
    raise ImportError(
        f'clr_adapters.plot needs matplotlib: pip install "clrcore[plot]" ({error})'
    ) from error

from numpy.typing import NDArray

Floats = NDArray[np.float64]
Steps = NDArray[np.int64]

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

SHADE = (0.94, 0.89, 0.26)

# More points than this cannot be told apart on any screen, but take long to draw.
MOST_POINTS = 20_000
# More marks than this on one line hide it.
MOST_MARKS = 60
# Ends of cycles that are listed from step 0 on, to mark the few of them in the picture.
MOST_LISTED = 100_000

# Inches: the size of the key's letters (10 points), and the length of its lines.
EM = 10 / 72
KEY_LINE = 3.2 * EM

LR_LABEL = "learning rate"
STEP_LABEL = "step (updates)"
MARKS_LABEL = "marks: ends of cycles"


def plot_policy(
    policies: clrcore.Policy | Sequence[clrcore.Policy] | Mapping[str, clrcore.Policy],
    total_steps: int | None = None,
    *,
    start: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """The learning rate against the step, with a mark at every end of a cycle.

    A line without marks is of a policy without cycles, or of one with more than 60 in the
    picture.

    policies: one policy, a list of them, or a dictionary of them by label. In a list the
        label is the constructor's name.
    total_steps: steps start <= t < total_steps are drawn, at most 2**53. By default a policy
        that has an end is drawn up to it, and the others up to the last of these ends, or for
        five cycles.
    start: first step drawn, an integer >= 0.
    ax: where to draw; by default a new Figure.
    Returns the Axes. Raises TypeError or ValueError, naming the argument, for anything else.

    >>> import clrcore
    >>> from clr_adapters.plot import plot_policy
    >>> ax = plot_policy(clrcore.triangular(0.001, 0.006, step_size=2000))
    >>> ax.get_ylabel()
    'learning rate'
    """
    named = _named_policies(policies)
    start = check_steps("start", start, 0)
    if total_steps is None:
        stop = _default_stop(named)
        allowed = f"less than {stop}, where the picture ends unless total_steps is given"
    else:
        stop = check_steps("total_steps", total_steps)
        allowed = f"less than total_steps={stop}"
    if stop <= start:
        refuse(ValueError, "start", allowed, start)
    ax = _axes(ax)
    marked = 0
    for i, (label, policy) in enumerate(named.items()):
        last = policy.total_steps if total_steps is None and policy.total_steps else stop
        if last <= start:
            continue
        ends = _marked_ends(policy, start, last)
        steps = _steps(start, last, ends)
        look = _look(i) | _marks(i, marked, np.searchsorted(steps, ends).tolist())
        ax.plot(steps, policy(steps), label=label, clip_on=False, **look)
        marked += bool(ends)
        if len(named) == 1:
            for end in ends:
                ax.axvline(end, color="0.7", linewidth=0.8, zorder=0.5)
    if marked:
        _explain_marks(ax)
    ax.set_xlabel(STEP_LABEL)
    ax.set_ylabel(LR_LABEL)
    ax.set_ylim(bottom=0)
    _thousands(ax)
    _key(ax)
    return ax


def plot_range_test(
    curves: clrcore.Curve | Sequence[clrcore.Curve],
    bounds: clrcore.Bounds | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """A range test: raw points, smoothed lines, and the bounds that were read from it.

    curves: one curve, or a list with one per seed. Where there are several, thin lines are
        the seeds and the thick one is their mean, up to where the shortest ends.
    bounds: as `clrcore.suggest_bounds` gives them: base_lr to max_lr is shaded, lr marked.
    ax: where to draw; by default a new Figure.

    The loss is on the left axis and the accuracy on a second one on the right; what was not
    recorded is left out. The rate's axis is logarithmic for exponential sweeps. The loss is
    cut off where it has risen far above its start.
    Returns the Axes (with the loss if there is one, else with the accuracy). Raises TypeError
    or ValueError, naming the argument, for anything else.
    """
    seeds = _curves(curves)
    if bounds is not None and not isinstance(bounds, clrcore.Bounds):
        refuse(TypeError, "bounds", "None or what suggest_bounds returns", bounds)
    ax = _axes(ax)
    logarithmic = all(curve.sweep == "exponential" for curve in seeds)
    if logarithmic:
        ax.set_xscale("log")
    with_loss = [curve for curve in seeds if curve.loss is not None]
    with_accuracy = [curve for curve in seeds if curve.accuracy is not None]
    right = None
    if with_loss:
        _metric(ax, with_loss, "loss", 0)
        ax.set_ylabel("training loss")
        ax.set_ylim(*_loss_limits(with_loss))
    if with_accuracy:
        right = ax.twinx() if with_loss else ax
        right.spines["top"].set_visible(False)
        _metric(right, with_accuracy, "accuracy", 1)
        right.set_ylabel(_accuracy_name(with_accuracy))
        raw = [curve.accuracy for curve in with_accuracy if curve.accuracy is not None]
        _percent(right, raw)
        right.set_ylim(*_data_limits(raw))
    if with_loss and right is not None:
        for axis, colour in ((ax, COLOURS[0]), (right, COLOURS[1])):
            axis.yaxis.label.set_color(colour)
            axis.tick_params(axis="y", colors=colour)
    rates = np.concatenate([curve.lr for curve in seeds])
    ax.set_xlabel(LR_LABEL)
    if rates.min() < rates.max():  # else there is no range, and limits are made around the rate
        ax.set_xlim(rates.min(), rates.max())
    marks = [] if bounds is None else _bounds(ax, bounds)
    both = dict.fromkeys((ax, right))  # one and the same where there is only accuracy
    _key(*(axis for axis in both if axis is not None), marks=marks)
    return ax


def plot_comparison(
    results: Mapping[str, Mapping[str, Any]],
    *,
    target: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Accuracy against the step for several trainings, as a mean over seeds with a band.

    results: by label, {"steps": shape (looks,), "accuracy": shape (looks,) or (seeds, looks)};
        steps are updates made, accuracies from 0 to 1 or in percent. The band is the mean's
        standard error on either side; without several seeds there is none. Where the training
        had cycles, "cycle_ends" says after which updates, as `Policy.cycle_ends` returns them.
    target: an accuracy to be marked by a horizontal line, in the same unit.
    ax: where to draw; by default a new Figure.

    A mark is the end of a cycle: of those in "cycle_ends" that are among the steps, none where
    there are more than 60. A training without cycles bears no marks.
    The lowest accuracies, of the first steps, are cut off so that the ends can be told apart.
    Returns the Axes. Raises TypeError or ValueError, naming the argument, for anything else.
    """
    arms = _results(results)
    if target is not None:
        target = check_float("target", target)
    ax = _axes(ax)
    means = []
    marked = 0
    for i, (label, (steps, accuracy, ends)) in enumerate(arms.items()):
        mean = accuracy.mean(axis=0)
        means.append(mean)
        marks = _marks(i, marked, np.flatnonzero(np.isin(steps, ends)).tolist())
        ax.plot(steps, mean, label=label, **_look(i) | marks)
        marked += bool(marks)
        if len(accuracy) > 1:
            error = accuracy.std(axis=0, ddof=1) / len(accuracy) ** 0.5
            ax.fill_between(
                steps,
                mean - error,
                mean + error,
                color=COLOURS[i % len(COLOURS)],
                alpha=0.2,
                linewidth=0,
            )
    if marked:
        _explain_marks(ax)
    ax.set_xlabel(STEP_LABEL)
    ax.set_ylabel("accuracy")
    ax.set_xlim(left=0)
    full = _percent(ax, means)
    if target is not None:
        ax.axhline(target, color="0.35", linewidth=1, zorder=1)
        ax.annotate(
            f"target {100 * target / full:.4g}%",
            (1, target),
            xycoords=("axes fraction", "data"),
            xytext=(-4, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            color="0.35",
        )
    ax.set_ylim(*_accuracy_limits(means, target))
    _thousands(ax)
    _key(ax)
    return ax


# The parts of the pictures.


def _metric(ax: Axes, curves: Sequence[clrcore.Curve], metric: str, number: int) -> None:
    """Raw points, smoothed lines and their mean."""
    look = _look(number)
    colour, marker = look["color"], MARKERS[number]
    smoothed = [curve.smoothed(metric) for curve in curves]
    for curve in curves:
        raw = getattr(curve, metric)
        there = np.isfinite(raw)
        ax.plot(
            curve.lr[there],
            raw[there],
            linestyle="",
            marker=marker,
            markersize=2.5,
            markeredgewidth=0,
            color=colour,
            alpha=max(0.15, 0.45 / len(curves) ** 0.5),
            zorder=1.5,
        )
    heavy = {"color": colour, "linewidth": 2.4, "linestyle": look["linestyle"], "zorder": 3}
    if len(curves) == 1:
        ax.plot(curves[0].lr, smoothed[0], label=f"{metric}, smoothed", **heavy)
        return
    for curve, line in zip(curves, smoothed, strict=True):
        ax.plot(curve.lr, line, color=colour, linewidth=0.8, alpha=0.55, zorder=2)
    shortest = min(len(curve) for curve in curves)
    lr = curves[0].lr[:shortest]
    if all(np.array_equal(curve.lr[:shortest], lr) for curve in curves):
        mean = np.mean([line[:shortest] for line in smoothed], axis=0)
        ax.plot(lr, mean, label=f"{metric}, smoothed, mean of {len(curves)} seeds", **heavy)
    else:  # every seed had rates of its own: no mean, but the key must still name the lines
        ax.plot([], [], label=f"{metric}, smoothed, {len(curves)} seeds", **heavy)


def _bounds(ax: Axes, bounds: clrcore.Bounds) -> list[Artist]:
    """The shaded range from base_lr to max_lr, and a line at the rate for constant training."""
    low, high = bounds.base_lr, bounds.max_lr
    shade = ax.axvspan(
        low,
        high,
        facecolor=(*SHADE, 0.25),
        edgecolor=(0, 0, 0, 0.12),
        hatch="//",
        linewidth=0,
        zorder=0.4,
        label=f"base_lr {low:.2g} to max_lr {high:.2g}",
    )
    for edge in (low, high):
        ax.axvline(edge, color="0.25", linewidth=1, zorder=0.6)
    line = ax.axvline(
        bounds.lr,
        color="black",
        linewidth=1.6,
        linestyle=(0, (4, 2, 1, 2)),
        zorder=2.2,
        label=f"lr {bounds.lr:.2g} for a constant rate",
    )
    return [shade, line]


def _loss_limits(curves: Sequence[clrcore.Curve]) -> tuple[float, float]:
    """From below the lowest loss to a little above the start; a blow-up goes beyond."""
    lows, highs = [], []
    for curve in curves:
        smoothed = curve.smoothed("loss")
        finite = smoothed[np.isfinite(smoothed)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite[0]))
    if not lows:
        return 0.0, 1.0
    low, high = min(lows), max(highs)
    fall = (high - low) or abs(high) or 1.0
    return low - 0.12 * fall, high + 0.2 * fall


def _data_limits(values: Sequence[Floats]) -> tuple[float, float]:
    """From the lowest to the highest raw value, with a margin: a smoothed line may overshoot."""
    finite = np.concatenate(values)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.06 * (high - low) or 0.06 * abs(high) or 0.06
    return low - margin, high + margin


def _accuracy_limits(means: Sequence[Floats], target: float | None) -> tuple[float, float]:
    """Limits that keep the second half of the runs, and the target, well in sight."""
    top = max(float(np.max(mean)) for mean in means)
    top = top if target is None else max(top, target)
    halves = np.concatenate([mean[mean.size // 2 :] for mean in means])
    # The median run sets the scale: one that has collapsed may lie below the picture.
    typical = float(np.median(halves))
    marks = [typical] if target is None else [typical, target]
    span = max(top - min(marks), 0.01 * abs(top), 1e-12)
    return top - 8 * span, top + 1.5 * span


def _marked_ends(policy: clrcore.Policy, start: int, stop: int) -> list[int]:
    """The cycle ends to be marked: none where there are too many to be seen."""
    period = policy.period
    ends: Sequence[int]
    if period is not None and policy.completes(2 * period) is not None:
        ends = range((start // period + 1) * period, stop + 1, period)
    elif policy.locate(stop).cycle > MOST_LISTED:
        return []
    else:
        ends = [end for end in policy.cycle_ends(stop) if end > start]
    return list(ends) if len(ends) <= MOST_MARKS else []


def _steps(start: int, stop: int, ends: Sequence[int]) -> Steps:
    """Every step where there are not too many, else evenly chosen ones; and the ends."""
    if stop - start <= MOST_POINTS:
        steps = np.arange(start, stop)
    else:
        steps = np.linspace(start, stop - 1, MOST_POINTS).astype(np.int64)
    return np.union1d(steps, np.array(ends, dtype=np.int64))


def _default_stop(named: Mapping[str, clrcore.Policy]) -> int:
    lengths = [policy.total_steps for policy in named.values() if policy.total_steps]
    if not lengths:
        lengths = [
            # A policy of one cycle is drawn with a little of what it holds after it.
            5 * policy.period if policy.completes(2 * policy.period) else policy.period * 11 // 10
            for policy in named.values()
            if policy.period
        ]
    if not lengths:
        raise ValueError(
            "total_steps must be given where no policy has an end or cycles of one length, "
            f"got None for {', '.join(named)}"
        )
    return max(lengths)


def _accuracy_name(curves: Sequence[clrcore.Curve]) -> str:
    kinds = {curve.held_out for curve in curves}
    return {True: "held-out accuracy", False: "training accuracy", None: "accuracy"}[
        kinds.pop() if len(kinds) == 1 else None
    ]


def _look(i: int) -> dict[str, Any]:
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[i % len(DASHES)],
        "linewidth": WIDTHS[i // len(DASHES) % len(WIDTHS)],
    }


def _marks(i: int, before: int, places: list[int]) -> dict[str, Any]:
    """Marks at some points of line i: none at all where there are too many to be seen.

    before: how many lines have marks already.
    """
    if not 0 < len(places) <= MOST_MARKS:
        return {}
    return {
        "marker": MARKERS[i % len(MARKERS)],
        "markevery": places,
        # Policies with the same cycles have marks in the same places: the later, the smaller.
        "markersize": max(4.0, 7.0 - before),
        "markeredgecolor": "white",
        "markeredgewidth": 0.8,
    }


def _explain_marks(ax: Axes) -> None:
    """An entry of the key that says what marks are."""
    ax.plot([], [], " ", label=MARKS_LABEL)


def _axes(ax: Axes | None) -> Axes:
    """The Axes to draw on, with a faint grid."""
    if ax is None:
        ax = Figure(figsize=(8, 4.6), dpi=100, layout="constrained").subplots()
    elif not isinstance(ax, Axes):
        refuse(TypeError, "ax", "None or a matplotlib Axes", ax)
    ax.grid(True, color="0.9", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _key(*axes: Axes, marks: Sequence[Artist] = ()) -> None:
    """One key above the Axes, where it hides nothing, `marks` last."""
    handles = [handle for ax in axes for handle in ax.get_legend_handles_labels()[0]]
    handles = [handle for handle in handles if handle not in marks] + list(marks)
    labels = [str(handle.get_label()) for handle in handles]
    columns = 2 if max(map(len, labels), default=0) > 24 else 3
    while columns > 1 and _key_width(labels, columns) > _width(axes[0]):
        columns -= 1
    axes[0].legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.3,
        ncols=columns,
        frameon=False,
        handlelength=KEY_LINE / EM,
    )


def _key_width(labels: Sequence[str], columns: int) -> float:
    """About how wide a key is, in inches; its columns are filled one after another."""
    rows, longer = divmod(len(labels), columns)
    total, start = 0.0, 0
    for column in range(columns):
        stop = start + rows + (column < longer)
        longest = max(map(len, labels[start:stop]), default=0)
        total += KEY_LINE + EM + 0.53 * EM * longest
        start = stop
    return total + 2 * EM * (columns - 1)


def _width(ax: Axes) -> float:
    """The width of the Axes in inches, before the layout is made."""
    return float(ax.bbox.width / ax.figure.dpi)


def _thousands(ax: Axes) -> None:
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))


def _percent(ax: Axes, values: Sequence[Floats]) -> float:
    """Accuracies from 0 to 1 are written in percent; others are taken as percent already.

    Returns what 100 % is.
    """
    finite = np.concatenate([np.asarray(v).ravel() for v in values])
    finite = finite[np.isfinite(finite)]
    full = 1.0 if finite.size == 0 or finite.max() <= 1 else 100.0
    ax.yaxis.set_major_formatter(PercentFormatter(full))
    return full


# What is accepted.


def _named_policies(policies: object) -> dict[str, clrcore.Policy]:
    allowed = "a policy, a list of policies, or a dictionary of them by label"
    if isinstance(policies, clrcore.Policy):
        return {policies.constructor: policies}
    if isinstance(policies, Mapping):
        named = dict(policies)
    elif isinstance(policies, Sequence) and not isinstance(policies, str | bytes):
        named = {}
        for policy in policies:
            name = getattr(policy, "constructor", "policy")
            count = sum(label == name or label.startswith(f"{name} (") for label in named)
            named[f"{name} ({count + 1})" if count else name] = policy
    else:
        refuse(TypeError, "policies", allowed, policies)
    if not named:
        refuse(ValueError, "policies", f"{allowed}, at least one", policies)
    for label, policy in named.items():
        if not isinstance(label, str):
            refuse(TypeError, "policies", f"{allowed}; labels are strings", label)
        if not isinstance(policy, clrcore.Policy):
            refuse(TypeError, f"policies[{label!r}]", "a policy of clrcore", policy)
    return named


def _curves(curves: object) -> list[clrcore.Curve]:
    allowed = "a Curve or a list of Curves, one per seed"
    if isinstance(curves, clrcore.Curve):
        curves = [curves]
    if not isinstance(curves, Sequence) or isinstance(curves, str | bytes):
        refuse(TypeError, "curves", allowed, curves)
    if not curves:
        refuse(ValueError, "curves", f"{allowed}, at least one", curves)
    for i, curve in enumerate(curves):
        if not isinstance(curve, clrcore.Curve):
            refuse(TypeError, f"curves[{i}]", "a Curve", curve)
        if not len(curve):
            refuse(ValueError, f"curves[{i}]", "a Curve with at least one point", curve)
    return list(curves)


def _results(results: object) -> dict[str, tuple[Floats, Floats, Floats]]:
    """By label: steps, accuracy of shape (seeds, looks), and ends of cycles."""
    if not isinstance(results, Mapping):
        refuse(TypeError, "results", "a dictionary of trainings by label", results)
    if not results:
        refuse(ValueError, "results", "a dictionary with at least one training", results)
    arms = {}
    for label, result in results.items():
        name = f"results[{label!r}]"
        if not isinstance(result, Mapping) or not {"steps", "accuracy"} <= set(result):
            refuse(TypeError, name, 'a dictionary with "steps" and "accuracy"', result)
        steps = _array(f'{name}["steps"]', result["steps"])
        accuracy = np.atleast_2d(_array(f'{name}["accuracy"]', result["accuracy"]))
        if steps.ndim != 1 or not steps.size:
            refuse(ValueError, f'{name}["steps"]', "1-D and not empty", f"shape {steps.shape}")
        if accuracy.ndim != 2 or not accuracy.size or accuracy.shape[1] != steps.size:
            allowed = f"of shape ({steps.size},) or (seeds, {steps.size})"
            refuse(ValueError, f'{name}["accuracy"]', allowed, f"shape {accuracy.shape}")
        ends = _array(f'{name}["cycle_ends"]', result.get("cycle_ends", []))
        if ends.ndim != 1 or not (ends == np.floor(ends)).all() or (ends < 1).any():
            allowed = "a list of integers >= 1, as policy.cycle_ends(total_steps) returns them"
            refuse(ValueError, f'{name}["cycle_ends"]', allowed, result["cycle_ends"])
        arms[str(label)] = (steps, accuracy, ends)
    return arms


def _array(name: str, value: object) -> Floats:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        refuse(TypeError, name, "an array of numbers", value)
    if not np.isfinite(array).all():
        refuse(ValueError, name, "finite everywhere", value)
    return array
