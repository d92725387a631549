"""Images per second of examples/imagenet.py beside a bare loop, its loader, memory, a range test.

    export PYTHONPATH=examples:tests
    python benchmarks/imagenet_speed.py            a GPU: planned for at most 5 minutes
    python benchmarks/imagenet_speed.py --small    a CPU: small batches and crops

The batches of the loops are synthetic and lie on the device. A bare loop has the same network,
loss and optimizer, at a constant rate; it logs, counts and saves nothing. Loops of both kinds take
turns, and the printed ratio is that of their median times. Needs torchvision.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from unittest.mock import patch

import imagenet
import numpy as np
import torch
from ilsvrc.data import Images, Order, Stream, Tree, load
from ilsvrc.plans import CROP, PLANS
from ilsvrc.task import FromFolders
from paper import files
from paper.ranks import ALONE
from paper.training import Cadence, Job, train

from imagenet_files import write

# Repeats of each loop, and updates before the timing starts.
REPEATS, WARM_UP = 3, 10


class Synthetic(FromFolders):
    """The same batch again and again."""

    def batch(self):
        """Inputs and labels on the device."""
        torch.manual_seed(0)
        shape = (self.plan.batch, 3, self.side, self.side)
        pixels = torch.randint(256, shape, dtype=torch.uint8, device=self.device)
        return pixels, torch.arange(self.plan.batch, device=self.device) % len(self.tree.classes)

    def settings(self):
        """Nothing: there are no files to compare."""
        return {}

    def batches(self, seed, first, stop):
        """The same batch for every update."""
        return itertools.repeat(self.batch())

    def accuracy(self, net):
        """No evaluation."""
        return 0.0


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def bare(task, updates):
    """Seconds of the updates in a loop without anything else."""
    net = task.network().train()
    optimizer = task.plan.optimizers["sgd"](net)
    for group in optimizer.param_groups:
        group["lr"] *= task.plan.bounds[0]
    inputs, labels = task.batch()
    for step in range(WARM_UP + updates):
        if step == WARM_UP:
            wait(task.device)
            started = time.perf_counter()
        optimizer.zero_grad()
        with task.autocast():
            loss = task.plan.loss(net(inputs), labels)
        loss.backward()
        optimizer.step()
    wait(task.device)
    return time.perf_counter() - started


def script(task, updates):
    """Seconds of the updates in the loop of the example, by its own log."""
    total = WARM_UP + updates
    arm = next(arm for arm in task.plan.arms(5004, 1.0) if arm.name == "triangular2")
    arm = dataclasses.replace(arm, total_steps=total)
    with tempfile.TemporaryDirectory() as out:
        job = Job(Path(out), task.plan, arm, 0, Cadence(WARM_UP, 2 * total, 2 * total))
        with patch.object(files, "save"):  # a checkpoint after the last update is not timed
            train(job, task)
        rows = {row.step: row.seconds for row in files.read_log(job.log)}
    return rows[total] - rows[WARM_UP]


def compare(task, updates):
    """Print a line on a plan in a precision."""
    if task.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    times = [(bare(task, updates), script(task, updates)) for _ in range(REPEATS)]
    bare_time, script_time = (median(column) for column in zip(*times, strict=True))
    ratios = sorted(script / bare for bare, script in times)
    images = updates * task.plan.batch
    memory = ""
    if task.device.type == "cuda":
        memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    print(
        f"{task.plan.name} {task.precision}, batch {task.plan.batch}: "
        f"bare {images / bare_time:.0f} images/s, script {images / script_time:.0f} images/s, "
        f"time {script_time / bare_time:.3f}x ({ratios[0]:.3f} to {ratios[-1]:.3f}){memory}",
        flush=True,
    )


def loader(folder, side, batch, workers, device):
    """Print the images per second that are read from JPEG files, alone."""
    tree = load(write(folder, train=64, val=1, side=2 * side))
    images = Images(tree.train, PLANS["alexnet"].crop(side))
    rows = np.arange(len(tree.train.paths))
    order = Order(rows, batch, 0, 0, 8 * len(rows) // batch, ALONE)
    stream = iter(Stream(images, order, workers, device))
    next(stream)  # the workers have started
    started = time.perf_counter()
    read = sum(len(labels) for _, labels in stream)
    seconds = time.perf_counter() - started
    print(f"loader alone, {workers} workers: {read / seconds:.0f} images/s", flush=True)


def range_test(folder, small):
    """Run the command on a small tree, with a range test, and print its output."""
    write(folder)
    size, batch = ("64", "8") if small else (str(CROP), "64")
    options = ["--plan", "googlenet", "--arm", "triangular2", "--range-test", "--steps", "20"]
    options += ["--data", folder, "--out", folder / "out", "--size", size, "--batch", batch]
    started = time.perf_counter()
    imagenet.main([str(each) for each in options], standalone_mode=False)
    print(f"the command took {time.perf_counter() - started:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="small batches and crops, for a CPU")
    parser.add_argument("--updates", type=int, default=100, help="updates of a loop")
    parser.add_argument("--workers", type=int, default=min(16, os.cpu_count() or 1))
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() and not arguments.small else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {arguments.updates} updates, {REPEATS} repeats")
    side = 64 if arguments.small else CROP
    nothing = Tree(None, None, [str(number) for number in range(1000)])
    for plan, precision in itertools.product(("alexnet", "googlenet"), ("float32", "bfloat16")):
        chosen = PLANS[plan]
        if arguments.small:
            chosen = dataclasses.replace(chosen, batch=2)
        synthetic = Synthetic(chosen, device, ALONE, nothing, side, precision, 0)
        compare(synthetic, arguments.updates)
    with tempfile.TemporaryDirectory() as folder:
        loader(
            Path(folder) / "large", side, 8 if arguments.small else 256, arguments.workers, device
        )
        range_test(Path(folder) / "small", arguments.small)


if __name__ == "__main__":
    main()
