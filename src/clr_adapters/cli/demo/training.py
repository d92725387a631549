"""Training loops: a range test, and a run under a policy, for all seeds at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import clrcore

from .data import Rows, Splits
from .network import Momentum, Network

BATCH = 100

Tick = Callable[[int], None]
"""Called with the number of updates since the last call; may raise to end the run."""


class Optimizer(Protocol):
    """Updates the parameters of a network."""

    def update(self, lr: float | NDArray[np.float64]) -> None:
        """Make an update with the network's gradient, at one rate or one per member."""


Start = Callable[[Sequence[int]], tuple[Network, Optimizer]]
"""Makes a network with one member per seed, initialised, and its optimizer."""


def start(seeds: Sequence[int]) -> tuple[Network, Optimizer]:
    """The demo's network and optimizer."""
    network = Network(len(seeds))
    network.initialise(seeds)
    return network, Momentum(network)


@dataclass(frozen=True)
class History:
    """What was recorded in a run under a policy.

    Attributes:
        rates: The rate of every update, shape (updates,).
        steps: Numbers of updates after which the network was evaluated, shape (evaluations,).
        test: Accuracy on the test rows at those steps, 0 to 1, shape (seeds, evaluations).
        validation: Accuracy on the validation rows after the last update, shape (seeds,).
    """

    rates: NDArray[np.float64]
    steps: NDArray[np.int64]
    test: NDArray[np.float64]
    validation: NDArray[np.float64]


def batches(
    rows: Rows, seeds: Sequence[int]
) -> Iterator[tuple[NDArray[np.floating[Any]], NDArray[np.int64]]]:
    """Endless batches; each seed has its rows in a new order each epoch.

    Yields images, shape (seeds, 100, 196), and labels, shape (seeds, 100). The order depends
    on the seed alone, so runs of the same seed under different policies see the same batches.
    """
    rngs = [np.random.default_rng((seed, 2)) for seed in seeds]
    member = np.arange(len(rngs))[:, None]
    count = rows.labels.shape[1]
    while True:
        order = np.stack([rng.permutation(count) for rng in rngs])
        for first in range(0, count - BATCH + 1, BATCH):
            chosen = order[:, first : first + BATCH]
            yield rows.images[member, chosen], rows.labels[member, chosen]


def range_test(
    sweep: clrcore.Policy,
    splits: Splits,
    seeds: Sequence[int],
    *,
    tick: Tick,
    validate_every: int | None = 2,
    start: Start = start,
) -> list[clrcore.Curve]:
    """One range test per seed: the training loss of every update, and held-out accuracy.

    Args:
        sweep: The rising rates; its total_steps is the number of updates.
        splits: The rows of every seed; the test rows are not used.
        seeds: One seed per member.
        tick: Called after every update.
        validate_every: Updates from one evaluation on the validation rows to the next.
        start: Makes the network and the optimizer.
    """
    network, optimizer = start(seeds)
    epoch = splits.train.labels.shape[1] / BATCH
    tests = [
        clrcore.RangeTest(
            sweep, validate_every=validate_every, steps_per_epoch=epoch, held_out=True
        )
        for _ in seeds
    ]
    with np.errstate(all="ignore"):  # a range test ends by diverging
        for images, labels in batches(splits.train, seeds):
            rates = [test.next_rates(1) for test in tests]
            if not any(rates):
                break
            losses = network.differentiate(images, labels)
            # A seed whose test is over waits while the others continue.
            optimizer.update(np.array([rate[0] if rate else 0.0 for rate in rates]))
            running = [i for i, rate in enumerate(rates) if rate]
            accuracies = None
            if tests[running[0]].validation_due():
                accuracies = network.accuracy(splits.validation.images, splits.validation.labels)
            for i in running:
                accuracy = None if accuracies is None else accuracies[i]
                tests[i].record(loss=losses[i], accuracy=accuracy)
            tick(1)
    return [test.curve for test in tests]


def confirm(
    check: clrcore.Confirmation, splits: Splits, seeds: Sequence[int], *, tick: Tick
) -> clrcore.Bounds:
    """Run the trials of a confirmation, each from the same start.

    The networks of all seeds are trained side by side; the mean of their losses is recorded.
    """
    with np.errstate(all="ignore"):  # a trial at too high a rate diverges
        for trial in check:
            network, optimizer = start(seeds)
            for lr, (images, labels) in zip(trial, batches(splits.train, seeds), strict=False):
                losses = network.differentiate(images, labels)
                optimizer.update(lr)
                trial.record(loss=losses.mean())
                tick(1)
    return check.bounds


def train(
    policy: clrcore.Policy,
    total_steps: int,
    splits: Splits,
    seeds: Sequence[int],
    *,
    evaluate_every: int,
    tick: Tick,
    start: Start = start,
) -> History:
    """Train one network per seed for `total_steps` updates under `policy`.

    Args:
        policy: The rates.
        total_steps: Number of updates.
        splits: The rows of every seed.
        seeds: One seed per member.
        evaluate_every: Updates from one evaluation on the test rows to the next. The last step
            is always evaluated. Nothing is chosen by these accuracies.
        tick: Called at every evaluation.
        start: Makes the network and the optimizer.
    """
    network, optimizer = start(seeds)
    scheduler = clrcore.Scheduler(policy)
    rates = np.empty(total_steps)
    steps, test = [0], []
    with np.errstate(all="ignore"):  # a rate that is too high may diverge; that is counted
        for number, (images, labels) in zip(
            range(1, total_steps + 1), batches(splits.train, seeds), strict=False
        ):
            network.differentiate(images, labels)
            rates[number - 1] = scheduler.lr
            optimizer.update(scheduler.lr)
            scheduler.step()
            if number % evaluate_every == 0 or number == total_steps:
                test.append(network.accuracy(splits.test.images, splits.test.labels))
                tick(number - steps[-1])
                steps.append(number)
        validation = network.accuracy(splits.validation.images, splits.validation.labels)
    return History(rates, np.array(steps[1:], np.int64), np.stack(test, axis=1), validation)
