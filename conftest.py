"""Runs the Python examples of the README and the pages in docs.

Leaves out what needs a framework that is not installed; the nox session of the framework fails
without it.
"""

from importlib.util import find_spec

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

collect_ignore_glob = []
if find_spec("torch") is None:
    collect_ignore_glob += ["src/clr_adapters/torch", "tests/adapters/test_torch*"]

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()], patterns=["README.md", "docs/*.md"]
).pytest()
