"""What an update of PyTorch's range_test costs beside a bare training loop's, in instructions.

Counted by valgrind, so the same on a busy machine; takes several minutes, as every instruction
is. What a range test does once, its snapshot above all, is not in the figure; its times are in
torch_range_test.py.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path

from paired import command, not_run, row

CALLGRIND = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
UPDATES, FEWER = 6, 2
LIMIT = 1.03
COUNTED = "--counted"


def main() -> None:
    if not (shutil.which("valgrind") and shutil.which("vgdb")):
        not_run("range_test, to a bare loop, instructions", "valgrind is not installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        output = f"--callgrind-out-file={folder}/counts"
        subprocess.run(
            [*CALLGRIND, output, sys.executable, __file__, COUNTED],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        # One file for each part, in order; the one without a number has what comes after them.
        files = sorted(Path(folder).glob("counts.*"), key=lambda file: int(file.suffix[1:]))
        bare, *finders = (_total(file) / UPDATES for file in files)
    pairs = zip(finders[::2], finders[1::2], strict=True)
    ours, *theirs = ((more - fewer) * UPDATES / (UPDATES - FEWER) for fewer, more in pairs)
    row("an update of range_test, to a bare loop's", [ours / bare], LIMIT)
    if theirs:
        row("an update of torch-lr-finder, to a bare loop's", [theirs[0] / bare])
    else:
        not_run("an update of torch-lr-finder, to a bare loop's", "it is not installed")


def _total(path: Path) -> int:
    lines = path.read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("totals:")))


def counted() -> None:
    """The three parts that are counted; valgrind runs this."""
    import torch
    from torch.nn.functional import cross_entropy
    from torch_range_test import bare_loop, torch_lr_finder, training

    import clrcore
    from clr_adapters.torch import range_test

    torch.set_num_threads(1)
    model, optimizer, batches = training()

    def bare(updates: int) -> None:
        bare_loop(model, optimizer, batches, updates)

    def ours(updates: int) -> None:
        sweep = clrcore.exponential_sweep(1e-7, 1e-5, updates)
        range_test(model, optimizer, batches, loss_fn=cross_entropy, sweep=sweep, progress=False)

    finders: list[Callable[[int], object]] = [ours]
    with contextlib.suppress(ImportError):
        finders.append(torch_lr_finder(model, optimizer, batches))
    for work in (bare, *finders):
        work(FEWER)
    _valgrind("instrumentation", "on")
    for work, updates in [(bare, UPDATES), *product(finders, (FEWER, UPDATES))]:
        _valgrind("zero")
        work(updates)
        _valgrind("dump")


def _valgrind(*order: str) -> None:
    subprocess.run(["vgdb", f"--pid={os.getpid()}", *order], check=True, capture_output=True)


if __name__ == "__main__":
    if COUNTED in sys.argv:
        counted()
    else:
        command(__doc__, main, "torch")
