"""After range_test everything is as before, bit for bit, however it ended."""

import collections
import functools
import gc
import multiprocessing
import random
import signal
import weakref

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
)

import clrcore
from clr_adapters._interrupts import Interrupts
from clr_adapters.torch._snapshot import Snapshot
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
    warm,
)


def ending(kind, model):
    """Arguments of a run that ends in that way."""
    calls = []

    def loss_fn(outputs, targets):
        calls.append(1)
        loss = cross_entropy(outputs, targets)
        if len(calls) == 12:
            if kind == "exception":
                raise Broken
            if kind == "Ctrl-C":
                signal.raise_signal(signal.SIGINT)
            if kind == "nan":
                return loss * float("nan")
        return loss

    def metric(outputs, targets):
        if kind == "exception in validation" and len(calls) > 12:
            raise Broken
        if kind == "Ctrl-C in validation" and len(calls) > 12:
            signal.raise_signal(signal.SIGINT)
        return (outputs.argmax(1) == targets).float().mean()

    return {
        "loss_fn": loss_fn,
        "metric": metric,
        "sweep": TOO_FAR if kind == "diverged" else SWEEP,
    }


ENDINGS = [
    "complete",
    "diverged",
    "nan",
    "exception",
    "Ctrl-C",
    "exception in validation",
    "Ctrl-C in validation",
]


@pytest.mark.parametrize("block_size", [1, 20])
@pytest.mark.parametrize("snapshot", ["device", "host"])
@pytest.mark.parametrize("kind", ENDINGS)
def test_nothing_is_left(kind, snapshot, block_size):
    model = net()
    model, optimizer = warm(model, torch.optim.Adam(model.parameters(), lr=0.01))
    model.head.weight.grad = None  # some have a gradient, some have none
    train = loader(generator=torch.Generator().manual_seed(8))
    held = loader(generator=torch.Generator().manual_seed(9))
    scaler = torch.amp.GradScaler("cpu")
    before = fingerprint(model, optimizer, train, held, scaler=scaler)
    expected = Broken if "exception" in kind else KeyboardInterrupt if "Ctrl-C" in kind else None
    run = functools.partial(
        swept,
        model,
        optimizer,
        train,
        val_loader=held,
        validate_every=3,
        scaler=scaler,
        snapshot=snapshot,
        block_size=block_size,
        **ending(kind, model),
    )
    if expected is None:
        curve = run()
        assert len(curve) == {"complete": 30, "nan": 12}.get(kind, len(curve))
        assert len(curve) < 60
    else:
        with pytest.raises(expected):
            run()
    assert_same(before, fingerprint(model, optimizer, train, held, scaler=scaler))


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("kind", ["complete", "Ctrl-C"])
def test_training_goes_on_as_if_there_had_been_no_test(make, kind):
    def train(interrupted):
        model = net()
        optimizer = make(model.parameters())
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        scaler = torch.amp.GradScaler("cpu", growth_interval=3)
        losses = []
        torch.manual_seed(12)
        source = loader()
        for epoch in range(3):
            if epoch == 1 and interrupted:
                try:
                    swept(
                        model,
                        optimizer,
                        source,
                        scaler=scaler,
                        val_loader=loader(),
                        **ending(kind, model),
                    )
                except KeyboardInterrupt:
                    assert kind == "Ctrl-C"
            for x, y in source:
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                losses.append(loss.item())
            scheduler.step()
        return losses, bits([p.detach().numpy().tobytes() for p in model.parameters()])

    assert train(interrupted=True) == train(interrupted=False)


def test_a_second_test_after_more_training_restores_that():
    model = net()
    model, optimizer = warm(model, torch.optim.Adam(model.parameters(), lr=0.01))
    source = loader()
    run = functools.partial(swept, model, optimizer, source)
    run()
    warm(model, optimizer, 5)
    before = fingerprint(model, optimizer, source)
    run()
    assert_same(before, fingerprint(model, optimizer, source))


