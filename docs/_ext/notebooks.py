"""The start pages as notebooks: offered for download on the site, and run by `nox -s notebook`.

python docs/_ext/notebooks.py docs/start.md ...   runs the notebooks of these pages
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat

START = "start*.md"
FOLDER = "_notebooks"


def notebook(text: str) -> Any:
    """A page of Markdown as a notebook: Python blocks are cells, in their order.

    What a block prints is left out, as the notebook prints it itself, and so are links to other
    pages, which lead nowhere in a folder of downloads, and comments. Commands of the shell stay
    text.
    """
    text = re.sub(r"^```output\n.*?^```\n", "", text, flags=re.M | re.S)
    text = re.sub(r"^<!--.*?-->\n", "", text, flags=re.M | re.S)
    text = re.sub(r"(?<!!)\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)
    text = re.sub(r"^```(sh\n.*?^)```$", r"~~~\1~~~", text, flags=re.M | re.S)
    found = jupytext.reads(text, fmt="md")
    found.metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
    }
    for i, cell in enumerate(found.cells):
        cell["id"] = f"cell-{i}"  # not by chance: the same page gives the same file
    return found


def run(path: Path) -> None:
    """Run the notebook of a page, in a folder of its own; prints what it printed.

    Raises nbclient's CellExecutionError, with the cell and its traceback, if a cell fails.
    """
    from nbclient import NotebookClient

    page = notebook(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(page, timeout=600, resources={"metadata": {"path": folder}}).execute()
    cells = [cell for cell in page.cells if cell.cell_type == "code"]
    print(f"{path}: {len(cells)} cells ran")
    for cell in cells:
        print("".join(output.get("text", "") for output in cell.outputs), end="")


def write(app: Any) -> None:
    """Sphinx's hook: put the notebooks where the site takes its files from."""
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for page in sorted(Path(app.srcdir).glob(START)):
        made = notebook(page.read_text(encoding="utf-8"))
        nbformat.write(made, folder / f"{page.stem}.ipynb")


def offer(app: Any, name: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Sphinx's hook: tell the template of a start page where its notebook is."""
    if Path(f"{name}.md").match(START):
        context["notebook"] = f"{FOLDER}/{name}.ipynb"


def setup(app: Any) -> dict[str, Any]:
    """Make this an extension."""
    app.connect("builder-inited", write)
    app.connect("html-page-context", offer)
    return {"version": "1", "parallel_read_safe": True}


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        run(Path(argument))
