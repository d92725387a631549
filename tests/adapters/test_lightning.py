"""Lightning, with its real Trainer: rates of every update, resume, range test, ends of cycles."""

import copy
import logging

import pytest

torch = pytest.importorskip("torch")
pl = pytest.importorskip("lightning.pytorch")

from torch import nn  # noqa: E402

import clrcore  # noqa: E402
import crashes  # noqa: E402
import disks  # noqa: E402
import processes  # noqa: E402
from clr_adapters import lightning as adapter  # noqa: E402
from clr_adapters.torch import PolicyLR  # noqa: E402

# Lightning warns of few workers, small data and more; those warnings are its own.
pytestmark = pytest.mark.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

POLICY = clrcore.triangular(0.01, 0.1, 5)
SWEEP = clrcore.exponential_sweep(1e-4, 1.0, 40)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


class Net(pl.LightningModule):
    """A classifier that notes rate and momentum just before each update."""

    def __init__(self, policy=POLICY, manual=False, callbacks=()):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3))
        self.policy, self.automatic_optimization, self.callbacks = policy, not manual, callbacks
        self.seen = []

    def training_step(self, batch, index):
        loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
        self.log("train_loss", loss)
        assert self.trainer.global_step >= 0
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            if self.lr_schedulers():  # none in a range test
                self.lr_schedulers().step()
        return {"loss": loss}

    def on_before_optimizer_step(self, optimizer):
        group = optimizer.param_groups[0]
        self.seen.append((group["lr"], group["momentum"]))

    def validation_step(self, batch, index):
        self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

    def configure_callbacks(self):
        return list(self.callbacks)

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches < float("inf")
        optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
        return adapter.policy_lr(optimizer, self.policy, momentum=(0.8, 0.9))


def loader():
    data = torch.utils.data.TensorDataset(X, Y)
    generator = torch.Generator().manual_seed(1)
    return torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, generator=generator)


def make_trainer(folder, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    defaults = {"max_epochs": 2, "enable_checkpointing": False, "accelerator": "cpu"}
    return pl.Trainer(default_root_dir=folder, **(quiet | defaults | options))


def expected(start, stop, policy=POLICY):
    momenta = policy.opposed(0.8, 0.9)
    return [(policy(step), momenta(step)) for step in range(start, stop)]


@pytest.mark.parametrize(
    ("options", "manual", "updates"),
    [
        ({}, False, 32),
        ({"accumulate_grad_batches": 3}, False, 12),
        ({"precision": "bf16-mixed", "gradient_clip_val": 0.5}, False, 32),
        ({}, True, 32),
    ],
)
def test_every_update_uses_the_policys_rate_and_momentum(tmp_path, options, manual, updates):
    net = Net(manual=manual)
    make_trainer(tmp_path, **options).fit(net, loader())
    assert net.seen == expected(0, updates)


class Killed(pl.Callback):
    """Kills the process before the update of a number."""

    def __init__(self, update):
        self.update = update

    def on_before_optimizer_step(self, trainer, *_):
        if trainer.global_step == self.update:
            processes.kill()


@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 3}])
def test_a_run_that_was_killed_in_mid_cycle_goes_on_with_the_next_rate(tmp_path, options):
    program = """
        import sys
        import test_lightning as t
        saving = t.pl.callbacks.ModelCheckpoint(sys.argv[1], "saved", every_n_train_steps=7)
        options = {"callbacks": [saving, t.Killed(9)], "enable_checkpointing": True}
        t.make_trainer(sys.argv[1], **options, **eval(sys.argv[2])).fit(t.Net(), t.loader())
    """
    processes.run_killed(program, tmp_path, options)
    net = Net()
    make_trainer(tmp_path, **options).fit(net, loader(), ckpt_path=tmp_path / "saved.ckpt")
    assert net.seen[:5] == expected(7, 12)


