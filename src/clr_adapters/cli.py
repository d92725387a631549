"""The command `clrcore`."""

from __future__ import annotations

import io
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import clrcore

try:
    import click
    from rich.console import Console
    from rich.measure import Measurement
    from rich.progress import Progress
    from rich.table import Table
except ImportError as error:
    raise ImportError(
        f'the command clrcore needs click and rich: pip install "clrcore[cli]" ({error})'
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERRUPTED = 130
MOST_COLUMNS = 200
BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(clrcore.__version__, prog_name="clrcore")
def main() -> None:
    """Cyclical learning rates and the range test."""


@main.command(short_help="Run the whole method on real digits, in two minutes.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("clrcore-demo"),
    show_default=True,
    help="Folder for the pictures and numbers.",
)
@click.option(
    "--seeds",
    type=click.IntRange(2, 200),
    help="Repetitions of every run. [default: 20; 2 with --quick]",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="The first seed."
)
@click.option("--quick", is_flag=True, help="A first look: a fifth of the length.")
def demo(out: Path, seeds: int | None, seed: int, quick: bool) -> None:
    """Run the whole method on 5000 handwritten digits, in about two minutes.

    A range test on a few seeds gives the bounds; then cyclic policies, the paper's stepwise
    baseline and a grid of constant rates train the same small networks. Ends with a table,
    two pictures and a verdict.
    """
    started = time.monotonic()
    # Matrices of this size are done before other threads have woken up. Read by the linear
    # algebra library when NumPy is first imported, which is why that happens later.
    for variable in BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character the terminal's encoding lacks must not end a run of two minutes.
        sys.stdout.reconfigure(errors="replace")
    console = Console(highlight=False)
    try:
        _demo(console, out, seeds or (2 if quick else 20), seed, quick)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        console.print("Interrupted; nothing more is written.")
        raise SystemExit(INTERRUPTED) from None
    console.print(f"Done in {time.monotonic() - started:.0f} s.")


def _demo(console: Console, out: Path, count: int, seed: int, quick: bool) -> None:
    try:
        from .demo import data, experiment, report
    except ImportError as error:
        raise click.ClickException(
            f'the demo needs more packages: pip install "clrcore[demo]" ({error})'
        ) from error
    try:
        digits = data.load(data.find())
    except data.DataMissingError as error:
        raise click.ClickException(str(error)) from error
    out.mkdir(parents=True, exist_ok=True)
    files = {name: out / name for name in ("range_test.png", "comparison.png", "results.json")}
    seeds = tuple(range(seed, seed + count))
    settings = (
        experiment.Settings(seeds, experiment.EPOCH // 5) if quick else experiment.Settings(seeds)
    )
    splits = data.split(digits, seeds)

    def say(text: str = "") -> None:
        console.print(text, markup=False)

    say(
        f"{len(digits.labels)} digits of 14 x 14 pixels, split into {data.TRAIN} to train, "
        f"{data.VALIDATION} to validate, {data.TEST} to test; 196-64-64-10 ReLU, batches of "
        f"100 ({experiment.EPOCH} updates an epoch), momentum 0.9 (v = 0.9 v + lr g; "
        "w = w - v), weight decay 5e-4."
    )
    say()
    with _progress(console, "range test", experiment.SWEEP.num_steps) as tick:
        curves = experiment.run_range_test(splits, settings, tick)
    try:
        bounds = clrcore.suggest_bounds(curves)
    except clrcore.NoBoundsError as error:
        raise click.ClickException(f"the range test gave no bounds: {error}") from error
    say(f"Bounds from {len(curves)} seeds:")
    say(str(bounds))
    report.write_figure(files["range_test.png"], report.range_test_figure(curves, bounds))
    say()

    arms = experiment.arms(bounds.base_lr, bounds.max_lr, bounds.lr, settings)
    total = sum(arm.total_steps for arm in arms)
    with _progress(console, f"training {len(arms)} policies", total) as tick:
        histories = experiment.run_arms(arms, splits, settings, tick)
    findings = report.find(arms, histories, settings)
    say()
    sign = "\N{PLUS-MINUS SIGN}" if console.encoding.startswith("utf") else "+-"
    _print_whole(console, report.table(findings, settings, sign))
    say()
    for line in report.verdict(findings, settings):
        say(f"- {line}")
    report.write_figure(
        files["comparison.png"], report.comparison_figure(arms, histories, findings)
    )
    report.write_json(
        files["results.json"],
        report.results(arms, histories, curves, bounds, findings, settings),
    )
    say()
    for path in files.values():
        # Whole paths, however long, so that they can be copied.
        console.print(f"Written: {path}", markup=False, soft_wrap=True)


def _print_whole(console: Console, table: Table) -> None:
    """Print a table without cutting its numbers, however narrow the terminal is."""
    wide = console.options.update_width(MOST_COLUMNS)
    needed = Measurement.get(console, wide, table).maximum
    Console(width=max(console.width, needed), highlight=False).print(table, crop=False)


@contextmanager
def _progress(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; yields the function that moves it on, from any thread."""
    with Progress(console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda steps: progress.advance(task, steps)
        progress.update(task, completed=total)
