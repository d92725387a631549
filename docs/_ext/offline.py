"""Refuses a site that loads scripts, fonts, styles or pictures from another server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

LOADED = re.compile(
    r"<(?:script|link|img|iframe|source|object|embed)\b[^>]*\b(?:src|href|data)\s*=\s*"
    r"""["']?((?:https?:)?//[^"'\s>]+)"""
)
LOADED_BY_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")


def outside(folder: Path) -> list[str]:
    """The addresses on other servers that pages and style sheets load, as "page: address"."""
    return [
        f"{path.relative_to(folder)}: {address}"
        for pattern, suffix in ((LOADED, "html"), (LOADED_BY_STYLE, "css"))
        for path in sorted(folder.rglob(f"*.{suffix}"))
        for address in pattern.findall(path.read_text(encoding="utf-8"))
    ]


def check(app: Sphinx, error: Exception | None) -> None:
    """Sphinx's hook: fail at the end of a successful build."""
    found = [] if error else outside(Path(app.outdir))
    if found:
        raise ExtensionError("pages load from other servers:\n" + "\n".join(found))


def setup(app: Sphinx) -> dict[str, Any]:
    """Make this an extension."""
    app.connect("build-finished", check)
    return {"version": "1", "parallel_read_safe": True}
