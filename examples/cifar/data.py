"""Reads CIFAR-10 and CIFAR-100 from their binary files, and refuses wrong files."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from paper.errors import DataError

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"


class Format(NamedTuple):
    """The files of a data set and the start of their rows.

    Attributes:
        label_bytes: Bytes before the pixels; the last is the class.
    """

    title: str
    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    label_bytes: int
    classes: int


FORMATS = {
    "cifar10": Format(
        "CIFAR-10",
        "cifar-10-batches-bin",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        ("test_batch.bin",),
        1,
        10,
    ),
    "cifar100": Format(
        "CIFAR-100", "cifar-100-binary", ("train.bin",), ("test.bin",), 2, 100
    ),  # a coarse label, which is skipped, and a fine label
}


class Part(NamedTuple):
    """Images and their classes.

    Attributes:
        images: uint8, shape (n, 3, 32, 32), 0 to 255.
        labels: int64, shape (n,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def rows(self, start: int, stop: int) -> Part:
        """The images start <= i < stop."""
        return Part(self.images[start:stop], self.labels[start:stop])

    def fingerprint(self) -> str:
        """A short text that identifies these images and labels."""
        crc = zlib.crc32(self.labels.tobytes(), zlib.crc32(self.images.tobytes()))
        return f"{len(self.labels)} images, crc {crc:08x}"


class Cifar(NamedTuple):
    """A data set: training and test images, and the number of classes."""

    title: str
    train: Part
    test: Part
    classes: int


def load(folder: Path, dataset: str = "cifar10") -> Cifar:
    """Read the binary version of a data set.

    Args:
        folder: Holds the files, or the folder they are unpacked into (cifar-10-batches-bin).
        dataset: A key of FORMATS.

    Raises:
        DataError: A file is missing, cut short or of another kind; the message names it.
    """
    form = FORMATS[dataset]
    place = _find(folder, form)
    train = [_read(place / name, form) for name in form.train]
    test = [_read(place / name, form) for name in form.test]
    return Cifar(form.title, _joined(train), _joined(test), form.classes)


def _find(folder: Path, form: Format) -> Path:
    """The folder with all files."""
    places = [folder, folder / form.folder]
    lacking = {place: _lacking(place, form) for place in places}
    place = min(places, key=lambda place: len(lacking[place]))
    if not lacking[place]:
        return place
    other = places[1] if place == folder else folder
    both = f", and so does {other}" if other.is_dir() else ""
    message = (
        f"{place} lacks {', '.join(lacking[place])} of {form.title}{both}; unpack the binary "
        f"version from {SOURCE} and pass the folder with its files"
    )
    for name, another in FORMATS.items():
        if not all(_lacking(each, another) for each in (folder, folder / another.folder)):
            message += f" ({another.title} is there: pass --dataset {name} to train on it)"
    if any((each / "data_batch_1").is_file() for each in (*places, folder / "cifar-10-batches-py")):
        message += " (files without .bin are the Python version, which is not read)"
    raise DataError(message)


def _lacking(place: Path, form: Format) -> list[str]:
    return [name for name in form.train + form.test if not (place / name).is_file()]


def _read(path: Path, form: Format) -> Part:
    length = form.label_bytes + PIXELS
    data = np.fromfile(path, dtype=np.uint8)
    if not data.size or data.size % length:
        raise DataError(
            f"{path} has {data.size} bytes, which must be a multiple of {length} and not 0 "
            f"({form.label_bytes} of labels and {PIXELS} pixels an image): it is cut short or "
            f"not of {form.title}; unpack it again"
        )
    rows = data.reshape(-1, length)
    labels = rows[:, form.label_bytes - 1].astype(np.int64)
    wrong = np.flatnonzero(labels >= form.classes)
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"{path} has the label {labels[row]} at image {row}, which must be from 0 to "
            f"{form.classes - 1}: it is damaged or not of {form.title}; unpack it again"
        )
    return Part(rows[:, form.label_bytes :].reshape(-1, *SHAPE), labels)


def _joined(parts: list[Part]) -> Part:
    images = np.concatenate([part.images for part in parts])
    return Part(images, np.concatenate([part.labels for part in parts]))
