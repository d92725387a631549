"""README, CONTRIBUTING and CHANGELOG, which lie above docs, as pages of the site.

On a code host, `docs/readme.md` and its like are links to these files. On the site they show the
text of the files, and links to the files lead to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

NEIGHBOURS = {name: name.lower() for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")}
BLOCK = re.compile(r"(^```.*?^```$)", flags=re.M | re.S)
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^()\s#]+)")


def inward(target: str) -> str:
    """The target on the site of a link in docs: the page of a file above docs, or unchanged."""
    return NEIGHBOURS.get(target.removeprefix("../"), target)


def moved(target: str) -> str:
    """The target on the site of a link in a file above docs."""
    inside = target.removeprefix("docs/")
    return inside if inside != target else inward(f"../{target}")


def relinked(text: str, link: Callable[[str], str]) -> str:
    """A page with new targets for its links; blocks of code stay unchanged."""
    parts = BLOCK.split(text)
    parts[::2] = [LINK.sub(lambda found: link(found[1]), part) for part in parts[::2]]
    return "".join(parts)


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Sphinx's hook: change the text of a page in place."""
    for neighbour, page in NEIGHBOURS.items():
        if page == f"{name}.md":
            path = Path(app.srcdir).parent / neighbour
            app.env.note_dependency(str(path))
            source[0] = relinked(path.read_text(encoding="utf-8"), moved)
            return
    source[0] = relinked(source[0], inward)


def setup(app: Sphinx) -> dict[str, Any]:
    """Make this an extension."""
    app.connect("source-read", read)
    return {"version": "1", "parallel_read_safe": True}
