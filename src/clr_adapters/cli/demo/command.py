"""`clrcore demo`: the whole method on real digits."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import clrcore

from .. import _console, _ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import Console

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
PICTURES = ("range_test.png", "comparison.png")


@click.command(short_help="Run the whole method on real digits, in two minutes.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("clrcore-demo"),
    show_default=True,
    help="Folder for the report, the pictures and the numbers.",
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
    two pictures, a verdict, and a report of one file that a browser shows.
    """
    started = time.monotonic()
    # Matrices of this size are done before other threads have woken up. Read by the linear
    # algebra library when NumPy is first imported, which is why that happens later.
    for variable in BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    _demo(out, seeds or (2 if quick else 20), seed, quick)
    click.echo(f"Done in {time.monotonic() - started:.0f} s.")


def _demo(out: Path, count: int, seed: int, quick: bool) -> None:
    try:
        from rich.console import Console

        from . import data, experiment, page, report

        digits = data.load()
    except ImportError as error:
        raise click.ClickException(
            f'the demo needs more packages: pip install "clrcore[demo]" ({error})'
        ) from error
    console = Console(highlight=False)
    files = {name: out / name for name in (*PICTURES, "results.json", "report.html")}
    _check_writable(out, files.values())
    seeds = tuple(range(seed, seed + count))
    settings = (
        experiment.Settings(seeds, experiment.EPOCH // 5) if quick else experiment.Settings(seeds)
    )
    splits = data.split(digits, seeds)

    def say(text: str = "") -> None:
        console.print(text, markup=False)

    say(report.ABOUT)
    say()
    with _progress(console, "range test", experiment.SWEEP.num_steps) as tick:
        curves = experiment.run_range_test(splits, settings, tick)
    try:
        bounds = clrcore.suggest_bounds(curves)
    except clrcore.NoBoundsError as error:
        raise _ends.NoAnswer(f"the range test gave no bounds: {error}") from error
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
    _console.print_whole(console, report.table(findings, settings, sign))
    say()
    for line in report.verdict(findings, settings):
        say(f"- {line}")
    report.write_figure(
        files["comparison.png"], report.comparison_figure(arms, histories, findings)
    )
    results = report.results(arms, histories, curves, bounds, findings, settings)
    report.write_json(files["results.json"], results)
    pictures = {name: files[name].read_bytes() for name in PICTURES}
    report.write_text(files["report.html"], page.page(results, pictures))
    say()
    for path in files.values():
        # Whole paths, however long, so that they can be copied.
        console.print(f"Written: {path}", markup=False, soft_wrap=True)


def _check_writable(out: Path, files: Iterable[Path]) -> None:
    """Make the folder, and refuse before the work what could only fail after it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise click.ClickException(
            f"{click.format_filename(out)} cannot be written to: {error}; give another --out"
        ) from error
    for path in files:
        if path.is_dir():
            raise click.ClickException(
                f"{click.format_filename(path)} must be a file, but it is a folder; give another "
                "--out"
            )


@contextmanager
def _progress(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; yields the function that moves it on, from any thread."""
    from rich.progress import Progress

    with Progress(console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda steps: progress.advance(task, steps)
        progress.update(task, completed=total)
