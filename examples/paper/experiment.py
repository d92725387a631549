"""An experiment: the arms of a plan, their budget, tests of rates, training and report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import clrcore
from clr_adapters.plot import plot_confirmation, plot_range_test

from . import bounds, report
from .files import read_log
from .plans import Arm, Plan
from .training import Cadence, Job, Task, check, train

RANGE_TEST_SEEDS = 3
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What a command is asked for, by its options.

    Attributes:
        names: Arms of the plan; none means all.
        seeds: Number of seeds from `seed` on.
        sweep: Whether to start with a range test.
        find: Updates of `find_bounds` to start with, or None.
        scale: Factor of every length.
        steps: Updates after which every run ends, or None.
        speed: Images per second, for the hours of the budget, or None.
    """

    out: Path
    names: tuple[str, ...]
    seeds: int
    seed: int
    sweep: bool
    find: int | None
    scale: float
    steps: int | None
    speed: float | None
    log_every: int
    evaluate_every: int
    checkpoint_every: int

    def show_budget(self, plan: Plan, images: int) -> None:
        """Print the budget of every arm; `images` make an epoch."""
        click.echo(f"{plan.name}: {plan.about}; batches of {plan.batch}")
        arms = plan.arms(images // plan.batch, self.scale)
        for arm in arms:
            click.echo(f"  {arm.name:20} {self._budget(arm.total_steps, plan)}, {arm.optimizer}")
        total = sum(arm.total_steps for arm in arms)
        click.echo(f"  {'all, one seed':20} {self._budget(total, plan)}")

    def _budget(self, steps: int, plan: Plan) -> str:
        images = steps * plan.batch
        text = f"{steps:9,} updates, {images / 1e6:8.2f} million images"
        if self.speed is None:
            return text
        return f"{text}, {images / self.speed / SECONDS_PER_HOUR:7.1f} hours"

    def jobs(self, plan: Plan, images: int, *differences: str | None) -> list[Job]:
        """The runs of every seed.

        Args:
            plan: The plan.
            images: Training images, which make an epoch.
            differences: How the data or the plan differ from those published.

        Raises:
            BadParameter: An arm is unknown.
        """
        cadence = Cadence(self.log_every, self.evaluate_every, self.checkpoint_every)
        shortened = [
            f"lengths times {self.scale:g}" if self.scale != 1.0 else None,
            None if self.steps is None else f"at most {self.steps} updates a run",
        ]
        said = [difference for difference in (*differences, *shortened) if difference is not None]
        note = f"not the plan's run: {', '.join(said)}" if said else None
        arms = self._arms(plan, images)
        several = range(self.seed, self.seed + self.seeds)
        return [Job(self.out, plan, arm, seed, cadence, note) for seed in several for arm in arms]

    def _arms(self, plan: Plan, images: int) -> list[Arm]:
        """The chosen arms in the plan's order, cut off after `steps` updates."""
        arms = plan.arms(max(1, images // plan.batch), self.scale)
        known = [arm.name for arm in arms]
        for name in self.names:
            if name not in known:
                raise click.BadParameter(
                    f"{name!r} is no arm of the plan {plan.name}; its arms are {', '.join(known)}",
                    param_hint="'--arm'",
                )
        chosen = [arm for arm in arms if arm.name in (self.names or known)]
        if self.steps is None:
            return chosen
        return [
            dataclasses.replace(arm, total_steps=min(self.steps, arm.total_steps)) for arm in chosen
        ]

    def run(self, task: Task, jobs: Sequence[Job], where: str) -> None:
        """Test rates if asked, train all jobs, and report.

        Args:
            task: What is trained.
            jobs: The runs.
            where: The data and the devices in words.

        Raises:
            RunError: A folder belongs to another run; nothing has been trained then.
            DataError: The data cannot be read.
        """
        say = task.ranks.say
        say(f"{task.plan.about}; {where}, seeds {self.seed} to {self.seed + self.seeds - 1}")
        if jobs[0].note is not None:
            say(f"Note: {jobs[0].note}")
        for job in jobs:  # all, before the first is trained
            check(job, task)
        self.out.mkdir(parents=True, exist_ok=True)
        seeds = sorted({job.seed for job in jobs})
        if self.sweep:
            _range_test(task, seeds[:RANGE_TEST_SEEDS], self.scale, self.out)
        if self.find is not None:
            _find_bounds(task, seeds[0], self.find, self.out)
        for number, job in enumerate(jobs, 1):
            train(job, task)
            if task.ranks.rank == 0:
                _say_result(job, f"[{number}/{len(jobs)}]")
        if task.ranks.rank == 0:
            _report(task.plan, jobs, self.out)


def _range_test(task: Task, seeds: Sequence[int], scale: float, out: Path) -> None:
    plan, say = task.plan, task.ranks.say
    curves = bounds.measure(task, seeds, scale)
    found, text = bounds.read(plan, curves)
    say(text)
    if task.ranks.rank != 0:
        return
    for seed, curve in zip(seeds, curves, strict=True):
        curve.to_csv(out / f"{plan.name}-range-test-seed{seed}.csv")
    picture = report.write(plot_range_test(curves, found), out / f"{plan.name}-range-test.png")
    say(f"Written: {picture}")


def _find_bounds(task: Task, seed: int, updates: int, out: Path) -> None:
    plan, say = task.plan, task.ranks.say
    try:
        found = bounds.find(task, seed, updates)
    except clrcore.NoBoundsError as error:
        say(f"find_bounds gave no bounds: {error}")
        return
    say(f"{found.explain()}\n(by find_bounds; the arms use the plan's rates)")
    if task.ranks.rank == 0:
        picture = report.write(plot_confirmation(found), out / f"{plan.name}-find-bounds.png")
        say(f"Written: {picture}")


def _say_result(job: Job, count: str) -> None:
    last = read_log(job.log)[-1]
    right = 100 * (last.test_accuracy or 0.0)
    click.echo(
        f"{count} {job.arm.name}, seed {job.seed}: {right:.2f} % after {last.step} updates, "
        f"{last.seconds:.0f} s"
    )


def _report(plan: Plan, jobs: Sequence[Job], out: Path) -> None:
    arms = list({job.arm.name: job.arm for job in jobs}.values())
    results = [
        report.Result(
            arm, tuple(tuple(read_log(job.log)) for job in jobs if job.arm.name == arm.name)
        )
        for arm in arms
    ]
    lines = [*report.table(results), *report.verdict(plan, results, jobs[0].note)]
    for line in (*lines, *report.contrasts(plan, results)):
        click.echo(line)
    for path in report.pictures(plan, results, out):
        click.echo(f"Written: {path}")
