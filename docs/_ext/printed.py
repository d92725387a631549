"""Directives that print facts of the program: `command-help` and `kinds`."""

from __future__ import annotations

from typing import Any

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from clr_adapters.cli import main
from clrcore.bounds import KINDS

WIDTH = 80


class CommandHelp(SphinxDirective):
    """The help of `clrcore`, and of each of its commands under its own heading."""

    def run(self) -> list[nodes.Node]:
        """The help as it is on a terminal of 80 columns."""
        found: list[nodes.Node] = [_block(main, "clrcore")]
        for name in sorted(main.commands):
            section = nodes.section(ids=[f"clrcore-{name}"], names=[f"clrcore {name}"])
            section += nodes.title(text=f"clrcore {name}")
            section += _block(main.commands[name], f"clrcore {name}")
            found.append(section)
        return found


class Kinds(SphinxDirective):
    """The kinds of warnings and refusals with their meanings."""

    def run(self) -> list[nodes.Node]:
        """A list of the kinds."""
        found = nodes.bullet_list()
        for kind, meaning in KINDS.items():
            text = nodes.paragraph("", "", nodes.literal(text=kind), nodes.Text(f": {meaning}"))
            found += nodes.list_item("", text)
        return [found]


def _block(command: click.Command, name: str) -> nodes.literal_block:
    context = click.Context(
        command, info_name=name, terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    text = command.get_help(context)
    return nodes.literal_block(text, text, language="text")


def setup(app: Sphinx) -> dict[str, Any]:
    """Make this an extension."""
    app.add_directive("command-help", CommandHelp)
    app.add_directive("kinds", Kinds)
    return {"version": "1", "parallel_read_safe": True}
