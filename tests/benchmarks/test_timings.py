"""The page of benchmarks is what the rows that lie beside it say."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_written_from_the_rows():
    spec = importlib.util.spec_from_file_location("all", ROOT / "benchmarks" / "all.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parts = json.loads((ROOT / "docs" / "benchmarks.json").read_text())

    assert module.page(parts) == (ROOT / "docs" / "benchmarks.md").read_text()
    # Every part is there, with rows or with the reason why not.
    assert [part["title"] for part in parts] == [part.title for part in module.PARTS]
    assert all(part.get("rows") or part.get("not_run") for part in parts)
