# /// script
# dependencies = ["nox[uv]>=2025.10.14"]
# ///
"""The checks and the matrices: `nox` runs the tests, `nox --list` names the rest."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests"]
# A Python that is not on this machine is left out, in CI too; nox lists the sessions that ran.
nox.options.error_on_missing_interpreters = False

# Without this, uv tries to download the Pythons that are missing, and fails the session.
os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
# uv does not read pip's setting for a folder of wheels.
if "PIP_FIND_LINKS" in os.environ:
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
SOURCES = ["src", "tests", "docs", "benchmarks", "examples", "noxfile.py", "conftest.py"]
# Versions of the frameworks that are known to work together; users' ranges are wider.
CONSTRAINTS = "constraints/ci.txt"
LOWEST_MI = 30
# Corners of the ranges in pyproject.toml, beside CONSTRAINTS; docs/versions.md lists what passed.
CORNERS = {
    "torch-2.4": ["torch==2.4.1"],  # PyTorch by these numbers brings gigabytes of CUDA
    "torch-2.6": ["torch==2.6.0"],
    "torch-2.9": ["torch==2.9.1"],
    "torch-2.14": ["torch==2.14.1"],
    "keras-3.12-jax": ["keras==3.12.0", "jax"],
    "keras-3.12-tensorflow": ["keras==3.12.0", "tensorflow-cpu==2.16.2"],
    "jax-0.4.35": ["jax==0.4.35", "optax==0.2.4", "flax==0.10.4"],
}
TRAINERS = ["lightning", "transformers", "accelerate", "skorch", "ignite"]
# What the scoreboard needs beside the demo and PyTorch.
SCOREBOARD = ["scikit-learn", "prodigyopt", "schedulefree"]


def pytest(session: nox.Session, *arguments: str) -> None:
    # One example database per session: they would replay each other's failures.
    folder = Path(session.create_tmp())
    env = {"HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis")}
    env["OMP_NUM_THREADS"] = "1"  # matrices are small here; more threads only wait for each other
    session.run("pytest", *arguments, *session.posargs, env=env)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests but the slow ones, on every Python there is."""
    session.install("-e", ".[test,demo]")
    pytest(session)


@nox.session(python="3.11")
def slow(session: nox.Session) -> None:
    """The slow tests: the demo a second time, and the pages that train networks in NumPy."""
    session.install("-e", ".[test,demo]")
    pytest(session, "-m", "slow")


@nox.session(python="3.11", venv_backend="uv")
def oldest(session: nox.Session) -> None:
    """The tests of the core with the oldest versions the package allows."""
    session.install("--resolution", "lowest-direct", "-e", ".[test]")
    pytest(session, "tests/core")


@nox.session(python="3.11")
def arrays(session: nox.Session) -> None:
    """Policies under the array libraries, and alike in all frameworks."""
    libraries = ["jax", "torch", "tensorflow", "keras", "optax"]
    installed = ["tensorflow-cpu" if name == "tensorflow" else name for name in libraries]
    session.install("-e", ".[test]", "-c", CONSTRAINTS, *installed)
    session.env["CLR_REQUIRE"] = ",".join(libraries)
    pytest(session, "tests/frameworks")


@nox.session(python="3.11")
def torch(session: nox.Session) -> None:
    """The PyTorch adapter: tests, examples and types."""
    # torch-lr-finder: a page compares it with ours.
    packages = ["mypy>=1.14", "torch-lr-finder"]
    session.install("-e", ".[test,torch,demo]", "-c", CONSTRAINTS, *packages)
    tests = sorted(str(path) for path in Path("tests/adapters").glob("test_torch_*.py"))
    pages = ["pytorch", "start-pytorch", "migrating-from-pytorch", "migrating"]
    files = ["README.md", *(f"docs/{page}.md" for page in pages)]
    pytest(session, *tests, *files, "src/clr_adapters/torch")
    session.run("mypy", "src/clr_adapters/torch", "examples")


@nox.session(python="3.11")
def imagenet(session: nox.Session) -> None:
    """The example on ImageNet; with CLR_IMAGENET=whole every arm, which takes minutes."""
    session.install("-e", ".[test,torch,cli]", "-c", CONSTRAINTS, "torchvision")
    pytest(session, "tests/adapters/test_imagenet.py")


