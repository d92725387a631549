"""Files that a command reads, pictures that it writes, and errors in the words of options."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import clrcore
from clr_adapters import _files
from clrcore.arguments import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = {".png": "png", ".svg": "svg"}


class NoAnswer(click.ClickException):
    """The curves carry no bounds."""

    exit_code = 3


def name(file: str) -> str:
    """What messages call a file; - is the standard input."""
    return "standard input" if file == "-" else click.format_filename(file)


def content(file: str) -> bytes:
    """The bytes of a file, or of the standard input where it is -."""
    if file == "-" and sys.stdin is None:
        raise click.ClickException("standard input is closed")
    with click.open_file(file, "rb") as stream:
        return bytes(stream.read())


def name_or_number(text: str) -> str | int:
    """The name of a column, or a number."""
    return int(text) if text.isdecimal() else text


def picture(text: str) -> Path:
    """The path in an option. It must end in .png or .svg, in any case."""
    path = Path(text)
    if path.suffix.lower() not in FORMATS:
        raise click.BadParameter(f"{text!r} must end in .png or .svg")
    if path.is_dir():
        raise click.BadParameter(f"{text!r} must be a file, but it is a folder")
    return path


def needs_plot() -> Any:
    """The module of pictures; without matplotlib the error names the package to install."""
    try:
        from clr_adapters import plot
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    return plot


def save(ax: Axes, path: Path) -> None:
    """Write the figure of `ax` in the format of the path's suffix, and report it on stderr."""
    import matplotlib

    kind = FORMATS[path.suffix.lower()]
    # Without a date and with a salt, the same picture is the same file.
    metadata = {"Date": None} if kind == "svg" else None
    figure = ax.figure.figure
    try:
        with matplotlib.rc_context({"svg.hashsalt": "clrcore"}):
            _files.write(path, lambda file: figure.savefig(file, format=kind, metadata=metadata))
    except OSError as error:
        message = f"{click.format_filename(path)} cannot be written: {error}"
        raise click.ClickException(message) from error
    click.echo(f"Written: {click.format_filename(path)}", err=True)


def option(argument: str) -> str:
    """The option for an argument of a function."""
    return "--" + argument.replace("_", "-")


def explained(error: Exception, arguments: Collection[str]) -> str:
    """An error's facts in terms of the options for `arguments`; other errors in their own words."""
    if not isinstance(error, clrcore.ArgumentError):
        return str(error)
    name, bracket, rest = error.argument.partition("[")
    if name not in arguments:
        return str(error)
    text = f"{option(name)}{bracket}{rest} must be {error.allowed}, got {shown(error.got)}"
    return f"{text}; {error.advice}" if error.advice else text
