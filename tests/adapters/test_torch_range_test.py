"""range_test on real models, optimizers and loaders, beside loops written out."""

import collections
import contextlib
import dataclasses
import functools
import itertools
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, DistributedSampler

import clrcore
from clr_adapters.torch import range_test
from clr_adapters.torch._batches import clone, count_examples, move
from torch_training import (
    OPTIMIZERS,
    SWEEP,
    TOO_FAR,
    Broken,
    assert_same,
    bits,
    dataset,
    fingerprint,
    loader,
    net,
    swept,
)

# What is recorded.


def bare_loop(model, optimizer, batches, sweep, accumulate=1):
    """The range test written out: rates, losses and accuracies."""
    losses, accuracies = [], []
    source = iter(batches)
    for step in range(sweep.total_steps):
        for group in optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(sweep(step))
            else:
                group["lr"] = sweep(step)
        optimizer.zero_grad()
        loss, accuracy = [], []
        for _ in range(accumulate):
            try:
                x, y = next(source)
            except StopIteration:
                source = iter(batches)
                x, y = next(source)
            outputs = model(x)
            one = cross_entropy(outputs, y)
            (one / accumulate if accumulate > 1 else one).backward()
            loss.append(one.item())
            accuracy.append((outputs.argmax(1) == y).float().mean().item())
        optimizer.step()
        losses.append(np.mean(loss))
        accuracies.append(np.mean(accuracy))
    return losses, accuracies


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_curve_is_that_of_a_bare_loop(make):
    model = net()
    optimizer = make(model.parameters())
    torch.manual_seed(3)
    curve = swept(model, optimizer, loader(), stop=False)
    torch.manual_seed(3)
    losses, accuracies = bare_loop(model, optimizer, loader(), SWEEP)
    assert curve.loss.tolist() == losses
    assert curve.accuracy.tolist() == accuracies
    assert curve.lr.tolist() == [SWEEP(step) for step in range(30)]
    assert (curve.sweep, curve.held_out, curve.steps_per_epoch) == ("exponential", False, 6.0)


@pytest.mark.parametrize("accumulate", [2, 5])
def test_accumulation_averages_micro_batches_and_counts_updates(accumulate):
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    torch.manual_seed(3)
    curve = swept(model, optimizer, loader(), accumulate=accumulate)
    torch.manual_seed(3)
    losses, accuracies = bare_loop(model, optimizer, loader(), SWEEP, accumulate)
    assert curve.loss.tolist() == pytest.approx(losses, rel=1e-6)  # means in float32 and float64
    assert curve.accuracy.tolist() == pytest.approx(accuracies, rel=1e-6)
    assert curve.steps_per_epoch == 6 / accumulate


@pytest.mark.parametrize("sweep", [SWEEP, TOO_FAR])
@pytest.mark.parametrize("block_size", [2, 7, 20, 1000])
def test_looking_in_blocks_changes_nothing_but_when(sweep, block_size):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    run = functools.partial(swept, model, optimizer, loader(), sweep=sweep, seeds=[4])
    assert run(block_size=block_size) == run()


@pytest.mark.parametrize(("block_size", "looks"), [(30, 1), (7, 5), (1, 30), (None, 30)])
def test_no_number_is_read_between_looks(block_size, looks, monkeypatch):
    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += "_local_scalar_dense" in str(function) or "is_nonzero" in str(function)
            return function(*args, **(kwargs or {}))

    lists = []
    tolist = torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda self: lists.append(1) or tolist(self))
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    batches = list(loader(shuffle=False))
    lists.clear()
    with Reads() as reads:
        swept(model, optimizer, batches, block_size=block_size, max_grad_norm=1.0)
    assert reads.count == 0
    assert len(lists) == 2 * looks  # losses and accuracies


# Held-out accuracy.


def test_held_out_accuracy_is_measured_now_and_then_on_bounded_batches():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    drawn = []

    class Held:
        def __iter__(self):
            for i in range(50):
                drawn.append(i)
                yield torch.randn(5 + i, 6), torch.randint(3, (5 + i,))

    seen = []
    model.register_forward_hook(
        lambda module, args, out: None if module.training else seen.append((len(args[0]), out))
    )
    curve = swept(model, optimizer, loader(), val_loader=Held(), validate_every=7, val_batches=3)
    measured = np.flatnonzero(~np.isnan(curve.accuracy)) + 1
    assert measured.tolist() == [7, 14, 21, 28, 30]
    assert curve.held_out is True
    assert drawn == [0, 1, 2]
    assert [count for count, _ in seen] == [5, 6, 7] * 5  # the same batches, in evaluation mode


