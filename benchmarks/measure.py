"""Measure settings: the curves of their range tests, and what training at fixed rates reaches.

Writes the files that `bounds.py` reads: per setting four sweeps and a grid as CSV, each with
five seeds, and index.json with the truth of all of them.
"""

import csv
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from settings import SETTINGS, Run, Setting, split, updates

SEEDS = 5
CYCLE_SEEDS = 3
GRID = np.geomspace(1e-5, 10.0, 25)
LINEAR_TOP = {"sgd": 2.0, "mom": 1.0, "adam": 0.1, "adamw": 0.1}
# A loss this far above every start is lost; what follows is not recorded.
LOST = 1e6


def sweeps(setting: Setting) -> dict[str, np.ndarray]:
    return {
        "exp100": np.geomspace(1e-7, 10.0, 100),
        "exp300": np.geomspace(1e-5, 10.0, 300),
        "exp40": np.geomspace(1e-6, 10.0, 40),
        "lin300": np.arange(1, 301) / 300.0 * LINEAR_TOP[setting.optimizer],
    }


def sweep(setting: Setting, rates: np.ndarray, seed: int) -> np.ndarray:
    """Loss and metric of the batch, then held out, per rate; NaN from the blow-up on."""
    run = Run(setting, seed)
    rows = np.full((len(rates), 4), np.nan)
    for k, lr in enumerate(rates.tolist()):
        loss, metric = run.update(lr)
        if not abs(loss) < LOST:
            break
        rows[k] = loss, metric, *run.measure()
    return rows


def train(setting: Setting, rates: np.ndarray, seed: int) -> tuple[float, float, float, float]:
    """Losses at the start and at the end of a training, held-out loss and metric at its end."""
    run = Run(setting, seed)
    start, _ = run.measure(held_out=False)
    for lr in rates.tolist():
        if not math.isfinite(run.update(lr)[0]):
            return start, math.nan, math.nan, -1.0
    return start, run.measure(held_out=False)[0], *run.measure()


def truth(rows: list[list[float]]) -> dict[str, Any]:
    """What the grid says: the best constant rate, what learns, what trains."""
    final = np.array([[row[3] for row in rows if row[0] == lr] for lr in GRID])
    init = statistics.median(row[2] for row in rows)
    medians = np.median(np.where(np.isfinite(final), final, np.inf), axis=1)
    best = int(np.argmin(medians))
    fall = init - medians[best]
    half = np.sum(final <= init - 0.5 * fall, axis=1) >= math.ceil(0.8 * SEEDS)
    trains, within = best, [best, best]
    while trains + 1 < len(GRID) and half[trains + 1]:
        trains += 1
    for side, step in ((0, -1), (1, 1)):
        near = best + step
        while 0 <= near < len(GRID) and medians[near] - medians[best] <= 0.05 * fall:
            within[side] = near
            near += step
    learns = np.flatnonzero(medians <= init - 0.1 * fall)
    return {
        "init_loss": init,
        "best_lr": float(GRID[best]),
        "best_lr_subgrid": 10 ** _vertex(medians, best),
        "best_loss": float(medians[best]),
        "span_within_5pct_of_fall": [float(GRID[i]) for i in within],
        "lr_learns_from": float(GRID[learns[0]]),
        "largest_lr_trains": float(GRID[trains]),
        "median_final_train_loss": [float(m) if math.isfinite(m) else None for m in medians],
    }


def _vertex(medians: np.ndarray, best: int) -> float:
    """Log10 rate of the parabola through the best loss and its neighbours, in log loss."""
    x, step = math.log10(GRID[best]), math.log10(GRID[1] / GRID[0])
    if not 0 < best < len(GRID) - 1 or not np.isfinite(medians[best - 1 : best + 2]).all():
        return x
    low, middle, high = np.log(medians[best - 1 : best + 2])
    curved = low - 2.0 * middle + high
    return x + 0.5 * step * (low - high) / curved if curved > 0.0 else x


def measure(folder: Path, names: list[str] | None = None) -> None:
    """Measure the settings that the folder lacks, by name or all, one after the other."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.json"
    index = json.loads(path.read_text()) if path.exists() else {"settings": {}}
    for setting in SETTINGS:
        if setting.name in index["settings"] or (names and setting.name not in names):
            continue
        began = time.process_time()
        index["settings"][setting.name] = _measured(setting, folder)
        path.write_text(json.dumps(index, indent=1))
        spent = time.process_time() - began
        best = index["settings"][setting.name]["truth"]["best_lr_subgrid"]
        print(f"{setting.name:28} best lr {best:8.3g}  {spent:6.1f} s", flush=True)


def _measured(setting: Setting, folder: Path) -> dict[str, Any]:
    files = {}
    columns = ("train_loss", "train_metric", "val_loss", "val_metric")
    for kind, rates in sweeps(setting).items():
        found = [sweep(setting, rates, seed) for seed in range(SEEDS)]
        header = ["lr", *(f"{name}_s{seed}" for seed in range(SEEDS) for name in columns)]
        files[kind] = f"{setting.name}__{kind}.csv"
        _write(folder / files[kind], header, np.column_stack([rates, *found]).tolist())
    count = updates(setting)
    grid = [
        [lr, float(seed), *train(setting, np.full(count, lr), seed)]
        for lr in GRID.tolist()
        for seed in range(SEEDS)
    ]
    files["grid"] = f"{setting.name}__grid.csv"
    header = "lr,seed,init_train_loss,final_train_loss,final_val_loss,final_val_metric".split(",")
    _write(folder / files["grid"], header, grid)
    return {
        "data": setting.data,
        "model": setting.model,
        "optimizer": setting.optimizer,
        "batch": setting.batch,
        "epochs": setting.epochs,
        "iters": count,
        "n_train": len(split(setting)[0]),
        "task": setting.task,
        "files": files,
        "truth": truth(grid),
    }


def _write(path: Path, header: list[str], rows: list[list[float]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([f"{x:.9g}" if math.isfinite(x) else "" for x in row] for row in rows)
