"""What the names of columns mean that tools write."""

from __future__ import annotations

import re

# A group before a column's name that makes it held out: "val/loss" is val_loss.
HELD_OUT_GROUPS = ("val", "valid", "validation", "eval", "test")
SPLITS = (*HELD_OUT_GROUPS, "train", "training")
# Names of the columns as tools write them, the likelier first; held-out accuracy before the
# mini-batch's, as the paper reads it, and the mini-batch's loss before a held-out loss.
_LOSSES = ("loss", "train_loss", "training_loss", "losses", "batch_loss", "train_loss_step")
USUAL = {
    "lr": ("lr", "learning_rate", "lrs", "rate"),
    "loss": (*_LOSSES, *(f"{group}_loss" for group in HELD_OUT_GROUPS)),
    "accuracy": tuple(
        f"{group}{name}"
        for group in (*(f"{group}_" for group in HELD_OUT_GROUPS), "", "train_")
        for name in ("accuracy", "acc")
    ),
    "updates": ("updates", "update", "global_step", "_step", "step", "iteration", "iter"),
}
# Lightning notes these beside "lr-SGD", as "lr-SGD-momentum".
BESIDE_RATE = ("momentum", "weight_decay")
# W&B also exports the spread of a metric.
SPREAD = ("__min", "__max")
# A unit behind a name: "Loss (nats)", "Learning Rate [1/step]".
UNIT = re.compile(r"(\([^()]*\)|\[[^\[\]]*\])$")
# Parameter groups: "lr/group_0", "lr/pg1".
GROUP = re.compile(r"(param_)?(group|pg)_?\d+")


def normal(name: str) -> str:
    """A column's name as the usual names are written: "Learning Rate" is learning_rate."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", UNIT.sub("", name.strip()))  # "learningRate"
    return "_".join(re.split(r"[\s/.-]+", name.strip().lower()))


def bare(name: str) -> str:
    """A column's name without the run, the group and the optimizer that tools add.

    "run-7 - train/lr", "lr-SGD" and "lr-SGD/pg1" are lr; "val/loss", "Loss/val" and "loss_val" are
    val_loss.
    """
    name = UNIT.sub("", name.strip()).strip().rpartition(" - ")[2]
    if name.lower().startswith("lr-") and not name.lower().endswith(BESIDE_RATE):
        return "lr"
    *groups, last = re.split("[/.]", name)
    if last.lower().endswith(SPREAD):
        return last.lower()
    *groups, last = map(normal, (*groups, last))
    if groups and GROUP.fullmatch(last):
        *groups, last = groups
    if groups and last in SPLITS:
        groups, last = [last], groups[-1]
    if last.startswith("lr_") and not last.endswith(BESIDE_RATE):
        return "lr"
    metric, _, split = last.rpartition("_")
    if metric and split in SPLITS:
        groups, last = [split], metric
    if groups and groups[-1] in HELD_OUT_GROUPS and not last.startswith(HELD_OUT_GROUPS):
        return f"{groups[-1]}_{last}"
    return last
