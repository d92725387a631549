"""What a run leaves on the disk: files that are whole or not there, and the log."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch


class RunError(Exception):
    """A run's folder does not hold what it should."""


class Row(NamedTuple):
    """A row of the log.

    step: updates made. lr: rate of the last of them. loss: mean of the batches since the row
    before. test_accuracy: share of right test images, None where it was not looked at. seconds:
    time trained so far, looks included.
    """

    step: int
    lr: float
    loss: float
    test_accuracy: float | None
    seconds: float


class Log:
    """A CSV that is written row by row, and can be cut back to where a checkpoint was made.

    size: bytes to keep of what is there. note: a comment for the first line, if any.
    """

    def __init__(self, path: Path, size: int, note: str | None) -> None:
        there = path.stat().st_size if path.exists() else 0
        if there < size:
            raise RunError(
                f"{path} has {there} bytes, but its checkpoint was made after {size}: it was cut "
                f"by something else; delete {path.parent} to start it anew"
            )
        self._file = path.open("ab")
        self._file.truncate(size)
        if not size:
            self._write((f"# {note}\n" if note else "") + ",".join(Row._fields) + "\n")

    def write(self, row: Row) -> None:
        """Append a row, numbers with all their digits; the time is rounded."""
        seconds = f"{row.seconds:.3f}"
        cells = ["" if cell is None else repr(cell) for cell in row[:-1]]
        self._write(",".join([*cells, seconds]) + "\n")

    def saved(self) -> int:
        """See to it that all rows are on the disk; returns their size in bytes."""
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _write(self, text: str) -> None:
        self._file.write(text.encode("ascii"))
        self._file.flush()


def read_log(path: Path) -> list[Row]:
    """The rows of a log, without its comment."""
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
    """Write tensors and plain data; after a crash the file is the old one or the new one."""
    _replace(path, lambda file: torch.save(state, file))


def save_json(path: Path, data: dict[str, Any]) -> None:
    """Write plain data, as `save` does."""
    text = json.dumps(data, indent=2) + "\n"
    _replace(path, lambda file: file.write(text.encode("utf-8")))


def load(path: Path) -> dict[str, Any]:
    """What `save` wrote, its tensors on the CPU. Raises RunError for anything else.

    Networks and optimizers take them to their own device, and leave some where they are.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise RunError(
            f"{path} cannot be read ({type(error).__name__}: {error}); delete {path.parent} "
            "to start it anew"
        ) from error
    if not isinstance(state, dict):
        raise RunError(f"{path} holds no checkpoint; delete {path.parent} to start it anew")
    return state


def check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Refuse to go on with a run that was begun with other settings than these."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunError(
            f"{path} cannot be read ({error}); delete {path.parent} to start it anew"
        ) from error
    # As they come back from a file: tuples are lists there.
    now = json.loads(json.dumps(settings))
    differing = sorted(
        name for name in {*before, *now} if before.get(name, ...) != now.get(name, ...)
    )
    if differing:
        name = differing[0]
        raise RunError(
            f"{path.parent} holds a run with {name}={before.get(name)!r:.200}, but now it is "
            f"{now.get(name)!r:.200}: pass the same options again, another --out, or delete "
            f"{path.parent}"
        )


def _replace(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    # Written beside it and renamed, which is done as a whole or not at all.
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
