"""Docstrings as they are written in the source, made readable for Sphinx.

In the source an argument is a line `name: text`, code stands in single backticks, and a sentence
that begins with Returns or Raises is a paragraph of its own, with or without an empty line.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import clrcore

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PUBLIC = {name: f"clrcore.{name}" for name in clrcore.__all__} | {
    "PolicyLR": "clr_adapters.torch.PolicyLR",
    "CycleEnds": "clr_adapters.keras.CycleEnds",
    "PolicySchedule": "clr_adapters.keras.PolicySchedule",
    "RateLogger": "clr_adapters.keras.RateLogger",
}
NAMES = r"\w+(?:, \w+)*"
EXAMPLE = ">>> "


def readable(lines: list[str], arguments: Collection[str]) -> list[str]:
    """The lines of a docstring in reStructuredText.

    lines: dedented. arguments: the names that may stand before a colon.
    """
    found: list[str] = []
    for kind, text in parts(lines, frozenset(arguments)):
        if kind == "example":
            found += text.split("\n")
        elif kind == "argument":
            names, _, meaning = text.partition(": ")
            found.append(", ".join(f"``{name}``" for name in names.split(", ")))
            found.append(f"    {markup(meaning)}")
        else:
            found.append(markup(text))
        found.append("")
    return found


def parts(lines: list[str], arguments: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(kind, text) of every part: "text", "argument" or "example"; texts are of one line."""
    part: list[str] = []

    def done() -> Iterator[tuple[str, str]]:
        if part and part[0].startswith(EXAMPLE):
            yield "example", "\n".join(part)
        elif part:
            yield from _split(" ".join(line.strip() for line in part), arguments)
        part.clear()

    for line in lines:
        if not line.strip():
            yield from done()
        elif not (part and part[0].startswith(EXAMPLE)) and _begins(line, part, arguments):
            yield from done()
            part.append(line)
        else:
            part.append(line)
    yield from done()


def _begins(line: str, part: list[str], arguments: frozenset[str]) -> bool:
    """Whether a part begins with this line, the lines of the part before it being `part`."""
    if not part or line.startswith((EXAMPLE, "Returns ", "Raises ")) or _names(line, arguments):
        return True
    # A sentence that is not indented ends the argument above it.
    in_argument = bool(_names(part[0], arguments))
    return in_argument and line[0].isupper() and part[-1].endswith(".")


def _names(line: str, arguments: frozenset[str]) -> str | None:
    found = re.match(rf"({NAMES}): ", line)
    if found and set(found[1].split(", ")) <= arguments:
        return found[1]
    return None


def _split(text: str, arguments: frozenset[str]) -> Iterator[tuple[str, str]]:
    """A paragraph, parted where the arguments on one line begin."""
    starts = [
        match.end(1)
        for match in re.finditer(rf"(^|\. )(?={NAMES}: )", text)
        if _names(text[match.end(1) :], arguments)
    ]
    for start, end in zip([0, *starts], [*starts, len(text)], strict=True):
        if piece := text[start:end].strip():
            yield ("argument" if start in starts else "text"), piece


def markup(text: str) -> str:
    """Text with its backticks made code, or a link where they hold a public name."""
    pieces = re.split(r"`([^`]*)`", text)
    for i, piece in enumerate(pieces):
        if i % 2:
            name = piece.removeprefix("clrcore.")
            public = PUBLIC.get(name)
            pieces[i] = f":py:obj:`{piece} <{public}>`" if public else f"``{piece}``"
        else:
            pieces[i] = re.sub(r"([\\*|]|_(?!\w))", r"\\\1", piece)
    return "".join(pieces)


def names_of(thing: Any) -> set[str]:
    """The arguments of a function or class, and the fields of a class."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return set()
    fields = {name for kind in getattr(thing, "__mro__", ()) for name in _fields(kind)}
    return set(signature.parameters) | fields


def _fields(kind: type) -> Collection[str]:
    return (*getattr(kind, "_fields", ()), *getattr(kind, "__slots__", ()))


def process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Sphinx's hook: change the lines in place."""
    lines[:] = readable(lines, names_of(thing))


def setup(app: Sphinx) -> dict[str, Any]:
    """Make this an extension."""
    app.connect("autodoc-process-docstring", process)
    return {"version": "1", "parallel_read_safe": True}
