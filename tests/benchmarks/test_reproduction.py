"""The reproduction: verdicts, arms, the networks beside the demo's, a short run, the page."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import clrcore

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")

import reproduce  # noqa: E402
from reproduction import arms, claims, page, results  # noqa: E402
from reproduction.networks import Adam, Setup, SigmoidNetwork  # noqa: E402

from clr_adapters.cli.demo import experiment, training  # noqa: E402
from clr_adapters.cli.demo.network import Momentum, Network  # noqa: E402
from clr_adapters.cli.demo.statistics import Estimate  # noqa: E402
from demo_data import check_gradient  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
BENCHMARKS = Path(reproduce.__file__).parent
SIZES = (6, 5, 4, 3)
RISE = "cycles need their rise"
ADAM = "with Adam cycles gain little"
# The claims that all rest on a superiority.
TIES = (
    "better than tuned schedules of the same length",
    "cycles save tuning",
    RISE,
    "the end of a cycle is the moment to stop",
)


def interval(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, (high - low) / 2)


class TestRules:
    @pytest.mark.parametrize(
        ("low", "high", "verdict"),
        [
            (0.1, 0.9, claims.HELD),
            (-0.2, 0.9, claims.TIED),
            (-5.0, 9.0, claims.TIED),
            (0.0, 0.0, claims.TIED),
            (-0.9, -0.1, claims.NOT_CONFIRMED),
        ],
    )
    def test_superior(self, low, high, verdict):
        assert claims.superior(interval(low, high)) == verdict

    @pytest.mark.parametrize(
        ("low", "high", "verdict"),
        [
            (0.1, 0.9, claims.HELD),
            (-0.4, 0.2, claims.HELD),
            (-0.4, -0.1, claims.HELD),  # lower, but by less than counts
            (-0.75, 0.75, claims.NOT_CONFIRMED),  # a tie that leaves too much open
            (-2.0, -1.0, claims.NOT_CONFIRMED),
        ],
    )
    def test_non_inferior(self, low, high, verdict):
        assert claims.non_inferior(interval(low, high)) == verdict

    @pytest.mark.parametrize(
        ("low", "high", "verdict"),
        [
            (-2.0, -1.0, claims.HELD),
            (-0.1, 0.4, claims.HELD),
            (0.1, 0.4, claims.HELD),  # a gain, but a small one
            (-0.1, 0.6, claims.TIED),
            (0.25, 0.75, claims.NOT_CONFIRMED),
            (1.0, 2.0, claims.NOT_CONFIRMED),
        ],
    )
    def test_little_gain(self, low, high, verdict):
        assert claims.little_gain(interval(low, high)) == verdict

    def test_one_collapsed_seed_is_enough(self):
        assert claims.none_collapsed(0) == claims.HELD
        assert claims.none_collapsed(1) == claims.NOT_CONFIRMED

    @pytest.mark.parametrize(
        ("lines", "verdict"),
        [
            ([claims.HELD, claims.HELD], claims.HELD),
            ([claims.HELD, claims.TIED], claims.TIED),
            ([claims.HELD, claims.TIED, claims.NOT_CONFIRMED], claims.NOT_CONFIRMED),
        ],
    )
    def test_a_claim_is_as_good_as_its_weakest_line(self, lines, verdict):
        assert claims.overall(lines) == verdict


def made_up_finals(case: str, arm: float, other: float):
    """Made-up accuracies of all arms of a case: those that claims are made for, and the rest."""
    noise = np.array([-0.1, 0.0, 0.1, 0.05])
    names = {
        name
        for claim in claims.CLAIMS
        if case in claim.cases
        for line in claim.lines
        for name in line[1:]
        if name is not None
    }
    against = {line[2] for claim in claims.CLAIMS for line in claim.lines}
    return {
        name: (other + 0 * noise) if name in against else (arm + noise) for name in sorted(names)
    }


class TestJudge:
    def verdicts(self, case: str, arm: float, other: float) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for line in claims.judge(case, made_up_finals(case, arm, other)):
            found.setdefault(line.claim, set()).add(line.verdict)
        return found

    @pytest.mark.parametrize("case", ["relu-sgd", "sigmoid-sgd", "relu-adam"])
    def test_every_claim_can_hold(self, case):
        better = self.verdicts(case, 96.0, 94.0)
        for claim in claims.CLAIMS:
            if case in claim.cases and claim.title != ADAM:
                assert better[claim.title] == {claims.HELD}
        if case == "relu-adam":
            assert self.verdicts(case, 94.0, 96.0)[ADAM] == {claims.HELD}

    @pytest.mark.parametrize("case", ["relu-sgd", "sigmoid-sgd", "relu-adam"])
    def test_every_claim_can_fail(self, case):
        worse = self.verdicts(case, 94.0, 96.0)
        for claim in claims.CLAIMS:
            if case in claim.cases and claim.title != ADAM:
                assert claims.NOT_CONFIRMED in worse[claim.title]
        if case == "relu-adam":
            assert self.verdicts(case, 96.0, 94.0)[ADAM] == {claims.NOT_CONFIRMED}

    def test_every_superiority_can_tie(self):
        tied = self.verdicts("sigmoid-sgd", 95.0, 95.0)
        assert all(tied[key] == {claims.TIED} for key in TIES)

    def test_collapsed_seeds_are_counted_by_arm(self):
        finals = made_up_finals("relu-sgd", 95.0, 95.0)
        finals[experiment.STAGED] = np.array([95.0, 12.0, 49.9, 50.0])
        lines = claims.judge("relu-sgd", finals)
        collapsed = {line.arm: line.collapsed for line in lines if line.against is None}
        assert collapsed.pop(experiment.STAGED) == 2
        assert set(collapsed.values()) == {0}

    def test_differences_are_paired(self):
        finals = made_up_finals("relu-sgd", 95.0, 95.0)
        finals[arms.DECAY] = np.array([90.0, 95.0, 93.0, 97.0])
        finals[experiment.TRIANGULAR] = finals[arms.DECAY] + [0.4, 0.5, 0.6, 0.5]
        line = next(f for f in claims.judge("relu-sgd", finals) if f.claim == RISE)
        assert line.difference.mean == pytest.approx(0.5)
        assert line.difference.half_width == pytest.approx(
            3.182 * math.sqrt(0.02 / 3) / 2, rel=1e-3
        )

    def test_a_peak_stands_between_two_ends(self):
        # Accuracy that grows steadily is the same at peaks as around them.
        steady = np.arange(50.0)[None, :]
        found = claims.around_peaks(steady)
        assert found[claims.ENDS] == found[claims.PEAKS] == [29.0]
        assert found[claims.LAST_END] == [49.0]
        assert found[claims.LAST_PEAK] == [44.0]

    def test_peaks_and_ends_are_those_of_the_arm(self):
        case, unit = arms.CASES[0], 35
        todo = {arm.name: arm for arm in made_up_arms(case, unit)}
        policy = todo[experiment.TRIANGULAR].policy
        looks = np.arange(1, 51) * unit
        found = claims.around_peaks(policy(looks)[None, :])
        assert found[claims.LAST_PEAK] == found[claims.PEAKS] == [policy.max_lr]
        assert found[claims.LAST_END] == found[claims.ENDS] == [policy.base_lr]


def made_up_arms(case: arms.Case, unit: int) -> list[experiment.Arm]:
    bounds = clrcore.Bounds(
        base_lr=0.02,
        max_lr=0.2,
        lr=0.1,
        max_lr_interval=(0.1, 0.3),
        lr_interval=(0.05, 0.2),
        rule="accuracy",
    )
    settings = experiment.Settings((0, 1), unit)
    return arms.arms(case, bounds, arms.peak_rule(0.5), settings)


class TestArms:
    @pytest.mark.parametrize("case", arms.CASES, ids=lambda case: case.key)
    @pytest.mark.parametrize("unit", [1, 35])
    def test_all_but_the_baseline_have_the_same_budget(self, case, unit):
        first, *others = made_up_arms(case, unit)
        assert (first.name, first.total_steps) == (experiment.LONG, 140 * unit)
        assert {arm.total_steps for arm in others} == {50 * unit}

    @pytest.mark.parametrize("case", arms.CASES, ids=lambda case: case.key)
    def test_every_arm_that_a_claim_names_is_run(self, case):
        there = {arm.name for arm in made_up_arms(case, 1)}
        there |= {claims.BEST, claims.MEAN, *claims.around_peaks(np.zeros((1, 50)))}
        for claim in claims.CLAIMS:
            for _, arm, against in claim.lines if case.key in claim.cases else ():
                assert {arm, against} <= there | {None}

    @pytest.mark.parametrize("case", arms.CASES, ids=lambda case: case.key)
    def test_the_grid_is_even_in_logs_and_wide_enough(self, case):
        assert len(case.grid) >= 6
        ratios = np.diff(np.log10(case.grid))
        assert ratios == pytest.approx([0.5] * len(ratios), abs=0.03)  # 1, 3, 10, ...

    @pytest.mark.parametrize("case", arms.CASES, ids=lambda case: case.key)
    def test_the_constants_above_carry_the_grid_on(self, case):
        ratios = np.diff(np.log10((case.grid[-1], *case.above)))
        assert len(ratios) >= 2
        assert ratios == pytest.approx([0.5] * len(ratios), abs=0.03)
        policies = {arm.name: arm.policy for arm in made_up_arms(case, 1)}
        for lr in case.above:
            assert policies[arms.above_name(lr)] == clrcore.constant(lr)

    @pytest.mark.parametrize("case", arms.CASES, ids=lambda case: case.key)
    def test_no_claim_and_no_difference_names_a_constant_above(self, case):
        named = {name for claim in claims.CLAIMS for line in claim.lines for name in line[1:]}
        named |= {name for pair in claims.FURTHER for name in pair}
        assert not named & {arms.above_name(lr) for lr in case.above}

    def test_the_papers_factor_is_kept_per_epoch(self):
        assert arms.gamma(35) ** 35 == pytest.approx(0.99994**500)
        assert arms.gamma(500) == 0.99994

    def test_decay_falls_in_the_papers_part_of_the_run(self):
        decay = {arm.name: arm.policy for arm in made_up_arms(arms.CASES[0], 500)}[arms.DECAY]
        assert decay == clrcore.decay(0.2, 0.02, 4000)

    def test_the_peak_is_that_of_the_mean(self):
        lr = np.linspace(0.0, 1.0, 101)
        curves = [
            clrcore.Curve(lr, accuracy=np.exp(-((lr - at) ** 2) / 0.02), held_out=True)
            for at in (0.4, 0.6)
        ]
        assert arms.peak_of(curves) == pytest.approx(0.5, abs=0.02)
        assert arms.peak_rule(0.5) == pytest.approx((0.1, 0.4))

    def test_a_seed_that_ended_early_does_not_hide_the_peak(self):
        lr = np.linspace(0.0, 1.0, 101)
        hill = np.exp(-((lr - 0.4) ** 2) / 0.02)
        hill[::2] = np.nan  # accuracy is looked at every other update
        curves = [
            clrcore.Curve(lr[:n], accuracy=hill[:n], sweep="linear", held_out=True)
            for n in (101, 70)
        ]
        assert arms.peak_of(curves) == pytest.approx(0.4, abs=0.02)


def made_up_case(test: dict[float, float], validation: dict[float, float]):
    """A case of made-up histories: final accuracies of two seeds, 0 to 1, by constant rate.

    test: of the worse seed; the other has 0.9. validation: of both; 0.5 where none is given.
    """
    case, settings = arms.CASES[0], experiment.Settings((0, 1), 1)
    todo = made_up_arms(case, 1)

    def history(arm: experiment.Arm) -> training.History:
        lr = arm.policy(0)
        found = np.full((2, arm.total_steps), 0.9)
        chosen = 0.5
        if arm.name.startswith("constant "):
            found[0, -1] = test.get(lr, 0.9)
            chosen = validation.get(lr, 0.5)
        steps = np.arange(1, arm.total_steps + 1)
        return training.History(np.full(len(steps), lr), steps, found, np.full(2, chosen))

    lr = np.linspace(0.0, 1.0, 101)
    curve = clrcore.Curve(lr, accuracy=np.exp(-((lr - 0.45) ** 2) / 0.02), held_out=True)
    bounds = clrcore.suggest_bounds(curve)
    histories = {arm.name: history(arm) for arm in todo}
    return results.of_case(case, [curve], bounds, 0.45, todo, histories, settings)


class TestConstantsAbove:
    """They say which rates are stable, and nothing else."""

    def test_they_change_no_other_number(self):
        plain = made_up_case({}, {0.1: 0.9})
        other = made_up_case({1.0: 0.1, 3.0: 0.2}, {0.1: 0.9, 1.0: 1.0, 3.0: 1.0})
        above = {arms.above_name(lr) for lr in (1.0, 3.0)}
        assert plain["chosen"] == other["chosen"] == 0.1
        assert [plain[key] for key in ("findings", "further", "verdicts", "target")] == [
            other[key] for key in ("findings", "further", "verdicts", "target")
        ]
        rows, others = (
            [row for row in some["rows"] if row["name"] not in above] for some in (plain, other)
        )
        assert rows == others
        assert len(plain["rows"]) == len(rows) + 2

    def test_the_best_constant_costs_the_other_five_of_the_grid(self):
        rows = {row["name"]: row for row in made_up_case({}, {0.1: 0.9})["rows"]}
        assert rows[claims.BEST]["tuning"] == 5 * 50
        assert rows[arms.above_name(3.0)]["tuning"] == 0

    @pytest.mark.parametrize(
        ("collapsed", "stable", "says"),
        [
            (
                (),
                3.0,
                "0.45, is 0.15 times the largest constant rate at which no seed collapsed, 3;"
                " none above that was run.",
            ),
            (
                (3.0,),
                1.0,
                "is 0.45 times the largest constant rate at which no seed collapsed, 1;"
                " at the next, 3, 1 did.",
            ),
            (
                (1.0, 3.0),
                0.3,
                "is 1.5 times the largest constant rate at which no seed collapsed,"
                " 0.3; at the next, 1, 1 did.",
            ),
            ((0.3, 1.0, 3.0), 0.1, "no seed collapsed, 0.1; at the next, 0.3, 1 did."),
            ((0.1, 3.0), 1.0, "no seed collapsed, 1; at the next, 3, 1 did."),
            (
                (*arms.CASES[0].grid, 1.0, 3.0),
                None,
                "Seeds collapsed at every constant rate; the range test's peak is 0.45.",
            ),
        ],
    )
    def test_the_peak_is_set_against_the_largest_stable_one(self, collapsed, stable, says):
        case = made_up_case(dict.fromkeys(collapsed, 0.1), {0.1: 0.9})
        assert case["largest_stable"] == stable
        assert page.peak_text(case).endswith(says)
        assert page.peak_text(case) in page.case_text(case).replace("\n", " ")


def test_updates_to_target():
    steps = np.array([10, 20, 30])
    accuracy = np.array([[0.1, 0.9, 0.5], [0.1, 0.2, 0.9], [0.9, 0.1, 0.1]])
    assert results.reached(steps, accuracy, 0.9) == (20, 0)
    assert results.reached(steps, accuracy[[0, 0, 2]] - [[0], [0], [0.5]], 0.9) == (20, 1)
    assert results.reached(steps, accuracy, 0.95) == (math.inf, 3)


class TestNetworks:
    def test_the_sigmoids_gradient_is_that_of_the_loss(self):
        network = SigmoidNetwork(2, SIZES, np.float64)
        network.initialise([1, 2])
        check_gradient(network)

    def test_the_sigmoid_cannot_overflow(self):
        network = SigmoidNetwork(1, SIZES)
        network.parameters += 1e30
        loss = network.differentiate(np.ones((1, 2, 6), np.float32), np.array([[0, 1]]))
        assert np.isfinite(network.gradient).all()
        assert np.isfinite(loss).all()

    @pytest.mark.parametrize(("kind", "gain"), [(Network, 2), (SigmoidNetwork, 1)])
    def test_initial_weights_have_the_activations_variance(self, kind, gain):
        network = kind(1, (400, 300))
        network.initialise([0])
        weights = network.parameters[0, : 400 * 300]
        # The variance of 120,000 values scatters by 0.4 %.
        assert weights.var() * 400 == pytest.approx(gain, rel=0.02)

    def test_adam_by_hand(self):
        network = Network(1, (1, 1), np.float64)
        network.parameters[...] = 2.0
        optimizer = Adam(network, betas=(0.5, 0.75), weight_decay=0.1, epsilon=0.01)
        first = second = 0.0
        weight = 2.0
        for made, (gradient, lr) in enumerate([(1.0, 0.1), (-3.0, 0.2), (0.5, 0.05)], start=1):
            network.gradient[...] = gradient
            optimizer.update(lr)
            decayed = gradient + 0.1 * weight
            first = 0.5 * first + 0.5 * decayed
            second = 0.75 * second + 0.25 * decayed**2
            step = first / (1 - 0.5**made) / (math.sqrt(second / (1 - 0.75**made)) + 0.01)
            weight -= lr * step
            assert network.parameters == pytest.approx(weight, rel=1e-12)

    def test_adam_takes_a_rate_per_member(self):
        network = Network(2, (1, 1), np.float64)
        network.gradient[...] = 1.0
        Adam(network).update(np.array([0.0, 0.1]))
        assert network.parameters[0].tolist() == [0.0, 0.0]
        assert network.parameters[1] == pytest.approx(-0.1)

    @pytest.mark.parametrize(
        ("optimizer", "kind"), [("sgd", Momentum), ("adam", Adam)], ids=["sgd", "adam"]
    )
    def test_a_setup_has_its_parts(self, optimizer, kind):
        network, made = Setup("sigmoid", optimizer).start([3])
        assert type(made) is kind
        alone = SigmoidNetwork(1)
        alone.initialise([3])
        assert np.array_equal(network.parameters, alone.parameters)

    def test_unknown_parts_are_refused(self):
        with pytest.raises(ValueError, match="activation must be one of 'relu', 'sigmoid'"):
            Setup("tanh").start([0])
        with pytest.raises(ValueError, match="optimizer must be one of 'sgd', 'adam'"):
            Setup(optimizer="rmsprop").start([0])


def python(*arguments: str) -> str:
    """Run Python by itself: only before NumPy is imported can its threads be limited."""
    path = os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run: its folder, and what it said."""
    pytest.importorskip("mlxtend")
    folder = tmp_path_factory.mktemp("run")
    return folder, python(str(BENCHMARKS / "reproduce.py"), "--quick", "--out", str(folder))


