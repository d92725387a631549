"""What the core costs, as ratios taken in one process.

Every row is the median of several runs with the lowest and the highest of them.
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np
from paired import RUNS, TURNS, command, ratios, row, seconds

import clrcore

SIZE = 10**6
HALVES = (
    *((half, half) for half in (1, 5, 2000, 100_000, 250_000, 500_000, 10**6, 10**9)),
    (3, 10**6),
)
FILL_LIMIT = 3.0
IMPORT_LIMIT = 25.0
BOUNDS_LIMIT = 50.0


def fills() -> None:
    for window in ("triangular", "welch", "hann"):
        for up, down in HALVES:
            policy = clrcore.triangular(0.001, 0.006, up, down, window=window)
            found = ratios(lambda policy=policy: policy.values(0, SIZE), lambda: np.full(SIZE, 0.1))
            row(
                f"values(0, 10^6), {window}, halves {up:,} + {down:,}, to np.full",
                found,
                FILL_LIMIT,
            )


def imports() -> None:
    """Milliseconds that `import clrcore` adds to the interpreter's start."""
    # From bytecode, as installed packages are; pip compiles what it installs.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}

    def start(code: str) -> float:
        command = [sys.executable, "-c", code]
        return 1e3 * seconds(
            lambda: subprocess.run(command, check=True, env=env), clock=time.perf_counter
        )

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
    policy = clrcore.triangular(0.001, 0.006, 2000)
    steps = range(100_000)
    found = [
        1e9 * seconds(lambda: [policy(step) for step in steps]) / len(steps) for _ in range(RUNS)
    ]
    row("policy(step)", found, unit=" ns")


def main() -> None:
    imports()
    bounds()
    scalars()
    fills()


if __name__ == "__main__":
    command(__doc__, main, "numpy")
