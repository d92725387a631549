"""Runs the Python examples of the README and the pages in docs.

Leaves out what needs a framework that is not installed; the nox session of the framework fails
without it.
"""

import contextlib
import os
import tempfile
from importlib.util import find_spec

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

NEEDS = {
    "torch": [
        "src/clr_adapters/torch/*",
        "tests/adapters/test_torch_*.py",
        "docs/pytorch.md",
        "docs/migrating-from-pytorch.md",
    ],
    "keras": ["src/clr_adapters/keras/*", "tests/adapters/test_keras_*.py", "docs/keras.md"],
    "jax": ["src/clr_adapters/jax/*"],
    "optax": [],
    "flax": ["tests/adapters/test_jax.py", "docs/jax.md"],  # which needs optax and jax
    "matplotlib": ["docs/method.md"],
}
missing = {framework for framework in NEEDS if find_spec(framework) is None}
# Keras needs a backend; one that is asked for must be there.
if "KERAS_BACKEND" not in os.environ and find_spec("tensorflow") is None:
    missing.add("keras")
collect_ignore_glob = [path for framework in sorted(missing) for path in NEEDS[framework]]


def set_up(namespace):
    """Let a page write files where nobody minds."""
    stack = namespace["stack"] = contextlib.ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    stack.enter_context(contextlib.chdir(folder))
    os.mkdir("pictures")  # what docs/draw.py keeps
    # Pages leave out examples with: skip: next if("torch" in missing, reason="needs torch").
    namespace["missing"] = missing


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=set_up,
    teardown=lambda namespace: namespace["stack"].close(),
).pytest()
