"""Runs every benchmark of this folder that prints ratios, and writes a table of them.

    python benchmarks/all.py --json docs/benchmarks.json --page docs/benchmarks.md

Each runs in its own process. If a framework is missing, the table has the reason. With a bare
`--only` nothing is measured: the page is written from the JSON file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent


class Part(NamedTuple):
    """One benchmark: what it is about, its file, and what it is run with."""

    title: str
    file: str
    backend: str | None = None


PARTS = (
    Part("The core", "core.py"),
    Part("Suggestions of a rate", "suggestions.py"),
    Part("PyTorch: the scheduler", "torch_scheduler.py"),
    Part("PyTorch: the range test", "torch_range_test.py"),
    Part("PyTorch: instructions of the range test", "torch_instructions.py"),
    Part("Keras on TensorFlow", "keras_schedule.py", "tensorflow"),
    Part("Keras on JAX", "keras_schedule.py", "jax"),
    Part("Keras on PyTorch", "keras_schedule.py", "torch"),
    Part("JAX and optax", "jax_schedule.py"),
)
INTRODUCTION = """# What it costs

Training does not get measurably slower: the overhead is below the noise. A step of `PolicyLR`
takes 0.13 to 0.19 of the time of PyTorch's own `CyclicLR.step()`, a training step of Keras with
`PolicySchedule` 0.99 to 1.02 of the time at a constant rate, and an update of optax with a policy
0.99 to 1.11 of the time with its own cosine. An update of the range test in PyTorch takes 1.02 to
1.05 of a bare training loop's.

Each line is a ratio of two things timed in turns in one process, or a time: the median of seven
runs, the lowest and the highest, and our limit, if there is one. Below 1 is faster than the peer.
Differences of a few percent are noise on a shared machine. `nox -s benchmarks` writes this page.

Both sides run with a C library that keeps freed memory; otherwise returning it to the system makes
most of the difference between two training loops. Counts of instructions do not depend on the
load.

`benchmarks/gpu.py` is for a CUDA device and takes three minutes. On an NVIDIA H200 (torch 2.11.0,
CUDA 13.0, 2026-11-28) all its checks passed. A captured graph and a compiled step use the rates
that the scheduler fills in. `PolicyLR.step()` never waits for the device; a range test waits twice
per block of 20 updates. Everything is put back bit for bit, also when memory runs out.
With a ResNet-20 at batch size 1024 a range test took 1.008 times the bare loop's time (1.007 to
1.009) and a search 1.023 (1.019 to 1.023). At batch size 128 the updates wait for Python: 1.02
(0.91 to 1.22) and 1.08 (1.05 to 1.13).

The limits that are MISSED:

- **Long arrays of rates** (`values` of Hann cycles of unequal halves from about 100,000 updates
  on). The formula makes four passes over the array, each about as expensive as NumPy's fill. Faster
  ways would round differently from the formula for one step.
- **The range test in PyTorch, to a bare loop and to other finders.** It runs 0.3 % more
  instructions than the bare loop. Its time was 1.02 to 1.05 times the bare loop's in three
  measurements; where the rest goes is not known.
- **The range test in JAX, to a bare scan.** Updates take a tenth of a millisecond here. The test
  stacks the batches of each block and reads its losses between blocks; the bare scan has all its
  batches stacked in advance.
- **A step of optax with `triangular2` and `exp_range`.** They compute a factor more than a cosine.

Rows without a limit are for information. `suggest_bounds` takes milliseconds; a finder that only
searches the steepest slope takes less. A step of one rate costs several times as much as writing a
float, because it counts, checks the order of the steps and looks up the rate.
"""


def measured(parts: Sequence[Part]) -> list[dict[str, Any]]:
    """The report of every part, with its title."""
    found = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for part in parts:
        print(f"\n{part.title}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "rows.json"
            run = subprocess.run(
                [sys.executable, str(HERE / part.file), "--json", str(target)],
                env=environment | ({"KERAS_BACKEND": part.backend} if part.backend else {}),
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if target.exists():
                report = json.loads(target.read_text())
            else:
                *_, reason = run.stderr.strip().splitlines() or [f"exit status {run.returncode}"]
                print(f"not run: {reason}")
                report = {"not_run": reason}
        found.append({"title": part.title, "file": part.file, **report})
    return found


def page(parts: list[dict[str, Any]]) -> str:
    """The page of the documentation that shows the parts."""
    return "\n".join([INTRODUCTION, *(line for part in parts for line in _section(part))])


def _section(part: dict[str, Any]) -> Iterator[str]:
    yield f"## {part['title']}\n"
    if "not_run" in part:
        yield f"`benchmarks/{part['file']}` was not run: {part['not_run']}.\n"
        return
    versions = ", ".join(f"{name} {number}" for name, number in part["versions"].items())
    where = f"Python {part['python']}, {versions}; {part['machine']}, {part['date']}"
    yield f"`benchmarks/{part['file']}`; {where}.\n"
    yield "| what | median | lowest, highest | limit | |"
    yield "|---|---|---|---|---|"
    for row in part["rows"]:
        yield "| " + " | ".join(_cells(row)) + " |"
    yield ""


def _cells(row: dict[str, Any]) -> list[str]:
    if row["median"] is None:
        return [row["what"], "", "", "", f"not run: {row['note']}"]
    unit = row["unit"]
    limit = "" if row["limit"] is None else f"{row['limit']:g}{unit}"
    spread = f"{_number(row['lowest'])}, {_number(row['highest'])}"
    return [row["what"], f"{_number(row['median'])}{unit}", spread, limit, row["verdict"]]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True, help="the file of all rows")
    parser.add_argument("--page", type=Path, help="write the page of these rows")
    parser.add_argument(
        "--only", nargs="*", metavar="FILE", help="measure these files; the others' rows are kept"
    )
    arguments = parser.parse_args()
    kept = []
    if arguments.only is not None:
        kept = json.loads(arguments.json.read_text()) if arguments.json.exists() else []
    chosen = [part for part in PARTS if arguments.only is None or part.file in arguments.only]
    found = {part["title"]: part for part in [*kept, *measured(chosen)]}
    parts = [found[part.title] for part in PARTS if part.title in found]
    arguments.json.write_text(json.dumps(parts, indent=1) + "\n")
    if arguments.page:
        arguments.page.write_text(page(parts))


if __name__ == "__main__":
    main()
