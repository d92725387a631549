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
        formatters = shell.display_formatter.formatters
        pictures, tables = formatters["image/png"], formatters["text/html"]
        pictures.for_type(clrcore.Policy, lambda policy: draw_policies([policy]))
        pictures.for_type(clrcore.Curve, draw_curve)
        pictures.for_type(clrcore.Bounds, draw_bounds)
        # Notebooks prefer a table to a picture, so where there is a picture there is no table.
        tables.for_type(clrcore.Curve, lambda c: None if len(c) else c._repr_html_())
        tables.for_type(clrcore.Bounds, lambda b: None if b.trials else b._repr_html_())
        # By name, as PyTorch may be missing.
        scheduler = ("clr_adapters.torch.policy_lr", "PolicyLR")
        pictures.for_type_by_name(*scheduler, lambda s: draw_policies(s.policies))
        tables.for_type_by_name(
            *scheduler, lambda s: None if _are_drawn(s.policies) else s._repr_html_()
        )


# Where there is nothing to draw, None makes IPython show the text.


def draw_policies(policies: Sequence[clrcore.Policy]) -> bytes | None:
    """Each of the policies once, if any has an end or cycles."""
    different = list(dict.fromkeys(policies))
    return style.png(plot_policy(different)) if _are_drawn(different) else None


def _are_drawn(policies: Sequence[clrcore.Policy]) -> bool:
    return any(policy.period or policy.total_steps for policy in policies)


def draw_curve(curve: clrcore.Curve) -> bytes | None:
    """The points of a range test, if there are any."""
    return style.png(plot_range_test(curve)) if len(curve) else None


def draw_bounds(bounds: clrcore.Bounds) -> bytes | None:
    """The trials that confirmed bounds, if there are any."""
    return style.png(plot_confirmation(bounds)) if bounds.trials else None
