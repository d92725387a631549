"""Pictures that a command leaves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clr_adapters import _files

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = {".png": "png", ".svg": "svg"}


def picture(text: str) -> Path:
    """The path in an option; a refusal unless it ends in .png or .svg, in any case."""
    path = Path(text)
    if path.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"{text!r} must end in .png or .svg")
    if path.is_dir():
        raise click.BadParameter(f"{text!r} must be a file, but it is a folder")
    return path


def needs_plot() -> Any:
    """The module of pictures; says what to install where matplotlib is missing."""
    try:
        from clr_adapters import plot
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    return plot


def save(ax: Axes, path: Path) -> None:
    """Write the figure of `ax` in the format of the path's suffix, and say so on stderr."""
    import matplotlib

    kind = FORMATS[path.suffix.lower()]
    # Without a date and with a salt, the same picture is the same file.
    metadata = {"Date": None} if kind == "svg" else None
    figure = ax.figure.figure
    try:
        with matplotlib.rc_context({"svg.hashsalt": "clrcore"}):
            _files.write(path, lambda file: figure.savefig(file, format=kind, metadata=metadata))
    except OSError as error:
        raise click.ClickException(
            f"{click.format_filename(path)} cannot be written: {error}"
        ) from error
    click.echo(f"Written: {click.format_filename(path)}", err=True)
