"""The paper's claims, put to the test on 5000 digits with rules that were fixed before.

    python benchmarks/reproduce.py --out DIR                  states the claims, trains, judges
    python benchmarks/reproduce.py --out DIR --torch          the same arms through PyTorch
    python benchmarks/reproduce.py --out DIR --page PAGE.md   the page of the docs

The first takes minutes on two cores. With `--quick` it takes seconds, but then nothing follows
about the claims. The others read the files in DIR.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Matrices of this size are multiplied before other threads have woken up. Read when NumPy is
# imported.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

from reproduction import page, results  # noqa: E402
from reproduction.arms import CASES, Case, arms, peak_of, peak_rule  # noqa: E402

import clrcore  # noqa: E402
from clr_adapters.cli.demo import data  # noqa: E402
from clr_adapters.cli.demo.experiment import EPOCH, RANGE_TEST_SEEDS, Settings, run_arms  # noqa: E402
from clr_adapters.cli.demo.training import range_test  # noqa: E402

SEEDS = 20
QUICK_SEEDS = 2


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if options.page:
        write_page(options.out, options.page)
    elif options.torch:
        train_with_torch(options.out)
    else:
        reproduce(options.out, quick=options.quick)


def reproduce(folder: Path, *, quick: bool) -> None:
    """State the claims, train all arms, print the verdicts; leave numbers and pictures."""
    print(page.rules(), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = tuple(range(QUICK_SEEDS if quick else SEEDS))
    settings = Settings(seeds, 1 if quick else EPOCH)
    started, busy = time.monotonic(), time.process_time()
    digits = data.load()
    result = results.of_all({case.key: train(case, digits, settings) for case in CASES}, settings)
    # Times differ from run to run, so they have a file of their own.
    run = {
        "seconds": round(time.monotonic() - started),
        "processor_seconds": round(time.process_time() - busy),
    }
    _write(folder / "results.json", result)
    _write(folder / "run.json", run)
    print(page.findings(results.evidence(result, run)))
    draw(folder, result)
    print(f"Trained in {run['seconds']} s; written: {folder}")


def train(case: Case, digits: data.Rows, settings: Settings) -> results.Plain:
    """Range test, bounds, all arms, verdicts."""
    started = time.monotonic()
    seeds = settings.seeds[:RANGE_TEST_SEEDS]
    splits, few = data.split(digits, settings.seeds), data.split(digits, seeds)
    curves = range_test(case.sweep, few, seeds, tick=_nothing, start=case.setup.start)
    bounds = clrcore.suggest_bounds(curves)
    peak = peak_of(curves)
    todo = arms(case, bounds, peak_rule(peak), settings)
    histories = run_arms(todo, splits, settings, _nothing, start=case.setup.start)
    took = time.monotonic() - started
    print(f"{case.title}: {len(todo)} arms in {took:.0f} s", file=sys.stderr, flush=True)
    return results.of_case(case, curves, bounds, peak, todo, histories, settings)


def draw(folder: Path, result: Mapping[str, Any], prefix: str = "") -> None:
    """The pictures, as PNG."""
    from reproduction import figures

    for name, figure in figures.all_of(result).items():
        figure.savefig(folder / f"{prefix}{name}.png")


def train_with_torch(folder: Path) -> None:
    """Train the arms of a run again, two seeds of them, with PyTorch."""
    from reproduction import torch_check

    result, run = _read(folder)
    seeds = result["settings"]["seeds"][: torch_check.SEEDS]
    splits = data.split(data.load(), seeds)
    run["torch"] = torch_check.compare(result, splits)
    _write(folder / "run.json", run)
    print("\n\n".join(page.torch_text(run["torch"])))


def write_page(folder: Path, target: Path) -> None:
    """Write the page, its numbers beside it, and its pictures."""
    result, run = _read(folder)
    evidence = results.evidence(result, run)
    _write(target.with_suffix(".json"), evidence)
    target.write_text(page.whole(evidence, today(target.with_name("scoreboard.json"))))
    pictures = target.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    draw(pictures, result, prefix=f"{target.stem}-")


def today(path: Path) -> str:
    """The scoreboard's answer in a sentence; empty where its numbers are not beside the page."""
    if not path.exists():
        return ""
    from contest import page as scoreboard

    return scoreboard.answer(json.loads(path.read_text()))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("clrcore-reproduce"), metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="2 seeds, a 35th of the length")
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--torch", action="store_true", help="two seeds of DIR's run in PyTorch")
    after.add_argument("--page", type=Path, metavar="PAGE", help="write PAGE from DIR's run")
    return parser.parse_args(arguments)


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The files of a run; FileNotFoundError names a missing file."""
    result, run = (json.loads((folder / f"{name}.json").read_text()) for name in ("results", "run"))
    return result, run


def _write(path: Path, plain: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n")


def _nothing(steps: int) -> None:
    """Progress is reported by case, not by update."""


if __name__ == "__main__":
    main()
