"""What an update of PyTorch's range_test costs beside a bare training loop's.

Both train a small CNN on the same batches in memory, one thread, 100 updates at a time; ours takes
its snapshot, records loss and accuracy, and puts everything back. torch-lr-finder, where it is
installed, does the same work but for accuracy, generators and modes. Every row is the median of
several runs with the lowest and the highest of them.
"""

import contextlib
import io
import time

import torch
from paired import command, not_run, ratios, row
from torch import nn
from torch.nn.functional import cross_entropy

import clrcore
from clr_adapters.torch import range_test

UPDATES = 100
# Of a second each; more would take many minutes.
TURNS = 3
LIMIT = 1.03
# Rates so low that no run diverges: all make the same number of updates.
SWEEP = clrcore.exponential_sweep(1e-7, 1e-5, UPDATES)


def training() -> tuple[nn.Module, torch.optim.Optimizer, list[tuple[torch.Tensor, torch.Tensor]]]:
    """A CNN of 29,000 parameters, and ten batches of 64 images of 28 x 28."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip
    batches = [(torch.randn(64, 1, 28, 28), torch.randint(10, (64,))) for _ in range(10)]
    return model, torch.optim.Adam(model.parameters(), lr=1e-3), batches


def main() -> None:
    torch.set_num_threads(1)
    model, optimizer, batches = training()

    def bare() -> None:
        for step in range(UPDATES):
            inputs, targets = batches[step % len(batches)]
            for group in optimizer.param_groups:
                group["lr"] = 1e-6
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()

    def ours(progress: bool = False) -> None:
        range_test(model, optimizer, batches, loss_fn=cross_entropy, sweep=SWEEP, progress=progress)

    bare()
    row(
        "range_test, to a bare loop",
        ratios(ours, bare, turns=TURNS, clock=time.process_time),
        LIMIT,
    )
    with contextlib.redirect_stderr(io.StringIO()):
        found = ratios(lambda: ours(progress=True), bare, turns=TURNS, clock=time.process_time)
    row("the same with its progress bar", found, LIMIT)
    try:
        from torch_lr_finder import LRFinder
    except ImportError:
        not_run("range_test to torch-lr-finder", "torch-lr-finder is not installed")
        return

    class Loader(torch.utils.data.DataLoader):
        def __init__(self) -> None:
            super().__init__([0])

        def __iter__(self):
            return iter(batches)

    def theirs() -> None:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            finder = LRFinder(model, optimizer, cross_entropy, device="cpu")
            finder.range_test(Loader(), start_lr=1e-7, end_lr=1e-5, num_iter=UPDATES)
            finder.reset()

    row(
        "torch-lr-finder, to a bare loop",
        ratios(theirs, bare, turns=TURNS, clock=time.process_time),
        LIMIT,
    )
    with contextlib.redirect_stderr(io.StringIO()):
        found = ratios(lambda: ours(progress=True), theirs, turns=TURNS, clock=time.process_time)
    row("range_test with its bar, to torch-lr-finder", found, 1.0)


if __name__ == "__main__":
    command(__doc__, main, "torch")
