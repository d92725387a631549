"""Options, errors and stages of the commands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch

import clrcore
from clr_adapters.plot import plot_confirmation, plot_range_test

from . import bounds, report
from .errors import DataError, RunError
from .files import read_log
from .plans import Arm, Plan
from .training import Cadence, Job, Task, check, train

INTERRUPTED = 130
RANGE_TEST_SEEDS = 3
SECONDS_PER_HOUR = 3600


def out_option(default: str) -> Callable[[Any], Any]:
    """The option for the folder of all runs."""
    return click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(default),
        show_default=True,
        help="Folder for logs, checkpoints and pictures.",
    )


seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="The first seed."
)
checkpoint_option = click.option(
    "--checkpoint-every", type=click.IntRange(1), default=Cadence.checkpoint, show_default=True
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train; auto takes the GPU if there is one.",
)

_OF_EXPERIMENTS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--arm", "names", multiple=True, help="An arm of the plan; repeat. [default: all]"
    ),
    click.option("--list", "listing", is_flag=True, help="Print the plan's arms, and end."),
    click.option(
        "--speed", type=click.FloatRange(1), help="Images per second, for the hours of --list."
    ),
    seed_option,
    click.option("--range-test", "sweep", is_flag=True, help="Start with a range test."),
    click.option(
        "--find-bounds",
        "find",
        is_flag=True,
        help=f"Start with find_bounds: {bounds.UPDATES} updates of a range test and short trials.",
    ),
    click.option("--steps", type=click.IntRange(1), help="End every run after this many updates."),
    click.option("--log-every", type=click.IntRange(1), default=Cadence.log, show_default=True),
    checkpoint_option,
    device_option,
)


def experiment_options(least_scale: float) -> Callable[[Any], Any]:
    """The options of a command that compares the arms of a plan."""
    scale_option = click.option(
        "--scale",
        type=click.FloatRange(least_scale, 1.0),
        default=1.0,
        help="Shorten every length of the plan by this factor.",
    )

    def decorate(command: Any) -> Any:
        for option in reversed((scale_option, *_OF_EXPERIMENTS)):
            command = option(command)
        return command

    return decorate


def pick_device(name: str) -> torch.device:
    """The device with this name; auto is the GPU if there is one."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise click.BadParameter(
            "PyTorch sees no GPU here; pass --device cpu", param_hint="'--device'"
        )
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def set_precision(plan: Plan) -> None:
    """Switch TF32 in cuDNN's convolutions on or off for the process, as the plan asks."""
    torch.backends.cudnn.allow_tf32 = plan.tf32


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU, {torch.get_num_threads()} threads"


