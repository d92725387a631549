"""Curves as tables and lists of records: find the columns, name the line that is wrong."""

from __future__ import annotations

import csv
import io
import itertools
import math
import os
import re
import shutil
from contextlib import suppress

from .arguments import float_from_number, listed, refuse, shown
from .errors import TableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What tools call these columns, the likelier first; held-out accuracy before the batch's own,
# as it is what the paper reads, and the batch's loss before a held-out one, which is rarer.
USUAL = {
    "lr": ("lr", "learning_rate", "lrs", "rate"),
    "loss": (
        "loss",
        "train_loss",
        "training_loss",
        "losses",
        "val_loss",
        "valid_loss",
        "validation_loss",
        "test_loss",
    ),
    "accuracy": (
        "val_accuracy",
        "val_acc",
        "valid_accuracy",
        "valid_acc",
        "validation_accuracy",
        "test_accuracy",
        "test_acc",
        "accuracy",
        "acc",
        "train_accuracy",
        "train_acc",
    ),
    "updates": ("updates", "update", "global_step", "step", "iteration", "iter"),
}
# Cells that hold nothing.
MISSING = {"", "na", "n/a", "none", "null", "-"}
# Names of the columns in the order that they are written in.
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
        text: The table; cells separated by comma, semicolon or tab, a header first.
        file: Path of the file, for errors.
        names: Columns asked for; None for the usual names.

    Raises:
        TableError: With file, line and column of what cannot be read.
    """
    header_line = next((line for line in text.splitlines() if _counts(line)), "")
    delimiter = max(",;\t", key=header_line.count)
    rows = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    header: list[str] = []
    cells: list[tuple[int, list[str]]] = []
    try:
        for row in rows:
            if not _counts("".join(row)):
                continue
            if not header:
                header, first_line = row, rows.line_num
                continue
            if len(row) != len(header):
                problem = f"{len(row)} cells, but the header has {len(header)}"
                if len(row) > len(header):
                    problem += "; if these are decimals with a comma, write them with a point"
                raise TableError.at(file, rows.line_num, None, problem)
            cells.append((rows.line_num, row))
    except csv.Error as error:
        raise TableError.at(file, rows.line_num, None, str(error)) from None
    if not header:
        problem = "the file is empty; it needs a header line and numbers"
        raise TableError.at(file, 1, None, problem)
    if all(_parsed(name) is not None for name in header):
        problem = f"no header: the first line must name the columns, got {listed(header)}"
        raise TableError.at(file, first_line, None, problem)
    columns = _find(header, names, file, first_line)
    numbers = {
        key: [_number(key, row[index], file, line) for line, row in cells]
        for key, index in columns.items()
    }
    return _checked(numbers, header, columns, names, file)


def read_records(
    records: Sequence[Mapping[str, object]], names: Mapping[str, str | None]
) -> tuple[dict[str, list[float]], bool | None]:
    """The columns of a list of dictionaries, and whether its accuracy is held out.

    Records without rate, loss and accuracy are left out: logs hold other things too.

    Raises:
        TypeError: For anything but a list of dictionaries with names as keys.
        TableError: With the number of the record that cannot be read.
    """
    if not isinstance(records, list | tuple):
        refuse(TypeError, "records", "a list of dictionaries", records)
    for i, record in enumerate(records):
        if not isinstance(record, dict) or not all(isinstance(key, str) for key in record):
            refuse(TypeError, f"records[{i}]", "a dictionary with names as keys", record)
    keys = list(dict.fromkeys(key for record in records for key in record))
    if not keys:
        raise TableError.at(None, None, None, "the list holds no records with names and numbers")
    columns = _find(keys, names, None, None)
    chosen = {key: keys[index] for key, index in columns.items()}
    metrics = [chosen[key] for key in ("lr", *METRICS) if key in chosen]
    numbers: dict[str, list[float]] = {key: [] for key in chosen}
    for number, record in enumerate(records, start=1):
        if all(record.get(name) is None for name in metrics):
            continue
        for key, name in chosen.items():
            numbers[key].append(_number(key, record.get(name), None, number, unit="record"))
    return _checked(numbers, keys, columns, names, None)


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
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft)
        raise


def _rows(path: str, mode: str, columns: Mapping[str, Sequence[float]]) -> None:
    with open(path, mode, newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _find(
    header: Sequence[str], names: Mapping[str, str | None], file: str | None, line: int | None
) -> dict[str, int]:
    """The place of each column that was found, by its usual name."""
    normal = [_normal(name) for name in header]
    found = {}
    for key, usual in USUAL.items():
        asked = names[key]
        if not isinstance(asked, str | None):
            refuse(TypeError, key, "a column's name or None", asked)
        wanted = usual if asked is None else (_normal(asked),)
        present = [name for name in wanted if name in normal]
        if present and normal.count(present[0]) > 1:
            problem = f"more than one column {present[0]!r} for {key}"
            raise TableError.at(file, line, present[0], problem)
        if present:
            found[key] = normal.index(present[0])
        elif asked is not None:
            problem = f"no column {shown(asked)} for {key}; the columns are {listed(header)}"
            raise TableError.at(file, line, asked, problem)
    if "lr" not in found:
        problem = (
            f"no column of rates ({', '.join(USUAL['lr'])}) among {listed(header)}; name it "
            "with lr=..."
        )
        if {"wall_time", "value"} <= set(normal):
            problem += (
                "; TensorBoard exports one file per scalar: join those of the rate and of the loss "
                "by Step into one table with the columns lr and loss"
            )
        raise TableError.at(file, line, "lr", problem)
    if not any(key in found for key in METRICS):
        problem = (
            f"no column of losses or accuracies among {listed(header)}; name one with "
            "loss=... or accuracy=..."
        )
        raise TableError.at(file, line, "loss", problem)
    return found


def _checked(
    numbers: dict[str, list[float]],
    header: Sequence[str],
    columns: Mapping[str, int],
    names: Mapping[str, str | None],
    file: str | None,
) -> tuple[dict[str, list[float]], bool | None]:
    """The columns without a count of updates that was not asked for and does not rise."""
    if "updates" in numbers and not _rising(numbers["updates"]):
        if names["updates"] is not None:
            problem = "updates must be whole numbers that rise from line to line"
            raise TableError.at(file, None, names["updates"], problem)
        del numbers["updates"]
    held_out = None
    if "accuracy" in columns:
        held_out = _normal(header[columns["accuracy"]]).startswith(("val", "test")) or None
    return numbers, held_out


def _rising(counts: Sequence[float]) -> bool:
    """Whether these are whole numbers >= 0 that rise."""
    whole = all(count >= 0 and float(count).is_integer() for count in counts)
    return whole and all(before < after for before, after in itertools.pairwise(counts))


def _number(key: str, cell: object, file: str | None, line: int, unit: str = "line") -> float:
    """The number in a cell; NaN where a cell of a metric holds nothing."""
    number = _parsed(cell)
    if number is None and _is_missing(cell) and key != "lr":
        return math.nan
    if number is None:
        problem = f"{key} must be a number, got {shown(cell)}{_advice(cell, unit)}"
        raise TableError.at(file, line, key, problem, unit)
    if key == "lr" and not (math.isfinite(number) and number >= 0):
        problem = f"lr must be a finite number >= 0, got {shown(cell)}"
        raise TableError.at(file, line, key, problem, unit)
    return number


def _parsed(cell: object) -> float | None:
    """The number that a cell holds, None where it holds none."""
    if isinstance(cell, str):
        with suppress(ValueError):
            return None if "_" in cell else float(cell)  # float() takes 1_000, no table means it
    elif not isinstance(cell, bool):
        with suppress(TypeError):
            return float_from_number("cell", cell)
    return None


def _is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in MISSING)


def _advice(cell: object, unit: str) -> str:
    """What to do about a cell that is not a number."""
    if _is_missing(cell):
        return (
            f"; rate and loss must be in the same {unit}: join what belongs to one step, and leave "
            "out what has no rate"
        )
    if isinstance(cell, str) and re.fullmatch(r"[+-]?\d*,\d+", cell.strip()):
        return "; write decimals with a point"
    return ""


def _counts(line: str) -> bool:
    """Whether a line is more than white space, separators or a comment."""
    bare = line.strip(" \t\r\n,;")
    return bool(bare) and not bare.startswith("#")


def _normal(name: str) -> str:
    """A column's name as the usual names are written: "Learning Rate" is learning_rate."""
    return "_".join(re.split(r"[\s/-]+", name.strip().lower()))
