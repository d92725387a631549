"""skorch, with its real nets: rates of every update, resume, range test."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
skorch = pytest.importorskip("skorch")

from sklearn.base import clone  # noqa: E402
from skorch import NeuralNetClassifier  # noqa: E402
from skorch.callbacks import Callback, Checkpoint, GradientNormClipping, LoadInitState  # noqa: E402
from torch import nn  # noqa: E402

import clrcore  # noqa: E402
import processes  # noqa: E402
from clr_adapters import skorch as adapter  # noqa: E402

# skorch warns of its own use of scikit-learn and PyTorch.
pytestmark = pytest.mark.filterwarnings("ignore")

POLICY = clrcore.triangular(0.01, 0.1, 5)
SWEEP = clrcore.exponential_sweep(1e-4, 1.0, 40)
X = torch.randn(64, 4, generator=torch.Generator().manual_seed(0)).numpy()
Y = (X.sum(1) > 0).astype(np.int64)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.1), nn.Linear(8, 3))

    def forward(self, x):
        return self.net(x)


class Accumulating(NeuralNetClassifier):
    """An update after every third batch, as in skorch's documentation."""

    def train_step(self, batch, **options):
        step = self.train_step_single(batch, **options)
        if len(self.history[-1, "batches"]) % 3 == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


class Seen(Callback):
    """Notes rate and momentum just before each update."""

    def initialize(self):
        self.rates_, self.hook_ = [], None
        return self

    def on_epoch_begin(self, net, **_):
        if self.hook_ is None:
            self.hook_ = net.optimizer_.register_step_pre_hook(self.note)

    def note(self, optimizer, *_):
        group = optimizer.param_groups[0]
        self.rates_.append((group["lr"], group.get("momentum")))


class Forbidden(Callback):
    """A callback that must not be called in a range test."""

    def on_batch_begin(self, *_, **others):
        raise AssertionError("called")

    on_train_end = on_epoch_begin = on_batch_begin


def make(*callbacks, kind=NeuralNetClassifier, policy=POLICY, **options):
    """A net of 13 batches in an epoch: a fifth of 64 examples is held out."""
    torch.manual_seed(0)
    schedule = adapter.PolicySchedule(policy, momentum=(0.8, 0.9))
    defaults = {
        "criterion": nn.CrossEntropyLoss,
        "optimizer": torch.optim.SGD,
        "batch_size": 4,
        "max_epochs": 2,
        "verbose": 0,
        "iterator_train__shuffle": True,
    }
    return kind(Net, callbacks=[schedule, *callbacks, Seen], **(defaults | options))


def seen(net):
    return dict(net.callbacks_)["Seen"].rates_


def expected(start, stop, policy=POLICY):
    momenta = policy.opposed(0.8, 0.9)
    return [(policy(step), momenta(step)) for step in range(start, stop)]


@pytest.mark.parametrize(
    ("options", "updates"),
    [({}, 26), ({"kind": Accumulating}, 8), ({"train_split": None}, 32)],
)
def test_every_update_uses_the_policys_rate_and_momentum(options, updates):
    net = make(**options)
    net.fit(X, Y)
    assert seen(net) == expected(0, updates)
    net.fit(X, Y)  # a second training starts at the first rate
    assert seen(net) == expected(0, updates)


def test_an_optimizer_that_computes_gradients_several_times_makes_one_update():
    net = make(optimizer=torch.optim.LBFGS, callbacks__PolicySchedule__momentum=None)
    net.fit(X, Y)
    assert [rate for rate, _ in seen(net)] == POLICY.values(0, 26).tolist()


def test_a_partial_fit_goes_on_with_the_next_rate():
    net = make()
    net.fit(X, Y)
    net.partial_fit(X, Y)
    assert seen(net) == expected(0, 52)


def test_the_history_has_rate_and_updates_of_each_batch():
    net = make(kind=Accumulating)
    net.fit(X, Y)
    batches = [batch for epoch in net.history for batch in epoch["batches"] if "lr" in batch]
    assert [batch["updates"] for batch in batches[:7]] == [0, 0, 1, 1, 1, 2, 2]
    assert [batch["lr"] for batch in batches[:7:3]] == POLICY.values(0, 3).tolist()


class Killed(Callback):
    """Kills the process in the middle of the second epoch."""

    def on_batch_begin(self, net, *_, training=False, **others):
        if training and len(net.history) == 2 and len(net.history[-1, "batches"]) == 5:
            processes.kill()


@pytest.mark.parametrize(("kind", "updates"), [("NeuralNetClassifier", 13), ("Accumulating", 4)])
@pytest.mark.parametrize("first", [False, True])
def test_a_run_that_was_killed_in_mid_cycle_goes_on_with_the_next_rate(
    tmp_path, kind, updates, first
):
    program = """
        import sys
        import test_skorch as t
        saving = t.Checkpoint(dirname=sys.argv[1], monitor=None)
        t.make(saving, t.Killed, kind=getattr(t, sys.argv[2])).fit(t.X, t.Y)
    """
    processes.run_killed(program, tmp_path, kind)
    loading = LoadInitState(Checkpoint(dirname=tmp_path))
    net = make(loading, kind=globals()[kind])
    if first:
        net.set_params(callbacks=[loading, *[c for c in net.callbacks if c is not loading]])
    net.fit(X, Y)
    assert seen(net)[:5] == expected(updates, updates + 5)


def test_nets_can_be_cloned_and_pickled():
    net = make()
    net.fit(X, Y)
    copied = copy.deepcopy(net)
    copied.partial_fit(X, Y)
    again = clone(net).fit(X, Y)
    batches = [batch for epoch in copied.history for batch in epoch["batches"]]
    rates = [batch["lr"] for batch in batches if "lr" in batch]
    assert rates == POLICY.values(0, 52).tolist()
    assert seen(again) == expected(0, 26)


