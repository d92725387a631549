"""Truth at real length: what the settings of `long_settings.py` reach at which rate.

    python benchmarks/long.py --measure [NAME ...]   train what the results lack, then score
    python benchmarks/long.py                        score on the results
    python benchmarks/long.py --check                score single curves on further settings

Results lie in `data/long/`, a JSON file for each setting; an interrupted measurement goes on
where it stopped. Those of further settings, which no number is fitted on, lie in `data/check/`;
`--check --measure` trains them. A run is a training at a constant rate, along a schedule to its
peak rate, or along a sweep. It is recorded as mean losses of a few updates each, until a loss is
not finite or far above its start. `end` is the mean training loss of the last fifth, for schedules
of the last twentieth; `fixed` is the loss of fixed training examples in eval mode after the last
update.

The truth uses seeds 0 and 1. Trials, which stand for what a user does, use seeds from 1000 on.
"""

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from long_results import (
    CHECK_FOLDER,
    FOLDER,
    LONG,
    PEAKS,
    PLAN_SEED,
    SCHEDULES,
    SHORT,
    SWEEP_SEEDS,
    SWEEPS,
    TRIAL_SEEDS,
    TRIAL_STEPS,
    TRUTH_SEEDS,
    Job,
    Results,
    all_results,
    check_results,
    confirmed,
    grid,
    rate,
    suggestion,
)
from long_scores import fit, score, score_budgets, score_check, score_plans

import clrcore
from clrcore import planning

# Cycles by the name of their runs: the kind, and the base as a share of the peak.
CYCLES = {
    "triangular": ("triangular", 0.25),
    "triangular2": ("triangular2", 0.25),
    "triangular_low": ("triangular", 0.04),
}
REHEARSALS = ("linear", "one_cycle")
# A loss this many times above the start is divergence; what follows is not trained.
DIVERGED = 1e4


def rates(kind: str, lr: float, steps: int) -> list[float]:
    """The rates of a run."""
    if kind in SWEEPS:
        policy: clrcore.Policy = clrcore.exponential_sweep(*SWEEPS[kind])
    elif kind == "constant":
        policy = clrcore.constant(lr)
    elif kind == "triangular_cooled":
        cycles = planning.planned("triangular", lr, round(0.8 * steps), base_lr=0.25 * lr)
        policy = clrcore.cooldown(cycles, round(0.8 * steps), round(0.2 * steps))
    elif kind in CYCLES:
        name, base = CYCLES[kind]
        policy = planning.planned(name, lr, steps, base_lr=base * lr)
    else:
        policy = planning.planned(kind, lr, steps)
    return [policy(step) for step in range(steps)]


def jobs(results: Results, phase: str) -> Iterator[Job]:
    """What is to be trained, in order; later jobs follow from earlier results."""
    if phase == "constants":
        return _constants(results)
    if phase == "trials":
        return _trials(results)
    if phase == "planned":
        bounds, _ = confirmed(results, suggestion(results, "exp300", 0), LONG, TRIAL_SEEDS[0])
        if not hasattr(bounds, "lr"):
            return iter(())
        peaks = {kind: max(planned_rates(bounds, kind)) for kind in SCHEDULES}
        return ((kind, float(f"{peak:.5g}"), LONG, PLAN_SEED) for kind, peak in peaks.items())
    best = results.best()
    return (
        (kind, float(f"{share * best:.5g}"), LONG, TRUTH_SEEDS[0])
        for share in PEAKS[phase][0]
        for kind in PEAKS[phase][1]
    )


def planned_rates(bounds: Any, kind: str) -> list[float]:
    """The rates that bounds plan for the long training."""
    policy = bounds.policy(total_steps=LONG, kind=kind)
    return [policy(step) for step in range(LONG)]


