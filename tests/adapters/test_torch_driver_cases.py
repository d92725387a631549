"""The cases that every driver of the range test answers alike, with PyTorch's."""

import functools

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from clr_adapters.torch import range_test
from driver_cases import CASES, check


class Converted:
    """NumPy batches as tensors, read as the original is."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        return map(tensors, iter(self.batches))

    def __len__(self):
        return len(self.batches)


def tensors(batch):
    return tuple(map(torch.from_numpy, batch))


class TorchDriver:
    arguments = {"data": "train_loader", "held_out": "val_loader"}
    seeds_are_states = False

    def run(self, problem, **options):
        model = nn.Linear(4, 3, bias=False)
        nn.init.zeros_(model.weight)
        data = problem.data()
        batches = map(tensors, data) if hasattr(data, "__next__") else Converted(data)
        options["loss_fn"] = cross_entropy
        if not problem.accuracy:
            options["loss_fn"] = None
            options["train_step"] = lambda batch: cross_entropy(model(batch[0]), batch[1])
        if problem.held_out is not None:
            options["val_loader"] = [tensors(problem.held_out)]
        run = functools.partial(range_test, model, torch.optim.SGD(model.parameters()), batches)
        return run(progress=False, **options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_same_input_has_the_same_outcome(case):
    check(case, TorchDriver())
