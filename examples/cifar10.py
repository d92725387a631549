"""Smith's CIFAR-10 experiments at full length: fixed, cyclic and other policies side by side.

    python examples/cifar10.py --data DIR                    5 seeds of every arm of the small net
    python examples/cifar10.py --data DIR --arm fixed --arm staged
    python examples/cifar10.py --data DIR --plan super       ResNet-56 in one cycle
    python examples/cifar10.py --list                        arms and budgets

Needs PyTorch, click and matplotlib: in a copy of this repository, pip install ".[torch,cli]". DIR
holds the binary version of CIFAR-10; nothing is downloaded. The same command resumes an
interrupted run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from cifar.command import data_option, dataset_option, plan_option, size_note
from cifar.data import FORMATS, load
from cifar.plans import PLANS, SEEDS
from cifar.task import Loaded
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
from paper.training import Job

# Counts the updates in an epoch if no data are read.
IMAGES = 50_000
# The data set of the plans' claims.
PUBLISHED = FORMATS["cifar10"].title


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@data_option
@dataset_option
@plan_option
@list_option
@device_option
@experiment_options(seeds=SEEDS, evaluate_every=500, least_scale=0.001, out="cifar10-runs")
def main(
    data: Path | None, dataset: str, plan_name: str, listing: bool, device: str, **options: Any
) -> None:
    """Train Smith's CIFAR-10 networks under fixed, cyclic and other policies."""
    plan, experiment = PLANS[plan_name], Experiment(**options)
    if listing:
        experiment.show_budget(plan, IMAGES)
        return
    if data is None:
        raise click.UsageError("Missing option '--data': the folder with the binary files.")
    chosen = pick_device(device)
    set_precision(plan)
    jobs: list[Job] = []
    with plain_errors(jobs):
        read = load(data, dataset)
        other = None if read.title == PUBLISHED else f"{read.title} for {PUBLISHED}"
        jobs += experiment.jobs(plan, len(read.train.labels), other, size_note(read))
        task = Loaded.of(read, plan, chosen)
        experiment.run(task, jobs, f"{read.title} on {describe(chosen)}")


if __name__ == "__main__":
    main()
