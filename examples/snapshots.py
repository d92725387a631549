"""Train once; score the last network, an ensemble of cycle ends, and their averaged weights.

    python examples/snapshots.py --data DIR

The weights at each cycle's end, where the rate is lowest, are a snapshot. An ensemble averages the
outputs of the last snapshots (Huang et al., arXiv 1704.00109). Weight averaging builds a network of
their mean weights with new BatchNorm statistics (Izmailov et al., arXiv 1803.05407). Needs the same
packages and data as cifar10.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from cifar.command import data_option, dataset_option, plan_option, size_note
from cifar.data import load
from cifar.images import Batches, accuracy, probabilities
from cifar.plans import PLANS, CifarPlan
from cifar.task import Loaded
from paper import files
from paper.errors import RunError
from paper.options import (
    checkpoint_option,
    describe,
    device_option,
    out_option,
    pick_device,
    plain_errors,
    seed_option,
    set_precision,
)
from paper.plans import Arm, Plan
from paper.training import Cadence, Job, train
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

import clrcore

State = dict[str, Tensor]


def averaged(states: Sequence[State]) -> State:
    """The mean of every weight; counters come from the last state."""
    return {
        name: torch.stack([state[name] for state in states]).mean(0)
        if last.is_floating_point()
        else last
        for name, last in states[-1].items()
    }


def restored(plan: Plan, classes: int, state: State, device: torch.device) -> nn.Module:
    """A network of the plan with these weights."""
    net = plan.network(classes).to(device)
    net.load_state_dict(state)
    return net


def policy(kind: str, plan: Plan, step_size: int) -> clrcore.Policy:
    """Cycles of 2 step_size updates between the paper's bounds."""
    low, high = plan.bounds
    if kind == "warm-restarts":  # as snapshot ensembles were published
        return clrcore.warm_restarts(0.0, high, 2 * step_size)
    return clrcore.triangular(low, high, step_size)


def averaged_network(
    plan: CifarPlan, loaded: Loaded, states: Sequence[State], seed: int
) -> nn.Module:
    """The network of the mean weights, with BatchNorm statistics from an epoch."""
    mean = restored(plan, loaded.data.classes, averaged(states), loaded.train.device)
    torch.manual_seed(seed)  # the order of the images
    update_bn(Batches(loaded.train, plan.batch, seed, plan.augment), mean)
    return mean


def score(
    plan: CifarPlan, loaded: Loaded, states: Sequence[State], seed: int
) -> tuple[list[float], float, float]:
    """Test accuracies of each snapshot, of their ensemble, and of their averaged weights."""
    device, classes = loaded.test.device, loaded.data.classes
    predicted = [
        probabilities(restored(plan, classes, each, device), loaded.test) for each in states
    ]
    mean = averaged_network(plan, loaded, states, seed)
    return (
        [accuracy(each, loaded.test) for each in predicted],
        accuracy(torch.stack(predicted).mean(0), loaded.test),
        accuracy(probabilities(mean, loaded.test), loaded.test),
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@data_option
@dataset_option
@plan_option
@click.option(
    "--policy", "kind", type=click.Choice(["triangular", "warm-restarts"]), default="triangular"
)
@click.option("--cycles", type=click.IntRange(1), default=6, show_default=True)
@click.option(
    "--epochs", type=click.IntRange(1), default=8, show_default=True, help="Epochs in a cycle."
)
@click.option(
    "--last", type=click.IntRange(1), help="Snapshots used. [default: 3, or all of fewer cycles]"
)
@seed_option
@out_option("cifar10-runs")
@checkpoint_option
@device_option
def main(
    data: Path | None,
    dataset: str,
    plan_name: str,
    kind: str,
    cycles: int,
    epochs: int,
    last: int | None,
    seed: int,
    out: Path,
    checkpoint_every: int,
    device: str,
) -> None:
    """Train once; score the last network, an ensemble and an average of cycle ends."""
    if data is None:
        raise click.UsageError("Missing option '--data': the folder with the binary files.")
    last = min(3, cycles) if last is None else last
    if last > cycles:
        raise click.BadParameter(
            f"must be at most --cycles={cycles}, got {last}", param_hint="'--last'"
        )
    plan, chosen = PLANS[plan_name], pick_device(device)
    set_precision(plan)
    jobs: list[Job] = []
    with plain_errors(jobs):
        loaded = Loaded.of(load(data, dataset), plan, chosen)
        per_epoch = len(Batches(loaded.train, plan.batch, seed, plan.augment))
        step_size = max(1, per_epoch * epochs // 2)
        budget = clrcore.whole_cycles(step_size=step_size, cycles=cycles)
        note = size_note(loaded.data)
        click.echo(
            f"One training of plan {plan.name}'s network, {kind}: {budget.reason}; "
            f"snapshots at their ends, the last {last} scored; on {describe(chosen)}"
        )
        if note is not None:
            click.echo(f"Note: {note}")
        arm = Arm(f"snapshots-{kind}", policy(kind, plan, step_size), budget.total_steps)
        job = Job(out, plan, arm, seed, Cadence(checkpoint=checkpoint_every), note)
        jobs.append(job)

        def keep(cycle: int, net: nn.Module) -> None:
            files.save(job.folder / f"snapshot-{cycle}.pt", net.state_dict())
            click.echo(f"cycle {cycle} complete: snapshot kept")

        train(job, loaded, keep)
        ended = files.read_log(job.log)[-1]
        if not math.isfinite(ended.loss):  # the last update included
            raise RunError(f"the run diverged after {ended.step} updates, nothing to average")
        paths = [job.folder / f"snapshot-{cycle}.pt" for cycle in range(cycles - last, cycles)]
        states = [files.load(path) for path in paths]
        alone, together, mean = score(plan, loaded, states, seed)
    click.echo(f"Test accuracy, from the last {last} of {cycles} cycles:")
    click.echo("  snapshots          " + "  ".join(f"{100 * each:.2f} %" for each in alone))
    click.echo(f"  single (the last)  {100 * alone[-1]:.2f} %")
    click.echo(f"  ensemble           {100 * together:.2f} %")
    click.echo(f"  averaged weights   {100 * mean:.2f} %")


if __name__ == "__main__":
    main()