@pytest.fixture(scope="module")
def folder(run):
    return run[0]


@pytest.fixture(scope="module")
def result(folder):
    return json.loads((folder / "results.json").read_text())


# Trains one case again, and two of the demo's arms with the demo's own functions.
AGAIN = """
import json, reproduce
from clr_adapters.cli.demo import experiment, training
from reproduction.arms import CASES

settings = experiment.Settings(tuple(range(reproduce.QUICK_SEEDS)), 1)
digits = reproduce.data.load()
splits = reproduce.data.split(digits, settings.seeds)
case = reproduce.train(CASES[1], digits, settings)
curves = training.range_test(experiment.SWEEP, splits, settings.seeds, tick=lambda steps: None)
bounds = reproduce.clrcore.suggest_bounds(curves)
arms = experiment.arms(bounds.base_lr, bounds.max_lr, bounds.lr, settings)
arms = [arm for arm in arms if arm.name in (experiment.SHORT, experiment.STAGED)]
histories = experiment.run_arms(arms, splits, settings, lambda steps: None)
demo = {name: history.test.round(6).tolist() for name, history in histories.items()}
print(json.dumps({"case": case, "curves": [curve.to_dict() for curve in curves], "demo": demo}))
"""


@pytest.fixture(scope="module")
def again():
    pytest.importorskip("mlxtend")
    return json.loads(python("-c", AGAIN))


