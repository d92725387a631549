"""Mutation testing: draw mutants at random, and run the tests that reach each of them.

    python tests/mutation.py core --size 300 --seed 0 --results FILE

The operators are mutmut's. mutmut itself leaves out constants and decorated functions, among them
every property; here they are mutated too. Left out are annotations, imports, decorators, and
strings of more than a word: they are sentences, and no code reads them.

A mutant is killed if a test fails or does not end in time. A mutant that survives the few generated
cases of the profile "mutant" is tried again with the many of the profile "ci". Results go to a file
of JSON lines; an interrupted run goes on from there. The tests run in a copy of the tree.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
COPIED = (
    "src",
    "tests",
    "benchmarks",
    "docs",
    "examples",
    "README.md",
    "conftest.py",
    "pyproject.toml",
)
# What is mutated, and the tests that must notice. The tests of imports fail for every mutant that
# imports more than the code, which proves nothing.
TARGETS = {
    "core": ("src/clrcore", ["tests/core", "src/clrcore", "--ignore=tests/core/test_imports.py"]),
    "torch": ("src/clr_adapters/torch", ["tests/adapters/test_torch_*.py"]),
    "keras": ("src/clr_adapters/keras", ["tests/adapters/test_keras_*.py"]),
}
# A mutant may take so many times as long as the code, and so many seconds more.
SLOWER, GRACE = 10, 60
MEMORY = 12 * 2**30  # the most that the tests of a mutant may use, in bytes
PYTEST = ["-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider"]
PROFILES = ("mutant", "ci")


class Mutant(NamedTuple):
    """A changed file.

    Attributes:
        name: Path of the file, line, and number among the mutants of the file.
        file: Path of the file in the tree.
        lines: The lines that the change touches.
        code: The whole file with the change.
        change: The lines before and after, for people.
    """

    name: str
    file: str
    lines: range
    code: str
    change: str


def changes(source: str) -> tuple[Any, list[tuple[range, Any, Any]]]:
    """The parsed source, and for every mutant its lines, the node, and what takes its place."""
    import libcst as cst
    from libcst.metadata import MetadataWrapper, PositionProvider
    from mutmut.mutation.mutators import mutation_operators

    class Finder(cst.CSTVisitor):
        METADATA_DEPENDENCIES = (PositionProvider,)

        def on_visit(self, node: cst.CSTNode) -> bool:
            if left_out(node):
                return False
            place = self.get_metadata(PositionProvider, node, None)
            for kind, operator in mutation_operators:
                if place is not None and isinstance(node, kind):
                    # A single change of a string is enough: the others are only other wrong names.
                    found = list(operator(node))[: 1 if kind is cst.BaseString else None]
                    lines = range(place.start.line, place.end.line + 1)
                    result.extend((lines, node, change) for change in found)
            return True

    def left_out(node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom):
            return True
        if isinstance(node, cst.If) and isinstance(node.test, cst.Name):
            return node.test.value == "TYPE_CHECKING"
        if isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Name):
            return node.targets[0].target.value in ("TYPE_CHECKING", "__all__")
        return isinstance(node, cst.ConcatenatedString) or (
            isinstance(node, cst.SimpleString) and len(node.value.split()) > 1
        )

    result: list[tuple[range, Any, Any]] = []
    module = cst.parse_module(source)
    MetadataWrapper(module, unsafe_skip_copy=True).visit(Finder())
    return module, result


def drawn(files: list[str], size: int, seed: int) -> tuple[list[Mutant], int]:
    """A random sample of the mutants of these files of the tree, and the number of all."""
    parsed = {file: changes((ROOT / file).read_text()) for file in files}
    every = [(file, i) for file in files for i in range(len(parsed[file][1]))]
    random.Random(seed).shuffle(every)
    sample: list[Mutant] = []
    for file, i in every:
        if len(sample) == size:
            break
        (module, found), before = parsed[file], (ROOT / file).read_text()
        lines, node, change = found[i]
        after = module.deep_replace(node, change).code
        try:
            if ast.dump(ast.parse(after)) == ast.dump(ast.parse(before)):
                continue
        except SyntaxError:
            continue
        difference = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        shown = "\n".join(list(difference)[3:])
        sample.append(Mutant(f"{file}:{lines.start}:{i}", file, lines, after, shown))
    return sample, len(every)


class Contexts:
    """A plugin of pytest: coverage notes the test that runs, and a file the seconds of each."""

    def __init__(self, seconds: Path) -> None:
        self.seconds = seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        import coverage

        measured = coverage.Coverage.current()
        assert measured is not None
        measured.switch_context(item.nodeid)
        start = time.monotonic()
        yield
        with self.seconds.open("a") as file:
            file.write(json.dumps([item.nodeid, time.monotonic() - start]) + "\n")
        measured.switch_context("")


def pytest_configure(config: pytest.Config) -> None:
    """Where this file itself is a plugin of pytest, count what each test reaches."""
    config.pluginmanager.register(Contexts(Path(os.environ["MUTATION_SECONDS"])))


class Tests:
    """The tests of a target, in a copy of the tree, and the lines that each of them reaches."""

    def __init__(self, folder: Path, target: str) -> None:
        self.folder = folder
        self.source, patterns = TARGETS[target]
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        self.selection = [
            path
            for pattern in patterns
            for path in (sorted(map(str, ROOT.glob(pattern))) if "*" in pattern else [pattern])
        ]
        self.selection = [path.removeprefix(f"{ROOT}/") for path in self.selection]
        paths = [str(folder / name) for name in ("src", "tests", "benchmarks")]
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        }

    def measure(self) -> None:
        """Run all tests once, for what they reach and for how long they take."""
        import coverage

        data, seconds = self.folder / "coverage", self.folder / "seconds"
        environment = {"COVERAGE_FILE": str(data), "MUTATION_SECONDS": str(seconds)}
        options = ["-m", "coverage", "run", f"--source={self.folder / self.source}", *PYTEST]
        outcome, _, printed = self.run([*options, "-p", "mutation", *self.selection], environment)
        if outcome != "survived":
            sys.exit(f"the tests fail before any mutation:\n{printed}")
        lines = map(json.loads, seconds.read_text().splitlines())
        self.seconds: dict[str, float] = defaultdict(float)
        for test, took in lines:
            self.seconds[function(test)] += took
        measured = coverage.CoverageData(str(data))
        measured.read()
        self.reached = {
            str(Path(file).relative_to(self.folder)): {
                line: set(map(function, contexts))
                for line, contexts in measured.contexts_by_lineno(file).items()
            }
            for file in measured.measured_files()
        }

    def reaching(self, mutant: Mutant) -> list[str]:
        """The tests that reach the mutant, the fastest first; all where it runs at import."""
        by_line = self.reached.get(mutant.file, {})
        found = set().union(*(by_line.get(line, set()) for line in mutant.lines))
        if "" in found or not found:
            # Those that reach the file come first.
            near = set().union(*by_line.values()) - {""}
            return [*sorted(near, key=self.seconds.__getitem__), *(set(self.seconds) - near)]
        return sorted(found, key=self.seconds.__getitem__)

    def judge(self, mutant: Mutant) -> dict[str, Any]:
        """Whether the tests kill the mutant."""
        path, tests = self.folder / mutant.file, self.reaching(mutant)
        original = path.read_text()
        arguments = self.folder / "arguments"
        arguments.write_text("\n".join(tests))
        spent = 0.0
        path.write_text(mutant.code)
        try:
            for profile in PROFILES:
                limit = GRACE + SLOWER * sum(map(self.seconds.__getitem__, tests))
                outcome, took, printed = self.run(
                    [*PYTEST, f"@{arguments}"], {"HYPOTHESIS_PROFILE": profile}, limit
                )
                spent += took
                if outcome != "survived":
                    break
        finally:
            path.write_text(original)
        by = next(
            (line for line in printed.splitlines() if line.startswith(("FAILED", "ERROR"))), ""
        )
        return {
            "mutant": mutant.name,
            "outcome": outcome,
            "change": mutant.change,
            "by": by[:200],
            "tests": len(tests),
            "seconds": round(spent, 1),
        }

    def run(
        self, arguments: list[str], environment: dict[str, str], limit: float | None = None
    ) -> tuple[str, float, str]:
        """Run Python in the copy: the outcome, the seconds, and what it printed."""
        start = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={"HYPOTHESIS_PROFILE": PROFILES[0], **self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
        try:
            printed, _ = process.communicate(timeout=limit)
            outcome = "killed" if process.returncode else "survived"
        except subprocess.TimeoutExpired:
            outcome, printed = "timeout", ""
        finally:  # also what the tests started
            if process.poll() is None or outcome == "timeout":
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        return outcome, time.monotonic() - start, printed


def function(test: str) -> str:
    """The test function of a test, without its parameters."""
    return test.partition("[")[0]


def interval(killed: int, size: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a fraction."""
    z = 1.96
    middle = (killed + z * z / 2) / (size + z * z)
    half = z / (size + z * z) * math.sqrt(killed * (size - killed) / size + z * z / 4)
    return middle - half, middle + half


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--size", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="file of JSON lines to go on with")
    parser.add_argument("--again", action="store_true", help="judge survivors once more")
    parser.add_argument("files", nargs="*", help="files to mutate; by default all of the target")
    options = parser.parse_args()
    results = options.results or ROOT / "build" / f"mutants-{options.target}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    known = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    every = sorted((ROOT / TARGETS[options.target][0]).rglob("*.py"))
    files = options.files or [str(path.relative_to(ROOT)) for path in every]
    sample, total = drawn(files, options.size, options.seed)
    print(f"{len(sample)} of {total} mutants of {options.target}", flush=True)
    judged = {
        (entry["mutant"], entry["change"]): entry
        for entry in known
        if not (options.again and entry["outcome"] == "survived")
    }
    with tempfile.TemporaryDirectory() as folder:
        tests = Tests(Path(folder), options.target)
        tests.measure()
        for mutant in sample:
            key = mutant.name, mutant.change
            if key not in judged:
                judged[key] = tests.judge(mutant)
                with results.open("a") as file:
                    file.write(json.dumps(judged[key]) + "\n")
    outcomes = Counter(judged[mutant.name, mutant.change]["outcome"] for mutant in sample)
    killed = len(sample) - outcomes["survived"]
    low, high = interval(killed, len(sample))
    print(f"{killed} of {len(sample)} killed: {killed / len(sample):.1%} ({low:.1%} to {high:.1%})")
    for mutant in sample:
        if judged[mutant.name, mutant.change]["outcome"] == "survived":
            print(f"survived: {mutant.name}\n{mutant.change}")


if __name__ == "__main__":
    main()
