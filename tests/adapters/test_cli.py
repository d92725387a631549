"""The command `clrcore`, end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import clrcore

pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
pytest.importorskip("rich")
pytest.importorskip("jinja2")
click_testing = pytest.importorskip("click.testing")

from clr_adapters.cli import main  # noqa: E402
from commands import COMMAND, environment, run, without  # noqa: E402

ARMS = [
    "stepwise long",
    "stepwise short",
    "constant 0.1",
    "constants, best",
    "constant, range test",
    "triangular",
    "staged triangular2",
]


FILES = ["comparison.png", "range_test.png", "report.html", "results.json"]


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
    for words in ("range test", "base_lr", "max_lr", "2 seeds", "Done in", *ARMS):
        assert words in done.stdout
    for name in FILES:
        assert f"Written: {out / name}" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == FILES
    (sentence,) = json.loads((out / "results.json").read_text())["verdict"]
    assert sentence.startswith("2 seeds are too few to tell policies apart")
    assert sentence in " ".join(done.stdout.split())
    for words in (": higher (", ": lower (", ": a tie (", "(non-inferior)"):
        assert words not in done.stdout


def test_the_pictures_are_pictures(first_look):
    from matplotlib import image

    out, _ = first_look
    for name in ("range_test.png", "comparison.png"):
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
    rows = {row["name"]: row for row in data["rows"]}
    assert set(ARMS) <= set(rows)
    assert rows["stepwise long"]["accuracy"]["mean"] > 80
    for name, row in rows.items():
        shown = next(line for line in done.stdout.splitlines() if f"{name} " in line)
        assert f"{row['accuracy']['mean']:.2f}" in shown
    assert data["target_percent"] == rows["stepwise long"]["accuracy"]["mean"] - 0.5
    triangular = clrcore.policy_from_dict(data["runs"]["triangular"]["policy"])
    assert triangular.max_lr == data["bounds"]["max_lr"]


def test_a_seed_gives_the_same_numbers_again(first_look, second_look):
    texts = [(out / "results.json").read_text() for out, _ in (first_look, second_look)]
    assert texts[0] == texts[1]
    for name in ("comparison.png", "report.html"):
        files = [(out / name).read_bytes() for out, _ in (first_look, second_look)]
        assert files[0] == files[1]


def test_a_dumb_terminal_gets_plain_whole_text(second_look):
    out, done = second_look
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    table = [line for line in done.stdout.splitlines() if "staged triangular2" in line]
    assert "+-" in table[0]
    assert "?" not in table[0]
    assert (out / "mine.txt").read_text() == "kept"


def test_seeds_differ(first_look):
    out, _ = first_look
    data = json.loads((out / "results.json").read_text())
    accuracies = data["runs"]["stepwise long"]["test_accuracy"]
    assert accuracies[0] != accuracies[1]


@pytest.mark.parametrize("module", ["mlxtend", "matplotlib", "rich.console", "jinja2"])
def test_a_demo_without_a_package_says_what_to_install(tmp_path, module):
    done = without(module, "demo", "--out", tmp_path / "out")
    assert done.returncode == 1
    assert 'pip install "clrcore[demo]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_click_says_what_to_install():
    assert 'pip install "clrcore[cli]"' in without("click").stderr


def test_help_imports_nothing_slow():
    slow = ("numpy", "matplotlib", "rich", "jinja2")
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
def test_an_interrupt_ends_it_soon_with_a_word(tmp_path):
    pytest.importorskip("mlxtend")
    process = subprocess.Popen(
        [*COMMAND, "demo", "--out", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        # As from a terminal: a shell's background job would ignore the interrupt.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    limit = time.monotonic() + 60
    while not (tmp_path / "range_test.png").exists() and time.monotonic() < limit:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "range test" in stdout
    assert stderr == "Interrupted; nothing more is written.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["range_test.png"]


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

    @pytest.mark.parametrize(
        "arguments",
        [["--help"], ["demo", "--help"], ["demo", "-h"], ["plot", "-h"], ["suggest", "-h"]],
    )
    def test_help(self, arguments):
        result = self.invoke(*arguments)
        assert result.exit_code == 0
        assert "Usage" in result.output

    @pytest.mark.parametrize(
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
