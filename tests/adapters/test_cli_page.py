"""The page about the command agrees with the command."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("numpy")
image = pytest.importorskip("matplotlib.image")
click_testing = pytest.importorskip("click.testing")

from clr_adapters.cli import main  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "command.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str, stdin: str = ""):
    return click_testing.CliRunner().invoke(main, arguments, input=stdin)


def test_the_commands_print_what_the_page_shows_and_draw_its_pictures(folder):
    namespace: dict[str, object] = {}
    printed = ""
    shown = 0
    for kind, text in BLOCK.findall(PAGE):
        if kind == "python":
            exec(text, namespace)
        elif kind == "text":
            assert printed.startswith(text)
            shown += 1
        else:
            for line in text.splitlines():
                name, command, *arguments = shlex.split(line)
                assert name == "clrcore"
                if command != "demo":  # which has tests of its own, and takes minutes
                    done = run(command, *arguments)
                    assert done.exit_code == 0, done.stderr
                    printed = done.stdout
    assert shown == 2
    pictures = re.findall(r"\]\((pictures/command-[^)]+)\)", PAGE)
    assert len(pictures) == 2
    for name in pictures:
        drawn, kept = image.imread(folder / name), image.imread(DOCS / name)
        # Other versions of matplotlib draw a few pixels otherwise.
        assert drawn.shape == kept.shape
        assert abs(drawn - kept).mean() < 0.01


def meaning(code: int) -> str:
    """What the page says of an exit code."""
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| {code} | ")]
    return row


MISSING = (2, "a file to read that is missing or, for `plot`, a folder")
UNUSABLE = (1, "a file's content cannot be used")


@pytest.mark.parametrize(
    ("command", "of_folder"), [(["suggest"], UNUSABLE), (["plot", "--json"], MISSING)]
)
def test_files_end_it_as_the_page_says(folder, command, of_folder):
    (folder / "bad").write_text("nothing")
    for file, code, words in (
        ("missing", *MISSING),
        (".", *of_folder),
        ("bad", *UNUSABLE),
    ):
        done = run(*command, file)
        assert done.exit_code == code
        assert file in done.stderr
        assert words in meaning(code)


def test_every_exit_code_is_on_the_page(folder):
    (folder / "short.csv").write_text("lr,loss\n0.1,1\n")
    ends = {
        0: run("--version"),
        1: run("suggest", "-", stdin="nothing"),
        2: run("suggest"),
        3: run("suggest", "short.csv"),
    }
    for code, done in ends.items():
        assert done.exit_code == code
        assert meaning(code)
    assert meaning(130)
