"""Scores of range tests, confirmed answers and planned schedules on the results of `long.py`."""

import math
import statistics
from collections.abc import Iterator
from typing import Any

from long_results import (
    LONG,
    NEAR,
    OTHERS,
    PEAKS,
    PLAN_SEED,
    SCHEDULES,
    SHORT,
    SWEEP_SEEDS,
    SWEEPS,
    TRIAL_SEEDS,
    TRIAL_UPDATES,
    Results,
    confirmed,
    percent,
    suggestion,
)

from clrcore import confirmation, planning
from clrcore.search import trial_steps

# A training that misses this share of the best fall counts as dead.
DEAD = 0.5
# Updates of all runs, and the sweep that is about a quarter of them.
BUDGETS = {400: "exp100", 600: "exp100", 1000: "exp100", 1200: "exp300", 1500: "exp300"}
FEWEST = len(confirmation.FIRST_TRIALS)
EXPONENTS = [0.02 * k for k in range(16)]


def score(settings: list[Results]) -> dict[str, Any]:
    """Print how good single curves and confirmed answers are; the table as plain data."""
    table: dict[str, Any] = {"settings": len(settings), "rows": []}
    print(
        f"{len(settings)} settings, {len(SWEEP_SEEDS)} curves each, trials with "
        f"{len(TRIAL_SEEDS)} seeds"
    )
    print("sweep  updates |  one curve: good  lr/best  covers  width | confirmed: good  lr/best"
          "  covers  width  or refused  most updates  max_lr dead")  # fmt: skip
    for sweep, (_, _, sweep_steps) in SWEEPS.items():
        for steps in (SHORT, LONG):
            alone, after = single_curves(settings, sweep, steps), Tally()
            for results in settings:
                for seed in SWEEP_SEEDS:
                    suggested = suggestion(results, sweep, seed)
                    for trial_seed in TRIAL_SEEDS:
                        bounds, updates = confirmed(results, suggested, steps, trial_seed)
                        after.add(results, bounds, steps, sweep_steps + updates)
            print(f"{sweep} {steps:7} | {alone.line()} | {after.line()}")
            table["rows"].append(
                {
                    "sweep": sweep,
                    "steps": steps,
                    "curve": alone.summary(),
                    "confirmed": after.summary(),
                }
            )
    return table


def single_curves(settings: list[Results], sweep: str, steps: int) -> "Tally":
    """How good the answers to single curves are."""
    tally = Tally()
    for results in settings:
        for seed in SWEEP_SEEDS:
            tally.add(results, suggestion(results, sweep, seed), steps, SWEEPS[sweep][2])
    return tally


def score_check(settings: list[Results]) -> None:
    """Print how good single curves are, without trials."""
    print(f"{len(settings)} settings that no number is fitted on, {len(SWEEP_SEEDS)} curves each")
    print("sweep  updates |  good  lr/best  covers  width  or refused  updates  max_lr dead")
    for sweep in SWEEPS:
        for steps in (SHORT, LONG):
            print(f"{sweep} {steps:7} | {single_curves(settings, sweep, steps).line()}")


