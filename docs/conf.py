"""How Sphinx makes the site; see `nox -s docs`. Nothing is fetched, while building or reading."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src")]

# Without it Keras asks for TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")

import clrcore  # noqa: E402 - from the line above

project = "clrcore"
author = "The clrcore authors"
copyright = author
version = release = clrcore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    # from _ext
    "commands",
    "docstrings",
    "neighbours",
    "notebooks",
    "offline",
]
exclude_patterns = ["_*", "pictures"]
smartquotes = False  # text as it is written

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "none"  # the text says types, with units and shapes
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"clrcore {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
