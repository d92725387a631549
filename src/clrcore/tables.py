"""Curves as tables and lists of records: find the columns, name the line that is wrong."""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress

from . import cells
from .arguments import check_type, listed, refuse, shown
from .columns import HELD_OUT_GROUPS, USUAL, bare, normal
from .errors import TableError

# The metrics of a curve. A point needs a rate and at least one of them.
METRICS = ("loss", "accuracy")


def text(source: object) -> tuple[str, str | None]:
    """The text of a path or an open file, and the path where there is one.

    Raises TypeError for anything else, TableError with the line for text that is not UTF-8.
    """
    file = None
    if isinstance(source, str | os.PathLike):
        file = str(os.fspath(source))
        with open(source, "rb") as opened:
            content: object = opened.read()
    elif hasattr(source, "read"):
        content = source.read()
    else:
        content = None
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            problem = "not UTF-8 text; save the file as UTF-8"
            raise TableError.at(file, line, None, problem) from None
    if not isinstance(content, str):
        refuse(TypeError, "path", "a path, or an open file of text or bytes", source)
    return content.removeprefix("\ufeff"), file


def read(
    text: str, file: str | None, names: Mapping[str, str | None]
) -> tuple[dict[str, list[float]], bool | None]:
    """The columns of a table, and whether its accuracy is held out.

    Args:
        text: The table: cells separated by comma, semicolon, tab or spaces, with a header; two
            columns of numbers without a header are rates and losses.
        file: Path of the file, for errors.
        names: Columns asked for; None for the usual names.

    Raises:
        TableError: A cell cannot be read; the error has file, line and column.
    """
    (first_line, header), *rows = _split(text, file)
    if all(cells.parsed(name) is not None for name in header):
        rows, names_above = [(first_line, header), *rows], _names_above(text, first_line)
        if len(names_above) != len(header) != 2:
            problem = f"no header: the first line must name the columns, got {listed(header)}"
            raise TableError.at(file, first_line, None, problem)
        header = names_above if len(names_above) == len(header) else ["lr", "loss"]
    for line, row in rows:
        if len(row) != len(header):
            problem = f"{len(row)} cells, but the header has {len(header)}"
            if len(row) > len(header):
                problem += "; if these are decimals with a comma, write them with a point"
            raise TableError.at(file, line, None, problem)
    chosen = _find(header, names, file, first_line)
    entries = [(line, dict(zip(header, row, strict=True))) for line, row in rows]
    return _columns(entries, chosen, names, file, "line")


def read_records(
    records: Sequence[Mapping[str, object]], names: Mapping[str, str | None]
) -> tuple[dict[str, list[float]], bool | None]:
    """The columns of a list of dictionaries, and whether its accuracy is held out.

    Records without rate, loss and accuracy are left out: logs hold other things too.

    Raises:
        TypeError: For anything but a list of dictionaries with names as keys.
        TableError: With the number of the record that cannot be read.
    """
    check_type("records", records, list | tuple, "a list of dictionaries")
    for i, record in enumerate(records):
        if not isinstance(record, dict) or not all(isinstance(key, str) for key in record):
            refuse(TypeError, f"records[{i}]", "a dictionary with names as keys", record)
    keys = list(dict.fromkeys(key for record in records for key in record))
    if not keys:
        raise TableError.at(None, None, None, "the list holds no records with names and numbers")
    chosen = _find(keys, names, None, None)
    values = [name for key, name in chosen.items() if key != "updates"]
    entries = [
        (number, record)
        for number, record in enumerate(records, start=1)
        if any(record.get(name) is not None for name in values)
    ]
    return _columns(entries, chosen, names, None, "record")


def write(path: str | os.PathLike[str], columns: Mapping[str, Sequence[float]]) -> None:
    """Write columns of equal length, digits exact; the whole file or nothing."""
    target = os.path.realpath(path)  # the file a link points to, not the link
    if os.path.exists(target) and not os.path.isfile(target):
        _rows(target, "w", columns)  # a device or a pipe cannot be replaced
        return
    # Chance keeps two writers apart, and a short name fits where the target's own just does.
    draft = os.path.join(os.path.dirname(target), f".{os.urandom(8).hex()}.part")
    try:
        _rows(draft, "x", columns)
        if os.path.exists(target):
            shutil.copymode(target, draft)
        os.replace(draft, target)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(draft)
        if isinstance(error, OSError) and error.filename in (None, draft):
            error.filename = os.fspath(path)  # a full disk names no file
        raise


def _rows(path: str, mode: str, columns: Mapping[str, Sequence[float]]) -> None:
    with open(path, mode, newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _split(text: str, file: str | None) -> list[tuple[int, list[str]]]:
    """The cells of every line that holds any, with the number of the line."""
    header = next((line for line in text.splitlines() if _counts(line)), "")
    delimiter = max(",;\t", key=header.count)
    if delimiter not in header:  # columns of spaces
        lines = enumerate(text.splitlines(), start=1)
        rows = [(number, line.split()) for number, line in lines if _counts(line)]
        names = rows[0][1] if rows[1:] else []
        if names and all(len(row) == len(names) + 1 for _, row in rows[1:]):
            names.insert(0, "")  # pandas and R give the names of rows no header
    else:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
        )
        try:
            rows = [(reader.line_num, row) for row in reader if _counts("".join(row))]
        except csv.Error as error:
            raise TableError.at(file, reader.line_num, None, str(error)) from None
    if not rows:
        raise TableError.at(file, 1, None, "the file is empty; it needs a header line and numbers")
    return rows if delimiter == "," else cells.with_points(rows)


