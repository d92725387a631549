"""Training loops: a range test, and a run under a policy, for all seeds at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import clrcore
from clrcore.arguments import check_choice

from .data import Part, Splits
from .network import Adam, Momentum, Network

BATCH = 100

Tick = Callable[[int], None]
"""Told how many updates were made since the last call; may raise to end the run."""


OPTIMIZERS: dict[str, type[Momentum] | type[Adam]] = {"sgd": Momentum, "adam": Adam}


@dataclass(frozen=True)
class Setup:
    """What is trained: the network's activation, "relu" or "sigmoid", and the optimizer.

    optimizer: "sgd", with momentum, or "adam".
    """

    activation: str = "relu"
    optimizer: str = "sgd"

    def start(self, seeds: Sequence[int]) -> tuple[Network, Momentum | Adam]:
        """A network with one member per seed, initialised, and its optimizer.

        Raises TypeError or ValueError for an activation or optimizer that is not known.
        """
        kind = OPTIMIZERS[check_choice("optimizer", self.optimizer, OPTIMIZERS)]
        network = Network(len(seeds), activation=self.activation)
        network.initialise(seeds)
        return network, kind(network)


DEMO = Setup()


@dataclass(frozen=True)
class History:
    """What one run under a policy left behind.

    rates: the rate every update used, shape (updates,).
    steps: numbers of updates after which the network was looked at, shape (looks,).
    test: accuracy on the test rows at those steps, 0 to 1, shape (seeds, looks).
    validation: accuracy on the validation rows after the last update, shape (seeds,).
    """

    rates: NDArray[np.float64]
    steps: NDArray[np.int64]
    test: NDArray[np.float64]
    validation: NDArray[np.float64]


def batches(
    part: Part, seeds: Sequence[int]
) -> Iterator[tuple[NDArray[np.floating[Any]], NDArray[np.int64]]]:
    """Batches for ever; every seed goes through its rows in a new order each epoch.

    Yields images, shape (seeds, 100, 196), and labels, shape (seeds, 100). The order depends
    on the seed alone, so runs of the same seed under different policies see the same batches.
    """
    rngs = [np.random.default_rng((seed, 2)) for seed in seeds]
    member = np.arange(len(rngs))[:, None]
    rows = part.labels.shape[1]
    while True:
        order = np.stack([rng.permutation(rows) for rng in rngs])
        for start in range(0, rows - BATCH + 1, BATCH):
            chosen = order[:, start : start + BATCH]
            yield part.images[member, chosen], part.labels[member, chosen]


def range_test(
    sweep: clrcore.Policy,
    splits: Splits,
    seeds: Sequence[int],
    *,
    look_every: int,
    tick: Tick,
    setup: Setup = DEMO,
) -> list[clrcore.Curve]:
    """One range test per seed: the training loss of every update, and held-out accuracy.

    sweep: the rising rate; its total_steps is the number of updates.
    look_every: updates between two looks at the accuracy on the validation rows.
    """
    network, optimizer = setup.start(seeds)
    rows = splits.train.labels.shape[1]
    tests = [clrcore.RangeTest(sweep, steps_per_epoch=rows / BATCH, held_out=True) for _ in seeds]
    handed_out = [iter(test) for test in tests]
    with np.errstate(all="ignore"):  # diverging is what a range test is for
        for made, (images, labels) in enumerate(batches(splits.train, seeds), start=1):
            rates = [next(rate, None) for rate in handed_out]
            if all(rate is None for rate in rates):
                break
            losses = network.differentiate(images, labels)
            # A seed whose test has ended stands still while the others go on.
            optimizer.update(np.array([rate or 0.0 for rate in rates]))
            looked = made % look_every == 0
            right = (
                network.accuracy(splits.validation.images, splits.validation.labels)
                if (looked)
                else None
            )
            for member, (test, rate) in enumerate(zip(tests, rates, strict=True)):
                if rate is None:
                    continue
                accuracy = None if right is None else float(right[member])
                test.record(loss=float(losses[member]), accuracy=accuracy)
            tick(1)
    return [test.curve for test in tests]


def train(
    policy: clrcore.Policy,
    total_steps: int,
    splits: Splits,
    seeds: Sequence[int],
    *,
    look_every: int,
    tick: Tick,
    setup: Setup = DEMO,
) -> History:
    """Train one network per seed for `total_steps` updates under `policy`.

    look_every: updates between two looks at the accuracy on the test rows; the last step is
        always looked at. Nothing is chosen by what is seen there.
    """
    network, optimizer = setup.start(seeds)
    scheduler = clrcore.Scheduler(policy)
    source = batches(splits.train, seeds)
    rates = np.empty(total_steps)
    steps, test = [], []
    since = 0
    with np.errstate(all="ignore"):  # a rate that is too high may diverge; that is counted
        for made in range(1, total_steps + 1):
            network.differentiate(*next(source))
            rates[made - 1] = scheduler.lr
            optimizer.update(scheduler.lr)
            scheduler.step()
            since += 1
            if made % look_every == 0 or made == total_steps:
                steps.append(made)
                test.append(network.accuracy(splits.test.images, splits.test.labels))
                tick(since)
                since = 0
        validation = network.accuracy(splits.validation.images, splits.validation.labels)
    return History(rates, np.array(steps, np.int64), np.stack(test, axis=1), validation)
