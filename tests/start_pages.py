"""The start pages as two programs: the first trains and saves, the second resumes and stops."""

import ast
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
DEFINITIONS = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef


def programs(page):
    """The blocks up to the one that saves; then the data, the definitions and the other blocks."""
    text = (DOCS / page).read_text("utf-8")
    training, resuming = (
        re.findall(r"^```python\n(.*?)^```", half, re.M | re.S)
        for half in re.split(r"^## Save and resume$", text, flags=re.M)
    )
    save, *rest = resuming
    definitions = [
        ast.unparse(statement)
        for block in [*training[1:], save]
        for statement in ast.parse(block).body
        if isinstance(statement, DEFINITIONS)
    ]
    return "\n".join([*training, save]), "\n".join([training[0], *definitions, *rest])


def check_resumes(page, folder):
    """Run both programs of a page, each in a process of its own, and check their output."""
    outputs = []
    for program in programs(page):
        process = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
        )
        assert process.returncode == 0, process.stderr
        outputs.append(process.stdout)
    first, second = outputs
    assert re.findall(r"cycle (\d): .*continue", first) == ["0", "1"]
    assert second.startswith("resumed after 320 updates\n")
    assert "no improvement" in second.splitlines()[-1]
