"""The plans: policies to compare, their network, and the number of updates.

Rates and lengths come from Smith, arXiv 1506.01186, and for the plan `super` from Smith & Topin,
arXiv 1708.07120. Docstrings name the facts that these leave open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from paper.plans import Arm, Claim, Contrast, Plan, scaled, todays_arms
from paper.sgd import CaffeSGD
from torch import nn
from torch.optim import SGD, Optimizer

import clrcore

from . import caffe
from .data import Part
from .images import Pixels, minus_mean_image, standardised
from .networks import DenseNet, ResNet

# Caffe's moving_average_fraction of 0.95. Slow statistics lag behind a fast rate, so its default
# of 0.999 in a single arm would favour the other arm.
SUPER_BN_MOMENTUM = 0.05
CONSTANTS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008)
GAMMA = 0.99994
# Seeds of every arm in a claim.
SEEDS = 5
SWEEP_EPOCHS = 8


@dataclass(frozen=True, kw_only=True)
class CifarPlan(Plan):
    """A plan for CIFAR.

    Attributes:
        pixels: Function of the training images that gives their shift and scale.
        augment: Whether images are shifted and mirrored.
    """

    pixels: Callable[[Part], Pixels]
    augment: bool


def constant(lr: float) -> str:
    """The name of the arm with a constant rate."""
    return f"constant-{lr:g}"


def staged(scale: float) -> Arm:
    """Table 2 of the paper: three stages of triangular2, each with a tenth of the bounds before.

    The stages have 4, 3 and 3 whole cycles at every scale.
    """
    stages = [
        (clrcore.triangular2(base_lr, max_lr, size), 2 * cycles * size)
        for base_lr, max_lr, size, cycles in (
            (0.001, 0.005, scaled(scale, 2000), 4),
            (0.0001, 0.0005, scaled(scale, 1000), 3),
            (0.00001, 0.00005, scaled(scale, 500), 3),
        )
    ]
    return Arm("staged", clrcore.chain(stages), sum(length for _, length in stages))


def caffe_arms(_: int, scale: float) -> list[Arm]:
    """The policies of Tables 1 and 3 for the small network, and the controls that they lack.

    The paper leaves these facts open: exp starts at the lower bound; exp_range has the bounds and
    the step size of triangular; the rates of linear and of the grid; Adam's step size, and its
    stepwise drops in `adam-fixed`.

    Cyclic arms end with a cycle, except exp_range: with this step size, 70,000 and the paper's
    42,000 updates end at peaks, after 17.5 and 10.5 cycles. The accuracy is measured at every
    cycle end too, 40,000 and 68,000 among them.
    """
    n = partial(scaled, scale)
    size, short, long = n(2000), n(25_000), n(70_000)
    gamma = GAMMA ** (1 / scale)
    drops = [n(60_000), n(65_000)]

    def exp_range(decays: str) -> Arm:
        policy = clrcore.exp_range(0.001, 0.006, size, gamma=gamma, decays=decays)
        return Arm(f"exp-range-{decays}", policy, long, evaluations=(n(42_000),))

    return [
        Arm("fixed", clrcore.stepwise(0.001, drops), long),
        Arm("fixed-25k", clrcore.stepwise(0.001, [n(21_429), n(23_214)]), short),
        staged(scale),
        Arm("triangular", clrcore.triangular(0.001, 0.006, size), 12 * size),
        Arm("decay", clrcore.decay(0.007, 0.001, n(4000)), short),
        Arm("exp", clrcore.exponential(0.001, gamma), long, evaluations=(n(42_000),)),
        exp_range("bounds"),
        exp_range("amplitude"),
        *todays_arms(0.006, short),
        *(Arm(constant(lr), clrcore.constant(lr), short) for lr in CONSTANTS),
        Arm("adam-fixed", clrcore.stepwise(0.0005, drops), long, "adam"),
        Arm("adam-triangular", clrcore.triangular(0.0005, 0.002, size), 12 * size, "adam"),
    ]


def super_arms(_: int, scale: float) -> list[Arm]:
    """One cycle of 10,000 updates, the stepwise baseline at 80,000 and at 10,000, and others.

    Of today's arms it lacks PyTorch's form of one cycle: the paper's form has its place.
    """
    n = partial(scaled, scale)
    others = [arm for arm in todays_arms(3.0, 2 * n(5000)) if arm.name != "one-cycle"]
    return [
        Arm("one-cycle", clrcore.triangular(0.1, 3.0, n(5000)), 2 * n(5000)),
        Arm("fixed", clrcore.stepwise(0.35, [n(50_000), n(70_000)]), n(80_000)),
        Arm("fixed-10k", clrcore.stepwise(0.35, [n(6250), n(8750)]), n(10_000)),
        *others,
    ]


def table4_arms(epochs: int, max_lr: float, steps_per_epoch: int, scale: float) -> list[Arm]:
    """Table 4: three stepwise rates, and cycles from 0.1 to max_lr, each a tenth of the run.

    Today's arms, which the paper lacks, rise to max_lr.

    All rates drop tenfold at 1/2 and at 3/4 of the run, as in the networks' own papers. Cycles
    do not restart at a drop, so the second drop comes at a peak, after 7.5 cycles. The rate moves
    at every update; in the paper it moved once an epoch.
    """
    size = scaled(scale, round(epochs * steps_per_epoch / 20))
    drops, total = [10 * size, 15 * size], 20 * size
    high, middle, low = (
        clrcore.triangular(0.1 * factor, max_lr * factor, size) for factor in (1.0, 0.1, 0.01)
    )
    # The second drop comes at a peak: half a cycle down, then whole cycles again. The chain does
    # not count the end of that half cycle as a cycle end, so the arm lists it.
    falling = clrcore.decay(max_lr * 0.01, 0.1 * 0.01, size)
    cycles = clrcore.chain(
        [(high, 10 * size), (middle, 5 * size), (falling, size), (low, 4 * size)]
    )
    return [
        *(Arm(f"fixed-{lr:g}", clrcore.stepwise(lr, drops), total) for lr in (0.1, 0.2, 0.3)),
        Arm("clr", cycles, total, evaluations=(16 * size,)),
        *todays_arms(max_lr, total),
    ]


def nesterov(net: nn.Module) -> Optimizer:
    """SGD as in the papers of these networks; PyTorch has Torch's form."""
    return SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)


