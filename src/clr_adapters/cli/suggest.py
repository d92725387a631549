"""`clrcore suggest`: bounds from recorded range tests."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import clrcore

from . import _curves, _ends, _pictures

if TYPE_CHECKING:
    from collections.abc import Sequence


def finite(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """The number in an option; a refusal of nan and inf, which are no numbers of updates."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} must be a finite number > 0")
    return value


@click.command(short_help="Read learning rates off recorded range tests.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
)
@click.option("--lr", metavar="NAME", help="The column of rates.")
@click.option("--loss", metavar="NAME", help="The column of losses.")
@click.option("--accuracy", metavar="NAME", help="The column of accuracies.")
@click.option(
    "--sweep",
    type=click.Choice(["linear", "exponential"]),
    help="How the rates rise. [default: as they look]",
)
@click.option(
    "--steps-per-epoch",
    type=click.FloatRange(min=0, min_open=True),
    callback=finite,
    help="Updates in an epoch, if known.",
)
@click.option(
    "--held-out/--training",
    default=None,
    help="What the accuracy is of. [default: held out if the column's name says so]",
)
@click.option(
    "--rule",
    default="auto",
    show_default=True,
    help="How to read the curves: auto, loss, accuracy, or a name that --compare lists.",
)
@click.option("--compare", is_flag=True, help="Also what every rule says, other tools' too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
@click.option("--picture", type=_pictures.picture, help="Draw it all: a .png or .svg file.")
def suggest(
    files: tuple[str, ...],
    lr: str | None,
    loss: str | None,
    accuracy: str | None,
    sweep: str | None,
    steps_per_epoch: float | None,
    held_out: bool | None,
    rule: str,
    compare: bool,
    as_json: bool,
    picture: Path | None,
) -> None:
    """Between which learning rates to train, from range tests of any tool.

    FILE holds one range test: a table (CSV) with a header and columns of rates and of losses or
    accuracies, or a JSON dictionary of such lists; - is the standard input. Several files are
    several seeds of the same setting.

    \b
      clrcore suggest seed0.csv seed1.csv seed2.csv --picture range-test.png
      clrcore suggest metrics.csv --lr lr-SGD --loss train_loss_step --json
    """  # noqa: D301 - the backspace tells click to keep the lines
    _check_different(files)
    names = {"lr": lr, "loss": loss, "accuracy": accuracy}
    more = {"sweep": sweep, "steps_per_epoch": steps_per_epoch, "held_out": held_out}
    curves = [_curves.read(file, names, more) for file in files]
    bounds = refusal = None
    try:
        bounds = clrcore.suggest_bounds(curves, rule=rule)
    except clrcore.NoBoundsError as error:
        refusal = error
    except ValueError as error:
        message = str(error)
        of_rule = message.startswith("rule ")
        raise click.UsageError(f"--{message}" if of_rule else message) from error
    if picture is not None:
        try:
            ax = _pictures.needs_plot().plot_range_test(curves, bounds)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        _pictures.save(ax, picture)
    rules = _all_rules(curves) if compare else None
    if as_json and (bounds is not None or rules is not None):
        answer = {"refusal": str(refusal)} if bounds is None else bounds.to_dict()
        data: dict[str, Any] = {**answer, "files": list(files)}
        if rules is not None:
            data["rules"] = {
                name: {"refusal": said} if isinstance(said, str) else said.to_dict()
                for name, said in rules.items()
            }
        click.echo(json.dumps(data, indent=1))
    elif not as_json:
        if bounds is not None:
            click.echo(str(bounds))
        if rules is not None:
            _print_rules(rules)
    if refusal is not None:
        raise _ends.NoAnswer(str(refusal)) from refusal


def _check_different(files: Sequence[str]) -> None:
    """Refuse a file that is given twice: seeds that agree look surer than they are."""
    seen = set()
    for file in files:
        path = os.path.realpath(file) if file != "-" else file
        if path in seen:
            raise click.UsageError(
                f"{click.format_filename(file)} is given twice; give the file of another seed"
            )
        seen.add(path)


def _all_rules(curves: Sequence[clrcore.Curve]) -> dict[str, clrcore.Bounds | str]:
    """What every rule says of the curves, or why it says nothing."""
    from clrcore.bounds import RULES

    said: dict[str, clrcore.Bounds | str] = {}
    for name in RULES:
        try:
            said[name] = clrcore.suggest_bounds(curves, rule=name)
        except clrcore.NoBoundsError as error:
            said[name] = str(error)
        except ValueError:  # what the rule reads was not recorded
            said[name] = f"needs {RULES[name].needs}"
    return said


def _print_rules(rules: dict[str, clrcore.Bounds | str]) -> None:
    """Print the rates of all rules as a table."""
    from clrcore.bounds import RULES

    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    except ImportError as error:
        raise click.ClickException(
            f'--compare needs rich: pip install "clrcore[cli]" ({error})'
        ) from error
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    table.add_column("lr", justify="right", no_wrap=True)
    table.add_column("which is, or why there is none")
    for name, said in rules.items():
        if isinstance(said, str):
            table.add_row(name, "", said)
        else:
            table.add_row(name, f"{said.lr:.3g}", RULES[name].description)
    Console(highlight=False, markup=False).print(table)
