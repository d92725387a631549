"""Pictures: the right numbers are in the lines, on the right axes."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tracemalloc
from itertools import combinations
from types import SimpleNamespace

import pytest

import clrcore

np = pytest.importorskip("numpy")
matplotlib = pytest.importorskip("matplotlib")

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from cases import each  # noqa: E402
from clr_adapters.plot import notebooks, plot_confirmation, plot_policy, plot_range_test  # noqa: E402

TRIANGULAR = clrcore.triangular(0.1, 0.4, 5)
TABLE2 = clrcore.chain(
    [(clrcore.triangular2(0.1, 0.5, 20), 160), (clrcore.triangular2(0.01, 0.05, 10), 60)]
)


def line(ax: Axes, label: str):
    return next(line for line in ax.lines if line.get_label() == label)


def labels(ax: Axes) -> list[str]:
    """What names the lines: the legend, or the labels at their ends."""
    legend = ax.get_legend()
    return [text.get_text() for text in (ax.texts if legend is None else legend.get_texts())]


def marked(line) -> list[int]:
    bare = line.get_marker() in ("None", "", " ")
    return [] if bare else line.get_xdata()[line.get_markevery()].tolist()


def looks(lines) -> set[object]:
    """How lines differ on a black-and-white printer, marks left out."""
    return {(line.get_linestyle(), str(line._dash_pattern), line.get_linewidth()) for line in lines}


def png(ax: Axes) -> bytes:
    file = io.BytesIO()
    ax.figure.savefig(file, format="png")
    return file.getvalue()


def curve(num: int = 60, *, kind: str = "exponential", loss=True, accuracy=False, seed: int = 0):
    sweep = getattr(clrcore, f"{kind}_sweep")(1e-4, 1.0, num)
    lr = sweep.values(0, num)
    noise = 0.05 * np.random.default_rng(seed).standard_normal(num)
    fall = 1 / (1 + (lr / 0.01) ** 2)
    seen = np.where(np.arange(num) % 3 == 2, 0.9 - 0.8 * fall, np.nan)
    return clrcore.Curve(
        lr, loss=2 * fall + noise if loss else None, accuracy=seen if accuracy else None
    )


BOUNDS = clrcore.Bounds(
    base_lr=0.01,
    max_lr=0.2,
    lr=0.05,
    max_lr_interval=(0.1, 0.3),
    lr_interval=(0.02, 0.1),
    rule="loss",
)


class TestPolicy:
    @each(
        "policy",
        [
            TRIANGULAR,
            clrcore.triangular2(0.1, 0.4, 5, 7, window="hann"),
            clrcore.stepwise(0.1, [30, 40]),
            clrcore.constant(0.3),
            clrcore.warm_restarts(0.1, 0.4, 6, multiplier=2),
            TABLE2,
            clrcore.one_cycle(0.4, 50),
        ],
    )
    def test_the_line_is_the_policy_and_its_marks_the_cycle_ends(self, policy):
        ax = plot_policy(policy, 50)
        drawn = line(ax, policy.constructor)
        x, y = drawn.get_data()
        inside = x < 50
        assert x[inside].tolist() == list(range(50))
        assert np.array_equal(y[inside], policy.values(0, 50))
        ends = policy.cycle_ends(50)
        if policy.constructor == "warm_restarts":  # the end is where the rate is lowest
            ends = [end - 1 for end in ends]
        assert marked(drawn) == ends
        assert ("marks are ends of cycles" in ax.get_xlabel()) == bool(ends)

    def test_only_cyclic_policies_bear_marks(self):
        ax = plot_policy([clrcore.constant(0.3), TRIANGULAR, clrcore.stepwise(0.1, [30])], 50)
        assert [marked(drawn) for drawn in ax.lines[:3]] == [[], [10, 20, 30, 40, 50], []]
        assert "marks are ends of cycles" in ax.get_xlabel()

    @each(
        ("policy", "scale"),
        [
            (clrcore.exponential_sweep(1e-6, 10.0, 300), "log"),
            (clrcore.chain([(TABLE2, 220), (clrcore.constant(0.001), 100)]), "log"),
            (clrcore.one_cycle(0.4, 500), "linear"),
            (clrcore.linear_sweep(0.0, 1.0, 100), "linear"),
            (TRIANGULAR, "linear"),
        ],
    )
    def test_rates_that_a_linear_axis_would_show_as_0_have_a_log_axis(self, policy, scale):
        assert plot_policy(policy).get_yscale() == scale

    def test_axes_say_what_they_measure(self):
        ax = plot_policy(TRIANGULAR)
        assert ax.get_xlabel() == "step (updates); marks are ends of cycles"
        assert ax.get_ylabel() == "learning rate"
        assert ax.figure.get_suptitle() == "triangular: 0.1 to 0.4, 50 steps"

    def test_draws_five_cycles_by_default_and_finite_policies_to_their_end(self):
        assert marked(line(plot_policy(TRIANGULAR), "triangular")) == [10, 20, 30, 40, 50]
        finite = clrcore.chain([(TRIANGULAR, 30)])
        ax = plot_policy({"long": TABLE2, "short": finite, "endless": clrcore.constant(0.1)})
        last = {label: line(ax, label).get_xdata()[-1] for label in ("long", "short", "endless")}
        assert last == {"long": 220, "short": 30, "endless": 219}

    def test_starts_where_it_is_told(self):
        x, y = line(plot_policy(TRIANGULAR, 40, start=12), "triangular").get_data()
        assert x[0] == 12
        assert y[0] == TRIANGULAR(12)
        assert marked(line(plot_policy(TRIANGULAR, 40, start=12), "triangular")) == [20, 30, 40]

    def test_labels_of_lists_differ(self):
        ax = plot_policy([TRIANGULAR, clrcore.triangular(0.2, 0.3, 5), clrcore.constant(0.1)])
        assert labels(ax) == ["triangular", "triangular (2)", "constant"]

    def test_lines_are_named_at_their_ends_where_that_fits(self):
        apart = plot_policy({"high": clrcore.constant(0.2), "low": clrcore.constant(0.1)}, 10)
        assert apart.get_legend() is None
        assert labels(apart) == ["high", "low"]
        close = plot_policy({"high": clrcore.constant(0.2), "low": clrcore.constant(0.199)}, 10)
        assert [text.get_text() for text in close.get_legend().get_texts()] == ["high", "low"]

    def test_long_runs_are_thinned_but_stay_on_the_policy(self):
        policy = clrcore.triangular(0.1, 0.4, 10**8)
        x, y = line(plot_policy(policy, 10**9), "triangular").get_data()
        assert x.size <= 20_010
        assert np.array_equal(y, policy(x.astype(np.int64)))
        assert y.max() > 0.399

    def test_many_cycles_are_drawn_without_marks(self):
        ax = plot_policy(clrcore.triangular(0.1, 0.4, 1), 10**7)
        assert marked(line(ax, "triangular")) == []
        assert "marks" not in ax.get_xlabel()

    @each(
        ("policy", "ends"),
        [
            (TRIANGULAR, range(8, 50, 10)),
            (clrcore.warm_restarts(0.1, 0.4, 10), range(7, 50, 10)),
            (clrcore.chain([(clrcore.triangular(0.1, 0.4, 2), 5), (TRIANGULAR, None)]), []),
            (clrcore.smith_one_cycle(0.1, 0.4, 5), []),
        ],
    )
    def test_far_from_the_start_no_more_is_listed_than_drawn(self, policy, ends):
        start = 40_000_002
        tracemalloc.start()
        ax = plot_policy(policy, start + 50, start=start)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10**7
        assert marked(line(ax, policy.constructor)) == [start + end for end in ends]

    def test_the_one_cycle_is_marked_once(self):
        ax = plot_policy(clrcore.smith_one_cycle(0.1, 0.4, 5), 40)
        assert marked(line(ax, "smith_one_cycle")) == [10]

    def test_curves_differ_without_colour(self):
        ax = plot_policy([clrcore.constant(0.1 * (i + 1)) for i in range(9)], 10)
        assert len(looks(ax.lines)) == 9
        assert all(a != b for a, b in combinations([x.get_color() for x in ax.lines[:7]], 2))

    @each(
        ("arguments", "error", "words"),
        [
            ({"policies": 0.1}, TypeError, "policies must be"),
            ({"policies": "triangular"}, TypeError, "policies must be"),
            ({"policies": []}, ValueError, "at least one"),
            ({"policies": [0.1]}, TypeError, "policies.*a policy of clrcore"),
            ({"policies": {"a": lambda step: 0.1}}, TypeError, r"policies\['a'\]"),
            ({"policies": {1: TRIANGULAR}}, TypeError, "labels are strings"),
            ({"total_steps": 0}, ValueError, "total_steps must be an integer from 1 to"),
            ({"total_steps": 10**20}, ValueError, "total_steps must be an integer from 1 to"),
            ({"total_steps": 10.5}, ValueError, "total_steps must be an integer"),
            ({"total_steps": True}, TypeError, "total_steps must be an integer"),
            ({"start": -1}, ValueError, "start must be an integer from 0 to"),
            ({"start": 10**20}, ValueError, "start must be an integer from 0 to"),
            ({"start": 10}, ValueError, "start must be less than total_steps=10, got 10"),
            (
                {"start": 100, "total_steps": None},
                ValueError,
                "start must be less than 50, where the picture ends by default",
            ),
            ({"ax": "no"}, TypeError, "ax must be None or a matplotlib Axes"),
        ],
    )
    def test_refuses(self, arguments, error, words):
        with pytest.raises(error, match=words):
            plot_policy(**({"policies": TRIANGULAR, "total_steps": 10} | arguments))

    def test_asks_for_total_steps_where_nothing_sets_it(self):
        with pytest.raises(ValueError, match="total_steps must be given"):
            plot_policy(clrcore.constant(0.1))


class TestRangeTest:
    def test_raw_points_and_the_smoothed_line_are_the_curve(self):
        given = curve()
        ax = plot_range_test(given)
        x, y = ax.lines[0].get_data()
        assert np.array_equal(x, given.lr)
        assert np.array_equal(y, given.loss)
        smoothed = line(ax, "loss, smoothed")
        assert np.array_equal(smoothed.get_ydata(), given.smoothed())
        assert ax.get_ylabel() == "training loss (line: smoothed)"
        assert ax.get_xlabel() == "learning rate"

    @pytest.mark.parametrize(("kind", "scale"), [("exponential", "log"), ("linear", "linear")])
    def test_the_rate_has_the_scale_of_the_sweep(self, kind, scale):
        assert plot_range_test(curve(kind=kind)).get_xscale() == scale

    @each("sweep", ["linear", "exponential"])
    @each("rates", [[0.1], [0.1, 0.1, 0.1]])
    def test_a_rate_that_stands_still_is_in_sight(self, rates, sweep):
        ax = plot_range_test(clrcore.Curve(rates, [1.0] * len(rates), sweep=sweep))
        low, high = ax.get_xlim()
        assert low < 0.1 < high

    def test_bounds_are_shaded_and_marked(self):
        ax = plot_range_test(curve(), BOUNDS)
        (shade,) = ax.patches
        assert shade.get_extents().transformed(ax.transData.inverted()).intervalx == pytest.approx(
            [0.01, 0.2]
        )
        assert line(ax, "lr 0.05").get_xdata()[0] == 0.05
        assert labels(ax) == ["base_lr 0.01", "max_lr 0.2", "lr 0.05"]
        assert ax.figure.get_suptitle() == "Cycle between 0.01 and 0.2"

    def test_accuracy_has_an_axis_of_its_own(self):
        given = curve(accuracy=True)
        ax = plot_range_test(given)
        (other,) = [twin for twin in ax.figure.axes if twin is not ax]
        x, y = other.lines[0].get_data()
        there = np.isfinite(given.accuracy)
        assert np.array_equal(x, given.lr[there])
        assert np.array_equal(y, given.accuracy[there])
        assert "%" in other.yaxis.get_major_formatter()(0.5)
        low, high = other.get_ylim()
        assert low < np.nanmin(given.accuracy) < np.nanmax(given.accuracy) < high

    def test_accuracy_alone_is_on_the_axes_returned(self):
        ax = plot_range_test(curve(loss=False, accuracy=True), BOUNDS)
        assert ax.figure.axes == [ax]
        assert ax.get_ylabel().startswith("accuracy")

    def test_several_seeds_get_a_line_each_and_their_mean(self):
        seeds = [curve(seed=seed) for seed in range(3)]
        ax = plot_range_test(seeds)
        mean = np.mean([seed.smoothed() for seed in seeds], axis=0)
        assert line(ax, "loss, smoothed, mean of 3 seeds").get_ydata() == pytest.approx(mean)
        assert len(ax.lines) == 3 + 3 + 1

    def test_the_mean_ends_with_the_shortest_seed(self):
        long, other = curve(seed=1), curve(seed=2)
        short = clrcore.Curve(other.lr[:40], other.loss[:40])
        ax = plot_range_test([long, short])
        assert line(ax, "loss, smoothed, mean of 2 seeds").get_xdata().size == 40

    def test_seeds_with_rates_of_their_own_have_no_mean(self):
        ax = plot_range_test([curve(60), curve(50)])
        assert not any("mean" in drawn.get_label() for drawn in ax.lines)
        assert png(ax)

    def test_a_blow_up_does_not_flatten_the_rest(self):
        given = curve()
        loss = np.array(given.loss)
        loss[-4:] = [50.0, 1e4, np.inf, np.nan]
        low, high = plot_range_test(clrcore.Curve(given.lr, loss), BOUNDS).get_ylim()
        assert low < 0.1
        assert 2 < high < 3

    def test_without_bounds_all_points_are_in_sight_and_none_is_flattened(self):
        given = curve()
        loss = np.array(given.loss)
        loss[-4:] = [50.0, 1e4, np.inf, np.nan]
        ax = plot_range_test(clrcore.Curve(given.lr, loss))
        low, high = ax.get_ylim()
        finite = loss[np.isfinite(loss)]
        assert low < finite.min()
        assert high > 1e4
        start, end = ax.transAxes.inverted().transform(
            ax.transData.transform([(0.01, finite.min()), (0.01, loss[0])])
        )[:, 1]
        assert end - start > 0.1

    @pytest.mark.parametrize(
        "losses", [[0.0, 0.0, 0.0], [np.nan, np.nan, np.nan], [-3.0, -4.0, np.inf]]
    )
    def test_draws_odd_curves(self, losses):
        assert png(plot_range_test(clrcore.Curve([0.1, 0.2, 0.3], losses)))

    @each(
        ("arguments", "error", "words"),
        [
            ({"curves": [1.0]}, TypeError, r"curves\[0\] must be a Curve"),
            ({"curves": []}, ValueError, "at least one"),
            ({"curves": "curve.csv"}, TypeError, "curves must be"),
            ({"curves": clrcore.Curve([], loss=[])}, ValueError, "at least one point"),
            ({"bounds": (0.1, 0.2)}, TypeError, "bounds must be"),
            ({"ax": 3}, TypeError, "ax must be"),
        ],
    )
    def test_refuses(self, arguments, error, words):
        with pytest.raises(error, match=words):
            plot_range_test(**({"curves": curve()} | arguments))


def confirmed(rate: float = 0.01) -> clrcore.Bounds:
    """Trials on a quadratic: rates above 1 break down."""
    check = clrcore.Confirmation(rate, num_steps=50)
    for trial in check:
        weight = 1.0
        for lr in trial:
            trial.record(loss=weight**2 if weight < 1e9 else float("nan"))
            weight -= lr * 2 * weight
    return check.bounds


class TestConfirmation:
    def test_each_trial_is_a_dot_and_the_answer_is_marked(self):
        bounds = confirmed()
        ax = plot_confirmation(bounds)
        dots = sorted(zip(*ax.lines[0].get_data(), strict=True))
        assert dots == sorted((trial.lr, trial.loss) for trial in bounds.trials)
        assert line(ax, f"lr {bounds.lr:.2g}").get_xdata()[0] == bounds.lr
        assert ax.figure.get_suptitle() == f"{len(dots)} short trials confirm lr {bounds.lr:.2g}"
        assert ax.get_xscale() == "log"

    def test_trials_that_broke_down_are_crosses_at_the_upper_edge(self):
        bounds = confirmed(1.0)
        broken = sorted(trial.lr for trial in bounds.trials if trial.loss == float("inf"))
        assert broken
        drawn = line(plot_confirmation(bounds), "broke down")
        assert sorted(drawn.get_xdata()) == broken

    def test_refuses(self):
        with pytest.raises(TypeError, match="bounds must be the bounds of a Confirmation"):
            plot_confirmation(0.1)
        with pytest.raises(ValueError, match="bounds must be bounds with trials"):
            plot_confirmation(BOUNDS)


DRAWINGS = [
    lambda ax: plot_policy(TRIANGULAR, ax=ax),
    lambda ax: plot_range_test(curve(accuracy=True), BOUNDS, ax=ax),
    lambda ax: plot_confirmation(confirmed(), ax=ax),
]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_draws_on_the_axes_given(draw):
    ax = Figure().subplots()
    assert draw(ax) is ax


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_notebook_shows_its_picture(draw):
    """IPython's display asks an object for `_repr_png_`."""
    ax = draw(None)
    assert ax._repr_png_().startswith(b"\x89PNG")
    assert pickle.loads(pickle.dumps(ax.figure)).axes[0]._repr_png_()


