"""The scoreboard: its arms, the search for peaks, a short contest, the page."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest

import clrcore

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")
for package in ("mlxtend", "sklearn", "prodigyopt", "schedulefree"):
    pytest.importorskip(package)

from contest import arms, page, results, tasks, tuning, verdicts  # noqa: E402

from clrcore import planning  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
TASK = tasks.TASKS[0]
SHORT = [dataclasses.replace(task, total_steps=40) for task in tasks.TASKS]


class TestArms:
    BOUNDS = clrcore.Bounds(
        base_lr=0.02,
        max_lr=0.12,
        lr=0.1,
        max_lr_interval=(0.1, 0.3),
        lr_interval=(0.05, 0.2),
        rule="loss",
    )

    @pytest.mark.parametrize("arm", arms.SCHEDULES, ids=lambda arm: arm.name)
    def test_without_tuning_they_are_what_the_bounds_plan(self, arm):
        peak = arms.untuned_peak(arm, "mom", self.BOUNDS.lr, self.BOUNDS.max_lr)
        policy = arm.plan(peak, 1000)
        kind = arm.name.replace(" ", "_").lower()
        if kind in ("linear", "cosine"):  # the bounds plan them without a warm-up
            assert policy(50) == self.BOUNDS.policy(total_steps=950, kind=kind)(0)
            assert policy(0) == pytest.approx(peak / 50)
        elif kind in planning.SCHEDULES:
            assert policy == self.BOUNDS.policy(total_steps=1000, kind=kind)
        else:
            assert peak == (0.1 if arm.name == arms.FIXED else 0.12)

    @pytest.mark.parametrize("arm", arms.SCHEDULES, ids=lambda arm: arm.name)
    def test_none_exceeds_its_peak(self, arm):
        assert max(arm.plan(0.1, 1000).values(0, 1000)) <= 0.1

    def test_exp_range_ends_at_eight_percent(self):
        exp_range = {arm.name: arm for arm in arms.SCHEDULES}[arms.EXP_RANGE].plan(1.0, 1000)
        assert exp_range(1000) == pytest.approx(0.25 * 0.0805, rel=1e-3)


class TestSearch:
    FIRST = (-8, -6, -4, -2)

    def walked(self, score) -> list[int]:
        tried: dict[int, float] = {}
        while (quarter := tuning.next_rate(tried, self.FIRST)) is not None:
            tried[quarter] = score(quarter)
        return list(tried)

    def test_it_ends_beside_the_best(self):
        assert self.walked(lambda q: -abs(q + 5.2)) == [-8, -6, -4, -2, -7, -5]

    def test_it_goes_beyond_both_edges(self):
        assert self.walked(lambda q: q if q <= 2 else -99) == [*self.FIRST, 0, 2, 4, 1, 3]
        assert self.walked(lambda q: -q if q >= -12 else -99)[4:7] == [-10, -12, -14]

    def test_it_stops_at_its_limits(self):
        assert max(self.walked(float)) == tuning.HIGHEST + 1
        assert min(self.walked(lambda q: -float(q))) == tuning.LOWEST - 1

    def test_the_lower_of_equals_is_best(self):
        assert tuning.best({-2: 90.0, -4: 90.0, -6: 80.0}) == -4

    def test_a_search_that_was_cut_ends_as_one_that_was_not(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tuning, "TUNED", tuning.TUNED[:2])
        whole, cut = tmp_path / "whole.json", tmp_path / "cut.json"
        tuning.tune(whole, SHORT[:1])

        class CutError(Exception):
            pass

        left = [5]
        train = tuning.train

        def train_until_cut(*arguments):
            left[0] -= 1
            if left[0] < 0:
                raise CutError
            return train(*arguments)

        monkeypatch.setattr(tuning, "train", train_until_cut)
        with pytest.raises(CutError):
            tuning.tune(cut, SHORT[:1])
        assert not tuning.Peaks(cut).whole(TASK, tuning.TUNED[0])
        with pytest.raises(ValueError, match="--tune first"):
            tuning.Peaks(cut).peak(TASK, tuning.TUNED[0])
        monkeypatch.setattr(tuning, "train", train)
        tuning.tune(cut, SHORT[:1])
        assert cut.read_bytes() == whole.read_bytes()


class TestTasks:
    def test_a_training_that_diverges_counts_as_untrained(self):
        task = SHORT[1]  # a loss in nats
        outcome = tasks.train(task, tasks.OWN, clrcore.constant(1e30), 1)
        assert outcome.diverged
        assert outcome.scores == task.start(1, tasks.OWN).scores()

    # Texts repeat passages, so only images are compared.
    @pytest.mark.parametrize("task", [SHORT[0], *SHORT[3:]], ids=lambda task: task.key)
    def test_no_row_is_in_two_sets(self, task):
        training = task.start(7, tasks.SCHEDULE_FREE)
        trained = [next(training._batches)[0] for _ in range(30)]
        sets = [torch.cat(trained), *(rows for rows, _ in training._held)]
        found = [{tuple(row.flatten().tolist()) for row in rows} for rows in sets]
        for ours, theirs in itertools.combinations(found, 2):
            assert ours
            assert not ours & theirs

    def test_all_optimizers_start_from_the_same_weights(self):
        for task in SHORT:
            own, other = (task.start(3, kind).update(1e-9) for kind in (tasks.OWN, tasks.PRODIGY))
            assert own == pytest.approx(other, rel=1e-5)


def run(folder: Path, processes: int):
    """A contest of forty updates, two seeds, two tasks."""
    return results.run(folder, tuning.FILE, [SHORT[0], SHORT[2]], (1, 2), processes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("contest")


@pytest.fixture(scope="module")
def contest(folder):
    return run(folder, processes=2)


class TestContest:
    def test_it_is_the_same_again_in_one_process(self, contest, tmp_path):
        assert json.dumps(run(tmp_path, processes=1)) == json.dumps(contest)

    def test_it_trains_only_what_the_folder_lacks(self, contest, folder):
        times = {path: path.stat().st_mtime_ns for path in folder.glob("*.json")}
        lost = sorted(times)[1]
        lost.unlink()
        assert json.dumps(run(folder, processes=1)) == json.dumps(contest)
        changed = [path for path in times if path.stat().st_mtime_ns != times[path]]
        assert changed == [lost]

    def test_every_arm_has_a_score_of_every_seed(self, contest):
        names = [arm.name for arm in arms.TUNED]
        for task in contest["tasks"].values():
            assert list(task[verdicts.TUNED_PEAK]) == names
            assert set(task[verdicts.UNTUNED]) == {*names, arms.PRODIGY}
            for source in (verdicts.UNTUNED, verdicts.TUNED_PEAK):
                for outcome in task[source].values():
                    assert len(outcome["score"]) == 2

    def test_it_takes_the_committed_peaks(self, contest):
        peaks = tuning.Peaks()
        tuned = contest["tasks"][TASK.key][verdicts.TUNED_PEAK]
        for arm in arms.TUNED:
            assert tuned[arm.name]["peak"] == [peaks.peak(TASK, arm)] * 2


class TestVerdicts:
    def task(self, ours: list[float], theirs: list[float]):
        return {"range test": {"a": {"score": ours}, "b": {"score": theirs}}}

    @pytest.mark.parametrize(
        ("ours", "word"),
        [
            ([91.0, 92.1, 93.0], verdicts.WINS),
            ([89.0, 90.1, 91.0], verdicts.LOSES),
            ([90.1, 90.8, 92.2], verdicts.TIES),
        ],
    )
    def test_differences_are_paired(self, ours, word):
        task = self.task(ours, [90.0, 91.0, 92.0])
        sides = verdicts.Side("a", "range test"), verdicts.Side("b", "range test")
        assert verdicts.verdict(verdicts.difference(task, *sides)) == word
        assert sum(verdicts.record([task], sides[0], [sides[1]])) == 1


class TestPage:
    def test_it_is_what_the_numbers_say(self):
        result = json.loads((DOCS / "scoreboard.json").read_text())
        assert (DOCS / "scoreboard.md").read_text() == page.whole(result)

    def test_it_is_of_the_full_contest(self):
        result = json.loads((DOCS / "scoreboard.json").read_text())
        assert tuple(result["seeds"]) == results.SEEDS
        assert list(result["tasks"]) == [task.key for task in tasks.TASKS]
        for task in tasks.TASKS:
            assert result["tasks"][task.key]["total_steps"] == task.total_steps
