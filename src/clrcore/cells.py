"""Reads numbers from the cells of tables, and advises on cells without a number."""

from __future__ import annotations

import math
import re
from contextlib import suppress

from .arguments import float_from_scalar, shown
from .columns import USUAL, bare
from .errors import TableError

# Numbers with decimals.
COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)
# Most rates of parameter groups in a cell.
MOST_GROUPS = 1000
# Cells that hold nothing.
MISSING = {"", "na", "n/a", "none", "null", "-"}


def with_points(rows: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """The rows with a point for the decimal comma, unless any number has a point already."""
    texts = [cell.strip() for _, row in rows for cell in row]
    if not any(map(COMMA.fullmatch, texts)) or any(map(POINT.fullmatch, texts)):
        return rows

    def pointed(cell: str) -> str:
        return cell.replace(",", ".") if COMMA.fullmatch(cell.strip()) else cell

    return [(line, [pointed(cell) for cell in row]) for line, row in rows]


def number(
    key: str, cell: object, file: str | None, line: int, unit: str, *, may_miss: bool
) -> float:
    """The number in a cell; NaN where it holds nothing and may."""
    found = parsed(cell)
    if found is None and is_missing(cell) and may_miss:
        return math.nan
    if found is None:
        problem = f"{key} must be a number, got {shown(cell)}{_advice(cell, unit)}"
        raise TableError.at(file, line, key, problem, unit)
    if key == "lr" and not (math.isfinite(found) and found >= 0):
        problem = f"lr must be a finite number >= 0, got {shown(cell)}"
        raise TableError.at(file, line, key, problem, unit)
    return found


def parsed(cell: object) -> float | None:
    """The number that a cell holds, None where it holds none."""
    if isinstance(cell, str) and cell.startswith("["):
        cell = cell.strip("[] ").split(",")
    if isinstance(cell, list | tuple):  # the rates of groups, as `scheduler.get_last_lr()` has them
        items = [item for item in cell[:MOST_GROUPS] if not isinstance(item, list | tuple)]
        rates = {parsed(item) for item in items}
        return rates.pop() if len(rates) == 1 and len(items) == len(cell) else None
    if isinstance(cell, str):
        with suppress(ValueError):
            return None if "_" in cell else float(cell)  # float() takes 1_000, no table means it
    elif not isinstance(cell, bool):
        with suppress(TypeError):
            return float_from_scalar("cell", cell)
    return None


def is_missing(cell: object) -> bool:
    """Whether a cell holds nothing."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def _advice(cell: object, unit: str) -> str:
    """What to do about a cell that is not a number."""
    if is_missing(cell):
        advice = f"; rate and loss must be in the same {unit}: join the lines of each step, and "
        return advice + "leave out lines without a rate"
    text = cell.strip() if isinstance(cell, str) else ""
    if isinstance(cell, list | tuple) or text.startswith("["):
        return "; keep the rate of a single parameter group"
    if COMMA.fullmatch(text):
        return "; write decimals with a point, and numbers without separators"
    if text.endswith("%"):
        return "; write it without the sign"
    if any(bare(text) in usual for usual in USUAL.values()):
        return "; a second header: give each run a file of its own"
    return ""
