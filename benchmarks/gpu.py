"""What has to hold on a CUDA device, in at most five minutes: graphs, compilation, waits, cost.

    python benchmarks/gpu.py                  # needs a CUDA device
    python benchmarks/gpu.py --device cpu --small

tries the script without a device; what needs one is then reported as not run, and its times say
nothing about a GPU. It exits with 1 if a check fails.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

import clrcore
from clr_adapters.torch import PolicyLR, find_bounds, range_test

sys.path.append(str(Path(__file__).parents[1] / "examples"))
from cifar.networks import ResNet

UPDATES, BLOCK = 300, 20
TIME = 240.0  # seconds after which no further check begins
POLICY = clrcore.triangular(0.001, 0.1, 7)
# The operator that brings a number to the host, and calls that wait for the device.
READ = "aten::_local_scalar_dense"
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")

Check = Callable[["Setup"], dict[str, Any]]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Setup:
    """A network, its optimizer and batches on a device.

    Args:
        device: Where all of it lies.
        small: Whether to take few updates of small batches.
    """

    def __init__(self, device: torch.device, small: bool) -> None:
        torch.manual_seed(0)
        self.device, self.updates = device, 40 if small else UPDATES
        self.on_gpu = device.type == "cuda"
        self.model = ResNet(10, 8 if small else 20).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.size = 8 if small else 128
        self.make_batches(self.size)
        # Rates so low that no run diverges: all make the same number of updates.
        self.sweep = clrcore.exponential_sweep(1e-7, 1e-5, self.updates)

    def make_batches(self, size: int) -> None:
        """Ten batches of so many images, with labels that say nothing."""
        self.batches = [
            (
                torch.randn(size, 3, 32, 32).to(self.device),
                torch.randint(10, (size,)).to(self.device),
            )
            for _ in range(10)
        ]

    def wait(self) -> None:
        """Wait until the device has done all its work."""
        if self.on_gpu:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        """Wall-clock time of the work, with all that it leaves to the device."""
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def bare_loop(self, updates: int | None = None) -> None:
        """What anybody writes who trains at one rate."""
        self.model.train()
        for step in range(updates or self.updates):
            inputs, targets = self.batches[step % len(self.batches)]
            self.optimizer.param_groups[0]["lr"] = 1e-6
            self.optimizer.zero_grad()
            cross_entropy(self.model(inputs), targets).backward()
            self.optimizer.step()

    def range_test(self, loss_fn: Loss = cross_entropy, **options: Any) -> clrcore.Curve:
        """A range test of all updates."""
        usual = {"sweep": self.sweep, "progress": False, "block_size": BLOCK}
        found = range_test(
            self.model, self.optimizer, self.batches, loss_fn, **{**usual, **options}
        )
        assert isinstance(found, clrcore.Curve)
        return found

    def find_bounds(self) -> int:
        """A search; returns the most updates that it makes."""
        most = 2 * self.updates + 100
        options = {"sweep": self.sweep, "progress": False, "block_size": BLOCK}
        try:
            find_bounds(
                self.model, self.optimizer, self.batches, cross_entropy, max_updates=most, **options
            )
        except clrcore.NoBoundsError:  # random labels: nothing to learn
            pass
        return most

    def state(self) -> list[bytes]:
        """Everything that a test may not change, to the bit."""
        found = [self.model.state_dict(), self.optimizer.state_dict()["state"]]
        tensors = [leaf for part in found for leaf in leaves(part)]
        tensors += [parameter.grad for parameter in self.model.parameters()]
        tensors += [torch.get_rng_state()]
        tensors += [torch.cuda.get_rng_state()] if self.on_gpu else []
        return [b"" if t is None else t.detach().cpu().numpy().tobytes() for t in tensors]


def leaves(value: Any) -> list[torch.Tensor]:
    """The tensors in nested dictionaries."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value] if isinstance(value, torch.Tensor) else []


def probe(
    device: torch.device, **options: Any
) -> tuple[torch.Tensor, torch.optim.Optimizer, PolicyLR]:
    """A parameter whose gradient is always 1, so that each update takes the rate from it."""
    parameter = torch.zeros(1, device=device, requires_grad=True)
    parameter.grad = torch.ones(1, device=device)
    rate = torch.tensor(0.5, device=device)
    optimizer = torch.optim.SGD([parameter], lr=rate, **options)
    return parameter, optimizer, PolicyLR(optimizer, POLICY)


