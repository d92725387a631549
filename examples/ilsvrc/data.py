"""An ImageFolder tree: its images, broken images, and the order of batches.

Order and crops depend on the seed and the number of the update only, so a resumed run equals an
uninterrupted run, in the middle of an epoch too.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from paper.errors import DataError
from paper.ranks import Ranks
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import default_loader

# The first number of each seed, so that no two generators share their numbers.
ORDER, CROPS, HELD_OUT = 1, 2, 3

Transform = Callable[[Any], Any]
"""From a PIL image to a tensor."""
Key = tuple[int, int]
"""The number of an image, and the seed of its crop."""


class Part(NamedTuple):
    """The images of `train` or `val`.

    Attributes:
        folder: The folder of the classes.
        paths: Paths in it, in the order of the classes.
        labels: Numbers of the classes.
    """

    folder: Path
    paths: NDArray[np.str_]  # an array, as Python strings would be copied for every worker
    labels: NDArray[np.int64]

    def fingerprint(self) -> str:
        """A short text that identifies these paths and labels."""
        crc = zlib.crc32(self.labels.tobytes(), zlib.crc32("\n".join(self.paths).encode()))
        return f"{len(self.paths)} images, crc {crc:08x}"


class Tree(NamedTuple):
    """Training and validation images, and the names of their classes."""

    train: Part
    val: Part
    classes: list[str]


class Broken(NamedTuple):
    """Stands for an image that cannot be read."""

    path: str
    reason: str


def load(folder: Path) -> Tree:
    """Read the names of all images in `folder/train` and `folder/val`, a folder for each class.

    Raises:
        DataError: A folder is missing, a class is empty, or the classes differ.
    """
    train, classes = _read(folder / "train")
    val, other = _read(folder / "val")
    differing = sorted({*classes} ^ {*other})
    if differing:
        name = differing[0]
        place, lacking = ("train", "val") if name in classes else ("val", "train")
        raise DataError(
            f"{folder / place} has the class {name}, but {folder / lacking} lacks it "
            f"({len(differing)} classes differ): both must have the same folders"
        )
    return Tree(train, val, classes)


def _read(folder: Path) -> tuple[Part, list[str]]:
    if not folder.is_dir():
        raise DataError(
            f"{folder} is missing: --data must name a folder with train/ and val/, and each of "
            "these must have a folder for every class"
        )
    if not any(each.is_dir() for each in folder.iterdir()):
        raise DataError(f"{folder} has no folders: it must have a folder for every class")
    read = ImageFolder(folder, allow_empty=True)
    paths, labels = zip(*read.samples, strict=True) if read.samples else ((), ())
    counts = np.bincount(np.array(labels, dtype=np.int64), minlength=len(read.classes))
    empty = [name for name, count in zip(read.classes, counts, strict=True) if not count]
    if empty:
        raise DataError(
            f"{folder / empty[0]} has no images ({len(empty)} of {len(read.classes)} classes are "
            f"empty): unpack it again, or delete it in train/ and in val/"
        )
    inside = np.array([str(Path(path).relative_to(folder)) for path in paths])
    return Part(folder, inside, np.array(labels)), read.classes


class Images(Dataset[Any]):
    """Images by their keys: a uint8 image of shape (3, height, width) and its label."""

    def __init__(self, part: Part, transform: Transform) -> None:
        self._part, self._transform = part, transform

    def __getitem__(self, key: Key) -> tuple[Tensor, int] | Broken:
        row, seed = key
        path = self._part.folder / str(self._part.paths[row])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                image = self._transform(default_loader(path))
            except Exception as error:  # decoders raise many kinds
                return Broken(str(path), f"{type(error).__name__}: {error}")
        return image, int(self._part.labels[row])


class Order(Sampler[list[Key]]):
    """The keys of the updates first <= t < stop, for this process; those of t depend on t alone.

    Each epoch has its own order of `rows` and skips an incomplete last batch. The processes share
    every batch, so that their number does not change it.
    """

    def __init__(
        self, rows: NDArray[np.int64], batch: int, seed: int, first: int, stop: int, ranks: Ranks
    ) -> None:
        if len(rows) < batch:
            raise DataError(
                f"an update has {batch} images, but there are only {len(rows)} to train with: "
                "pass a smaller --batch"
            )
        self._rows, self._batch, self._seed = rows, batch, seed
        self._steps, self._ranks = range(first, stop), ranks

    @property
    def steps_per_epoch(self) -> int:
        """Updates in an epoch."""
        return len(self._rows) // self._batch

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Key]]:
        ordered = -1
        own = slice(self._ranks.rank, self._batch, self._ranks.size)
        for step in self._steps:
            epoch, place = divmod(step, self.steps_per_epoch)
            if epoch != ordered:
                order = np.random.default_rng((ORDER, self._seed, epoch)).permutation(self._rows)
                ordered = epoch
            rows = order[place * self._batch :][own]
            crops = np.random.default_rng((CROPS, self._seed, step)).integers(
                2**63, size=self._batch
            )
            yield list(zip(rows.tolist(), crops[own].tolist(), strict=True))


def in_turn(rows: NDArray[np.int64], batch: int) -> list[list[Key]]:
    """The keys of all rows in their order, in batches."""
    keys = [(row, 0) for row in rows.tolist()]
    return [keys[start : start + batch] for start in range(0, len(keys), batch)]


class Stream:
    """The batches of a loader: inputs and labels.

    Raises:
        DataError: An image cannot be read; the message names it.
    """

    def __init__(self, images: Images, keys: Any, workers: int, device: torch.device) -> None:
        self._loader = DataLoader(
            images,
            batch_sampler=keys,
            num_workers=workers,
            collate_fn=_joined,
            pin_memory=device.type == "cuda",
        )
        self._device = device

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self._loader:
            if isinstance(batch, Broken):
                raise DataError(
                    f"{batch.path} cannot be read ({batch.reason}): put the original file there, "
                    "and the same command resumes"
                )
            inputs, labels = (each.to(self._device, non_blocking=True) for each in batch)
            yield inputs, labels


def _joined(items: list[Any]) -> Any:
    """A batch of items, or a broken image among them; an error would lose its words."""
    broken = [item for item in items if isinstance(item, Broken)]
    return broken[0] if broken else default_collate(items)
