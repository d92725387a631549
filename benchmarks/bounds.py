"""Score every rule for bounds on a folder of range-test curves whose truth is known.

    python benchmarks/bounds.py FOLDER                 tables of all rules
    python benchmarks/bounds.py FOLDER --measure       first train the settings that it lacks
    python benchmarks/bounds.py FOLDER --fit           reproduce the fitted numbers
    python benchmarks/bounds.py FOLDER --coverage      how often the intervals contain the truth
    python benchmarks/bounds.py FOLDER --noise 500     how often pure noise is answered
    python benchmarks/bounds.py FOLDER --smith FILE    max_lr on Smith's own range tests
    python benchmarks/bounds.py FOLDER --confirm       confirm the answers by real trials
    python benchmarks/bounds.py FOLDER --cycles        train two cycles between the bounds
    python benchmarks/bounds.py FOLDER --picture FILE  draw curves and how they are read

`measure.py` writes such folders; measuring, trials and cycles need PyTorch, and some settings
scikit-learn or mlxtend. `--fit` and `--coverage` also use the settings at real length in
`data/long`.

A rate is good where training at the nearest rate of the grid ends within 5 % of the best fall of
the loss; it is above where it is larger than the largest rate of the grid that trains.
"""

import argparse
import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import bounds_fit
import bounds_noise
from known import NEAR, SEEDS, Measured, read
from other_finders import OTHERS

import clrcore
from clrcore import Bounds, Curve, NoBoundsError, bound_rules
from clrcore.bounds.suggest import bounds_by

CONSTANTS = {"sgd": 0.01, "mom": 0.01, "adam": 1e-3, "adamw": 1e-3}
# Sweeps that are scored alone and with all, but not with those of usual length.
SHORT_SWEEPS = ("exp40",)
CYCLE_SWEEPS = ("exp100", "exp300", "lin300")
COLLAPSED = 0.5
PANELS = {
    "mnistnoisy_mlp_mom_b64:exp300": "A usual curve",
    "mnistnoisy_mlpbn_adamw_b32:exp300": "With batch normalisation: a long plateau",
    "mnist_linear_sgd_b32:lin300": "The ramp ends too early: lr is too low",
    "diabetes_mlp_mom_b16:exp40": "40 noisy updates",
}

Answer = Callable[[list[Curve]], Bounds]


class Tally:
    """Counts over the curves of one sweep."""

    def __init__(self) -> None:
        self.good: list[bool] = []
        self.above: list[bool] = []
        self.refused: list[bool] = []
        self.five: list[bool] = []
        self.spread: list[float] = []
        self.covered: list[bool] = []
        self.top_covered: list[bool] = []

    def add(self, setting: Measured, curves: list[Curve], answer: Answer) -> None:
        """Score an answer on the curves of a setting, one by one and together."""
        truth = setting.truth
        rates = []
        for curve in curves:
            bounds = _answered(answer, [curve])
            self.refused.append(bounds is None)
            self.good.append(bounds is not None and setting.is_good(bounds.lr))
            self.above.append(
                bounds is not None and bounds.lr > 1.0001 * truth["largest_lr_trains"]
            )
            if bounds is not None:
                rates.append(bounds.lr)
                self.covered.append(_inside(bounds.lr_interval, truth["best_lr_subgrid"]))
                self.top_covered.append(_inside(bounds.max_lr_interval, truth["largest_lr_trains"]))
        if rates:
            self.spread.append(max(rates) / min(rates))
        together = _answered(answer, curves)
        self.five.append(together is not None and setting.is_good(together.lr))

    @classmethod
    def of(cls, tallies: Iterable["Tally"]) -> "Tally":
        """What several sweeps give together."""
        whole = cls()
        for tally in tallies:
            for name, counts in vars(tally).items():
                getattr(whole, name).extend(counts)
        return whole

    def line(self) -> str:
        """The shares in percent, and the median spread."""
        shares = (self.good, self.five, self.above, self.refused, self.covered, self.top_covered)
        spread = statistics.median(self.spread) if self.spread else math.nan
        cells = [f"{_percent(share):5.0f}" for share in shares]
        return " ".join([*cells[:4], f"{spread:6.2f}", *cells[4:]])


HEADER = " good  five above refused spread covers  max"


def _answered(answer: Answer, curves: list[Curve]) -> Bounds | None:
    try:
        return answer(curves)
    except NoBoundsError:
        return None


