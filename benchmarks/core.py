"""What the core costs, as ratios taken in one process.

Every row is the median of several runs with the lowest and the highest of them.
"""

import math
import os
import resource
import statistics
import subprocess
import sys

import numpy as np
from paired import RUNS, TURNS, command, ratios, row, seconds

import clrcore

SIZE = 10**6
# Halves of a cycle, and what filling 10^6 values may cost at most; beyond a cycle of 10^5 steps the
# formula costs what it costs.
HALVES = {
    **dict.fromkeys([(1, 1), (5, 5), (2000, 2000), (5000, 5000), (3, 9997)], 3.0),
    **dict.fromkeys([(50_000, 50_000), (3, 99_997)], 10.0),
    **dict.fromkeys([(500_000, 500_000), (10**9, 10**9)], math.inf),
}
IMPORT_LIMIT = 40.0
BOUNDS_LIMIT = 50.0


def fills() -> None:
    for window in ("triangular", "welch", "hann"):
        for (up, down), limit in HALVES.items():
            policy = clrcore.triangular(0.001, 0.006, up, down, window=window)
            found = ratios(lambda policy=policy: policy.values(0, SIZE), lambda: np.full(SIZE, 0.1))
            row(
                f"values(0, 10^6), {window}, halves {up:,} + {down:,}, to np.full",
                found,
                limit,
            )


def children() -> float:
    """Processor time of the processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def imports() -> None:
    """Milliseconds that `import clrcore` adds to the interpreter's start."""
    # From bytecode, as installed packages are; pip compiles what it installs.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def start(code: str) -> float:
        command = [sys.executable, "-c", code]
        # Processor time, which a busy machine stretches less than time on the clock.
        return 1e3 * seconds(lambda: subprocess.run(command, check=True, env=env), clock=children)

    start("import clrcore")
    found = []
    for _ in range(RUNS):
        turns = [(start("import clrcore"), start("pass")) for _ in range(TURNS)]
        found.append(statistics.median(ours - bare for ours, bare in turns))
    row("import clrcore, added to the bare interpreter", found, IMPORT_LIMIT, " ms")


def bounds() -> None:
    """Milliseconds for the bounds of five curves of 300 points."""
    random = np.random.default_rng(0)
    lr = np.geomspace(1e-5, 10, 300)
    clean = 2.3 / (1 + (100 * lr) ** 2) + 0.2 + (lr / 0.5) ** 3
    curves = [
        clrcore.Curve(lr, clean * np.exp(0.1 * random.standard_normal(300))) for _ in range(5)
    ]
    clrcore.suggest_bounds(curves)
    found = [
        1e3 * statistics.median(seconds(lambda: clrcore.suggest_bounds(curves)) for _ in range(9))
        for _ in range(RUNS)
    ]
    row("suggest_bounds, 5 curves of 300 points", found, BOUNDS_LIMIT, " ms")
    for rule in ("minimum", "valley", "torch_lr_finder"):
        found = ratios(
            lambda: clrcore.suggest_bounds(curves),
            lambda rule=rule: clrcore.suggest_bounds(curves, rule=rule),
        )
        row(f"suggest_bounds, to its own rule {rule!r}", found)


def scalars() -> None:
    triangular = clrcore.triangular(0.001, 0.006, 2000)
    steps = range(100_000)
    found = [
        1e9 * seconds(lambda: [triangular(step) for step in steps]) / len(steps)
        for _ in range(RUNS)
    ]
    row("policy(step)", found, unit=" ns")
    for policy in (
        triangular,
        clrcore.triangular2(0.001, 0.006, 2000, window="hann"),
        clrcore.one_cycle(0.1, 2 * 10**6),
    ):
        found = [
            1e6 * seconds(lambda policy=policy: policy.values(10**6, 10**6 + 128), 2000) / 2000
            for _ in range(RUNS)
        ]
        row(f"128 values from step 10^6 on, {policy.constructor}", found, unit=" us")


def main() -> None:
    imports()
    bounds()
    scalars()
    fills()


if __name__ == "__main__":
    command(__doc__, main, "numpy")
