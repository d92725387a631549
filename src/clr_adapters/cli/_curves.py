"""Curves from the files of any tool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

import clrcore
from clr_adapters import logs

from . import _io

_LIGHTNING = "The files are results of Lightning's lr_find, as JSON; undo their running average."
_FASTAI = "The same for lrs and losses of fastai's recorder."
_OTHERS = "The same for the history of torch-lr-finder, or Ignite's results, with smooth_f=0.05."
# Finders that record a running average: the functions that undo it, and the help of their options.
FINDERS = {
    "lightning": (logs.from_lightning, _LIGHTNING),
    "fastai": (logs.from_fastai, _FASTAI),
    "torch-lr-finder": (logs.from_torch_lr_finder, _OTHERS),
}
COLUMNS = "; columns are chosen with --lr, --loss, --accuracy and --updates"


def read(file: str, given: Mapping[str, Any], *, finder: str | None = None) -> clrcore.Curve:
    """The curve in a file.

    Args:
        file: A path, or - for the standard input, of anything that `clr_adapters.logs` reads.
        given: Arguments of `Curve.from_csv`, those that an option was given for.
        finder: Name of the finder whose record the file holds, as JSON; a key of FINDERS.

    Raises:
        click.ClickException: With the name of the file, and the line of a table.
        click.UsageError: For an option's value that is not allowed, and where `held_out` is
            given for a curve without accuracy.
    """
    name = _io.name(file)
    try:
        if ".tfevents." in file or Path(file).is_dir():
            curve = logs.read_log(file, **given)
        elif finder is not None:
            curve = FINDERS[finder][0](logs.read_json(_io.content(file)))
        else:
            curve = logs.read_text(_io.content(file), **given)
    except clrcore.TableError as error:
        hint = COLUMNS if error.column is not None else ""
        raise click.ClickException(f"{name}: {error}{hint}") from error
    except (ImportError, OSError, TypeError, ValueError) as error:
        if isinstance(error, clrcore.ArgumentError) and error.argument in given:
            raise click.UsageError(_io.explained(error, given)) from error
        raise click.ClickException(f"{name}: {error}") from error
    if "held_out" in given and curve.accuracy is None:
        flag = "--held-out" if given["held_out"] else "--training"
        problem = f"{flag} describes an accuracy, but {name} has none"
        advice = "name its column with --accuracy, or leave the option out"
        raise click.UsageError(f"{problem}; {advice}")
    return curve
