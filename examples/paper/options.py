"""Options, device and errors of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import torch

from .errors import DataError, RunError
from .plans import Plan
from .training import Cadence, Job

INTERRUPTED = 130


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

list_option = click.option(
    "--list", "listing", is_flag=True, help="Print the plan's arms, and end."
)
_OF_EXPERIMENTS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--arm", "names", multiple=True, help="An arm of the plan; repeat. [default: all]"
    ),
    click.option(
        "--speed", type=click.FloatRange(1), help="Images per second, for the hours of --list."
    ),
    seed_option,
    click.option("--range-test", "sweep", is_flag=True, help="Start with a range test."),
    click.option(
        "--find-bounds",
        "find",
        type=click.IntRange(80),
        help="Start with find_bounds, a range test and short trials of so many updates; 1500 "
        "are usual.",
    ),
    click.option("--steps", type=click.IntRange(1), help="End every run after this many updates."),
    click.option("--log-every", type=click.IntRange(1), default=Cadence.log, show_default=True),
    checkpoint_option,
)


def experiment_options(
    *, seeds: int, evaluate_every: int, least_scale: float, out: str
) -> Callable[[Any], Any]:
    """The options of a command that compares the arms of a plan, with its own defaults."""
    own: tuple[Callable[[Any], Any], ...] = (
        click.option("--seeds", type=click.IntRange(1, 100), default=seeds, show_default=True),
        click.option(
            "--evaluate-every",
            type=click.IntRange(1),
            default=evaluate_every,
            show_default=True,
        ),
        click.option(
            "--scale",
            type=click.FloatRange(least_scale, 1.0),
            default=1.0,
            help="Shorten every length of the plan by this factor.",
        ),
        out_option(out),
    )

    def decorate(command: Any) -> Any:
        for option in reversed((*_OF_EXPERIMENTS, *own)):
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
