"""`clrcore plot`: policies by options and from dictionaries, as pictures and numbers."""

from __future__ import annotations

import csv
import io
import json
import os
from inspect import signature
from pathlib import Path
from xml.etree import ElementTree

import pytest

import clrcore
from clrcore.dictionary import CONSTRUCTORS

pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
click_testing = pytest.importorskip("click.testing")

from cases import each  # noqa: E402
from clr_adapters.cli import main  # noqa: E402
from clr_adapters.cli.plot import ARGUMENTS, KINDS, NESTED, option  # noqa: E402
from commands import run, without  # noqa: E402
from constructors import ARGUMENTS as VALID  # noqa: E402

TABLE2 = clrcore.chain(
    [
        (clrcore.triangular2(1e-3, 5e-3, 2000), 16_000),
        (clrcore.triangular2(1e-4, 5e-4, 1000), 6_000),
    ]
)
EXAMPLES = {kind: VALID[kind] for kind in KINDS}
TRIANGULAR = ["triangular", "--base-lr", 1, "--max-lr", 2, "--step-size", 5]
SWEEP = ["linear_sweep", "--min-lr", 0, "--max-lr", 1, "--num-steps", 5]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*arguments: object, **more):
    return click_testing.CliRunner().invoke(main, ["plot", *map(str, arguments)], **more)


def options(arguments: dict[str, object]) -> list[str]:
    words = []
    for name, value in arguments.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += [option(name), text]
    return words


def rates(output: str) -> list[list[float]]:
    return [[float(cell) for cell in row[1:]] for row in list(csv.reader(io.StringIO(output)))[1:]]


def test_every_argument_of_every_constructor_is_an_option_but_what_only_python_can_say():
    left_out = {
        (kind, name)
        for kind, constructor in CONSTRUCTORS.items()
        for name in signature(constructor).parameters
        if kind in KINDS and name not in KINDS[kind]
    }
    assert left_out == {("cyclic", "scale")}
    assert set(CONSTRUCTORS) == {*KINDS, *NESTED}
    assert set(EXAMPLES) == set(KINDS)
    for kind, arguments in EXAMPLES.items():
        assert set(arguments) == set(KINDS[kind])
    assert set(ARGUMENTS) == {name for names in KINDS.values() for name in names}


@each("kind", EXAMPLES)
def test_options_make_the_policy_that_the_constructor_makes(kind):
    policy = CONSTRUCTORS[kind](**EXAMPLES[kind])
    total = [] if kind == "one_cycle" else ["--total-steps", "100"]
    result = invoke(kind, *options(EXAMPLES[kind]), *total, "--values")
    assert result.exit_code == 0, result.output
    assert rates(result.output) == [[lr] for lr in policy.values(0, 100).tolist()]


@each("kind", EXAMPLES)
def test_a_dictionary_makes_the_same(kind):
    policy = CONSTRUCTORS[kind](**EXAMPLES[kind])
    result = invoke(
        *("--json", "-", "--values", "--total-steps", "100"), input=json.dumps(policy.to_dict())
    )
    assert result.exit_code == 0, result.output
    assert rates(result.output) == [[lr] for lr in policy.values(0, 100).tolist()]


@pytest.mark.parametrize("name", ["policy.png", "here.PNG", "a folder/deep/policy.svg"])
def test_a_picture_in_the_format_of_its_name(name):
    from matplotlib import image

    result = invoke("triangular2", *options(EXAMPLES["triangular2"]), "--out", name)
    assert result.exit_code == 0, result.output
    assert f"Written: {name}" in result.stderr
    assert result.stdout == ""
    if name.endswith(".svg"):
        assert ElementTree.parse(name).getroot().tag.endswith("svg")
        assert b"<dc:date>" not in Path(name).read_bytes()
    else:
        assert image.imread(name).std() > 0.05
    assert [path.name for path in Path(name).parent.iterdir()] == [Path(name).name]


