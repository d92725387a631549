"""What an update of PyTorch's range_test costs beside a bare training loop's.

Both train a small CNN on the same batches in memory, one thread, 100 updates at a time; ours takes
its snapshot, records loss and accuracy, and puts everything back. Other finders, where they are
installed, do the same work but for accuracy, generators and modes. Every row is the median of
several runs with the lowest and the highest of them.
"""

import contextlib
import io
from collections.abc import Callable, Iterator

import torch
from paired import command, not_run, ratios, row
from torch import nn
from torch.nn.functional import cross_entropy

import clrcore
from clr_adapters.torch import range_test

UPDATES = 100
# Of a second each; more would take many minutes.
TURNS = 3
LIMIT = 1.03
# Rates so low that no run diverges: all make the same number of updates.
Batches = list[tuple[torch.Tensor, torch.Tensor]]
SWEEP = clrcore.exponential_sweep(1e-7, 1e-5, UPDATES)


def training() -> tuple[nn.Module, torch.optim.Optimizer, Batches]:
    """A CNN of 29,000 parameters, and ten batches of 64 images of 28 x 28."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip
    batches = [(torch.randn(64, 1, 28, 28), torch.randint(10, (64,))) for _ in range(10)]
    return model, torch.optim.Adam(model.parameters(), lr=1e-3), batches


def bare_loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches, updates: int
) -> None:
    """What anybody writes who trains at one rate."""
    for step in range(updates):
        inputs, targets = batches[step % len(batches)]
        for group in optimizer.param_groups:
            group["lr"] = 1e-6
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()


def torch_lr_finder(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches
) -> Callable[..., object]:
    from torch_lr_finder import LRFinder

    class Loader(torch.utils.data.DataLoader):
        def __init__(self) -> None:
            super().__init__([0])

        def __iter__(self):
            return iter(batches)

    def test(updates: int = UPDATES) -> None:
        finder = LRFinder(model, optimizer, cross_entropy, device="cpu")
        finder.range_test(Loader(), start_lr=1e-7, end_lr=1e-5, num_iter=updates)
        finder.reset()

    return test


def ignite(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches
) -> Callable[[], object]:
    from ignite.engine import create_supervised_trainer
    from ignite.handlers import FastaiLRFinder

    trainer = create_supervised_trainer(model, optimizer, cross_entropy)
    saved = {"model": model, "optimizer": optimizer}

    def test() -> None:
        finder = FastaiLRFinder()
        with finder.attach(
            trainer, saved, num_iter=UPDATES, start_lr=1e-7, end_lr=1e-5, diverge_th=100.0
        ) as attached:
            attached.run(batches)

    return test


def lightning(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches
) -> Callable[[], object]:
    import pytorch_lightning as pl
    from pytorch_lightning.tuner import Tuner

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.lr = model, 1e-6

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            inputs, targets = batch
            return cross_entropy(self.model(inputs), targets)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=self.lr)

    loader = torch.utils.data.DataLoader(batches, batch_size=None)

    def test() -> None:
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=-1,
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        Tuner(trainer).lr_find(
            Module(),
            loader,
            min_lr=1e-7,
            max_lr=1e-5,
            num_training=UPDATES,
            early_stop_threshold=None,
        )

    return test


# Each as it ships: the name, what makes it, whether it shows a progress bar.
FINDERS = (
    ("torch-lr-finder", torch_lr_finder, True),
    ("Ignite's FastaiLRFinder", ignite, False),
    ("Lightning's lr_find", lightning, True),
)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep bars and notes off the terminal."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield


def main() -> None:
    torch.set_num_threads(1)
    model, optimizer, batches = training()

    def bare() -> None:
        bare_loop(model, optimizer, batches, UPDATES)

    def ours(progress: bool = False) -> None:
        range_test(model, optimizer, batches, loss_fn=cross_entropy, sweep=SWEEP, progress=progress)

    bare()
    row(
        "range_test, to a bare loop",
        ratios(ours, bare, turns=TURNS),
        LIMIT,
    )
    with quiet():
        found = ratios(lambda: ours(progress=True), bare, turns=TURNS)
    row("the same with its progress bar", found, LIMIT)
    for name, make, shows_bar in FINDERS:
        what = f"range_test{' with its bar' if shows_bar else ''}, to {name}"
        try:
            theirs = make(model, optimizer, batches)
        except ImportError as error:
            not_run(what, f"{error.name} is not installed")
            continue
        with quiet():
            theirs()
            found = ratios(
                lambda progress=shows_bar: ours(progress),
                theirs,
                turns=TURNS,
            )
        row(what, found, 1.0)


if __name__ == "__main__":
    command(__doc__, main, "torch", "torch-lr-finder", "pytorch-ignite", "pytorch-lightning")
