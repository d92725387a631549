"""Mutation testing: draw mutants at random, and run the tests that reach each of them.

    python tests/mutation.py core --size 300 --seed 0 --results FILE

The operators are mutmut's. mutmut itself leaves out constants and decorated functions, among them
every property; here they are mutated too. Left out are annotations, imports, decorators, and
strings of more than a word: they are sentences, and no code reads them.

A mutant is killed if a test fails or does not end in time. A mutant that survives the few generated
cases of the profile "mutant" is tried again with the many of the profile "ci", by the fast tests.
Results go to a file of JSON lines; an interrupted run goes on from there, and a change of the code
replaces only the mutants that it touches. The tests run in a copy of the tree.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import json
import math
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
COPIED = (
    *("src", "tests", "benchmarks", "docs", "examples"),
    *("README.md", "conftest.py", "pyproject.toml"),
)


class Target(NamedTuple):
    """What is mutated, the tests that must notice, and what the tests import."""

    source: str
    tests: list[str]
    imports: list[str]


TARGETS = {
    # The tests of imports fail for every mutant that imports more than the code: no proof.
    "core": Target(
        "src/clrcore",
        ["tests/core", "src/clrcore", "--ignore=tests/core/test_imports.py"],
        ["numpy", "hypothesis"],
    ),
    "torch": Target(
        "src/clr_adapters/torch",
        ["tests/adapters/test_torch_*.py"],
        ["torch", "torch.utils.data", "hypothesis"],
    ),
    "keras": Target(
        "src/clr_adapters/keras", ["tests/adapters/test_keras_*.py"], ["keras", "hypothesis"]
    ),
}
# The trainers' own sessions test this file; the tests of PyTorch only import it.
TRAINERS = "src/clr_adapters/torch/trainers.py"
# A mutant may take so many times as long as the code, and so many seconds more.
SLOWER, GRACE = 5, 30
MEMORY = 12 * 2**30  # the most that the tests of a mutant may use, in bytes
# Tests of so many seconds together are run a second time with many generated cases.
FAST = 10.0
PYTEST = ["-q", "-x", "-m", "", "-p", "no:randomly", "-p", "no:cacheprovider"]
# The server has imported what pytest would rewrite.
PYTEST += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]


class Mutant(NamedTuple):
    """A changed file.

    Attributes:
        name: Hash of the file, the code that is changed, and what takes its place.
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
    """A random sample of the mutants of these files of the tree, and the number of all.

    A mutant belongs to it by its own hash, whatever other mutants there are.
    """
    every = []
    for file in files:
        source = (ROOT / file).read_text()
        module, found = changes(source)
        seen: Counter[tuple[str, ...]] = Counter()
        for lines, node, change in found:
            texts = (file, module.code_for_node(node), module.code_for_node(change))
            seen[texts] += 1
            name = hashlib.sha256(repr((seed, seen[texts], *texts)).encode()).hexdigest()
            every.append((name, file, lines, source, module, node, change))
    every.sort(key=lambda entry: entry[0])
    sample: list[Mutant] = []
    for name, file, lines, before, module, node, change in every:
        if len(sample) == size:
            break
        after = module.deep_replace(node, change).code
        if is_same(before, after):
            continue
        difference = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        shown = "\n".join(list(difference)[3:])
        sample.append(Mutant(name[:16], file, lines, after, shown))
    return sample, len(every)


def changed(commit: str, files: list[str]) -> list[str]:
    """The files that differ from a commit; all where git does not have it, as in a short clone."""
    command = ["git", "diff", "--name-only", commit, "--", *files]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return files if found.returncode else found.stdout.split()


def is_same(before: str, after: str) -> bool:
    """Whether the change is none to Python, or no Python."""
    try:
        return ast.dump(ast.parse(after)) == ast.dump(ast.parse(before))
    except SyntaxError:
        return True


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
        start, failed = time.monotonic(), item.session.testsfailed
        yield
        passed = item.session.testsfailed == failed
        with self.seconds.open("a") as file:
            file.write(json.dumps([item.nodeid, time.monotonic() - start, passed]) + "\n")
        measured.switch_context("")


