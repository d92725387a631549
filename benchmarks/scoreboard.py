"""Cycles against the schedules that people use today, at the range test's rate and tuned.

    python benchmarks/scoreboard.py --out DIR                 train all arms, print the result
    python benchmarks/scoreboard.py --tune                    search for the tuned peaks
    python benchmarks/scoreboard.py --out DIR --page PAGE.md  write the page of the docs

The tuned peaks are in data/tuned_peaks.json; `--tune` adds what that file lacks. An interrupted
command goes on where it stopped. Needs PyTorch, prodigyopt, schedulefree, scikit-learn and the
packages of the demo.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

# Matrices of this size are multiplied before other threads have woken up. Read when NumPy is
# imported.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from contest import page, results, tuning  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.tune:
        tune(options.peaks)
    elif options.page:
        write_page(options.out, options.page)
    else:
        compare(options.out, options.peaks, options.processes)


def tune(path: Path) -> None:
    """Search for the peaks that the file lacks."""
    import torch

    torch.set_num_threads(1)
    busy = time.process_time()
    tuning.tune(path)
    print(f"{(time.process_time() - busy) / 60:.1f} minutes of processor time")


def compare(folder: Path, peaks: Path, processes: int) -> None:
    """Train what the folder lacks, print the result, and leave the numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    result = results.run(folder, peaks, processes=processes)
    (folder / "scoreboard.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    print(page.short(result))
    print(f"Trained in {(time.monotonic() - started) / 60:.1f} minutes; written: {folder}")


def write_page(folder: Path, target: Path) -> None:
    """Write the page, its numbers beside it, and its pictures."""
    from contest import figures

    text = (folder / "scoreboard.json").read_text()
    result = json.loads(text)
    target.with_suffix(".json").write_text(text)
    target.write_text(page.whole(result))
    pictures = target.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    for name, figure in figures.all_of(result).items():
        figure.savefig(pictures / f"{target.stem}-{name}.png")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("clrcore-scoreboard"), metavar="DIR")
    parser.add_argument("--peaks", type=Path, default=tuning.FILE, help="the tuned peaks")
    parser.add_argument("--processes", type=int, default=2, help="how many train side by side")
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--tune", action="store_true", help="search for what the peaks lack")
    after.add_argument("--page", type=Path, metavar="PAGE", help="write PAGE from DIR's result")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
