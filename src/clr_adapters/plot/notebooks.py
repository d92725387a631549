"""Pictures of policies, schedulers, curves and bounds as the last line of a notebook cell."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import clrcore

from . import style
from .policies import plot_policy
from .range_tests import plot_range_test
from .trials import plot_confirmation


def register() -> None:
    """Tell a running IPython how to draw the objects of clrcore; do nothing elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is not None:
        formatter = shell.display_formatter.formatters["image/png"]
        formatter.for_type(clrcore.Policy, lambda policy: draw_policies([policy]))
        formatter.for_type(clrcore.Curve, draw_curve)
        formatter.for_type(clrcore.Bounds, draw_bounds)
        # By name, as PyTorch may be missing.
        formatter.for_type_by_name(
            "clr_adapters.torch.policy_lr",
            "PolicyLR",
            lambda scheduler: draw_policies(scheduler.policies),
        )


# Where there is nothing to draw, None makes IPython show the text.


def draw_policies(policies: Sequence[clrcore.Policy]) -> bytes | None:
    """Each of the policies once, if any has an end or cycles."""
    different = list(dict.fromkeys(policies))
    known = any(policy.period or policy.total_steps for policy in different)
    return style.png(plot_policy(different)) if known else None


def draw_curve(curve: clrcore.Curve) -> bytes | None:
    """The points of a range test, if there are any."""
    return style.png(plot_range_test(curve)) if len(curve) else None


def draw_bounds(bounds: clrcore.Bounds) -> bytes | None:
    """The trials that confirmed bounds, if there are any."""
    return style.png(plot_confirmation(bounds)) if bounds.trials else None
