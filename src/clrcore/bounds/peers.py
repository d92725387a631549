"""Rules of other finders, for comparison: one rate per curve, no statement how sure it is.

Definitions as in fastai's finder: the loss smoothed by a debiased exponential mean that looks
back, up to four times its lowest value; of its points, the first tenth and the last five are
not considered.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import NoBoundsError
from .fall import check_rising, recorded
from .loss import BASE_DECADES
from .reading import Reading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..curve import Curve
    from ..smoothing import Floats

BETA = 0.98
STOP = 4.0
SKIP_LAST = 5


def steepest(curve: Curve) -> Reading:
    """The rate at which the loss falls fastest per logarithm of the rate."""
    lr, loss = _considered(curve)
    slopes = np.diff(loss) / np.diff(np.log(lr))
    chosen = int(np.argmin(slopes))
    return _reading(lr, float(lr[chosen]), "the smoothed loss falls fastest there, per log rate")


def minimum(curve: Curve) -> Reading:
    """A tenth of the rate at which the loss is lowest."""
    lr, loss = _considered(curve)
    chosen = float(lr[int(np.argmin(loss))])
    return _reading(lr, chosen / 10.0, f"the smoothed loss is lowest at ten times it, {chosen:.3g}")


def _considered(curve: Curve) -> tuple[Floats, Floats]:
    """The rates and smoothed losses that these rules look at."""
    rates, values, _, _ = recorded(curve, "loss")
    check_rising(rates)
    losses = []
    mean, best = 0.0, math.inf
    for k, loss in enumerate(values.tolist(), start=1):
        if not math.isfinite(loss):
            break
        mean = BETA * mean + (1.0 - BETA) * loss
        smoothed = mean / (1.0 - BETA**k)
        losses.append(smoothed)
        best = min(best, smoothed)
        if smoothed > STOP * best:
            break
    n = len(losses)
    kept = slice(n // 10, n - SKIP_LAST)
    lr, smooth = rates[:n][kept], np.array(losses)[kept]
    # Rates that repeat, and 0, have no slope per log rate.
    distinct = (lr > 0.0) & (np.diff(lr, prepend=-1.0) > 0.0)
    if np.count_nonzero(distinct) < 2:
        raise NoBoundsError(
            f"too few points: {n} before this rule stops, of which it skips the first "
            f"tenth and the last {SKIP_LAST}; lower the sweep's start, or record more points"
        )
    return lr[distinct], smooth[distinct]


def _reading(lr: Floats, rate: float, why: str) -> Reading:
    chosen = math.log10(rate)
    warnings = {
        "certainty": "this rule says one rate and not how sure it is: the intervals of a single "
        "curve are that rate"
    }
    edges = (float(lr[0]), float(lr[-1]))
    if not edges[0] < rate < edges[1]:
        warnings["edge"] = (
            f"the rate is at the edge of what this rule looks at, lr={edges[0]:.3g} to "
            f"{edges[1]:.3g}: widen the sweep"
        )
    return Reading(
        base=chosen - BASE_DECADES,
        lr=chosen,
        top=chosen,
        lr_span=(chosen, chosen),
        top_span=(chosen, chosen),
        reasons=(f"lr and max_lr: {why}", "base_lr is max_lr / 4"),
        warnings=warnings,
    )
