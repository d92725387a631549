"""`clrcore suggest`: bounds from the files of any tool."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

import clrcore

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
click_testing = pytest.importorskip("click.testing")

from cases import each  # noqa: E402
from clr_adapters.cli import main  # noqa: E402
from commands import run, without  # noqa: E402


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def curve(seed: int = 0) -> clrcore.Curve:
    """The range test of a quadratic with noise."""
    weight, noise = 30.0, random.Random(seed)
    test = clrcore.RangeTest(clrcore.exponential_sweep(1e-4, 10.0, 200))
    for lr in test:
        test.record(loss=weight**2 + noise.gauss(0, 20))
        weight -= lr * (2 * weight + noise.gauss(0, 2))
    return test.curve


def ramp() -> clrcore.Curve:
    """Held-out accuracy of a linear ramp, of 20 updates an epoch."""
    lr = np.linspace(0.0, 1.0, 100)
    accuracy = 0.9 / (1 + np.exp(-60 * (lr - 0.1))) * (1 / (1 + np.exp(30 * (lr - 0.7))))
    loss = 2.3 - 2 * accuracy
    return clrcore.Curve(lr, loss, accuracy, held_out=True, steps_per_epoch=20)


def invoke(*arguments: object, **more):
    return click_testing.CliRunner().invoke(main, ["suggest", *map(str, arguments)], **more)


def flat(name: str = "flat.csv") -> str:
    noise = random.Random(1)
    rows = [f"{10 ** (-5 + k / 50)},{noise.gauss(2, 0.1)}" for k in range(200)]
    Path(name).write_text("\n".join(["lr,loss", *rows]))
    return name


class TestFiles:
    def expect(self, result, *curves: clrcore.Curve, **arguments):
        assert result.exit_code == 0, result.output
        assert result.stdout == f"{clrcore.suggest_bounds(list(curves), **arguments).explain()}\n"

    def test_our_own_tables_one_per_seed(self):
        for seed in range(3):
            curve(seed).to_csv(f"{seed}.csv")
        self.expect(invoke("0.csv", "1.csv", "2.csv"), *map(curve, range(3)))

    def test_the_standard_input(self):
        curve().to_csv("a.csv")
        self.expect(invoke("-", input=Path("a.csv").read_bytes()), curve())

    def test_columns_by_name(self):
        rows = [f"{i};{x!r};{y!r}" for i, (x, y) in enumerate(zip(*data(curve()), strict=True))]
        Path("a.csv").write_text("\n".join(["step;lr-SGD;train_loss_step", *rows]))
        result = invoke("a.csv", "--lr", "lr-SGD", "--loss", "train_loss_step")
        self.expect(result, curve())

    def test_the_lists_that_finders_keep(self):
        """The history of torch-lr-finder, and the results of Lightning's, as JSON."""
        lr, loss = data(curve())
        Path("a.json").write_text(json.dumps({"lr": lr, "loss": loss, "best_loss": 0.1}))
        self.expect(invoke("a.json"), curve())

    def test_lists_by_name_with_gaps(self):
        lr, loss = data(curve())
        Path("a").write_text(json.dumps({"x": lr, "y": [None, *loss[1:]]}), encoding="utf-8-sig")
        expected = clrcore.Curve(lr, [np.nan, *loss[1:]])
        self.expect(invoke("a", "--lr", "x", "--loss", "y"), expected)

    def test_a_curves_dictionary_keeps_what_a_table_cannot(self):
        Path("a.json").write_text(json.dumps(ramp().to_dict()))
        self.expect(invoke("a.json"), ramp())
        assert "rule: accuracy" in invoke("a.json").stdout

    def test_what_a_table_does_not_say(self):
        """The paper's rule is taken for held-out accuracy over a linear ramp of epochs."""
        ramp().to_csv("a.csv")
        Path("b.csv").write_text(Path("a.csv").read_text().replace("val_accuracy", "accuracy"))
        for file, options, rule in (
            ("a.csv", [], "accuracy"),
            ("a.csv", ["--training"], "loss"),
            ("a.csv", ["--sweep", "exponential"], "loss"),
            ("a.csv", ["--steps-per-epoch", 80], "loss"),
            ("b.csv", [], "loss"),
            ("b.csv", ["--held-out", "--steps-per-epoch", "20"], "accuracy"),
        ):
            result = invoke(file, *options, "--json")
            assert result.exit_code == 0, result.output
            assert json.loads(result.stdout)["rule"] == rule

    @each(
        ("text", "words"),
        [
            ("", "line 1: the file is empty"),
            ("lr,loss\n0.1,1\n0.2,x\n", "line 3: loss must be a number, got 'x'"),
            ("step,loss\n1,2\n", "columns are chosen with --lr, --loss, --accuracy"),
            ("step,lr\n1,2\n", "columns are chosen with --lr, --loss, --accuracy"),
            ("Wall time,Step,Value\n1,2,3\n", "TensorBoard exports one file per scalar"),
            ("epoch,lr,loss\n0,0.1,\n0,,2.3\n", "rate and loss must be in the same line"),
            ('{"lr": [1, 2], "loss": [1]}', "equally long, got 2 in 'lr', 1 in 'loss'"),
            ('{"lr": [1, "x"], "loss": [1, 2]}', "record 2: lr must be a number, got 'x'"),
            ('{"lr": [1, -2], "loss": [1, 2]}', "record 2: lr must be a finite number >= 0"),
            ('{"a": [1], "loss": [1]}', "no column of rates"),
            ("{}", "no lists among the keys"),
            ('{"a": 1, "b": 2}', "no lists among the keys 'a', 'b'"),
            (json.dumps(dict.fromkeys("abcdefghijkl", 1)), "'j', ...; it must be"),
            ("lr;loss\n0,1;2.5\n", "got '0,1'; write decimals with a point"),
            ('{"lr": ["0,1"], "loss": [1]}', "got '0,1'; write decimals with a point"),
            ("lr,loss\n0,1,2,3\n", "the header has 2; if these are decimals with a comma"),
            ("[1, 2]", "records[0] must be a dictionary"),
            ('{"lr": [', "no valid JSON: Expecting value: line 1 column 9"),
            ('{"lr": 1,\n"loss": [\n', "no valid JSON: Expecting value: line 3 column 1"),
            ('{"lr": 1}\n\n{"lr"\n', "no valid JSON: line 3: Expecting"),
            ('{"version": 2, "lr": [1]}', "data lacks"),
            ("[" * 100_000, "nested too deeply"),
        ],
    )
    def test_what_cannot_be_read_is_told_with_where_and_what_to_do(self, text, words):
        Path("file").write_text(text)
        result = invoke("file")
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.startswith("Error: file: ")
        assert words in result.stderr

    def test_a_folder_of_tensorboard_events(self):
        result = invoke(".")
        assert result.exit_code == 1
        assert (
            "Error: .: the folder has neither TensorBoard events nor metrics of MLflow"
            in result.stderr
        )
        pytest.importorskip("tensorboard")
        folder = Path(__file__).parents[1] / "logs" / "tensorboard"
        (file,) = folder.iterdir()
        assert invoke(folder).stdout == invoke(file).stdout != ""

    def test_a_line_with_too_few_cells_is_not_blamed_on_decimals(self):
        Path("file").write_text("lr,loss\n0.1\n")
        assert "decimals" not in invoke("file").stderr

    @pytest.mark.parametrize("flag", ["--held-out", "--training"])
    def test_what_an_accuracy_is_of_is_not_said_of_a_curve_without_one(self, flag):
        curve().to_csv("a.csv")
        Path("a.json").write_text(json.dumps(curve().to_dict()))
        for file in ("a.csv", "a.json"):
            result = invoke(file, flag)
            assert result.exit_code == 2
            assert f"{flag} describes an accuracy, but {file} has none" in result.stderr

    def test_text_in_another_encoding(self):
        Path("file").write_bytes(b"lr,loss\n0.1,\xff\n")
        assert "line 2: not UTF-8 text" in invoke("file").stderr


