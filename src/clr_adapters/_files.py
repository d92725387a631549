"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write the file at `path` by `fill`, as `replaced` does; raises the exceptions of `fill`."""
    with replaced(path) as draft, draft.open("r+b") as file:
        fill(file)


@contextmanager
def replaced(path: Path, suffix: str = "") -> Iterator[Path]:
    """The path of an empty draft, which replaces the file at `path` once the block has filled it.

    Missing folders are created. If `path` is a link, its target is replaced. An OSError names the
    file. After any exception nothing has changed except the folders; after a power failure the
    file is the old one or the new one.

    Args:
        path: The file.
        suffix: Ending of the draft's name, for programs that read the format from it.
    """
    target = Path(os.path.realpath(path))
    # Chance keeps two writers apart, and a short name fits where the target's own just does.
    draft = target.with_name(f".{os.urandom(8).hex()}.part{suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.open("xb").close()  # outside: a draft that was there already is another's
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())  # else the new name may reach the disk before the bytes
            if target.exists():
                shutil.copymode(target, draft)
            os.replace(draft, target)
        except BaseException:
            with suppress(FileNotFoundError):
                draft.unlink()
            raise
    except OSError as error:
        if error.filename in (None, str(draft)):
            error.filename = str(path)  # a full disk names no file
        raise