@pytest.mark.parametrize("training", [True, False])
def test_modes_are_kept(training):
    model = net()
    model.frozen.eval()
    if not training:
        model.eval()
    seen = set()
    model.register_forward_hook(lambda *_: seen.add((model.norm.training, model.frozen.training)))
    swept(model, torch.optim.SGD(model.parameters()), loader())
    # A model in training mode keeps its frozen part; one in evaluation mode is put to training.
    assert seen == {(True, not training)}
    assert (model.training, model.norm.training, model.frozen.training) == (
        training,
        training,
        False,
    )


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_it_learns_inside_no_grad_too(context):
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = list(loader(shuffle=False))
    run = functools.partial(swept, model, optimizer, batches)
    with context():
        inside = run()
        assert not torch.is_grad_enabled()
    assert inside == run()


def test_parameters_of_the_loss_are_kept_too():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, outputs, targets):
            self.calls += 1
            return cross_entropy(outputs * self.scale, targets)

    model, loss_fn = nn.Linear(6, 3), Scaled()
    optimizer = torch.optim.Adam([*model.parameters(), *loss_fn.parameters()])
    before = bits(dict(loss_fn.state_dict(keep_vars=True)))
    swept(model, optimizer, loader(), loss_fn=loss_fn)
    assert bits(dict(loss_fn.state_dict(keep_vars=True))) == before


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_are_gone_and_their_seeds_come_again(persistent):
    def orders(tested):
        torch.manual_seed(2)
        model = nn.Linear(6, 3)
        source = loader(num_workers=1, persistent_workers=persistent)
        first = torch.cat([x for x, _ in source])
        if tested:
            kept = source._iterator
            swept(
                model,
                torch.optim.SGD(model.parameters()),
                source,
                sweep=clrcore.linear_sweep(0.1, 0.2, 8),
            )
            assert source._iterator is kept
        return torch.cat([first, *(x for x, _ in source)])

    assert torch.equal(orders(True), orders(False))


class BreaksInAWorker(torch.utils.data.Dataset):
    def __len__(self):
        return 96

    def __getitem__(self, index):
        raise Broken


def test_workers_are_gone_while_the_exception_of_a_worker_is_held():
    model = nn.Linear(6, 3)
    source = DataLoader(BreaksInAWorker(), num_workers=2)
    with pytest.raises(Broken) as held:
        swept(model, torch.optim.SGD(model.parameters()), source)
    assert multiprocessing.active_children() == []
    assert held.value is not None


def test_a_press_while_workers_start_waits_until_they_can_be_ended():
    started = []

    class Pressed(DataLoader):
        def __iter__(self):
            presses()
            started.append(super().__iter__())
            return started[-1]

    model = nn.Linear(6, 3)
    source = Pressed(dataset(), batch_size=16, num_workers=2)
    with pytest.raises(KeyboardInterrupt):
        swept(model, torch.optim.SGD(model.parameters()), source)
    assert len(started) == 1
    assert multiprocessing.active_children() == []


def test_a_loader_that_the_user_has_begun_keeps_its_workers():
    model = nn.Linear(6, 3)
    begun = iter(loader(num_workers=1))
    sweep = clrcore.linear_sweep(0.1, 0.2, 3)
    swept(model, torch.optim.SGD(model.parameters()), begun, sweep=sweep)
    assert len(list(begun)) == 3


def test_samplers_with_generators_of_their_own_draw_the_same_again():
    weights = torch.rand(96)
    sampler = WeightedRandomSampler(weights, 96, generator=torch.Generator().manual_seed(3))
    source = loader(shuffle=False, sampler=sampler)
    model = nn.Linear(6, 3)
    before = sampler.generator.get_state()
    swept(model, torch.optim.SGD(model.parameters()), source)
    assert torch.equal(sampler.generator.get_state(), before)


class Extra(nn.Linear):
    """Does something while it is put back."""

    def __init__(self, what):
        super().__init__(6, 3)
        self.what = what

    def get_extra_state(self):
        return {}

    def set_extra_state(self, state):
        self.what()


def presses():
    signal.raise_signal(signal.SIGINT)


def breaks():
    raise Broken


