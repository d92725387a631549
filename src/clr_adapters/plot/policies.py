"""The picture of policies: the learning rate against the step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

import clrcore
from clrcore.arguments import check_steps, check_type, refuse

from . import style

# More points do not show on any screen, but take long to draw.
MOST_POINTS = 20_000
# Ends of cycles that are listed from step 0 on, to mark the few of them in the picture.
MOST_LISTED = 100_000
# A rate below this fraction of the picture's height shows as 0. If a line has this fraction
# of its steps there, the axis is logarithmic: for an exponential sweep, but not for one cycle.
TOO_LOW = 0.05
TOO_MANY = 0.25


def plot_policy(
    policies: clrcore.Policy | Sequence[clrcore.Policy] | Mapping[str, clrcore.Policy],
    total_steps: int | None = None,
    *,
    start: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """The learning rate against the step, with a mark at every end of a cycle.

    The mark is at the lowest rate of the end. A line without marks is of a policy without
    cycles, or has more than 60 in the picture. The axis of rates is logarithmic where a linear
    axis would show much of a line as 0.

    Args:
        policies: One policy, a list of policies, or a dictionary of policies by label. In a list
            the label is the constructor's name.
        total_steps: The steps start <= t < total_steps are drawn, at most 2**53. By default a
            policy that has an end is drawn up to it, and the others up to the last of these
            ends, or for five cycles.
        start: First step, an integer >= 0.
        ax: The Axes to draw on; by default those of a new Figure, which gets a title.

    Returns:
        The Axes.

    Raises:
        TypeError: For an argument of the wrong type; the message names it.
        ValueError: For a value that is not allowed, and where total_steps is needed.

    Example:
        >>> import clrcore
        >>> from clr_adapters.plot import plot_policy
        >>> ax = plot_policy(clrcore.triangular(0.001, 0.006, step_size=2000))
        >>> ax.get_ylabel()
        'learning rate'
    """
    named = _named(policies)
    start = check_steps("start", start, 0)
    if total_steps is None:
        stop = _default_stop(named)
        allowed = f"less than {stop}, where the picture ends by default"
    else:
        stop = check_steps("total_steps", total_steps)
        allowed = f"less than total_steps={stop}"
    if stop <= start:
        refuse(ValueError, "start", allowed, start)
    ax = style.axes(ax)
    lines = []
    marked = 0
    for i, (label, policy) in enumerate(named.items()):
        last = policy.total_steps if total_steps is None and policy.total_steps else stop
        if last <= start:
            continue
        ends = _marked_ends(policy, start, last)
        steps = _steps(start, last, ends)
        looks = style.line_style(i) | style.marks(i, marked, np.searchsorted(steps, ends).tolist())
        lines += ax.plot(steps, policy(steps), label=label, clip_on=False, **looks)
        marked += bool(ends)
        if len(named) == 1:
            for end in ends:
                ax.axvline(end, color="0.7", linewidth=0.8, zorder=0.5)
    ax.set_xlabel(style.STEP_LABEL + ("; marks are ends of cycles" if marked else ""))
    ax.set_ylabel(style.LR_LABEL)
    rates = [np.asarray(line.get_ydata(), float) for line in lines]
    if _needs_log(rates):
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    style.thousands(ax)
    if len(lines) > 1 or not isinstance(ax, style.Picture):
        style.name_lines(ax, lines)
    style.title(ax, _message(lines, stop - start))
    return ax


def _message(lines: Sequence[Line2D], num_steps: int) -> str:
    """The picture's title."""
    if len(lines) > 1:
        return f"{len(lines)} policies over {num_steps:,} steps"
    rates = np.asarray(lines[0].get_ydata(), float)
    low, high = f"{rates.min():.3g}", f"{rates.max():.3g}"
    span = low if low == high else f"{low} to {high}"
    return f"{lines[0].get_label()}: {span}, {num_steps:,} steps"


def _needs_log(rates: Sequence[NDArray[np.float64]]) -> bool:
    """Whether a linear axis would show too much of a line as 0."""
    top = max(line.max() for line in rates)
    if min(line.min() for line in rates) <= 0:
        return False
    return any(np.mean(line < TOO_LOW * top) >= TOO_MANY for line in rates)


def _marked_ends(policy: clrcore.Policy, start: int, stop: int) -> list[int]:
    """The steps of the cycle ends to be marked: none where there are too many to be seen.

    An end lies between two updates. The mark is at the lower of their rates: the first step of
    the next cycle, but the last step before it where the rate jumps up, as in warm restarts.
    """
    ends: Sequence[int]
    if policy.repeats:
        period = policy.period
        assert period is not None  # it repeats
        ends = range((start // period + 1) * period, stop + 1, period)
    elif policy.locate(stop).cycle > MOST_LISTED:
        return []
    else:
        ends = [end for end in policy.cycle_ends(stop) if end > start]
    if len(ends) > style.MOST_MARKS:
        return []
    return [end if policy(end) <= policy(end - 1) else end - 1 for end in ends]


def _steps(start: int, stop: int, ends: Sequence[int]) -> NDArray[np.int64]:
    """Every step, or evenly chosen steps where there are too many; and the ends."""
    if stop - start <= MOST_POINTS:
        steps = np.arange(start, stop)
    else:
        steps = np.linspace(start, stop - 1, MOST_POINTS).astype(np.int64)
    return np.union1d(steps, np.array(ends, dtype=np.int64))


def _default_stop(named: Mapping[str, clrcore.Policy]) -> int:
    """The last end of the policies, or five cycles."""
    lengths = [policy.total_steps for policy in named.values() if policy.total_steps]
    if not lengths:
        lengths = [
            # A policy of one cycle is drawn with a few steps of its last rate.
            5 * policy.period if policy.repeats else policy.period * 11 // 10
            for policy in named.values()
            if policy.period
        ]
    if not lengths:
        allowed = "given where no policy has an end or cycles"
        advice = f"the policies are {', '.join(named)}"
        refuse(ValueError, "total_steps", allowed, None, advice=advice)
    return max(lengths)


def _named(policies: object) -> dict[str, clrcore.Policy]:
    """The policies by label, checked."""
    allowed = "a policy, a list of policies, or a dictionary of policies by label"
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
        check_type("policies", label, str, f"{allowed}; labels are strings")
        check_type(f"policies[{label!r}]", policy, clrcore.Policy, "a policy of clrcore")
    return named
