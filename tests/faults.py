"""Faults at random places and moments of range tests and searches, and what they leave behind.

    python tests/faults.py torch --times 10 --presses 200
    python tests/faults.py keras --times 10 --presses 60

counts faults, and the runs after which anything is not as before, to the bit.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol


class Broken(Exception):
    """The fault."""


class World(Protocol):
    """A framework: `places` that can fail, and a run with what must be as before."""

    places: list[str]

    def prepare(self, fault: Fault, rng: random.Random) -> tuple[Callable[[], Any], Any]:
        """A run with this fault, and a function of what must be the same before and after."""


class Fault:
    """Fails when its place is passed for the n-th time.

    Args:
        place: Where it fails; "" nowhere.
        number: How often the place is passed before, from 0.
    """

    def __init__(self, place: str = "", number: int = 0) -> None:
        self.place, self._left = place, number
        self.happened = False

    def passes(self, place: str) -> bool:
        """Whether it is time: the place is passed for the n-th time."""
        if place != self.place or self.happened:
            return False
        self._left -= 1
        self.happened = self._left < 0
        return self.happened

    def raises(self, place: str) -> None:
        """Raise if it is time."""
        if self.passes(place):
            raise Broken(place)


def differences(before: dict[str, Any], after: dict[str, Any]) -> str:
    """The names of what is not as before."""
    return ", ".join(name for name, value in before.items() if after[name] != value)


def inject(world: World, times: int, rng: random.Random) -> tuple[Counter[str], list[str]]:
    """How the runs with a fault at each place ended, and the runs that left a trace."""
    ends: Counter[str] = Counter()
    failures = []
    for place in world.places:
        for _ in range(times):
            fault = Fault(place, rng.randrange(40))
            run, state = world.prepare(fault, rng)
            before = state()
            try:
                run()
                end = "went on"
            except Exception as error:
                end = type(error).__name__
            changed = differences(before, state())
            if changed:
                failures.append(f"{place}: {changed}")
            if fault.happened or end == Broken.__name__:  # a worker has a copy of the fault
                ends[f"{place}: {end}"] += 1
    return ends, failures


def press(world: World, times: int, rng: random.Random) -> tuple[Counter[str], list[str]]:
    """How runs ended with a Ctrl-C at a random moment, and the runs that left a trace."""
    ends: Counter[str] = Counter()
    failures = []
    listening = False

    def handler(number: int, frame: Any) -> None:
        if listening:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    began = time.monotonic()
    world.prepare(Fault(), rng)[0]()
    duration = time.monotonic() - began
    while ends["Ctrl-C"] < times:
        run, state = world.prepare(Fault(), rng)
        before = state()
        # As a terminal does, which sends it to the workers too.
        timer = threading.Timer(
            rng.uniform(0.0, duration), os.killpg, (os.getpgrp(), signal.SIGINT)
        )
        try:
            listening = True
            timer.start()
            began = time.monotonic()
            run()
            duration = time.monotonic() - began
            listening = False
            ends["too late"] += 1
        except KeyboardInterrupt:
            listening = False
            ends["Ctrl-C"] += 1
        timer.cancel()
        timer.join()
        changed = differences(before, state())
        if changed:
            failures.append(f"Ctrl-C: {changed}")
    return ends, failures


def check(world: str, times: int, presses: int) -> None:
    """Do the same in a new process, with a new seed; raise AssertionError for a trace."""
    command = [sys.executable, __file__, world, "--seed", str(random.randrange(2**32))]
    command += ["--times", str(times), "--presses", str(presses)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("world", choices=["torch", "keras", "jax"])
    parser.add_argument("--times", type=int, default=10, help="for each place")
    parser.add_argument("--presses", type=int, default=200, help="of Ctrl-C")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    if options.presses and os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    world = importlib.import_module(f"faults_{options.world}")
    failed = False
    for act, times in ((inject, options.times), (press, options.presses)):
        if times:
            ends, failures = act(world, times, rng)
            for end, count in sorted(ends.items()):
                print(f"  {count:4} x {end}")
            injected = sum(ends.values()) - ends["too late"]
            print(f"{options.world}: {injected} faults, {len(failures)} left a trace", flush=True)
            print("".join(f"  {failure}\n" for failure in failures), end="")
            failed = failed or bool(failures)
    sys.exit(failed)


if __name__ == "__main__":
    main()
