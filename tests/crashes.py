"""Kills trainings at random moments, and counts what the resumed runs did.

    python tests/crashes.py torch lightning keras --kills 67

A training appends a line to a journal for each update and for each checkpoint. A resumed life has
to begin at the last whole checkpoint and to make the updates of an uninterrupted run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Train = Callable[[Path], None]
JOURNAL = "journal"
PATIENCE = 300.0  # seconds until a life counts as hanging, also on a busy machine


@dataclass
class Count:
    """What happened.

    Attributes:
        kills: Lives that ended by SIGKILL.
        within_a_save: Kills that left the draft of a checkpoint.
        finished: Runs that came to their end after one or several kills.
        updates: Updates of all lives.
        repeated: Updates that a later life made again, as the checkpoint was older.
        failures: What was wrong.
    """

    kills: int = 0
    within_a_save: int = 0
    finished: int = 0
    updates: int = 0
    repeated: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kills} kills, {self.within_a_save} of them within a save; "
            f"{self.finished} runs finished, {self.updates} updates, {self.repeated} repeated; "
            f"{len(self.failures)} failures"
        )


def note(folder: Path, *words: object) -> None:
    """Append a line to the journal; a kill cannot cut it."""
    file = os.open(folder / JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (" ".join(map(str, words)) + "\n").encode())
    os.close(file)


def journal(folder: Path) -> list[list[str]]:
    """The lines of the journal, as words."""
    path = folder / JOURNAL
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def start(train: Train, folder: Path) -> int:
    """Start a life in a process of its own, which saves the time of the imports."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        train(folder)
        code = 0
    except BaseException:
        note(folder, "failure", traceback.format_exc().replace("\n", " | "))
    finally:
        os._exit(code)


def end(process: int, kill_when: Callable[[], bool]) -> int:
    """Kill the process once it is time, and wait for its end; its exit status."""
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status
        if kill_when():
            break
        time.sleep(0.0005)
    os.kill(process, signal.SIGKILL)
    return os.waitpid(process, 0)[1]


def updates_in(lines: list[list[str]]) -> list[tuple[int, str]]:
    """Number and facts of each update."""
    return [(int(line[1]), " ".join(line[2:])) for line in lines if line[0] == "update"]


def drafts(folder: Path) -> set[Path]:
    """Files that a save has begun."""
    return {path for path in folder.rglob("*") if ".part" in path.name or "tmp" in path.name}


class Victim:
    """A run in its folder, killed again and again until it is finished.

    Args:
        train: The training.
        whole: The journal of an uninterrupted run.
        startup: Seconds until its first update.
    """

    def __init__(self, train: Train, whole: list[list[str]], startup: float) -> None:
        self._train, self._startup = train, startup
        self._expected = dict(updates_in(whole))
        self._last_line = whole[-1]

    def run(self, folder: Path, rng: random.Random, count: Count, kills: int) -> None:
        """Kill lives in this folder until one finishes, or the kills are enough."""
        while True:
            before, begun = journal(folder), drafts(folder)
            status = self._live(folder, rng, len(before), kill=count.kills < kills)
            lines = journal(folder)
            self._check(before, lines[len(before) :], count)
            if os.WIFSIGNALED(status):
                count.kills += 1
                count.within_a_save += bool(drafts(folder) - begun)
            elif status == 0:
                count.finished += 1
                if lines[-1] != self._last_line:
                    count.failures.append(f"the end is {lines[-1]} instead of {self._last_line}")
                return
            if count.failures:
                return

    def _live(self, folder: Path, rng: random.Random, length: int, *, kill: bool) -> int:
        left = len(self._expected) - len(dict(updates_in(journal(folder))))
        more, moment = rng.randrange(-10, max(left, 1)), None
        pause = rng.uniform(0.0, self._startup if more <= 0 else 0.02)
        path = folder / JOURNAL

        def is_time() -> bool:
            nonlocal moment
            lines = path.read_bytes().count(b"\n") if path.exists() else 0
            if moment is None and lines >= length + max(more, 0):
                moment = time.monotonic() + pause
            return kill and moment is not None and time.monotonic() >= moment

        return end(start(self._train, folder), is_time)

    def _check(self, before: list[list[str]], life: list[list[str]], count: Count) -> None:
        count.failures += [" ".join(line) for line in life if line[0] == "failure"]
        made = updates_in(life)
        count.updates += len(made)
        for update, facts in made:
            if self._expected.get(update) != facts:
                expected = self._expected.get(update)
                count.failures.append(f"update {update}: {facts} instead of {expected}")
        if not made:
            return
        first, numbers = made[0][0], [update for update, _ in made]
        if numbers != list(range(first, first + len(numbers))):
            count.failures.append(f"updates out of order: {numbers}")
        saved = [int(line[1]) for line in before if line[0] == "saved"]
        # A kill may come between a save and the line about it.
        reached = max((update + 1 for update, _ in updates_in(before)), default=0)
        if not max(saved, default=0) <= first <= reached:
            count.failures.append(f"resumed at {first}, saved at {saved[-1:]}, came to {reached}")
        count.repeated += sum(update < reached for update in numbers)


def crash(train: Train, kills: int, seed: int) -> Count:
    """Run, kill and resume a training until it was killed so many times."""
    rng, count = random.Random(seed), Count()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "whole")
        folder.mkdir()
        began, first = time.monotonic(), []

        def note_first() -> bool:
            if not first and (folder / JOURNAL).exists():
                first.append(time.monotonic() - began)
            return False

        status, whole = end(start(train, folder), note_first), journal(folder)
        if status:
            count.failures.append(f"the uninterrupted run failed: {whole[-1:]}")
        while count.kills < kills and not count.failures:
            folder = Path(place, str(count.finished))
            folder.mkdir()
            Victim(train, whole, first[0]).run(folder, rng, count, kills)
    return count


def check(world: str, kills: int) -> None:
    """Do the same in a new process, with a new seed; raise AssertionError for a failure."""
    seed = random.randrange(2**32)
    command = [sys.executable, __file__, world, "--kills", str(kills), "--seed", str(seed)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, env=env, capture_output=True, text=True)
    assert result.returncode == 0, f"seed {seed}: {result.stdout}{result.stderr}"
    assert f" {kills} kills" in result.stdout, result.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="+", choices=["torch", "lightning", "keras"])
    parser.add_argument("--kills", type=int, default=67, help="in each, at least")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for world in options.worlds:
        began = time.monotonic()
        count = crash(importlib.import_module(f"crash_{world}").train, options.kills, options.seed)
        print(f"{world}: {count} ({time.monotonic() - began:.0f} s)", flush=True)
        for failure in count.failures:
            print(f"  {failure}")
        failed = failed or bool(count.failures)
    sys.exit(failed)


if __name__ == "__main__":
    main()
