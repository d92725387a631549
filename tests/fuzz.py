"""Coverage-guided fuzzing of everything that reads foreign data.

    python tests/fuzz.py --seconds 600 [READER ...]

atheris mutates the bytes that Hypothesis draws the data from, and keeps those that reach new code.
An input fails if anything but a documented error comes out, if it takes over 2 seconds of
processor time, or if the process needs over 1 GB. The bytes of a failure are kept in build/fuzz;
`python tests/fuzz.py READER --again FILE` repeats it.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "build" / "fuzz"
SECONDS, MEGABYTES = 2.0, 1024
EVERY = 100


def readers() -> dict[str, Any]:
    """Everything that reads foreign data, of the frameworks that are installed."""
    sys.path += [str(ROOT / name) for name in ("tests", "tests/core", "tests/adapters")]
    modules = ["test_foreign_data", "test_foreign_logs"]
    modules += [
        f"test_{framework}_foreign_state"
        for framework in ("torch", "keras")
        if find_spec(framework) is not None
    ]
    found: dict[str, Any] = {}
    for module in modules:
        found |= import_module(module).READERS
    return found


def search(name: str, options: list[str]) -> None:
    """Fuzz a reader in this process; it does not return."""
    import atheris
    from hypothesis import given, settings

    with atheris.instrument_imports(include=["clrcore", "clr_adapters"]):
        reader = readers()[name]
    count = itertools.count(1)

    @settings(database=None, deadline=None)
    @given(reader.data)
    def law(data: object) -> None:
        start = time.process_time()
        reader.law(data)
        took = time.process_time() - start
        assert took < SECONDS, f"{took:.1f} s of processor time"
        if (read := next(count)) % EVERY == 0:  # the process ends without a chance to report
            counted(name).write_text(str(read))

    atheris.Setup([sys.argv[0], *options], law.hypothesis.fuzz_one_input)
    atheris.Fuzz()


def counted(name: str) -> Path:
    """The file that counts what a reader was given; bytes that make no data do not count."""
    return KEPT / f"{name.replace(' ', '-')}.count"


def searched(name: str, seconds: int) -> bool:
    """Fuzz a reader in a process of its own, and report it; whether no input failed."""
    KEPT.mkdir(parents=True, exist_ok=True)
    counted(name).write_text("0")
    options = [
        *(f"-max_total_time={seconds}", f"-rss_limit_mb={MEGABYTES}", "-timeout=300"),
        *(f"-artifact_prefix={str(counted(name)).removesuffix('.count')}-", "-print_final_stats=1"),
        "-max_len=8192",
    ]
    command = [sys.executable, __file__, name, "--options", *options]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    printed = done.stdout + done.stderr
    peak = re.findall(r"stat::peak_rss_mb:\s+(\d+)", printed)
    verdict = "failed" if done.returncode else "passed"
    inputs = counted(name).read_text()
    print(f"{name:14} {inputs:>9} inputs, {' '.join(peak)} MB: {verdict}", flush=True)
    if done.returncode:
        print(printed[-6000:])
    return not done.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("readers", nargs="*", help="by default all")
    parser.add_argument("--seconds", type=int, default=600, help="for all readers together")
    parser.add_argument("--again", metavar="FILE", help="repeat a single input")
    parser.add_argument("--options", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.options or given.again:
        search(given.readers[0], given.options or [given.again])
    names = given.readers or list(readers())
    # Every reader is tried, also after a failure.
    passed = [searched(name, given.seconds // len(names)) for name in names]
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