class TestRun:
    def test_the_same_seeds_give_the_same_numbers(self, result, again):
        assert again["case"] == result["cases"][arms.CASES[1].key]

    def test_the_demos_arms_are_the_demos(self, result, again):
        """Sharing seeds with the demo means sharing its numbers."""
        plain = result["cases"]["relu-sgd"]
        assert again["curves"] == plain["curves"]
        assert len(again["demo"]) == 2
        for name, accuracy in again["demo"].items():
            assert accuracy == plain["runs"][name]["test"]

    def test_the_rules_come_first(self, run):
        _, said = run
        assert said.startswith(page.rules())
        assert said.index("## Short version") > len(page.rules())

    def test_nothing_is_trained_before_the_rules_are_printed(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr(reproduce.data, "load", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            reproduce.main(["--quick", "--out", str(tmp_path)])
        assert capsys.readouterr().out.strip() == page.rules()

    def test_the_page_is_made_from_what_was_left(self, folder, tmp_path):
        reproduce.main(["--out", str(folder), "--page", str(tmp_path / "evidence.md")])
        text = (tmp_path / "evidence.md").read_text()
        evidence = json.loads((tmp_path / "evidence.json").read_text())
        assert text == page.whole(evidence)  # no scoreboard is beside it
        for name in ("range-tests", "differences", "accuracy"):
            assert f"(pictures/evidence-{name}.png)" in text
            picture = (tmp_path / "pictures" / f"evidence-{name}.png").read_bytes()
            assert picture == (folder / f"{name}.png").read_bytes()


@pytest.fixture(scope="module")
def evidence():
    return json.loads((DOCS / "evidence.json").read_text())


class TestPage:
    """The page that is kept says what the numbers beside it say."""

    def test_it_is_what_the_numbers_make(self, evidence):
        today = reproduce.today(DOCS / "scoreboard.json")
        assert (DOCS / "evidence.md").read_text() == page.whole(evidence, today)

    def test_it_is_of_the_full_run(self, evidence):
        settings = evidence["result"]["settings"]
        assert settings["seeds"] == list(range(reproduce.SEEDS))
        assert settings["short_updates"] == 50 * experiment.EPOCH

    def test_its_verdicts_follow_from_its_intervals(self, evidence):
        for case in evidence["result"]["cases"].values():
            for found in case["findings"]:
                if found["difference"] is None:
                    assert found["verdict"] == claims.none_collapsed(found["collapsed"])
                    continue
                low, high = found["difference"]["low"], found["difference"]["high"]
                assert found["verdict"] == claims.RULES[found["rule"]](interval(low, high))
            for claim, verdict in case["verdicts"].items():
                lines = [f["verdict"] for f in case["findings"] if f["claim"] == claim]
                assert verdict == claims.overall(lines)

    def test_its_claims_and_arms_are_those_of_the_code(self, evidence):
        for case in arms.CASES:
            plain = evidence["result"]["cases"][case.key]
            lines = [(f["claim"], f["rule"], f["arm"], f["against"]) for f in plain["findings"]]
            assert lines == [
                (claim.title, *line)
                for claim in claims.CLAIMS
                if case.key in claim.cases
                for line in claim.lines
            ]
            bounds = clrcore.Bounds.from_dict(plain["bounds"])
            settings = experiment.Settings(tuple(evidence["result"]["settings"]["seeds"]))
            peak = arms.peak_rule(plain["peak"]["lr"])
            made = arms.arms(case, bounds, peak, settings)
            kept = plain["arms"]
            assert [arm.name for arm in made] == list(kept)
            for arm in made:
                assert arm.policy == clrcore.policy_from_dict(kept[arm.name]["policy"])

    def test_its_constants_reach_twice_the_peak(self, evidence):
        for case in arms.CASES:
            peak = evidence["result"]["cases"][case.key]["peak"]["lr"]
            assert max(case.grid) < peak <= max(case.above) / 2

    def test_its_pictures_are_there(self):
        text = (DOCS / "evidence.md").read_text()
        for name in ("range-tests", "differences", "accuracy"):
            assert f"(pictures/evidence-{name}.png)" in text
            assert (DOCS / "pictures" / f"evidence-{name}.png").is_file()

    def test_a_line_that_ends_otherwise_changes_the_page(self, evidence):
        changed = json.loads(json.dumps(evidence))
        case = changed["result"]["cases"]["relu-sgd"]
        shown = (experiment.STAGED, experiment.SHORT)  # a difference in the short version
        line = next(f for f in case["findings"] if (f["arm"], f["against"]) == shown)
        line["difference"] = {"mean": -3.0, "low": -4.0, "high": -2.0}
        assert page.whole(changed) != page.whole(evidence)

    def test_digests_tell_rates_apart(self):
        rates = np.array([0.1, 0.2])
        assert results.digest(rates) == results.digest(rates.copy())
        assert results.digest(rates) != results.digest(np.nextafter(rates, 1.0))