def test_rates_reach_the_logger(tmp_path):
    logged = []

    class Logger(pl.loggers.logger.DummyLogger):
        def log_metrics(self, metrics, step=None):
            logged.extend(value for name, value in metrics.items() if name == "lr-SGD")

    monitor = pl.callbacks.LearningRateMonitor(logging_interval="step")
    options = {"logger": Logger(), "callbacks": [monitor], "log_every_n_steps": 1}
    make_trainer(tmp_path, max_steps=12, **options).fit(Net(), loader())
    assert logged == POLICY.values(0, 12).tolist()


class Failing(nn.Module):
    """Raises in the forward pass after some batches."""

    def __init__(self, failure, batches):
        super().__init__()
        self.failure, self.left = failure, batches

    def forward(self, inputs):
        self.left -= 1
        if not self.left:
            raise self.failure
        return inputs


class Forbidden(pl.Callback):
    """A callback that must not be called in a range test."""

    def on_train_batch_start(self, *_):
        raise AssertionError("called")

    on_validation_start = on_save_checkpoint = on_train_batch_start


def state_of(trainer, net, data):
    """All that a range test must leave as it was."""
    plain = {name: value for name, value in vars(trainer).items() if name != "_results"}
    parts = [dict(vars(getattr(trainer, name))) for name in ("strategy", "fit_loop", "state")]
    generators = [torch.get_rng_state(), data.generator.get_state()]
    return plain, parts, copy.deepcopy(net.state_dict()), generators, net.training, dict(vars(net))


def assert_same(before, after):
    for old, new in zip(before, after, strict=True):
        if isinstance(old, torch.Tensor):
            assert torch.equal(old, new)
        elif isinstance(old, dict) and any(isinstance(x, torch.Tensor) for x in old.values()):
            assert all(torch.equal(old[name], new[name]) for name in old)
        elif isinstance(old, list) and old and isinstance(old[0], torch.Tensor | dict):
            assert_same(old, new)
        else:
            assert old == new


@pytest.mark.parametrize(
    ("options", "manual"),
    [
        ({}, False),
        ({"accumulate_grad_batches": 3, "max_epochs": 1}, False),
        ({"precision": "bf16-mixed", "gradient_clip_val": 0.5}, False),
        ({}, True),
    ],
)
def test_a_range_test_leaves_nothing_behind(tmp_path, options, manual):
    trainer = make_trainer(
        tmp_path, callbacks=[Forbidden()], logger=pl.loggers.CSVLogger(tmp_path), **options
    )
    net, data = Net(manual=manual, callbacks=[Forbidden()]), loader()
    before = state_of(trainer, net, data)
    curve = adapter.range_test(trainer, net, data, sweep=SWEEP, progress=False)
    assert_same(before, state_of(trainer, net, data))
    assert list(tmp_path.iterdir()) == []
    assert curve.lr.tolist() == [SWEEP(step) for step in range(len(curve))]
    assert curve.steps_per_epoch == (6 if "accumulate_grad_batches" in options else 16)
    first = 1.13160574 if manual or not options else None
    if first is not None:  # the loss of the first batch, before any update
        assert curve.loss[0] == pytest.approx(first, rel=1e-6)


@pytest.mark.parametrize("tested", [False, True])
def test_a_fit_after_a_range_test_is_the_fit_without_it(tmp_path, tested):
    trainer, net, data = make_trainer(tmp_path), Net(), loader()
    if tested:
        adapter.range_test(trainer, net, data, sweep=SWEEP, progress=False)
        net.seen.clear()
    trainer.fit(net, data)
    plain = Net()
    make_trainer(tmp_path).fit(plain, loader())
    weights = plain.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert (net.seen, trainer.global_step) == (plain.seen, 32)


@pytest.mark.parametrize("failure", [ValueError("broken"), KeyboardInterrupt()])
def test_a_range_test_that_fails_leaves_nothing_behind(tmp_path, failure):
    trainer, net, data = make_trainer(tmp_path), Net(), loader()
    net.net.append(Failing(failure, 20))
    before = state_of(trainer, net, data)
    with pytest.raises(type(failure)):
        adapter.range_test(trainer, net, data, sweep=SWEEP, progress=False)
    assert_same(before, state_of(trainer, net, data))