def pytest_configure(config: pytest.Config) -> None:
    """Where this file itself is a plugin of pytest, count what each test reaches."""
    config.pluginmanager.register(Contexts(Path(os.environ["MUTATION_SECONDS"])))


def serve(imports: list[str]) -> None:
    """Import what takes long, then run pytest in a fork for every line of arguments."""
    for name in imports:
        import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        profile, output, *arguments = json.loads(line)
        process = os.fork()
        if not process:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for descriptor in (1, 2):
                os.dup2(file, descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.environ["HYPOTHESIS_PROFILE"] = profile
            status = int(pytest.main(arguments))
            sys.stdout.flush()
            os._exit(status)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


class Tests:
    """The tests of a target, in a copy of the tree, and the lines that each of them reaches."""

    def __init__(self, folder: Path, target: Target) -> None:
        self.folder, self.target = folder, target
        for name in COPIED:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        self.selection: list[str] = []
        for pattern in target.tests:
            found = sorted(folder.glob(pattern)) if "*" in pattern else [folder / pattern]
            self.selection += [str(path.relative_to(folder)) for path in found]
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(folder / x) for x in ("src", "tests", "benchmarks")),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "HYPOTHESIS_PROFILE": "mutant",
            "COVERAGE_FILE": str(folder / "coverage"),
            "MUTATION_SECONDS": str(folder / "seconds"),
        }
        self._measure()
        code = f"import mutation; mutation.serve({target.imports!r})"
        self.server = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._answer()
        # Without a mutation the tests must pass in a fork too, or every mutant would seem killed.
        outcome, printed = self._run("mutant", self._by_speed(set(self.seconds)))
        if outcome != "survived":
            sys.exit(f"the tests fail without a mutation:\n{printed}")

    def _measure(self) -> None:
        """Run all tests once, for what they reach and for how long they take."""
        import coverage

        source = f"--source={self.folder / self.target.source}"
        options = ["coverage", "run", source, "-m", "pytest", *PYTEST, "-p", "mutation"]
        options.remove("-x")
        subprocess.run(
            [sys.executable, "-m", *options, *self.selection],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )
        self.seconds: dict[str, float] = defaultdict(float)
        failing = set()
        for test, took, passed in map(
            json.loads, (self.folder / "seconds").read_text().splitlines()
        ):
            self.seconds[function(test)] += took
            failing |= set() if passed else {function(test)}
        for test in failing:  # without a mutation; such a test proves nothing
            print(f"left out, as it fails: {test}", flush=True)
            del self.seconds[test]
        measured = coverage.CoverageData(str(self.folder / "coverage"))
        measured.read()
        self.reached = {
            str(Path(file).relative_to(self.folder)): {
                line: set(map(function, contexts)) - failing
                for line, contexts in measured.contexts_by_lineno(file).items()
            }
            for file in measured.measured_files()
        }

    def reaching(self, mutant: Mutant) -> list[str]:
        """The tests that reach the mutant, the fastest first; all where it runs at import."""
        by_line = self.reached.get(mutant.file, {})
        found = set().union(*(by_line.get(line, set()) for line in mutant.lines))
        if "" in found or not found:
            near = set().union(*by_line.values()) - {""}  # those that reach the file, first
            others = set(self.seconds) - near
            return [*self._by_speed(near), *self._by_speed(others)]
        return self._by_speed(found)

    def _by_speed(self, tests: set[str]) -> list[str]:
        return sorted(tests, key=lambda test: (self.seconds[test], test))

    def judge(self, mutant: Mutant) -> dict[str, Any]:
        """Whether the tests kill the mutant."""
        path, tests = self.folder / mutant.file, self.reaching(mutant)
        original, start = path.read_text(), time.monotonic()
        path.write_text(mutant.code)
        try:
            outcome, printed = self._run("mutant", tests)
            if outcome == "survived":
                spent = [sum(self.seconds[test] for test in tests[:i]) for i in range(len(tests))]
                fast = [test for test, before in zip(tests, spent, strict=True) if before < FAST]
                outcome, printed = self._run("ci", fast)
        finally:
            path.write_text(original)
        failed = [line for line in printed.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return {
            "mutant": mutant.name,
            "file": mutant.file,
            "line": mutant.lines.start,
            "outcome": outcome,
            "change": mutant.change,
            "by": failed[0][:200] if failed else "",
            "tests": len(tests),
            "seconds": round(time.monotonic() - start, 1),
        }

    def _run(self, profile: str, tests: list[str]) -> tuple[str, str]:
        """Run tests in a fork of the server: the outcome, and what they printed."""
        chosen, output = self.folder / "chosen", self.folder / "output"
        chosen.write_text("\n".join(tests))
        assert self.server.stdin is not None
        self.server.stdin.write(json.dumps([profile, str(output), *PYTEST, f"@{chosen}"]) + "\n")
        process = self._answer()
        limit = GRACE + SLOWER * sum(self.seconds[test] for test in tests)
        ended, _, _ = select.select([self.server.stdout], [], [], limit)
        if not ended:
            os.killpg(process, signal.SIGKILL)
        failed = self._answer()
        if not ended:
            return "timeout", ""
        return "killed" if failed else "survived", output.read_text(errors="replace")

    def _answer(self) -> int:
        """The next line of the server, a number."""
        assert self.server.stdout is not None
        line = self.server.stdout.readline()
        return 0 if line == "ready\n" else int(line)


def function(test: str) -> str:
    """The test function of a test, without its parameters."""
    return test.partition("[")[0]


def interval(killed: int, size: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a fraction."""
    z = 1.96
    middle = (killed + z * z / 2) / (size + z * z)
    half = z / (size + z * z) * math.sqrt(killed * (size - killed) / size + z * z / 4)
    return middle - half, middle + half


def judged(
    sample: list[Mutant], target: Target, results: Path, again: bool
) -> list[dict[str, Any]]:
    """The entries of a sample, from the file of results or from the tests."""
    results.parent.mkdir(parents=True, exist_ok=True)
    results.touch()
    entries = {
        entry["mutant"]: entry for entry in map(json.loads, results.read_text().splitlines())
    }
    if again:
        entries = {key: x for key, x in entries.items() if x["outcome"] != "survived"}
    missing = [mutant for mutant in sample if mutant.name not in entries]
    if missing:
        with tempfile.TemporaryDirectory() as folder:
            tests = Tests(Path(folder), target)
            for mutant in missing:
                entries[mutant.name] = tests.judge(mutant)
                with results.open("a") as file:
                    file.write(json.dumps(entries[mutant.name]) + "\n")
            tests.server.kill()
            tests.server.wait()
    return [entries[mutant.name] for mutant in sample]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--size", type=int, default=300, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, help="file of JSON lines to go on with")
    parser.add_argument("--again", action="store_true", help="judge survivors once more")
    parser.add_argument("--since", help="mutate only files that have changed since this commit")
    parser.add_argument("--least", type=float, default=0.0, help="share to kill, or exit with 1")
    parser.add_argument("files", nargs="*", help="files to mutate; by default all of the target")
    options = parser.parse_args()
    target = TARGETS[options.target]
    every = sorted(set((ROOT / target.source).rglob("*.py")) - {ROOT / TRAINERS})
    files = options.files or [str(path.relative_to(ROOT)) for path in every]
    if options.since:
        files = changed(options.since, files)
    if not files:
        print(f"no file of {options.target} has changed since {options.since}")
        return
    sample, total = drawn(files, options.size, options.seed)
    print(f"{len(sample)} of {total} mutants of {options.target}", flush=True)
    results = options.results or ROOT / "build" / f"mutants-{options.target}.jsonl"
    entries = judged(sample, target, results, options.again)
    survivors = [entry for entry in entries if entry["outcome"] == "survived"]
    killed = len(entries) - len(survivors)
    low, high = interval(killed, len(entries))
    print(f"{killed} of {len(entries)} killed: {killed / len(entries):.1%} ({low:.1%}-{high:.1%})")
    for entry in survivors:
        print(f"survived: {entry['mutant']} {entry['file']}:{entry['line']}\n{entry['change']}")
    if killed < options.least * len(entries):
        sys.exit(f"the tests kill less than {options.least:.0%}")


if __name__ == "__main__":
    main()
