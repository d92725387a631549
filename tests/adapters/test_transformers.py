"""Hugging Face, with its real Trainer: rates of every update, resume, range test, cycle ends."""

import copy

import pytest

torch = pytest.importorskip("torch")
hugging = pytest.importorskip("transformers")

from torch import nn  # noqa: E402

import clrcore  # noqa: E402
import processes  # noqa: E402
from clr_adapters import transformers as adapter  # noqa: E402
from clr_adapters.torch import PolicyLR  # noqa: E402

# The Trainer warns of missing devices and of its own use of PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore")

POLICY = clrcore.triangular(0.01, 0.1, 5)
SWEEP = clrcore.exponential_sweep(1e-4, 1.0, 40)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()
DATA = [{"x": x, "labels": y} for x, y in zip(X, Y, strict=True)]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3))

    def forward(self, x, labels=None):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Seen(hugging.TrainerCallback):
    """Notes rates and momentum just before each update."""

    def __init__(self):
        self.groups = []

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **others):
        self.groups.append([(g["lr"], g["betas"][0]) for g in optimizer.param_groups])


def make(folder, *callbacks, policy=POLICY, trainer=adapter.PolicyTrainer, data=DATA, **options):
    defaults = {"per_device_train_batch_size": 4, "num_train_epochs": 2, "use_cpu": True}
    quiet = {"report_to": [], "disable_tqdm": True, "logging_strategy": "no"}
    arguments = hugging.TrainingArguments(
        str(folder), **(defaults | quiet | {"save_strategy": "no"} | options)
    )
    more = {"policy": policy, "momentum": (0.8, 0.9)} if trainer is adapter.PolicyTrainer else {}
    return trainer(
        Net(), arguments, train_dataset=data, eval_dataset=DATA, callbacks=[*callbacks], **more
    )


def expected(start, stop, policy=POLICY):
    momenta = policy.opposed(0.8, 0.9)
    return [[(policy(step), momenta(step))] * 2 for step in range(start, stop)]


@pytest.mark.parametrize(
    ("options", "updates"),
    [({}, 32), ({"gradient_accumulation_steps": 3}, 12), ({"bf16": True, "max_steps": 9}, 9)],
)
def test_every_update_uses_the_policy_in_the_trainers_own_groups(tmp_path, options, updates):
    seen = Seen()
    trainer = make(tmp_path, seen, **options)
    trainer.train()
    assert seen.groups == expected(0, updates)
    assert [group["weight_decay"] for group in trainer.optimizer.param_groups] == [0.0, 0.0]
    trainer.train()  # a second training starts at the first rate
    assert seen.groups[updates:] == expected(0, updates)


def test_a_policy_may_be_made_for_the_length_of_the_training(tmp_path):
    seen = Seen()
    make(tmp_path, seen, policy=lambda n: clrcore.triangular(0.01, 0.1, n // 2)).train()
    assert seen.groups == expected(0, 32, clrcore.triangular(0.01, 0.1, 16))


class Killed(hugging.TrainerCallback):
    """Kills the process before the update of a number."""

    def __init__(self, update):
        self.update = update

    def on_pre_optimizer_step(self, args, state, control, **others):
        if state.global_step == self.update:
            processes.kill()


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 3}])
def test_a_run_that_was_killed_in_mid_cycle_goes_on_with_the_next_rate(tmp_path, options):
    program = """
        import sys
        import test_transformers as t
        t.make(sys.argv[1], t.Killed(9), **eval(sys.argv[2])).train()
    """
    options = options | {"save_strategy": "steps", "save_steps": 7}
    processes.run_killed(program, tmp_path, options)
    seen = Seen()
    make(tmp_path, seen, **options).train(resume_from_checkpoint=True)
    assert seen.groups[:5] == expected(7, 12)


def test_a_scheduler_of_another_optimizer_is_refused(tmp_path):
    other = torch.optim.SGD(Net().parameters(), lr=0.1)
    scheduler = PolicyLR(other, POLICY)
    arguments = hugging.TrainingArguments(str(tmp_path), use_cpu=True, report_to=[])
    with pytest.raises(ValueError, match="optimizers must be a pair of an optimizer and None"):
        adapter.PolicyTrainer(
            Net(), arguments, policy=POLICY, train_dataset=DATA, optimizers=(None, scheduler)
        )
    plain = hugging.Trainer(
        Net(),
        arguments,
        train_dataset=DATA,
        optimizers=(None, scheduler),
        callbacks=[adapter.CycleEnds()],
    )
    with pytest.raises(ValueError, match="must be a scheduler of the Trainer's own optimizer"):
        plain.train()


