"""Smith's ImageNet experiments: AlexNet and GoogLeNet under fixed, cyclic and other policies.

    python examples/imagenet.py --data DIR                     every arm of AlexNet
    python examples/imagenet.py --data DIR --plan googlenet --arm fixed --arm triangular2
    torchrun --nproc-per-node 8 examples/imagenet.py --data DIR        on 8 GPUs
    python examples/imagenet.py --list --speed 3000            arms, budgets, hours

Needs PyTorch, torchvision, click and matplotlib: in a copy of this repository,
pip install ".[torch,cli]" torchvision. DIR has the folders train/ and val/, and each of them has a
folder of images for every class; nothing is downloaded. The same command resumes an interrupted
run.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import click
from ilsvrc.data import Tree, load
from ilsvrc.plans import CROP, PLANS, ImageNetPlan
from ilsvrc.task import DTYPES, FromFolders
from paper.experiment import Experiment
from paper.options import (
    describe,
    device_option,
    experiment_options,
    list_option,
    pick_device,
    plain_errors,
    set_precision,
)
from paper.ranks import Ranks, device_of_process, together
from paper.training import Job

# Images and classes of ILSVRC 2012.
WHOLE = (1_281_167, 50_000, 1000)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with train/ and val/.",
)
@click.option("--plan", "plan_name", type=click.Choice(list(PLANS)), default="alexnet")
@click.option("--batch", type=click.IntRange(2), help="Images in an update, instead of the plan's.")
@click.option(
    "--size",
    "side",
    type=click.IntRange(64, 1024),
    default=CROP,
    show_default=True,
    help="Side of the crops in pixels.",
)
@click.option(
    "--precision",
    type=click.Choice(list(DTYPES)),
    default="float32",
    show_default=True,
    help="Of the forward pass; bfloat16 is mixed precision.",
)
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=min(16, os.cpu_count() or 1),
    show_default=True,
    help="Processes that read images, for each GPU.",
)
@list_option
@device_option
@experiment_options(seeds=1, evaluate_every=5000, least_scale=1e-5, out="imagenet-runs")
def main(
    data: Path | None,
    plan_name: str,
    batch: int | None,
    side: int,
    precision: str,
    workers: int,
    listing: bool,
    device: str,
    **options: Any,
) -> None:
    """Train Smith's ImageNet networks under fixed, cyclic and other policies."""
    published, experiment = PLANS[plan_name], Experiment(**options)
    plan = dataclasses.replace(published, batch=batch or published.batch)
    if listing:
        experiment.show_budget(plan, WHOLE[0])
        return
    if data is None:
        raise click.UsageError("Missing option '--data': the folder with train/ and val/.")
    chosen = device_of_process(pick_device(device))
    set_precision(plan)
    changed = [
        f"batches of {plan.batch}" if plan.batch != published.batch else None,
        f"crops of {side}" if side != CROP else None,
    ]
    jobs: list[Job] = []
    with plain_errors(jobs), together(chosen) as ranks:
        _check_shares(plan, ranks)
        tree = load(data)
        jobs += experiment.jobs(plan, len(tree.train.paths), _size_note(tree), *changed)
        task = FromFolders(plan, chosen, ranks, tree, side, precision, workers)
        experiment.run(task, jobs, f"{ranks.size} x {describe(chosen)}, {precision}")


def _check_shares(plan: ImageNetPlan, ranks: Ranks) -> None:
    if plan.batch % ranks.size:
        raise click.UsageError(
            f"{ranks.size} processes cannot share {plan.batch} images equally: pass a --batch that "
            f"is a multiple of {ranks.size}"
        )


def _size_note(tree: Tree) -> str | None:
    """A note on data of another size than ImageNet's, else None."""
    sizes = (len(tree.train.paths), len(tree.val.paths), len(tree.classes))
    if sizes == WHOLE:
        return None
    return f"data of {sizes[0]} training and {sizes[1]} validation images in {sizes[2]} classes"


if __name__ == "__main__":
    main()
