"""Runs a script that imports torchvision, also beside a torch that is built for CPUs.

    python tests/with_torchvision.py SCRIPT ARGUMENTS...

Torchvision's wheels on PyPI for Linux are built for CUDA. A torch that is built for CPUs cannot
load their operators, and the import fails. The examples need none of the operators, so declaring
them is enough. Where the import works, nothing is declared.
"""

import os
import runpy
import sys
from pathlib import Path

import torch

try:
    import torchvision  # noqa: F401
except RuntimeError:
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

if __name__ == "__main__":
    del sys.argv[0]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    if "CLR_PIDS" in os.environ:  # a folder, for tests that kill a process
        (Path(os.environ["CLR_PIDS"]) / os.environ.get("RANK", "0")).write_text(str(os.getpid()))
    runpy.run_path(sys.argv[0], run_name="__main__")
