"""Options of both commands on CIFAR."""

from __future__ import annotations

from pathlib import Path

import click

from .data import FORMATS, Cifar
from .plans import PLANS

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


def size_note(data: Cifar) -> str | None:
    """A note on a data set of another size than the published, else None."""
    sizes = len(data.train.labels), len(data.test.labels)
    if sizes == WHOLE:
        return None
    return f"data of {sizes[0]} training and {sizes[1]} test images"
