"""A training with Lightning's Trainer that is killed and resumed from its checkpoints."""

import logging
import tempfile
import warnings
from pathlib import Path

import lightning.pytorch as pl
import torch
import torch._dynamo  # which every life would import in its first update
from lightning.pytorch.callbacks import ModelCheckpoint

import clrcore
from clr_adapters.lightning import CycleEnds, policy_lr
from crashes import note

warnings.filterwarnings("ignore", module="lightning")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

TOTAL, EVERY, BATCHES = 60, 3, 30
POLICY = clrcore.triangular(1e-3, 0.1, 4)
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
DATA = torch.randn(BATCHES * 8, 64, generator=torch.Generator().manual_seed(0))


class Module(pl.LightningModule):
    """It notes the rate and the momentum of each update."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.network = folder, torch.nn.Linear(64, 64)

    def training_step(self, batch, index):
        return self.network(batch[0]).square().mean()

    def validation_step(self, batch, index):
        self.log("score", 0.5)  # never better: the bounds are lowered

    def on_before_optimizer_step(self, optimizer):
        group = optimizer.param_groups[0]
        facts = float(group["lr"]).hex(), float(group["momentum"]).hex()
        note(self.folder, "update", self.trainer.global_step, *facts)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
        return policy_lr(optimizer, POLICY, momentum=(0.85, 0.95))


class Silent(Module):
    """It writes no journal, which a full disk would refuse first."""

    def on_before_optimizer_step(self, optimizer):
        pass


class Checkpoint(ModelCheckpoint):
    """It notes what is saved."""

    def _save_checkpoint(self, trainer, filepath):
        super()._save_checkpoint(trainer, filepath)
        note(Path(self.dirpath), "saved", trainer.global_step)


def train(folder: Path) -> None:
    """Train up to the last update, from the last checkpoint if there is one."""
    torch.manual_seed(0)
    tempfile.tempdir = str(folder)  # Lightning's drafts: a rename must stay on a disk
    found = sorted(folder.glob("*.ckpt"), key=lambda path: int(path.stem.split("=")[-1]))
    for path in found:
        torch.load(path, weights_only=True)  # each is whole
    monitor = clrcore.CycleMonitor(POLICY, mode="max")
    trainer = pl.Trainer(
        max_steps=TOTAL,
        callbacks=[
            CycleEnds(monitor, metric="score"),
            Checkpoint(folder, "{step}", every_n_train_steps=EVERY, save_top_k=1),
        ],
        val_check_interval=POLICY.period,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        **QUIET,
    )
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(DATA), batch_size=8)
    trainer.fit(Module(folder), data, data, ckpt_path=str(found[-1]) if found else None)
    ends = next(one for one in trainer.callbacks if isinstance(one, CycleEnds)).ends
    note(folder, "end", *(f"{end['updates']}:{end['action']}" for end in ends))


def save_snapshot(path: Path) -> None:
    """Train a cycle, whose end CycleEnds saves."""
    trainer = pl.Trainer(
        max_steps=POLICY.period,
        callbacks=[CycleEnds(snapshots=path)],
        enable_checkpointing=False,
        **QUIET,
    )
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(DATA), batch_size=8)
    trainer.fit(Silent(path.parent), data)
