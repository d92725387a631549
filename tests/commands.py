"""The command `clrcore` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from clr_adapters.cli.demo.command import BLAS_THREADS

COMMAND = [sys.executable, "-c", "from clr_adapters.cli import main; main(prog_name='clrcore')"]


def environment(**more: str) -> dict[str, str]:
    # Without the settings that change what is tested: threads, and whether output is buffered.
    left_out = (*BLAS_THREADS, "PYTHONUNBUFFERED")
    kept = {key: value for key, value in os.environ.items() if key not in left_out}
    return kept | {"PYTHONIOENCODING": "utf-8"} | more


def run(
    *arguments: object, stdin: str = "", folder: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command; `more` is environment."""
    return subprocess.run(
        [*COMMAND, *map(os.fsdecode, map(_text, arguments))],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        env=environment(**more),
        cwd=folder,
        timeout=300,
    )


def without(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command where `module` is not installed."""
    code = f"import sys; sys.modules[{module!r}] = None; {COMMAND[-1]}"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        timeout=60,
    )


def _text(argument: object) -> str | bytes:
    return argument if isinstance(argument, bytes) else str(argument)
