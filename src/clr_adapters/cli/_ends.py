"""How the command ends: interrupted, unable to write, or without bounds."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import click

INTERRUPTED = 130


class NoAnswer(click.ClickException):
    """The curves carry no bounds."""

    exit_code = 3


class Group(click.Group):
    """Commands that can be interrupted, and whose output may be cut short by `head`."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command line, by default that of the process, and exit."""
        if sys.stdout is None:  # closed by the caller
            sys.stdout = open(os.devnull, "w")
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                sys.stdout.flush()
        except OSError as error:
            # What is still in the buffer would fail again at the exit.
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not isinstance(error, BrokenPipeError):  # nobody reads any more: be quiet
                click.echo(f"Error: {error}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; say so where Ctrl-C has ended it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted; nothing more is written.", err=True)
            ctx.exit(INTERRUPTED)
