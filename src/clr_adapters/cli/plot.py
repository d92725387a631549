"""`clrcore plot`: policies, by options or from dictionaries, as a picture or as numbers."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from inspect import Parameter, signature
from pathlib import Path
from typing import Any

import click

import clrcore
from clr_adapters import logs
from clrcore.arguments import LARGEST_COUNT, did_you_mean

from . import _io
from ._io import explained, option

DEFAULT_OUT = Path("policy.png")
# Rows of numbers that are computed at a time.
BLOCK = 10_000


def integers(text: str) -> list[int]:
    """The integers in an option, with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        problem = f"{text!r} must be integers with commas between them, such as 60000,65000"
        raise click.BadParameter(problem) from None


STEPS = click.IntRange(1, LARGEST_COUNT)
# What an option can hold; a chain's stages and a custom scale cannot be options.
ARGUMENTS: dict[str, tuple[Any, str]] = {
    "lr": (float, "First rate, >= 0."),
    "base_lr": (float, "Lower bound, >= 0."),
    "min_lr": (float, "First rate of a sweep."),
    "max_lr": (float, "Upper bound; last rate of a sweep."),
    "step_size": (int, "Half a cycle, or the length of the fall, in steps."),
    "step_size_down": (int, "The falling half, in steps; by default as long as the rising half."),
    "window": (str, "triangular (the default), welch or hann."),
    "gamma": (float, "Factor per step, above 0, at most 1."),
    "decays": (str, "What gamma lowers: amplitude or bounds."),
    "milestones": (integers, "Steps at which the rate drops, as 60000,65000."),
    "factor": (float, "What the rate is multiplied by at a milestone. [default: 0.1]"),
    "period": (int, "Length of the first fall, in steps."),
    "multiplier": (int, "Every next fall is so many times longer. [default: 1]"),
    "num_steps": (int, "Length of a sweep or of a cosine fall, in steps."),
    "form": (str, "two_phase (the default) or three_phase."),
    "pct_start": (float, "Fraction of the steps that rise. [default: 0.3]"),
    "anneal_strategy": (str, "cos (the default) or linear."),
    "div_factor": (float, "max_lr / first rate. [default: 25]"),
    "final_div_factor": (float, "First rate / last rate. [default: 10000]"),
    "total_steps": (STEPS, "The last step to draw; for one_cycle, its length."),
}


# Policies that options can describe, and those that hold other policies.
NAMES = (
    *("triangular", "triangular2", "exp_range", "cyclic"),
    *("constant", "stepwise", "exponential", "decay", "cosine"),
    *("linear_sweep", "exponential_sweep", "one_cycle", "smith_one_cycle", "warm_restarts"),
)
NESTED = ("chain", "cooldown", "opposed")


def _arguments(kind: str) -> dict[str, bool]:
    """The arguments of a constructor that options can describe, and whether each is needed."""
    parameters = signature(getattr(clrcore, kind)).parameters
    needed = {name: p.default is Parameter.empty for name, p in parameters.items()}
    if "decays" in needed:  # its default is refused, with the two readings
        needed["decays"] = True
    return {name: needed[name] for name in needed if name in ARGUMENTS}


KINDS = {kind: _arguments(kind) for kind in NAMES}


def usage(kind: str) -> str:
    """The options of a kind of policy, in brackets where they can be left out."""
    return " ".join(
        option(name) if needed else f"[{option(name)}]" for name, needed in KINDS[kind].items()
    )


IN_STEPS = "lengths are in steps: epochs times steps per epoch"
# Options that people bring from other libraries.
HINTS = {
    "--mode": "the mode is the kind, as in clrcore plot triangular2",
    "--step-size-up": "use --step-size",
    "--stepsize": "use --step-size",
    **dict.fromkeys(("--epochs", "--num-epochs", "--steps-per-epoch"), IN_STEPS),
}