def rates_used(step: Callable[[], object], parameter: torch.Tensor, scheduler: PolicyLR) -> bool:
    """Whether each update used the policy's rate in float32, step after step."""
    expected, address = torch.zeros(1, device=parameter.device), None
    for update in range(3 * POLICY.period):
        step()
        rate = torch.tensor(POLICY(update), device=parameter.device)
        expected -= rate
        scheduler.step()
        held = scheduler.optimizer.param_groups[0]["lr"]
        if not torch.equal(parameter.detach(), expected) or address not in (None, held.data_ptr()):
            return False
        address = held.data_ptr()
    return True


def graph(setup: Setup) -> dict[str, Any]:
    """A step captured in a CUDA graph uses the rates that the scheduler fills in."""
    if not setup.on_gpu:
        return {"not run": "needs a CUDA device"}
    # Plain SGD reads a tensor rate back to the host, which no capture allows; fused SGD does not.
    parameter, optimizer, scheduler = probe(setup.device, fused=True)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        optimizer.step()  # before a capture, as PyTorch asks
    torch.cuda.current_stream().wait_stream(side)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        optimizer.step()
    with torch.no_grad():
        parameter.zero_()
    return {"passed": rates_used(captured.replay, parameter, scheduler)}


def compiled(setup: Setup) -> dict[str, Any]:
    """A compiled step uses the rates that the scheduler fills in, and is compiled once."""
    parameter, optimizer, scheduler = probe(setup.device)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    step = torch.compile(optimizer.step, backend="inductor" if setup.on_gpu else "eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the scheduler's order of steps cannot be seen
        passed = rates_used(step, parameter, scheduler)
    counted = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    return {"passed": passed and counted == 1, "graphs": counted}


def scheduler_waits(setup: Setup) -> dict[str, Any]:
    """`PolicyLR.step()` with tensor rates reads nothing from the device."""
    model = copy.deepcopy(setup.model)
    rate = torch.tensor(0.1, device=setup.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, foreach=True)
    scheduler = PolicyLR(optimizer, POLICY)

    def work() -> None:
        for _ in range(100):
            scheduler.step()

    optimizer.step()
    idle, found = reads(setup, lambda: None), reads(setup, work)
    found = {name: count - idle[name] for name, count in found.items()}
    return {"passed": not any(found.values()), **found}


def test_waits(setup: Setup) -> dict[str, Any]:
    """A range test reads its losses once per block of updates."""
    one = reads(setup, lambda: setup.range_test(sweep=sweep_of(BLOCK)))
    blocks = 3
    many = reads(setup, lambda: setup.range_test(sweep=sweep_of(blocks * BLOCK)))
    more = {name: many[name] - one[name] for name in many}
    allowed = 2 * (blocks - 1)  # losses and accuracies
    return {"passed": all(count <= allowed for count in more.values()), "per 2 blocks": more}


def sweep_of(updates: int) -> clrcore.Policy:
    """A sweep of so many updates at low rates."""
    return clrcore.exponential_sweep(1e-7, 1e-5, updates)


def reads(setup: Setup, work: Callable[[], object]) -> dict[str, int]:
    """How often the work reads from the device or waits for it, counted in two ways."""
    setup.wait()
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if setup.on_gpu else []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if setup.on_gpu:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            with torch.profiler.profile(activities=activities) as profile:
                work()
        finally:
            if setup.on_gpu:
                torch.cuda.set_sync_debug_mode("default")
    counts = {event.key: event.count for event in profile.key_averages()}
    if not setup.on_gpu:
        return {READ: counts.get(READ, 0)}
    return {
        "waits in the profile": sum(counts.get(name, 0) for name in WAITS),
        "warnings of waits": sum(
            "called a synchronizing" in str(warning.message) for warning in caught
        ),
    }


def restored(setup: Setup) -> dict[str, Any]:
    """After a range test and a search everything is as before, bit for bit."""
    setup.bare_loop(5)
    before = setup.state()
    setup.range_test()
    after_test = setup.state()
    setup.find_bounds()
    return {"passed": before == after_test == setup.state(), "tensors": len(before)}


def out_of_memory(setup: Setup) -> dict[str, Any]:
    """After a step for which the memory is too small, all is as before and memory is free."""
    if not setup.on_gpu:
        return {"not run": "needs a CUDA device"}
    setup.bare_loop(5)
    setup.optimizer.zero_grad()
    made: list[int] = []
    before, used = setup.state(), torch.cuda.memory_allocated()

    def hungry(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        made.append(1)
        if len(made) > 2 * BLOCK:
            torch.empty(2**50, dtype=torch.uint8, device=setup.device)
        return cross_entropy(outputs, targets)

    with suppress(torch.OutOfMemoryError):
        setup.range_test(hungry)
    # Only here, since an error that is being handled keeps the frames it went through.
    more = torch.cuda.memory_allocated() - used
    failed = len(made) == 2 * BLOCK + 1
    return {"passed": failed and before == setup.state() and more <= 0, "bytes more": more}


def mixed_precision(setup: Setup) -> dict[str, Any]:
    """A test in float16 with a GradScaler answers, and puts the scaler back too."""
    setup.bare_loop(5)
    scaler = torch.amp.GradScaler(setup.device.type, enabled=setup.on_gpu)
    before, kept = setup.state(), copy.deepcopy(scaler.state_dict())
    precision = torch.float16 if setup.on_gpu else torch.bfloat16
    points = len(setup.range_test(autocast=precision, scaler=scaler))
    same = before == setup.state() and kept == scaler.state_dict()
    return {"passed": same and points >= setup.updates - 5, "points": points}


def same_as_on_cpu(setup: Setup) -> dict[str, Any]:
    """The losses of a test are those of the same test on the CPU, rounding aside."""
    sweep = clrcore.exponential_sweep(1e-4, 1e-2, 20)
    there = Setup(torch.device("cpu"), setup.updates < UPDATES)
    there.model.load_state_dict(setup.model.state_dict())
    there.batches = [(inputs.cpu(), targets.cpu()) for inputs, targets in setup.batches]
    found, expected = setup.range_test(sweep=sweep), there.range_test(sweep=sweep)
    apart = float(np.max(np.abs(found.loss / expected.loss - 1)))
    return {"passed": apart < 0.01, "apart": round(apart, 6)}


def cost_of_test(setup: Setup) -> dict[str, Any]:
    """Range tests beside bare loops of as many updates."""
    sweep = sweep_of(setup.updates // 3)

    def compare() -> dict[str, Any]:
        updates = setup.updates // 3
        return ratio(
            setup, lambda: setup.range_test(sweep=sweep), lambda: setup.bare_loop(updates), 5
        )

    return by_batch(setup, compare)


def cost_of_search(setup: Setup) -> dict[str, Any]:
    """Searches beside bare loops of as many updates."""
    setup.updates //= 5
    setup.sweep = sweep_of(setup.updates)

    def compare() -> dict[str, Any]:
        made: list[int] = []
        handle = setup.optimizer.register_step_post_hook(lambda *_: made.append(1))
        setup.find_bounds()
        handle.remove()
        found = ratio(setup, setup.find_bounds, lambda: setup.bare_loop(len(made)), 3)
        return {**found, "updates": len(made)}

    return by_batch(setup, compare)


def by_batch(setup: Setup, compare: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The comparison with batches of two sizes; those of the larger keep a GPU busy."""
    found = {}
    for size in (setup.size, 8 * setup.size):
        setup.make_batches(size)
        setup.bare_loop(10)  # cuDNN chooses its kernels
        found[f"batch {size}"] = compare()
    return found


def ratio(
    setup: Setup, ours: Callable[[], object], bare: Callable[[], object], pairs: int
) -> dict[str, Any]:
    """Median, lowest and highest ratio of wall-clock times; either goes first in turns."""
    found = []
    for pair in range(pairs):
        works = (ours, bare) if pair % 2 else (bare, ours)
        times = {work: setup.seconds(work) for work in works}
        found.append(times[ours] / times[bare])
    found.sort()
    names = ("lowest", "ratio", "highest")
    values = (found[0], statistics.median(found), found[-1])
    return {name: round(value, 4) for name, value in zip(names, values, strict=True)}


CHECKS: list[Check] = [
    graph, compiled, scheduler_waits, test_waits, restored, out_of_memory, mixed_precision,
    same_as_on_cpu, cost_of_test, cost_of_search,
]  # fmt: skip


def run(check: Check, device: torch.device, small: bool) -> dict[str, Any]:
    """The result of a check; a check that cannot run has failed."""
    try:
        return check(Setup(device, small))
    except Exception as error:
        return {"passed": False, "error": f"{type(error).__name__}: {error}"}


def main(arguments: list[str] | None = None) -> int:
    """Run all checks; 1 if any has failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="few updates of small batches")
    parser.add_argument("--json", type=Path, help="where to leave the results")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("not run on a GPU: there is no CUDA device; try --device cpu --small")
        return 1
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU, not a GPU"
    print(f"torch {torch.__version__}, {name}", flush=True)
    results: dict[str, Any] = {"torch": torch.__version__, "device": name}
    began = time.perf_counter()
    for check in CHECKS:
        start = time.perf_counter()
        result = run(check, device, options.small) if start < began + TIME else {"not run": "late"}
        result["seconds"] = round(time.perf_counter() - start, 1)
        results[check.__name__] = result
        print(f"{check.__name__}: {result}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")
    return int(any(isinstance(r, dict) and r.get("passed") is False for r in results.values()))


if __name__ == "__main__":
    sys.exit(main())