# The range test.


def state_of(trainer):
    """All that a range test must leave as it was."""
    return dict(vars(trainer)), copy.deepcopy(trainer.model.state_dict()), torch.get_rng_state()


def assert_same(before, after):
    assert before[0] == after[0]
    assert all(torch.equal(value, after[1][name]) for name, value in before[1].items())
    assert torch.equal(before[2], after[2])


@pytest.mark.parametrize("kind", [hugging.Trainer, adapter.PolicyTrainer])
@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 3}, {"bf16": True}])
def test_a_range_test_leaves_nothing_behind(tmp_path, kind, options):
    seen = Seen()
    trainer = make(
        tmp_path / "out",
        seen,
        trainer=kind,
        save_strategy="steps",
        save_steps=3,
        eval_strategy="steps",
        eval_steps=3,
        **{**options, "logging_strategy": "steps", "logging_steps": 1},
    )
    before = state_of(trainer)
    curve = adapter.range_test(trainer, sweep=SWEEP, progress=False)
    assert_same(before, state_of(trainer))
    assert (list((tmp_path / "out").iterdir()), seen.groups) == ([], [])
    assert curve.lr.tolist() == [SWEEP(step) for step in range(len(curve))]
    assert curve.steps_per_epoch == (6 if "gradient_accumulation_steps" in options else 16)


def test_a_training_after_a_range_test_is_the_training_without_it(tmp_path):
    def weights(tested):
        trainer = make(tmp_path)
        if tested:
            adapter.range_test(trainer, sweep=SWEEP, progress=False)
        trainer.train()
        return trainer.model.state_dict()

    tested, plain = weights(True), weights(False)
    assert all(torch.equal(value, plain[name]) for name, value in tested.items())


def test_the_losses_are_means_over_the_micro_batches(tmp_path):
    losses = []

    class Noted(hugging.Trainer):
        def compute_loss(self, *args, **options):
            loss = super().compute_loss(*args, **options)
            losses.append(float(loss))
            return loss

    trainer = make(tmp_path, trainer=Noted, gradient_accumulation_steps=3)
    curve = adapter.range_test(trainer, sweep=SWEEP, progress=False)
    assert curve.loss[:2] == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:6]) / 3], rel=1e-6)
    assert curve.loss[5] == pytest.approx(losses[15], rel=1e-6)  # the epoch has 16 batches


def test_seeds_give_curves_that_repeat(tmp_path):
    def curves():
        return adapter.range_test(make(tmp_path), sweep=SWEEP, progress=False, seeds=2)

    first, second = curves(), curves()
    assert [curve.loss.tolist() for curve in first] == [curve.loss.tolist() for curve in second]
    assert first[0].loss.tolist() != first[1].loss.tolist()


def test_find_bounds_leaves_nothing_behind(tmp_path):
    seen = Seen()
    trainer = make(tmp_path, seen)
    before = state_of(trainer)
    options = {"max_updates": 200, "progress": False}
    bounds = adapter.find_bounds(trainer, **options)
    assert_same(before, state_of(trainer))
    assert bounds.trials
    assert seen.groups == []
    assert bounds == adapter.find_bounds(trainer, **options)


@pytest.mark.parametrize("failure", [ValueError("broken"), KeyboardInterrupt()])
def test_a_range_test_that_fails_leaves_nothing_behind(tmp_path, failure):
    class Failing(hugging.Trainer):
        def compute_loss(self, *args, **options):
            self.calls = getattr(self, "calls", 0) + 1
            if self.calls == 20:
                raise failure
            return super().compute_loss(*args, **options)

    trainer = make(tmp_path, trainer=Failing)
    before = state_of(trainer)
    with pytest.raises(type(failure)):
        adapter.range_test(trainer, sweep=SWEEP, progress=False)
    assert_same(before, state_of(trainer))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"trainer": 1}, TypeError, "trainer must be a transformers.Trainer"),
        ({"progress": 1}, TypeError, "progress must be True or False"),
        ({"stop": 1}, TypeError, "stop must be True or False"),
        ({"sweep": POLICY}, ValueError, "sweep must be a policy with an end"),
    ],
)
def test_wrong_arguments_are_refused_by_name(tmp_path, change, kind, message):
    arguments = {"trainer": make(tmp_path), "progress": False} | change
    with pytest.raises(kind, match=message):
        adapter.range_test(arguments.pop("trainer"), **arguments)


# The ends of cycles.


def judged():
    return adapter.CycleEnds(
        clrcore.CycleMonitor(POLICY, "min", max_lowerings=1, factor=0.5, min_delta=9.0), save=True
    )


