"""What the package may not do: use a network, start a shell, run text as code, load pickles."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

from cases import each

SOURCES = sorted(Path(__file__, "../../../src").resolve().rglob("*.py"))

# Modules of Python that open connections, start programs, or run or load what somebody wrote.
REFUSED = {
    "asyncio", "code", "codeop", "ctypes", "dbm", "ftplib", "http", "imaplib", "marshal",
    "multiprocessing", "pickle", "poplib", "pty", "runpy", "select", "selectors", "shelve",
    "smtplib", "socket", "socketserver", "ssl", "subprocess", "urllib", "webbrowser", "wsgiref",
    "xmlrpc",
}  # fmt: skip
PACKAGES = {
    "accelerate", "click", "jax", "jinja2", "keras", "lightning", "matplotlib", "mlxtend",
    "ignite", "numpy", "pandas", "pytorch_lightning", "scipy", "skorch", "tensorboard", "torch",
    "tqdm", "transformers",
}  # fmt: skip
OURS = {"clrcore", "clr_adapters"}
CALLS = {"eval", "exec", "compile", "__import__", "input", "breakpoint"}
OF_OS = {"system", "popen", "fork", "forkpty", "startfile"}
PICKLES = {"load", "loads", "Unpickler", "hub"}


def names(source: Path) -> list[str]:
    """What is wrong with a source file, with the line."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    found = []
    for node in ast.walk(tree):
        found += [f"{source.name}:{node.lineno} {what}" for what in wrong(node)]
    return found


def wrong(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [f"import {name.name}" for name in node.names if not is_allowed(name.name)]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [] if is_allowed(node.module or "") else [f"from {node.module}"]
    if not isinstance(node, ast.Call):
        return []
    if isinstance(node.func, ast.Name) and node.func.id in CALLS:
        return [f"{node.func.id}()"]
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        owner, name = node.func.value.id, node.func.attr
        if owner == "os" and (name in OF_OS or name.startswith(("exec", "spawn", "posix_spawn"))):
            return [f"os.{name}()"]
        if owner in ("torch", "np", "numpy", "jnp") and name in PICKLES:
            return [f"{owner}.{name}()"]
    if any(word.arg in ("shell", "allow_pickle") for word in node.keywords):
        return [f"{ast.unparse(node.func)}({', '.join(str(w.arg) for w in node.keywords)})"]
    return []


def is_allowed(module: str) -> bool:
    return module.split(".")[0] in (set(sys.stdlib_module_names) - REFUSED) | PACKAGES | OURS


@each("source", SOURCES)
def test_no_network_no_shell_no_code_from_text_no_pickle(source):
    assert names(source) == []


@each(
    "line",
    [
        "import socket",
        "from urllib.request import urlopen",
        "import subprocess",
        "import pickle as p",
        "eval('1')",
        "os.system('ls')",
        "os.execv('a', [])",
        "np.load(path)",
        "torch.load(path, weights_only=True)",
        "numpy.load(path, allow_pickle=True)",
        "run('ls', shell=True)",
    ],
)
def test_the_check_can_fail(line, tmp_path):
    path = tmp_path / "module.py"
    path.write_text(line)
    assert names(path) != []


def test_nothing_is_opened_or_started_at_run_time(tmp_path):
    """The interpreter reports connections, programs and loaded pickles to an audit hook."""
    program = """
        import sys
        def hook(event, arguments):
            if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn",
                                 "os.fork", "pickle.", "urllib.", "webbrowser.", "ctypes.dlopen")):
                print(event, arguments, flush=True)
        import numpy
        sys.addaudithook(hook)
        import clrcore
        test = clrcore.RangeTest()
        for k, lr in enumerate(test):
            test.record(loss=min(2.3, 2.3 / (1 + 300 * lr)) if lr < 1 else 1e3 * lr)
        test.curve.to_csv(sys.argv[1])
        bounds = clrcore.suggest_bounds(clrcore.Curve.from_csv(sys.argv[1]))
        policy = bounds.policy(step_size=100)
        clrcore.policy_from_dict(policy.to_dict())
        clrcore.Scheduler(policy).step()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "curve.csv")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)