def _names_above(text: str, line: int) -> list[str]:
    """The names in a comment just above a line, where NumPy writes a header."""
    above = text.splitlines()[line - 2].strip() if line > 1 else ""
    if not above.startswith("#"):
        return []
    names = re.split("[,;\t]" if re.search("[,;\t]", above) else r"\s+", above.strip("# \t"))
    return [] if any(cells.parsed(name) is not None for name in names) else names


def _find(
    header: Sequence[str], names: Mapping[str, str | None], file: str | None, line: int | None
) -> dict[str, str]:
    """The names of the columns that hold rate, loss, accuracy and updates."""
    found = {}
    spellings = [[spelling(name) for name in header] for spelling in (normal, bare)]
    for key, usual in USUAL.items():
        asked = names[key]
        check_type(key, asked, str | None, "a column's name or None")
        if asked is not None and header.count(asked) == 1:
            fitting = [asked]
        else:
            wanted = usual if asked is None else (normal(asked),)
            fitting = _fitting(header, spellings, wanted)
        if len(fitting) > 1 and key != "updates":
            same = len(set(fitting)) == 1
            advice = "give each a name of its own" if same else f"name one with {key}=..."
            problem = f"more than one column for {key}: {listed(fitting)}; {advice}"
            raise TableError.at(file, line, fitting[0], problem)
        if fitting:
            found[key] = fitting[0]
        elif asked is not None:
            problem = f"no column {shown(asked)} for {key}; the columns are {listed(header)}"
            raise TableError.at(file, line, asked, problem)
    if "lr" not in found:
        problem = f"no column of rates ({', '.join(USUAL['lr'])}) among {listed(header)}; "
        if {"wall_time", "value"} <= set(spellings[0]):
            problem += "TensorBoard exports one file per scalar: join those of the rate and of the "
            problem += "loss by Step into one table with the columns lr and loss"
        elif any(re.search("[=:]", name) for name in header):
            problem += "this is no table: write the numbers below a line with the names lr and loss"
        else:
            problem += "name it with lr=..., or add it where the log has none"
        raise TableError.at(file, line, "lr", problem)
    if not any(key in found for key in METRICS):
        problem = f"no column of losses or accuracies among {listed(header)}; "
        problem += "name one with loss=... or accuracy=..."
        raise TableError.at(file, line, "loss", problem)
    return found


def _fitting(
    header: Sequence[str], spellings: Sequence[Sequence[str]], wanted: Sequence[str]
) -> list[str]:
    """The columns of the first name in `wanted` that any column has, in the first spelling."""
    for names in spellings:
        for name in wanted:
            if name in names:
                return [raw for raw, known in zip(header, names, strict=True) if known == name]
    return []


def _columns(
    entries: Sequence[tuple[int, Mapping[str, object]]],
    chosen: Mapping[str, str],
    names: Mapping[str, str | None],
    file: str | None,
    unit: str,
) -> tuple[dict[str, list[float]], bool | None]:
    """The numbers of each column, and whether the accuracy is held out.

    Where rates and metrics stand on different lines, the lines of a step are joined.
    """
    held_out = bare(chosen.get("accuracy", "")).startswith(HELD_OUT_GROUPS) or None
    apart = "updates" in chosen and any(
        cells.is_missing(row.get(chosen["lr"])) for _, row in entries
    )
    rows = [
        {
            key: cells.number(key, row.get(name), file, line, unit, may_miss=apart or key != "lr")
            for key, name in chosen.items()
        }
        for line, row in entries
    ]
    if apart:
        rows = _joined(rows)
        if not rows:
            problem = f"no step has a rate ({chosen['lr']}) and a metric; log both at each step"
            raise TableError.at(file, None, chosen["lr"], problem)
    columns = {key: [row[key] for row in rows] for key in chosen}
    if "updates" in columns and not _rising(columns["updates"]):
        if names["updates"] is not None:
            problem = f"updates must be whole numbers that rise from {unit} to {unit}"
            raise TableError.at(file, None, names["updates"], problem)
        del columns["updates"]
    return columns, held_out


def _joined(rows: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """The rows with a rate and a metric, joined by step, in the order of steps."""
    steps: dict[float, dict[str, float]] = {}
    for row in rows:
        known = {key: number for key, number in row.items() if not math.isnan(number)}
        if "updates" in known:
            steps.setdefault(known["updates"], dict.fromkeys(row, math.nan)).update(known)
    joined = [steps[step] for step in sorted(steps)]
    return [
        row
        for row in joined
        if not math.isnan(row["lr"])
        and not all(math.isnan(row.get(key, math.nan)) for key in METRICS)
    ]


def _rising(counts: Sequence[float]) -> bool:
    """Whether these are whole numbers >= 0 that rise."""
    whole = all(count >= 0 and float(count).is_integer() for count in counts)
    return whole and all(before < after for before, after in itertools.pairwise(counts))


def _counts(line: str) -> bool:
    """Whether a line is more than white space, separators, a comment or a note for Excel."""
    bare = line.strip(" \t\r\n,;")
    return bool(bare) and not bare.startswith("#") and bare.lower() != "sep="
