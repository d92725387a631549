"""Ratios of times, measured in turns in one process, and the lines that report them."""

import argparse
import datetime
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RUNS = 7
TURNS = 15

Clock = Callable[[], float]

# Processor time of this process; everything runs on one core.
CLOCK: Clock = time.process_time

# glibc gives freed memory back to the system and asks for it anew, as it happens to lie in the
# heap: a training loop then spends up to a quarter of its time on page faults, a different share
# in every run. Both sides are measured with a heap that is kept.
KEPT_HEAP = {
    "MALLOC_MMAP_THRESHOLD_": str(2**28),
    "MALLOC_TOP_PAD_": str(2**26),
    "MALLOC_TRIM_THRESHOLD_": str(2**30),
}


@dataclass(frozen=True)
class Row:
    """A line of a report. Without measurement `median` is None, and `note` has the reason."""

    what: str
    median: float | None = None
    lowest: float | None = None
    highest: float | None = None
    limit: float | None = None
    unit: str = "x"
    note: str = ""

    @property
    def verdict(self) -> str:
        """Within the limit or not, where something was measured and a limit was set."""
        if self.median is None:
            return "not run"
        if self.limit is None:
            return ""
        return "within" if self.median <= self.limit else "MISSED"


_rows: list[Row] = []


def seconds(work: Callable[[], object], times: int = 1, clock: Clock = CLOCK) -> float:
    """What `times` calls take together."""
    start = clock()
    for _ in range(times):
        work()
    return clock() - start


def ratios(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    times: int = 1,
    turns: int | None = None,
) -> list[float]:
    """One ratio of medians per run; a busy machine slows both sides."""
    found = []
    for _ in range(RUNS):
        taken = [(seconds(ours, times), seconds(theirs, times)) for _ in range(turns or TURNS)]
        mine, other = (statistics.median(side) for side in zip(*taken, strict=True))
        found.append(mine / other)
    return found


def row(what: str, values: list[float], limit: float = math.inf, unit: str = "x") -> None:
    """Report the median of the runs, the lowest and the highest, and the limit if there is one."""
    row = Row(
        what,
        statistics.median(values),
        min(values),
        max(values),
        None if math.isinf(limit) else limit,
        unit,
    )
    _rows.append(row)
    against = "" if row.limit is None else f"  limit {row.limit:g}{unit}  {row.verdict}"
    print(
        f"{what:56} {row.median:7.3f}{unit} [{row.lowest:.3f}, {row.highest:.3f}]{against}",
        flush=True,
    )


def not_run(what: str, why: str) -> None:
    """Report that nothing was measured, and why."""
    _rows.append(Row(what, note=why))
    print(f"{what:56} not run: {why}", flush=True)


def command(description: str | None, measure: Callable[[], None], *packages: str) -> None:
    """Run a benchmark: its header, its rows as they come, all of them in a file if asked for.

    packages: distributions whose versions matter, where they are installed.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="where to leave rows, versions and machine")
    target = parser.parse_args().json
    if sys.platform == "linux" and not KEPT_HEAP.items() <= os.environ.items():
        # glibc reads these when a process starts, and frameworks how many cores there are.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **KEPT_HEAP})
    versions = {name: found for name in packages if (found := _version(name))}
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    print(f"Python {platform.python_version()}, {listed}; {processor()}")
    print(f"median of {RUNS} runs [lowest, highest]", flush=True)
    measure()
    if target:
        found = {
            "python": platform.python_version(),
            "versions": versions,
            "machine": processor(),
            "date": datetime.date.today().isoformat(),
            "rows": [{**asdict(row), "verdict": row.verdict} for row in _rows],
        }
        target.write_text(json.dumps(found, indent=1) + "\n")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def processor() -> str:
    """The machine in a few words."""
    name = platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        name = models[0] if models else name
    return f"{name}, one core of {os.cpu_count()}"
