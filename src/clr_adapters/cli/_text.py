"""Text on a terminal: wrapped sentences, and tables whose cells are never cut."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

NARROWEST, WIDEST = 40, 100


def width() -> int:
    """Columns for sentences: those of the terminal, within limits that can be read."""
    return min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph in lines of the terminal's width; lines after the first are indented."""
    return textwrap.fill(text, width(), subsequent_indent=indent, break_long_words=False)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns, the first aligned left and the others right, whatever the terminal."""
    sizes = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(size) if i else cell.ljust(size)
            for i, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ).rstrip()
        for row in rows
    )
