"""Made-up digits for the tests of the demo and of what is built on its network."""

import numpy as np
import pytest

from clr_adapters.cli.demo import data


def made_up_splits(seeds: int) -> data.Splits:
    """Two easily told classes of pictures, a few of them."""
    rng = np.random.default_rng(7)

    def part(rows: int) -> data.Rows:
        labels = rng.integers(0, 2, (seeds, rows))
        images = rng.random((seeds, rows, 196)) * 0.5 + 0.5 * labels[..., None]
        return data.Rows(images.astype(np.float32), labels)

    return data.Splits(part(300), part(50), part(80))


def check_gradient(network):
    """That `differentiate` fills the gradient of its loss, by central differences.

    network: two members, with 6 inputs and 3 classes, in float64.
    """
    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((2, 9, 6)), rng.integers(0, 3, (2, 9))
    network.differentiate(images, labels)
    gradient = network.gradient.copy()
    for i in range(network.parameters.shape[1]):
        losses = []
        for change in (1e-6, -1e-6):
            network.parameters[:, i] += change
            losses.append(network.differentiate(images, labels))
            network.parameters[:, i] -= change
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(gradient[:, i], abs=1e-8)