# The range test.


def state_of(net):
    """All that a range test must leave as it was."""
    names = ("module_", "optimizer_") if net.initialized_ else ()
    states = [copy.deepcopy(getattr(net, name).state_dict()) for name in names]
    return (
        dict(vars(net)),
        states,
        torch.get_rng_state().tolist(),
    )


def assert_same(before, after):
    assert before[0] == after[0]
    assert before[2:] == after[2:]
    assert str(before[1]) == str(after[1])


@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("kind", [NeuralNetClassifier, Accumulating])
def test_a_range_test_leaves_nothing_behind(kind, fitted):
    net = make(kind=kind)
    if fitted:
        net.fit(X, Y)
        history = copy.deepcopy(net.history)
        net.callbacks_.append(("Forbidden", Forbidden()))
    before = state_of(net)
    curve = adapter.range_test(net, X, Y, sweep=SWEEP, progress=False)
    assert_same(before, state_of(net))
    if fitted:
        assert net.history == history
        assert not net.optimizer_._optimizer_step_pre_hooks.keys() - {
            dict(net.callbacks_)["Seen"].hook_.id
        }
    assert curve.lr.tolist() == [SWEEP(step) for step in range(len(curve))]
    assert (len(curve), curve.steps_per_epoch) == (40, 13)


@pytest.mark.parametrize("tested", [adapter.range_test, adapter.find_bounds])
def test_a_fit_after_a_range_test_is_the_fit_without_it(tested):
    def weights(test):
        net = make(iterator_train__generator=torch.Generator().manual_seed(3))
        if test:
            options = {"max_updates": 200} if tested is adapter.find_bounds else {"sweep": SWEEP}
            tested(net, X, Y, progress=False, **options)
        net.fit(X, Y)
        return net.module_.state_dict(), net.history[:, ("train_loss", "valid_loss")]

    (after, losses), (plain, plain_losses) = weights(True), weights(False)
    assert losses == plain_losses
    assert all(torch.equal(value, plain[name]) for name, value in after.items())


def test_the_losses_are_means_over_the_micro_batches():
    losses = []

    class Noted(Accumulating):
        def get_loss(self, *args, **options):
            loss = super().get_loss(*args, **options)
            losses.append(loss.item())
            return loss

    curve = adapter.range_test(make(kind=Noted), X, Y, sweep=SWEEP, progress=False)
    means = [sum(losses[:3]) / 3, sum(losses[3:6]) / 3]
    assert curve.loss[:2] == pytest.approx(means, rel=1e-6)


def test_gradients_are_clipped_as_in_fit():
    clipped = adapter.range_test(
        make(GradientNormClipping(1e-9)), X, Y, sweep=SWEEP, progress=False
    )
    plain = adapter.range_test(make(), X, Y, sweep=SWEEP, progress=False)
    assert clipped.loss[0] == plain.loss[0]
    assert abs(clipped.loss[-5:].mean() - clipped.loss[:5].mean()) < 0.2
    assert plain.loss[-5:].mean() < plain.loss[:5].mean() - 0.2


def test_held_out_data_are_left_out():
    class Strict(NeuralNetClassifier):
        def validation_step(self, *args, **options):
            raise AssertionError("called")

    curve = adapter.range_test(make(kind=Strict), X, Y, sweep=SWEEP, progress=False)
    assert len(curve) == 40


def test_seeds_give_curves_that_repeat():
    def curves():
        net = make()
        net.initialize()
        return adapter.range_test(net, X, Y, sweep=SWEEP, progress=False, seeds=2)

    first, second = curves(), curves()
    assert [curve.loss.tolist() for curve in first] == [curve.loss.tolist() for curve in second]
    assert first[0].loss.tolist() != first[1].loss.tolist()


def test_find_bounds_leaves_nothing_behind():
    net = make()
    net.initialize()
    before = state_of(net)
    options = {"max_updates": 200, "progress": False}
    bounds = adapter.find_bounds(net, X, Y, **options)
    assert_same(before, state_of(net))
    assert bounds.trials
    assert bounds == adapter.find_bounds(net, X, Y, **options)


@pytest.mark.parametrize("failure", [ValueError("broken"), KeyboardInterrupt()])
def test_a_range_test_that_fails_leaves_nothing_behind(failure):
    class Failing(NeuralNetClassifier):
        def get_loss(self, *args, **options):
            if len(self.history) == 2:
                raise failure
            return super().get_loss(*args, **options)

    net = make(kind=Failing)
    net.initialize()
    before = state_of(net)
    with pytest.raises(type(failure)):
        adapter.range_test(net, X, Y, sweep=SWEEP, progress=False)
    assert_same(before, state_of(net))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"net": 1}, TypeError, r"net must be a skorch\.NeuralNet"),
        ({"stop": 1}, TypeError, "stop must be True or False"),
        ({"sweep": POLICY}, ValueError, "sweep must be a policy with an end"),
        ({"num_iter": 1}, TypeError, "range_test has no argument 'num_iter'"),
    ],
)
def test_wrong_arguments_are_refused_by_name(change, kind, message):
    arguments = {"net": make(), "progress": False} | change
    with pytest.raises(kind, match=message):
        adapter.range_test(arguments.pop("net"), X, Y, **arguments)


def test_wrong_policies_are_refused_when_the_training_starts():
    with pytest.raises(TypeError, match="policy must be"):
        make(policy=0.1).fit(X, Y)
