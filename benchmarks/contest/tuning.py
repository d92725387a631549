"""The tuned peaks: a search over rates for each task and arm, kept in a file that it goes on from.

Rates are half a decade apart. The search starts with four, goes on beyond an edge while the best is
there, and ends with the two quarters of a decade beside the best. The validation rows decide, with
a seed that no other training uses.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from long_results import rate

from .arms import TUNED, Arm
from .tasks import SCHEDULE_FREE, TASKS, Task, train

FILE = Path(__file__).parents[1] / "data" / "tuned_peaks.json"
SEEDS = (3001,)
# The first rates, in quarters of a decade: 0 is a rate of 1.
FIRST = {
    "sgd": (-6, -4, -2, 0),
    "mom": (-8, -6, -4, -2),
    "adam": (-14, -12, -10, -8),
    "adamw": (-14, -12, -10, -8),
}
# Schedule-Free with SGD takes rates around its default, 1.
FIRST_SCHEDULE_FREE = {**FIRST, "sgd": (-4, -2, 0, 2), "mom": (-4, -2, 0, 2)}
LOWEST, HIGHEST = -24, 8

# Mean scores by quarter of a decade; higher is better.
Tried = Mapping[int, float]


def first_rates(arm: Arm, optimizer: str) -> tuple[int, ...]:
    """The quarters of a decade that the search starts with."""
    return (FIRST_SCHEDULE_FREE if arm.optimizer == SCHEDULE_FREE else FIRST)[optimizer]


def next_rate(tried: Tried, first: Sequence[int]) -> int | None:
    """The quarter of a decade to try next; None where the search is over."""
    for quarter in first:
        if quarter not in tried:
            return quarter
    halves = {quarter: score for quarter, score in tried.items() if (quarter - first[0]) % 2 == 0}
    centre = best(halves)
    for beyond in (centre - 2, centre + 2):
        if beyond not in halves and LOWEST <= beyond <= HIGHEST:
            return beyond
    return next((beside for beside in (centre - 1, centre + 1) if beside not in tried), None)


def best(tried: Tried) -> int:
    """The quarter of a decade with the highest score; the lower of equals."""
    return max(sorted(tried), key=tried.__getitem__)


def search(peaks: Peaks, task: Task, arm: Arm) -> None:
    """Train what the search lacks; each rate is kept as soon as it is tried."""
    tried = peaks.tried(task, arm)
    first = first_rates(arm, task.optimizer)
    while (quarter := next_rate(_means(tried), first)) is not None:
        policy = arm.plan(rate(quarter), task.total_steps)
        outcomes = [train(task, arm.optimizer, policy, seed) for seed in SEEDS]
        # Rounded as the file has them: a search that goes on must choose as one that was never cut.
        tried[quarter] = [round(outcome.scores.validation, 5) for outcome in outcomes]
        peaks.keep(task, arm, tried)


def _means(tried: Mapping[int, Sequence[float]]) -> dict[int, float]:
    return {quarter: sum(scores) / len(scores) for quarter, scores in tried.items()}


class Peaks:
    """The file of tuned peaks: by task and arm, the scores of every rate tried, and the best."""

    def __init__(self, path: Path = FILE) -> None:
        self.path = path
        self._tried: dict[tuple[str, str], dict[int, list[float]]] = {}
        if path.exists():
            for task, arms in json.loads(path.read_text())["tasks"].items():
                for arm, found in arms.items():
                    quarters = {int(q): scores for q, scores in found["scores"].items()}
                    self._tried[task, arm] = quarters

    def tried(self, task: Task, arm: Arm) -> dict[int, list[float]]:
        """The scores so far, by quarter of a decade."""
        return dict(self._tried.get((task.key, arm.name), {}))

    def whole(self, task: Task, arm: Arm) -> bool:
        """Whether the search is over."""
        first = first_rates(arm, task.optimizer)
        return next_rate(_means(self.tried(task, arm)), first) is None

    def peak(self, task: Task, arm: Arm) -> float:
        """The tuned peak.

        Raises:
            ValueError: Where the search is not over.
        """
        if not self.whole(task, arm):
            raise ValueError(
                f"{self.path} has no tuned peak of {arm.name} for {task.key}: "
                "run scoreboard.py --tune first"
            )
        return rate(best(_means(self.tried(task, arm))))

    def updates(self, task: Task, arm: Arm) -> int:
        """What the search cost; a training that diverged counts in full."""
        return sum(map(len, self.tried(task, arm).values())) * task.total_steps

    def keep(self, task: Task, arm: Arm, tried: Mapping[int, Sequence[float]]) -> None:
        """Write the file anew with these scores, first beside it."""
        self._tried[task.key, arm.name] = {q: list(scores) for q, scores in tried.items()}
        beside = self.path.with_suffix(".part")
        beside.write_text(self._text())
        beside.replace(self.path)

    def _text(self) -> str:
        tasks: dict[str, dict[str, Any]] = {}
        for (task, arm), tried in sorted(self._tried.items()):
            entry = {
                "best": rate(best(_means(tried))),
                "scores": {str(quarter): tried[quarter] for quarter in sorted(tried)},
            }
            tasks.setdefault(task, {})[arm] = entry
        lines = ",\n".join(
            f'"{task}": {{\n'
            + ",\n".join(f'"{arm}": {json.dumps(entry)}' for arm, entry in arms.items())
            + "\n}"
            for task, arms in tasks.items()
        )
        return f'{{"seeds": {list(SEEDS)}, "tasks": {{\n{lines}\n}}}}\n'


def tune(path: Path, tasks: Iterable[Task] = TASKS) -> None:
    """Search what the file lacks; an interrupted search goes on where it stopped."""
    peaks = Peaks(path)
    todo = [(task, arm) for task in tasks for arm in TUNED if not peaks.whole(task, arm)]
    for number, (task, arm) in enumerate(todo, 1):
        search(peaks, task, arm)
        found = f"{len(peaks.tried(task, arm))} rates, best {peaks.peak(task, arm):g}"
        print(f"{number} of {len(todo)}: {task.title}, {arm.name}: {found}", flush=True)
