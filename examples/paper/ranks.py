"""The processes that train a network together: one per device, started by torchrun."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """This process and the number of all.

    Attributes:
        rank: Number of this process, from 0. Process 0 prints and writes files.
        size: Number of processes.
    """

    rank: int = 0
    size: int = 1

    def say(self, text: str) -> None:
        """Print a line, on process 0 only."""
        if self.rank == 0:
            click.echo(text)

    def total(self, value: Tensor) -> Tensor:
        """The sum over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value

    def share_statistics(self, net: nn.Module) -> None:
        """Give every process the statistics of process 0, such as those of BatchNorm."""
        if self.size > 1:
            for buffer in net.buffers():
                distributed.broadcast(buffer, 0)

    def joined(self, net: nn.Module) -> nn.Module:
        """The network, with gradients averaged over the processes."""
        return DistributedDataParallel(net) if self.size > 1 else net


ALONE = Ranks()


def device_of_process(device: torch.device) -> torch.device:
    """The device of this process: torchrun numbers the processes of a machine."""
    if device.type != "cuda":
        return device
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    torch.cuda.set_device(device)
    return device


@contextmanager
def together(device: torch.device) -> Iterator[Ranks]:
    """The processes that torchrun started, or this process alone."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield ALONE
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
