"""Tables on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

MOST_COLUMNS = 200


def print_whole(console: Console, table: Table) -> None:
    """Print a table without cutting its numbers, however narrow the terminal is."""
    from rich.console import Console
    from rich.measure import Measurement

    wide = console.options.update_width(MOST_COLUMNS)
    needed = Measurement.get(console, wide, table).maximum
    Console(width=max(console.width, needed), highlight=False).print(table, crop=False)