def _inside(interval: tuple[float, float], value: float) -> bool:
    return interval[0] <= value <= interval[1]


def _percent(flags: list[bool]) -> float:
    return 100.0 * sum(flags) / len(flags) if flags else math.nan


def constant(optimizer: str) -> Answer:
    """A rule that ignores the curves: the usual default of the optimizer."""
    lr = CONSTANTS[optimizer]
    bounds = Bounds(
        base_lr=lr / 4,
        max_lr=lr,
        lr=lr,
        lr_interval=(lr, lr),
        max_lr_interval=(lr, lr),
        rule="constant",
    )
    return lambda curves: bounds


def score(settings: list[Measured], rules: list[str]) -> None:
    """Print one table per sweep and of sweeps together, and the accuracy rule's."""
    sweeps = list(settings[0].losses)
    scored: dict[str, dict[str, Tally]] = {rule: {} for rule in [*rules, "constant"]}
    for rule, tallies in scored.items():
        for sweep in sweeps:
            tallies[sweep] = Tally()
            for setting in settings:
                tallies[sweep].add(setting, setting.losses[sweep], _by(rule, setting))
    long = [sweep for sweep in sweeps if sweep not in SHORT_SWEEPS]
    together = [group for group in (long, sweeps) if len(group) > 1]
    for group in [*([sweep] for sweep in sweeps), *together]:
        print(f"\n{' + '.join(group)}, {len(settings)} settings x {SEEDS} seeds")
        print(f"{'rule':24}{HEADER}")
        for rule, tallies in scored.items():
            print(f"{rule:24}{Tally.of(tallies[sweep] for sweep in group).line()}")
    print(
        "\nthe paper's rule, from held-out accuracy alone: share of curves with both bounds where"
    )
    print("they belong (base_lr from half the smallest rate that learns to the best; max_lr from a")
    print("grid step below the best to twice the largest that trains)")
    for sweep in bounds_fit.ACCURACY_SWEEPS:
        print(f"{sweep:8} {_percent(list(_by_accuracy(settings, sweep))):5.1f}")


def _by(rule: str, setting: Measured) -> Answer:
    if rule == "constant":
        return constant(setting.optimizer)
    if rule in OTHERS:
        return lambda curves: bounds_by(OTHERS[rule], curves, rule)
    return lambda curves: clrcore.suggest_bounds(curves, rule=rule)


def _by_accuracy(settings: list[Measured], sweep: str) -> Iterable[bool]:
    for setting in settings:
        for curve in setting.accuracies[sweep] if setting.task == "classification" else []:
            bounds = _answered(clrcore.suggest_bounds, [curve])
            yield (
                bounds is not None
                and setting.is_base(bounds.base_lr)
                and setting.is_max(bounds.max_lr)
            )


def cycles(measured: list[Measured], rules: list[str]) -> None:
    """Train two triangular cycles between the bounds of five curves, and print how they end."""
    from settings import SETTINGS

    known = {setting.name: setting for setting in SETTINGS}
    trained = [setting for setting in measured if setting.name in known]
    if len(trained) < len(measured):
        print(
            f"left out, as settings.py does not say how they are trained: "
            f"{', '.join(setting.name for setting in measured if setting.name not in known)}"
        )
    if not trained:
        return
    print("\ntwo triangular cycles, median of their final losses")
    print(f"{'rule':24} sweep   settings  within 5 % of the best constant  runs collapsed")
    for rule in rules:
        for sweep in CYCLE_SWEEPS:
            near, collapsed = [], []
            for setting in trained:
                bounds = _answered(_by(rule, setting), setting.losses[sweep])
                missed = [] if bounds is None else _cycle_ends(setting, known[setting.name], bounds)
                near.append(bool(missed) and statistics.median(missed) <= NEAR)
                collapsed += [share > COLLAPSED for share in missed]
            print(
                f"{rule:24} {sweep:8} {len(near):7} {_percent(near):12.0f} %"
                f"{_percent(collapsed):22.1f} %",
                flush=True,
            )


def confirm(settings: list[Measured]) -> None:
    """Confirm the answers by trials."""
    import bounds_confirm  # needs PyTorch

    bounds_confirm.confirm(settings)


