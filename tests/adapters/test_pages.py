"""README and docs as a code host shows them: links lead somewhere, pictures and names are there."""

import re
import runpy
from pathlib import Path

import clrcore
from cases import each
from pages import PAGES, ROOT, anchors, broken, is_outside, links, pictures

SIGNATURES = {".png": b"\x89PNG\r\n\x1a\n", ".svg": b"<svg "}


@each("page", PAGES)
def test_every_link_leads_somewhere(page):
    assert broken(page, page.read_text("utf-8")) == []


@each("page", PAGES)
def test_every_picture_is_one_and_of_this_project(page):
    for target in pictures(page.read_text("utf-8")):
        assert not is_outside(target)
        path = page.parent / target
        assert SIGNATURES[path.suffix] in path.read_bytes()[:400], target


def test_the_pages_are_found():
    names = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "docs/index.md", "docs/start.md"} <= names
    assert len(links((ROOT / "README.md").read_text("utf-8"))) > 5


@each(
    "text",
    [
        "[a](nowhere.md)",
        "[a](here.md#no-such-heading)",
        "[a](#no-such-heading)",
        "![a](missing.png)",
        "[a](../../outside.md)",
        "[a](http://example.com)",
        "[a](https://example)",
        "[a](https://example.com.)",
        "[a](ftp://example.com/a)",
        "two\nlines [of\ntext](nowhere.md)",
        "[a]\n\n[a]: nowhere.md",
        "[![a](here.md)](nowhere.md)",
    ],
)
def test_a_link_that_leads_nowhere_is_found(tmp_path, text):
    (tmp_path / "here.md").write_text("# A heading\n")
    assert len(broken(tmp_path / "page.md", text, tmp_path)) == 1


@each(
    "text",
    [
        "[a](here.md) [b](here.md#a-heading-of-clrcore-and-more)",
        "[a](here.md#twice) [b](here.md#twice-1)",
        "# Own heading\n[a](#own-heading)",
        "[a](https://example.com/a#b) <https://example.com>",
        "`[a](nowhere.md)`",
        "```python\nx[0](nowhere)\n# [a](nowhere.md)\n```",
        "````\n```\n[a](nowhere.md)\n```\n````",
    ],
)
def test_a_link_that_leads_somewhere_is_left_alone(tmp_path, text):
    heading = "# A heading of `clrcore`, [and](x.md) more!\n## Twice\n## Twice\n"
    (tmp_path / "here.md").write_text(heading)
    assert broken(tmp_path / "page.md", text, tmp_path) == []


def test_a_comment_in_code_is_no_heading():
    assert anchors("# One\n```python\n# two\n```\n") == ["one"]


def test_every_page_of_docs_is_in_a_table_of_contents():
    listed = {
        name
        for page in (ROOT / "docs").glob("*.md")
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
        for name in re.findall(r"^(?:.*<)?([\w-]+)>?$", tree, re.M)
    }
    assert {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"} <= listed


def test_every_public_name_is_in_the_reference():
    reference = "".join(path.read_text("utf-8") for path in (ROOT / "docs").glob("api-*.md"))
    listed = set(re.findall(r"^\.\. auto\w+:: clrcore\.(\w+)$", reference, re.M))
    assert set(clrcore.__all__) <= listed


def test_the_picture_of_the_architecture_is_what_its_code_draws():
    made = runpy.run_path(str(ROOT / "docs/architecture.py"))
    assert Path(made["PICTURE"]).read_text("utf-8") == made["drawing"]()
