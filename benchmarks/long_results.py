"""Results of `long.py`: what was trained, how it ended, and what range tests and trials answer."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clrcore
from clrcore.confirmation import MOST_RATES
from clrcore.search import trial_steps

FOLDER = Path(__file__).parent / "data" / "long"
# Sweeps and constants of further settings, which no number is fitted on.
CHECK_FOLDER = FOLDER.with_name("check")
SHORT, LONG = 200, 2000
TRUTH_SEEDS = (0, 1)
SWEEP_SEEDS = (0, 1, 2)
TRIAL_SEEDS = (1000, 1001)
TRIAL_STEPS = 400
# Updates of all trials: the default budget of find_bounds less its default sweep.
TRIAL_UPDATES = 1200
# Trainings that are planned from confirmed bounds.
PLAN_SEED = 1002
SWEEPS = {"exp300": (1e-6, 10.0, 300), "exp100": (1e-6, 10.0, 100)}
# Exponents of the rates tried, in quarter decades.
QUARTERS = {"sgd": (-14, 4), "mom": (-14, 4)}
QUARTERS_ADAPTIVE = (-18, 0)
# Schedules that `bounds.policy` plans, then others that were tried for it.
SCHEDULES = ("linear", "one_cycle", "triangular2", "triangular", "wsd", "cosine")
OTHERS = ("triangular_low", "warm_restarts", "triangular_cooled")
# Peaks by phase, as multiples of the best constant rate.
PEAKS = {
    "schedules": ((1.0,), SCHEDULES + OTHERS),
    "doubled": ((2.0,), SCHEDULES),
    "others": ((0.5, 4.0), SCHEDULES),
}
DEFAULT_RATES = {"sgd": 0.01, "mom": 0.01, "adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3}
# A rate is good where training at it misses at most this share of the best fall.
NEAR = 0.05

Job = tuple[str, float, int, int]


def rate(quarters: int) -> float:
    """The rate of so many quarter decades."""
    return float(f"{10 ** (quarters / 4):.5g}")


def grid(optimizer: str, step: int = 2) -> list[float]:
    """The rates tried with an optimizer, rising."""
    low, high = QUARTERS.get(optimizer, QUARTERS_ADAPTIVE)
    return [rate(q) for q in range(low, high + 1, step)]


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


def suggestion(results: Results, sweep: str, seed: int) -> Any:
    """The bounds that a range test suggests, or the refusal."""
    low, high, steps = SWEEPS[sweep]
    losses = results.runs[sweep, 10.0, steps, seed]["loss"]
    policy = clrcore.exponential_sweep(low, high, steps)
    curve = clrcore.Curve([policy(k) for k in range(len(losses))], losses, sweep="exponential")
    try:
        return clrcore.suggest_bounds(curve)
    except clrcore.NoBoundsError as error:
        return error


def confirmed(
    results: Results,
    suggested: Any,
    steps: int | None,
    seed: int,
    *,
    updates: int = TRIAL_UPDATES,
    length: int | None = None,
) -> tuple[Any, int]:
    """The confirmed bounds or the refusal, and the updates of the trials.

    updates: the most updates of all trials. length: updates of a trial, that of `find_bounds`
    unless given.
    """
    refused = isinstance(suggested, clrcore.NoBoundsError)
    start = DEFAULT_RATES[results.optimizer] if refused else suggested
    length = trial_steps(steps, updates) if length is None else length
    most = min(updates, MOST_RATES * length)
    check = clrcore.Confirmation(start, length, total_steps=steps, max_updates=most)
    for trial in check:
        losses = results.trial(trial.lr, trial.total_steps, seed)
        trial.next_rates(len(losses))
        trial.record_block(losses)
    try:
        return check.bounds, check.updates
    except clrcore.NoBoundsError as error:
        return error, check.updates


def check_results() -> list[Results]:
    """The results of the settings that no number is fitted on."""
    return list(_read(CHECK_FOLDER))


def _read(folder: Path) -> Iterator[Results]:
    for path in sorted(folder.glob("*.json")):
        yield Results(path.stem, json.loads(path.read_text())["optimizer"], folder)


def all_results(folder: Path = FOLDER) -> list[Results]:
    """The results of all settings whose trials are measured."""
    found = []
    for results in _read(folder):
        trials = [
            ("constant", lr, TRIAL_STEPS, s)
            for lr in grid(results.optimizer, 1)
            for s in TRIAL_SEEDS
        ]
        if all(job in results.runs for job in trials):
            found.append(results)
    return found


def percent(flags: list[bool]) -> float:
    return 100.0 * sum(flags) / len(flags) if flags else math.nan
