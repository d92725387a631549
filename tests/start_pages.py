"""The start pages as two programs: one trains and saves, the other loads, goes on, and stops."""

import ast
import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
MADE_ANEW = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef


def programs(page):
    """All blocks up to the one that saves; the first, the definitions, and what comes after."""
    text = (DOCS / page).read_text("utf-8")
    training, going_on = (
        re.findall(r"^```python\n(.*?)^```", part, re.M | re.S)
        for part in re.split(r"^## Save and resume$", text, flags=re.M)
    )
    save, *rest = going_on
    again = [
        ast.unparse(statement)
        for block in [*training[1:], save]
        for statement in ast.parse(block).body
        if isinstance(statement, MADE_ANEW)
    ]
    return "\n".join([*training, save]), "\n".join([training[0], *again, *rest])


def check_resumes(page, folder):
    """Run both programs of a page, and check what they print."""
    printed = []
    for program in programs(page):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    first, second = printed
    assert re.findall(r"cycle (\d): .*continue", first) == ["0", "1"]
    assert second.startswith("resumed after 320 updates\n")
    assert "no improvement" in second.splitlines()[-1]
