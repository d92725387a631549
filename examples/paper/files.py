"""The files of a run: the log, and files that are replaced as a whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

from .errors import RunError


class Row(NamedTuple):
    """A row of the log.

    Attributes:
        step: Completed updates.
        lr: Rate of the last update.
        loss: Mean of the batches since the row before.
        test_accuracy: Fraction of correct test images, or None if it was not measured.
        seconds: Time so far, evaluations included.
    """

    step: int
    lr: float
    loss: float
    test_accuracy: float | None
    seconds: float


class Log:
    """A CSV file that is written row by row and can be cut back to a checkpoint.

    Args:
        path: The file.
        size: Bytes of the existing file to keep.
        note: A comment for the first line, or None.
    """

    def __init__(self, path: Path, size: int, note: str | None) -> None:
        there = path.stat().st_size if path.exists() else 0
        if there < size:
            raise RunError(
                f"{path} has {there} bytes, but its checkpoint belongs to {size}: another "
                f"program cut it; delete {path.parent} to start again"
            )
        self._file = path.open("ab")
        self._file.truncate(size)
        if not size:
            self._write((f"# {note}\n" if note else "") + ",".join(Row._fields) + "\n")

    def write(self, row: Row) -> None:
        """Append a row with all digits of its numbers; the time is rounded."""
        seconds = f"{row.seconds:.3f}"
        cells = ["" if cell is None else repr(cell) for cell in row[:-1]]
        self._write(",".join([*cells, seconds]) + "\n")

    def saved(self) -> int:
        """Write all rows to the disk; returns their size in bytes."""
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, text: str) -> None:
        self._file.write(text.encode("ascii"))
        self._file.flush()


def read_log(path: Path) -> list[Row]:
    """Read the rows of a log."""
    with path.open(newline="") as file:
        lines = [line for line in file if not line.startswith("#")]
    return [
        Row(
            int(cells["step"]),
            float(cells["lr"]),
            float(cells["loss"]),
            float(cells["test_accuracy"]) if cells["test_accuracy"] else None,
            float(cells["seconds"]),
        )
        for cells in csv.DictReader(lines)
    ]


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain data; after a crash the file is either old or new, and whole."""
    _replace(path, lambda file: torch.save(state, file))


def save_json(path: Path, data: dict[str, Any]) -> None:
    """Write plain data, as `save` does."""
    text = json.dumps(data, indent=2) + "\n"
    _replace(path, lambda file: file.write(text.encode("utf-8")))


def load(path: Path) -> dict[str, Any]:
    """Read a file of `save`, with tensors on the CPU.

    Raises:
        RunError: The file cannot be read or holds no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(
            f"{path} cannot be read ({type(error).__name__}: {error}); delete {path.parent} "
            "to start again"
        ) from error
    if not isinstance(state, dict):
        raise RunError(f"{path} holds no checkpoint; delete {path.parent} to start again")
    return state


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Refuse to resume a run with different settings."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(
            f"{path} cannot be read ({error}); delete {path.parent} to start again"
        ) from error
    # As a file returns them: tuples become lists.
    now = json.loads(json.dumps(settings))
    differing = sorted(
        name for name in {*before, *now} if before.get(name, ...) != now.get(name, ...)
    )
    if differing:
        name = differing[0]
        raise RunError(
            f"{path.parent} holds a run with {name}={before.get(name)!r:.200}, but now it is "
            f"{now.get(name)!r:.200}: pass the same options, pass another --out, or delete "
            f"{path.parent}"
        )


def _replace(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    # Renaming is atomic, so write a new file and rename it.
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
