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

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from cifar import bounds, report
from cifar.command import (
    checkpoint_option,
    data_option,
    dataset_option,
    describe,
    device_option,
    out_option,
    pick_device,
    plain_errors,
    plan_option,
    seed_option,
    set_precision,
    size_note,
)
from cifar.data import FORMATS, Cifar, load
from cifar.files import read_log
from cifar.plans import PLANS, SEEDS, Arm, Plan
from cifar.training import Cadence, Job, Loaded, check, train

from clr_adapters.plot import plot_range_test

# Counts the updates in an epoch if no data are read.
IMAGES = 50_000
RANGE_TEST_SEEDS = 3
# The data set of the plans' claims.
PUBLISHED = FORMATS["cifar10"].title


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@data_option
@dataset_option
@plan_option
@click.option("--arm", "names", multiple=True, help="An arm of the plan; repeat. [default: all]")
@click.option("--list", "listing", is_flag=True, help="Print the plan's arms, and end.")
@out_option
@click.option("--seeds", type=click.IntRange(1, 100), default=SEEDS, show_default=True)
@seed_option
@click.option(
    "--range-test",
    "sweep",
    is_flag=True,
    help=f"Start with a range test of the first {RANGE_TEST_SEEDS} seeds.",
)
@click.option(
    "--scale",
    type=click.FloatRange(0.001, 1.0),
    default=1.0,
    help="Shorten every length of the plan by this factor.",
)
@click.option("--steps", type=click.IntRange(1), help="End every run after this many updates.")
@click.option("--log-every", type=click.IntRange(1), default=Cadence.log, show_default=True)
@click.option(
    "--evaluate-every", type=click.IntRange(1), default=Cadence.evaluate, show_default=True
)
@checkpoint_option
@device_option
def main(
    data: Path | None,
    dataset: str,
    plan_name: str,
    names: tuple[str, ...],
    listing: bool,
    out: Path,
    seeds: int,
    seed: int,
    sweep: bool,
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
        _list(plan, scale)
        return
    if data is None:
        raise click.UsageError("Missing option '--data': the folder with the binary files.")
    chosen = pick_device(device)
    set_precision(plan)
    jobs: list[Job] = []
    with plain_errors(jobs):
        read = load(data, dataset)
        arms = _arms(plan, read, names, scale, steps)
        note = _note(read, scale, steps)
        click.echo(
            f"{plan.about}; {read.title} on {describe(chosen)}, seeds {seed} to {seed + seeds - 1}"
        )
        if note is not None:
            click.echo(f"Note: {note}")
        several = range(seed, seed + seeds)
        cadence = Cadence(log_every, evaluate_every, checkpoint_every)
        jobs += [Job(out, plan, arm, each, cadence, note) for each in several for arm in arms]
        for job in jobs:  # all, before the first is trained
            check(job, read)
        out.mkdir(parents=True, exist_ok=True)
        if sweep:
            _range_test(plan, read, chosen, several[:RANGE_TEST_SEEDS], scale, out)
        _train(jobs, Loaded.of(read, plan, chosen))
        _report(plan, arms, jobs, note, out)


def _list(plan: Plan, scale: float) -> None:
    click.echo(f"{plan.name}: {plan.about}; batches of {plan.batch}")
    for arm in plan.arms(IMAGES // plan.batch, scale):
        click.echo(f"  {arm.name:20} {arm.total_steps:7} updates, {arm.optimizer}")


def _arms(
    plan: Plan, data: Cifar, names: Sequence[str], scale: float, steps: int | None
) -> list[Arm]:
    """The chosen arms in the plan's order, cut off after `steps` updates."""
    arms = plan.arms(max(1, len(data.train.labels) // plan.batch), scale)
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


def _note(data: Cifar, scale: float, steps: int | None) -> str | None:
    """How these runs differ from the plan's; None if they do not."""
    parts = [] if data.title == PUBLISHED else [f"{data.title} for {PUBLISHED}"]
    parts += [] if scale == 1.0 else [f"lengths times {scale:g}"]
    if steps is not None:
        parts.append(f"at most {steps} updates a run")
    size = size_note(data)
    parts += [] if size is None else [size]
    return f"not the plan's run: {', '.join(parts)}" if parts else None


def _range_test(
    plan: Plan, data: Cifar, device: torch.device, seeds: Sequence[int], scale: float, out: Path
) -> None:
    curves = bounds.measure(plan, data, device, seeds, scale)
    found, text = bounds.read(plan, curves)
    click.echo(text)
    for seed, curve in zip(seeds, curves, strict=True):
        curve.to_csv(out / f"{plan.name}-range-test-seed{seed}.csv")
    picture = report.write(plot_range_test(curves, found), out / f"{plan.name}-range-test.png")
    click.echo(f"Written: {picture}")


def _train(jobs: Sequence[Job], loaded: Loaded) -> None:
    for number, job in enumerate(jobs, 1):
        train(job, loaded)
        last = read_log(job.log)[-1]
        right = 100 * (last.test_accuracy or 0.0)
        click.echo(
            f"[{number}/{len(jobs)}] {job.arm.name}, seed {job.seed}: {right:.2f} % after "
            f"{last.step} updates, {last.seconds:.0f} s"
        )


def _report(
    plan: Plan, arms: Sequence[Arm], jobs: Sequence[Job], note: str | None, out: Path
) -> None:
    results = [
        report.Result(arm, tuple(tuple(read_log(job.log)) for job in jobs if job.arm is arm))
        for arm in arms
    ]
    lines = [*report.table(results), *report.verdict(plan, results, note)]
    for line in (*lines, *report.contrasts(plan, results)):
        click.echo(line)
    for path in report.pictures(plan, results, out):
        click.echo(f"Written: {path}")


if __name__ == "__main__":
    main()