def test_ends_of_cycles_lower_the_rates_and_stop_and_travel_with_checkpoints(tmp_path):
    seen, ends = Seen(), judged()
    make(tmp_path, seen, ends, num_train_epochs=9).train()
    actions = ["continue", "continue", "lower", "continue", "continue", "stop"]
    assert [end["action"] for end in ends.ends] == actions
    assert [end["updates"] for end in ends.ends] == [10, 20, 30, 40, 50, 60]
    rates = [*POLICY.values(0, 30), *POLICY.lowered(0.5).values(30, 60)]
    assert [groups[0][0] for groups in seen.groups] == rates

    seen, resumed = Seen(), judged()
    trainer = make(tmp_path, seen, resumed, num_train_epochs=9)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-40"))
    assert [groups[0][0] for groups in seen.groups] == rates[40:]
    assert resumed.ends == ends.ends


def test_a_second_training_is_judged_from_its_start(tmp_path):
    ends, seen = judged(), Seen()
    trainer = make(tmp_path, ends, seen, num_train_epochs=9)
    trainer.train()
    first = [end["action"] for end in ends.ends]
    trainer.train()
    assert [end["action"] for end in ends.ends] == first
    assert seen.groups[60:] == seen.groups[:60]


def test_ends_are_noted_without_a_monitor(tmp_path):
    ends = adapter.CycleEnds()
    make(tmp_path, ends).train()
    assert ends.ends == [{"cycle": i, "updates": 10 * i + 10} for i in range(3)]


def test_a_step_size_in_epochs_is_warned_of(tmp_path):
    options = {"policy": clrcore.triangular(0.01, 0.1, 2), "per_device_train_batch_size": 1}
    trainer = make(tmp_path, adapter.CycleEnds(), **options)
    with pytest.warns(UserWarning, match="half a cycle takes 2 updates, and an epoch 64"):
        trainer.train()


@pytest.mark.parametrize(
    ("arguments", "policy", "kind", "message"),
    [
        ({"monitor": 1}, POLICY, TypeError, "monitor must be a clrcore.CycleMonitor or None"),
        ({"metric": 1}, POLICY, TypeError, "metric must be the name of a metric"),
        ({"monitor": clrcore.CycleMonitor(POLICY)}, POLICY, ValueError, 'with mode="min" for the'),
        ({"save": 1}, POLICY, TypeError, "save must be True or False"),
        ({}, clrcore.constant(0.1), TypeError, "must be a PolicyLR with a policy that has cycles"),
        (
            {"metric": "eval_acc", "monitor": clrcore.CycleMonitor(POLICY, "min")},
            POLICY,
            ValueError,
            r"metric must be one of \['epoch', 'eval_loss', .* got 'eval_acc'",
        ),
    ],
)
def test_wrong_arguments_of_cycle_ends_are_refused(tmp_path, arguments, policy, kind, message):
    def train():
        trainer = make(tmp_path, adapter.CycleEnds(**arguments))
        trainer.policy, trainer._options = policy, {}
        trainer.train()

    with pytest.raises(kind, match=message):
        train()


def test_cycle_ends_take_an_optimizer_and_a_scheduler_of_your_own(tmp_path):
    net, ends = Net(), adapter.CycleEnds()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    trainer = hugging.Trainer(
        net,
        hugging.TrainingArguments(
            str(tmp_path), use_cpu=True, report_to=[], max_steps=20, save_strategy="no"
        ),
        train_dataset=DATA,
        optimizers=(optimizer, PolicyLR(optimizer, POLICY)),
        callbacks=[ends],
    )
    trainer.train()
    assert [end["updates"] for end in ends.ends] == [10, 20]


def test_the_trainer_forgets_a_scheduler_that_it_has_made():
    """`_created_lr_scheduler`: the private name that says so."""
    assert "_created_lr_scheduler" in hugging.Trainer.create_scheduler.__code__.co_names


def test_two_processes_use_every_rate_and_record_mean_losses(tmp_path):
    program = """
        import sys, torch
        import test_transformers as t
        seen = t.Seen()
        trainer = t.make(sys.argv[1], seen, gradient_accumulation_steps=2)
        curve = t.adapter.range_test(trainer, sweep=t.SWEEP, progress=False)
        losses = [torch.zeros(len(curve), dtype=float) for _ in range(2)]
        torch.distributed.all_gather(losses, torch.tensor(curve.loss))
        assert torch.equal(*losses) and len(curve) == 40, losses
        assert seen.groups == []
        trainer.train()
        assert seen.groups == t.expected(0, 8), seen.groups
        print("right")
    """
    processes.run_two(program, tmp_path)
