"""The plans: policies to compare, their network, and the number of updates.

Rates and lengths of AlexNet and GoogLeNet come from Smith, arXiv 1506.01186, section 4.3 and
Table 1; momentum, weight decay and the drops of AlexNet's fixed rate from Caffe's published files.
Docstrings name the facts that these leave open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from paper.plans import Arm, Plan, scaled, todays_arms
from torchvision import transforms

import clrcore

from . import networks
from .data import Transform

# Side of the crops, and of the images that they are cut from.
CROP, RESIZED = 224, 256


@dataclass(frozen=True, kw_only=True)
class ImageNetPlan(Plan):
    """A plan for ImageNet.

    Attributes:
        crop: Function of the side of the crops that makes the transform of training images.
    """

    crop: Callable[[int], Transform]


def caffe_crop(side: int) -> transforms.Compose:
    """Caffe's way: a square of any part of the squeezed image, mirrored or not."""
    return transforms.Compose(
        [
            transforms.Resize((_around(side), _around(side))),
            transforms.RandomCrop(side),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
        ]
    )


def random_sized_crop(side: int) -> transforms.Compose:
    """The way of residual networks: a part of any size, scaled to the square."""
    return transforms.Compose(
        [
            transforms.RandomResizedCrop(side),
            transforms.RandomHorizontalFlip(),
            transforms.PILToTensor(),
        ]
    )


def centre_crop(side: int) -> transforms.Compose:
    """The middle of the image, for validation."""
    return transforms.Compose(
        [
            transforms.Resize(_around(side)),
            transforms.CenterCrop(side),
            transforms.PILToTensor(),
        ]
    )


def _around(side: int) -> int:
    return side * RESIZED // CROP


def staged(base_lr: float, max_lr: float, size: int, cycles: tuple[int, ...]) -> Arm:
    """Stages of triangular2 with whole cycles, each with a tenth of the bounds before."""
    stages = [
        (clrcore.triangular2(base_lr / 10**i, max_lr / 10**i, size), 2 * count * size)
        for i, count in enumerate(cycles)
    ]
    return Arm("triangular2-staged", clrcore.chain(stages), sum(length for _, length in stages))


def exp_arms(
    bounds: tuple[float, float], size: int, gamma: float, lengths: tuple[int, int]
) -> list[Arm]:
    """exp, and exp_range in both readings, for `lengths` updates.

    exp starts at the lower bound, because the paper compares the ends of cycles with it.
    """
    base_lr, max_lr = bounds
    exp, ranged = lengths
    arms = [
        Arm("exp", clrcore.exponential(base_lr, gamma), exp, evaluations=tuple({ranged} - {exp}))
    ]
    for decays in ("bounds", "amplitude"):
        policy = clrcore.exp_range(base_lr, max_lr, size, gamma=gamma, decays=decays)
        arms.append(Arm(f"exp-range-{decays}", policy, ranged))
    return arms


def alexnet_arms(_: int, scale: float) -> list[Arm]:
    """Table 1 for AlexNet: step size 30,000, six epochs.

    The paper leaves open how triangular2 meets the drops of the fixed rate: `triangular2` does
    not, and ends in its seventh cycle; `triangular2-staged` has a tenth of the bounds after every
    second cycle, and ends 40,000 updates earlier.
    """
    n = partial(scaled, scale)
    size, long = n(30_000), n(400_000)
    drops = [n(100_000), n(200_000), n(300_000)]
    return [
        Arm("fixed", clrcore.stepwise(0.01, drops), long),
        Arm("triangular2", clrcore.triangular2(0.01, 0.015, size), long),
        staged(0.01, 0.015, size, (2, 2, 2)),
        *exp_arms((0.006, 0.014), size, 0.999995 ** (1 / scale), (n(460_000), 10 * size)),
        *todays_arms(0.015, long),
    ]


def googlenet_arms(_: int, scale: float) -> list[Arm]:
    """Table 1 for GoogLeNet: step size 30,000, three epochs, and whole cycles in every arm.

    The paper leaves the stages open; here `fixed` and `triangular2-staged` drop tenfold after
    three and after five of seven cycles.
    """
    size = scaled(scale, 30_000)
    long, short = 14 * size, 8 * size
    return [
        Arm("fixed", clrcore.stepwise(0.01, [6 * size, 10 * size]), long),
        Arm("triangular2", clrcore.triangular2(0.01, 0.026, size), long),
        staged(0.01, 0.026, size, (3, 2, 2)),
        *exp_arms((0.01, 0.026), size, 0.99998 ** (1 / scale), (short, short)),
        *todays_arms(0.026, long),
    ]


def resnet50_arms(steps_per_epoch: int, scale: float) -> list[Arm]:
    """One cycle of 20 epochs against the usual 90, and against the same drops within 20.

    One cycle has the form of Smith's runs on CIFAR, with 10 % of the run after it. Its rates are
    chosen here: no file of his ImageNet runs is published.
    """
    long, short = (scaled(scale, epochs * steps_per_epoch // 3) for epochs in (90, 20))
    size = scaled(0.45, 3 * short)
    return [
        Arm("fixed", clrcore.stepwise(0.1, [long, 2 * long]), 3 * long),
        Arm("fixed-20", clrcore.stepwise(0.1, [short, 2 * short]), 3 * short),
        Arm("smith-one-cycle", clrcore.smith_one_cycle(0.1, 1.0, size), 3 * short),
        *todays_arms(1.0, 3 * short),
    ]


PLANS = {
    plan.name: plan
    for plan in (
        ImageNetPlan(
            name="alexnet",
            about="AlexNet, 400,000 updates stepwise against cyclic",
            network=networks.alexnet,
            optimizers={"sgd": partial(networks.caffe_sgd, weight_decay=5e-4)},
            batch=256,
            arms=alexnet_arms,
            sweep=(0.0, 0.03),  # the paper gives no range: twice its upper bound
            sweep_epochs=6,
            bounds=(0.01, 0.015),
            seeds=1,
            loss=networks.loss,
            crop=caffe_crop,
        ),
        ImageNetPlan(
            name="googlenet",
            about="GoogLeNet, 420,000 updates stepwise against cyclic",
            network=networks.googlenet,
            optimizers={"sgd": partial(networks.caffe_sgd, weight_decay=2e-4)},
            batch=128,
            arms=googlenet_arms,
            sweep=(0.001, 0.065),
            sweep_epochs=4,
            bounds=(0.01, 0.026),
            seeds=1,
            loss=networks.loss,
            crop=caffe_crop,
        ),
        ImageNetPlan(
            name="resnet50",
            about="ResNet-50, one cycle of 20 epochs against 90 epochs stepwise",
            network=networks.resnet50,
            optimizers={"sgd": partial(networks.sgd, weight_decay=1e-4)},
            batch=256,
            arms=resnet50_arms,
            sweep=(0.0, 3.0),
            sweep_epochs=2,
            bounds=(0.1, 1.0),
            seeds=1,
            loss=networks.loss,
            crop=random_sized_crop,
        ),
    )
}
