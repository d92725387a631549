"""A policy with its bounds lowered, as `CycleMonitor` asks for."""

from typing import Any

import clrcore

RATES = ("base_lr", "max_lr", "min_lr", "lr")


def lowered(policy: clrcore.Policy, factor: float) -> clrcore.Policy:
    """The policy with all its rates multiplied by `factor`; its steps stay as they are."""
    return clrcore.policy_from_dict(_times(policy.to_dict(), factor))


def _times(data: dict[str, Any], factor: float) -> dict[str, Any]:
    scaled = {name: value * factor if name in RATES else value for name, value in data.items()}
    if "stages" in data:
        scaled["stages"] = [[_times(stage, factor), steps] for stage, steps in data["stages"]]
    return scaled
