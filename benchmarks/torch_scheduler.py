"""What a step of PolicyLR costs beside CyclicLR's, and beside writing the rates by hand.

Every row is the median of several runs with the lowest and the highest of them.
"""

import statistics
import time

import torch
from paired import RUNS, command, ratios, row
from torch.optim.lr_scheduler import CyclicLR, LambdaLR, OneCycleLR

import clrcore
from clr_adapters.torch import PolicyLR

STEPS = 300
LIMITS = {(False, 1): 0.25, (False, 10): 0.20, (False, 100): 0.20}
TENSOR_LIMIT = 0.40
MOMENTA_LIMIT = 0.40
JUMP_LIMIT = 40.0


def optimizer(groups: int, tensor: bool) -> torch.optim.Optimizer:
    """SGD with that many groups, each with a rate of its own."""
    lr = torch.tensor(0.1) if tensor else 0.1
    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    made = torch.optim.SGD(parameters, lr=lr)
    if tensor:
        for group in made.param_groups:
            group["lr"] = torch.tensor(0.1)
    made.step()
    return made


def steps() -> None:
    policy = clrcore.triangular(0.001, 0.006, 2000)
    for tensor in (False, True):
        for groups in (1, 10, 100):
            ours = PolicyLR(optimizer(groups, tensor), policy)
            theirs = CyclicLR(
                optimizer(groups, tensor), 0.001, 0.006, step_size_up=2000, cycle_momentum=False
            )
            for scheduler in (ours, theirs):
                scheduler.optimizer.step()
            kind = "tensor" if tensor else "float"
            limit = TENSOR_LIMIT if tensor else LIMITS[tensor, groups]
            found = ratios(ours.step, theirs.step, STEPS)
            row(
                f"step(), {kind} rates, {groups} group{'s' * (groups > 1)}, to CyclicLR",
                found,
                limit,
            )
            if tensor:
                bare = optimizer(groups, tensor).param_groups

                def loop(bare: list[dict[str, torch.Tensor]] = bare) -> None:
                    for group in bare:
                        group["lr"].fill_(0.1)

                found = ratios(ours.step, loop, STEPS)
                row(
                    f"step(), tensor rates, {groups} group{'s' * (groups > 1)}, to fill_()",
                    found,
                )


def others() -> None:
    """The other schedulers that move rates by the step, with one group."""
    total = 10**6
    sgd = [optimizer(1, False) for _ in range(4)]
    one_cycle = PolicyLR(sgd[0], clrcore.one_cycle(0.1, total))
    peer = OneCycleLR(sgd[1], 0.1, total, cycle_momentum=False)
    triangular = PolicyLR(sgd[2], clrcore.triangular(0.001, 0.006, 2000))
    by_hand = LambdaLR(sgd[3], lambda step: 1 - 5 / 6 * abs(step % 4000 / 2000 - 1))
    for made in sgd:
        made.step()
    found = ratios(one_cycle.step, peer.step, STEPS)
    row("step(), one_cycle, to OneCycleLR", found)
    found = ratios(triangular.step, by_hand.step, STEPS)
    row("step(), triangular, to LambdaLR with a triangle", found)
    group = optimizer(1, False).param_groups[0]

    def write() -> None:
        group["lr"] = 0.1

    found = ratios(triangular.step, write, STEPS)
    row("step(), triangular, to a function that writes one rate", found)


def momenta() -> None:
    """The same with momentum, which CyclicLR moves by default."""
    policy = clrcore.triangular(0.001, 0.006, 2000)
    for groups in (1, 10, 100):
        ours = PolicyLR(optimizer(groups, False), policy, momentum=(0.8, 0.9))
        theirs = CyclicLR(optimizer(groups, False), 0.001, 0.006, step_size_up=2000)
        for scheduler in (ours, theirs):
            scheduler.optimizer.step()
        found = ratios(ours.step, theirs.step, STEPS)
        row(
            f"step(), with momenta, {groups} group{'s' * (groups > 1)}, to CyclicLR",
            found,
            MOMENTA_LIMIT,
        )


def jumps() -> None:
    """Microseconds of a jump to step 10^6, from elsewhere."""
    scheduler = PolicyLR(optimizer(1, False), clrcore.triangular(0.001, 0.006, 2000))
    found = []
    for _ in range(RUNS):
        times = []
        for _ in range(200):
            scheduler.jump(0)
            start = time.perf_counter()
            scheduler.jump(10**6)
            times.append(1e6 * (time.perf_counter() - start))
        found.append(statistics.median(times))
    row("jump(10^6)", found, JUMP_LIMIT, " us")


def main() -> None:
    steps()
    others()
    momenta()
    jumps()


if __name__ == "__main__":
    command(__doc__, main, "torch")