def test_held_out_accuracy_weighs_batches_by_their_examples():
    model = nn.Linear(6, 3)
    data = dataset(50)
    x, y = data.tensors
    curve = swept(
        model,
        torch.optim.SGD(model.parameters()),
        loader(),
        sweep=clrcore.linear_sweep(0.0, 1e-30, 2),
        val_loader=DataLoader(data, batch_size=16),
        validate_every=1,
    )
    right = (model(x).argmax(1) == y).double().mean().item()  # the rates are too low to learn
    assert curve.accuracy.tolist() == pytest.approx([right, right], rel=1e-6)


@pytest.mark.parametrize("pack", [tuple, list, lambda pair: {"x": pair[0], "y": pair[1]}])
def test_held_out_batches_may_share_a_buffer(pack):
    class Reusing:
        """Four batches in one and the same memory, as loaders of pinned memory have it."""

        def __init__(self):
            self.memory = torch.zeros(16, 6), torch.zeros(16, dtype=torch.long)

        def __iter__(self):
            for batch in itertools.islice(loader(shuffle=False), 4):
                for into, value in zip(self.memory, batch, strict=True):
                    into.copy_(value)
                yield pack(self.memory)

    def accuracies(held):
        torch.manual_seed(0)
        model = nn.Linear(6, 3)

        def val_step(batch):
            x, y = batch.values() if isinstance(batch, dict) else batch
            return (model(x).argmax(1) == y).float().mean()

        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        batches = loader(shuffle=False)
        return swept(model, optimizer, batches, val_loader=held, val_step=val_step).accuracy

    apart = [batch for batch, _ in zip(loader(shuffle=False), range(4), strict=False)]
    np.testing.assert_array_equal(accuracies(Reusing()), accuracies(apart))


def test_what_is_kept_of_a_batch_is_its_own():
    array, tensor = np.ones(2), torch.ones(2)
    ours = clone({"array": array, "inner": [tensor, "text"], "record": Record(tensor, "id")})
    array[:], tensor[:] = 7, 7
    assert ours["array"].tolist() == ours["inner"][0].tolist() == [1, 1]
    assert ours["inner"][1] == "text"


def test_a_metric_and_a_val_step_say_what_accuracy_is():
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(32, 6)
    y = (x[:, :1] > 0).float()
    run = functools.partial(swept, model, optimizer, [(x, y)])

    def right(outputs, targets):
        return ((outputs > 0) == (targets > 0)).float().mean()

    loss_fn = nn.BCEWithLogitsLoss()
    assert run(loss_fn=loss_fn).accuracy is None  # no classes, so no accuracy of itself
    trained = run(loss_fn=loss_fn, metric=right)
    held = run(loss_fn=loss_fn, metric=right, val_loader=[(x, y)], validate_every=10)
    stepped = run(
        train_step=lambda batch: loss_fn(model(batch[0]), batch[1]),
        val_step=lambda batch: right(model(batch[0]), batch[1]).item(),
        val_loader=[(x, y)],
        validate_every=10,
    )
    assert held.accuracy[9] == stepped.accuracy[9] == trained.accuracy[10]
    assert np.isnan(held.accuracy[8])
    assert trained.held_out is False
    assert held.held_out is True


def test_classes_are_counted_with_pixels_and_ignored_targets():
    model = nn.Conv2d(1, 3, 1)
    images = torch.randn(4, 1, 5, 5)
    targets = torch.randint(3, (4, 5, 5))
    targets[0] = -100
    curve = swept(
        model,
        torch.optim.SGD(model.parameters()),
        [(images, targets)],
        sweep=clrcore.linear_sweep(0.0, 1e-30, 2),
    )
    right = (model(images).argmax(1) == targets)[1:].float().mean().item()
    assert curve.accuracy[0] == pytest.approx(right, rel=1e-6)


# Whatever yields batches, whatever they are.


class Once:
    """Can be iterated again, but has nothing then."""

    def __init__(self, batches):
        self.batches = iter(batches)

    def __iter__(self):
        yield from self.batches


class Indexed:
    def __init__(self, batches):
        self.batches = batches

    def __getitem__(self, i):
        return self.batches[i]


def endless(batches):
    while True:
        yield from batches


@pytest.mark.parametrize("kind", [list, tuple, collections.deque, Indexed, endless])
def test_any_iterable_serves(kind):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = list(loader(shuffle=False))
    run = functools.partial(swept, model, optimizer)
    assert run(kind(batches)).loss.tolist() == run(batches).loss.tolist()


