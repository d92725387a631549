"""How often pure noise is answered, and Smith's own range tests; for `bounds.py`."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

import clrcore
from clrcore import Curve, NoBoundsError

Floats = np.ndarray
POINTS = 300
SWEEPS = {
    "exponential": np.geomspace(1e-6, 10.0, POINTS),
    "linear": np.linspace(1.0 / POINTS, 1.0, POINTS),
}
# Smith's ramps of ResNets on CIFAR-10, without dropout, and those of bottleneck networks.
RESNETS = ("range2Res", "range2SS80kRes56", "range3Iter")
BOTTLENECKS = ("Clip",)
SCALES = (0.1, 1.0, 10.0)


def _alike(share: float) -> Callable[[np.random.Generator], Floats]:
    def noise(random: np.random.Generator) -> Floats:
        values = random.normal(size=POINTS + 100)
        for i in range(1, values.size):
            values[i] += share * values[i - 1]
        return values[100:]

    return noise


def _average(keeps: float) -> Callable[[np.random.Generator], Floats]:
    def noise(random: np.random.Generator) -> Floats:
        mean, found = 0.0, []
        for k, value in enumerate(random.normal(size=POINTS), start=1):
            mean = keeps * mean + (1.0 - keeps) * value
            found.append(mean / (1.0 - keeps**k))
        return np.array(found)

    return noise


NOISES: dict[str, Callable[[np.random.Generator], Floats]] = {
    "normal": lambda random: random.normal(size=POINTS),
    "uniform": lambda random: random.uniform(size=POINTS),
    "Student's t, 3": lambda random: random.standard_t(3, size=POINTS),
    "lognormal": lambda random: np.exp(0.5 * random.normal(size=POINTS)),
    "exponential": lambda random: random.exponential(size=POINTS),
    "two values": lambda random: (random.random(POINTS) > 0.2).astype(float),
    "growing": lambda random: random.normal(size=POINTS) * np.linspace(0.3, 2.0, POINTS),
    "alike by 0.3": _alike(0.3),
    "alike by 0.5": _alike(0.5),
    "alike by 0.7": _alike(0.7),
    "running average, 0.9": _average(0.9),
    "running average, 0.98": _average(0.98),
}


def noise(draws: int) -> None:
    """Print the share of draws of pure noise that get an answer."""
    print(f"pure noise of {POINTS} points, answered in % of {draws} draws")
    print(f"{'noise':24}" + "".join(f"{sweep:>14}" for sweep in SWEEPS))
    for name, draw in NOISES.items():
        cells = []
        for lr in SWEEPS.values():
            found = [
                _answered(Curve(lr, 2.3 + 0.1 * draw(np.random.default_rng(seed))))
                for seed in range(draws)
            ]
            cells.append(f"{100.0 * sum(found) / draws:14.1f}")
        print(f"{name:24}{''.join(cells)}", flush=True)


def _answered(curve: Curve) -> bool:
    try:
        clrcore.suggest_bounds(curve)
    except NoBoundsError:
        return False
    return True


def smith(path: Path) -> None:
    """Print max_lr on Smith's published range tests, with all rates as they are and scaled."""
    runs: dict[str, list[dict[str, str]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            runs.setdefault(row["run"], []).append(row)
    print(f"{'run':30} max_lr with all rates times " + ", ".join(map(str, SCALES)))
    good = dict.fromkeys(SCALES, 0)
    for name, rows in runs.items():
        cells = []
        for scale in SCALES:
            curve = Curve(
                [scale * float(row["lr"]) for row in rows],
                [float(row["train_loss"] or "nan") for row in rows],
                [float(row["test_accuracy"] or "nan") for row in rows],
                held_out=True,
                updates=[int(row["update"]) for row in rows],
            )
            max_lr = clrcore.suggest_bounds(curve).max_lr
            cells.append(f"{max_lr:8.3g}")
            good[scale] += _expected(name, max_lr / scale)
        print(f"{name:30}{''.join(cells)}")
    print("at least 1 on 8 ResNets, 0.1 to 0.5 on 6 bottlenecks:", *good.values(), "of 14")


def _expected(name: str, max_lr: float) -> bool:
    """Whether max_lr is where Smith's own trainings say; False for runs without that."""
    if name.startswith(RESNETS):
        return max_lr >= 1.0
    return any(part in name for part in BOTTLENECKS) and 0.1 <= max_lr <= 0.5
