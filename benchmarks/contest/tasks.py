"""What is trained: 5000 digits with the demo's network, and four modern networks in small.

The modern networks are settings of `long_settings.py`. There they train on all rows; here some rows
are kept to validate and as many to test. The choice was fixed before any run: two language models,
a vision transformer and a residual network, with SGD and with AdamW.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from long_results import DEFAULT_RATES
from long_settings import LONG_SETTINGS, LongSetting, arrays, network, optimizer
from reproduction import torch_check
from reproduction.networks import Setup
from torch import Tensor, nn
from torch.nn import functional

import clrcore
from clr_adapters.cli.demo import data
from clr_adapters.cli.demo.experiment import EPOCH
from clr_adapters.cli.demo.training import batches

OWN, PRODIGY, SCHEDULE_FREE = "own", "Prodigy", "Schedule-Free"

# The rows to validate, and as many to test: a fraction of all, and the most.
HELD_OUT, MOST_HELD_OUT = 0.2, 2000
# Updates of a training of a modern network: ten times as many would take hours.
UPDATES = 1000
# A loss above this is divergence; what follows is not trained.
DIVERGED = 1e4
WEIGHT_DECAY = {"adamw": 0.01}
DIGITS_WEIGHT_DECAY = 5e-4


class Scores(NamedTuple):
    """Higher is better: accuracy in percent, or minus the loss in nats."""

    validation: float
    test: float


class Training(Protocol):
    """A network in training."""

    def update(self, lr: float) -> float:
        """Make an update at that rate; return the loss of its mini-batch before it."""

    def scores(self) -> Scores:
        """The scores of the network as it is."""


@dataclass(frozen=True)
class Task:
    """A network, its data and its optimizer.

    Attributes:
        key: One word for files.
        title: What it is, for tables.
        optimizer: "sgd", "mom" (SGD with momentum 0.9), "adam" or "adamw".
        total_steps: Updates of a training.
        in_nats: Whether scores are minus the loss in nats, not the accuracy in percent.
        start: Starts a training from a seed and an optimizer: OWN, PRODIGY or SCHEDULE_FREE.
    """

    key: str
    title: str
    optimizer: str
    total_steps: int
    in_nats: bool
    start: Callable[[int, str], Training]

    @property
    def default_lr(self) -> float:
        """The optimizer's usual rate: where the range test gives no answer, trials start there."""
        return DEFAULT_RATES[self.optimizer]


class Outcome(NamedTuple):
    """The end of a training. along: test scores on the way, where they were asked for."""

    scores: Scores
    diverged: bool
    along: list[float]


def train(
    task: Task, kind: str, policy: clrcore.Policy, seed: int, every: int | None = None
) -> Outcome:
    """Train from a seed under a policy; a training that diverges counts as untrained."""
    training = task.start(seed, kind)
    along: list[float] = []
    for step in range(task.total_steps):
        if not training.update(policy(step)) < DIVERGED:
            return Outcome(task.start(seed, kind).scores(), True, along)
        if every is not None and (step + 1) % every == 0:
            along.append(training.scores().test)
    scores = training.scores()
    if not all(map(math.isfinite, scores)):
        return Outcome(task.start(seed, kind).scores(), True, along)
    return Outcome(scores, False, along)


class Digits:
    """The demo's network in NumPy, with one member."""

    def __init__(self, seed: int) -> None:
        self._rows = _digits(seed)
        self._network, self._optimizer = Setup().start([seed])
        self._batches = batches(self._rows.train, [seed])

    def update(self, lr: float) -> float:
        """One update; the loss before it."""
        with np.errstate(all="ignore"):  # a rate that is too high diverges
            loss = self._network.differentiate(*next(self._batches))
            self._optimizer.update(lr)
        return float(loss[0])

    def scores(self) -> Scores:
        """Accuracy in percent."""
        rows = (self._rows.validation, self._rows.test)
        found = (100 * self._network.accuracy(some.images, some.labels)[0] for some in rows)
        return Scores(*map(float, found))


class Held(NamedTuple):
    """Inputs and targets of the rows that are not trained on."""

    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


