"""The results in Markdown tables whose source is as readable as the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clr_adapters.cli.demo.experiment import FOUND, SHORT, STAGED

from .arms import DECAY, EXP, SHORT_MAX
from .claims import BEST, CLAIMS, MEAN

PLUS_MINUS = "\N{PLUS-MINUS SIGN}"

Plain = Mapping[str, Any]

CONTROLS = {
    SHORT: "stepwise from base_lr",
    SHORT_MAX: "stepwise from max_lr",
    BEST: "the best constant",
}
"""The controls of the paper's staged cycles in words, all of the same length."""


def controls(case: Plain) -> list[Plain]:
    """The differences between the staged cycles and each control that the case has."""
    found = {f["against"]: f for f in case["findings"] if f["arm"] == STAGED}
    return [found[name] for name in CONTROLS if name in found]


def strongest(case: Plain) -> str:
    """The arm with the best mean accuracy among those without cycles and of the same length."""
    others = (SHORT, SHORT_MAX, FOUND, EXP, DECAY)
    means = {row["name"]: row["accuracy"]["mean"] for row in case["rows"]}
    return max((name for name in others if name in means), key=means.__getitem__)


def verdict_table(cases: Mapping[str, Plain]) -> str:
    """Claims against cases."""
    return table(
        ("claim", *(case["title"] for case in cases.values())),
        [
            (claim.title, *(case["verdicts"].get(claim.title, "") for case in cases.values()))
            for claim in CLAIMS
        ],
    )


def bounds_table(cases: Mapping[str, Plain]) -> str:
    """The readings of every range test."""
    rows = []
    for case in cases.values():
        found, peak, eye = case["bounds"], case["peak"], case["eye"]
        rows += [
            (
                case["title"],
                f"suggest_bounds ({found['rule']})",
                f"{found['base_lr']:.3g}",
                f"{found['max_lr']:.3g}",
                f"{found['lr']:.3g}",
            ),
            (
                "",
                f"peak rule (peak {peak['lr']:.3g})",
                f"{peak['base_lr']:.3g}",
                f"{peak['max_lr']:.3g}",
                "",
            ),
            ("", "by eye", f"{eye['base_lr']:.3g}", f"{eye['max_lr']:.3g}", ""),
        ]
    return table(("case", "reading", "base_lr", "max_lr", "constant lr"), rows, right=(2, 3, 4))


def arms_table(case: Plain, result: Plain) -> str:
    """Every arm of a case."""
    epoch = result["settings"]["updates_per_epoch"]
    rows = []
    for row in case["rows"]:
        if row["never"] is None:
            there = ""
        else:
            median = "never" if row["reached"] is None else f"{row['reached']:.0f}"
            there = f"{median} ({row['never']})"
        rows.append(
            (
                row["name"],
                _with_half(row["accuracy"]),
                "" if row["difference"] is None else _with_half(row["difference"], sign="+"),
                f"{row['worst']:.1f}",
                "" if row["name"] == MEAN else str(row["collapsed"]),  # of no run of its own
                there,
                f"{row['tuning'] / epoch:.3g} + {row['training'] / epoch:.3g}",
            )
        )
    head = ("policy", "test %", "difference", "worst", "collapsed", "to target", "epochs")
    return table(head, rows, right=range(1, 7))


def findings_table(case: Plain) -> str:
    """Every line of every claim, with its verdict."""
    rows = []
    for found in case["findings"]:
        if found["difference"] is None:
            against, what = "seeds collapsed", str(found["collapsed"])
        else:
            against, what = found["against"], shown_difference(found["difference"])
        rows.append((found["claim"], found["arm"], against, what, found["verdict"]))
    return table(("claim", "arm", "against", "difference", "verdict"), rows, right=(3,))


def further_table(cases: Mapping[str, Plain]) -> str:
    """Differences without a claim, in words higher, lower, a tie."""
    return table(
        ("case", "arm", "against", "difference", ""),
        [
            (
                case["title"],
                row["arm"],
                row["against"],
                shown_difference(row["difference"]),
                versus(row["difference"]),
            )
            for case in cases.values()
            for row in case["further"]
        ],
        right=(3,),
    )


def shown_difference(interval: Plain) -> str:
    """A difference with both ends of its interval."""
    return f"{interval['mean']:+.2f} ({interval['low']:+.2f} to {interval['high']:+.2f})"


def _with_half(interval: Plain, sign: str = "") -> str:
    half = interval["high"] - interval["mean"]
    return f"{interval['mean']:{sign}.2f} {PLUS_MINUS}{half:.2f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A Markdown table whose source is as readable as the page; `right`: numbers' columns."""
    widths = [max(3, *(len(row[i]) for row in (head, *rows))) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join(padded)} |"

    rule = ("-" * (w - 1) + ":" if i in right else "-" * w for i, w in enumerate(widths))
    return "\n".join((line(head), f"| {' | '.join(rule)} |", *map(line, rows)))


def against(row: Plain, other: str) -> str:
    """Say that an arm beats the other, ties with it or loses to it, and by how much."""
    word = {"higher": "beat", "lower": "lose to", "a tie": "tie with"}[versus(row["difference"])]
    return f"{word} {other}, {shown_difference(row['difference'])}"


def versus(difference: Plain) -> str:
    """Say "higher", "lower", or "a tie" where the interval contains 0."""
    if difference["low"] > 0:
        return "higher"
    return "lower" if difference["high"] < 0 else "a tie"