def score_budgets(settings: list[Results]) -> list[dict[str, Any]]:
    """Print how good confirmed answers are by the most updates of all runs.

    Each budget is spent on longer trials, or on a further trial beyond an edge.
    """
    table = []
    print("\nconfirmed answers within 5 % by the updates of all runs, in %; updates of a trial")
    for budget, sweep in BUDGETS.items():
        left = budget - SWEEPS[sweep][2]
        for steps in (SHORT, LONG):
            row: dict[str, Any] = {"budget": budget, "steps": steps}
            for trials in (FEWEST, FEWEST + 1):
                length = min(trial_steps(steps, TRIAL_UPDATES), left // trials)
                good = [
                    hasattr(bounds, "lr") and results.missed(bounds.lr, steps) <= NEAR
                    for results in settings
                    for seed in SWEEP_SEEDS
                    for suggested in [suggestion(results, sweep, seed)]
                    for trial_seed in TRIAL_SEEDS
                    for bounds, _ in [
                        confirmed(
                            results, suggested, steps, trial_seed, updates=left, length=length
                        )
                    ]
                ]
                row[f"{trials} trials"] = {"length": length, "good": round(percent(good), 1)}
            row["in use"] = trial_steps(steps, left)
            print(row)
            table.append(row)
    return table


def score_plans(settings: list[Results]) -> dict[str, Any]:
    """Print how trainings end along schedules, against the best constant rate."""
    table: dict[str, Any] = {}
    print(
        f"\n{len(settings)} settings, {LONG} updates: within 5 % of the best constant; median and"
    )
    print("worst share of its fall missed, in %; dead. By peak over the best constant:")
    for kind in SCHEDULES + OTHERS:
        for share in sorted(share for shares, _ in PEAKS.values() for share in shares):
            found = []
            for results in settings:
                run = results.runs.get((kind, float(f"{share * results.best():.5g}"), LONG, 0))
                if run is not None:
                    found.append(results.planned_missed(kind, run["lr"]))
            if found:
                table[f"{kind} {share:g}"] = _plan_summary(found)
                print(f"{kind:16} {share:4g} {_plan_line(found)}")
    print("\nfrom confirmed bounds, with the peak that bounds.policy takes")
    for kind in ("constant", *SCHEDULES, *OTHERS):
        found = [m for results in settings for m in _planned(results, kind)]
        if found:
            table[f"{kind} planned"] = _plan_summary(found)
            print(f"{kind:16}      {_plan_line(found)}")
    print("\ntrained as planned, with a fresh seed")
    for kind in SCHEDULES:
        found = [
            1.0 if run["end"] is None else (run["end"] - best) / (results.init - best)
            for results in settings
            for best in [min(results.constants().values())]
            for (k, _, _, seed), run in results.runs.items()
            if (k, seed) == (kind, PLAN_SEED)
        ]
        if found:
            table[f"{kind} trained"] = _plan_summary(found)
            print(f"{kind:16}      {_plan_line(found)}")
    return table


def _planned(results: Results, kind: str) -> Iterator[float]:
    """What trainings miss that are planned from confirmed bounds, by curve and seed."""
    if kind != "constant" and not any(k == kind and n == LONG for k, _, n, _ in results.runs):
        return
    for seed in SWEEP_SEEDS:
        suggested = suggestion(results, "exp300", seed)
        for trial_seed in TRIAL_SEEDS:
            bounds, _ = confirmed(results, suggested, LONG, trial_seed)
            if not hasattr(bounds, "lr"):
                continue
            if kind == "constant":
                yield results.missed(bounds.lr, LONG)
            else:
                multiple = planning.PEAKS[kind.split("_low")[0].split("_cooled")[0]]
                yield results.planned_missed(kind, multiple * bounds.lr)


def _plan_summary(missed: list[float]) -> dict[str, float]:
    return {
        "trainings": len(missed),
        "good": round(percent([m <= NEAR for m in missed]), 1),
        "median_missed": round(100 * statistics.median(missed), 1),
        "worst_missed": round(100 * max(missed), 1),
        "dead": sum(m >= DEAD for m in missed),
    }


def _plan_line(missed: list[float]) -> str:
    found = _plan_summary(missed)
    return (
        f"{found['good']:5.0f} % {found['median_missed']:6.1f} {found['worst_missed']:6.1f} "
        f"{found['dead']:3} of {found['trainings']}"
    )


class Tally:
    """Counts over answers."""

    def __init__(self) -> None:
        self.good: list[bool] = []
        self.refused: list[bool] = []
        self.ratio: list[float] = []
        self.covered: list[bool] = []
        self.width: list[float] = []
        self.updates: list[int] = []
        self.dead: list[bool] = []

    def add(self, results: Results, answer: Any, steps: int, updates: int) -> None:
        """Score bounds or a refusal."""
        refused = not hasattr(answer, "lr")
        self.refused.append(refused)
        self.good.append(not refused and results.missed(answer.lr, steps) <= NEAR)
        self.updates.append(updates)
        if not refused:
            low, high = answer.lr_interval
            best = results.best(steps)
            self.ratio.append(answer.lr / best)
            self.covered.append(low <= best <= high)
            self.width.append(math.log10(high / low))
            self.dead.append(results.missed(answer.max_lr, LONG) >= DEAD)

    def summary(self) -> dict[str, float]:
        """Shares in percent, and medians."""
        either = [g or r for g, r in zip(self.good, self.refused, strict=True)]
        return {
            "answers": len(self.good),
            "good": round(percent(self.good), 1),
            "lr_over_best": round(statistics.median(self.ratio), 2),
            "covered": round(percent(self.covered), 1),
            "decades": round(statistics.median(self.width), 2),
            "good_or_refused": round(percent(either), 1),
            "most_updates": max(self.updates),
            "max_lr_dead": round(percent(self.dead), 1),
        }

    def line(self) -> str:
        """The summary as a line of the table."""
        found = self.summary()
        return (
            f"{found['good']:5.1f} {found['lr_over_best']:6.2f} {found['covered']:5.0f} "
            f"{found['decades']:6.2f} {found['good_or_refused']:6.1f} {found['most_updates']:6} "
            f"{found['max_lr_dead']:6.1f}"
        )


def fit(settings: list[Results]) -> None:
    """Print the share of good confirmed rates by the exponent, and with settings left out."""
    good: dict[float, dict[str, list[bool]]] = {}
    for exponent in EXPONENTS:
        confirmation.CARRY = exponent
        by_name = good[exponent] = {}
        for results in settings:
            flags = by_name[results.name] = []
            for sweep in SWEEPS:
                for seed in SWEEP_SEEDS:
                    suggested = suggestion(results, sweep, seed)
                    for steps in (SHORT, 500, 1000, LONG):
                        for trial_seed in TRIAL_SEEDS:
                            bounds, _ = confirmed(results, suggested, steps, trial_seed)
                            near = (
                                hasattr(bounds, "lr") and results.missed(bounds.lr, steps) <= NEAR
                            )
                            flags.append(near)
        every = percent([flag for flags in by_name.values() for flag in flags])
        print(f"exponent {exponent:.2f}: {every:5.1f} % good")
    left_out = []
    for results in settings:
        others = {e: [f for n in good[e] if n != results.name for f in good[e][n]] for e in good}
        best = max(others, key=lambda e: percent(others[e]))
        left_out += good[best][results.name]
    print(f"each setting with the exponent of the others: {percent(left_out):5.1f} % good")
