"""Public names and signatures change only on purpose."""

import difflib

import clrcore
import public_api


def test_names_and_signatures_are_those_of_the_list():
    kept = public_api.LIST.read_text(encoding="utf-8").splitlines()
    changed = difflib.unified_diff(kept, public_api.lines(), "kept", "now", lineterm="", n=0)
    assert list(changed) == [], "if it is on purpose: python tests/public_api.py --write"


def test_the_list_has_all_names_of_the_core():
    ours = [line for line in public_api.lines() if line.startswith("clrcore.")]
    assert {line.split("(")[0].split(".")[1] for line in ours} == set(clrcore.__all__)
