"""Code on a page draws every picture, or a command that the page names."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from cases import each

image = pytest.importorskip("matplotlib.image")

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
drawing = runpy.run_path(str(DOCS / "draw.py"))

# Commands that draw pictures too slow for a page, by picture or by page.
COMMANDS = {
    "comparison.png": "clrcore demo",
    "range_test.png": "clrcore demo",
    "bounds.png": "benchmarks/bounds.py",
    "evidence.md": "benchmarks/reproduce.py",
    "scoreboard.md": "benchmarks/scoreboard.py",
    "cifar10.md": "examples/cifar10.py",
    "command.md": "clrcore ",
    "architecture.svg": "docs/architecture.py",
}


def shown(page: Path) -> list[tuple[str, Path]]:
    """The pictures of this repository that a page shows, with their alternative texts."""
    pictures = drawing["shown"](page.read_text(encoding="utf-8"))
    return [(alt, page.parent / address) for alt, address in pictures if "://" not in address]


def by_name(page: Path) -> str:
    return page.name


def test_a_page_draws_each_picture_or_names_the_command_that_draws_it():
    drawn = {name for page in PAGES for name in drawing["drawn"](page.read_text("utf-8"))}
    seen = {(page, picture) for page in PAGES for _, picture in shown(page)}
    commands = {
        picture.name
        for page, picture in seen
        if (command := COMMANDS.get(picture.name) or COMMANDS.get(page.name))
        and command in page.read_text("utf-8")
    }
    names = {picture.name for _, picture in seen}
    assert all(picture.is_file() for _, picture in seen)
    assert names == drawn | commands


@each("page", PAGES)
def test_alternative_texts_say_what_is_seen(page):
    for alt, _ in shown(page):
        assert len(alt.split()) >= 5


@each("path", sorted((DOCS / "pictures").iterdir()))
def test_pictures_are_shown_and_opaque(path):
    """Opaque, as dark letters on a dark page cannot be read."""
    assert any(picture.resolve() == path for page in PAGES for _, picture in shown(page))
    pixels = image.imread(path)
    assert pixels.ndim == 2 or pixels.shape[2] == 3 or (pixels[..., 3] == 1).all()


def test_a_page_is_drawn(tmp_path, monkeypatch):
    """Blocks share their names, pictures are kept, and an error names the line of the page."""
    draw = drawing["draw"]
    monkeypatch.setitem(draw.__globals__, "PICTURES", tmp_path)
    page = tmp_path / "page.md"
    first = 'text = "drawn"\n'
    second = 'figure = open("pictures/a.png", "w")\nfigure.write(text)\nfigure.close()\n'
    saved = '# figure.savefig("pictures/a.png")\n'
    page.write_text(f"# Page\n\n```python\n{first}```\n\n```python\n{second}{saved}```\n")
    assert draw(page) == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "drawn"

    page.write_text("# Page\n\n```python\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as error:
        draw(page)
    assert error.traceback[-1].lineno + 1 == 4
