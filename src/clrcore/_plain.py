"""Numbers as JSON has them: NaN and infinity as words, nothing as null."""

from __future__ import annotations

import math

from .arguments import float_from_number, refuse

WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_plain(value: float | None) -> float | str | None:
    """A float as JSON data; NaN and infinity become "nan", "inf" and "-inf"."""
    if value is None or math.isfinite(value):
        return value
    return repr(value)


def from_plain(name: str, value: object) -> float | None:
    """The float that `to_plain` wrote."""
    allowed = 'a number, "nan", "inf", "-inf" or None'
    if value is None:
        return None
    if isinstance(value, str):
        if value not in WORDS:
            refuse(ValueError, name, allowed, value)
        return WORDS[value]
    return float_from_number(name, value, allowed)
