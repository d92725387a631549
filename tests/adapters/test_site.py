"""The site's extensions: docstrings become readable, and links lead from where a page is shown."""

import inspect
import re
import runpy
from pathlib import Path

import pytest

import clrcore

EXTENSIONS = Path(__file__).parents[2] / "docs/_ext"
docstrings = runpy.run_path(str(EXTENSIONS / "docstrings.py"))
readable, names_of = docstrings["readable"], docstrings["names_of"]
neighbours = runpy.run_path(str(EXTENSIONS / "neighbours.py"))
inward, moved, relinked = (neighbours[name] for name in ("inward", "moved", "relinked"))
PUBLIC = [name for name in clrcore.__all__ if inspect.getdoc(getattr(clrcore, name))]


def lines(text, *arguments):
    return [line for line in readable(text.split("\n"), arguments) if line]


def test_an_argument_is_a_name_and_its_meaning():
    text = "What it does.\n\nrate, other: a number\n    above 0.\nRaises ValueError for others."
    assert lines(text, "rate", "other") == [
        "What it does.",
        "``rate``, ``other``",
        "    a number above 0.",
        "Raises ValueError for others.",
    ]


def test_arguments_on_one_line_are_told_apart():
    text = "a: one. b: two, of\nthree. c: four.\nA sentence: of its own."
    assert lines(text, "a", "b", "c") == [
        *("``a``", "    one."),
        *("``b``", "    two, of three."),
        *("``c``", "    four."),
        "A sentence: of its own.",
    ]


def test_what_is_no_argument_is_text():
    assert lines("Source: Smith.\nRate: base w(u).", "rate") == ["Source: Smith. Rate: base w(u)."]


def test_examples_stay_as_they_are():
    text = "It adds.\n\n>>> print(`a_`)\n... * b\nshown *as* it is\n\nMore."
    assert readable(text.split("\n"), ()) == [
        *("It adds.", ""),
        *(">>> print(`a_`)", "... * b", "shown *as* it is", ""),
        *("More.", ""),
    ]


def test_code_is_code_and_public_names_are_links():
    assert lines("`lr` of `Curve` by `clrcore.triangular`") == [
        "``lr`` of :py:obj:`Curve <clrcore.Curve>` by "
        ":py:obj:`clrcore.triangular <clrcore.triangular>`"
    ]


def test_signs_that_mean_something_to_sphinx_are_text():
    assert lines("a * b, val_... and **kwargs |x|") == [r"a \* b, val\_... and \*\*kwargs \|x\|"]


@pytest.mark.parametrize("name", PUBLIC)
def test_no_argument_of_a_public_docstring_is_lost_in_text(name):
    thing = getattr(clrcore, name)
    arguments = names_of(thing)
    for line in readable(inspect.getdoc(thing).split("\n"), arguments):
        if not line.startswith((">>>", "...")):
            named = re.match(r"(\w+(?:, \w+)*): ", line)
            assert not (named and set(named[1].split(", ")) <= arguments), line
            assert not re.search(r"`[^`]*\n", line + "\n") or line.count("`") % 2 == 0


def test_the_arguments_of_a_range_test_are_found():
    text = "\n".join(readable(inspect.getdoc(clrcore.Curve).split("\n"), names_of(clrcore.Curve)))
    for name in ("lr", "loss", "accuracy", "sweep", "steps_per_epoch", "held_out"):
        assert f"``{name}``\n    " in text
    assert "\nLoss and accuracy have the length of lr" in text


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
