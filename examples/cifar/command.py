"""What the commands share: options, the device, errors in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import torch

from .data import FORMATS, Cifar, DataError
from .files import RunError
from .plans import Plan
from .training import Job

INTERRUPTED = 130
# The images of the data sets as they are published.
WHOLE = (50_000, 10_000)

data_option = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with the data set's binary files.",
)
dataset_option = click.option(
    "--dataset", type=click.Choice(list(FORMATS)), default="cifar10", show_default=True
)
device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to train; auto takes the GPU if there is one.",
)


def pick_device(name: str) -> torch.device:
    """The device of that name; auto is the GPU if there is one."""
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise click.BadParameter(
            "PyTorch sees no GPU here; pass --device cpu", param_hint="'--device'"
        )
    return torch.device("cuda" if there and name != "cpu" else "cpu")


def set_precision(plan: Plan) -> None:
    """Let cuDNN's convolutions have TF32, or not, as the plan says; for the whole process."""
    torch.backends.cudnn.allow_tf32 = plan.tf32


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU, {torch.get_num_threads()} threads"


def size_note(data: Cifar) -> str | None:
    """What to say of a data set that is not the published one, None of one that is."""
    sizes = len(data.train.labels), len(data.test.labels)
    if sizes == WHOLE:
        return None
    return f"data of {sizes[0]} training and {sizes[1]} test images"


@contextmanager
def plain_errors(jobs: Sequence[Job]) -> Iterator[None]:
    """Say in one line what is wrong with data, folders or memory; let Ctrl-C end quietly.

    jobs: those of the command, which may be added within.
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
            "goes on from the last checkpoint"
            if written
            else "starts anew: no checkpoint was written"
        )
        click.echo(f"Interrupted; the same command {after}.", err=True)
        raise SystemExit(INTERRUPTED) from None
