"""Settings whose truth is known, with their range-test curves, as `measure.py` writes them.

The folder holds index.json with the truth of each setting, and per setting a CSV for each sweep:
lr, and per seed train_loss_s0, ..., val_metric_s0, ....
"""

import csv
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clrcore import Curve

SEEDS = 5
NEAR = 0.05


@dataclass
class Measured:
    """A setting: its truth, and its curves by sweep, one per seed."""

    name: str
    optimizer: str
    task: str
    truth: dict[str, Any]
    losses: dict[str, list[Curve]]
    accuracies: dict[str, list[Curve]]
    grid: list[float]

    def is_good(self, lr: float) -> bool:
        """Whether training at the nearest rate of the grid ends within 5 % of the best fall."""
        nearest = min(range(len(self.grid)), key=lambda i: abs(math.log(self.grid[i] / lr)))
        return self.missed(self.truth["median_final_train_loss"][nearest]) <= NEAR

    def missed(self, loss: float | None) -> float:
        """What a final loss misses of the best fall, as a share of it, at most 1."""
        if loss is None or not math.isfinite(loss):
            return 1.0
        best = self.truth["best_loss"]
        return min(1.0, (loss - best) / (self.truth["init_loss"] - best))

    def is_base(self, base_lr: float) -> bool:
        """Whether it lies from half the smallest rate that learns to the best rate."""
        return bool(0.5 * self.truth["lr_learns_from"] <= base_lr <= 1.0001 * self.truth["best_lr"])

    def is_max(self, max_lr: float) -> bool:
        """Whether it lies from a grid step below the best rate to twice the largest that trains."""
        best = min(range(len(self.grid)), key=lambda i: abs(self.grid[i] - self.truth["best_lr"]))
        low = 0.9999 * self.grid[max(best - 1, 0)]
        return bool(low <= max_lr <= 2.0001 * self.truth["largest_lr_trains"])


def read(folder: Path) -> list[Measured]:
    """The settings of a folder."""
    index = json.loads((folder / "index.json").read_text())
    found = []
    for name, entry in index["settings"].items():
        files = dict(entry["files"])
        grid = sorted({float(row["lr"]) for row in _rows(folder / files.pop("grid"))})
        losses, accuracies = {}, {}
        for sweep, file in files.items():
            rows = list(_rows(folder / file))
            lr = [float(row["lr"]) for row in rows]
            losses[sweep] = [Curve(lr, values) for values in _columns(rows, "train_loss")]
            accuracies[sweep] = [
                Curve(lr, accuracy=values, held_out=True) for values in _columns(rows, "val_metric")
            ]
        optimizer, task = entry["optimizer"], entry["task"]
        found.append(Measured(name, optimizer, task, entry["truth"], losses, accuracies, grid))
    return found


def _columns(rows: list[dict[str, str]], kind: str) -> list[list[float]]:
    return [[float(row[f"{kind}_s{seed}"] or "nan") for row in rows] for seed in range(SEEDS)]


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with path.open(newline="") as file:
        yield from csv.DictReader(file)