def test_the_losses_are_means_over_the_micro_batches(tmp_path):
    losses = []

    class Noted(Net):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)["loss"]
            losses.append(float(loss))
            return loss

    trainer = make_trainer(tmp_path, accumulate_grad_batches=3)
    curve = adapter.range_test(trainer, Noted(), loader(), sweep=SWEEP, progress=False)
    assert curve.loss[:2] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:6]) / 3], rel=1e-6)
    assert curve.loss[5] == pytest.approx(losses[15], rel=1e-6)  # the epoch has 16 batches


def test_seeds_give_curves_that_repeat(tmp_path):
    def curves():
        return adapter.range_test(
            make_trainer(tmp_path), Net(), loader(), sweep=SWEEP, progress=False, seeds=2
        )

    first, second = curves(), curves()
    assert [curve.loss.tolist() for curve in first] == [curve.loss.tolist() for curve in second]
    assert first[0].loss.tolist() != first[1].loss.tolist()


def test_find_bounds_leaves_nothing_behind(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[Forbidden()])
    net, data = Net(callbacks=[Forbidden()]), loader()
    before = state_of(trainer, net, data)
    options = {"max_updates": 200, "progress": False}
    bounds = adapter.find_bounds(trainer, net, data, **options)
    assert_same(before, state_of(trainer, net, data))
    assert bounds.trials
    assert bounds == adapter.find_bounds(trainer, net, data, **options)


class Data(pl.LightningDataModule):
    def setup(self, stage):
        self.loader = loader()

    def train_dataloader(self):
        return self.loader


def test_data_of_a_datamodule_and_one_shot_data(tmp_path):
    data = Data()
    curve = adapter.range_test(
        make_trainer(tmp_path), Net(), datamodule=data, sweep=SWEEP, progress=False
    )
    assert len(curve) == 40
    assert not hasattr(data, "loader")
    batches = iter([(X[:4], Y[:4])] * 7)
    with pytest.warns(UserWarning, match="ended after 7 of 40 updates: train_dataloaders has no"):
        curve = adapter.range_test(
            make_trainer(tmp_path), Net(), batches, sweep=SWEEP, progress=False
        )
    assert len(curve) == 7


class Two(Net):
    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(2)]


