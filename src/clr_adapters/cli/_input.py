"""Files that are read, the standard input among them."""

from __future__ import annotations

import sys

import click


def name(file: str) -> str:
    """What messages call a file; - is the standard input."""
    return "standard input" if file == "-" else click.format_filename(file)


def content(file: str) -> bytes:
    """The bytes of a file, or of the standard input where it is -.

    Raises OSError, and click.ClickException where the caller has closed the standard input.
    """
    if file == "-" and sys.stdin is None:
        raise click.ClickException("standard input is closed")
    with click.open_file(file, "rb") as stream:
        return bytes(stream.read())
