"""Runs every benchmark of this folder that prints ratios, and writes one table of them.

    python benchmarks/all.py --json docs/benchmarks.json --page docs/benchmarks.md

Each runs in a process of its own, one after the other; what its framework lacks is in the table as
not run, with the reason.
With `--only` and nothing behind it nothing is measured: the page is written from the JSON file.
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

Every line is a ratio of two things done in turns in one process, or a time, as it says: the median
of seven runs, the lowest and the highest of them, and the limit we set ourselves, where there is
one. Below 1 is faster than the peer. The scripts are in `benchmarks/`; this page is written by

```sh
nox -s benchmarks
```

Differences of a few percent are noise on a shared machine; look at the lowest and the highest. Both
sides run with a C library told to keep freed memory: otherwise handing it back to the system and
taking it anew makes most of the difference between two training loops. Instructions, where they are
counted (once), do not depend on the load; torch-lr-finder's include its progress bar, ours is off
there.

How good the suggested bounds are, beside the rules of other finders, is in
[the range test](range-test.md#how-good-it-is).

What is MISSED, and why:

- **Long arrays of rates** (`values` of cycles from about 500,000 updates on): the formula takes
  four passes over the array, each about as dear as NumPy's fill. Faster ways round otherwise than
  the formula for one step, and both are promised to agree bit for bit.
- **A step of one tensor rate, to `fill_()`**: a call and some attributes around one `fill_` of less
  than a microsecond.
- **Momentum**: the limits are those of rates alone; `CyclicLR` with momentum is what it is held to.
- **The range test in JAX, to one bare scan**: updates take a tenth of a millisecond here, and the
  test stacks the batches of each block and looks at its losses between blocks; the bare scan has
  all its batches stacked beforehand.
- **hann in a scan, to optax's cosine**: both take one cosine, but ours of a phase worked out from
  integers, so that it stays exact at large steps: 20 ns of an update that takes 200.
- Where the limit lies between the lowest and the highest, the run decides which side it falls on:
  other finders' range tests, which do the same work, and a step of Keras.

Rows without a limit are there to be known: `suggest_bounds` takes milliseconds where a finder that
only looks for the least gradient takes less, and a step of one rate costs several times the bare
writing of a float, as it counts, checks the order of the steps and looks the rate up.
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