def test_the_picture_has_a_name_if_it_is_given_none(folder):
    assert invoke("constant", "--lr", 0.1, "--total-steps", 10).exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["policy.png"]


@pytest.mark.parametrize("name", ["one.png", "one.svg"])
def test_the_same_picture_is_the_same_file(name):
    files = []
    for _ in range(2):
        assert (
            invoke("linear_sweep", *options(EXAMPLES["linear_sweep"]), "--out", name).exit_code == 0
        )
        files.append(Path(name).read_bytes())
    assert files[0] == files[1]


def test_several_are_compared_under_the_names_of_their_files(folder):
    for name in ("fast", "_a$b$", "fast, too"):
        Path(f"{name}.json").write_text(json.dumps(TABLE2.to_dict()))
    (folder / "sub").mkdir()
    (folder / "sub" / "fast.json").write_text(json.dumps(TABLE2.to_dict()))
    files = ["fast.json", "_a$b$.json", "fast, too.json", "sub/fast.json", "-"]
    words = [word for file in files for word in ("--json", file)]
    standard_input = json.dumps(clrcore.constant(0.1).to_dict())
    result = invoke(
        "triangular", *options(EXAMPLES["triangular"]), *words, "--values", input=standard_input
    )
    assert result.exit_code == 0, result.output
    header = next(csv.reader(io.StringIO(result.output)))
    assert header == ["step", "triangular", "fast", "a$b$", "fast, too", "fast (2)", "constant"]
    assert len(rates(result.output)) == 22_000
    result = invoke(*words, "--out", "all.svg", input=standard_input)
    assert result.exit_code == 0, result.output


def test_numbers_and_a_picture_where_both_are_asked_for(folder):
    Path("table2.json").write_text(json.dumps(TABLE2.to_dict()), encoding="utf-8-sig")
    result = invoke("--json", "table2.json", "--values", "--out", "p.png", "--start", 21_990)
    assert result.exit_code == 0, result.output
    assert len(rates(result.stdout)) == 10
    assert (folder / "p.png").exists()


def test_numbers_need_no_matplotlib():
    arguments = ["plot", "constant", "--lr", "0.1", "--total-steps", "2"]
    assert without("matplotlib", *arguments, "--values").stdout == "step,lr\n0,0.1\n1,0.1\n"
    done = without("matplotlib", *arguments)
    assert done.returncode == 1
    assert 'run pip install ".[plot]" in a checkout of clrcore' in done.stderr
    assert "Traceback" not in done.stderr


@each(
    ("arguments", "words"),
    [
        ([], "give a kind (triangular, "),
        (["zigzag"], "'zigzag' is no kind of policy; there are triangular, "),
        (["triangle"], "'triangle' is no kind of policy; did you mean 'triangular'?"),
        (["chain"], "--json FILE"),
        (
            ["exp_range", "--base-lr", 1, "--max-lr", 2, "--step-size", 5, "--gamma", 0.9],
            "exp_range lacks --decays; it takes",
        ),
        (["--base-lr", 1], "--base-lr needs a kind"),
        (["triangular2", "--base-lr", 1], "triangular2 lacks --max-lr --step-size; it takes "),
        (
            ["constant", "--lr", 1, "--gamma", 1, "--total-steps", 5],
            "constant has no --gamma; it takes --lr",
        ),
        (["constant", "--lr", "nan", "--total-steps", 5], "--lr must be a finite number >= 0"),
        (
            ["decay", "--base-lr", 2, "--max-lr", 1, "--step-size", 5],
            "--max-lr must be >= base_lr=2.0, got 1.0; swap them",
        ),
        (["decay", "--base-lr", 0, "--max-lr", 1, "--step-size", 2.5], "'--step-size'"),
        (["stepwise", "--lr", 1, "--milestones", "3,x"], "'3,x' must be integers with commas"),
        (["constant", "--lr", 1], "--total-steps must be given"),
        (["constant", "--lr", 1, "--values"], "--values needs --total-steps"),
        (["constant", "--lr", 1, "--total-steps", 5, "--start", 5], "--start must be less than"),
        (
            ["constant", "--lr", 1, "--total-steps", 5, "--start", 5, "--values"],
            "--start must be less than 5, where the rates end",
        ),
        (
            [*TRIANGULAR, "--start", 100],
            "--start must be less than 50, where the picture ends by default",
        ),
        (
            [*SWEEP, "--start", 7, "--values"],
            "--start must be less than 5, where the rates end unless --total-steps is given",
        ),
        (["constant", "--lr", 1, "--total-steps", 0], "--total-steps"),
        (["constant", "--lr", 1, "--total-steps", 2**53 + 1], "'--total-steps'"),
        (["constant", "--lr", 1, "--total-steps", 5, "--start", 2**63], "'--start'"),
        (["constant", "--lr", 1, "--out", "p.gif"], "'p.gif' must end in .png or .svg"),
        (["--json", "absent.json"], "absent.json"),
    ],
)
def test_refuses_options(folder, arguments, words):
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())
    assert list(folder.iterdir()) == []