def test_a_strategy_that_starts_processes_in_fit_is_refused(tmp_path):
    trainer = make_trainer(tmp_path, devices=2, strategy="ddp_spawn")
    with pytest.raises(ValueError, match="trainer must be a Trainer that starts no processes"):
        adapter.range_test(trainer, Net(), loader(), sweep=SWEEP, progress=False)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"trainer": 1}, TypeError, "trainer must be a Trainer of Lightning"),
        ({"stop": 1}, TypeError, "stop must be True or False"),
        ({"sweep": POLICY}, ValueError, "sweep must be a policy with an end"),
        (
            {"module": Two(manual=True)},
            ValueError,
            "module must be a module with a single optimizer",
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(tmp_path, change, kind, message):
    arguments = {"trainer": make_trainer(tmp_path), "module": Net(), "progress": False} | change
    with pytest.raises(kind, match=message):
        adapter.range_test(arguments.pop("trainer"), arguments.pop("module"), loader(), **arguments)


# The ends of cycles.


class Worse(Net):
    """Logs a loss that never improves."""

    def validation_step(self, batch, index):
        self.log("val_loss", 1.0)


AT_ENDS = {"val_check_interval": 10, "check_val_every_n_epoch": None}


def test_a_run_saved_between_the_end_of_a_cycle_and_its_validation_is_resumed(tmp_path):
    def run(**options):
        ends = adapter.CycleEnds(clrcore.CycleMonitor(POLICY, "min"))
        saving = pl.callbacks.ModelCheckpoint(tmp_path, "{step}", every_n_train_steps=30)
        trainer = make_trainer(tmp_path, callbacks=[ends, saving], max_steps=65, max_epochs=5,
                               enable_checkpointing=True, **AT_ENDS)  # fmt: skip
        net = Worse()
        trainer.fit(net, loader(), loader(), **options)
        return net.seen, ends.ends

    seen, ends = run()
    path = tmp_path / "step=60.ckpt"
    assert torch.load(path)["callbacks"]["CycleEnds"]["ends"][-1]["updates"] == 50
    assert [end["action"] for end in ends if end["action"] != "continue"] == ["lower", "lower"]
    assert run(ckpt_path=path) == (seen[60:], ends)


def test_a_killed_training_makes_the_updates_of_an_uninterrupted_run():
    """`nox -s crash` kills more."""
    crashes.check("lightning", kills=4)


def test_a_full_disk_leaves_the_snapshot_before():
    """`nox -s crash` tries more sizes."""
    assert disks.faults("lightning", 3, seed=0)[1] == []


def test_ends_of_cycles_lower_the_rates_and_stop(tmp_path):
    monitor = clrcore.CycleMonitor(POLICY, "min", max_lowerings=1, factor=0.5)
    ends = adapter.CycleEnds(monitor)
    net = Worse()
    trainer = make_trainer(tmp_path, callbacks=[ends], max_epochs=9, **AT_ENDS)
    trainer.fit(net, loader(), loader())

    assert [end["action"] for end in ends.ends] == ["continue"] * 2 + ["lower"] + [
        "continue"
    ] * 2 + ["stop"]
    assert [end["updates"] for end in ends.ends] == [10, 20, 30, 40, 50, 60]
    assert [rate for rate, _ in net.seen] == [
        *POLICY.values(0, 30),
        *POLICY.lowered(0.5).values(30, 60),
    ]


def test_lowered_rates_and_ends_travel_with_checkpoints(tmp_path):
    def make():
        monitor = clrcore.CycleMonitor(POLICY, "min", max_lowerings=1, factor=0.5)
        return adapter.CycleEnds(monitor, snapshots=tmp_path / "cycle{cycle}-{updates}.ckpt")

    ends = make()
    trainer = make_trainer(tmp_path, callbacks=[ends], max_epochs=9, **AT_ENDS)
    trainer.fit(Worse(), loader(), loader())
    resumed, net = make(), Worse()
    trainer = make_trainer(tmp_path, callbacks=[resumed], max_epochs=9, **AT_ENDS)
    trainer.fit(net, loader(), loader(), ckpt_path=tmp_path / "cycle3-40.ckpt")

    assert resumed.ends == ends.ends
    assert [rate for rate, _ in net.seen] == POLICY.lowered(0.5).values(40, 60).tolist()


def test_weights_are_averaged_at_the_ends_of_cycles(tmp_path):
    kept = []

    class Keep(pl.Callback):
        def on_train_batch_end(self, trainer, net, *_):
            if trainer.global_step % 10 == 0:
                kept.append({name: value.clone() for name, value in net.state_dict().items()})

    ends, net = adapter.CycleEnds(average=True), Net()
    make_trainer(tmp_path, callbacks=[Keep(), ends]).fit(net, loader())
    for name, value in ends.average.items():
        mean = torch.stack([weights[name] for weights in kept]).mean(0)
        assert torch.allclose(value, mean, atol=1e-6)
    net.load_state_dict(ends.average)
    assert [end["updates"] for end in ends.ends] == [10, 20, 30]


def test_a_scheduler_that_is_moved_once_per_epoch_is_refused(tmp_path):
    class Epochs(Net):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.5)
            return [optimizer], [PolicyLR(optimizer, POLICY)]

    with pytest.raises(ValueError, match=r"moved after every update, .*'epoch'.* policy_lr"):
        make_trainer(tmp_path, callbacks=[adapter.CycleEnds()]).fit(Epochs(), loader())


def test_a_training_without_a_whole_cycle_is_warned_of(tmp_path):
    trainer = make_trainer(tmp_path, callbacks=[adapter.CycleEnds()], max_steps=5)
    with pytest.warns(UserWarning, match="no cycle will end: the training makes 5 updates"):
        trainer.fit(Net(), loader())