@pytest.mark.parametrize(("what", "raised"), [(presses, KeyboardInterrupt), (breaks, Broken)])
def test_all_is_put_back_before_anything_that_happens_meanwhile(what, raised):
    model = nn.Sequential(Extra(what), nn.Linear(3, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    source = loader(generator=torch.Generator())
    before = fingerprint(model, optimizer, source)
    with pytest.raises(raised):
        swept(model, optimizer, source)
    assert_same(before, fingerprint(model, optimizer, source))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_press_while_ranks_wait_for_each_other_acts_afterwards():
    done = []

    def wait(flag):
        presses()
        done.append(flag)
        return flag

    def work():
        assert interrupts.hold_back(wait, True)
        done.append("never")

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt):
        interrupts.let_through(work)
    assert done == [True]


class Drops:
    """Python only prints what is raised where an object dies."""

    def __del__(self):
        presses()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("fails", [False, True])
def test_a_press_that_python_drops_acts_again(fails):
    done = []

    def work():
        dropped = Drops()
        del dropped
        done.append("went on")
        if fails:
            breaks()

    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        interrupts.let_through(work)
    assert done == ["went on"]
    assert interrupts._raised is None


def test_a_press_that_the_work_turns_into_another_error_acts_once():
    def work():
        try:
            presses()
        except KeyboardInterrupt as error:
            raise Broken from error

    with pytest.raises(Broken), Interrupts() as interrupts:
        interrupts.let_through(work)


def test_children_that_a_step_adds_are_gone_afterwards():
    model = nn.Sequential(nn.Linear(6, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    first = model[0]

    def grows(outputs, targets):
        model.append(nn.Linear(3, 3))
        model[0].register_module("more", nn.Linear(2, 2))
        model.register_buffer("seen", torch.zeros(1))
        return cross_entropy(outputs, targets)

    swept(model, optimizer, loader(), loss_fn=grows)
    assert list(model.named_modules()) == [("", model), ("0", first)]
    assert list(model.named_buffers()) == []


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("tensor", [False, True])
def test_read_only_data_are_left_alone(tmp_path, tensor, shuffle):
    np.save(tmp_path / "x.npy", np.ones((64, 6), np.float32))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    source = DataLoader(
        torch.from_numpy(x) if tensor else x,
        batch_size=16,
        shuffle=shuffle,
        collate_fn=lambda rows: (torch.tensor(np.stack(rows)), torch.zeros(len(rows)).long()),
    )
    model = nn.Linear(6, 3)
    assert len(swept(model, torch.optim.SGD(model.parameters()), source)) == 30


def test_a_buffer_made_in_inference_mode_is_put_back():
    model = net()
    with torch.inference_mode():
        model.register_buffer("mask", torch.ones(3))
    optimizer = torch.optim.Adam(model.parameters())
    before = fingerprint(model, optimizer)
    swept(model, optimizer, loader())
    assert_same(before, fingerprint(model, optimizer))


class Assigning(torch.optim.Optimizer):
    """Puts new memory into its parameters, and keeps a model of its own."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})
        self.average = nn.Linear(2, 2)

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.data = p.data - group["lr"] * p.grad
        with torch.no_grad():
            self.average.weight.mul_(0.9)


def test_parameters_are_where_they_were_though_they_got_other_memory():
    model = nn.Linear(6, 3)
    optimizer = Assigning(model.parameters(), lr=0.1)
    before = fingerprint(model, optimizer), bits(dict(optimizer.average.named_parameters()))
    swept(model, optimizer, loader())
    after = fingerprint(model, optimizer), bits(dict(optimizer.average.named_parameters()))
    assert_same(before[0], after[0])
    assert before[1] == after[1]


class Shuffled:
    """Batches of indices by a generator of its own; no Sampler of PyTorch."""

    def __init__(self):
        self.random = random.Random(4)

    def __iter__(self):
        order = list(range(96))
        self.random.shuffle(order)
        yield from (order[i : i + 16] for i in range(0, 96, 16))


class Wrapped:
    def __init__(self, source):
        self.source = source

    def __iter__(self):
        return iter(self.source)


class Permuting(Sampler):
    """Draws with NumPy's old generator, as much code does."""

    def __init__(self, source=None):
        self.rng = source or np.random.RandomState(3)

    def __iter__(self):
        return iter(self.rng.permutation(96).tolist())

    def __len__(self):
        return 96


class Holding(Sampler):
    """Draws from samplers that it holds, under a name of its own."""

    def __init__(self, *held):
        self.held = held if len(held) > 1 else held[0]

    def __iter__(self):
        for one in self.held if isinstance(self.held, tuple | list) else [self.held]:
            yield from one

    def __len__(self):
        return 96


class Slotted:
    """A sampler of no class of PyTorch's, without a dictionary, that counts its epochs."""

    __slots__ = ("count", "order")

    def __init__(self):
        self.count, self.order = 0, list(range(96))

    def __iter__(self):
        self.count += 1
        np.random.default_rng(self.count).shuffle(self.order)
        return iter(self.order)

    def __len__(self):
        return 96


class Several:
    """One loader after the other."""

    def __init__(self, *loaders):
        self.parts = {"all": list(loaders)}

    def __iter__(self):
        for one in self.parts["all"]:
            yield from one


class Written:
    """A loader written by hand."""

    def __init__(self, rng, permute):
        self.rng, self.permute = rng, permute
        self.data = dataset()

    def __iter__(self):
        for rows in torch.as_tensor(self.permute(self.rng)).view(-1, 16):
            yield self.data[rows]


class Collating:
    """Adds noise of its own to a batch."""

    def __init__(self):
        self.rng = np.random.default_rng(3)

    def collate(self, items):
        x, y = default_collate(items)
        return x + float(self.rng.normal()), y


def seeded():
    return torch.Generator().manual_seed(3)


def linear():
    model = nn.Linear(6, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def python_order(rng):
    return rng.sample(range(96), 96)


def nothing(source):
    return ()


# What makes a loader, and what is to be given to preserve, as the loader does not show it.
WITH_ORDERS = {
    "batch sampler of any class": (
        lambda: DataLoader(dataset(), batch_sampler=Shuffled()),
        nothing,
    ),
    "RandomState": (lambda: loader(shuffle=False, sampler=Permuting()), nothing),
    "RandomState of other bits": (
        lambda: loader(shuffle=False, sampler=Permuting(np.random.RandomState(np.random.PCG64(3)))),
        nothing,
    ),
    "Generator": (
        lambda: loader(shuffle=False, sampler=Permuting(np.random.default_rng(3))),
        nothing,
    ),
    "batch sampler": (
        lambda: DataLoader(dataset(), batch_sampler=BatchSampler(Permuting(), 16, True)),
        nothing,
    ),
    "torch, by hand": (
        lambda: Written(seeded(), lambda rng: torch.randperm(96, generator=rng)),
        nothing,
    ),
    "NumPy, by hand": (
        lambda: Written(np.random.default_rng(3), lambda rng: rng.permutation(96)),
        nothing,
    ),
    "Python, by hand": (lambda: Written(random.Random(3), python_order), nothing),
    "a sampler in a sampler": (
        lambda: loader(
            shuffle=False, sampler=Holding(RandomSampler(dataset(), generator=seeded()))
        ),
        lambda source: [source.sampler.held],
    ),
    "samplers in a sampler": (
        lambda: loader(
            shuffle=False,
            sampler=Holding(
                *(SubsetRandomSampler(range(i, i + 48), generator=seeded()) for i in (0, 48))
            ),
        ),
        lambda source: source.sampler.held,
    ),
    "a loader in a loader": (
        lambda: Wrapped(loader(generator=seeded())),
        lambda source: (source.source,),
    ),
    "loaders in a loader": (
        lambda: Several(loader(generator=seeded()), loader(generator=seeded())),
        lambda source: source.parts["all"],
    ),
    "in collate_fn": (
        lambda: loader(generator=seeded(), collate_fn=Collating().collate),
        lambda source: (source.collate_fn.__self__,),
    ),
}


@pytest.mark.parametrize("kind", WITH_ORDERS)
def test_whatever_a_loader_draws_with_is_put_back_and_seeded(kind):
    def order(source):
        return torch.cat([x for _ in range(2) for x, _ in source])

    def run(source, **options):
        return swept(*linear(), source, preserve=hidden(source), **options)

    make, hidden = WITH_ORDERS[kind]
    expected = order(make())
    source = make()
    run(source)
    assert torch.equal(order(source), expected)
    torch.manual_seed(2)  # for the weights
    first, second = run(make(), seeds=2)
    assert first != second
    for seed, curve in enumerate((first, second)):
        torch.manual_seed(2)
        assert run(make(), seeds=[seed]) == [curve]


def test_samplers_that_keep_their_order_are_put_back():
    source = loader(shuffle=False, sampler=Slotted())
    swept(*linear(), source)
    assert (source.sampler.count, source.sampler.order) == (0, list(range(96)))


class Average:
    """An average of weights that is no module, with a state."""

    def __init__(self, model):
        self.model = model
        self.shadow = [p.detach().clone() for p in model.parameters()]

    def update(self):
        for ours, p in zip(self.shadow, self.model.parameters(), strict=True):
            ours.lerp_(p.detach(), 0.5)

    def state_dict(self):
        return {"shadow": self.shadow}

    def load_state_dict(self, state):
        self.shadow = [ours.clone() for ours in state["shadow"]]


def test_what_is_preserved_is_put_back():
    """As in a GAN, where train_step steps a second optimizer, and with averages of weights."""
    model, optimizer = linear()
    critic = nn.Linear(3, 1)
    critics = torch.optim.Adam(critic.parameters(), lr=0.01)
    averages = Average(model), torch.optim.swa_utils.AveragedModel(model)
    scheduler = torch.optim.lr_scheduler.StepLR(critics, 5)
    generator = seeded()

    def train_step(batch):
        x, y = batch
        outputs = model(x + torch.randn(x.shape, generator=generator))
        critics.zero_grad()
        critic(outputs.detach()).mean().backward()
        critics.step()
        scheduler.step()
        averages[0].update()
        averages[1].update_parameters(model)
        return cross_entropy(outputs, y)

    def state():
        kept = [p.detach().clone() for m in (model, critic, averages[1]) for p in m.parameters()]
        return (
            bits([value.numpy().tobytes() for value in (*kept, *averages[0].shadow)]),
            bits(critics.state_dict()["state"]),
            scheduler.last_epoch,
            critics.param_groups[0]["lr"],
            averages[1].n_averaged.item(),
            generator.get_state().tolist(),
        )

    before = state()
    preserve = (critic, critics, *averages, scheduler, generator)
    swept(model, optimizer, loader(), train_step=train_step, preserve=preserve)
    assert state() == before
    swept(model, optimizer, loader(), train_step=train_step)
    assert state() != before


def test_a_state_that_only_its_methods_reach_is_put_back():
    counts = {"batches": 3}

    class Counter:
        __slots__ = ()

        def state_dict(self):
            return counts

        def load_state_dict(self, state):
            counts.update(state)

    def loss_fn(outputs, targets):
        counts["batches"] += 1
        return cross_entropy(outputs, targets)

    swept(*linear(), loader(), loss_fn=loss_fn, preserve=(Counter(),))
    assert counts == {"batches": 3}


def test_a_sparse_buffer_stays_as_it_was():
    model, optimizer = linear()
    model.register_buffer("links", torch.eye(3).to_sparse())

    def loss_fn(outputs, targets):
        model.links.mul_(2.0)
        return cross_entropy(outputs, targets)

    swept(model, optimizer, loader(), loss_fn=loss_fn)
    assert model.links.to_dense().tolist() == torch.eye(3).tolist()


@pytest.mark.parametrize("wrong", [3, "ema", (3,), (len,), (nn.Linear,), nn.Linear(1, 1)])
def test_what_cannot_be_preserved_is_refused(wrong):
    with pytest.raises(TypeError, match=r"^preserve"):
        swept(*linear(), loader(), preserve=wrong)


@pytest.mark.parametrize("how", [Broken, KeyboardInterrupt])
@pytest.mark.parametrize("block_size", [1, 20])
def test_a_failed_step_leaves_nothing_alive(how, block_size):
    class Activation:
        pass

    def loss_fn(outputs, targets):
        activation = Activation()
        kept.append(weakref.ref(activation))
        raise how

    kept = []
    gc.disable()  # a reference cycle would have to wait for it
    try:
        with pytest.raises(how):
            swept(*linear(), loader(), loss_fn=loss_fn, block_size=block_size)
        alive = [reference() for reference in kept]
    finally:
        gc.enable()
    assert alive == [None]


def test_a_loader_that_is_told_its_epoch_is_told_the_old_one_again():
    class Told(Wrapped):
        epoch = 4

        def set_epoch(self, epoch):
            self.epoch = epoch

    source = Told(loader())
    swept(*linear(), source)
    assert source.epoch == 4


def test_a_system_generator_has_no_state_to_put_back():
    source = Written(random.SystemRandom(), python_order)
    swept(*linear(), source, seeds=2)


# The snapshot by itself.


def test_a_snapshot_restores_what_containers_hold():
    tensor = torch.ones(3)
    optimizer = torch.optim.SGD([nn.Parameter(tensor)])
    array = np.zeros(2)
    held = {
        "tensor": tensor,
        "list": [1, tensor],
        "deque": collections.deque([1, 2], maxlen=2),
        "set": {1, 2},
        "tuple": (tensor, [3]),
        "array": array,
        "python": random.Random(1),
        "numpy": np.random.default_rng(1),
        "torch": torch.Generator().manual_seed(1),
        "nested": optimizer,
    }
    holder = type("Holder", (), {})()
    vars(holder).update(held)
    snapshot = Snapshot()
    snapshot.take(holder)

    def disturb():
        tensor.mul_(5)
        held["list"].append(9)
        held["deque"].append(9)
        held["set"].clear()
        held["tuple"][1].clear()
        array[:] = 7
        holder.extra = 1
        holder.tensor = None
        optimizer.param_groups[0]["lr"] = 77.0
        return [
            held["python"].random(),
            held["numpy"].random(),
            torch.rand(1, generator=held["torch"]).item(),
        ]

    drawn = disturb()
    for _ in range(2):  # as often as wanted
        snapshot.restore()
        assert tensor.tolist() == [1, 1, 1]
        assert vars(holder) == held
        assert len(held["list"]) == 2
        assert list(held["deque"]) == [1, 2]
        assert (held["set"], held["tuple"][1], array.tolist()) == ({1, 2}, [3], [0, 0])
        assert optimizer.param_groups[0]["lr"] == 1e-3
        assert disturb() == drawn


def test_a_snapshot_restores_a_model_that_changed_its_shape():
    model = nn.Linear(4, 2)
    model.register_buffer("grown", torch.ones(2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    snapshot = Snapshot()
    snapshot.take(model)
    model.weight.data = torch.zeros(3, 3)
    model.grown.resize_(5)
    model.register_buffer("new", torch.zeros(1))
    model.half()
    model.weight.requires_grad_(False)
    snapshot.restore()
    assert set(model.state_dict()) == set(before)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.weight.requires_grad


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_snapshot_restores_extra_state_and_scripted_modules():
    class Extra(nn.Linear):
        count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    extra, scripted = Extra(2, 2), torch.jit.script(nn.BatchNorm1d(3))
    extra.count = 3
    snapshot = Snapshot()
    snapshot.take(nn.ModuleList([extra, scripted]))
    extra.count = 8
    scripted(torch.randn(4, 3))
    scripted.eval()
    snapshot.restore()
    assert extra.count == 3
    assert scripted.running_mean.tolist() == [0, 0, 0]
    assert scripted.training


def test_extra_state_that_is_changed_in_place_is_restored():
    class Counting(nn.Linear):
        def __init__(self):
            super().__init__(2, 2)
            self.extra = {"seen": 0, "mean": torch.zeros(2)}

        def get_extra_state(self):
            return self.extra

        def set_extra_state(self, state):
            self.extra = state

    model = Counting()
    snapshot = Snapshot()
    snapshot.take(model)
    model.extra["seen"] += 1
    model.extra["mean"] += 1.0
    snapshot.restore()
    assert model.extra["seen"] == 0
    assert model.extra["mean"].tolist() == [0.0, 0.0]


def test_a_model_that_waits_for_its_first_batch_is_refused():
    model = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="run a batch through the model first"):
        swept(model, optimizer, loader())