@each(
    ("text", "words"),
    [
        ("{", "line 1 column 2"),
        ("[1]", "must be a dictionary"),
        ('{"type": "constant"}', "lacks 'version'"),
        ('{"version": 1, "type": "constant", "lr": -1}', "lr must be a finite number >= 0"),
        ('{"version": 1, "type": "constant", "rate": 1}', "lacks 'lr' and has unknown 'rate'"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_refuses_files(folder, text, words):
    Path("bad.json").write_text(text)
    result = invoke("--json", "bad.json")
    assert result.exit_code == 1
    assert result.output.startswith("Error: bad.json: ")
    assert words in result.output
    assert [path.name for path in folder.iterdir()] == ["bad.json"]


def test_the_last_steps_that_can_be_counted():
    result = invoke("constant", "--lr", 1, "--start", 2**53 - 1, "--total-steps", 2**53, "--values")
    assert result.output == "step,lr\n9007199254740991,1.0\n"


def test_a_folder_is_no_picture(folder):
    (folder / "dir.png").mkdir()
    result = invoke("constant", "--lr", 1, "--total-steps", 5, "--out", "dir.png")
    assert result.exit_code == 2
    assert "is a folder" in result.output


def test_a_picture_cannot_be_written_inside_a_file(folder):
    (folder / "file").write_text("mine")
    result = invoke("constant", "--lr", 1, "--total-steps", 5, "--out", "file/p.png")
    assert result.exit_code == 1
    assert "file/p.png cannot be written" in result.output


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_in_a_terminal_that_can_do_little(folder):
    path = os.fsencode(folder) + b"/caf\xe9.json"
    Path(os.fsdecode(path)).write_text(json.dumps(TABLE2.to_dict()))
    out = os.fsencode(folder) + b"/\xe9.png"
    done = run("plot", "--json", path, "--out", out, folder=folder, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "")
    assert Path(os.fsdecode(out)).exists()
    done = run(
        *("plot", "--json", path, "--json", path, "--values"),
        folder=folder,
        PYTHONIOENCODING="ascii",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "step,caf?,caf? (2)"


@each(
    ("arguments", "words"),
    [
        (["plot", "triangular", "--mode", "triangular2"], "'--mode'; the mode is the kind"),
        (["plot", "one_cycle", "--epochs", "3"], "'--epochs'; lengths are in steps"),
        (["plot", "triangular", "--step-size-up", "3"], "'--step-size-up'; use --step-size"),
        (["lr_find", "log.csv"], "'lr_find'. A range test runs in your training"),
    ],
)
def test_names_of_other_libraries_lead_on(arguments, words):
    result = click_testing.CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert words in result.output
