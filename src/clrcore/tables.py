"""Curves as files of columns: finding the columns, naming the line that is wrong."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import shutil
from contextlib import suppress

from .arguments import refuse

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
}


# Cells that say that there is nothing.
MISSING = {"", "na", "n/a", "none", "null", "-"}


def text(source: object) -> tuple[str, str]:
    """The text of a path or an open file, and what errors say before a line's number.

    Raises TypeError for anything else, ValueError that names the line for what is not UTF-8.
    """
    where = "line"
    if isinstance(source, str | os.PathLike):
        with open(source, "rb") as file:
            content: object = file.read()
        where = f"{os.fspath(source)}, line"
    elif hasattr(source, "read"):
        content = source.read()
    else:
        refuse(TypeError, "path", "a path or an open file", source)
    if isinstance(content, bytes):
        try:
            content = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise ValueError(f"{where} {line}: not UTF-8 text; save the file as UTF-8") from None
    return str(content).removeprefix("\ufeff"), where


def read(
    text: str, where: str, names: Mapping[str, str | None]
) -> tuple[dict[str, list[float]], bool | None]:
    """The columns lr, loss and accuracy of a file, and whether its accuracy is held out.

    text: the file's text; cells separated by comma, semicolon or tab, a header first.
    where: what errors say before a line's number. names: columns asked for, None for the
    usual ones. Raises ValueError that names the line.
    """
    header_line = next((line for line in text.splitlines() if _counts(line)), "")
    delimiter = max(",;\t", key=header_line.count)
    rows = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    header: list[str] = []
    columns: dict[str, int] = {}
    numbers: dict[str, list[float]] = {}
    try:
        for row in rows:
            at = f"{where} {rows.line_num}"
            if not _counts("".join(row)):
                continue
            if not header:
                header = [_normal(cell) for cell in row]
                columns = _find(header, at, names)
                numbers = {key: [] for key in columns}
                continue
            if len(row) != len(header):
                raise ValueError(f"{at}: {len(row)} cells, but the header has {len(header)}")
            for key, index in columns.items():
                numbers[key].append(_number(key, row[index], at))
    except csv.Error as error:
        raise ValueError(f"{where} {rows.line_num}: {error}") from None
    if not header:
        raise ValueError(f"{where} 1: the file is empty; it needs a header line and numbers")
    held_out = None
    if "accuracy" in columns and header[columns["accuracy"]].startswith(("val", "test")):
        held_out = True
    return numbers, held_out


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


def _find(header: list[str], at: str, names: Mapping[str, str | None]) -> dict[str, int]:
    """Which column holds what."""
    found = {}
    for key, usual in USUAL.items():
        asked = names[key]
        if not isinstance(asked, str | None):
            refuse(TypeError, key, "a column's name or None", asked)
        wanted = usual if asked is None else (_normal(asked),)
        present = [name for name in wanted if name in header]
        if present:
            if header.count(present[0]) > 1:
                raise ValueError(f"{at}: more than one column {present[0]!r} for {key}")
            found[key] = header.index(present[0])
        elif asked is not None:
            raise ValueError(f"{at}: no column {asked!r} for {key}; the header has {header}")
    if all(_is_number(name) for name in header):
        raise ValueError(f"{at}: no header: the first line must name the columns, got {header}")
    if "lr" not in found:
        raise ValueError(
            f"{at}: no column of rates ({', '.join(USUAL['lr'])}) in the header {header}; "
            "name it with lr=..."
        )
    if len(found) < 2:
        raise ValueError(
            f"{at}: no column of losses or accuracies in the header {header}; name one with "
            "loss=... or accuracy=..."
        )
    return found


def _number(key: str, cell: str, at: str) -> float:
    text = cell.strip()
    if text.lower() in MISSING and key != "lr":
        return math.nan
    if not _is_number(text):
        raise ValueError(f"{at}: {key} must be a number, got {cell!r}")
    number = float(text)
    if key == "lr" and not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{at}: lr must be a finite number >= 0, got {cell!r}")
    return number


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # float() takes 1_000, no table means it


def _counts(line: str) -> bool:
    """Whether a line is more than white space, separators or a comment."""
    bare = line.strip(" \t\r\n,;")
    return bool(bare) and not bare.startswith("#")


def _normal(name: str) -> str:
    """A column's name as the usual ones are written: "Learning Rate" is learning_rate."""
    return "_".join(re.split(r"[\s/-]+", name.strip().lower()))
