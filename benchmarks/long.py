"""Truth at real length: what the settings of `long_settings.py` reach at which rate.

    python benchmarks/long.py --measure [NAME ...]   train what the results lack, then score
    python benchmarks/long.py                        score on the results

Results lie in `data/long/`, a JSON file for each setting; an interrupted measurement goes on
where it stopped. A run is a training at a constant rate, along a schedule to its peak rate, or
along a sweep. It is recorded as mean losses of a few updates each, until a loss is not finite or
far above its start. `end` is the mean training loss of the last fifth, for schedules of the last
twentieth; `fixed` is the loss of fixed training examples in eval mode after the last update.

The truth uses seeds 0, 1, 2. Trials, which stand for what a user does, use seeds from 1000 on.
"""

import argparse
import json
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "long"
SHORT, LONG = 200, 2000
TRUTH_SEEDS = (0, 1)
SWEEP_SEEDS = (0, 1, 2)
TRIAL_SEEDS = (1000, 1001)
TRIAL_STEPS = 400
# Trainings that are planned from confirmed bounds.
PLAN_SEED = 1002
SWEEPS = {"exp300": (1e-6, 10.0, 300), "exp100": (1e-6, 10.0, 100)}
# Exponents of the rates tried, in quarter decades.
QUARTERS = {"sgd": (-14, 4), "mom": (-14, 4)}
QUARTERS_ADAPTIVE = (-18, 0)
# Schedules that `bounds.policy` plans, then others that were tried for it.
SCHEDULES = ("linear", "one_cycle", "triangular2", "triangular", "wsd", "cosine")
OTHERS = ("triangular_low", "warm_restarts", "triangular_cooled")
# Cycles by the name of their runs: the kind, and the base as a share of the peak.
CYCLES = {
    "triangular": ("triangular", 0.25),
    "triangular2": ("triangular2", 0.25),
    "triangular_low": ("triangular", 0.04),
}
# Peaks by phase, as multiples of the best constant rate.
PEAKS = {
    "schedules": ((1.0,), SCHEDULES + OTHERS),
    "doubled": ((2.0,), SCHEDULES),
    "others": ((0.5, 4.0), SCHEDULES),
}
REHEARSALS = ("linear", "one_cycle")
# A loss this many times above the start is divergence; what follows is not trained.
DIVERGED = 1e4

