"""The answer as a value: words, plain data, policies; the rules by name; arguments."""

import json
import pickle

import numpy as np
import pytest

import clrcore
from cases import each
from clrcore import Bounds, BoundsWarning, Curve, NoBoundsError, bound_rules, suggest_bounds
from clrcore.bounds import KINDS, RULES
from clrcore.bounds.calibration import NUMBERS, fitted
from curves import exponential, ramp

FIELDS = {
    "base_lr": 0.001,
    "max_lr": 0.006,
    "lr": 0.003,
    "lr_interval": (0.002, 0.005),
    "max_lr_interval": (0.005, 0.02),
    "rule": "loss",
    "reasons": ["It is so."],
    "warnings": ["beware", BoundsWarning("short", "few_points")],
}
BOUNDS = Bounds(**FIELDS)


class TestWords:
    def test_in_five_lines(self):
        assert str(BOUNDS).splitlines() == [
            "lr=0.003 for a constant rate or the peak of one cycle; the best is expected between "
            "0.002 and 0.005",
            "base_lr=0.001, max_lr=0.006 for cycles; the largest rate that trains is expected "
            "between 0.005 and 0.02",
            "rule: loss; not confirmed by trial runs; explain() gives the reasons",
            "warning: beware",
            "warning: short",
        ]

    def test_a_notebook_shows_a_table_of_text(self):
        assert BOUNDS._repr_html_() == (
            "<table><tr><th>lr</th><td>0.003; the best rate is expected between 0.002 and 0.005"
            "</td></tr><tr><th>base_lr</th><td>0.001</td></tr><tr><th>max_lr</th><td>0.006; the "
            "largest rate that trains is expected between 0.005 and 0.02</td></tr>"
            "<tr><th>rule</th><td>loss; not confirmed by trial runs</td></tr>"
            "<tr><th>warning</th><td>beware</td></tr><tr><th>warning</th><td>short</td></tr></table>"
        )
        assert "&lt;b&gt;" in Bounds(**FIELDS | {"rule": "<b>"})._repr_html_()

    def test_plot_leads_on_to_the_functions_that_draw(self):
        with pytest.raises(AttributeError, match=r"plot_confirmation\(bounds\)"):
            BOUNDS.plot()

    def test_the_reasons_on_request(self):
        assert BOUNDS.explain().splitlines()[-2:] == ["reasons:", "- It is so."]

    def test_the_plain_english_of_the_loss_rule(self):
        reasons = suggest_bounds(exponential(n=100)).reasons
        assert "so lr = " in reasons[1]
        assert all(
            reason[0].isupper() or reason.startswith(("max_lr", "base_lr", "lr"))
            for reason in reasons
        )
        assert all(reason.endswith(".") for reason in reasons)

    def test_a_rule_without_an_interval_states_none(self):
        text = str(suggest_bounds(exponential(), rule="valley"))
        assert "expected between" not in text
        assert "does not know how sure it is" in text

    def test_the_repr_is_short(self):
        assert repr(BOUNDS) == (
            "Bounds(base_lr=0.001, lr=0.003, max_lr=0.006, rule='loss', "
            "warnings=['unknown', 'few_points'])"
        )


