"""Every entry point of an installed wheel; run by `nox -s build` where only NumPy is installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# The extra that each module names where its framework is missing; None: it needs none.
ENTRIES = {
    "clrcore": None,
    "clr_adapters": None,
    "clr_adapters.logs": None,
    "clr_adapters.torch": "torch",
    "clr_adapters.keras": "tensorflow",
    "clr_adapters.jax": "jax",
    "clr_adapters.plot": "plot",
    "clr_adapters.lightning": "lightning",
    "clr_adapters.transformers": "transformers",
    "clr_adapters.accelerate": "accelerate",
    "clr_adapters.ignite": "ignite",
    "clr_adapters.skorch": "skorch",
}


def check_imports() -> None:
    """Each module can be imported, or names the extra that it needs in one line."""
    for name, extra in ENTRIES.items():
        try:
            importlib.import_module(name)
        except ImportError as error:
            message = str(error)
            print(f"{name}: {message}")
            assert extra is not None, message
            assert "\n" not in message, message
            assert f"[{extra}]" in message, message
            assert f"{name} needs " in message, message
            assert "needs it" not in message, message
        else:
            assert extra is None, f"{name} was imported without {extra}"


def check_commands() -> None:
    """Both commands end with one line that names the extra."""
    script = str(Path(sys.executable).with_name("clrcore"))
    for command in ([sys.executable, "-m", "clrcore"], [script]):
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (1, ""), ended
        assert re.fullmatch(r"the command clrcore needs click: .*\[cli\].*\n", ended.stderr), ended


def check_core() -> None:
    """The whole way from a range test to a policy."""
    import clrcore

    test = clrcore.RangeTest()
    for lr in test:
        test.record(loss=0.3 + 2.0 * math.exp(-200 * lr) if lr < 0.5 else 5 * lr)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "curve.csv")
        test.curve.to_csv(path)
        bounds = clrcore.suggest_bounds(clrcore.Curve.from_csv(path))
    policy = bounds.policy(step_size=100)
    scheduler = clrcore.Scheduler(clrcore.policy_from_dict(policy.to_dict()))
    scheduler.jump(100)
    assert scheduler.lr == bounds.max_lr, (scheduler.lr, bounds)


def check_files() -> None:
    """The wheel has its types, its licence, and links that work anywhere."""
    files = {str(file) for file in importlib.metadata.files("clrcore") or []}
    assert {"clrcore/py.typed", "clr_adapters/py.typed"} <= files, files
    assert any(file.endswith("LICENSE") for file in files), files
    text = str(importlib.metadata.metadata("clrcore").get_payload())
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert links, text
    assert all(link.startswith("https:") for link in links), links


if __name__ == "__main__":
    check_imports()
    check_commands()
    check_core()
    check_files()
    print("the wheel works")
