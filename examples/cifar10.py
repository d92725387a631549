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

import click
from cifar.command import data_option, dataset_option, plan_option, size_note
from cifar.data import FORMATS, load
from cifar.plans import PLANS, SEEDS
from cifar.task import Loaded
from paper.command import (
    choose_arms,
    describe,
    experiment_options,
    list_arms,
    note_of,
    out_option,
    pick_device,
    plain_errors,
    run,
    set_precision,
)
from paper.training import Cadence, Job

# Counts the updates in an epoch if no data are read.
IMAGES = 50_000
# The data set of the plans' claims.
PUBLISHED = FORMATS["cifar10"].title


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@data_option
@dataset_option
@plan_option
@experiment_options(least_scale=0.001)
@click.option("--seeds", type=click.IntRange(1, 100), default=SEEDS, show_default=True)
@click.option(
    "--evaluate-every", type=click.IntRange(1), default=Cadence.evaluate, show_default=True
)
@out_option("cifar10-runs")
def main(
    data: Path | None,
    dataset: str,
    plan_name: str,
    names: tuple[str, ...],
    listing: bool,
    speed: float | None,
    out: Path,
    seeds: int,
    seed: int,
    sweep: bool,
    find: bool,
    scale: float,
    steps: int | None,
    log_every: int,
    evaluate_every: int,
    checkpoint_every: int,
    device: str,
) -> None:
    """Train Smith's CIFAR-10 networks under fixed, cyclic and other policies."""
    plan = PLANS[plan_name]
    if listing:
        list_arms(plan, IMAGES, scale, speed)
        return
    if data is None:
        raise click.UsageError("Missing option '--data': the folder with the binary files.")
    chosen = pick_device(device)
    set_precision(plan)
    jobs: list[Job] = []
    with plain_errors(jobs):
        read = load(data, dataset)
        arms = choose_arms(plan, len(read.train.labels), names, scale, steps)
        other = None if read.title == PUBLISHED else f"{read.title} for {PUBLISHED}"
        note = note_of(scale, steps, other, size_note(read))
        click.echo(
            f"{plan.about}; {read.title} on {describe(chosen)}, seeds {seed} to {seed + seeds - 1}"
        )
        if note is not None:
            click.echo(f"Note: {note}")
        cadence = Cadence(log_every, evaluate_every, checkpoint_every)
        several = range(seed, seed + seeds)
        jobs += [Job(out, plan, arm, each, cadence, note) for each in several for arm in arms]
        run(Loaded.of(read, plan, chosen), jobs, sweep=sweep, find=find, scale=scale)


if __name__ == "__main__":
    main()