class Command(click.Command):
    """A command whose help lists the kinds of policies and their options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; lead on from those of other libraries."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name in HINTS:
                message = f"No such option {error.option_name!r}; {HINTS[error.option_name]}."
                raise click.UsageError(message, ctx) from error
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        with formatter.section("Kinds"):
            formatter.write_dl([(kind, usage(kind)) for kind in KINDS])


@click.command(
    cls=Command,
    params=[
        click.Option([option(name)], type=kind, help=text)
        for name, (kind, text) in ARGUMENTS.items()
    ],
    short_help="Draw policies, or print their rates.",
)
@click.argument("kind", required=False)
@click.option(
    "--json",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Dictionary of a policy, as to_dict makes it; - is the standard input. Can be given "
    "several times.",
)
@click.option(
    "--out",
    type=_io.picture,
    help=f"The picture, .png or .svg. [default: {DEFAULT_OUT}; none with --values]",
)
@click.option("--values", is_flag=True, help="Print the rates, a line for every step.")
@click.option(
    "--start", type=click.IntRange(0, LARGEST_COUNT), default=0, help="First step. [default: 0]"
)
def plot(
    kind: str | None,
    files: tuple[str, ...],
    out: Path | None,
    values: bool,
    start: int,
    **given: Any,
) -> None:
    """Draw the learning rate against the step.

    \b
      clrcore plot triangular2 --base-lr 0.001 --max-lr 0.006 --step-size 2000
      clrcore plot --json policy.json --json other.json --out both.svg

    A policy that has an end is drawn up to it, others up to the last of these ends or for five
    cycles, unless --total-steps is given; policies without end and cycles need it. Chains are given
    as --json.
    """  # noqa: D301 - the backspace makes click keep the lines
    total_steps = given["total_steps"]
    given = {name: value for name, value in given.items() if value is not None}
    policies = {}
    if kind is not None:
        policies[kind] = _policy(kind, given)
    else:
        unused = [name for name in given if name != "total_steps"]
        if unused:
            raise click.UsageError(f"{option(unused[0])} needs a kind: {', '.join(KINDS)}")
    for file in files:
        policy = _read(file)
        # A picture cannot show bytes that are no text, and leaves names with _ out of its key.
        stem = "" if file == "-" else Path(file).stem.encode(errors="replace").decode()
        label = stem.lstrip("_")
        policies[_unused(label or policy.constructor, policies)] = policy
    if not policies:
        raise click.UsageError(f"give a kind ({', '.join(KINDS)}) or --json FILE")
    if values:
        _print(policies, start, total_steps)
    if out is not None or not values:
        drawing = _io.needs_plot()
        # Dollar signs would begin a formula.
        named = {label.replace("$", r"\$"): policy for label, policy in policies.items()}
        try:
            ax = drawing.plot_policy(named, total_steps, start=start)
        except ValueError as error:
            raise click.UsageError(explained(error, [*ARGUMENTS, "start"])) from error
        _io.save(ax, out or DEFAULT_OUT)


def _policy(kind: str, given: Mapping[str, Any]) -> clrcore.Policy:
    """The policy that the options describe."""
    if kind in NESTED:
        raise click.UsageError(f"{kind} has policies in it: give its dictionary by --json FILE")
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS) or f"there are {', '.join(KINDS)}"
        raise click.UsageError(f"{kind!r} is no kind of policy; {near}")
    arguments = KINDS[kind]
    missing = [name for name, needed in arguments.items() if needed and name not in given]
    foreign = [name for name in given if name not in arguments and name != "total_steps"]
    problem = f"lacks {' '.join(map(option, missing))}" if missing else ""
    if foreign and not missing:
        problem = f"has no {option(foreign[0])}"
    if problem:
        raise click.UsageError(f"{kind} {problem}; it takes {usage(kind)}")
    try:
        fitting = {name: given[name] for name in given if name in arguments}
        policy: clrcore.Policy = getattr(clrcore, kind)(**fitting)
        return policy
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"{kind}: {explained(error, ARGUMENTS)}") from error


def _read(file: str) -> clrcore.Policy:
    """The policy in a file."""
    name = _io.name(file)
    try:
        return clrcore.policy_from_dict(logs.read_json(_io.content(file)))
    except (OSError, TypeError, ValueError) as error:
        raise click.ClickException(f"{name}: {error}") from error


def _unused(label: str, taken: Mapping[str, object]) -> str:
    """The label, with a number where it is taken."""
    numbered = (f"{label} ({i})" for i in range(2, len(taken) + 3))
    return label if label not in taken else next(name for name in numbered if name not in taken)


def _print(policies: Mapping[str, clrcore.Policy], start: int, total_steps: int | None) -> None:
    """Print the rates with all their digits, separated by commas, below a header."""
    lengths = [policy.total_steps or 0 for policy in policies.values()]
    stop = max(lengths) if total_steps is None else total_steps
    if not stop:
        raise click.UsageError("--values needs --total-steps where no policy has an end")
    if start >= stop:
        more = " unless --total-steps is given" if total_steps is None else ""
        raise click.UsageError(f"--start must be less than {stop}, where the rates end{more}")
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["step", *(policies if len(policies) > 1 else ["lr"])])
    for first in range(start, stop, BLOCK):
        last = min(first + BLOCK, stop)
        columns = [policy.values(first, last).tolist() for policy in policies.values()]
        writer.writerows(zip(range(first, last), *columns, strict=True))
