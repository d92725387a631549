"""What `import clrcore` does not import, proven in processes of their own."""

import subprocess
import sys
import textwrap

import pytest

import clrcore
from cases import each

SCALAR_PATH = """
    import clrcore

    chained = clrcore.chain([
        (clrcore.triangular2(1e-3, 5e-3, 20), 160),
        (clrcore.exp_range(1e-4, 5e-4, 10, gamma=0.9, decays="bounds", window="hann"), 60),
        (clrcore.one_cycle(0.1, 50), 50),
        (clrcore.warm_restarts(0.1, 1.0, 5, multiplier=2), None),
    ])
    scheduler = clrcore.Scheduler(clrcore.policy_from_dict(chained.to_dict()))
    monitor = clrcore.CycleMonitor(chained)
    for _ in range(300):
        assert 0 < scheduler.lr <= 1
        if scheduler.step() is not None:
            monitor.update(0.5)
    scheduler.load_state_dict(scheduler.state_dict())
    clrcore.whole_cycles(total_steps=100, step_size=10)
    test = clrcore.RangeTest(clrcore.exponential_sweep(1e-5, 1.0, 10))
    for lr in test:
        test.record(loss=1.0)
    test.load_state_dict(test.state_dict())
    dir(clrcore)
"""
WITHOUT_NUMPY = """
    import sys

    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.split(".")[0] == "numpy":
                raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    sys.meta_path.insert(0, Absent())
"""
FRAMEWORKS = ("numpy", "torch", "keras", "tensorflow", "jax", "matplotlib", "click", "rich")


def run(*programs):
    program = "\n".join(textwrap.dedent(program) for program in programs)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_the_scalar_path_works_without_numpy():
    ended = run(WITHOUT_NUMPY, SCALAR_PATH)

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("program", ["clrcore.triangular(0, 1, 2).values(0, 3)", "clrcore.Curve"])
def test_without_numpy_arrays_fail_with_its_name(program):
    """And so the test above can fail."""
    ended = run(WITHOUT_NUMPY, "import clrcore", program)

    assert ended.returncode == 1
    assert "No module named 'numpy'" in ended.stderr


def test_no_framework_is_imported():
    check = f"import sys; print([name for name in {FRAMEWORKS} if name in sys.modules])"

    assert run(SCALAR_PATH, check).stdout == "[]\n"
    assert run("import numpy", check).stdout == "['numpy']\n"


def test_slow_standard_modules_are_not_imported():
    """Together they would take most of the 40 ms that an import may cost."""
    slow = ("importlib.metadata", "json", "pathlib", "numbers", "fractions", "csv", "difflib")
    check = f"import sys; print([name for name in {slow} if name in sys.modules])"
    ended = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {sys.path!r}; import clrcore; {check}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout == "[]\n"


def test_public_names_are_there_and_others_are_not():
    public = {name for name in dir(clrcore) if not name.startswith("_")}

    assert {"triangular", "Curve", "suggest_bounds", "Bounds", "NoBoundsError"} <= public
    for name in public - {"annotations"}:
        assert getattr(clrcore, name) is not None or name == "TYPE_CHECKING"


@each(
    ("name", "hint"),
    [
        ("skorch", "; import clr_adapters.skorch"),
        ("CyclicLR", "; use clrcore.triangular with clr_adapters.torch.PolicyLR"),
        ("range_test", "; use clr_adapters.torch.range_test, its twins in keras and jax, or"),
        ("torch", "; import clr_adapters.torch"),
        ("triangle", r"; did you mean 'triangular'\?"),
        ("nothing_like_it", "$"),
    ],
)
def test_unknown_names_lead_to_ours(name, hint):
    message = f"module 'clrcore' has no attribute '{name}'{hint}"
    with pytest.raises(AttributeError, match=message):
        getattr(clrcore, name)
    if hint == "$":
        message = "cannot import name 'nothing_like_it' from 'clrcore'"
    with pytest.raises(ImportError, match=message):
        exec(f"from clrcore import {name}")


def test_modules_whose_names_are_near_to_ours_are_imported_as_usual(monkeypatch):
    import clrcore.curve

    monkeypatch.delattr(clrcore, "curve")  # as before its first import
    from clrcore import curve

    assert curve.Curve is clrcore.Curve