def _constants(results: Results) -> Iterator[Job]:
    """Sweeps and constant rates, then rates between those around the best."""
    for kind, (_, _, steps) in SWEEPS.items():
        yield from ((kind, 10.0, steps, seed) for seed in SWEEP_SEEDS)
    for lr in grid(results.optimizer):
        yield from (("constant", lr, LONG, seed) for seed in TRUTH_SEEDS)
    centre = round(4 * math.log10(results.best()))
    for quarters in (centre - 1, centre + 1, centre - 2, centre + 2):
        yield from (("constant", rate(quarters), LONG, seed) for seed in TRUTH_SEEDS)


def _trials(results: Results) -> Iterator[Job]:
    """Short runs with fresh seeds."""
    for seed in TRIAL_SEEDS:
        yield from (("constant", lr, TRIAL_STEPS, seed) for lr in grid(results.optimizer, 1))
    for kind in REHEARSALS:
        yield from ((kind, lr, SHORT, TRIAL_SEEDS[0]) for lr in grid(results.optimizer))


PHASES = ("constants", "trials", "planned", *PEAKS)


def measure(folder: Path, names: list[str], phases: list[str]) -> None:
    """Train what the results lack, phase by phase."""
    import torch
    from long_settings import CHECK_SETTINGS, LONG_SETTINGS, LongRun

    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for phase in phases:
        for setting in CHECK_SETTINGS if folder == CHECK_FOLDER else LONG_SETTINGS:
            if names and setting.name not in names:
                continue
            results = Results(setting.name, setting.optimizer, folder)
            if math.isnan(results.init):
                starts = [LongRun(setting, seed).evaluate() for seed in TRUTH_SEEDS]
                results.init = sum(starts) / len(starts)
            before = len(results.runs)
            for job in jobs(results, phase):
                if job not in results.runs:
                    results.runs[job] = train(LongRun(setting, job[3]), job, results.init)
            if len(results.runs) > before:
                results.write()
                print(
                    f"{phase:10} {setting.name:26} {len(results.runs) - before:4} runs", flush=True
                )


def train(run: Any, job: Job, start: float) -> dict[str, Any]:
    """Train one job; its record."""
    kind, lr, steps, seed = job
    every = 1 if kind in SWEEPS else 20 if steps == LONG else 10
    losses: list[float] = []
    for r in rates(kind, lr, steps):
        loss = run.update(r)
        if not loss < DIVERGED * max(start, 1e-3):
            break
        losses.append(loss)
    whole = len(losses) == steps
    share = 0.2 if kind == "constant" else 0.05
    last = losses[round((1.0 - share) * steps) :]
    means = [sum(losses[i : i + every]) / every for i in range(0, len(losses) - every + 1, every)]
    return {
        "kind": kind,
        "lr": lr,
        "steps": steps,
        "seed": seed,
        "every": every,
        "end": float(f"{sum(last) / len(last):.6g}") if whole else None,
        "fixed": float(f"{run.evaluate():.6g}") if whole and kind not in SWEEPS else None,
        "loss": [float(f"{x:.5g}") for x in means],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="names of settings, instead of all")
    parser.add_argument("--measure", action="store_true", help="train what the results lack")
    parser.add_argument("--fit", action="store_true", help="fit what is carried to the length")
    parser.add_argument("--check", action="store_true", help="the further settings")
    parser.add_argument("--json", type=Path, help="write the scores to this file, too")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results are")
    parser.add_argument("--phases", nargs="*", default=list(PHASES), choices=PHASES)
    arguments = parser.parse_args()
    if arguments.check:
        if arguments.measure:
            measure(CHECK_FOLDER, arguments.names, ["constants"])
        score_check(check_results())
    elif arguments.measure:
        measure(arguments.folder, arguments.names, arguments.phases)
    elif arguments.fit:
        fit(all_results(arguments.folder))
    else:
        settings = all_results(arguments.folder)
        table = {
            "rates": score(settings),
            "budgets": score_budgets(settings),
            "plans": score_plans(settings),
        }
        if arguments.json:
            arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
