"""README, CONTRIBUTING and CHANGELOG, which lie above docs, as pages of the site.

On a code host `docs/readme.md` and its like point to them; on the site their text is there instead,
and links to them lead there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

NEIGHBOURS = {
    f"{name}.md": f"{name.lower()}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")
}
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^()\s#]+)")


def inward(text: str) -> str:
    """A page in docs, its links to neighbours made links to their pages."""
    return LINK.sub(lambda found: NEIGHBOURS.get(found[1].removeprefix("../"), found[1]), text)


def moved(text: str) -> str:
    """A neighbour's text as that of a page in docs: its links begin there."""

    def link(found: re.Match[str]) -> str:
        target = found[1]
        return target.removeprefix("docs/") if target.startswith("docs/") else f"../{target}"

    return inward(LINK.sub(link, text))


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Sphinx's hook: change a page's text in place."""
    for neighbour, page in NEIGHBOURS.items():
        if page == f"{name}.md":
            path = Path(app.srcdir).parent / neighbour
            app.env.note_dependency(str(path))
            source[0] = moved(path.read_text(encoding="utf-8"))
            return
    source[0] = inward(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Make this an extension."""
    app.connect("source-read", read)
    return {"version": "1", "parallel_read_safe": True}
