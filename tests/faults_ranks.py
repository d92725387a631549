"""Faults on a rank of a job of gloo, with DDP, FSDP2 and alone: all ranks end, and say why.

    python tests/faults_ranks.py --times 1

A rank counts as hanging after the job's timeout and a generous minute.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import json
import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which every rank would import in its first update
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import clrcore
from clr_adapters.torch import find_bounds, range_test
from faults import Broken, Fault
from torch_training import dataset

TIMEOUT, MINUTE = 10.0, 60.0  # seconds
SWEEP = clrcore.exponential_sweep(1e-3, 1.0, 20)
WRAPS = ["alone", "DDP", "FSDP2"]
PLACES = ["nowhere", "forward", "loss", "optimizer", "data", "ends", "killed", "Ctrl-C", "memory"]
MUCH = 2**50  # bytes


class Data:
    """Batches that fail or end at some point."""

    def __init__(self, fault: Fault, rank: int) -> None:
        self._fault, rows = fault, dataset().tensors
        self._batches = [(x, y) for x, y in zip(*(t.split(8) for t in rows), strict=True)][rank::2]

    def __iter__(self) -> Iterator[Any]:
        for batch in self._batches * 20:
            self._fault.raises("data")
            if self._fault.passes("ends"):
                return
            yield batch


def wrapped(wrap: str, model: nn.Module, size: int) -> nn.Module:
    if wrap == "DDP":
        return DistributedDataParallel(model)
    if wrap == "FSDP2":
        mesh = init_device_mesh("cpu", (size,))
        for module in (model[0], model[2], model):
            fully_shard(module, mesh=mesh)
    return model


def train(wrap: str, fault: Fault, rank: int, size: int, search: bool) -> Any:
    """The losses of a range test or the rate of a search, with a fault."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    model[0].register_forward_pre_hook(lambda *_: fault.raises("forward"))
    model = wrapped(wrap, model, size)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.register_step_pre_hook(lambda *_: fault.raises("optimizer"))

    def loss_fn(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        fault.raises("loss")
        if fault.passes("killed"):
            os.kill(os.getpid(), signal.SIGKILL)
        if fault.passes("Ctrl-C"):
            signal.raise_signal(signal.SIGINT)
        if fault.passes("memory"):
            torch.empty(MUCH, dtype=torch.uint8)
        return cross_entropy(outputs, targets)

    data = Data(fault, rank)
    options = {"sweep": SWEEP, "progress": False, "block_size": 5}
    if search:
        try:
            return find_bounds(model, optimizer, data, loss_fn, max_updates=100, **options).lr
        except clrcore.NoBoundsError as error:
            return str(error)
    return range_test(model, optimizer, data, loss_fn=loss_fn, **options).loss.tolist()


def live(rank: int, size: int, folder: Path, work: Any) -> None:
    """What a rank does; its result is in a file, unless it is killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        rank=rank,
        world_size=size,
        timeout=datetime.timedelta(seconds=TIMEOUT),
    )
    try:
        result = {"result": work(rank=rank)}
    except BaseException as error:
        notes = getattr(error, "__notes__", [])
        result = {"error": "; ".join([f"{type(error).__name__}: {error}", *notes])}
    (folder / f"{rank}.part").write_text(json.dumps(result))
    os.replace(folder / f"{rank}.part", folder / str(rank))


def job(size: int, work: Any) -> tuple[list[dict[str, Any] | None], float, list[int]]:
    """The results of all ranks, None for a killed rank; the seconds; the ranks that hung."""
    with tempfile.TemporaryDirectory() as place:
        folder, began = Path(place), time.monotonic()
        processes = []
        for rank in range(size):
            process = os.fork()
            if not process:
                try:
                    live(rank, size, folder, work)
                finally:
                    os._exit(0)
            processes.append(process)
        running, hung = set(processes), []
        while running and time.monotonic() - began < TIMEOUT + MINUTE:
            running -= {process for process in running if os.waitpid(process, os.WNOHANG)[0]}
            time.sleep(0.01)
        for process in running:
            hung.append(processes.index(process))
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        files = [folder / str(rank) for rank in range(size)]
        results = [json.loads(file.read_text()) if file.exists() else None for file in files]
        return results, time.monotonic() - began, hung


def expected(place: str, wrap: str, failing: int) -> tuple[str, str]:
    """How the error of the failing rank begins, and what the error of another rank contains."""
    if place == "killed":
        return "", "another rank of the job has ended or does not answer"
    begin = {"Ctrl-C": "KeyboardInterrupt", "memory": "RuntimeError"}.get(place, Broken.__name__)
    if place == "forward" and wrap == "FSDP2":  # the others wait inside the forward pass
        return begin, "RuntimeError"
    return begin, f"rank {failing} failed: {begin}"


def problems(place: str, wrap: str, failing: int, results: list[Any], hung: list[int]) -> list[str]:
    """What is wrong with the end of a job."""
    found = [f"rank {rank} hung" for rank in hung]
    if place in ("nowhere", "ends"):
        if any(result is None or result != results[0] or "error" in result for result in results):
            found.append(f"the ranks differ: {results}")
        return found
    own, others = expected(place, wrap, failing)
    for rank, result in enumerate(results):
        error = (result or {}).get("error", "")
        right = error.startswith(own) if rank == failing else others in error
        if not right:
            found.append(f"rank {rank}: {result}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1, help="for each kind of job and place")
    parser.add_argument("--wraps", nargs="+", choices=WRAPS, default=WRAPS)
    parser.add_argument("--places", nargs="+", choices=PLACES, default=PLACES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, count, failures, slowest = random.Random(options.seed), Counter(), 0, 0.0
    for size in (2, 3):
        for wrap in options.wraps:
            for place in options.places * options.times:
                failing, number = rng.randrange(size), rng.randrange(1, 18)
                search = rng.random() < 0.3
                faults = [Fault(place if rank == failing else "", number) for rank in range(size)]
                work = functools.partial(
                    lambda rank, wrap, faults, size, search: train(
                        wrap, faults[rank], rank, size, search
                    ),
                    wrap=wrap,
                    faults=faults,
                    size=size,
                    search=search,
                )
                results, seconds, hung = job(size, work)
                count[place] += 1
                slowest = max(slowest, seconds)
                found = problems(place, wrap, failing, results, hung)
                failures += bool(found)
                if found:
                    print(f"{size} ranks, {wrap}, {place} at {number} on {failing}, "
                          f"{seconds:.0f} s: {found}"[:900], flush=True)  # fmt: skip
    injected = sum(count.values()) - count["nowhere"]
    print(f"{injected} faults in {sum(count.values())} jobs, {failures} failures, "
          f"the slowest took {slowest:.0f} s with a timeout of {TIMEOUT:.0f} s")  # fmt: skip
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
