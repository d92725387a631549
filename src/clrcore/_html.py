"""Tables for notebooks: HTML of text alone."""

from __future__ import annotations

from collections.abc import Iterable


def table(rows: Iterable[tuple[str, str]]) -> str:
    """A table with a name and a text in each row."""
    from html import escape  # here, as the command has no use for it

    cells = (f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{''.join(cells)}</table>"
