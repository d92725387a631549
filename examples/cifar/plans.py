"""Which policies are compared, on which network, for how many updates.

Rates and lengths are those of Smith, "Cyclical Learning Rates for Training Neural Networks", WACV
2017, arXiv 1506.01186, and of Smith & Topin, arXiv 1708.07120, for the plan `super`. What these do
not state and was chosen here is said beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from torch import nn
from torch.optim import SGD, Optimizer

import clrcore

from . import caffe
from .data import Part
from .images import Pixels, minus_mean_image, standardised
from .networks import DenseNet, ResNet

# Caffe's moving_average_fraction of 0.95; the default of 0.999 in one of two arms would favour
# the other, as slow statistics lag behind a fast rate.
SUPER_BN_MOMENTUM = 0.05
CONSTANTS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008)
GAMMA = 0.99994
# Repetitions of every arm that a claim is about.
SEEDS = 5


@dataclass(frozen=True)
class Arm:
    """One policy and the number of updates it is run for.

    optimizer: a key of the plan's `optimizers`. looks: numbers of updates after which the
    accuracy is wanted besides the usual ones.
    """

    name: str
    policy: clrcore.Policy
    total_steps: int
    optimizer: str = "sgd"
    looks: tuple[int, ...] = ()


@dataclass(frozen=True)
class Claim:
    """What is to be seen, stated beforehand: a mean over SEEDS seeds, in per cent, low to high.

    arm: whose final test accuracy; less that of `minus`, seed by seed, where one is named.
    """

    arm: str
    low: float
    high: float
    minus: str | None = None


@dataclass(frozen=True)
class Contrast:
    """What an arm is set against, without a verdict: the best of `others` on the test images."""

    arm: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """Arms that share a network, and everything else that is not the policy.

    network: makes it for a number of classes. batch: images in an update. pixels: what is done
    to them. arms: makes the arms from the updates in an epoch and a scale in (0, 1], which
    shortens everything alike. sweep_to: the range test's last rate. paper_bounds: base_lr and
    max_lr as the paper read them. claims: what is to be seen at full length on CIFAR-10.
    contrasts: what is printed beside the claims. tf32: whether a GPU may round what goes into its
    convolutions to 10 bits, as PyTorch lets it by default.
    """

    name: str
    about: str
    network: Callable[[int], nn.Module]
    optimizers: Mapping[str, Callable[[nn.Module], Optimizer]]
    batch: int
    pixels: Callable[[Part], Pixels]
    augment: bool
    arms: Callable[[int, float], list[Arm]]
    sweep_to: float
    paper_bounds: tuple[float, float]
    claims: tuple[Claim, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    tf32: bool = True


def scaled(scale: float, steps: int) -> int:
    """A length of the paper's, shortened, at least one step."""
    return max(1, round(steps * scale))


def constant(lr: float) -> str:
    """The name of a constant rate's arm."""
    return f"constant-{lr:g}"