def _cycle_ends(setting: Measured, training: object, bounds: Bounds) -> list[float]:
    """What trainings in two cycles miss of the best fall, one for each seed."""
    import measure
    from settings import updates

    total = updates(training)
    policy = bounds.policy(max(1, round(total / 4)), "triangular")
    rates = policy.values(0, total)
    return [
        setting.missed(measure.train(training, rates, seed)[1])
        for seed in range(measure.CYCLE_SEEDS)
    ]


def picture(settings: list[Measured], panels: list[str], path: Path) -> None:
    """Draw curves of one seed, how they are read, and where training ends within 5 %."""
    from matplotlib.figure import Figure

    from clr_adapters.plot.style import COLOURS

    blue, orange, green, _, black, *_ = COLOURS
    named = {setting.name: setting for setting in settings}
    # As wide as a phone, one panel below the other, so that the letters stay legible.
    figure = Figure(figsize=(5, 2.6 * len(panels) + 0.9), dpi=144, layout="constrained")
    axes = figure.subplots(len(panels), squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        name, sweep = panel.split(":")
        setting = named[name]
        curve = setting.losses[sweep][0]
        axis.plot(curve.lr, curve.loss, ".", color="0.6", markersize=3.5, label="loss")
        axis.plot(curve.lr, curve.smoothed(), color=blue, label="smoothed")
        good = [lr for lr in setting.grid if setting.is_good(lr)]
        # A rate counts as the nearest of the grid, whose steps are a quarter of a decade.
        low, high = min(good) / 10**0.125, max(good) * 10**0.125
        axis.axvspan(low, high, color=green, alpha=0.2, linewidth=0, label="trains within 5 %")
        bounds = _answered(_by("loss", setting), [curve])
        if bounds is not None:
            axis.axvline(bounds.lr, color=orange, label="lr")
            axis.axvspan(*bounds.lr_interval, 0.0, 0.04, color=orange, label="lr_interval")
            axis.axvline(bounds.max_lr, color=black, linestyle="--", label="max_lr")
        title = PANELS.get(panel, f"{name}, {sweep}")
        refused = ": no answer" if bounds is None else ""
        axis.set(xscale="log", ylim=(0.0, 2.0 * setting.truth["init_loss"]))
        axis.set_title(f"{title}{refused}", fontsize=12)
    axes[-1].set_xlabel("learning rate")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=3, loc="outside upper left", frameon=False)
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where index.json and the curves are")
    parser.add_argument("--measure", action="store_true", help="measure what the folder lacks")
    parser.add_argument("--only", nargs="*", help="names of settings, instead of all")
    parser.add_argument("--rules", nargs="*", default=None, help="names of rules, instead of all")
    parser.add_argument("--fit", action="store_true", help="reproduce the fitted numbers")
    parser.add_argument("--coverage", action="store_true", help="coverage of the intervals")
    parser.add_argument("--noise", type=int, help="draws of pure noise of each kind")
    parser.add_argument("--smith", type=Path, help="a table of Smith's range tests")
    parser.add_argument("--confirm", action="store_true", help="confirm the answers by trials")
    parser.add_argument("--cycles", action="store_true", help="train cycles between the bounds")
    parser.add_argument("--picture", type=Path, help="draw the panels to this file instead")
    parser.add_argument("--panels", nargs="*", default=PANELS, help="setting:sweep")
    arguments = parser.parse_args()
    if arguments.measure:
        import measure

        measure.measure(arguments.folder, arguments.only)
    settings = read(arguments.folder)
    if arguments.only:
        settings = [setting for setting in settings if setting.name in arguments.only]
    by_loss = [rule for rule, (_, metric) in bound_rules().items() if metric == "loss"]
    rules = arguments.rules or [*by_loss, *OTHERS]
    _run(arguments, settings, rules)


def _run(arguments: argparse.Namespace, settings: list[Measured], rules: list[str]) -> None:
    """What was asked for; the tables where nothing was."""
    asked = {
        "fit": lambda: bounds_fit.fit(settings),
        "coverage": lambda: bounds_fit.coverage(settings),
        "noise": lambda: bounds_noise.noise(arguments.noise),
        "smith": lambda: bounds_noise.smith(arguments.smith),
        "confirm": lambda: confirm(settings),
        "cycles": lambda: cycles(settings, rules),
        "picture": lambda: picture(settings, arguments.panels, arguments.picture),
    }
    chosen = [action for name, action in asked.items() if getattr(arguments, name)]
    for action in chosen or [lambda: score(settings, rules)]:
        action()


if __name__ == "__main__":
    main()
