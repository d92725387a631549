"""Options, device and errors of both commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import torch

from .data import FORMATS, Cifar, DataError
from .files import RunError
from .plans import PLANS, Plan
from .training import Cadence, Job

INTERRUPTED = 130
# Training and test images of the published data sets.
WHOLE = (50_000, 10_000)

data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the data set's binary files.",
)
dataset_option = click.option(
    "--dataset", type=click.Choice(list(FORMATS)), default="cifar10", show_default=True
)
plan_option = click.option("--plan", "plan_name", type=click.Choice(list(PLANS)), default="caffe")
seed_option = click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="The first seed."
)
out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("cifar10-runs"),
    show_default=True,
    help="Folder for logs, checkpoints, snapshots and pictures.",
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


def size_note(data: Cifar) -> str | None:
    """A note on a data set of another size than the published, else None."""
    sizes = len(data.train.labels), len(data.test.labels)
    if sizes == WHOLE:
        return None
    return f"data of {sizes[0]} training and {sizes[1]} test images"


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
            f"smaller --plan, or lower its batch in examples/cifar/plans.py ({error})"
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
