"""A real training for the tests of PyTorch's range test: model, data, optimizers."""

import random

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import clrcore
from clr_adapters.torch import range_test

SWEEP = clrcore.exponential_sweep(1e-3, 1.0, 30)
TOO_FAR = clrcore.exponential_sweep(1e-3, 1e6, 60)


class Net(nn.Module):
    """Everything a sweep could leave a trace in: buffers, dropout, a frozen part, a teacher."""

    def __init__(self):
        super().__init__()
        self.features = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.frozen = nn.BatchNorm1d(8).eval()
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(8, 3)
        self.tied = self.head
        self.teacher = nn.Linear(6, 3).requires_grad_(False)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("positions", torch.arange(4.0).expand(2, 4), persistent=False)
        self.batches = 0

    def forward(self, x):
        self.seen = self.seen + 1  # a new tensor each time
        with torch.no_grad():
            self.teacher.weight.lerp_(self.head.weight[:, :6], 0.1)
        hidden = self.frozen(self.norm(torch.relu(self.features(x))))
        return self.head(self.dropout(hidden)) + 0.1 * self.teacher(x)


def dataset(count=96):
    made = torch.Generator().manual_seed(5)
    x = torch.randn(count, 6, generator=made)
    return TensorDataset(x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long())


def loader(**options):
    return DataLoader(dataset(), batch_size=16, **{"shuffle": True, **options})


def net(seed=1):
    torch.manual_seed(seed)
    return Net().train().requires_grad_(True)


def warm(model, optimizer, steps=3, scaler=None):
    """Some real training, so that there is state to lose."""
    model.frozen.eval()
    for _, (x, y) in zip(range(steps), loader(), strict=False):
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        optimizer.step()
    return model, optimizer


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01),
    "adamw, amsgrad": lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
    "adam, tensor rate": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.01)),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, centered=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
}


def bits(value):
    """Anything as something that is equal only if every bit is, and the objects are the same."""
    if isinstance(value, torch.Tensor):
        # detach: an expanded buffer cannot be viewed as bytes before it is copied
        raw = value.detach().clone().contiguous().cpu().numpy().tobytes()
        return (id(value), value.data_ptr(), value.dtype, value.requires_grad, raw)
    if isinstance(value, dict):
        return [(str(key), bits(one)) for key, one in value.items()]
    if isinstance(value, list | tuple):
        return [bits(one) for one in value]
    return (type(value).__name__, repr(value))


def fingerprint(model, optimizer, *loaders, scaler=None):
    """All that must be as before."""
    modules = [(name, module.training) for name, module in model.named_modules()]
    generators = [one.generator.get_state().tolist() for one in loaders if one.generator]
    return {
        "parameters": bits(dict(model.named_parameters())),
        "gradients": bits([p.grad for p in model.parameters()]),
        "buffers": bits(dict(model.named_buffers())),
        "modes": modules,
        "groups": bits([{k: v for k, v in g.items()} for g in optimizer.param_groups]),
        "state": bits([optimizer.state.get(p) for p in model.parameters()]),
        "stateful": len(optimizer.state),
        "step": bits(
            [str(vars(optimizer).get("step")), list(optimizer._optimizer_step_post_hooks)]
        ),
        "scaler": None if scaler is None else bits(vars(scaler) | {"_per_optimizer_states": 0}),
        "python": random.getstate(),
        "numpy": repr(np.random.get_state()),  # noqa: NPY002
        "torch": torch.get_rng_state().tolist(),
        "generators": generators,
        "iterators": [id(getattr(one, "_iterator", None)) for one in loaders],
    }


def assert_same(before, after):
    for key in before:
        assert before[key] == after[key], key


class Broken(Exception):
    pass


def swept(model, optimizer, batches, **options):
    """The usual range test of these tests."""
    usual = {"sweep": SWEEP, "progress": False}
    if "train_step" not in options:
        usual["loss_fn"] = cross_entropy
    return range_test(model, optimizer, batches, **{**usual, **options})
