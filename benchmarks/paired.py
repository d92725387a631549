"""Ratios of time taken in one process, the sides taking turns, and the lines that report them."""

import statistics
import time
from collections.abc import Callable

RUNS = 7
TURNS = 15

Clock = Callable[[], float]


def seconds(work: Callable[[], object], times: int = 1, clock: Clock = time.perf_counter) -> float:
    """What `times` calls take together."""
    start = clock()
    for _ in range(times):
        work()
    return clock() - start


def ratios(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    times: int = 1,
    turns: int = TURNS,
    clock: Clock = time.perf_counter,
) -> list[float]:
    """One ratio of medians per run; a busy machine slows both sides.

    clock: time.process_time leaves other processes out, where one thread does all the work.
    """
    found = []
    for _ in range(RUNS):
        taken = [(seconds(ours, times, clock), seconds(theirs, times, clock)) for _ in range(turns)]
        mine, other = (statistics.median(side) for side in zip(*taken, strict=True))
        found.append(mine / other)
    return found


def row(what: str, values: list[float], limit: float, unit: str = "x") -> None:
    """Print the median of the runs, the lowest and the highest, and the limit."""
    middle = statistics.median(values)
    verdict = "within" if middle <= limit else "MISSED"
    print(
        f"{what:54} {middle:7.3f}{unit} [{min(values):.3f}, {max(values):.3f}]"
        f"  limit {limit:g}{unit}  {verdict}"
    )
