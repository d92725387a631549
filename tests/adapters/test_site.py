"""The site's extension for pages above docs: links lead on from the place where a page is shown."""

import json
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTENSIONS = ROOT / "docs/_ext"
neighbours = runpy.run_path(str(EXTENSIONS / "neighbours.py"))
inward, moved, relinked = (neighbours[name] for name in ("inward", "moved", "relinked"))


def test_links_of_pages_above_docs_lead_from_docs():
    assert moved("docs/pytorch.md") == "pytorch.md"
    assert moved("docs/pictures/a.png") == "pictures/a.png"
    assert moved("CHANGELOG.md") == "changelog.md"
    assert moved("LICENSE") == "../LICENSE"
    text = "[a](README.md#use) ![b](docs/b.png) <https://c.de> [d](https://d.ef) [e](#e)\n"
    code = "```python\nf[0](README.md)\n```\n"
    links = "[a](readme.md#use) ![b](b.png) <https://c.de> [d](https://d.ef) [e](#e)\n"
    assert relinked(text + code + text, moved) == links + code + links


def test_links_of_docs_to_pages_above_lead_to_their_pages():
    assert relinked("[a](../README.md#use) [b](keras.md) [c](../benchmarks/core.py)", inward) == (
        "[a](readme.md#use) [b](keras.md) [c](../benchmarks/core.py)"
    )


@pytest.mark.parametrize(
    ("words", "page"),
    [
        (["warmup"], "policies"),
        (["overhead"], "benchmarks"),
        (["hug", "face"], "trainers"),
        (["lr", "finder"], "range-test"),
        (["one", "cycl"], "policies"),
        (["cosin"], "policies"),
        (["lightn"], "trainers"),
        (["resum"], "start-pytorch"),
    ],
)
def test_the_search_finds_a_page_by_the_words_of_its_readers(words, page):
    """The words are stems, as the index holds them."""
    path = ROOT / "build/site/searchindex.js"
    if not path.exists():
        pytest.skip("the site is not built: nox -s docs")
    index = json.loads(path.read_text("utf-8").removeprefix("Search.setIndex(").rstrip(")"))
    number = index["docnames"].index(page)
    for word in words:
        found = [index["terms"].get(word, []), index["titleterms"].get(word, [])]
        pages = [pages if isinstance(pages, list) else [pages] for pages in found]
        assert any(number in some for some in pages), word
