"""The fit of the numbers in `clrcore.bounds.calibration`, and the coverage of the intervals.

Older settings come from a folder that `measure.py` writes, settings at real length from
`data/long`. The features of a curve depend on no fitted number, so they are computed once.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import long
import numpy as np
from known import Measured

from clrcore import Curve, NoBoundsError
from clrcore.bounds import accuracy, loss
from clrcore.bounds.calibration import NUMBERS
from clrcore.bounds.features import Features
from clrcore.bounds.intervals import rate_interval, trainable_interval
from clrcore.bounds.refusals import diagnose, features_or_refuse

ACCURACY_SWEEPS = ("lin300", "exp300")
# Values tried for each number, as factors of the value in use.
FACTORS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4, 1.7, 2.0)
# Scores within so many points of the best are equal: a curve of 47 settings is 0.1 points.
EQUAL = 0.5
RATES = ("centre_power", "trained", "trained_linear", "lag_updates", "end_weight", "plateau")
ACCURACY = ("started", "started_linear", "fell", "late")
RESAMPLED = 2000


@dataclass
class Case:
    """A curve: what its rule sees, and how good a rate is.

    features: None where the curve is refused. good: whether a rate is good, a judge for each
    length of training. best, trains: log10 of the best rate and of the largest that trains.
    """

    setting: str
    sweep: str
    features: Features | None
    good: list[Callable[[float], bool]]
    best: float
    trains: float


def features_of(curve: Curve, metric: str) -> Features | None:
    """What the rules see of a curve; None where it is refused."""
    try:
        return features_or_refuse(curve, metric)
    except NoBoundsError:
        return None


def older(settings: list[Measured]) -> list[Case]:
    """The loss curves of a folder."""
    return [
        Case(
            setting.name,
            sweep,
            features_of(curve, "loss"),
            [setting.is_good],
            math.log10(setting.truth["best_lr_subgrid"]),
            math.log10(setting.truth["largest_lr_trains"]),
        )
        for setting in settings
        for sweep, curves in setting.losses.items()
        for curve in curves
    ]


def at_real_length() -> list[Case]:
    """The loss curves of the settings trained at real length."""
    return [case for results in long.all_results() for case in _long_cases(results)]


def _long_cases(results: Any) -> Iterable[Case]:
    lengths = (long.SHORT, long.LONG)
    good = [lambda lr, n=n: results.missed(lr, n) <= 0.05 for n in lengths]
    trains = max(lr for lr in results.constants() if results.missed(lr, long.LONG) <= 0.5)
    for sweep, (low, high, steps) in long.SWEEPS.items():
        for seed in long.SWEEP_SEEDS:
            losses = results.runs[sweep, high, steps, seed]["loss"]
            lr = np.geomspace(low, high, steps)[: len(losses)]
            curve = Curve(lr, [math.nan if value is None else value for value in losses])
            yield Case(
                results.name,
                f"{sweep} long",
                features_of(curve, "loss"),
                good,
                math.log10(results.best()),
                math.log10(trains),
            )


def rate_score(cases: list[Case]) -> float:
    """Share of good rates in percent: the mean over sweeps and lengths of training."""
    flags: dict[tuple[str, int], list[bool]] = {}
    for case in cases:
        lr = _rate(case.features)
        for length, judge in enumerate(case.good):
            good = lr is not None and judge(10.0**lr)
            flags.setdefault((case.sweep, length), []).append(good)
    return 100.0 * float(np.mean([np.mean(found) for found in flags.values()]))


def _rate(features: Features | None) -> float | None:
    try:
        return None if features is None else loss.constant_rate(features)
    except NoBoundsError:
        return None


def accuracy_score(rises: list[tuple[Measured, Features | None]]) -> float:
    """Share in percent of curves whose base_lr and max_lr by accuracy are where they belong."""
    found = []
    for setting, rise in rises:
        if rise is None:
            found.append(False)
            continue
        top, _ = accuracy.max_rate(rise, None)
        base, _ = accuracy.base_rate(rise, top)
        found.append(setting.is_base(10.0**base) and setting.is_max(10.0**top))
    return 100.0 * float(np.mean(found))


def fit(settings: list[Measured]) -> None:
    """Print for every number what it scores beside other values, and the value that they give."""
    rises = [
        (setting, features_of(curve, "accuracy"))
        for setting in settings
        if setting.task == "classification"
        for sweep in ACCURACY_SWEEPS
        for curve in setting.accuracies[sweep]
    ]
    print(f"{len(settings)} older settings, {len(long.all_results())} at real length")
    fit_numbers([*older(settings), *at_real_length()], rises)


def fit_numbers(cases: list[Case], rises: list[tuple[Measured, Features | None]]) -> None:
    """The same, on these curves of losses and of accuracies."""
    print("points lost by other values of a number, and the middle of those within 0.5 of the best")
    print(f"{'number':18}{'in use':>8}{'middle':>8}{'lost':>6}{'halved':>8}{'doubled':>8}")
    for name in RATES:
        _fit_number(name, lambda: rate_score(cases))
    for name in ACCURACY if rises else ():
        _fit_number(name, lambda: accuracy_score(rises))
    print("\nintervals: the distance that 19 of 20 stay within, and points of coverage lost")
    for name, residuals in _residuals(cases).items():
        value = NUMBERS[name].value
        shares = [_within(residuals, factor * value) for factor in (1.0, 0.5, 2.0)]
        print(
            f"{name:18}{value:8.3g}{_nineteen_of_twenty(residuals):8.2f}{'':6}"
            f"{shares[0] - shares[1]:8.1f}{shares[0] - shares[2]:8.1f}"
        )


def _fit_number(name: str, score: Callable[[], float]) -> None:
    number = NUMBERS[name]
    low, high = number.tried
    scores = {}
    for factor in FACTORS:
        value = min(max(number.value * factor, low), high)
        NUMBERS[name] = number._replace(value=value)
        scores[factor] = value, score()
    NUMBERS[name] = number
    best = max(points for _, points in scores.values())
    near = [value for value, points in scores.values() if points >= best - EQUAL]
    used, halved, doubled = (best - scores[factor][1] for factor in (1.0, 0.5, 2.0))
    print(
        f"{name:18}{number.value:8.3g}{0.5 * (min(near) + max(near)):8.3g}{used:6.1f}"
        f"{halved - used:8.1f}{doubled - used:8.1f}",
        flush=True,
    )


def _residuals(cases: list[Case]) -> dict[str, list[tuple[str, float]]]:
    """By the name of an interval's number: setting and distance, which it is to exceed."""
    found: dict[str, list[tuple[str, float]]] = {}
    for case in cases:
        lr = _rate(case.features)
        if case.features is None or lr is None:
            continue
        warnings = diagnose(case.features)
        unsure = bool({"few_points", "slow_start", "start_not_seen"} & warnings.keys())
        open_top = "end_not_reached" in warnings
        end, trains = case.features.end, case.trains
        lag = 0.0 if unsure else NUMBERS["lag_updates"].value * case.features.speed
        seen = case.features.end_seen
        for name, distance in (
            ("lr_below_unsure" if unsure else "lr_below", lr - lag - case.best),
            ("lr_above_open" if open_top else "lr_above", case.best - lr),
            ("trains_below", end - trains),
            ("trains_above" if seen else "trains_above_open", trains - end),
        ):
            found.setdefault(name, []).append((case.setting, distance))
    return found


