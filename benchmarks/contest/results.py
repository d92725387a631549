"""The contest: the range test of every seed, then every arm at its rate and at the tuned peak."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import clrcore

from . import tuning
from .arms import SCHEDULES, TUNED, WITH_PRODIGY, WITH_SCHEDULE_FREE, Arm, untuned_peak
from .tasks import OWN, TASKS, Outcome, Task, train
from .verdicts import TUNED_PEAK, UNTUNED

Plain = dict[str, Any]

SEEDS = (2001, 2002, 2003, 2004, 2005)
# Test scores on the way are recorded for this task, for the picture.
DRAWN, EVERY = TASKS[0].key, 50
PACKAGES = ("clrcore", "numpy", "torch", "prodigyopt", "schedulefree")


def run(
    folder: Path,
    peaks: Path,
    tasks: Sequence[Task] = TASKS,
    seeds: Sequence[int] = SEEDS,
    processes: int = 2,
) -> Plain:
    """Train everything; the same result for the same seeds, machine and versions.

    The folder keeps each outcome: an arm is trained again only if its peak has changed.
    """
    jobs = [
        (task, seed, peaks, folder / f"{task.key}-{seed}.json") for task in tasks for seed in seeds
    ]
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_one_thread) as pool:
        found = list(pool.map(_of_seed, *zip(*jobs, strict=True)))
    by_task = {}
    for number, task in enumerate(tasks):
        start = number * len(seeds)
        by_task[task.key] = _of_task(task, found[start : start + len(seeds)], tuning.Peaks(peaks))
    return {
        "seeds": list(seeds),
        "tuning_seeds": list(tuning.SEEDS),
        "versions": {
            "python": platform.python_version(),
            "machine": platform.machine(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "tasks": by_task,
    }


def find(task: Task, seed: int) -> Plain:
    """The rates that `find_bounds` gives: its search, with the training's own start."""
    search = clrcore.BoundsSearch(task.default_lr, total_steps=task.total_steps)
    for trial in search:
        training = task.start(seed, OWN)
        for lr in trial:
            trial.record(loss=training.update(lr))
    try:
        bounds = search.bounds
    except clrcore.NoBoundsError:  # a user would go on with the usual rate
        lr, max_lr = task.default_lr, task.default_lr
    else:
        lr, max_lr = bounds.lr, bounds.max_lr
    return {"lr": lr, "max_lr": max_lr, "updates": search.updates}


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _of_seed(task: Task, seed: int, peaks_file: Path, kept: Path) -> Plain:
    """Everything that is trained from a seed of a task; the file keeps each outcome."""
    found: Plain = json.loads(kept.read_text()) if kept.exists() else {}
    if not found:
        found = {"found": find(task, seed), UNTUNED: {}, TUNED_PEAK: {}}
    for source, arm, peak in _wanted(task, found["found"], tuning.Peaks(peaks_file)):
        if found[source].get(arm.name, {}).get("peak") == peak:
            continue
        every = EVERY if task.key == DRAWN and source == UNTUNED else None
        policy = arm.plan(peak, task.total_steps)
        found[source][arm.name] = _plain(train(task, arm.optimizer, policy, seed, every), peak)
        beside = kept.with_suffix(".part")
        beside.write_text(json.dumps(found))
        beside.replace(kept)
    return found


def _wanted(
    task: Task, found: Mapping[str, float], peaks: tuning.Peaks
) -> Iterator[tuple[str, Arm, float]]:
    """Every arm at the peak without tuning, then at the tuned peak."""
    for arm in (*SCHEDULES, WITH_PRODIGY, WITH_SCHEDULE_FREE):
        yield UNTUNED, arm, untuned_peak(arm, task.optimizer, found["lr"], found["max_lr"])
    for arm in TUNED:
        yield TUNED_PEAK, arm, peaks.peak(task, arm)


def _plain(outcome: Outcome, peak: float) -> Plain:
    along = {"along": [round(score, 3) for score in outcome.along]} if outcome.along else {}
    return {"peak": peak, "score": outcome.scores.test, "diverged": outcome.diverged, **along}


def _of_task(task: Task, of_seeds: Sequence[Mapping[str, Any]], peaks: tuning.Peaks) -> Plain:
    """The outcomes of a task: for every arm a list over the seeds."""

    def by_arm(source: str) -> Plain:
        names = of_seeds[0][source]
        return {
            name: {key: [found[source][name][key] for found in of_seeds] for key in names[name]}
            for name in names
        }

    return {
        "title": task.title,
        "in_nats": task.in_nats,
        "total_steps": task.total_steps,
        "found": [found["found"] for found in of_seeds],
        "tuning_updates": {arm.name: peaks.updates(task, arm) for arm in TUNED},
        UNTUNED: by_arm(UNTUNED),
        TUNED_PEAK: by_arm(TUNED_PEAK),
    }