@pytest.mark.parametrize("kind", [iter, Once])
@pytest.mark.parametrize("block_size", [1, 4])
def test_what_can_be_iterated_once_serves_until_it_ends_and_says_so(kind, block_size):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = list(loader(shuffle=False))
    with pytest.warns(UserWarning, match=r"ended after 6 of 30 updates: .* no further batch"):
        curve = swept(model, optimizer, kind(batches), block_size=block_size)
    assert len(curve) == 6
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_one_shot_batches_that_do_not_fill_an_update_are_not_one():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.warns(UserWarning, match="ended after 1 of 30"):
        curve = swept(model, optimizer, iter(list(loader())), accumulate=4)
    assert len(curve) == 1


@pytest.mark.parametrize(
    ("empty", "words"),
    [
        ([], "has no batches; does drop_last leave none"),
        (
            DataLoader(dataset(), batch_size=1000, drop_last=True),
            "has no batches; does drop_last leave none",
        ),
        (iter([]), "has no further batch"),
    ],
)
def test_no_batches_are_refused(empty, words):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=f"before its first update: train_loader {words}"):
        swept(model, optimizer, empty)


Pair = collections.namedtuple("Pair", "x y")


class Packed:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def to(self, device):
        return Packed(self.x.to(device), self.y.to(device))


class Fields(collections.UserDict):
    """A dictionary with attributes, as tokenizers make."""

    def __getattr__(self, name):
        if name == "data" or name not in self.data:
            raise AttributeError(name)
        return self.data[name]


@dataclasses.dataclass
class Record:
    x: torch.Tensor
    y: torch.Tensor


# What packs inputs and classes, and what unpacks them.
BATCHES = {
    "fields": (lambda x, y: Fields(x=x, y=y), lambda b: (b.x, b.y)),
    "record": (Record, lambda b: (b.x, b.y)),
    "tuple": (lambda x, y: (x, y), tuple),
    "list": (lambda x, y: [x, y], tuple),
    "named": (Pair, tuple),
    "dict": (lambda x, y: {"x": x, "y": y}, lambda b: (b["x"], b["y"])),
    "object": (Packed, lambda b: (b.x, b.y)),
    "nested": (lambda x, y: {"in": [x], "out": (y,)}, lambda b: (b["in"][0], b["out"][0])),
}


@pytest.mark.parametrize("kind", BATCHES)
def test_train_step_takes_batches_of_any_kind(kind):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    plain = list(loader(shuffle=False))
    pack, unpack = BATCHES[kind]
    batches = [pack(x, y) for x, y in plain]

    def train_step(batch):
        x, y = unpack(batch)
        return cross_entropy(model(x), y)

    run = functools.partial(swept, model, optimizer)
    stepped = run(batches, train_step=train_step)
    assert stepped.loss.tolist() == run(plain, loss_fn=cross_entropy).loss.tolist()
    assert (stepped.accuracy, stepped.held_out) == (None, None)


@pytest.mark.parametrize("kind", BATCHES)
def test_batches_move_to_a_device_as_they_are(kind):
    pack, unpack = BATCHES[kind]
    batch = pack(torch.ones(3, 2), torch.ones(3))
    there = move(batch, torch.device("meta"))
    assert type(there) is type(batch)
    assert {tensor.device.type for tensor in unpack(there)} == {"meta"}
    assert move("text", torch.device("meta")) == "text"


def test_examples_in_a_batch_are_counted():
    x, y = torch.zeros(5, 2), torch.zeros(5)
    assert [count_examples(batch) for batch in ((x, y), {"x": x, "y": y})] == [5, 5]
    assert [
        count_examples(one) for one in (x, {"a": "text", "b": [x]}, "text", torch.zeros(()))
    ] == [
        5,
        5,
        1,
        1,
    ]


def test_a_model_takes_all_but_the_last_of_a_batch():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 3)

        def forward(self, x, factor):
            return self.linear(x * factor)

    model = Two()
    batches = [(x, torch.tensor(2.0), y) for x, y in loader(shuffle=False)]
    doubled = [(2 * x, y) for x, y in loader(shuffle=False)]
    run = functools.partial(swept)
    curve = run(model, torch.optim.SGD(model.parameters()), batches)
    assert curve == run(model.linear, torch.optim.SGD(model.parameters()), doubled)


# Rates.


