"""The site's extension for pages above docs: links lead on from the place where a page is shown."""

import runpy
from pathlib import Path

EXTENSIONS = Path(__file__).parents[2] / "docs/_ext"
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