def test_a_step_size_in_epochs_is_warned_of(tmp_path):
    single = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, Y))
    trainer = make_trainer(tmp_path, callbacks=[adapter.CycleEnds()])
    with pytest.warns(UserWarning, match="half a cycle takes 2 updates, and an epoch 64"):
        trainer.fit(Net(clrcore.triangular(0.01, 0.1, 2)), single)


def test_a_cycle_that_ends_without_validation_is_warned_of(tmp_path):
    ends = adapter.CycleEnds(clrcore.CycleMonitor(POLICY, "min"))
    trainer = make_trainer(tmp_path, callbacks=[ends], max_epochs=1)
    with pytest.warns(UserWarning, match="a cycle has ended without validation"):
        trainer.fit(Net(), loader(), loader())


@pytest.mark.parametrize(
    ("arguments", "policy", "kind", "message"),
    [
        ({"monitor": 1}, POLICY, TypeError, "monitor must be a clrcore.CycleMonitor or None"),
        ({"metric": 1}, POLICY, TypeError, "metric must be the name of a logged metric"),
        ({"monitor": clrcore.CycleMonitor(POLICY)}, POLICY, ValueError, 'with mode="min" for the'),
        ({"average": 1}, POLICY, TypeError, "average must be True or False"),
        ({}, clrcore.constant(0.1), TypeError, "must be a PolicyLR with a policy that has cycles"),
        (
            {"metric": "val_acc", "monitor": clrcore.CycleMonitor(POLICY, "min")},
            POLICY,
            ValueError,
            r"metric must be a logged metric: \['train_loss', 'val_loss'\], got 'val_acc'",
        ),
    ],
)
def test_wrong_arguments_of_cycle_ends_are_refused(tmp_path, arguments, policy, kind, message):
    class Plain(Net):
        def configure_optimizers(self):
            return adapter.policy_lr(torch.optim.SGD(self.parameters(), lr=0.5), policy)

    with pytest.raises(kind, match=message):
        make_trainer(tmp_path, callbacks=[adapter.CycleEnds(**arguments)], **AT_ENDS).fit(
            Plain(), loader(), loader()
        )


# Processes, and the other package.


def test_two_processes_use_the_policys_rates_and_record_mean_losses(tmp_path):
    program = """
        import sys, torch
        import test_lightning as t
        trainer = t.make_trainer(sys.argv[1], devices=2, strategy="ddp")
        net, data = t.Net(), t.loader()
        weights = {name: value.clone() for name, value in net.state_dict().items()}
        curve = t.adapter.range_test(trainer, net, data, sweep=t.SWEEP, progress=False)
        assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
        losses = [torch.zeros(len(curve), dtype=float) for _ in range(2)]
        torch.distributed.all_gather(losses, torch.tensor(curve.loss))
        assert torch.equal(*losses) and len(curve) == 40, losses
        net.seen.clear()
        trainer.fit(net, data)
        assert net.seen == t.expected(0, 16), net.seen
        print("right")
    """
    processes.run_two(program, tmp_path)


def test_pytorch_lightning_serves_as_well(tmp_path):
    pytest.importorskip("pytorch_lightning")
    program = """
        import sys
        import pytorch_lightning
        sys.modules["lightning.pytorch"] = sys.modules["lightning"] = None
        from clr_adapters import lightning as adapter
        assert adapter.lightning is pytorch_lightning
        sys.modules["lightning.pytorch"] = pytorch_lightning
        import pytest
        pytest.importorskip = lambda name: sys.modules.get(name) or __import__(name)
        import test_lightning as t
        trainer, net = t.make_trainer(sys.argv[1]), t.Net()
        curve = adapter.range_test(trainer, net, t.loader(), sweep=t.SWEEP, progress=False)
        net.seen.clear()
        trainer.callbacks.append(ends := adapter.CycleEnds(average=True))
        trainer.fit(net, t.loader())
        assert net.seen == t.expected(0, 32) and len(curve) == 40 and len(ends.ends) == 3
        print("right")
    """
    ended = processes.run(program, tmp_path)
    assert "right" in ended.stdout, ended.stderr
