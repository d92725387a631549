"""Curves from the files of any tool: tables, and lists in JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import click

import clrcore
from clrcore.arguments import listed

from . import _io

COLUMNS = "; columns are chosen with --lr, --loss and --accuracy"


def read(file: str, given: Mapping[str, Any]) -> clrcore.Curve:
    """The curve in a file.

    Args:
        file: A path, or - for the standard input. The file holds a table as `Curve.from_csv`
            reads it, or as JSON a dictionary of lists, a list of records, or what
            `Curve.to_dict` makes.
        given: Arguments of `Curve.from_csv`, those that an option was given for.

    Raises:
        click.ClickException: With the name of the file, and the line of a table.
        click.UsageError: For an option's value that is not allowed, and where `held_out` is
            given for a curve without accuracy.
    """
    name = _io.name(file)
    try:
        content = _io.content(file)
        if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
            curve = _from_json(json.loads(content.decode("utf-8-sig")), given)
        else:
            curve = clrcore.Curve.from_csv(io.BytesIO(content), **given)
    except RecursionError:
        raise click.ClickException(f"{name}: nested too deeply to be a curve") from None
    except clrcore.TableError as error:
        hint = COLUMNS if error.column is not None else ""
        raise click.ClickException(f"{name}: {error}{hint}") from error
    except (OSError, TypeError, ValueError) as error:
        if isinstance(error, clrcore.ArgumentError) and error.argument in given:
            raise click.UsageError(_io.explained(error, given)) from error
        raise click.ClickException(f"{name}: {error}") from error
    if "held_out" in given and curve.accuracy is None:
        flag = "--held-out" if given["held_out"] else "--training"
        raise click.UsageError(
            f"{flag} tells what an accuracy is of, but {name} has none; name its column with "
            "--accuracy, or leave the option out"
        )
    return curve


def _from_json(data: Any, given: Mapping[str, Any]) -> clrcore.Curve:
    """The curve in a dictionary of lists, a list of records, or a dictionary of our own."""
    if isinstance(data, list):
        return clrcore.Curve.from_records(data, **given)
    if "version" in data:
        facts = {
            key: value for key, value in given.items() if key not in ("lr", "loss", "accuracy")
        }
        return clrcore.Curve.from_dict({**data, **facts})
    lists = {key: value for key, value in data.items() if isinstance(value, list)}
    if not lists:
        raise ValueError(
            f"no lists among the keys {listed(data)}; "
            'it must be a table, or JSON such as {"lr": [...], "loss": [...]}'
        )
    if len(set(map(len, lists.values()))) > 1:
        lengths = ", ".join(f"{len(value)} in {key!r}" for key, value in list(lists.items())[:10])
        raise ValueError(f"the lists must be equally long, got {lengths}")
    rows = zip(*lists.values(), strict=True)
    return clrcore.Curve.from_records([dict(zip(lists, row, strict=True)) for row in rows], **given)
