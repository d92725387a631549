"""Files that a model is saved to after a cycle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from clr_adapters import _files
from clrcore.arguments import check_type, refuse

SUFFIXES = (".keras", ".weights.h5")


def check_template(snapshots: str | os.PathLike[str]) -> str:
    """The path of snapshots, with its fields, as a string."""
    check_type("snapshots", snapshots, str | os.PathLike, "a path")
    path = os.fspath(snapshots)
    allowed = "a path ending in .keras or .weights.h5, with no fields but {cycle} and {updates}"
    if not path.endswith(SUFFIXES):
        refuse(ValueError, "snapshots", allowed, path)
    try:
        path.format(cycle=0, updates=0)
    except (AttributeError, LookupError, TypeError, ValueError):
        refuse(ValueError, "snapshots", allowed, path)
    return path


def save(model: Any, path: str) -> None:
    """Save a model, or its weights, as a whole file."""
    suffix = next(suffix for suffix in SUFFIXES if path.endswith(suffix))
    save = model.save if suffix == ".keras" else model.save_weights
    with _files.replaced(Path(path), suffix) as draft:
        save(draft, overwrite=True)
