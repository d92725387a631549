"""Tiny files in the binary format of CIFAR, for tests and for a first try.

    python tests/cifar_files.py DIR

The images are no photographs: every class has a pattern of its own under a lot of noise.
"""

import sys
from pathlib import Path

import numpy as np

TRAIN_FILES, IMAGES = 5, 200


def write(folder, classes=10, label_bytes=1, train=None, test="test_batch.bin", seed=0):
    """Write five training files and one for tests, each of 200 images."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    # Patterns of 8 x 8 coarse pixels, which a small network can tell apart.
    coarse = rng.integers(60, 196, size=(classes, 3, 8, 8))
    patterns = coarse.repeat(4, axis=2).repeat(4, axis=3)
    for name in [*(train or [f"data_batch_{i + 1}.bin" for i in range(TRAIN_FILES)]), test]:
        labels = rng.integers(classes, size=IMAGES)
        noise = rng.normal(0, 40, size=(IMAGES, 3, 32, 32))
        images = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
        first = np.zeros((IMAGES, label_bytes), np.uint8)
        first[:, -1] = labels
        np.concatenate([first, images.reshape(IMAGES, -1)], axis=1).tofile(folder / name)
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]))
