"""Several curves of one setting, one per seed: one answer, and how far they agree.

Everything is in log rate, and sorted first, so that the order of the curves has no influence.
"""

from __future__ import annotations

import math

import numpy as np

from .kinds import BoundsWarning
from .reading import Reading
from .result import Bounds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Rates of seeds further apart than this factor deserve a warning.
DISAGREE = 3.0
# Log10 rates closer than this are one.
SAME = 1e-9


def combine(
    readings: Sequence[Reading],
    rule: str,
    edges: tuple[float | None, float],
    reasons: Sequence[str] = (),
    warnings: Sequence[BoundsWarning] = (),
) -> Bounds:
    """The bounds that the readings of one or several curves give together.

    edges: the smallest and the largest rate of the sweeps; no smallest one for ramps that start
    at 0, below which nothing lies. reasons, warnings: what is known
    besides, said first.
    """
    readings = sorted(readings, key=_order)
    n = len(readings)
    lr, top = _median([r.lr for r in readings]), _median([r.top for r in readings])
    base = _median([r.base for r in readings])
    low, high = _span(lr, [r.lr for r in readings], readings, "lr")
    least, most = _span(top, [r.top for r in readings], readings, "top")
    nearest = min(readings, key=lambda r: abs(r.lr - lr))
    reasons = [*reasons, *nearest.reasons]
    if n > 1:
        reasons.append(
            f"each rate is the median of {n} curves; the numbers in the reasons are those of the "
            "curve whose lr is nearest to it"
        )
    # Beyond a plateau whose end was seen, an interval may reach past the sweep.
    open_top = any("end_not_reached" in reading.warnings for reading in readings)
    spans = {"lr_interval": (low, high), "max_lr_interval": (least, most)}
    warnings = [*warnings, *_told(readings), *_edge_warnings(spans, edges, open_top)]
    factor = 10.0 ** (readings[-1].lr - readings[0].lr)
    if factor > DISAGREE:
        disagree = (
            f"the curves disagree: their lr are up to a factor {factor:.2g} apart, from "
            f"{10 ** readings[0].lr:.3g} to {10 ** readings[-1].lr:.3g}; record more seeds or more "
            "points"
        )
        warnings.append(BoundsWarning(disagree, "seeds_disagree"))
    return Bounds(
        base_lr=10.0**base,
        max_lr=10.0**top,
        lr=10.0**lr,
        lr_interval=(10.0**low, 10.0**high),
        max_lr_interval=(10.0**least, 10.0**most),
        rule=rule,
        reasons=reasons,
        warnings=warnings,
    )


def _order(reading: Reading) -> tuple[object, ...]:
    return reading.lr, reading.top, reading.base, reading.reasons


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def _span(
    centre: float, values: Sequence[float], readings: Sequence[Reading], name: str
) -> tuple[float, float]:
    """The median interval around the centre, wider by the distance of the farthest seed.

    The two are independent: what the method gets wrong for all seeds, and what a seed does.
    """
    below = centre - _median([getattr(r, f"{name}_low") for r in readings])
    above = _median([getattr(r, f"{name}_high") for r in readings]) - centre
    return (
        centre - math.hypot(below, centre - min(values)),
        centre + math.hypot(above, max(values) - centre),
    )


def _told(readings: Sequence[Reading]) -> list[BoundsWarning]:
    """The curves' own warnings, each kind once, with how many curves show it."""
    told = []
    kinds = sorted({kind for reading in readings for kind in reading.warnings})
    for kind in kinds:
        shown = [reading.warnings[kind] for reading in readings if kind in reading.warnings]
        where = f"{len(shown)} of {len(readings)} curves: " if len(readings) > 1 else ""
        told.append(BoundsWarning(where + sorted(shown)[0], kind))
    return told


def _edge_warnings(
    spans: Mapping[str, tuple[float, float]], edges: tuple[float | None, float], open_top: bool
) -> list[BoundsWarning]:
    """Which intervals touch the end of the sweep, where nothing more is known."""
    first, last = edges
    found = []
    for name, (start, end) in spans.items():
        if first is not None and start <= first + SAME:
            found.append(
                f"{name} touches the sweep's first rate: what it is meant to contain may be "
                f"smaller; lower the sweep's start below {10**first:.3g}"
            )
        if open_top and end >= last - SAME:
            found.append(
                f"{name} touches the sweep's last rate: what it is meant to contain may be "
                f"larger; raise the sweep's top above {10**last:.3g}"
            )
    return [BoundsWarning(sentence, "interval_at_edge") for sentence in found]