@nox.session(python="3.11")
@nox.parametrize("trainer", TRAINERS)
def trainers(session: nox.Session, trainer: str) -> None:
    """The adapter of a trainer: tests, examples and types."""
    packages = ["pytorch-lightning"] if trainer == "lightning" else []
    session.install("-e", f".[test,{trainer}]", "-c", CONSTRAINTS, "mypy>=1.14", *packages)
    pytest(session, f"tests/adapters/test_{trainer}.py", f"src/clr_adapters/{trainer}.py")
    pytest(session, "-W", "ignore", "docs/trainers.md")  # trainers warn of their own use of PyTorch
    session.run("mypy", f"src/clr_adapters/{trainer}.py")


@nox.session(python="3.11")
@nox.parametrize("trainer", ["timm", "fastai"])
def recipes(session: nox.Session, trainer: str) -> None:
    """The recipe of a trainer without an adapter, as the page has it."""
    session.install("-e", ".[test,torch]", "-c", CONSTRAINTS, trainer)
    # They use what PyTorch has deprecated, when they are imported.
    pytest(session, "-W", "ignore::DeprecationWarning", f"tests/adapters/test_{trainer}.py")


@nox.session(python="3.11")
def engines(session: nox.Session) -> None:
    """`range_tests` on loky, dask, submitit and Ray, in processes of this machine."""
    session.install("-e", ".[test]", "loky", "dask[distributed]", "submitit", "ray")
    session.env["RAY_TMPDIR"] = tempfile.gettempdir()  # Ray refuses nox's, inside the environment
    # Ray and the processes of pages warn of their own use of files.
    pytest(session, "-W", "default", "tests/engines", "docs/engines.md")


@nox.session(python="3.11")
def jax(session: nox.Session) -> None:
    """JAX, optax and Flax: tests, examples and types."""
    session.install("-e", ".[test,jax,demo]", "-c", CONSTRAINTS, "flax", "mypy>=1.14")
    pages = ["README.md", "docs/jax.md", "docs/start-jax.md"]
    files = sorted(str(path) for path in Path("tests/adapters").glob("test_jax*.py"))
    pytest(session, *files, "src/clr_adapters/jax", *pages)
    session.run("mypy", "src/clr_adapters/jax")


@nox.session(python="3.11")
@nox.parametrize("backend", ["tensorflow", "jax", "torch"])
def keras(session: nox.Session, backend: str) -> None:
    """The Keras adapter on each backend: tests, examples and types."""
    # tensorflow-cpu by name, as the extra takes the larger build; tensorboard for its callback.
    needed = {"tensorflow": ["tensorflow-cpu", "tensorboard"]}.get(backend, [backend])
    session.install("-e", ".[test,keras,demo]", "-c", CONSTRAINTS, "mypy>=1.14", *needed)
    session.env["KERAS_BACKEND"] = backend
    session.run("python", "-c", f"import keras; assert keras.backend.backend() == '{backend}'")
    files = sorted(str(path) for path in Path("tests/adapters").glob("test_keras*.py"))
    pages = ["docs/keras.md", "docs/start-keras.md"]
    if backend != "torch":  # their blocks on PyTorch need more than a backend
        pages += ["README.md", "docs/migrating.md"]
    pytest(session, *files, "src/clr_adapters/keras", *pages)
    if backend == "torch":  # one module imports it
        session.run("mypy", "src/clr_adapters/keras")


@nox.session(python="3.11")
@nox.parametrize("corner", sorted(CORNERS))
def versions(session: nox.Session, corner: str) -> None:
    """The tests of an adapter, or the files named, with other versions of its framework."""
    adapter = corner.split("-")[0]
    session.install("-e", f".[test,{adapter},demo]", *CORNERS[corner])
    for backend in ("jax", "tensorflow", "torch"):
        if adapter == "keras" and corner.endswith(backend):
            session.env["KERAS_BACKEND"] = backend
    files = sorted(str(path) for path in Path("tests/adapters").glob(f"test_{adapter}*.py"))
    pytest(session, *([] if session.posargs else files))


@nox.session(python="3.11")
@nox.parametrize("world", ["torch", "lightning", "keras"])
def crash(session: nox.Session, world: str) -> None:
    """Trainings killed at 67 random moments, and resumed; full disks; minutes."""
    extras = {"torch": "torch", "lightning": "lightning", "keras": "keras,jax"}[world]
    session.install("-e", f".[test,{extras}]", "-c", CONSTRAINTS)
    env = {"KERAS_BACKEND": "jax", "OMP_NUM_THREADS": "1"}
    session.run("python", "tests/crashes.py", world, *session.posargs, env=env)
    session.run("python", "tests/disks.py", "curve", "files", world, env=env)