@contextmanager
def plain_errors(jobs: Sequence[Job]) -> Iterator[None]:
    """Report wrong data, folders or lack of memory in a line, and end quietly after Ctrl-C.

    Args:
        jobs: The jobs of the command, which may still grow.
    """
    try:
        yield
    except (DataError, RunError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except torch.OutOfMemoryError as error:
        raise click.ClickException(
            "the GPU has too little free memory for this plan: end what else uses it, pass a "
            f"smaller --plan, or lower the plan's batch ({error})"
        ) from error
    except KeyboardInterrupt:
        written = any(job.checkpoint.exists() for job in jobs)
        after = (
            "resumes from the last checkpoint"
            if written
            else "starts again: no checkpoint was written"
        )
        click.echo(f"Interrupted; the same command {after}.", err=True)
        raise SystemExit(INTERRUPTED) from None


def list_arms(plan: Plan, images: int, scale: float, speed: float | None) -> None:
    """Print the budget of every arm, with hours at a speed in images per second."""
    click.echo(f"{plan.name}: {plan.about}; batches of {plan.batch}")
    arms = plan.arms(images // plan.batch, scale)
    for arm in arms:
        click.echo(f"  {arm.name:20} {_budget(arm.total_steps, plan, speed)}, {arm.optimizer}")
    total = sum(arm.total_steps for arm in arms)
    click.echo(f"  {'all, one seed':20} {_budget(total, plan, speed)}")


def _budget(steps: int, plan: Plan, speed: float | None) -> str:
    images = steps * plan.batch
    text = f"{steps:9,} updates, {images / 1e6:8.2f} million images"
    return text if speed is None else f"{text}, {images / speed / SECONDS_PER_HOUR:7.1f} hours"


def choose_arms(
    plan: Plan, images: int, names: Sequence[str], scale: float, steps: int | None
) -> list[Arm]:
    """The chosen arms in the plan's order, cut off after `steps` updates."""
    arms = plan.arms(max(1, images // plan.batch), scale)
    known = [arm.name for arm in arms]
    for name in names:
        if name not in known:
            raise click.BadParameter(
                f"{name!r} is no arm of the plan {plan.name}; its arms are {', '.join(known)}",
                param_hint="'--arm'",
            )
    chosen = [arm for arm in arms if arm.name in (names or known)]
    if steps is None:
        return chosen
    return [dataclasses.replace(arm, total_steps=min(steps, arm.total_steps)) for arm in chosen]


def note_of(scale: float, steps: int | None, *others: str | None) -> str | None:
    """How these runs differ from the plan's; None if they do not."""
    parts = [f"lengths times {scale:g}" if scale != 1.0 else None]
    parts += [None if steps is None else f"at most {steps} updates a run"]
    differences = [part for part in (*others, *parts) if part is not None]
    return f"not the plan's run: {', '.join(differences)}" if differences else None


def run(task: Task, jobs: Sequence[Job], *, sweep: bool, find: bool, scale: float) -> None:
    """Test rates if asked, train all jobs, and report.

    Raises:
        RunError: A folder belongs to another run; nothing has been trained then.
        DataError: The data cannot be read.
    """
    for job in jobs:  # all, before the first is trained
        check(job, task)
    out, ranks = jobs[0].out, task.ranks
    out.mkdir(parents=True, exist_ok=True)
    seeds = sorted({job.seed for job in jobs})
    if sweep:
        _range_test(task, seeds[:RANGE_TEST_SEEDS], scale, out)
    if find:
        _find_bounds(task, seeds[0], out)
    for number, job in enumerate(jobs, 1):
        train(job, task)
        if ranks.rank == 0:
            _say_result(job, f"[{number}/{len(jobs)}]")
    if ranks.rank == 0:
        _report(task.plan, jobs, out)


def _range_test(task: Task, seeds: Sequence[int], scale: float, out: Path) -> None:
    plan, say = task.plan, task.ranks.say
    curves = bounds.measure(task, seeds, scale)
    found, text = bounds.read(plan, curves)
    say(text)
    if task.ranks.rank != 0:
        return
    for seed, curve in zip(seeds, curves, strict=True):
        curve.to_csv(out / f"{plan.name}-range-test-seed{seed}.csv")
    picture = report.write(plot_range_test(curves, found), out / f"{plan.name}-range-test.png")
    say(f"Written: {picture}")


def _find_bounds(task: Task, seed: int, out: Path) -> None:
    plan, say = task.plan, task.ranks.say
    try:
        found = bounds.find(task, seed)
    except clrcore.NoBoundsError as error:
        say(f"find_bounds gave no bounds: {error}")
        return
    say(f"{found.explain()}\n(by find_bounds; the arms use the plan's rates)")
    if task.ranks.rank == 0:
        picture = report.write(plot_confirmation(found), out / f"{plan.name}-find-bounds.png")
        say(f"Written: {picture}")


def _say_result(job: Job, count: str) -> None:
    last = read_log(job.log)[-1]
    right = 100 * (last.test_accuracy or 0.0)
    click.echo(
        f"{count} {job.arm.name}, seed {job.seed}: {right:.2f} % after {last.step} updates, "
        f"{last.seconds:.0f} s"
    )


def _report(plan: Plan, jobs: Sequence[Job], out: Path) -> None:
    arms = list({job.arm.name: job.arm for job in jobs}.values())
    results = [
        report.Result(
            arm, tuple(tuple(read_log(job.log)) for job in jobs if job.arm.name == arm.name)
        )
        for arm in arms
    ]
    lines = [*report.table(results), *report.verdict(plan, results, jobs[0].note)]
    for line in (*lines, *report.contrasts(plan, results)):
        click.echo(line)
    for path in report.pictures(plan, results, out):
        click.echo(f"Written: {path}")
