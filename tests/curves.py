"""Curves whose right reading is known, for the tests of bounds."""

import numpy as np

from clrcore import Curve


def losses(lr, best=0.1, noise=0.02, seed=0, start=2.3, lost=20.0):
    """A fall from `start`, over by `best`; a blow-up from about ten times that on."""
    fall = start / (1.0 + (10.0 * lr / best) ** 2)
    blow_up = (lr / (lost * best)) ** 4
    return fall + blow_up + noise * np.random.default_rng(seed).normal(size=lr.size)


def exponential(n=200, low=1e-6, high=10.0, updates=None, **changes):
    """An exponential sweep with the losses above."""
    lr = np.geomspace(low, high, n)
    return Curve(lr, losses(lr, **changes), updates=updates)


def accuracies(lr, noise=0.005, seed=0):
    """Half of the rise is reached at 0.1, half of it lost again at 2.5."""
    rise = 0.1 + 0.85 / (1.0 + (0.1 / lr) ** 2)
    return rise / (1.0 + (lr / 2.5) ** 6) + noise * np.random.default_rng(seed).normal(size=lr.size)


def ramp(n=300, top=5.0, accuracy=True, loss=False, **given):
    """A linear sweep with held-out accuracy, loss or both."""
    lr = np.linspace(top / n, top, n)
    given = {"held_out": True, "steps_per_epoch": 50, **given}
    loss = losses(lr, best=1.0, lost=3.0) if loss else None
    return Curve(lr, loss, accuracies(lr) if accuracy else None, **given)


def numbers(bounds):
    """All rates of an answer, in log."""
    return np.log(
        [bounds.base_lr, bounds.lr, bounds.max_lr, *bounds.lr_interval, *bounds.max_lr_interval]
    )


def kinds(bounds):
    """The kinds of its warnings."""
    return {warning.kind for warning in bounds.warnings}


def debiased(loss, late=0):
    """The exponential mean of every beginning of the losses, from its weights."""
    means = []
    for k in range(1, len(loss) + 1):
        weights = 0.98 ** np.arange(k - 1, -1, -1)
        means.append(0.02 * weights @ loss[:k] / (1 - 0.98 ** (k + late)))
    return np.array(means)


def plain(loss):
    means = [loss[0]]
    for value in loss:
        means.append(0.95 * means[-1] + 0.05 * value)
    return np.array(means[1:])


def until(lr, smoothed, stop):
    """Up to the first smoothed loss above `stop` times the lowest before it."""
    for k in range(len(smoothed)):
        if smoothed[k] > stop * min(smoothed[: k + 1]):
            return lr[: k + 1], smoothed[: k + 1]
    return lr, smoothed