@nox.session(python="3.11")
@nox.parametrize("world", ["torch", "keras", "jax"])
def faults(session: nox.Session, world: str) -> None:
    """Exceptions, lack of memory and Ctrl-C in range tests and searches; minutes."""
    extras = {"torch": "torch", "keras": "keras,jax", "jax": "jax"}[world]
    session.install("-e", f".[test,{extras}]", "-c", CONSTRAINTS)
    env = {"KERAS_BACKEND": "jax", "OMP_NUM_THREADS": "1"}
    session.run("python", "tests/faults.py", world, *session.posargs, env=env)
    if world == "torch":
        session.run("python", "tests/faults_ranks.py", "--times", "3", env=env)


@nox.session(python="3.11")
def pictures(session: nox.Session) -> None:
    """The pictures of the pages, drawn anew by the code on them."""
    session.install("-e", ".[demo]")
    session.run("python", "docs/draw.py", *session.posargs)


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """Every branch of the core, by the tests of the core."""
    session.install("-e", ".[test]", "coverage>=7.6")
    folder = Path(session.create_tmp())
    # Always the same generated cases: a branch that only luck reaches is not covered.
    env = {"COVERAGE_FILE": str(folder / "coverage"), "HYPOTHESIS_PROFILE": "ci"}
    session.run("coverage", "run", "-m", "pytest", "-q", "tests/core", *session.posargs, env=env)
    session.run("coverage", "report", env=env)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Style, format, the direction of imports, and how hard each file is to maintain."""
    session.install("ruff>=0.12", "import-linter>=2.1", "radon>=6", "-e", ".")
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *SOURCES)
    session.run("lint-imports")
    found = json.loads(session.run("radon", "mi", "--json", "src", silent=True))
    low = {path: round(entry["mi"], 1) for path, entry in found.items() if entry["mi"] <= LOWEST_MI}
    if low:
        session.error(f"radon's maintainability index must be above {LOWEST_MI}, got {low}")


@nox.session(python="3.11")
def types(session: nox.Session) -> None:
    """Strict types: the package, and a program that uses its public names."""
    session.install("mypy>=1.14", "-e", ".[demo]")
    # Adapters of frameworks are checked where the framework is.
    session.run(
        "mypy",
        "src",
        "tests/typing_use.py",
        "--exclude",
        f"clr_adapters/(torch|jax|keras|{'|'.join(TRAINERS)})",
    )


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """The site, in build/site, strictly and without a network; `-- online` asks outside links."""
    if "online" in session.posargs:
        session.run("python", "tests/pages.py")
        return
    # The reference is read from the adapters' docstrings, so their frameworks are needed.
    extras = ",".join(["docs", "test", "torch", "jax", "keras", *TRAINERS])
    session.install("-e", f".[{extras}]", "-c", CONSTRAINTS)
    shutil.rmtree("build/site", ignore_errors=True)
    # -E: pages written from code do not all notice when it has changed.
    options = ["-q", "-E", "-W", "-n", "--keep-going"]
    doctrees = str(Path(session.create_tmp()) / "doctrees")
    session.run("sphinx-build", *options, "-d", doctrees, "docs", "build/site")
    session.run("pytest", "-q", "tests/adapters/test_pages.py", "tests/adapters/test_site.py")


@nox.session(python="3.11")
def notebook(session: nox.Session) -> None:
    """The start pages, or those named, as notebooks, run from their first cell to the last."""
    packages = ["jupytext>=1.16", "nbclient>=0.10", "ipykernel>=6.29"]
    session.install("-e", ".[demo,torch,jax,keras]", "-c", CONSTRAINTS, *packages)
    pages = session.posargs or sorted(str(path) for path in Path("docs").glob("start*.md"))
    env = {"KERAS_BACKEND": "jax"}
    session.run("python", "docs/_ext/notebooks.py", *pages, env=env)


@nox.session(python="3.11")
def build(session: nox.Session) -> None:
    """Wheel and sdist: the same bytes twice; the wheel installed alone, with all entry points."""
    session.install("build[uv]>=1.2", "twine>=6")
    folders = [Path(session.create_tmp()) / name for name in ("dist", "again")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        options = ["--installer", "uv", "--outdir", str(folder)]
        session.run("python", "-m", "build", *options, silent=True)
    first, second = (sorted(folder.iterdir()) for folder in folders)
    for one, other in zip(first, second, strict=True):
        if one.read_bytes() != other.read_bytes():
            session.error(f"{one.name} has other bytes when it is built again")
    session.run("twine", "check", "--strict", *map(str, first))
    # A new environment: twine brings packages that the wheel might need.
    alone = Path(session.create_tmp()) / "alone"
    session.run("python", "-m", "venv", "--clear", str(alone))
    python = next(path for path in alone.glob("*/*") if path.stem == "python")
    wheel = next(str(path) for path in first if path.suffix == ".whl")
    session.run(str(python), "-m", "pip", "install", "-q", wheel, external=True)
    session.run(str(python), "-I", "tests/smoke.py", external=True)


@nox.session(python="3.11")
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of what the package needs; asks an advisory service."""
    session.install("pip-audit>=2.7", "-e", ".[demo]")
    session.run("pip-audit", "--skip-editable", "--strict", *session.posargs)