def rates_used(optimizer):
    """The rates of all groups at every step from now on."""
    used = []
    optimizer.register_step_pre_hook(
        lambda *_: used.append([float(group["lr"]) for group in optimizer.param_groups])
    )
    return used


@pytest.mark.parametrize("tensor", [False, True])
def test_groups_keep_their_ratio_and_tensors_stay_the_tensors_they_are(tensor):
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3))
    own = [1e-2, 1e-3, 5e-2]
    # float64, so that ratios are not rounded
    rates = [torch.tensor(lr, dtype=torch.float64) if tensor else lr for lr in own]
    groups = [
        {"params": part.parameters(), "lr": lr} for part, lr in zip(model, rates, strict=True)
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    objects = [group["lr"] for group in optimizer.param_groups]
    used = rates_used(optimizer)
    curve = swept(model, optimizer, loader())
    for lr, (first, second, third) in zip(curve.lr, used, strict=True):
        assert first == lr
        assert second == pytest.approx(lr * 0.1, rel=1e-12)
        assert third == pytest.approx(lr * 5, rel=1e-12)
    assert [float(group["lr"]) for group in optimizer.param_groups] == own
    assert all(a is g["lr"] for a, g in zip(objects, optimizer.param_groups, strict=True))


def test_ratios_are_those_a_scheduler_began_with():
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 3))
    groups = [
        {"params": part.parameters(), "lr": lr} for part, lr in zip(model, [0.1, 0.2], strict=True)
    ]
    optimizer = torch.optim.SGD(groups)
    optimizer.param_groups[1]["lr_scale"] = 0.5
    torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda _: 0.0, lambda step: step / 100])
    assert [group["lr"] for group in optimizer.param_groups] == [0, 0]  # a warm-up
    used = rates_used(optimizer)
    swept(model, optimizer, loader())
    assert all(second == first * 2 * 0.5 for first, second in used)


def test_an_optimizer_that_stands_at_zero_is_swept():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    curve = swept(model, optimizer, loader())
    assert curve.lr[-1] == 1.0
    assert optimizer.param_groups[0]["lr"] == 0.0


# Mixed precision.


def test_updates_that_a_scaler_skips_are_no_points():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    used = rates_used(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=5)
    batches = [(1000 * x, y) for x, y in loader(shuffle=False)]
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    before = scaler.state_dict()
    curve = swept(model, optimizer, batches, scaler=scaler, stop=False)
    assert [lr for (lr,) in used] == curve.lr.tolist() == [SWEEP(k) for k in range(30)]
    assert len(calls) > len(curve)  # some were skipped
    assert scaler.state_dict() == before
    assert scaler._scale is None


def test_updates_that_a_fused_optimizer_skips_are_no_points():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    weights = []
    model.register_forward_pre_hook(lambda *_: weights.append(model.weight.detach().clone()))
    batches = [(1000 * x, y) for x, y in loader(shuffle=False)]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    curve = swept(model, optimizer, batches, scaler=scaler, stop=False)
    different = sum(not torch.equal(a, b) for a, b in itertools.pairwise(weights))
    assert len(weights) > len(curve) == 30
    assert different == 29  # the last update has no forward pass after it


