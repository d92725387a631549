"""What the verdicts would be for new data, as seeds that split the same rows are not independent.

This was added after the arms were trained, and decides nothing. Nadeau and Bengio (Inference for
the Generalization Error, Machine Learning 52, 2003) add test rows / training rows to 1 / n in the
variance of a mean over n splits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clr_adapters.cli.demo.statistics import Estimate

from .claims import RULES, overall

Plain = Mapping[str, Any]


def factor(settings: Plain) -> float:
    """By how much the correction makes an interval wider."""
    share = settings["rows"]["test"] / settings["rows"]["train"]
    return math.sqrt(1 + len(settings["seeds"]) * share)


def changed_verdicts(case: Plain, wider: float) -> dict[str, str]:
    """The claims whose verdict is another one with intervals `wider` times as wide."""
    lines: dict[str, list[str]] = {}
    for found in case["findings"]:
        verdict = found["verdict"]
        if (difference := found["difference"]) is not None:
            half = (difference["high"] - difference["low"]) / 2
            verdict = RULES[found["rule"]](Estimate(difference["mean"], wider * half))
        lines.setdefault(found["claim"], []).append(verdict)
    verdicts = {claim: overall(words) for claim, words in lines.items()}
    return {claim: word for claim, word in verdicts.items() if word != case["verdicts"][claim]}