def _within(residuals: list[tuple[str, float]], distance: float) -> float:
    """Share in percent of the residuals within a distance."""
    return 100.0 * float(np.mean([found <= distance for _, found in residuals]))


def _nineteen_of_twenty(residuals: list[tuple[str, float]]) -> float:
    """The distance that 19 of 20 do not exceed, every setting with the same weight."""
    counts: dict[str, int] = {}
    for setting, _ in residuals:
        counts[setting] = counts.get(setting, 0) + 1
    ordered = sorted(residuals, key=lambda pair: pair[1])
    weights = np.cumsum([1.0 / counts[setting] for setting, _ in ordered])
    return ordered[int(np.searchsorted(weights, 0.95 * weights[-1]))][1]


def coverage(settings: list[Measured]) -> None:
    """Print how often the intervals contain the truth, by sweep and by what was seen."""
    groups: dict[str, list[tuple[str, bool, bool, float]]] = {}
    for case in [*older(settings), *at_real_length()]:
        lr = _rate(case.features)
        if case.features is None or lr is None:
            continue
        warnings = diagnose(case.features)
        low, high = rate_interval(case.features, lr, warnings)
        least, most = trainable_interval(case.features, loss.top_rate(case.features, lr))
        row = (case.setting, low <= case.best <= high, least <= case.trains <= most, high - low)
        kind = (
            "open end" if "end_not_reached" in warnings else "warned" if warnings else "no warning"
        )
        for group in (case.sweep, f"{case.sweep}, {kind}"):
            groups.setdefault(group, []).append(row)
    print("coverage of the intervals in %, with its 90 % interval over settings, and median width")
    print(f"{'sweep':28}{'curves':>7}{'lr_interval':>16}{'decades':>9}{'max_lr_interval':>18}")
    for group, rows in sorted(groups.items()):
        rate, top = (_share(rows, column) for column in (1, 2))
        width = float(np.median([row[3] for row in rows]))
        print(f"{group:28}{len(rows):7}{rate:>16}{width:9.2f}{top:>18}")
    left_out = _left_out([*older(settings), *at_real_length()])
    print(f"lr_interval with its numbers fitted without the setting: {left_out}")


def _left_out(cases: list[Case]) -> str:
    """The coverage of lr_interval by numbers that were fitted on the other settings."""
    rows = []
    names = ("lr_below", "lr_below_unsure", "lr_above", "lr_above_open")
    residuals = _residuals(cases)
    kept = {name: NUMBERS[name] for name in names}
    for setting in sorted({case.setting for case in cases}):
        for name in names:
            others = [pair for pair in residuals.get(name, []) if pair[0] != setting]
            if others:
                value = max(0.0, _nineteen_of_twenty(others))
                NUMBERS[name] = kept[name]._replace(value=value)
        for case in cases:
            lr = _rate(case.features) if case.setting == setting else None
            if case.features is not None and lr is not None:
                low, high = rate_interval(case.features, lr, diagnose(case.features))
                rows.append((setting, low <= case.best <= high, True, high - low))
    NUMBERS.update(kept)
    return f"{_share(rows, 1)}, {float(np.median([row[3] for row in rows])):.2f} decades"


def _share(rows: list[tuple[str, bool, bool, float]], column: int) -> str:
    """A share in percent, with its 90 % interval by resampling settings."""
    by_setting: dict[str, list[bool]] = {}
    for row in rows:
        by_setting.setdefault(row[0], []).append(bool(row[column]))
    sums = np.array([[sum(flags), len(flags)] for flags in by_setting.values()], dtype=float)
    random = np.random.default_rng(0)
    drawn = sums[random.integers(len(sums), size=(RESAMPLED, len(sums)))].sum(axis=1)
    low, high = np.quantile(100.0 * drawn[:, 0] / drawn[:, 1], [0.05, 0.95])
    return f"{100.0 * sums[:, 0].sum() / sums[:, 1].sum():.0f} ({low:.0f}-{high:.0f})"
