"""What the commands share: options, the device, errors in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import torch

from .data import FORMATS, Cifar, DataError
from .files import RunError

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
        raise click.BadParameter("PyTorch sees no GPU here; pass --device cpu", param_hint="device")
    return torch.device("cuda" if there and name != "cpu" else "cpu")


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
def plain_errors() -> Iterator[None]:
    """Say in one line what is wrong with the data or a run's folder; let Ctrl-C end quietly."""
    try:
        yield
    except (DataError, RunError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("Interrupted; the same command goes on from the last checkpoint.", err=True)
        raise SystemExit(INTERRUPTED) from None
