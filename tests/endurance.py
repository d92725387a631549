"""Long runs and large sizes: memory that must not grow, and costs that must not.

    python tests/endurance.py

Each function takes its size, and returns what it measured after checking it. The default tests call
them with small sizes.
"""

from __future__ import annotations

import bisect
import multiprocessing
import operator
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import clrcore

# Python itself keeps a few objects more after the first round; a leak of a step grows with steps.
SLACK = 64 * 1024


def grown(round_of_work: Callable[[], Any], rounds: int) -> int:
    """Bytes that the rounds after the first leave behind."""
    round_of_work()
    tracemalloc.start()
    try:
        round_of_work()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(rounds):
            round_of_work()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def scheduler_steps(steps: int, jumped: int = 0) -> str:
    """Step a scheduler, reading its rate before every update; its memory and its rates.

    After every 5000 steps it jumps over `jumped` more.
    """
    policy = clrcore.triangular2(0.001, 0.1, 2000)
    scheduler = clrcore.Scheduler(policy)

    def some() -> None:
        for _ in range(5000):
            scheduler.lr  # noqa: B018
            scheduler.step()
        scheduler.load_state_dict(scheduler.state_dict())
        scheduler.jump(scheduler.step_count + jumped)

    growth = grown(some, 5)
    started = time.process_time()
    # Without tracing, which is slow: the memory of the process must stay as it is.
    resident = peak_megabytes()
    while scheduler.step_count < steps:
        some()
    took, more = time.process_time() - started, peak_megabytes() - resident
    assert growth < SLACK, growth
    assert more < 8, more
    assert scheduler.lr == policy(scheduler.step_count)
    count = scheduler.step_count
    return f"{count:.0e} steps in {took:.0f} s: {growth} bytes, {more:.1f} MB of peak memory more"


def peak_megabytes() -> float:
    """The most memory that this process has had, in MB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def many_stages(stages: int) -> str:
    """Look up steps all over a long chain; the comparisons of a search, at most."""
    policy = clrcore.chain([(clrcore.triangular(0.0, 1.0, 1), 2)] * stages)
    starts = policy._starts
    assert isinstance(starts, list)

    class Counted(int):
        """A step that counts its comparisons."""

        made = 0

        def __lt__(self, other: int) -> bool:
            Counted.made += 1
            return int(self) < other

    bisect.bisect_right(starts, Counted(stages))
    most = Counted.made
    assert most <= stages.bit_length() + 1
    started = time.process_time()
    for stage in range(0, stages, max(1, stages // 1000)):
        assert policy(2 * stage + 1) == 1.0
        assert policy.completes(2 * stage + 2) == stage
    took = (time.process_time() - started) / min(stages, 1000)
    assert clrcore.policy_from_dict(policy.to_dict()) == policy
    return f"{stages} stages: {most} comparisons, {1e6 * took:.0f} microseconds a lookup"


def policies() -> list[clrcore.Policy]:
    """A policy of every kind, with empty caches."""
    inner = clrcore.warm_restarts(0.01, 0.1, 4, multiplier=2)
    return [
        clrcore.triangular2(0.01, 0.1, 5, 7, window="hann"),
        clrcore.exp_range(0.01, 0.1, 5, gamma=0.99, decays="bounds"),
        clrcore.one_cycle(0.1, 500, form="three_phase", pct_start=0.2),
        clrcore.stepwise(0.1, [5, 90, 400]),
        clrcore.cooldown(clrcore.chain([(inner, 60), (clrcore.constant(0.1), None)]), 400, 50),
        inner.opposed(0.85, 0.95),
    ]


def threads(count: int, rounds: int) -> str:
    """Threads that share new policies, whose caches all of them fill at once."""
    steps = [0, 1, 7, 64, 399, 400, 401, 449, 450, 10**6]
    expected = [
        [(policy(step), policy.completes(step), policy.locate(step)) for step in steps]
        for policy in policies()
    ]
    # Arrays may differ from single rates in the last places, so they have their own.
    arrays = [policy.values(0, 500)[64] for policy in policies()]
    wrong: list[Any] = []
    shared: list[clrcore.Policy] = []
    # All threads begin a round together, with policies that none has used yet.
    barrier = threading.Barrier(count, action=lambda: shared.__setitem__(slice(None), policies()))

    def work() -> None:
        for _ in range(rounds):
            barrier.wait(timeout=600)
            for policy, results, rate in zip(shared, expected, arrays, strict=True):
                found = [
                    (policy(step), policy.completes(step), policy.locate(step)) for step in steps
                ]
                if found != results or policy.values(0, 500)[64] != rate:
                    wrong.append(policy)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=work) for _ in range(count)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval)
    assert not wrong
    return f"{count} threads, {rounds} rounds: every value as of one thread"


def processes(method: str) -> str:
    """Another process, forked or spawned, that is given the policies and a scheduler's state."""
    expected = [policy(64) for policy in policies()]
    used = policies()
    for policy in used:
        policy(64)
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = [pool.apply(operator.call, (policy, 64)) for policy in used]
        again = [pool.apply(operator.call, (policy.lowered, 1.0)) for policy in used]
    assert found == expected
    assert again == used
    return f"{method}: {len(used)} policies alike"


def many_groups(groups: int, steps: int) -> str:
    """A PyTorch optimizer of many parameter groups."""
    import torch

    from clr_adapters.torch import PolicyLR

    parameters = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    policy = clrcore.triangular2(0.01, 0.1, 5, 7)
    scheduler = PolicyLR(optimizer, policy, momentum=(0.85, 0.95))

    def some() -> None:
        for _ in range(steps):
            optimizer.step()
            scheduler.step()
        scheduler.load_state_dict(scheduler.state_dict())

    started = time.process_time()
    growth = grown(some, 3)
    took = (time.process_time() - started) / (5 * steps)
    rates = {group["lr"] for group in optimizer.param_groups}
    assert rates == {policy(scheduler.last_epoch)}
    assert growth < SLACK, growth
    return f"{groups} groups: {growth} bytes after {3 * steps} steps, {1e3 * took:.1f} ms a step"


def main() -> None:
    print(many_stages(10**5))
    print(threads(16, 2000))
    print(processes("fork"))
    print(processes("spawn"))
    print(many_groups(10**4, 20), flush=True)
    print(scheduler_steps(10**8), flush=True)


if __name__ == "__main__":
    main()