DEFAULT_RATES = {"sgd": 0.01, "mom": 0.01, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
# A rate is good where training at it misses at most this share of the best fall.
NEAR = 0.05
# A training that misses this share of the best fall counts as dead.
DEAD = 0.5
EXPONENTS = [0.02 * k for k in range(16)]

Job = tuple[str, float, int, int]


def rate(quarters: int) -> float:
    """The rate of so many quarter decades."""
    return float(f"{10 ** (quarters / 4):.5g}")


def grid(optimizer: str, step: int = 2) -> list[float]:
    """The rates tried with an optimizer, rising."""
    low, high = QUARTERS.get(optimizer, QUARTERS_ADAPTIVE)
    return [rate(q) for q in range(low, high + 1, step)]


def rates(kind: str, lr: float, steps: int) -> list[float]:
    """The rates of a run."""
    import clrcore
    from clrcore import planning

    if kind in SWEEPS:
        policy = clrcore.exponential_sweep(*SWEEPS[kind])
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


class Results:
    """The runs of a setting, by what was trained."""

    def __init__(self, name: str, optimizer: str, folder: Path) -> None:
        self.path = folder / f"{name}.json"
        self.name, self.optimizer = name, optimizer
        self.init = math.nan
        self.runs: dict[Job, dict[str, Any]] = {}
        if self.path.exists():
            data = json.loads(self.path.read_text())
            self.init = data["init"]
            for run in data["runs"]:
                self.runs[run["kind"], run["lr"], run["steps"], run["seed"]] = run

    def write(self) -> None:
        """Write all runs, a line for each, first to a file beside it."""
        runs = sorted(self.runs.items())
        lines = ",\n".join(json.dumps(run, separators=(",", ":")) for _, run in runs)
        text = (
            f'{{"name": "{self.name}", "optimizer": "{self.optimizer}", "init": {self.init:.6g},\n'
            f'"runs": [\n{lines}\n]}}\n'
        )
        beside = self.path.with_suffix(".part")
        beside.write_text(text)
        beside.replace(self.path)

    def end(self, kind: str, lr: float, steps: int) -> float:
        """Mean over the seeds of the truth of the loss at the end; infinite where it diverged."""
        found = [
            run["end"]
            for (k, r, n, seed), run in self.runs.items()
            if (k, r, n) == (kind, lr, steps) and seed in TRUTH_SEEDS
        ]
        if not found or any(end is None for end in found):
            return math.inf
        return sum(found) / len(found)

    def constants(self, steps: int = LONG) -> dict[float, float]:
        """Loss at the end of training at a constant rate, by rate."""
        tried = sorted({r for k, r, n, _ in self.runs if (k, n) == ("constant", LONG)})
        if steps == LONG:
            return {r: self.end("constant", r, LONG) for r in tried}
        return {r: self._early(r, steps) for r in tried}

    def _early(self, lr: float, steps: int) -> float:
        """The same for a training that had ended after fewer updates."""
        found = []
        for seed in TRUTH_SEEDS:
            run = self.runs.get(("constant", lr, LONG, seed))
            if run is None:
                continue
            last, first = steps // run["every"], round(0.8 * steps / run["every"])
            losses = run["loss"][first:last]
            if len(losses) < last - first:
                return math.inf
            found.append(sum(losses) / len(losses))
        return sum(found) / len(found)

    def best(self, steps: int = LONG) -> float:
        """The best constant rate."""
        ends = self.constants(steps)
        return min(ends, key=ends.__getitem__)

    def missed(self, lr: float, steps: int) -> float:
        """What training at this rate misses of the best fall, as a share of it, at most 1.

        Between the rates tried, the loss is interpolated over the logarithm of the rate.
        """
        ends = self.constants(steps)
        return self._share_missed(ends, lr, min(ends.values()))

    def planned_missed(self, kind: str, peak: float) -> float:
        """The same for a schedule with this peak, against the best constant rate; it may be < 0."""
        ends = {
            run["lr"]: math.inf if run["end"] is None else run["end"]
            for (k, _, steps, seed), run in self.runs.items()
            if (k, steps) == (kind, LONG) and seed in TRUTH_SEEDS
        }
        return self._share_missed(ends, peak, min(self.constants().values()))

    def _share_missed(self, ends: dict[float, float], lr: float, best: float) -> float:
        tried = sorted(ends)
        lr = min(max(lr, tried[0]), tried[-1])
        above = next(i for i, r in enumerate(tried) if r >= lr)
        left, right = tried[max(above - 1, 0)], tried[above]
        share = math.log(lr / left) / math.log(right / left) if right > left else 1.0
        if share < 1.0 and math.isinf(ends[right]):  # the edge of what trains is not known better
            end = ends[left] if share <= 0.5 else math.inf
        else:
            end = ends[left] + share * (ends[right] - ends[left]) if share < 1.0 else ends[right]
        return min(1.0, (end - best) / (self.init - best))

    def trial(self, lr: float, steps: int, seed: int) -> list[float]:
        """The losses of a trial at the nearest rate tried."""
        low, high = QUARTERS.get(self.optimizer, QUARTERS_ADAPTIVE)
        nearest = rate(min(max(round(4 * math.log10(lr)), low), high))
        run = self.runs["constant", nearest, TRIAL_STEPS, seed]
        losses = [loss for loss in run["loss"] for _ in range(run["every"])]
        return (losses if len(losses) >= steps else [*losses, math.nan])[:steps]


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
    from long_settings import LONG_SETTINGS, LongRun

    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for phase in phases:
        for setting in LONG_SETTINGS:
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


def suggestion(results: Results, sweep: str, seed: int) -> Any:
    """The bounds that a range test suggests, or the refusal."""
    import clrcore

    low, high, steps = SWEEPS[sweep]
    losses = results.runs[sweep, 10.0, steps, seed]["loss"]
    policy = clrcore.exponential_sweep(low, high, steps)
    curve = clrcore.Curve([policy(k) for k in range(len(losses))], losses, sweep="exponential")
    try:
        return clrcore.suggest_bounds(curve)
    except clrcore.NoBoundsError as error:
        return error


def confirmed(results: Results, suggested: Any, steps: int | None, seed: int) -> tuple[Any, int]:
    """The confirmed bounds or the refusal, and the updates of the trials."""
    import clrcore

    refused = isinstance(suggested, clrcore.NoBoundsError)
    start = DEFAULT_RATES[results.optimizer] if refused else suggested
    check = clrcore.Confirmation(start, total_steps=steps)
    for trial in check:
        losses = results.trial(trial.lr, trial.total_steps, seed)
        trial.next_rates(len(losses))
        trial.record_block(losses)
    try:
        return check.bounds, check.updates
    except clrcore.NoBoundsError as error:
        return error, check.updates


def all_results(folder: Path = FOLDER) -> list[Results]:
    """The results of all settings whose trials are measured."""
    found = []
    for path in sorted(folder.glob("*.json")):
        results = Results(path.stem, json.loads(path.read_text())["optimizer"], folder)
        if all(job in results.runs for job in jobs(results, "trials")):
            found.append(results)
    return found


def percent(flags: list[bool]) -> float:
    return 100.0 * sum(flags) / len(flags) if flags else math.nan


def score(settings: list[Results]) -> dict[str, Any]:
    """Print how good single curves and confirmed answers are; the table as plain data."""
    table: dict[str, Any] = {"settings": len(settings), "rows": []}
    print(
        f"{len(settings)} settings, {len(SWEEP_SEEDS)} curves each, trials with "
        f"{len(TRIAL_SEEDS)} seeds"
    )
    print("sweep  updates |  one curve: good  lr/best  covers  width | confirmed: good  lr/best"
          "  covers  width  or refused  most updates  max_lr dead")  # fmt: skip
    for sweep, (_, _, sweep_steps) in SWEEPS.items():
        for steps in (SHORT, LONG):
            alone, after = Tally(), Tally()
            for results in settings:
                for seed in SWEEP_SEEDS:
                    suggested = suggestion(results, sweep, seed)
                    alone.add(results, suggested, steps, sweep_steps)
                    for trial_seed in TRIAL_SEEDS:
                        bounds, updates = confirmed(results, suggested, steps, trial_seed)
                        after.add(results, bounds, steps, sweep_steps + updates)
            print(f"{sweep} {steps:7} | {alone.line()} | {after.line()}")
            table["rows"].append(
                {
                    "sweep": sweep,
                    "steps": steps,
                    "curve": alone.summary(),
                    "confirmed": after.summary(),
                }
            )
    return table


def score_plans(settings: list[Results]) -> dict[str, Any]:
    """Print how trainings end along schedules, against the best constant rate."""
    table: dict[str, Any] = {}
    print(
        f"\n{len(settings)} settings, {LONG} updates: within 5 % of the best constant; median and"
    )
    print("worst share of its fall missed, in %; dead. By peak over the best constant:")
    for kind in SCHEDULES + OTHERS:
        for share in sorted(share for shares, _ in PEAKS.values() for share in shares):
            found = []
            for results in settings:
                run = results.runs.get((kind, float(f"{share * results.best():.5g}"), LONG, 0))
                if run is not None:
                    found.append(results.planned_missed(kind, run["lr"]))
            if found:
                table[f"{kind} {share:g}"] = _plan_summary(found)
                print(f"{kind:16} {share:4g} {_plan_line(found)}")
    print("\nfrom confirmed bounds, with the peak that bounds.policy takes")
    for kind in ("constant", *SCHEDULES, *OTHERS):
        found = [m for results in settings for m in _planned(results, kind)]
        if found:
            table[f"{kind} planned"] = _plan_summary(found)
            print(f"{kind:16}      {_plan_line(found)}")
    print("\ntrained as planned, with a fresh seed")
    for kind in SCHEDULES:
        found = [
            1.0 if run["end"] is None else (run["end"] - best) / (results.init - best)
            for results in settings
            for best in [min(results.constants().values())]
            for (k, _, _, seed), run in results.runs.items()
            if (k, seed) == (kind, PLAN_SEED)
        ]
        if found:
            table[f"{kind} trained"] = _plan_summary(found)
            print(f"{kind:16}      {_plan_line(found)}")
    return table


def _planned(results: Results, kind: str) -> Iterator[float]:
    """What trainings miss that are planned from confirmed bounds, by curve and seed."""
    from clrcore.planning import PEAKS as MULTIPLES

    if kind != "constant" and not any(k == kind and n == LONG for k, _, n, _ in results.runs):
        return
    for seed in SWEEP_SEEDS:
        suggested = suggestion(results, "exp300", seed)
        for trial_seed in TRIAL_SEEDS:
            bounds, _ = confirmed(results, suggested, LONG, trial_seed)
            if not hasattr(bounds, "lr"):
                continue
            if kind == "constant":
                yield results.missed(bounds.lr, LONG)
            else:
                multiple = MULTIPLES[kind.split("_low")[0].split("_cooled")[0]]
                yield results.planned_missed(kind, multiple * bounds.lr)


def _plan_summary(missed: list[float]) -> dict[str, float]:
    return {
        "trainings": len(missed),
        "good": round(percent([m <= NEAR for m in missed]), 1),
        "median_missed": round(100 * statistics.median(missed), 1),
        "worst_missed": round(100 * max(missed), 1),
        "dead": sum(m >= DEAD for m in missed),
    }


def _plan_line(missed: list[float]) -> str:
    found = _plan_summary(missed)
    return (
        f"{found['good']:5.0f} % {found['median_missed']:6.1f} {found['worst_missed']:6.1f} "
        f"{found['dead']:3} of {found['trainings']}"
    )


class Tally:
    """Counts over answers."""

    def __init__(self) -> None:
        self.good: list[bool] = []
        self.refused: list[bool] = []
        self.ratio: list[float] = []
        self.covered: list[bool] = []
        self.width: list[float] = []
        self.updates: list[int] = []
        self.dead: list[bool] = []

    def add(self, results: Results, answer: Any, steps: int, updates: int) -> None:
        """Score bounds or a refusal."""
        refused = not hasattr(answer, "lr")
        self.refused.append(refused)
        self.good.append(not refused and results.missed(answer.lr, steps) <= NEAR)
        self.updates.append(updates)
        if not refused:
            low, high = answer.lr_interval
            best = results.best(steps)
            self.ratio.append(answer.lr / best)
            self.covered.append(low <= best <= high)
            self.width.append(math.log10(high / low))
            self.dead.append(results.missed(answer.max_lr, LONG) >= DEAD)

    def summary(self) -> dict[str, float]:
        """Shares in percent, and medians."""
        either = [g or r for g, r in zip(self.good, self.refused, strict=True)]
        return {
            "answers": len(self.good),
            "good": round(percent(self.good), 1),
            "lr_over_best": round(statistics.median(self.ratio), 2),
            "covered": round(percent(self.covered), 1),
            "decades": round(statistics.median(self.width), 2),
            "good_or_refused": round(percent(either), 1),
            "most_updates": max(self.updates),
            "max_lr_dead": round(percent(self.dead), 1),
        }

    def line(self) -> str:
        """The summary as a line of the table."""
        found = self.summary()
        return (
            f"{found['good']:5.1f} {found['lr_over_best']:6.2f} {found['covered']:5.0f} "
            f"{found['decades']:6.2f} {found['good_or_refused']:6.1f} {found['most_updates']:6} "
            f"{found['max_lr_dead']:6.1f}"
        )


def fit(settings: list[Results]) -> None:
    """Print the share of good confirmed rates by the exponent, and with settings left out."""
    from clrcore import confirmation

    good: dict[float, dict[str, list[bool]]] = {}
    for exponent in EXPONENTS:
        confirmation.CARRY = exponent
        by_name = good[exponent] = {}
        for results in settings:
            flags = by_name[results.name] = []
            for sweep in SWEEPS:
                for seed in SWEEP_SEEDS:
                    suggested = suggestion(results, sweep, seed)
                    for steps in (SHORT, 500, 1000, LONG):
                        for trial_seed in TRIAL_SEEDS:
                            bounds, _ = confirmed(results, suggested, steps, trial_seed)
                            near = (
                                hasattr(bounds, "lr") and results.missed(bounds.lr, steps) <= NEAR
                            )
                            flags.append(near)
        every = percent([flag for flags in by_name.values() for flag in flags])
        print(f"exponent {exponent:.2f}: {every:5.1f} % good")
    left_out = []
    for results in settings:
        others = {e: [f for n in good[e] if n != results.name for f in good[e][n]] for e in good}
        best = max(others, key=lambda e: percent(others[e]))
        left_out += good[best][results.name]
    print(f"each setting with the exponent of the others: {percent(left_out):5.1f} % good")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="names of settings, instead of all")
    parser.add_argument("--measure", action="store_true", help="train what the results lack")
    parser.add_argument("--fit", action="store_true", help="fit what is carried to the length")
    parser.add_argument("--json", type=Path, help="write the scores to this file, too")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the results are")
    parser.add_argument("--phases", nargs="*", default=list(PHASES), choices=PHASES)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.folder, arguments.names, arguments.phases)
    elif arguments.fit:
        fit(all_results(arguments.folder))
    else:
        settings = all_results(arguments.folder)
        table = {"rates": score(settings), "plans": score_plans(settings)}
        if arguments.json:
            arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