def data(given: clrcore.Curve) -> tuple[list[float], list[float]]:
    return given.lr.tolist(), given.loss.tolist()


class TestAnswers:
    def test_json_and_nothing_else(self):
        curve(0).to_csv("0.csv")
        curve(1).to_csv("1.csv")
        result = invoke("0.csv", "1.csv", "--json", "--picture", "p.png")
        expected = clrcore.suggest_bounds([curve(0), curve(1)]).to_dict()
        assert json.loads(result.stdout) == {**expected, "files": ["0.csv", "1.csv"]}

    def test_a_rule_by_name(self):
        curve().to_csv("a.csv")
        result = invoke("a.csv", "--rule", "valley")
        assert result.stdout == f"{clrcore.suggest_bounds(curve(), rule='valley').explain()}\n"

    def test_all_rules_beside_each_other(self):
        curve().to_csv("a.csv")
        result = invoke("a.csv", "--compare")
        assert result.exit_code == 0, result.output
        for name in clrcore.bound_rules():
            line = next(x for x in result.stdout.splitlines() if x.startswith(f"{name} "))
            if name == "accuracy":
                assert "needs accuracy" in line
            else:
                lr = clrcore.suggest_bounds(curve(), rule=name).lr
                assert f" {lr:.3g} " in line
        data = json.loads(invoke("a.csv", "--compare", "--json").stdout)
        assert list(data["rules"]) == list(clrcore.bound_rules())
        assert data["rules"]["accuracy"] == {"refusal": "needs accuracy"}
        assert data["rules"]["slide"] == clrcore.suggest_bounds(curve(), rule="slide").to_dict()

    @pytest.mark.parametrize("columns", ["0", "20", "80"])
    def test_rates_are_whole_on_a_terminal_of_any_width(self, columns, monkeypatch):
        monkeypatch.setenv("COLUMNS", columns)
        curve().to_csv("a.csv")
        printed = invoke("a.csv", "--compare").stdout
        for name in set(clrcore.bound_rules()) - {"accuracy"}:
            lr = clrcore.suggest_bounds(curve(), rule=name).lr
            assert re.search(rf"^{name} +{re.escape(f'{lr:.3g}')}\b", printed, re.MULTILINE)

    @each(
        "text",
        [
            ",".join(f"column{i}" for i in range(10**5)) + "\n1\n",
            "lr,loss\n0.1," + "9x" * 5000 + "\n",
            json.dumps({f"key{i}": 1 for i in range(10**4)}),
            json.dumps({f"key{i}": [1] * (i % 2) for i in range(10**4)}),
        ],
    )
    def test_messages_are_short(self, text):
        Path("file").write_text(text)
        result = invoke("file")
        assert result.exit_code == 1
        assert len(result.stderr) < 1500

    def test_lightnings_average_is_undone_where_the_caller_says_so(self):
        lr, loss = data(curve())
        averages, average = [], 0.0
        for k, value in enumerate(loss):
            average = 0.98 * average + 0.02 * value
            averages.append(average / (1 - 0.98 ** (k + 2)))
        Path("a.json").write_text(json.dumps({"lr": lr, "loss": averages}))
        result = invoke("a.json", "--lightning")
        assert result.stdout.splitlines()[0] == str(clrcore.suggest_bounds(curve())).splitlines()[0]
        assert result.stdout != invoke("a.json").stdout

    def test_every_tenth_update(self):
        lr, loss = data(curve())
        rows = [f"{x!r},{y!r}" for x, y in zip(lr, loss, strict=True)]
        Path("a.csv").write_text("\n".join(["lr,loss", *rows]))
        expected = clrcore.suggest_bounds(clrcore.Curve(lr, loss, updates=10))
        assert invoke("a.csv", "--updates", "10").stdout == f"{expected.explain()}\n"
        named = [f"{10 * i},{row}" for i, row in enumerate(rows)]
        Path("b.csv").write_text("\n".join(["batches,lr,loss", *named]))
        assert invoke("b.csv", "--updates", "batches").stdout == f"{expected.explain()}\n"

    def test_a_list_of_records(self):
        lr, loss = data(curve())
        records = [{"lr": x, "loss": y} for x, y in zip(lr, loss, strict=True)]
        Path("a.json").write_text(json.dumps(records))
        assert invoke("a.json").stdout == f"{clrcore.suggest_bounds(curve()).explain()}\n"

    def test_warnings_are_shown(self):
        lr, loss = data(curve())
        clrcore.Curve(lr[:120], loss[:120]).to_csv("a.csv")
        bounds = clrcore.suggest_bounds(clrcore.Curve(lr[:120], loss[:120]))
        assert bounds.warnings
        assert f"warning: {bounds.warnings[0]}" in invoke("a.csv").stdout

    @pytest.mark.parametrize("name", ["p.png", "deep/p.svg"])
    def test_a_picture(self, name):
        curve().to_csv("a.csv")
        result = invoke("a.csv", "--picture", name)
        assert result.exit_code == 0, result.output
        assert Path(name).stat().st_size > 5_000
        assert f"Written: {name}" in result.stderr

    def test_a_curve_without_an_answer_is_refused_and_drawn(self):
        result = invoke(flat(), "--picture", "p.png", "--compare")
        with pytest.raises(clrcore.NoBoundsError) as refusal:
            clrcore.suggest_bounds(clrcore.Curve.from_csv("flat.csv"))
        assert result.exit_code == 3
        assert str(refusal.value) in result.stderr
        assert "raise the sweep's top" in result.stderr
        assert Path("p.png").exists()
        assert "ktrain_minimum" in result.stdout

    def test_rates_that_stand_still_are_drawn_without_a_warning(self):
        Path("const.csv").write_text("lr,loss\n" + "0.1,1.5\n" * 30)
        done = run("suggest", "const.csv", "--picture", "p.png")
        assert done.returncode == 3
        assert done.stderr.startswith("Written: p.png\nError: ")
        assert "Warning" not in done.stderr
        assert Path("p.png").stat().st_size > 5_000

    def test_a_refusal_is_no_json(self):
        result = invoke(flat(), "--json")
        assert (result.exit_code, result.stdout) == (3, "")

    def test_the_rules_beside_a_refusal_as_json(self):
        result = invoke(flat(), "--compare", "--json")
        assert result.exit_code == 3
        data = json.loads(result.stdout)
        assert list(data) == ["refusal", "kind", "files", "rules"]
        assert data["kind"] in clrcore.bounds.KINDS
        assert data["refusal"] in result.stderr
        assert data["files"] == ["flat.csv"]
        assert list(data["rules"]) == list(clrcore.bound_rules())
        curve = clrcore.Curve.from_csv("flat.csv")
        expected = clrcore.suggest_bounds(curve, rule="ktrain_minimum")
        assert data["rules"]["ktrain_minimum"] == expected.to_dict()

    def test_a_curve_of_nothing(self):
        Path("a.csv").write_text("lr,loss\n")
        assert invoke("a.csv").exit_code == 3
        result = invoke("a.csv", "--picture", "p.png")
        assert result.exit_code == 1
        assert "at least one point" in result.stderr

    @each(
        ("arguments", "words"),
        [
            ([], "Missing argument 'FILE...'"),
            (["absent.csv"], "absent.csv"),
            (["a.csv", "./a.csv"], "./a.csv is given twice"),
            (["-", "-"], "- is given twice"),
            (["a.csv", "--rule", "best"], "Error: --rule must be one of 'auto', 'loss', "),
            (
                ["a.csv", "--rule", "accuracy"],
                "--rule must be a rule that the recorded metrics allow",
            ),
            (["a.csv", "--picture", "p.pdf"], "'p.pdf' must end in .png or .svg"),
            (["a.csv", "--sweep", "cubic"], "'cubic'"),
            (["a.csv", "--steps-per-epoch", 0], "--steps-per-epoch"),
            (
                ["a.csv", "--steps-per-epoch", "nan"],
                "--steps-per-epoch must be a finite number",
            ),
            (
                ["a.csv", "--steps-per-epoch", "inf"],
                "--steps-per-epoch must be a finite number",
            ),
        ],
    )
    def test_refuses_options(self, arguments, words):
        curve().to_csv("a.csv")
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())

    def test_losses_and_accuracies_have_nothing_in_common(self):
        Path("a.csv").write_text("lr,loss\n0.1,1\n")
        Path("b.csv").write_text("lr,acc\n0.1,1\n")
        assert "must have a metric in common" in invoke("a.csv", "b.csv").stderr

    def test_a_terminal_that_can_do_nothing(self, folder):
        curve().to_csv("a.csv")
        done = run(
            *("suggest", "a.csv", "--compare"),
            folder=folder,
            PYTHONIOENCODING="ascii",
            TERM="dumb",
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
        assert "\x1b" not in done.stdout

    def test_what_is_missing_is_told(self):
        curve().to_csv("a.csv")
        done = without("matplotlib", "suggest", "a.csv", "--picture", "p.png")
        assert done.returncode == 1
        assert 'run pip install ".[plot]" in a checkout of clrcore' in done.stderr
        assert done.stdout == f"{clrcore.suggest_bounds(curve()).explain()}\n"
