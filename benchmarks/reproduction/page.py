"""The results in words and tables: on the terminal, and on the page of the docs.

Everything is computed from plain data, so the page can be made again from what is kept.
"""

from __future__ import annotations

import textwrap

from .arms import CASES
from .claims import CLAIMS

TITLES = {case.key: case.title for case in CASES}


def rules() -> str:
    """The claims and when they hold, as they stand before anything is trained."""
    parts = []
    for claim in CLAIMS:
        cases = "; ".join(TITLES[key] for key in claim.cases)
        parts.append(wrapped(f"- **{claim.key}** ({cases}). {claim.says} *{claim.rule}*", "  "))
    return "\n".join(parts)


def wrapped(text: str, indent: str = "") -> str:
    """Lines of at most 100 columns."""
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def findings(evidence):
    return ""
