"""The fitted numbers of the rules. `python benchmarks/bounds.py FOLDER --fit` reproduces them.

They were fitted on 47 small settings and 17 at real length, so that at most a point of the older
score drops for the newer. The interval of confirmed rates is fitted with the confirmation.
"""

from __future__ import annotations

from typing import NamedTuple


class Number(NamedTuple):
    """A fitted number.

    Attributes:
        value: The value in use.
        meaning: What it means, with its unit.
        tried: The smallest and the largest value tried.
        halved: Drop of the score with half the value, in points of good rates or coverage.
        doubled: Drop of the score with twice the value.
    """

    value: float
    meaning: str
    tried: tuple[float, float]
    halved: float
    doubled: float


NUMBERS = {
    "centre_power": Number(
        6.0,
        "a point that has reached this fraction of the fall has a weight of its power in the "
        "centre: half of the fall counts for a sixtieth, nine tenths for a half",
        (1.0, 24.0),
        0.5,
        1.9,
    ),
    "trained": Number(
        0.3,
        "decades by which an endlessly slow exponential sweep reads too high, as the network comes "
        "to each rate already trained by those before",
        (0.0, 1.0),
        4.0,
        10.6,
    ),
    "trained_linear": Number(
        0.4, "the same for a linear sweep, which trains more", (0.0, 1.2), 1.5, 3.3
    ),
    "lag_updates": Number(
        4.0,
        "updates by which the loss answers late to a rate; times decades per update it is the "
        "lag of an exponential sweep",
        (0.0, 12.0),
        5.1,
        7.8,
    ),
    "end_weight": Number(
        170.0,
        "times the cube of decades per update: the weight of the rate at which the loss rises "
        "again, against the centre",
        (0.0, 600.0),
        0.7,
        1.3,
    ),
    "plateau": Number(
        0.9,
        "decades above 80 % of the fall beyond which a plateau does not depend on the best rate",
        (0.3, 3.0),
        2.9,
        0.6,
    ),
    "started": Number(
        0.3,
        "fraction of the rise at which accuracy has started to rise on an exponential ramp, where "
        "noise alone crosses low levels",
        (0.05, 0.6),
        2.7,
        0.5,
    ),
    "started_linear": Number(0.1, "the same on a linear ramp", (0.02, 0.4), -0.2, 2.7),
    "fell": Number(
        0.95, "fraction of the rise below which accuracy has fallen again", (0.5, 0.99), 2.0, 1.2
    ),
    "late": Number(
        0.15, "decades by which accuracy falls late on a linear ramp", (0.0, 0.6), 0.7, 0.2
    ),
    "lr_below": Number(
        0.5,
        "decades from lr less the lag down to the best constant rate, in 19 of 20",
        (0.2, 1.5),
        5.1,
        -2.1,
    ),
    "lr_above": Number(0.65, "decades from lr up to it, in 19 of 20", (0.2, 1.5), 16.7, -7.1),
    "lr_below_unsure": Number(
        0.9, "the first for few points, a slow start, a start not seen", (0.2, 1.5), 8.6, -2.6
    ),
    "lr_above_open": Number(
        1.3, "the second where the end of the plateau was not seen", (0.2, 2.0), 21.2, -10.9
    ),
    "trains_below": Number(
        0.65,
        "decades from where the loss rises again down to the largest rate that trains, 19 of 20",
        (0.2, 1.5),
        25.3,
        -10.7,
    ),
    "trains_above": Number(0.6, "decades from there up to it, in 19 of 20", (0.2, 1.5), 4.4, -3.0),
    "trains_above_open": Number(
        0.8, "the same where the end of the plateau was not seen", (0.2, 2.0), 33.6, -3.6
    ),
}


def fitted(name: str) -> float:
    """The value of a fitted number."""
    return NUMBERS[name].value
