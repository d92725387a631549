"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO


def write(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    """Write the file at `path` by `fill`, replacing an old file; create missing folders.

    If `path` is a link, its target is replaced. Raises the exceptions of `fill`, and an OSError
    that names the file; then nothing has changed except the folders.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    # Chance keeps two writers apart, and a short name fits where the target's own just does.
    draft = target.with_name(f".{os.urandom(8).hex()}.part")
    file = draft.open("xb")  # outside: a draft that was there already is another's
    try:
        with file:
            fill(file)
        if target.exists():
            shutil.copymode(target, draft)
        os.replace(draft, target)
    except BaseException as error:
        with suppress(FileNotFoundError):
            draft.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(draft)):
            error.filename = str(path)  # a full disk names no file
        raise
