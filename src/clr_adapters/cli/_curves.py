"""Curves from the files of any tool: tables, or lists in JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any

import click

import clrcore

from . import _input

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Keys of a dictionary that a message names.
MOST_KEYS = 10


def read(file: str, names: Mapping[str, Any], more: Mapping[str, Any]) -> clrcore.Curve:
    """The curve in a file.

    file: a path, or - for the standard input. A table as `Curve.from_csv` reads it, or a JSON
        dictionary of lists: the history of a tool, or what `Curve.to_dict` makes.
    names: columns or keys that hold lr, loss and accuracy, None for the usual ones.
    more: further arguments of `Curve`, None where they are to be inferred.
    Raises click.ClickException that names the file and, in tables, the line; click.UsageError
    where `held_out` is said of a curve without accuracy.
    """
    name = _input.name(file)
    try:
        content = _input.content(file)
        if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            curve = _from_json(content, names, more)
        else:
            curve = clrcore.Curve.from_csv(io.BytesIO(content), **names, **more)
    except (OSError, TypeError, ValueError) as error:
        raise click.ClickException(f"{name}: {_as_options(str(error))}") from error
    except RecursionError:
        raise click.ClickException(f"{name}: nested too deeply to be a curve") from None
    if more["held_out"] is not None and curve.accuracy is None:
        flag = "--held-out" if more["held_out"] else "--training"
        raise click.UsageError(
            f"{flag} says what an accuracy is of, but {name} has none; name its column by "
            "--accuracy, or leave the option out"
        )
    return curve


def _from_json(content: bytes, names: Mapping[str, Any], more: Mapping[str, Any]) -> clrcore.Curve:
    """The curve in the lists of a JSON dictionary."""
    data = json.loads(content.decode("utf-8-sig"))
    if not isinstance(data, dict):
        raise ValueError('must be a table or a JSON dictionary of lists, as {"lr": [...], ...}')
    recorded = {}
    if "version" in data:  # one of our own, which says more
        curve = clrcore.Curve.from_dict(data)
        recorded = {key: getattr(curve, key) for key in more}
    lists = {key: value for key, value in data.items() if isinstance(value, list)}
    if data and not lists:
        raise ValueError(
            f"no lists in it, only the keys {_shown(list(data))}; "
            'it must be as {"lr": [...], ...}'
        )
    lengths = {key: len(value) for key, value in lists.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the lists must be equally long, got {lengths}")
    # As a table, so that the names and the numbers mean the same in both.
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(lists)
    writer.writerows(zip(*lists.values(), strict=True))
    table.seek(0)
    given = {key: value for key, value in more.items() if value is not None}
    try:
        return clrcore.Curve.from_csv(table, **names, **recorded | given)
    except ValueError as error:
        raise ValueError(re.sub(r"^line (\d+): ", _entry, str(error))) from error


def _shown(keys: Sequence[str]) -> str:
    """The first few keys of a dictionary."""
    return ", ".join(map(repr, keys[:MOST_KEYS])) + (", ..." if len(keys) > MOST_KEYS else "")


def _entry(line: re.Match[str]) -> str:
    """Which entry of the lists a line of the table is; nothing for the header."""
    number = int(line[1])
    return f"entry {number - 2}: " if number > 1 else ""


def _as_options(message: str) -> str:
    """The message with options in the place of arguments."""
    return re.sub(r"\b(lr|loss|accuracy)=\.\.\.", r"--\1 NAME", message)