@nox.session(python="3.11")
def benchmarks(session: nox.Session) -> None:
    """Paired ratios of time beside the peers', written to the page; takes half an hour.

    Arguments go to benchmarks/all.py: `nox -s benchmarks -- --only core.py`.
    """
    peers = ["torch-lr-finder", "pytorch-lightning>=2.6", "pytorch-ignite>=0.5.5"]
    session.install("-e", ".[torch,jax,keras]", "-c", CONSTRAINTS, "tensorflow-cpu", *peers)
    target = ["--json", "docs/benchmarks.json", "--page", "docs/benchmarks.md"]
    session.run("python", "benchmarks/all.py", *target, *session.posargs)


@nox.session(python="3.11")
def reproduce(session: nox.Session) -> None:
    """The paper's claims on 20 seeds, then two of them through PyTorch; minutes."""
    session.install("-e", ".[demo,torch]", "-c", CONSTRAINTS)
    session.run("python", "benchmarks/reproduce.py", *session.posargs)
    session.run("python", "benchmarks/reproduce.py", "--torch", *session.posargs)


@nox.session(python="3.11")
def scoreboard(session: nox.Session) -> None:
    """Cycles against the schedules of today, in minutes; `-- --tune` tunes the peaks."""
    session.install("-e", ".[demo,torch]", "-c", CONSTRAINTS, *SCOREBOARD)
    session.run("python", "benchmarks/scoreboard.py", *session.posargs)


@nox.session(python="3.11")
def claims(session: nox.Session) -> None:
    """The tests of the benchmarks, with short forms of the reproduction and the scoreboard."""
    session.install("-e", ".[test,demo,torch]", "-c", CONSTRAINTS, *SCOREBOARD)
    pytest(session, "tests/benchmarks")


@nox.session(python="3.11")
@nox.parametrize("target", ["core", "torch", "keras"])
def mutation(session: nox.Session, target: str) -> None:
    """A random sample of mutants, and whether the tests kill them; an hour or more for each.

    Arguments go to tests/mutation.py: `nox -s "mutation(target='core')" -- --size 50`.
    """
    # Keras on JAX also reads the data sets of PyTorch and TensorFlow.
    extras = {"core": "", "torch": ",torch,demo", "keras": ",keras,jax,torch,demo"}[target]
    tools = ["mutmut>=3.8,<4", "coverage>=7.6"]  # mutmut's operators are no public names
    if target == "keras":
        tools.append("tensorflow-cpu")
    session.install("-e", f".[test{extras}]", "-c", CONSTRAINTS, *tools)
    session.env["KERAS_BACKEND"] = "jax"
    session.run("python", "tests/mutation.py", target, *session.posargs)


@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """Coverage-guided fuzzing of all that reads foreign data, for 10 minutes.

    Arguments go to tests/fuzz.py: `nox -s fuzz -- --seconds 60 policy`.
    """
    session.install("-e", ".[test,demo,tensorboard,torch]", "-c", CONSTRAINTS, "atheris>=3")
    session.run("python", "tests/fuzz.py", *session.posargs)


@nox.session(python="3.11")
def endurance(session: nox.Session) -> None:
    """10^8 steps, 10^5 stages, 10^4 groups, 16 threads, other processes; some minutes."""
    session.install("-e", ".[test,torch]", "-c", CONSTRAINTS)
    session.run("python", "tests/endurance.py")


if __name__ == "__main__":
    nox.main()
