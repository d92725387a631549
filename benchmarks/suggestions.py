"""What a suggestion costs beside those of other finders: one curve of 300 losses.

Ours smooths, looks at noise, refuses, and gives intervals; theirs take the place where a gradient
is least. The second row of a peer is its rule as we have it, `suggest_bounds(curve, rule=...)`.
"""

import contextlib
import io
import logging
from collections.abc import Callable

import numpy as np
from paired import command, not_run, ratios, row

import clrcore

POINTS = 300
TIMES = 20

Suggest = Callable[[], object]


def recorded() -> tuple[list[float], list[float]]:
    """Rates and losses of one exponential sweep."""
    lr = np.geomspace(1e-6, 10.0, POINTS)
    clean = 0.3 + 2.0 / (1.0 + (10.0 * lr / 0.1) ** 2) + (lr / 2.0) ** 4
    noise = np.random.default_rng(0).standard_normal(POINTS)
    return lr.tolist(), (clean * np.exp(0.1 * noise)).tolist()


def lightning(lr: list[float], loss: list[float]) -> Suggest:
    from pytorch_lightning.tuner.lr_finder import _LRFinder

    finder = _LRFinder("exponential", lr[0], lr[-1], POINTS)
    finder.results = {"lr": lr, "loss": loss}
    return finder.suggestion


def ignite(lr: list[float], loss: list[float]) -> Suggest:
    from ignite.handlers import FastaiLRFinder

    finder = FastaiLRFinder()
    finder._history = {"lr": lr, "loss": loss}
    return finder.lr_suggestion


def fastai(lr: list[float], loss: list[float]) -> Suggest:
    import torch
    from fastai.callback.schedule import valley

    rates, losses = torch.tensor(lr), torch.tensor(loss)
    return lambda: valley(rates, losses, POINTS)


# Each as it ships: its name, what makes it, its rule's name with us.
PEERS = (
    ("Lightning's suggestion()", lightning, "lightning"),
    ("Ignite's lr_suggestion()", ignite, "ignite"),
    ("fastai's valley", fastai, "valley"),
)
# Those that cannot be called alone.
PARTS_OF_MORE = {
    "torch-lr-finder": "its suggestion is a part of its plot()",
    "ktrain": "its suggestion is a part of a training",
}


def main() -> None:
    lr, loss = recorded()
    curve = clrcore.Curve(lr, loss)
    for name, make, rule in PEERS:
        sides: dict[str, Suggest] = {
            "suggest_bounds": lambda: clrcore.suggest_bounds(curve),
            f"rule={rule!r}": lambda rule=rule: clrcore.suggest_bounds(curve, rule=rule),
        }
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                theirs = make(lr, loss)
                theirs()
        except ImportError as error:
            not_run(f"suggest_bounds, to {name}", f"{error.name} is not installed")
            continue
        for what, ours in sides.items():
            row(f"{what}, to {name}", ratios(ours, theirs, TIMES))
    for name, why in PARTS_OF_MORE.items():
        not_run(f"suggest_bounds, to {name}", why)


if __name__ == "__main__":
    logging.disable()
    packages = ("numpy", "torch", "pytorch-ignite", "pytorch-lightning", "fastai")
    command(__doc__, main, *packages)
