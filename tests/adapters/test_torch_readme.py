"""The README's PyTorch example in two processes: train and save; load and go on."""

import json
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
MORE = """
import json
rates = []
for step in range(300):
    rates.append(optimizer.param_groups[0]["lr"])
    optimizer.step()
    scheduler.step()
print(json.dumps(rates))
"""


def blocks():
    found = re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.S | re.M)
    return [block for block in found if "PolicyLR(" in block]


def rates(program, folder):
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_example_runs_and_resumes_with_the_same_rates(tmp_path):
    train, resume = blocks()
    # What the second process makes as before: everything up to the range test.
    made = train[: train.index("curve = range_test")]
    whole = rates(train + MORE, tmp_path)
    assert len(set(whole)) > 100
    assert rates(made + resume + MORE, tmp_path) == whole
