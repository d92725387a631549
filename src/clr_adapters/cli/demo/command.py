"""`clrcore demo`: the whole method on real digits."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import clrcore

from ..._extras import needed
from .. import _io, _text

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
PICTURES = ("range_test.png", "confirmation.png", "comparison.png")


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
@click.option("--quick", is_flag=True, help="A first impression: a fifth of the length, 2 seeds.")
def demo(out: Path, seeds: int | None, seed: int, quick: bool) -> None:
    """Run the whole method on 5000 handwritten digits, in about two minutes.

    A range test on a few seeds suggests bounds, and short trials confirm them. Then cyclic
    policies, the paper's stepwise baseline and a grid of constant rates train the same small
    networks. The demo prints the results, and writes pictures, all numbers, and a report for the
    browser.
    """
    started = time.monotonic()
    # Matrices of this size are multiplied before other threads have woken up. The linear algebra
    # library reads this when NumPy is first imported, which is why that happens later.
    for variable in BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    count = seeds or (2 if quick else 20)
    _demo(out, tuple(range(seed, seed + count)), quick)
    click.echo(f"Done in {time.monotonic() - started:.0f} s.")


def _demo(out: Path, seeds: tuple[int, ...], quick: bool) -> None:
    """Run the demo and write its files."""
    try:
        with needed("demo", "the demo needs more packages"):
            from clr_adapters.plot import plot_confirmation, plot_range_test

            from . import data, experiment, page, pictures, report, training
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    files = {name: out / name for name in (*PICTURES, "results.json", "report.html")}
    _check_writable(out, files.values())
    settings = experiment.Settings(seeds, experiment.EPOCH // (5 if quick else 1))
    digits = data.load()
    few = seeds[: experiment.RANGE_TEST_SEEDS]
    splits, few_splits = data.split(digits, seeds), data.split(digits, few)

    click.echo(_text.wrapped(report.ABOUT) + "\n")
    with _progress("range test", experiment.SWEEP.num_steps) as tick:
        curves = training.range_test(experiment.SWEEP, few_splits, few, tick=tick)
    try:
        suggested = clrcore.suggest_bounds(curves)
        click.echo(f"The range test suggests lr={suggested.lr:.3g}. Trials at rates around it:")
        check = clrcore.Confirmation(suggested, num_steps=experiment.TRIAL)
        with _progress("trials", check.most_updates) as tick:
            bounds = training.confirm(check, few_splits, few, tick=tick)
    except clrcore.NoBoundsError as error:
        raise _io.NoAnswer(str(error)) from error
    report.write(files["range_test.png"], plot_range_test(curves, bounds).figure.figure)
    report.write(files["confirmation.png"], plot_confirmation(bounds).figure.figure)
    click.echo(_text.table(report.trials_table(bounds)) + "\n")
    for line in str(bounds).splitlines():
        click.echo(_text.wrapped(line, "  "))
    click.echo()

    arms = experiment.arms(bounds.base_lr, bounds.max_lr, bounds.lr, settings)
    total = sum(arm.total_steps for arm in arms)
    with _progress(f"training {len(arms)} policies on {len(seeds)} seeds", total) as tick:
        histories = experiment.run_arms(arms, splits, settings, tick)
    findings = report.find(histories)
    results = report.results(arms, histories, curves, bounds, findings, settings)
    short, *lines = results["verdict"]
    # Not every terminal can show a sign that is not ASCII.
    utf = (sys.stdout.encoding or "").lower().startswith("utf")
    sign = " \N{PLUS-MINUS SIGN}" if utf else "+-"
    click.echo("\n" + _text.wrapped(short) + "\n")
    click.echo(_text.table(report.table(findings, settings, sign)))
    click.echo("\nDifferences in points of test accuracy, paired by seed, with 95 % intervals.\n")
    for line in lines:
        click.echo(_text.wrapped(f"- {line}", "  "))
    picture = pictures.comparison(arms, histories, report.drawn(findings), report.message(findings))
    report.write(files["comparison.png"], picture)
    report.write(files["results.json"], json.dumps(results, indent=1, allow_nan=False) + "\n")
    shown = {name: files[name].read_bytes() for name in PICTURES}
    report.write(files["report.html"], page.page(results, shown))
    click.echo()
    for path in files.values():
        click.echo(f"Written: {click.format_filename(path)}")


def _check_writable(out: Path, files: Iterable[Path]) -> None:
    """Create the folder, and refuse before the work a folder that cannot be written to."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        problem = f"{click.format_filename(out)} cannot be written to: {error}"
        raise click.ClickException(f"{problem}; give another --out") from error
    for path in files:
        if path.is_dir():
            problem = f"{click.format_filename(path)} must be a file, but it is a folder"
            raise click.ClickException(f"{problem}; give another --out")


@contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar; yields the function that moves it on, from any thread."""
    lock = threading.Lock()
    with click.progressbar(length=total, label=label) as bar:

        def tick(steps: int) -> None:
            with lock:
                bar.update(steps)

        yield tick
        bar.update(total - bar.pos)  # a range test that diverges ends early