class FakeShell:
    """What the pictures use of IPython's shell."""

    def __init__(self, tables=None):
        self.functions, self.tables = {}, tables
        self.display_formatter = self
        self.formatters = {"image/png": self, "text/html": tables}

    def for_type(self, kind, function):
        self.functions[kind] = function

    def for_type_by_name(self, module, name, function):
        self.functions[module, name] = function

    def show(self, value):
        """As IPython: the function of the nearest class."""
        kind = next(kind for kind in type(value).__mro__ if kind in self.functions)
        return self.functions[kind](value)


class TestNotebooks:
    @pytest.fixture
    def shell(self, monkeypatch):
        shell = FakeShell(tables=FakeShell())
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        notebooks.register()
        return shell

    @each("value", [TRIANGULAR, TABLE2, curve(), confirmed()])
    def test_objects_are_shown_as_pictures(self, shell, value):
        assert shell.show(value).startswith(b"\x89PNG")
        if not isinstance(value, clrcore.Policy):  # notebooks prefer a table to a picture
            assert shell.tables.show(value) is None

    @pytest.mark.parametrize(
        "value", [clrcore.constant(0.1), clrcore.Curve([], loss=[]), BOUNDS], ids=repr
    )
    def test_what_cannot_be_drawn_stays_text(self, shell, value):
        assert shell.show(value) is None
        if not isinstance(value, clrcore.Policy):
            assert shell.tables.show(value).startswith("<table>")

    def test_schedulers_of_pytorch_are_shown_by_their_policies(self, shell):
        show = shell.functions["clr_adapters.torch.policy_lr", "PolicyLR"]
        assert show(SimpleNamespace(policies=[TRIANGULAR] * 3)).startswith(b"\x89PNG")

    @pytest.mark.parametrize("ipython", [None, SimpleNamespace(get_ipython=lambda: None)])
    def test_nothing_happens_outside_of_notebooks(self, monkeypatch, ipython):
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        notebooks.register()


