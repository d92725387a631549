"""Curves as files of columns: finding the columns, naming the line that is wrong."""

from __future__ import annotations

import csv
import io
import math
import os
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What tools call these columns, the likelier first; held-out accuracy before the batch's own,
# as it is what the paper reads.
USUAL = {
    "lr": ("lr", "learning_rate", "lrs", "rate"),
    "loss": ("loss", "train_loss", "training_loss", "losses"),
    "accuracy": (
        "val_accuracy",
        "val_acc",
        "validation_accuracy",
        "test_accuracy",
        "test_acc",
        "accuracy",
        "acc",
        "train_accuracy",
        "train_acc",
    ),
}


def read(
    text: str, where: str, names: Mapping[str, str | None]
) -> tuple[dict[str, list[float]], bool | None]:
    """The columns lr, loss and accuracy of a file, and whether its accuracy is held out.

    text: the file's text; cells parted by comma, semicolon or tab, a header first.
    where: what errors say before a line's number. names: columns asked for, None for the
    usual ones. Raises ValueError that names the line.
    """
    header_line = text.lstrip().split("\n", 1)[0]
    delimiter = max(",;\t", key=header_line.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    columns: dict[str, int] = {}
    numbers: dict[str, list[float]] = {}
    try:
        for row in rows:
            at = f"{where} {rows.line_num}"
            if not any(cell.strip() for cell in row):
                continue
            if not header:
                header = [cell.strip().lower() for cell in row]
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
    folder = os.path.dirname(os.fspath(path)) or "."
    handle, draft = tempfile.mkstemp(dir=folder, suffix=".csv")
    try:
        with open(handle, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _find(header: list[str], at: str, names: Mapping[str, str | None]) -> dict[str, int]:
    """Which column holds what."""
    found = {}
    for key, usual in USUAL.items():
        asked = names[key]
        wanted = usual if asked is None else (asked.strip().lower(),)
        present = [name for name in wanted if name in header]
        if present:
            found[key] = header.index(present[0])
        elif asked is not None:
            raise ValueError(f"{at}: no column {asked!r} for {key}; the header has {header}")
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
    if not text and key != "lr":
        return math.nan
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{at}: {key} must be a number, got {cell!r}") from None
    if key == "lr" and not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{at}: lr must be a finite number >= 0, got {cell!r}")
    return number
