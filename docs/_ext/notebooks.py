"""The start pages as notebooks, for download on the site and for `nox -s notebook`.

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
    """A page of Markdown as a notebook: Python blocks become cells, in their order.

    Output blocks, comments and links to other pages are left out. Shell commands stay text.
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
        cell["id"] = f"cell-{i}"  # not random, so that the same page gives the same file
    return found


def run(path: Path) -> None:
    """Run the notebook of a page in a temporary folder, and print its output.

    Raises:
        CellExecutionError: A cell failed; the error has the cell and its traceback.
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
    """Sphinx's hook: write the notebooks into the site."""
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for page in sorted(Path(app.srcdir).glob(START)):
        written = notebook(page.read_text(encoding="utf-8"))
        nbformat.write(written, folder / f"{page.stem}.ipynb")


def offer(app: Any, name: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Sphinx's hook: give the template of a start page the path of its notebook."""
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
