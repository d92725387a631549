"""The demo's report as one HTML file: it needs no other file, and no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

import clrcore

TEMPLATE = "report.html.jinja"
MINUS = "\N{MINUS SIGN}"


def page(results: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The report as HTML.

    Args:
        results: As `report.results` makes them.
        pictures: PNG files by name: range_test.png, confirmation.png and comparison.png.
    """
    rules: dict[str, Any] = {"undefined": StrictUndefined, "keep_trailing_newline": True}
    environment = Environment(autoescape=True, **rules)
    environment.filters |= {
        "rate": lambda lr: f"{lr:.3g}",
        "signed": lambda number: f"{number:+.2f}".replace("-", MINUS),
        "half_width": lambda interval: f"{interval['high'] - interval['mean']:.2f}",
        "policy": lambda data: repr(clrcore.policy_from_dict(data)),
        "inline": lambda png: f"data:image/png;base64,{base64.b64encode(png).decode()}",
    }
    source = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(source).render(**results, pictures=pictures)
