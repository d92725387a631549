"""A tiny ImageFolder tree of JPEG files, for tests and for a first try of examples/imagenet.py.

    python tests/imagenet_files.py DIR

The images are no photographs: every class has a pattern of its own under noise.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = 8


def write(folder, train=24, val=8, side=96):
    """Write so many images of every class into train/ and val/, of several sizes."""
    rng = np.random.default_rng(0)
    # Patterns of 4 x 4 coarse pixels, which a small network can tell apart.
    patterns = rng.integers(30, 226, size=(CLASSES, 4, 4, 3))
    for part, count in (("train", train), ("val", val)):
        for label, pattern in enumerate(patterns):
            place = folder / part / f"class{label}"
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                width = side + 8 * (number % 3)
                pixels = pattern.repeat(side // 4, axis=0).repeat(side // 4, axis=1)
                noisy = np.clip(pixels + rng.normal(0, 25, pixels.shape), 0, 255).astype(np.uint8)
                image = Image.fromarray(noisy).resize((width, side))
                image.save(place / f"{number}.JPEG", quality=90)
    return folder


if __name__ == "__main__":
    write(Path(sys.argv[1]))
