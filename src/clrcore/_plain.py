"""Columns of numbers as JSON has them: NaN and infinity as words, nothing as null."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .arguments import check_type, float_from_number, refuse

WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_plain(values: Iterable[float | None]) -> list[float | str | None]:
    """Floats as JSON data; NaN and infinity become "nan", "inf" and "-inf"."""
    return [x if x is None or math.isfinite(x) else repr(x) for x in values]


def from_plain(name: str, column: object) -> list[float | None]:
    """The floats that `to_plain` wrote."""
    values = check_type(name, column, list | tuple, "a list of numbers")
    return [_number(f"{name}[{i}]", value) for i, value in enumerate(values)]


def _number(name: str, value: object) -> float | None:
    allowed = 'a number, "nan", "inf", "-inf" or None'
    if value is None:
        return None
    if isinstance(value, str):
        if value not in WORDS:
            refuse(ValueError, name, allowed, value)
        return WORDS[value]
    return float_from_number(name, value, allowed)
