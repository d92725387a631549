"""The command `clrcore`, end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import clrcore

pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
click_testing = pytest.importorskip("click.testing")

from cases import each  # noqa: E402
from clr_adapters.cli import main  # noqa: E402
from commands import COMMAND, environment, run, without  # noqa: E402

POLICIES = ["constant, range test", "triangular", "staged triangular2"]


PICTURES = ["comparison.png", "confirmation.png", "range_test.png"]
FILES = [*PICTURES, "report.html", "results.json"]


@pytest.fixture(scope="module")
def first_look(tmp_path_factory):
    """A quick demo in a folder that does not exist yet."""
    pytest.importorskip("mlxtend")
    out = tmp_path_factory.mktemp("demo") / "a folder" / "deep"
    return out, run("demo", "--quick", "--seed", 3, "--out", out)


@pytest.fixture(scope="module")
def second_look(tmp_path_factory):
    """The same on a terminal that can do nothing, into a folder that was used before."""
    pytest.importorskip("mlxtend")
    out = tmp_path_factory.mktemp("demo")
    (out / "results.json").write_text("old")
    (out / "mine.txt").write_text("kept")
    done = run(
        "demo",
        "--quick",
        "--seed",
        3,
        "--out",
        out,
        TERM="dumb",
        PYTHONIOENCODING="ascii",
        COLUMNS="40",
    )
    return out, done


def test_the_demo_runs_to_its_end(first_look):
    out, done = first_look
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in ("range test", "base_lr", "max_lr", "2 seeds", "Done in", *POLICIES[1:]):
        assert words in done.stdout
    for name in FILES:
        assert f"Written: {out / name}" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == FILES
    sentence = json.loads((out / "results.json").read_text())["verdict"][0]
    assert sentence.startswith("In short: 2 seeds are too few to distinguish policies")
    assert sentence in " ".join(done.stdout.split())


def test_the_pictures_are_pictures(first_look):
    from matplotlib import image

    out, _ = first_look
    for name in PICTURES:
        picture = image.imread(out / name)
        assert picture.shape[1] >= 800
        assert picture.std() > 0.05


def test_the_numbers_are_all_there(first_look):
    out, done = first_look
    data = json.loads((out / "results.json").read_text())
    assert data["settings"]["seeds"] == [3, 4]
    assert data["versions"]["clrcore"] == clrcore.__version__
    assert data["bounds"]["base_lr"] < data["bounds"]["max_lr"]
    curves = [clrcore.Curve.from_dict(curve) for curve in data["range_test"]]
    assert len(curves) == 2
    assert data["accuracy"]["stepwise long"]["mean"] > 80
    for name in POLICIES[1:]:
        shown = next(line for line in done.stdout.splitlines() if line.startswith(name))
        assert f"{data['accuracy'][name]['mean']:.2f}" in shown
        differences = [row for row in data["differences"] if row["policy"] == name]
        assert len(differences) == 4
        assert all(f"{row['mean']:+.2f}" in shown for row in differences)
    triangular = clrcore.policy_from_dict(data["runs"]["triangular"]["policy"])
    assert triangular.max_lr == data["bounds"]["max_lr"]


@pytest.mark.slow
def test_a_seed_gives_the_same_numbers_again(first_look, second_look):
    texts = [(out / "results.json").read_text() for out, _ in (first_look, second_look)]
    assert texts[0] == texts[1]
    for name in ("comparison.png", "report.html"):
        files = [(out / name).read_bytes() for out, _ in (first_look, second_look)]
        assert files[0] == files[1]


@pytest.mark.slow
def test_a_dumb_terminal_gets_plain_whole_text(second_look):
    out, done = second_look
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    lines = done.stdout.splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("staged triangular2"))
    assert "+-" in lines[row]
    assert "?" not in lines[row]
    assert lines[row - 1].startswith("triangular")  # rows follow each other
    assert (out / "mine.txt").read_text() == "kept"


def test_seeds_differ(first_look):
    out, _ = first_look
    data = json.loads((out / "results.json").read_text())
    accuracies = data["runs"]["stepwise long"]["test_accuracy"]
    assert accuracies[0] != accuracies[1]


@pytest.mark.parametrize("module", ["mlxtend", "matplotlib", "jinja2"])
def test_a_demo_without_a_package_says_what_to_install(tmp_path, module):
    done = without(module, "demo", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert 'run pip install ".[demo]" in a checkout of clrcore' in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_click_says_what_to_install_in_one_sentence():
    done = without("click")
    assert done.returncode == 1
    assert done.stderr.startswith(
        'the command clrcore needs click: run pip install ".[cli]" in a checkout of clrcore'
    )
    assert done.stderr.count("\n") == 1


def test_the_package_runs_as_a_module():
    command = [sys.executable, "-m", "clrcore", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.stdout == f"clrcore, version {clrcore.__version__}\n"


def test_help_imports_nothing_slow():
    slow = ("numpy", "matplotlib", "jinja2")
    code = (
        f"import sys\ntry: {COMMAND[-1]}\n"
        f"finally: print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for name in ("demo", "plot", "suggest"):
        assert f"\n  {name} " in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind there")
def test_an_interrupt_ends_it_with_a_sentence(tmp_path):
    """The process interrupts itself in the middle of the trainings."""
    pytest.importorskip("mlxtend")
    code = f"""
