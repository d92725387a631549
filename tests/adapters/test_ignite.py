"""Ignite, with its real engines: rates of every update, resume, range test."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("ignite")

from ignite import distributed as idist  # noqa: E402, F401
from ignite.engine import Engine, Events, create_supervised_trainer  # noqa: E402
from ignite.handlers import Checkpoint, LRScheduler  # noqa: E402
from torch import nn  # noqa: E402

import clrcore  # noqa: E402
import processes  # noqa: E402
from clr_adapters import ignite as adapter  # noqa: E402
from clr_adapters.torch import PolicyLR, range_test  # noqa: E402

# Ignite warns of its own use of PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore")

POLICY = clrcore.triangular(0.01, 0.1, 5)
SWEEP = clrcore.exponential_sweep(1e-4, 1.0, 40)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


class Run:
    """A training with 16 iterations in an epoch; `seen` has the values just before each update."""

    def __init__(self, accumulation=1, policy=POLICY, model=None):
        torch.manual_seed(0)
        self.model = model or nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5)
        self.engine = create_supervised_trainer(
            self.model,
            self.optimizer,
            nn.functional.cross_entropy,
            gradient_accumulation_steps=accumulation,
        )
        self.scheduler = adapter.policy_lr(self.engine, self.optimizer, policy, momentum=(0.8, 0.9))
        self.seen = []
        self.optimizer.register_step_pre_hook(self.note)
        generator = torch.Generator().manual_seed(1)
        data = torch.utils.data.TensorDataset(X, Y)
        self.loader = torch.utils.data.DataLoader(
            data, batch_size=4, shuffle=True, generator=generator
        )

    def note(self, optimizer, *_):
        group = optimizer.param_groups[0]
        self.seen.append((group["lr"], group["momentum"]))

    def test(self, find=adapter.range_test, **options):
        options = {"progress": False} | options
        if find is adapter.range_test:
            options = {"sweep": SWEEP} | options
        return find(self.engine, self.loader, self.model, self.optimizer, **options)

    def state(self):
        """All that a range test must leave as it was."""
        states = [self.model.state_dict(), self.optimizer.state_dict(), self.engine.state_dict()]
        generators = [torch.get_rng_state().tolist(), self.loader.generator.get_state().tolist()]
        hooks = [dict(self.optimizer._optimizer_step_pre_hooks)]
        hooks += [dict(self.optimizer._optimizer_step_post_hooks)]
        held = dict(vars(self.engine)), str(self.engine._event_handlers)
        return (
            str(states),
            generators,
            hooks,
            held,
            self.scheduler.state_dict(),
            self.model.training,
        )

    def saved(self):
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "engine": self.engine,
            "scheduler": self.scheduler,
        }


def expected(start, stop, policy=POLICY):
    momenta = policy.opposed(0.8, 0.9)
    return [(policy(step), momenta(step)) for step in range(start, stop)]


@pytest.mark.parametrize(("accumulation", "updates"), [(1, 32), (3, 10)])
def test_every_update_uses_the_policys_rate_and_momentum(accumulation, updates):
    run = Run(accumulation)
    run.engine.run(run.loader, max_epochs=2)
    assert run.seen == expected(0, updates)


def test_updates_that_a_scaler_skips_are_not_counted():
    run = Run()
    skipped = [2, 5, 6]

    def update(engine, batch):
        run.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(run.model(batch[0]), batch[1])
        loss.backward()
        if engine.state.iteration not in skipped:
            run.optimizer.step()
        return loss.item()

    engine = Engine(update)
    adapter.policy_lr(engine, run.optimizer, POLICY, momentum=(0.8, 0.9))
    engine.run(run.loader, max_epochs=1)
    assert run.seen == expected(0, 13)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_run_that_was_killed_in_mid_cycle_goes_on_with_the_next_rate(tmp_path, accumulation):
    program = """
        import sys
        import test_ignite as t
        run = t.Run(int(sys.argv[2]))
        saving = t.Checkpoint(run.saved(), sys.argv[1])
        often = t.Events.ITERATION_COMPLETED(every=21)
        run.engine.add_event_handler(often, saving)
        late = t.Events.ITERATION_STARTED(once=25)
        run.engine.add_event_handler(late, t.processes.kill)
        run.engine.run(run.loader, max_epochs=2)
    """
    processes.run_killed(program, tmp_path, accumulation)
    (file,) = tmp_path.iterdir()
    run = Run(accumulation)
    Checkpoint.load_objects(run.saved(), torch.load(file, weights_only=True))
    run.engine.run(run.loader, max_epochs=3)
    done = 21 // accumulation
    assert run.seen[:5] == expected(done, done + 5)


def test_the_plain_step_as_a_handler_is_refused_with_advice():
    run = Run()
    scheduler = PolicyLR(run.optimizer, POLICY)
    run.engine.add_event_handler(Events.ITERATION_COMPLETED, scheduler.step)
    with pytest.raises(TypeError, match=r"epoch must be None .* lambda _: scheduler\.step\(\)"):
        run.engine.run(run.loader, max_epochs=1)


def test_ignites_own_handler_of_schedulers_takes_a_policy():
    run = Run()
    other = PolicyLR(run.optimizer, POLICY, momentum=(0.8, 0.9))
    engine = Engine(run.engine._process_function)
    engine.add_event_handler(Events.ITERATION_STARTED, LRScheduler(other))
    engine.run(run.loader, max_epochs=1)
    assert run.seen == expected(0, 16)


# The ends of cycles.


class Judged(Run):
    """A run whose cycles, of 10 updates, are judged by metrics of ours."""

    def __init__(self, metrics=(0.5,) * 99, save=None, accumulation=1):
        super().__init__(accumulation)
        self.monitor, self.metrics = clrcore.CycleMonitor(POLICY, factor=0.5), metrics
        self.cycles = adapter.CycleEnds(
            self.scheduler, self.monitor, evaluate=self.evaluate, save=save
        )
        self.cycles.attach(self.engine)

    def evaluate(self):
        return self.metrics[len(self.cycles.ends)]

    def saved(self):
        return super().saved() | {"cycles": self.cycles}


def lowered(updates):
    """The rates of a run whose metric never improves: halved after the third cycle."""
    return [(POLICY if step < 30 else POLICY.lowered(0.5))(step) for step in range(updates)]


@pytest.mark.parametrize("accumulation", [1, 3])
def test_cycles_are_judged_lowered_and_stopped_where_they_end(accumulation):
    saves = []
    metrics = [0.5, 0.6, 0.6, 0.6, float("nan")]
    run = Judged(metrics, lambda engine: saves.append(len(run.seen)), accumulation)
    run.engine.run(run.loader, max_epochs=30)
    ends = run.cycles.ends
    assert [end["updates"] for end in ends] == saves == [10, 20, 30, 40, 50]
    assert [end["action"] for end in ends] == ["continue"] * 2 + ["lower", "continue", "stop"]
    assert [rate for rate, _ in run.seen] == lowered(50)


def test_ends_are_noted_and_saved_without_a_monitor():
    run, saves = Run(), []
    cycles = adapter.CycleEnds(run.scheduler, save=saves.append)
    cycles.attach(run.engine)
    run.engine.run(run.loader, max_epochs=2)
    assert cycles.ends == [{"cycle": i, "updates": 10 * i + 10} for i in range(3)]
    assert saves == [run.engine] * 3
    run.engine.run(run.loader, max_epochs=4)  # goes on
    assert [end["updates"] for end in cycles.ends] == [10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize(("save", "kill"), [(35, 37), (30, 31), (27, 29)])
def test_a_run_that_was_killed_judges_and_lowers_as_without_the_kill(tmp_path, save, kill):
    """At update 30, the checkpoint is from before the judgement of the cycle that ends there."""
    program = """
        import sys
        import test_ignite as t
        run = t.Judged()
        saving = t.Checkpoint(run.saved(), sys.argv[1])
        once = t.Events.ITERATION_COMPLETED(once=int(sys.argv[2]))
        run.engine.add_event_handler(once, saving)
        handlers = run.engine._event_handlers[t.Events.ITERATION_COMPLETED]
        handlers.insert(-1, handlers.pop())  # before the judgement
        late = t.Events.ITERATION_STARTED(once=int(sys.argv[3]))
        run.engine.add_event_handler(late, t.processes.kill)
        run.engine.run(run.loader, max_epochs=3)
    """
    processes.run_killed(program, tmp_path, save, kill)
    (file,) = tmp_path.iterdir()
    run = Judged()
    Checkpoint.load_objects(run.saved(), torch.load(file, weights_only=True))
    assert len(run.cycles.ends) == (3 if save > 30 else 2)
    run.engine.run(run.loader, max_epochs=3)
    assert [end["updates"] for end in run.cycles.ends] == [10, 20, 30, 40]
    assert [rate for rate, _ in run.seen[:5]] == lowered(save + 5)[save:]


def test_a_state_with_other_lowerings_than_the_scheduler_has_is_refused():
    run = Judged()
    fresh = run.cycles.state_dict()
    run.engine.run(run.loader, max_epochs=2)
    before, rates = run.cycles.state_dict(), run.scheduler.get_last_lr()
    assert before["factors"] == [0.5]
    with pytest.raises(ValueError, match=r"begins with \[0\.5\].*make a new scheduler"):
        run.cycles.load_state_dict(fresh)
    assert (run.cycles.state_dict(), run.scheduler.get_last_lr()) == (before, rates)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"scheduler": 1}, TypeError, "scheduler must be a PolicyLR .*; use policy_lr"),
        ({"monitor": 1}, TypeError, "monitor must be a clrcore.CycleMonitor or None"),
        ({"evaluate": 1}, TypeError, "evaluate must be a function without arguments"),
        ({"save": 1}, TypeError, "save must be a function of the engine"),
        ({"evaluate": print}, ValueError, "evaluate must be given with a monitor, and None"),
        ({"monitor": clrcore.CycleMonitor(POLICY)}, ValueError, "evaluate must be given with"),
    ],
)
def test_wrong_arguments_of_cycle_ends_are_refused(change, kind, message):
    with pytest.raises(kind, match=message):
        adapter.CycleEnds(**({"scheduler": Run().scheduler} | change))


# The range test.


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_range_test_leaves_nothing_behind(accumulation):
    run = Run(accumulation)
    run.engine.run(run.loader, max_epochs=1)
    before = run.state()
    curve = run.test()
    assert run.state() == before
    assert curve.lr.tolist() == [SWEEP(step) for step in range(len(curve))]
    assert (len(curve), curve.steps_per_epoch) == (40, 16)


def test_a_range_test_of_pytorch_leaves_the_scheduler_where_it_is():
    run = Run()
    before = run.state()
    loss_fn = nn.functional.cross_entropy
    range_test(run.model, run.optimizer, run.loader, loss_fn, sweep=SWEEP, progress=False)
    assert run.state() == before
    run.seen.clear()
    run.engine.run(run.loader, max_epochs=2)
    assert run.seen == expected(0, 32)


@pytest.mark.parametrize("find", [adapter.range_test, adapter.find_bounds])
def test_a_run_after_a_range_test_is_the_run_without_it(find):
    def weights(test):
        run = Run()
        if test:
            run.test(find, **({"max_updates": 200} if find is adapter.find_bounds else {}))
            run.seen.clear()
        run.engine.run(run.loader, max_epochs=2)
        assert run.seen == expected(0, 32)
        return run.model.state_dict()

    tested, plain = weights(True), weights(False)
    assert all(torch.equal(value, plain[name]) for name, value in tested.items())


def test_the_losses_are_means_over_the_micro_batches():
    run, losses = Run(3), []
    curve = run.test(output_transform=lambda loss: losses.append(loss) or loss)
    means = [sum(losses[:3]) / 3, sum(losses[3:6]) / 3]
    assert curve.loss[:2] == pytest.approx(means, rel=1e-6)


def test_seeds_give_curves_that_repeat():
    first, second = Run().test(seeds=2), Run().test(seeds=2)
    assert [curve.loss.tolist() for curve in first] == [curve.loss.tolist() for curve in second]
    assert first[0].loss.tolist() != first[1].loss.tolist()


def test_find_bounds_leaves_nothing_behind():
    run = Run()
    before = run.state()
    bounds = run.test(adapter.find_bounds, max_updates=200)
    assert run.state() == before
    assert bounds.trials
    assert bounds == run.test(adapter.find_bounds, max_updates=200)


@pytest.mark.parametrize("failure", [ValueError("broken"), KeyboardInterrupt()])
def test_a_range_test_that_fails_leaves_nothing_behind(failure):
    def fail(loss):
        losses.append(loss)
        if len(losses) == 20:
            raise failure
        return loss

    run, losses = Run(), []
    before = run.state()
    with pytest.raises(type(failure)):
        run.test(output_transform=fail)
    assert run.state() == before


def test_data_that_end_early_are_warned_of():
    run = Run()
    batches = iter([(X[:4], Y[:4])] * 7)
    with pytest.warns(UserWarning, match="ended after 7 of 40 updates: data has no"):
        curve = adapter.range_test(
            run.engine, batches, run.model, run.optimizer, sweep=SWEEP, progress=False
        )
    assert len(curve) == 7


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"engine": 1}, TypeError, r"engine must be an ignite\.engine\.Engine"),
        ({"model": 1}, TypeError, r"model must be a torch\.nn\.Module"),
        ({"optimizer": 1}, TypeError, r"optimizer must be a torch\.optim\.Optimizer"),
        ({"preserve": [1]}, TypeError, r"preserve"),
        (
            {"output_transform": lambda loss: None},
            TypeError,
            "output_transform must return one number",
        ),
        ({"sweep": POLICY}, ValueError, "sweep must be a policy with an end"),
        ({"num_iter": 1}, TypeError, "range_test has no argument 'num_iter'"),
    ],
)
def test_wrong_arguments_are_refused_by_name(change, kind, message):
    run = Run()
    arguments = {"engine": run.engine, "model": run.model, "optimizer": run.optimizer}
    with pytest.raises(kind, match=message):
        adapter.range_test(data=run.loader, progress=False, **(arguments | change))


def test_other_engines_are_refused():
    with pytest.raises(TypeError, match=r"engine must be an ignite\.engine\.Engine"):
        adapter.policy_lr("engine", Run().optimizer, POLICY)


def test_engines_have_their_process_function():
    """`_process_function`: the private name that a range test runs."""
    assert Engine(print)._process_function is print


def test_two_processes_use_the_policys_rates_and_record_mean_losses():
    program = """
        import torch
        import test_ignite as t
        with t.idist.Parallel(backend="gloo") as parallel:
            model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 3))
            run = t.Run(model=model)
            sampler = torch.utils.data.DistributedSampler(run.loader.dataset)
            run.loader = torch.utils.data.DataLoader(
                run.loader.dataset, batch_size=4, sampler=sampler
            )
            before = str(model.state_dict())
            curve = run.test()
            assert str(model.state_dict()) == before
            losses = [torch.zeros(len(curve), dtype=float) for _ in range(2)]
            torch.distributed.all_gather(losses, torch.tensor(curve.loss))
            assert torch.equal(*losses) and len(curve) == 40, losses
            run.seen.clear()
            run.engine.run(run.loader, max_epochs=2)
            assert run.seen == t.expected(0, 16), run.seen
        print("right")
    """
    processes.run_two(program)
