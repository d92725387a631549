"""Recipes of the pages, for tests that run them."""

import pathlib
import re

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "trainers.md"


def recipe(name):
    """The class of this name in a block of the page on trainers."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    exec(next(block for block in blocks if f"class {name}(" in block), names)
    return names[name]