class WithTorch:
    """A PyTorch model."""

    def __init__(
        self,
        model: nn.Module,
        own: torch.optim.Optimizer,
        batches: Iterator[tuple[Tensor, Tensor]],
        held: Held,
        *,
        in_nats: bool = False,
        clip: float | None = None,
    ) -> None:
        self._model, self._optimizer, self._batches, self._held = model, own, batches, held
        self._in_nats, self._clip = in_nats, clip
        self._averages = hasattr(own, "eval")  # Schedule-Free is evaluated at its average
        self._train()

    def update(self, lr: float) -> float:
        """One update; the loss before it."""
        inputs, targets = next(self._batches)
        loss = functional.cross_entropy(self._model(inputs), targets)
        self._optimizer.zero_grad()
        loss.backward()
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._clip)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        return loss.item()

    @torch.no_grad()
    def scores(self) -> Scores:
        """Accuracy in percent, or minus the loss in nats."""
        if self._averages:
            self._optimizer.eval()  # type: ignore[attr-defined]
        self._model.eval()
        found = Scores(*(self._score(*rows) for rows in self._held))
        self._train()
        return found

    def _train(self) -> None:
        self._model.train()
        if self._averages:
            self._optimizer.train()  # type: ignore[attr-defined]

    def _score(self, inputs: Tensor, targets: Tensor) -> float:
        outputs = self._model(inputs)
        if self._in_nats:
            return -float(functional.cross_entropy(outputs, targets))
        return 100 * float((outputs.argmax(1) == targets).double().mean())


def _with_torch(setting: LongSetting, in_nats: bool, seed: int, kind: str) -> Training:
    x, y = arrays(setting.data)
    held = min(round(HELD_OUT * len(x)), MOST_HELD_OUT)
    torch.manual_seed(seed)
    model = network(setting.model, x.shape[1] if x.ndim > 1 else 1)
    return WithTorch(
        model,
        _optimizer(kind, setting.optimizer, model, WEIGHT_DECAY.get(setting.optimizer, 0.0)),
        _endless(x[2 * held :], y[2 * held :], seed, setting.batch),
        Held((x[:held], y[:held]), (x[held : 2 * held], y[held : 2 * held])),
        in_nats=in_nats,
        clip=setting.clip,
    )


def _digits_with(seed: int, kind: str) -> Training:
    if kind == OWN:
        return Digits(seed)
    rows = _digits(seed)
    model = torch_check.network(Setup(), seed)
    held = (
        (torch.from_numpy(some.images[0]), torch.from_numpy(some.labels[0]))
        for some in (rows.validation, rows.test)
    )
    return WithTorch(
        model,
        _optimizer(kind, "mom", model, DIGITS_WEIGHT_DECAY),
        torch_check.tensors(rows.train, seed, 0),
        Held(*held),
    )


def _optimizer(kind: str, own: str, model: nn.Module, weight_decay: float) -> torch.optim.Optimizer:
    """The optimizer of a training; the rate is set before each update."""
    if kind == OWN:
        return optimizer(own, model)
    weights = model.parameters()
    if kind == PRODIGY:
        from prodigyopt import Prodigy

        with contextlib.redirect_stdout(None):  # it prints that the weight decay is decoupled
            prodigy: torch.optim.Optimizer = Prodigy(weights, lr=1.0, weight_decay=weight_decay)
        return prodigy
    from schedulefree import AdamWScheduleFree, SGDScheduleFree

    form = SGDScheduleFree if own in ("sgd", "mom") else AdamWScheduleFree
    averaging: torch.optim.Optimizer = form(weights, weight_decay=weight_decay)
    return averaging


def _endless(x: Tensor, y: Tensor, seed: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(x), generator=generator)
        for chosen in order.split(size)[: len(order) // size]:
            yield x[chosen], y[chosen]


@functools.cache
def _all_digits() -> data.Rows:
    return data.load()


@functools.lru_cache(maxsize=2)
def _digits(seed: int) -> data.Splits:
    return data.split(_all_digits(), [seed])


def _modern(key: str, title: str, in_nats: bool) -> Task:
    setting = next(setting for setting in LONG_SETTINGS if setting.name == key)
    start = functools.partial(_with_torch, setting, in_nats)
    return Task(key, title, setting.optimizer, UPDATES, in_nats, start)


TASKS = (
    Task("mnist5k_mlp_mom", "MNIST-5k, ReLU, SGD", "mom", 50 * EPOCH, False, _digits_with),
    _modern("text_transformer_adamw", "transformer, text, AdamW", True),
    _modern("text_nplm_sgd", "n-gram network, text, SGD", True),
    _modern("digits_vit_adamw", "vision transformer, AdamW", False),
    _modern("mnist_resmlpln_sgd", "residual network, SGD", False),
)
