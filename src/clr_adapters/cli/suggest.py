"""`clrcore suggest`: bounds from recorded range tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import clrcore

from . import _curves, _io, _text

UNDO = "; the options --lightning, --fastai and --torch-lr-finder do so"


def _finders(function: Callable[..., None]) -> Callable[..., None]:
    """The function with an option for each finder."""
    for name, (_, text) in reversed(_curves.FINDERS.items()):
        function = click.option(f"--{name}", "finder", flag_value=name, help=text)(function)
    return function


@click.command(short_help="Read learning rates off recorded range tests.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(exists=True, allow_dash=True),
)
@click.option("--lr", metavar="NAME", help="The column of rates.")
@click.option("--loss", metavar="NAME", help="The column of losses.")
@click.option("--accuracy", metavar="NAME", help="The column of accuracies.")
@click.option(
    "--updates",
    type=_io.name_or_number,
    metavar="NAME|N",
    help="The column that counts updates, or the number of updates from line to line.",
)
@click.option(
    "--sweep",
    type=click.Choice(["linear", "exponential"]),
    help="How the rates rise. [default: inferred from them]",
)
@click.option("--steps-per-epoch", type=float, help="Updates in an epoch, > 0, if known.")
@click.option(
    "--held-out/--training",
    default=None,
    help="What the accuracy is of. [default: held out if the column's name begins with val or "
    "test]",
)
@_finders
@click.option(
    "--rule",
    default="auto",
    show_default=True,
    help="How to read the curves: auto, loss, accuracy, or a name that --compare lists.",
)
@click.option("--compare", is_flag=True, help="Also list the rate of every rule.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")
@click.option("--picture", type=_io.picture, help="Draw it all: a .png or .svg file.")
def suggest(
    files: tuple[str, ...],
    finder: str | None,
    rule: str,
    compare: bool,
    as_json: bool,
    picture: Path | None,
    **options: Any,
) -> None:
    """Find the learning rates to train between, from range tests of any tool.

    FILE holds one range test: a table with columns of rates and of losses or accuracies, JSON (a
    dictionary of such lists, a list of records, trainer_state.json), JSON lines, or TensorBoard
    events, as a file or their folder; - is the standard input. Several files are several seeds of
    the same setting.

    \b
      clrcore suggest seed0.csv seed1.csv seed2.csv --picture range-test.png
      clrcore suggest metrics.csv --lr lr-SGD --loss train_loss_step --json
    """  # noqa: D301 - the backspace makes click keep the lines
    _check_different(files)
    given = {name: value for name, value in options.items() if value is not None}
    curves = [_curves.read(file, given, finder=finder) for file in files]
    answer = _suggest(curves, rule)
    bounds = answer if isinstance(answer, clrcore.Bounds) else None
    rules = _all_rules(curves) if compare else {}
    if as_json:
        _print_json(files, answer, rules)
    else:
        if bounds is not None:
            click.echo(bounds.explain())
        for name, other in rules.items():
            click.echo(_line(name, other))
    if picture is not None:
        plotting = _io.needs_plot()
        try:
            _io.save(plotting.plot_range_test(curves, bounds), picture)
        except clrcore.ArgumentError as error:  # a curve without points
            raise click.ClickException(str(error)) from error
    if isinstance(answer, clrcore.NoBoundsError):
        raise _io.NoAnswer(f"{answer}{UNDO if answer.kind == 'running_average' else ''}")


def _suggest(curves: Sequence[clrcore.Curve], rule: str) -> clrcore.Bounds | clrcore.NoBoundsError:
    """The bounds, or the reason for a refusal."""
    try:
        return clrcore.suggest_bounds(curves, rule=rule)
    except clrcore.NoBoundsError as error:
        return error
    except ValueError as error:
        raise click.UsageError(_io.explained(error, ["rule"])) from error


def _check_different(files: Sequence[str]) -> None:
    """Refuse a file that is given twice: seeds that agree seem surer than they are."""
    seen = set()
    for file in files:
        path = os.path.realpath(file) if file != "-" else file
        if path in seen:
            name = click.format_filename(file)
            raise click.UsageError(f"{name} is given twice; give the file of another seed")
        seen.add(path)


def _all_rules(curves: Sequence[clrcore.Curve]) -> dict[str, clrcore.Bounds | str]:
    """The answer of every rule, or the reason for a refusal."""
    answers: dict[str, clrcore.Bounds | str] = {}
    for name, (_, needs) in clrcore.bound_rules().items():
        if any(getattr(curve, needs) is None for curve in curves):
            answers[name] = f"needs {needs}"
            continue
        answer = _suggest(curves, name)
        answers[name] = answer if isinstance(answer, clrcore.Bounds) else str(answer)
    return answers


def _print_json(
    files: Sequence[str],
    answer: clrcore.Bounds | clrcore.NoBoundsError,
    rules: Mapping[str, clrcore.Bounds | str],
) -> None:
    """Print the answers as JSON; nothing where there is only a refusal, which is an error."""
    if isinstance(answer, clrcore.Bounds):
        data = answer.to_dict()
    elif rules:
        data = {"refusal": str(answer), "kind": answer.kind}
    else:
        return
    data["files"] = list(files)
    if rules:
        data["rules"] = {
            name: {"refusal": other} if isinstance(other, str) else other.to_dict()
            for name, other in rules.items()
        }
    click.echo(json.dumps(data, indent=1))


def _line(name: str, answer: clrcore.Bounds | str) -> str:
    """A rule, its rate, and its description or the reason for a refusal."""
    descriptions = clrcore.bound_rules()
    size = max(map(len, descriptions))
    rate, text = ("", answer) if isinstance(answer, str) else (f"{answer.lr:.3g}", "")
    text = text or descriptions[name][0]
    start = f"{name:<{size}}  {rate:>8}  "
    indent = " " * (len(start) if _text.width() - len(start) >= 30 else 2)
    return _text.wrapped(start + text, indent)
