"""Paragraphs and bullets whose source is as readable as the page."""

from __future__ import annotations

import textwrap


def paragraph(text: str) -> str:
    """A paragraph in lines of at most 100 characters."""
    return _wrapped(text.strip(), "")


def bullet(text: str) -> str:
    """An item of a list."""
    return _wrapped(f"- {text}", "  ")


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