import os, signal, threading
from clr_adapters.cli.demo import experiment

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job would ignore it
train = experiment.train

first = threading.Lock()

def interrupted(*arguments, tick, **more):
    def tick_and_interrupt(steps):
        tick(steps)
        if first.acquire(blocking=False):
            os.kill(os.getpid(), signal.SIGINT)
    return train(*arguments, tick=tick_and_interrupt, **more)

experiment.train = interrupted
{COMMAND[-1]}
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--quick", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(OPENBLAS_NUM_THREADS="1"),  # NumPy comes before the command
        timeout=300,
    )
    assert done.returncode == 130
    assert "range test" in done.stdout
    assert "In short" not in done.stdout
    assert done.stderr == "Interrupted; nothing more is written.\n"
    assert {path.name for path in tmp_path.iterdir()} == {"range_test.png", "confirmation.png"}


def test_the_linear_algebra_gets_one_thread_unless_told_otherwise(tmp_path):
    # The digits are barred, so that the demo ends after it has imported NumPy.
    code = """
import os, sys
from clr_adapters.cli import main
assert "numpy" not in sys.modules
sys.modules["mlxtend"] = None
try:
    main()
except SystemExit:
    assert "numpy" in sys.modules
    print(os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        env=environment(OPENBLAS_NUM_THREADS="3"),
    )
    assert done.stdout.split() == ["1", "3"]


@pytest.mark.skipif(os.name == "nt", reason="pipes of another kind there")
@pytest.mark.parametrize(
    "arguments",
    [
        ["plot", "constant", "--lr", "0.1", "--total-steps", "1000000", "--values"],
        ["plot", "constant", "--lr", "0.1", "--total-steps", "2", "--values"],
        ["plot", "--help"],
        ["demo", "--quick"],
    ],
)
def test_a_reader_that_goes_away_ends_it_quietly(tmp_path, arguments):
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=tmp_path,
    )
    process.stdout.close()
    with process:
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("total_steps", ["2", "100000"])  # less than a buffer, and more
def test_a_full_disk_is_told_in_one_line(total_steps):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, "plot", "constant", "--lr", "1", "--total-steps", total_steps, "--values"],
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(),
        )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="standard files of another kind there")
@pytest.mark.parametrize("arguments", [["plot", "--json", "-"], ["suggest", "-"]])
def test_a_closed_standard_input_is_told_in_one_line(arguments):
    closed = [sys.executable, "-c", f"import sys; sys.stdin = None; {COMMAND[-1]}"]
    done = subprocess.run([*closed, *arguments], capture_output=True, text=True, env=environment())
    assert done.returncode == 1
    assert done.stderr == "Error: standard input is closed\n"


class TestOptions:
    def invoke(self, *arguments: object):
        return click_testing.CliRunner().invoke(main, [*map(str, arguments)])

    def test_version(self):
        assert clrcore.__version__ in self.invoke("--version").output

    @each(
        "arguments",
        [["--help"], ["demo", "--help"], ["demo", "-h"], ["plot", "-h"], ["suggest", "-h"]],
    )
    def test_help(self, arguments):
        result = self.invoke(*arguments)
        assert result.exit_code == 0
        assert "Usage" in result.output

    @each(
        ("arguments", "words"),
        [
            (["--seeds", "1"], "--seeds"),
            (["--seeds", "many"], "--seeds"),
            (["--seed", "-1"], "--seed"),
            (["--fast"], "--fast"),
            (["extra"], "extra"),
        ],
    )
    def test_refuses(self, arguments, words):
        result = self.invoke("demo", *arguments)
        assert result.exit_code == 2
        assert words in result.output

    def test_a_file_is_no_folder(self, tmp_path: Path):
        path = tmp_path / "file"
        path.write_text("mine")
        result = self.invoke("demo", "--out", path)
        assert result.exit_code == 2
        assert "is a file" in result.output
        assert path.read_text() == "mine"

    def test_a_folder_cannot_be_made_inside_a_file(self, tmp_path: Path):
        pytest.importorskip("mlxtend")
        path = tmp_path / "file"
        path.write_text("mine")
        result = self.invoke("demo", "--quick", "--out", path / "out")
        assert result.exit_code == 1
        assert "cannot be written to" in result.output

    @pytest.mark.parametrize("name", FILES)
    def test_a_folder_in_the_place_of_a_file_is_told_before_the_work(self, tmp_path: Path, name):
        pytest.importorskip("mlxtend")
        (tmp_path / name).mkdir()
        result = self.invoke("demo", "--quick", "--out", tmp_path)
        assert result.exit_code == 1
        assert f"{name} must be a file, but it is a folder" in result.output
        assert "range test" not in result.output
        assert [path.name for path in tmp_path.iterdir()] == [name]

    @pytest.mark.skipif(sys.platform != "linux", reason="no folder that nobody can write to")
    def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(self):
        pytest.importorskip("mlxtend")
        result = self.invoke("demo", "--quick", "--out", "/proc")
        assert result.exit_code == 1
        assert "/proc cannot be written to" in result.output
        assert "range test" not in result.output