def caffe_sgd(net: nn.Module) -> Optimizer:
    """Caffe's SGD without multipliers, as in Smith and Topin's runs of ResNet-56."""
    return CaffeSGD(net.parameters(), lr=0.1, weight_decay=1e-4)


def _table4(
    name: str, about: str, network: Callable[[int], nn.Module], epochs: int, batch: int, top: float
) -> CifarPlan:
    return CifarPlan(
        name=name,
        about=about,
        network=network,
        optimizers={"sgd": nesterov},
        batch=batch,
        pixels=standardised,
        augment=True,
        arms=partial(table4_arms, epochs, top),
        sweep=(0.0, 1.0),
        sweep_epochs=SWEEP_EPOCHS,
        seeds=SEEDS,
        bounds=(0.1, top),
    )


PLANS = {
    plan.name: plan
    for plan in (
        CifarPlan(
            name="caffe",
            about="Caffe's cifar10_full, 70,000 updates stepwise against 25,000 cyclic",
            network=caffe.CaffeNet,
            optimizers={"sgd": caffe.sgd, "adam": caffe.adam},
            batch=100,
            pixels=minus_mean_image,
            augment=False,
            arms=caffe_arms,
            sweep=(0.0, 0.02),
            sweep_epochs=SWEEP_EPOCHS,
            seeds=SEEDS,
            bounds=(0.001, 0.006),
            claims=(Claim("fixed", 80.5, 82.0), Claim("staged", -0.5, 100.0, minus="fixed")),
            contrasts=(
                Contrast("staged", ("fixed-25k",)),
                Contrast("staged", tuple(constant(lr) for lr in CONSTANTS)),
            ),
            tf32=False,  # the paper's GPUs had none
        ),
        CifarPlan(
            name="super",
            about="ResNet-56, one cycle of 10,000 updates against 80,000 stepwise",
            network=partial(ResNet, depth=56, bn_momentum=SUPER_BN_MOMENTUM),
            optimizers={"sgd": caffe_sgd},
            batch=1000,
            pixels=standardised,
            augment=True,
            arms=super_arms,
            sweep=(0.0, 3.0),
            sweep_epochs=SWEEP_EPOCHS,
            seeds=SEEDS,
            bounds=(0.1, 3.0),
        ),
        # The paper gives no depth for its ResNet.
        _table4("resnet", "ResNet-56 of Table 4", partial(ResNet, depth=56), 164, 128, 0.3),
        _table4(
            "stochastic-depth",
            "ResNet-110 with stochastic depth of Table 4",
            partial(ResNet, depth=110, last_survival=0.5),
            500,
            128,
            0.3,
        ),
        _table4("densenet", "DenseNet-40 of Table 4", DenseNet, 300, 64, 0.2),
    )
}