@pytest.mark.parametrize("draw", DRAWINGS)
def test_leaves_no_figure_behind_in_pyplot(draw):
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    assert png(draw(None)).startswith(b"\x89PNG")
    assert pyplot.get_fignums() == before


def test_a_missing_matplotlib_says_what_to_install():
    code = "import sys; sys.modules['matplotlib'] = None; import clr_adapters.plot"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert 'run pip install ".[plot]" in a checkout of clrcore' in done.stderr


def test_accuracy_alone_is_named_once():
    curve = clrcore.Curve([0.1, 0.2, 0.3], accuracy=[0.1, 0.5, 0.4])

    ax = plot_range_test(curve)

    assert ax.figure.axes == [ax]
    assert ax.get_ylabel().startswith("accuracy")


def test_a_single_cycle_is_drawn_once():
    ax = plot_policy(clrcore.smith_one_cycle(0.1, 1.0, 100))

    assert ax.lines[0].get_xdata()[-1] == 219


@pytest.mark.parametrize(("width", "columns"), [(8, 3), (5, 2), (3.5, 1)])
def test_the_key_is_no_wider_than_the_picture(width, columns):
    names = ("triangular", "hann", "welch")
    policies = {name: clrcore.triangular(0, 1, 100, window=name) for name in names}
    figure = Figure(figsize=(width, 3), layout="constrained")

    legend = plot_policy(policies, ax=figure.subplots()).get_legend()

    FigureCanvasAgg(figure).draw()
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    lefts = {round(text.get_window_extent().x0) for text in legend.get_texts()}
    assert len(lefts) == columns
