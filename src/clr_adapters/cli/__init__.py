"""The command `clrcore`: one module per subcommand, which imports what is slow when it runs."""

from __future__ import annotations

import io
import sys

import clrcore

try:
    import click
except ImportError as error:
    raise ImportError(
        f'the command clrcore needs click and rich: pip install "clrcore[cli]" ({error})'
    ) from error

from . import plot, suggest
from ._ends import Group
from .demo import command


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(clrcore.__version__, prog_name="clrcore")
def main() -> None:
    """Cyclical learning rates and the range test.

    Ends with 0 when all is done, 1 if it failed, 2 for wrong options or files that are not there,
    3 if the curves carry no bounds, 130 if it was interrupted.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character the terminal's encoding lacks must not end a run of two minutes.
        sys.stdout.reconfigure(errors="replace")


main.add_command(command.demo)
main.add_command(plot.plot)
main.add_command(suggest.suggest)
