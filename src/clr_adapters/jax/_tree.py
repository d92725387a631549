"""Names for the arrays in a pytree."""

from __future__ import annotations

from typing import Any

import jax


def named_leaves(name: str, tree: Any) -> tuple[dict[str, Any], Any]:
    """The leaves by name, such as "state['params'][0]", and the tree's structure."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    return {name + jax.tree_util.keystr(path): leaf for path, leaf in leaves}, structure
