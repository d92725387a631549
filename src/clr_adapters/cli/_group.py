"""The command itself, and how it ends: interrupted, or unable to write."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

import click

import clrcore

from . import plot, suggest
from .demo import command

INTERRUPTED = 130


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
            if not isinstance(error, BrokenPipeError):  # the reader has gone: be quiet
                click.echo(f"Error: {error}", err=True)
            sys.exit(1)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command; lead on from the range test that people look for."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            words = args[0].lower().replace("_", "-").split("-")
            if {"lr", "find", "finder", "range"} & set(words):
                advice = (
                    "A range test runs in your training: range_test in clr_adapters.torch, keras, "
                    "jax and others. `clrcore suggest FILE` reads its curve."
                )
                raise click.UsageError(f"{error.message} {advice}", ctx) from error
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; report where Ctrl-C has ended it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted; nothing more is written.", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(clrcore.__version__, prog_name="clrcore")
def main() -> None:
    """Cyclical learning rates and the range test.

    The exit code is 0 for success, 1 for a failure, 2 for wrong options or missing files, 3 for
    curves that carry no bounds, 130 for an interrupt.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal cannot show must not end a run of two minutes.
        sys.stdout.reconfigure(errors="replace")


main.add_command(command.demo)
main.add_command(plot.plot)
main.add_command(suggest.suggest)
