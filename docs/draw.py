"""Draw the pages' pictures: run the Python blocks of each page, keep what they save.

    python docs/draw.py [PAGE.md ...]

A page draws a picture in a block that ends with `figure.savefig("pictures/NAME.png")`, and shows it
right after. The blocks of a page run one after another, in a folder of their own; the pictures go
to docs/pictures. By default every page that draws one is run.
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
    """The Python blocks of a page, each after as many empty lines as the page has before it."""
    return ["\n" * text.count("\n", 0, found.start(1)) + found[1] for found in BLOCK.finditer(text)]


def drawn(text: str) -> list[str]:
    """The names of the pictures that the blocks of a page save."""
    return [name for block in blocks(text) for name in SAVED.findall(block)]


def shown(text: str) -> list[tuple[str, str]]:
    """The alternative text and the address of every picture that a page shows."""
    return SHOWN.findall(text)


def draw(page: Path) -> list[str]:
    """Run the blocks of a page and keep its pictures; returns their names."""
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
