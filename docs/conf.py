"""How Sphinx builds the site; see `nox -s docs`. Neither building nor reading needs a network."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent / "src")]

# Keras imports TensorFlow unless the environment names another backend.
os.environ.setdefault("KERAS_BACKEND", "jax")

import clrcore  # noqa: E402 - found through the path above

project = "clrcore"
author = "The clrcore authors"
copyright = author
version = release = clrcore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    # from _ext
    "printed",
    "neighbours",
    "notebooks",
    "offline",
]
exclude_patterns = ["_*", "pictures"]
smartquotes = False  # text as it is written

myst_heading_anchors = 3

# `name` in a docstring is code, and a link if the reference has the name; so is a type.
# Types of other packages stay text, because nothing is fetched.
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj|py:class", ".*")]

napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = ["Source"]

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80

html_theme = "furo"
html_title = f"clrcore {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = ["_templates"]
html_show_sourcelink = False
html_copy_source = False
html_use_index = False
