"""Full disks and read-only folders, and what our writers do there.

    python tests/disks.py curve files torch lightning keras

writes files again and again, each time with another limit of their size, and cuts them off.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import random
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NOBODY = 65534


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """In this block no file grows beyond `size` bytes; the next byte is refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """In this block the user may not write into the folder."""
    is_root = os.geteuid() == 0
    folder.chmod(0o555)
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


def refused(write: Callable[[Path], object], path: Path, *, ours: bool = True) -> str | None:
    """What is wrong with the error of a write that the system refuses, None if nothing is.

    Args:
        write: Writes the file.
        path: The file, which is there.
        ours: Whether the error and the draft are ours, or the framework's.
    """
    folder, old = sorted(path.parent.iterdir()), path.read_bytes()
    try:
        write(path)
    except (OSError, RuntimeError) as error:
        if not ours:
            return "the file before it is lost" if path.read_bytes() != old else None
        if not isinstance(error, OSError):
            return f"another error: {error!r}"
        if error.errno not in (errno.EFBIG, errno.ENOSPC, errno.EACCES):
            return f"another error: {error!r}"
        if str(path) not in str(error):
            return f"the file is not named: {error}"
    except Exception as error:
        return f"another error: {error!r}"
    else:
        return "no error"
    if path.read_bytes() != old:
        return "the file before it is lost"
    return None if sorted(path.parent.iterdir()) == folder else "a draft is left"


def write_curve(path: Path) -> None:
    import clrcore

    lr = [0.001 * k for k in range(1, 2000)]
    clrcore.Curve(lr, loss=lr).to_csv(path)


def write_file(path: Path) -> None:
    from clr_adapters import _files

    _files.write(path, lambda file: file.write(bytes(50_000)))


def write_torch(path: Path) -> None:
    import torch

    import crash_torch

    crash_torch.save({"weights": torch.ones(10_000)}, path)


def write_lightning(path: Path) -> None:
    import crash_lightning

    crash_lightning.save_snapshot(path)


def write_keras(path: Path) -> None:
    import keras

    from clr_adapters.keras._model_files import save

    model = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    model.compile("adam", "mse")
    save(model, str(path))


def load_torch(path: Path) -> None:
    import torch

    torch.load(path, weights_only=True)


def load_keras(path: Path) -> None:
    import keras

    keras.models.load_model(path)


# How to write, the name of the file, and how to read it, where that must fail if it is cut off.
WORLDS: dict[str, tuple[Callable[[Path], None], str, Callable[[Path], Any] | None]] = {
    "curve": (write_curve, "curve.csv", None),
    "files": (write_file, "page.html", None),
    "torch": (write_torch, "checkpoint.pt", load_torch),
    "lightning": (write_lightning, "snapshot.ckpt", load_torch),
    "keras": (write_keras, "snapshot.keras", load_keras),
}


def faults(world: str, times: int, seed: int) -> tuple[int, list[str]]:
    """The number of faults, and what went wrong."""
    write, name, load = WORLDS[world]
    rng, failures, count = random.Random(seed), [], 0
    # Root becomes another user in `read_only`, who reaches /tmp, but perhaps no folder of root's.
    root = None if os.geteuid() else "/tmp"
    with tempfile.TemporaryDirectory(dir=root) as place:
        Path(place).chmod(0o755)
        path = Path(place, name)
        write(path)
        whole = path.read_bytes()
        for _ in range(times):
            size = rng.randrange(len(whole))
            with full_disk(size):
                problem = refused(write, path, ours=world != "torch")
            failures += [f"{size} of {len(whole)} bytes: {problem}"] if problem else []
            if load is not None:
                cut = path.with_name(f"cut-{name}")
                cut.write_bytes(whole[:size])
                try:
                    load(cut)
                    failures.append(f"{size} of {len(whole)} bytes are taken for a checkpoint")
                except Exception:
                    count += 1
                cut.unlink()
        if world != "lightning":  # fsspec keeps an old file in silence
            with read_only(Path(place)):
                problem = refused(write, path, ours=world != "torch")
            failures += [f"read-only: {problem}"] if problem else []
            count += 1
    return count + times, failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="+", choices=WORLDS)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    failed = False
    for world in options.worlds:
        count, failures = faults(world, options.times, options.seed)
        print(f"{world}: {count} faults, {len(failures)} failures", flush=True)
        for failure in failures:
            print(f"  {failure}")
        failed = failed or bool(failures)
    sys.exit(failed)


if __name__ == "__main__":
    main()
