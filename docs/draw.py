"""Draw the pages' pictures: run the Python blocks of each page and keep the saved pictures.

    python docs/draw.py [PAGE.md ...]

A block draws a picture if it ends with `figure.savefig("pictures/NAME.png")`. The blocks of a page
run in order, in a temporary folder; the pictures go to docs/pictures. By default all pages with
pictures run.
"""

import contextlib
import re
import shutil
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
PICTURES = DOCS / "pictures"

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SAVED = re.compile(r"""\bsavefig\("pictures/([^"]+)"\)""")
SHOWN = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")


def blocks(text: str) -> list[str]:
    """The Python blocks of a page, each behind empty lines that keep its line numbers."""
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in BLOCK.finditer(text)]


def drawn(text: str) -> list[str]:
    """The names of the pictures that a page draws."""
    return [name for block in blocks(text) for name in SAVED.findall(block)]


def shown(text: str) -> list[tuple[str, str]]:
    """The alternative text and the address of each picture on a page."""
    return SHOWN.findall(text)


def draw(page: Path) -> list[str]:
    """Run the blocks of a page, keep its pictures, and return their names."""
    text = page.read_text(encoding="utf-8")
    names = drawn(text)
    namespace = {"__name__": page.stem}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("pictures").mkdir()
        for block in blocks(text):
            exec(compile(block, str(page), "exec"), namespace)
        for name in names:
            shutil.copyfile(Path("pictures", name), PICTURES / name)
    return names


def main() -> None:
    """Draw the pages named on the command line, or all."""
    pages = [Path(name).resolve() for name in sys.argv[1:]] or [
        page for page in sorted(DOCS.glob("*.md")) if drawn(page.read_text(encoding="utf-8"))
    ]
    for page in pages:
        print(f"{page.name}: {', '.join(draw(page))}")


if __name__ == "__main__":
    main()