def test_a_scaler_that_was_used_is_as_before():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    scaler.scale(model(torch.ones(1, 6)).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    before = bits(vars(scaler) | {"_per_optimizer_states": 0})
    swept(model, optimizer, loader(), scaler=scaler, max_grad_norm=1.0)
    assert bits(vars(scaler) | {"_per_optimizer_states": 0}) == before


def test_a_scaler_that_only_skips_ends_the_test_with_a_warning():
    class Unbounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * float("inf")

    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    calls = []

    def loss_fn(outputs, targets):
        calls.append(1)
        return cross_entropy(Unbounded.apply(outputs) if len(calls) > 5 else outputs, targets)

    with pytest.warns(UserWarning, match="ended after 5 of 30 updates: the scaler skipped 64"):
        curve = swept(
            model, optimizer, loader(), loss_fn=loss_fn, scaler=torch.amp.GradScaler("cpu")
        )
    assert len(curve) == 5


def test_a_loss_that_is_not_finite_ends_the_test_under_a_scaler():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    calls = []

    def loss_fn(outputs, targets):
        calls.append(1)
        return cross_entropy(outputs, targets) * (float("nan") if len(calls) == 8 else 1.0)

    curve = swept(model, optimizer, loader(), loss_fn=loss_fn, scaler=torch.amp.GradScaler("cpu"))
    assert np.isnan(curve.loss).tolist() == [False] * 7 + [True]


@pytest.mark.parametrize("autocast", [torch.bfloat16, torch.autocast("cpu", dtype=torch.bfloat16)])
def test_forward_passes_are_autocast(autocast):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = set()
    model.register_forward_hook(lambda module, args, out: seen.add((module.training, out.dtype)))
    swept(model, optimizer, loader(), autocast=autocast, val_loader=loader())
    assert seen == {(True, torch.bfloat16), (False, torch.bfloat16)}


def test_a_function_makes_the_context_of_each_forward_pass():
    model = nn.Linear(6, 3)
    entered = []

    @contextlib.contextmanager
    def context():
        entered.append(1)
        yield

    swept(model, torch.optim.SGD(model.parameters()), loader(), autocast=context)
    assert len(entered) == 30


def test_weights_move_inside_an_autocast_of_the_callers():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = list(loader(shuffle=False))[:1]
    outside = swept(model, optimizer, batches, autocast=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert swept(model, optimizer, batches) == outside
        assert swept(model, optimizer, batches, autocast=torch.bfloat16) == outside


def test_gradients_are_clipped_as_in_training():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    norms = []
    optimizer.register_step_pre_hook(
        lambda *_: norms.append(torch.cat([p.grad.flatten() for p in model.parameters()]).norm())
    )
    scaler = torch.amp.GradScaler("cpu")
    for options in ({}, {"scaler": scaler}):
        norms.clear()
        range_test(
            model,
            optimizer,
            loader(),
            loss_fn=cross_entropy,
            sweep=SWEEP,
            max_grad_norm=1e-3,
            progress=False,
            **options,
        )
        # clip_grad_norm_ adds 1e-6 to the norm it divides by
        assert torch.stack(norms).tolist() == pytest.approx([1e-3] * 30, rel=1e-3)


# Seeds.


def test_seeds_vary_order_and_dropout_from_the_same_weights():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    firsts = []
    model.register_forward_pre_hook(lambda module, args: firsts.append(args[0]))
    run = functools.partial(swept, model, optimizer)
    for source in (loader(), loader(generator=torch.Generator())):
        curves = run(source, seeds=3)
        assert len({curve.loss.tobytes() for curve in curves}) == 3
        assert run(source, seeds=[2, 0]) == [curves[2], curves[0]]
        assert not torch.equal(firsts[-30], firsts[-60])
    batches = list(loader(shuffle=False))
    firsts.clear()
    assert len({curve.loss.tobytes() for curve in run(batches, seeds=2)}) == 2  # dropout
    assert torch.equal(firsts[0], firsts[30])


def test_a_model_that_is_made_is_fresh_for_every_seed():
    starts = []

    def make():
        model = nn.Linear(6, 3)
        starts.append(model.weight.detach().clone())
        return model

    batches = list(loader(shuffle=False))
    run = functools.partial(
        swept, make, lambda model: torch.optim.SGD(model.parameters(), lr=0.1), batches
    )
    state = torch.get_rng_state()
    curves = run(seeds=3)
    assert len({start.numpy().tobytes() for start in starts}) == 3
    assert run(seeds=[1]) == curves[1:2]
    torch.manual_seed(1)
    assert torch.equal(make().weight, starts[1])
    torch.set_rng_state(state)
    assert isinstance(run(), clrcore.Curve)
    assert torch.equal(torch.get_rng_state(), state)


def test_samplers_by_epoch_go_on_by_epoch_and_back():
    data = dataset()
    sampler = DistributedSampler(data, num_replicas=1, rank=0, seed=9)
    sampler.set_epoch(4)
    source = DataLoader(data, batch_size=16, sampler=sampler)
    model = nn.Linear(6, 3)
    epochs = []
    model.register_forward_pre_hook(lambda *_: epochs.append(sampler.epoch))
    run = functools.partial(swept, model, torch.optim.SGD(model.parameters()), source)
    run()
    assert epochs == [4 + step // 6 for step in range(30)]
    assert sampler.epoch == 4
    epochs.clear()
    run(seeds=2)
    assert len(set(epochs)) == 10
    assert sampler.epoch == 4


# Errors.


def test_what_fails_after_the_end_was_not_yet_seen_is_that_end():
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def loss_fn(outputs, targets):
        loss_fn.calls += 1
        if loss_fn.calls == 8:
            return cross_entropy(outputs, targets) * float("nan")
        if not torch.isfinite(outputs).all():
            raise Broken("the outputs are not finite")
        return cross_entropy(outputs, targets)

    loss_fn.calls = 0
    curve = swept(model, optimizer, loader(), loss_fn=loss_fn, block_size=20)
    assert len(curve) == 8


LINEAR = nn.Linear(6, 3)


@torch.inference_mode()
def made_in_inference_mode(lr):
    return torch.tensor(lr)


def optimizer_with(rates, scales=(1.0, 1.0)):
    """Two groups with these rates."""
    return torch.optim.SGD(
        {"params": [parameter], "lr": rate, "lr_scale": scale}
        for parameter, rate, scale in zip(LINEAR.parameters(), rates, scales, strict=True)
    )


Output = collections.namedtuple("Output", "loss logits")
# What holds the loss, by the advice that the refusal gives.
RETURNED = {
    "got float; leave out item()": lambda loss: loss.item(),
    'got dict; return output["loss"]': lambda loss: {"loss": loss, "logits": 1},
    "got Output; return output.loss": lambda loss: Output(loss, 0),
    "got tuple; return the loss alone": lambda loss: (loss, 0),
    "got NoneType; end the function with `return loss`": lambda loss: None,
}
STEPPED = {"train_step": len, "loss_fn": None}
SHARED, INFERRED = torch.tensor(0.1), made_in_inference_mode(0.1)
FROZEN = nn.Linear(6, 3).requires_grad_(False)
ONE = {"model": lambda: nn.Linear(6, 3)}
MADE = {"model": lambda: LINEAR, "optimizer": lambda model: None, "loss_fn": None}
DATA = [(torch.ones(2, 6), torch.tensor([0, 1]))]
GOOD = {
    "model": LINEAR,
    "optimizer": torch.optim.SGD(LINEAR.parameters(), lr=0.1),
    "train_loader": DATA,
    "loss_fn": cross_entropy,
    "sweep": SWEEP,
    "progress": False,
}


def only(parameters, **options):
    return {"optimizer": torch.optim.SGD(parameters, lr=0.1, **options)}


class Other(torch.optim.SGD):
    """An optimizer that is not PyTorch's own."""


# Kind of the refusal, a part of its message, and the arguments that are refused.
WRONG = [
    (TypeError, "model must be", {"model": 3}),
    (TypeError, "optimizer must be", {"optimizer": 3}),
    (TypeError, "optimizer must be a function", {"model": lambda: LINEAR}),
    (TypeError, "the result of model() must be", {"model": lambda: 3, "optimizer": len}),
    (TypeError, "result of optimizer(model) must", {"model": lambda: LINEAR, "optimizer": type}),
    (ValueError, "holds no parameter of this model", only(nn.Linear(1, 1).parameters())),
    (ValueError, "LBFGS cannot", {"optimizer": torch.optim.LBFGS(LINEAR.parameters())}),
    (ValueError, "got the rates [0.0, 0.1]", {"optimizer": optimizer_with([0.0, 0.1])}),
    (TypeError, "a tensor of one float", {"optimizer": optimizer_with([torch.tensor(1)] * 2)}),
    (ValueError, "shares no tensor with", {"optimizer": optimizer_with([SHARED] * 2, (1.0, 0.5))}),
    (ValueError, "not made in inference_mode", {"optimizer": optimizer_with([INFERRED] * 2)}),
    (TypeError, "train_loader must be", {"train_loader": 3}),
    (TypeError, "not single examples: pass a DataLoader", {"train_loader": dataset()}),
    (TypeError, "with loss_fn, a batch must be", {"train_loader": [{"x": torch.ones(2, 6)}]}),
    (TypeError, "train_step=lambda x: loss_fn(model(x), x)", {"train_loader": [torch.ones(2, 6)]}),
    *((TypeError, "pass lambda model: torch.optim.Adam(model.par", {**ONE, "optimizer": a})
      for a in (torch.optim.Adam, functools.partial(torch.optim.Adam, lr=0.1))),
    (TypeError, "pass lambda model: Other(model.par", {**ONE, "optimizer": Other}),
    (ValueError, "ended before its first update", {"train_loader": Once(DATA * 30), "seeds": 2}),
    (TypeError, "got neither", {"loss_fn": None}),
    (TypeError, "got both", {"train_step": len}),
    (TypeError, "loss_fn must be", {"loss_fn": 3}),
    (TypeError, "make one with CrossEntropyLoss()", {"loss_fn": nn.CrossEntropyLoss}),
    (TypeError, "train_step must be", STEPPED | {"train_step": 3}),
    (TypeError, "train_step must be None where model is a function", MADE | {"train_step": len}),
    (TypeError, "metric must be", {"metric": "accuracy"}),
    (TypeError, "metric must be None where", {"metric": len, "val_step": len, "val_loader": []}),
    (ValueError, "metric must be None without", {"metric": len, **STEPPED}),
    *((TypeError, "metric must return one number", {"metric": lambda out, y, wrong=wrong: wrong})
      for wrong in (1j, np.ones(2), None, torch.ones(2, 3), "good")),
    (TypeError, "val_step must be", {"val_step": 3, "val_loader": []}),
    (ValueError, "val_step must be None without val_loader", {"val_step": len}),
    (TypeError, "val_loader must be", {"val_loader": 3}),
    (ValueError, "val_loader must be held-out data of at least one batch", {"val_loader": []}),
    (ValueError, "val_batches must be", {"val_batches": 0}),
    (TypeError, "accumulate must be", {"accumulate": True}),
    (ValueError, "accumulate must be", {"accumulate": 0}),
    (ValueError, "autocast must be", {"autocast": torch.int32}),
    *((TypeError, "autocast must be", {"autocast": wrong})
      for wrong in (True, contextlib.nullcontext(), np.array([1, 2]), torch.autocast)),
    (TypeError, "scaler must be", {"scaler": True}),
    (ValueError, "max_grad_norm must be", {"max_grad_norm": 0.0}),
    (ValueError, "max_grad_norm must be", {"max_grad_norm": float("nan")}),
    (ValueError, "device must be", {"device": "nowhere"}),
    (TypeError, "device must be", {"device": 1.5}),
    (TypeError, "progress must be", {"progress": 1}),
    (ValueError, "snapshot must be", {"snapshot": "disk"}),
    (ValueError, "block_size must be", {"block_size": 0}),
    # What a loss must be.
    (ValueError, "requires_grad_(True)", {"model": FROZEN, **only(FROZEN.parameters())}),
    (ValueError, "graph behind it", {"loss_fn": lambda out, y: cross_entropy(out, y).detach()}),
    (ValueError, "one element, got the shape (2,)", {"loss_fn": lambda out, y: out.sum(1)}),
    *((TypeError, message, {"loss_fn": lambda out, y, wrap=wrap: wrap(out.sum())})
      for message, wrap in RETURNED.items()),
]  # fmt: skip


@pytest.mark.parametrize(("error", "words", "options"), WRONG, ids=[w[1] for w in WRONG])
def test_wrong_arguments_are_refused_and_touch_nothing(error, words, options):
    before = fingerprint(LINEAR, GOOD["optimizer"])
    with pytest.raises(error, match=re.escape(words)) as caught:
        range_test(**{**GOOD, **options})
    assert error is TypeError or getattr(caught.value, "got", words) is not None
    assert_same(before, fingerprint(LINEAR, GOOD["optimizer"]))


# What other finders get wrong: each was measured on one of them.


def small(make=torch.optim.SGD, **options):
    model = nn.Linear(6, 3)
    return model, make(model.parameters(), **{"lr": 0.1, **options})


def test_a_constant_loss_is_recorded_as_it_is_and_gives_no_bounds():
    model, optimizer = small()
    curve = swept(model, optimizer, loader(), loss_fn=lambda out, y: 0 * out.sum() + 2.0)
    assert curve.loss.tolist() == [2.0] * 30
    with pytest.raises(clrcore.NoBoundsError):
        clrcore.suggest_bounds(clrcore.Curve(curve.lr, curve.loss))


def test_no_scheduler_hook_or_wrapper_stays():
    model, optimizer = small()
    step, attributes = optimizer.step, set(vars(optimizer))
    swept(model, optimizer, loader(), scaler=torch.amp.GradScaler("cpu"))
    assert optimizer.step == step
    assert set(vars(optimizer)) == attributes
    assert not optimizer._optimizer_step_post_hooks
    assert "initial_lr" not in optimizer.param_groups[0]


def test_an_optimizer_with_a_scheduler_and_one_with_a_bare_step_serve():
    model, optimizer = small()
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for _ in range(2):
        swept(model, optimizer, loader())
    assert scheduler.last_epoch == 0
    assert optimizer.param_groups[0]["lr"] == 0.1
    model, optimizer = small()
    optimizer.step = functools.partial(optimizer.step)
    swept(model, optimizer, loader())


# The bar.


def test_the_bar_shows_rate_and_loss(capfd):
    model, optimizer = small()
    range_test(model, optimizer, loader(), loss_fn=cross_entropy, sweep=SWEEP)
    shown = capfd.readouterr()
    assert "30/30" in shown.err
    assert "lr=1.00e+00" in shown.err
    assert "loss=" in shown.err
    range_test(model, optimizer, loader(), loss_fn=cross_entropy, sweep=SWEEP, seeds=[3])
    assert "range test, seed 3" in capfd.readouterr().err
    swept(model, optimizer, loader())
    assert capfd.readouterr() == ("", "")


def test_without_tqdm_the_bar_says_what_to_install():
    program = """
    import sys
    sys.modules["tqdm"] = sys.modules["tqdm.auto"] = None
    import torch
    from clr_adapters.torch import range_test
    model = torch.nn.Linear(1, 1)
    data = [(torch.ones(1, 1), torch.ones(1, 1))]
    options = dict(optimizer=torch.optim.SGD(model.parameters()), train_loader=data,
                   loss_fn=torch.nn.functional.mse_loss)
    try:
        range_test(model, **options)
    except ImportError as error:
        print(error)
    print(len(range_test(model, progress=False, **options)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert 'run pip install ".[torch]" in a checkout of clrcore' in done.stdout, done.stderr
    assert "progress=False" in done.stdout
    assert done.stdout.endswith("300\n")


# Accuracy that cannot be known, and losses and functions that cannot serve.


UNKNOWN = {
    "outputs (N, 1), classes (N,)": (lambda x: x.sum(1, keepdim=True), lambda n: [0] * n),
    "targets that are no integers": (lambda x: x[:, :3], lambda n: [0.5] * n),
    "integers that are no classes": (lambda x: x[:, :2], lambda n: [17] * n),
    "outputs (N, T, C) with T == C": (
        lambda x: x[:, :4].unsqueeze(1) * torch.ones(4, 1),
        lambda n: [[0, 1, 2, 3]] * n,
    ),
}


@pytest.mark.parametrize("kind", UNKNOWN)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_no_accuracy_is_recorded_where_it_cannot_be_known(kind, accumulate):
    outputs, targets = UNKNOWN[kind]
    model, optimizer = small()
    model.forward = lambda x: outputs(x + model.bias.sum())
    batches = [(torch.randn(8, 6), torch.tensor(targets(8))) for _ in range(3)]
    run = functools.partial(
        swept, model, optimizer, batches, accumulate=accumulate, loss_fn=lambda out, y: out.sum()
    )
    curve = run()
    assert (curve.accuracy, curve.held_out) == (None, None)
    assert run(metric=lambda out, y: 0.25).accuracy.tolist() == [0.25] * 30
    with pytest.raises(ValueError, match=r"metric must be given.*leave val_loader out") as caught:
        run(val_loader=batches)
    assert caught.value.argument == "metric"


def test_language_models_with_other_lengths_than_classes_have_classes_in_the_second_place():
    model = nn.Conv1d(6, 3, 1)
    batch = torch.randn(4, 6, 5), torch.randint(3, (4, 5))
    curve = swept(model, torch.optim.SGD(model.parameters()), [batch])
    right = (model(batch[0]).argmax(1) == batch[1]).float().mean().item()
    assert curve.accuracy[0] == pytest.approx(right)


@pytest.mark.parametrize("also", ["", "step", "step, zero_grad"])
def test_a_train_step_that_trains_by_itself_is_refused(also):
    model, optimizer = small()

    def train_step(batch):
        loss = cross_entropy(model(batch[0]), batch[1])
        loss.backward()
        for method in filter(None, also.split(", ")):
            getattr(optimizer, method)()
        return loss

    before = fingerprint(model, optimizer)
    with pytest.raises(ValueError, match=r"without backward\(\), optimizer.step\(\)"):
        swept(model, optimizer, loader(), train_step=train_step)
    assert_same(before, fingerprint(model, optimizer))


def test_the_loss_may_be_given_by_its_place():
    model, optimizer = small()
    curve = range_test(model, optimizer, loader(), cross_entropy, sweep=SWEEP, progress=False)
    assert len(curve) == 30


@pytest.mark.parametrize(
    "name", ["criterion", "start_lr", "end_lr", "num_iter", "epochs", "accumulation_steps"]
)
def test_arguments_of_other_finders_lead_on(name):
    model, optimizer = small()
    with pytest.raises(TypeError, match=f"range_test has no argument '{name}'; .*pass"):
        swept(model, optimizer, loader(), **{name: 1})