class TestValue:
    def test_is_a_value(self):
        twin = pickle.loads(pickle.dumps(BOUNDS))
        assert twin == BOUNDS == Bounds(**FIELDS)
        assert hash(twin) == hash(BOUNDS)
        assert twin.warnings[1].kind == "few_points"
        with pytest.raises(AttributeError, match="immutable"):
            BOUNDS.lr = 1.0

    def test_plain_data_bring_it_back(self):
        data = json.loads(json.dumps(BOUNDS.to_dict()))
        assert data["warnings"] == ["beware", "short"]
        assert data["warning_kinds"] == ["unknown", "few_points"]
        for bounds in (BOUNDS, suggest_bounds(exponential(n=40))):
            again = Bounds.from_dict(json.loads(json.dumps(bounds.to_dict())))
            assert again == bounds
            assert [w.kind for w in again.warnings] == [w.kind for w in bounds.warnings]

    def test_dictionaries_of_0_1_0_are_read(self):
        data = BOUNDS.to_dict()
        del data["warning_kinds"], data["trials"]
        again = Bounds.from_dict(data)
        assert (again.lr, again.trials) == (BOUNDS.lr, ())
        with pytest.raises(TypeError, match="data must be a dictionary"):
            Bounds.from_dict([data])
        assert [(w, w.kind) for w in again.warnings] == [
            ("beware", "unknown"),
            ("short", "unknown"),
        ]

    @each(
        ("change", "kind", "message"),
        [
            ({"version": 2}, ValueError, "data has version 2"),
            ({"more": 1}, ValueError, "data has unknown 'more'"),
            ({"warnings": []}, ValueError, "warning_kinds must be as many kinds"),
            ({"warning_kinds": [1]}, TypeError, "warning_kinds must be a list"),
            ({"trials": 1}, TypeError, "trials must be a list"),
            ({"lr": "0.1"}, TypeError, "lr must be a finite number"),
        ],
    )
    def test_wrong_data_are_refused(self, change, kind, message):
        with pytest.raises(kind, match=message):
            Bounds.from_dict(BOUNDS.to_dict() | change)

    @each(
        ("change", "kind", "message"),
        [
            ({"base_lr": 0.1}, ValueError, "max_lr must be >= base_lr"),
            ({"base_lr": float("nan")}, ValueError, "base_lr must be a finite number"),
            ({"lr": 5.0}, ValueError, "lr must be a finite number in"),
            ({"lr": "0.1"}, TypeError, "lr must be a finite number"),
            ({"lr_interval": 0.1}, TypeError, "lr_interval must be a pair"),
            ({"lr_interval": (0.1,)}, TypeError, "lr_interval must be a pair"),
            (
                {"lr_interval": (0.2, 0.1)},
                ValueError,
                r"lr_interval\[1\] must be >= lr_interval\[0\]",
            ),
            ({"max_lr_interval": (0.2, 0.1)}, ValueError, r"max_lr_interval\[1\] must be >="),
            ({"rule": 5}, TypeError, "rule must be the name of a rule"),
            ({"reasons": "abc"}, TypeError, "reasons must be a list of sentences"),
            ({"warnings": None}, TypeError, "warnings must be a list of sentences"),
            ({"warnings": [1]}, TypeError, "warnings must be a list of sentences"),
            ({"trials": 5}, TypeError, "trials must be a list"),
        ],
    )
    def test_impossible_bounds_are_refused(self, change, kind, message):
        with pytest.raises(kind, match=message):
            Bounds(**FIELDS | change)

    def test_python_floats_only(self):
        bounds = suggest_bounds([exponential(), exponential(seed=1)])
        for value in (bounds.base_lr, bounds.lr, bounds.max_lr, *bounds.lr_interval):
            assert type(value) is float
        assert type(Bounds(**FIELDS | {"lr": np.float32(0.005)}).lr) is float

    def test_policies(self):
        assert BOUNDS.policy(100) == clrcore.triangular2(0.001, 0.006, 100)
        hann = BOUNDS.policy(7, "triangular", window="hann")
        assert hann == clrcore.triangular(0.001, 0.006, 7, window="hann")
        assert BOUNDS.policy(7, kind="decay") == clrcore.decay(0.006, 0.001, 7)
        smith = BOUNDS.policy(7, kind="smith_one_cycle")
        assert smith == clrcore.smith_one_cycle(0.001, 0.006, 7)
        ranged = BOUNDS.policy(7, kind="exp_range", gamma=0.9, decays="bounds")
        assert ranged == clrcore.exp_range(0.001, 0.006, 7, gamma=0.9, decays="bounds")
        with pytest.raises(ValueError, match=r"kind must be one of .* got 'one_cycle'"):
            BOUNDS.policy(7, kind="one_cycle")
        with pytest.raises(ValueError, match="step_size"):
            BOUNDS.policy(0)


class TestArguments:
    def test_curves(self):
        with pytest.raises(TypeError, match="curves must be a Curve or a list of Curves, got 3"):
            suggest_bounds(3)
        with pytest.raises(TypeError, match=r"curves\[1\] must be a Curve, got \[0.1\]"):
            suggest_bounds([exponential(), [0.1]])
        with pytest.raises(ValueError, match="at least one Curve"):
            suggest_bounds([])
        with pytest.raises(ValueError, match="curves must have a metric in common"):
            suggest_bounds([exponential(), ramp()])
        assert suggest_bounds((exponential(),)) == suggest_bounds(exponential())

    def test_rule(self):
        with pytest.raises(ValueError, match="rule must be one of 'auto', 'loss'"):
            suggest_bounds(exponential(), rule="best")
        with pytest.raises(TypeError, match="rule must be one of"):
            suggest_bounds(exponential(), rule=None)
        with pytest.raises(ValueError, match="'accuracy' needs accuracy, which curve 1 lacks") as e:
            suggest_bounds([ramp(), exponential()], rule="accuracy")
        assert (e.value.argument, e.value.got) == ("rule", "accuracy")

    @each("rule", RULES)
    def test_every_rule_answers(self, rule):
        bounds = suggest_bounds(ramp(loss=True), rule=rule)
        assert bounds.rule == rule
        assert bounds.base_lr <= bounds.lr <= bounds.max_lr
        description, metric = bound_rules()[rule]
        assert description
        assert metric in ("loss", "accuracy")


def test_warnings_and_refusals_are_text_with_a_kind():
    with pytest.raises(NoBoundsError) as caught:
        suggest_bounds(Curve(np.geomspace(1e-6, 1.0, 50), np.ones(50)))
    assert pickle.loads(pickle.dumps(caught.value)).kind == "no_fall"
    warning = suggest_bounds(exponential(n=40)).warnings[0]
    assert isinstance(warning, str)
    assert warning.kind == "few_points"
    assert all(meaning for meaning in KINDS.values())


def test_there_are_few_fitted_numbers_and_each_says_what_it_is():
    assert len(NUMBERS) < 20
    for name, number in NUMBERS.items():
        assert number.meaning
        assert number.tried[0] <= number.value <= number.tried[1]
        assert fitted(name) == number.value
        assert all(isinstance(drop, float) for drop in (number.halved, number.doubled))
