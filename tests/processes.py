"""Programs in processes of their own, which import the tests of the adapters."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap

ADAPTERS = pathlib.Path(__file__).parent / "adapters"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def run(program, *arguments, launcher=()):
    """The ended process of a program."""
    paths = [str(ADAPTERS), str(ADAPTERS.parent), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "program.py")
        file.write_text(textwrap.dedent(program))
        return subprocess.run(
            [sys.executable, *launcher, str(file), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )


def run_two(program, *arguments):
    """Run a program in two processes that train together; each prints "right" at its end."""
    ended = run(program, *arguments, launcher=TORCHRUN)
    assert ended.stdout.count("right") == 2, ended.stderr


def run_killed(program, *arguments):
    """Run a program that is killed."""
    ended = run(program, *arguments)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def kill():
    """Kill this process, as a cluster or a lack of memory does; nothing runs after it."""
    os.kill(os.getpid(), signal.SIGKILL)
