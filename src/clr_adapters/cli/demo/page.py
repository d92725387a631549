"""The demo's report as one HTML file: it needs no other file, and no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

import clrcore

from .report import too_few, versus
from .statistics import Estimate

TEMPLATE = "report.html.jinja"
MINUS = "\N{MINUS SIGN}"


def page(results: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The report as HTML.

    results: as `report.results` makes them. pictures: PNG files by name, range_test.png and
        comparison.png.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {
        "rate": lambda lr: f"{lr:.3g}",
        "signed": lambda number: f"{number:+.2f}".replace("-", MINUS),
        "half_width": lambda interval: f"{_estimate(interval).half_width:.2f}",
        "versus": _word,
        "policy": lambda data: repr(clrcore.policy_from_dict(data)),
        "inline": lambda png: f"data:image/png;base64,{base64.b64encode(png).decode()}",
    }
    few = too_few(results["settings"]["seeds"])
    source = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(**results, pictures=pictures, few=few)


def _estimate(interval: Mapping[str, float]) -> Estimate:
    return Estimate(interval["mean"], interval["high"] - interval["mean"])


def _word(interval: Mapping[str, float] | None) -> str:
    """The class of a difference: higher, lower, or tie; none of a row without one."""
    return "none" if interval is None else versus(_estimate(interval)).removeprefix("a ")