def staged(scale: float) -> Arm:
    """Table 2 of the paper: three stages of triangular2, the bounds lowered tenfold each time.

    4, 3 and 3 cycles, whole ones at every scale.
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
    """Table 1's and Table 3's policies for the small network, and the controls they lack.

    Not stated in the paper and chosen here: exp starts at the lower bound; exp_range has the
    bounds and step size of triangular; the rates of linear and of the grid; Adam's step size,
    and that it too is stepwise where it is called fixed.

    Arms of cycles end with one, but for exp_range: with this step size its 70,000 updates end at a
    peak, 17.5 cycles in, and so does the paper's 42,000, 10.5 cycles in. The cycle ends before
    them, 40,000 and 68,000, are looked at too, like all others.
    """
    n = partial(scaled, scale)
    size, short, long = n(2000), n(25_000), n(70_000)
    gamma = GAMMA ** (1 / scale)
    drops = [n(60_000), n(65_000)]

    def exp_range(decays: str) -> Arm:
        policy = clrcore.exp_range(0.001, 0.006, size, gamma=gamma, decays=decays)
        return Arm(f"exp-range-{decays}", policy, long, looks=(n(42_000),))

    return [
        Arm("fixed", clrcore.stepwise(0.001, drops), long),
        Arm("fixed-25k", clrcore.stepwise(0.001, [n(21_429), n(23_214)]), short),
        staged(scale),
        Arm("triangular", clrcore.triangular(0.001, 0.006, size), 12 * size),
        Arm("decay", clrcore.decay(0.007, 0.001, n(4000)), short),
        Arm("exp", clrcore.exponential(0.001, gamma), long, looks=(n(42_000),)),
        exp_range("bounds"),
        exp_range("amplitude"),
        Arm("linear", clrcore.decay(0.006, 0.0, short), short),
        *(Arm(constant(lr), clrcore.constant(lr), short) for lr in CONSTANTS),
        Arm("adam-fixed", clrcore.stepwise(0.0005, drops), long, "adam"),
        Arm("adam-triangular", clrcore.triangular(0.0005, 0.002, size), 12 * size, "adam"),
    ]


def super_arms(_: int, scale: float) -> list[Arm]:
    """One cycle of 10,000 updates, the stepwise baseline of 80,000, and that one compressed."""
    n = partial(scaled, scale)
    return [
        Arm("one-cycle", clrcore.triangular(0.1, 3.0, n(5000)), 2 * n(5000)),
        Arm("fixed", clrcore.stepwise(0.35, [n(50_000), n(70_000)]), n(80_000)),
        Arm("fixed-10k", clrcore.stepwise(0.35, [n(6250), n(8750)]), n(10_000)),
    ]


def table4_arms(epochs: int, max_lr: float, steps_per_epoch: int, scale: float) -> list[Arm]:
    """Table 4: three stepwise rates, and cycles between 0.1 and max_lr of a tenth of the run.

    All drop tenfold at 1/2 and at 3/4 of the run, as the networks' own papers do. The cycles are
    counted through the drops: the second one comes at a peak, 7.5 cycles in. The rate moves at
    every update; in the paper's own runs on Torch it moved once an epoch.
    """
    size = scaled(scale, round(epochs * steps_per_epoch / 20))
    drops, total = [10 * size, 15 * size], 20 * size
    high, middle, low = (
        clrcore.triangular(0.1 * factor, max_lr * factor, size) for factor in (1.0, 0.1, 0.01)
    )
    # The half cycle from the peak of the second drop down, then whole cycles again. Its end is the
    # end of a cycle, but not of one that the chain knows, hence the look.
    falling = clrcore.decay(max_lr * 0.01, 0.1 * 0.01, size)
    cycles = clrcore.chain(
        [(high, 10 * size), (middle, 5 * size), (falling, size), (low, 4 * size)]
    )
    return [
        *(Arm(f"fixed-{lr:g}", clrcore.stepwise(lr, drops), total) for lr in (0.1, 0.2, 0.3)),
        Arm("clr", cycles, total, looks=(16 * size,)),
    ]


def nesterov(net: nn.Module) -> Optimizer:
    """SGD as these networks' papers trained with: PyTorch's form, which is Torch's."""
    return SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True)


def caffe_sgd(net: nn.Module) -> Optimizer:
    """Caffe's SGD without multipliers, as Smith and Topin ran ResNet-56."""
    return caffe.CaffeSGD(net.parameters(), lr=0.1, weight_decay=1e-4)


def _table4(
    name: str, about: str, network: Callable[[int], nn.Module], epochs: int, batch: int, top: float
) -> Plan:
    return Plan(
        name=name,
        about=about,
        network=network,
        optimizers={"sgd": nesterov},
        batch=batch,
        pixels=standardised,
        augment=True,
        arms=partial(table4_arms, epochs, top),
        sweep_to=1.0,
        paper_bounds=(0.1, top),
    )


PLANS = {
    plan.name: plan
    for plan in (
        Plan(
            name="caffe",
            about="Caffe's cifar10_full, 70,000 updates stepwise against 25,000 cyclic",
            network=caffe.CaffeNet,
            optimizers={"sgd": caffe.sgd, "adam": caffe.adam},
            batch=100,
            pixels=minus_mean_image,
            augment=False,
            arms=caffe_arms,
            sweep_to=0.02,
            paper_bounds=(0.001, 0.006),
            claims=(Claim("fixed", 80.5, 82.0), Claim("staged", -0.5, 100.0, minus="fixed")),
            contrasts=(
                Contrast("staged", ("fixed-25k",)),
                Contrast("staged", tuple(constant(lr) for lr in CONSTANTS)),
            ),
            tf32=False,  # the paper's GPUs had none
        ),
        Plan(
            name="super",
            about="ResNet-56, one cycle of 10,000 updates against 80,000 stepwise",
            network=partial(ResNet, depth=56, bn_momentum=SUPER_BN_MOMENTUM),
            optimizers={"sgd": caffe_sgd},
            batch=1000,
            pixels=standardised,
            augment=True,
            arms=super_arms,
            sweep_to=3.0,
            paper_bounds=(0.1, 3.0),
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
