"""find_bounds of PyTorch: range test, suggestion and confirmation in a call."""

import functools
import math
import signal

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import clrcore
from clr_adapters.torch import find_bounds, range_test
from torch_training import Broken, assert_same, fingerprint, loader, net, warm


def small():
    torch.manual_seed(4)
    model = nn.Linear(6, 3)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def found(model, optimizer, batches, loss_fn=cross_entropy, **options):
    usual = {"max_updates": 600, "progress": False}
    return find_bounds(model, optimizer, batches, loss_fn, **{**usual, **options})


def counted(optimizer):
    steps = []
    optimizer.register_step_post_hook(lambda *_: steps.append(optimizer.param_groups[0]["lr"]))
    return steps


def test_a_range_test_is_confirmed_by_trials_within_the_budget():
    model, optimizer = small()
    steps = counted(optimizer)
    bounds = found(model, optimizer, loader())
    assert bounds.rule == "confirmation"
    assert 3 <= len(bounds.trials) <= 6
    assert len(steps) <= 600
    # The range test begins like every range test, and each trial has a constant rate.
    sweep = clrcore.exponential_sweep(1e-6, 10.0, 150)
    assert steps[:20] == [sweep(step) for step in range(20)]
    trials = bounds.trials
    assert steps[-len(trials[-1].losses) :] == [trials[-1].lr] * len(trials[-1].losses)


def test_every_trial_starts_from_the_same_weights_and_batches():
    model, optimizer = small()
    bounds = found(model, optimizer, loader(), seeds=2)
    assert len({trial.losses[0] for trial in bounds.trials}) == 1
    assert found(model, optimizer, loader(), seeds=[0, 1]).trials == bounds.trials
    bounds = found(lambda: nn.Linear(6, 3), lambda m: torch.optim.SGD(m.parameters()), loader())
    assert len({trial.losses[0] for trial in bounds.trials}) == 1


def test_held_out_losses_decide_where_they_can_be_measured():
    model, optimizer = small()
    run = functools.partial(found, model, optimizer, loader(), val_loader=loader(shuffle=False))
    for trial in run().trials:
        assert len(trial.held_out_losses) == 1
        assert trial.loss == trial.held_out_losses[0] != trial.losses[-1]
    step = lambda batch: cross_entropy(model(batch[0]), batch[1])  # noqa: E731
    for trial in run(loss_fn=None, train_step=step).trials:
        assert trial.held_out_losses == ()


def dictionaries(model):
    model.forward = lambda x, forward=model.forward: {"logits": forward(x)}
    return model


LOSSES = {
    "regression": (lambda y: y.float()[:, None], nn.functional.mse_loss, lambda model: model),
    "two classes": (
        lambda y: (y > 0).float()[:, None],
        nn.functional.binary_cross_entropy_with_logits,
        lambda model: model,
    ),
    "no class": (lambda y: y + 3, lambda out, y: out.square().mean(), None),
    "dictionary": (
        lambda y: y.float()[:, None],
        lambda out, y: nn.functional.mse_loss(out["logits"], y),
        dictionaries,
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_held_out_losses_need_no_accuracy(name):
    targets, loss_fn, changed = LOSSES[name]
    model, optimizer = small()
    if changed is not None:
        model = changed(nn.Linear(6, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(x, targets(y)) for x, y in loader(shuffle=False)]
    with pytest.raises(ValueError, match="metric must be given"):
        range_test(model, optimizer, batches, loss_fn, val_loader=batches, progress=False)
    trials = found(model, optimizer, batches, loss_fn, val_loader=batches).trials
    whole = [trial for trial in trials if math.isfinite(trial.losses[-1])]
    assert len(whole) >= 3
    assert all(len(trial.held_out_losses) == 1 for trial in whole)


def test_held_out_data_that_nothing_measures_are_refused():
    model = nn.Linear(6, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    batches = [(x, y.float()[:, None]) for x, y in loader()]
    step = lambda batch: nn.functional.mse_loss(model(batch[0]), batch[1])  # noqa: E731
    with pytest.raises(ValueError, match="metric must be given"):
        found(model, optimizer, batches, None, train_step=step, val_loader=batches)


@pytest.mark.parametrize("kind", ["one_cycle", "linear"])
def test_the_planned_schedule_is_rehearsed(kind):
    model, optimizer = small()
    steps = counted(optimizer)
    trials = found(model, optimizer, loader(), kind=kind, total_steps=5000).trials
    assert len(set(steps[-len(trials[-1].losses) :])) > 20


ENDINGS = {"complete": 10**9, "in the range test": 20, "in a trial": 200}


@pytest.mark.parametrize("kind", ENDINGS)
@pytest.mark.parametrize("how", ["exception", "Ctrl-C"])
def test_nothing_is_left(kind, how):
    model = net()
    model, optimizer = warm(model, torch.optim.Adam(model.parameters(), lr=0.01))
    train = loader(generator=torch.Generator().manual_seed(8))
    held = loader(generator=torch.Generator().manual_seed(9))
    calls = []

    def loss_fn(outputs, targets):
        calls.append(1)
        if len(calls) == ENDINGS[kind]:
            if how == "exception":
                raise Broken
            signal.raise_signal(signal.SIGINT)
        return cross_entropy(outputs, targets)

    before = fingerprint(model, optimizer, train, held)
    run = functools.partial(found, model, optimizer, train, loss_fn, val_loader=held)
    if kind == "complete":
        run()
    else:
        with pytest.raises(Broken if how == "exception" else KeyboardInterrupt):
            run()
    assert_same(before, fingerprint(model, optimizer, train, held))


def test_where_nothing_trains_there_are_no_bounds():
    model, optimizer = small()
    with pytest.raises(clrcore.NoBoundsError, match="range test gave no answer") as caught:
        found(model, optimizer, loader(), lambda out, y: 0 * out.sum() + 2.0)
    assert caught.value.kind == "none_trains"


@pytest.mark.parametrize(
    ("kind", "argument", "options"),
    [
        (ValueError, "max_updates", {"max_updates": 30}),
        (TypeError, "max_updates", {"max_updates": 300.5j}),
        (ValueError, "kind", {"kind": "cyclic"}),
        (ValueError, "total_steps", {"total_steps": 0}),
        (ValueError, "seeds", {"seeds": 0}),
        (TypeError, "train_loader", {"batches": iter([])}),
        (TypeError, "preserve", {"preserve": 3}),
        (TypeError, "progress", {"progress": 1}),
        (TypeError, "epochs", {"epochs": 3}),
    ],
)
def test_wrong_arguments_are_refused(kind, argument, options):
    model, optimizer = small()
    with pytest.raises(kind) as caught:
        found(model, optimizer, **{"batches": loader(), **options})
    assert caught.value.argument == argument


@pytest.mark.parametrize("function", [range_test, find_bounds])
@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("acumulate", "did you mean 'accumulate'"),
        ("seed", r"pass a list, such as seeds=\[42\]"),
        ("clip", "pass it as max_grad_norm"),
        ("gradient_accumulation_steps", "pass it as accumulate"),
        ("val_data", "pass its batches as val_loader"),
    ],
)
def test_unknown_arguments_are_refused_with_advice(function, name, advice):
    words = f"{function.__name__} has no argument '{name}'; {advice}"
    with pytest.raises(TypeError, match=words) as caught:
        function(*small(), loader(), cross_entropy, **{name: 2})
    assert caught.value.argument == name


def test_a_range_test_has_no_budget():
    with pytest.raises(TypeError, match="range_test has no argument 'max_updates'; pass the rates"):
        range_test(*small(), loader(), cross_entropy, max_updates=100)


@pytest.mark.parametrize("function", [range_test, find_bounds])
@pytest.mark.parametrize(
    "options",
    [
        {"loss_fn": None},
        {"loss_fn": lambda out, y: cross_entropy(out, y).detach()},
        {"loss_fn": lambda out, y: [loss := cross_entropy(out, y), loss.backward()][0]},
    ],
)
def test_refusals_name_no_other_function(function, options):
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*small(), loader(), progress=False, **options)
    assert caught.value.argument in ("loss_fn", "the loss")
    assert "range_test" not in str(caught.value)


def test_a_bar_shows_all_runs(capfd):
    found(*small(), loader(), progress=True)
    shown = capfd.readouterr().err
    assert "range test" in shown
    assert "trial at lr=" in shown


def test_a_rate_of_zero_and_losses_with_a_graph_are_refused_with_advice():
    model, optimizer = small()
    optimizer.param_groups[0]["lr"] = 0.0
    with pytest.raises(ValueError, match=r"param_groups\[0\]\['lr'\] must be a finite number > 0"):
        found(model, optimizer, loader())
    losses = [cross_entropy(model(inputs), targets) for inputs, targets in loader()]
    with pytest.raises(TypeError, match=r"loss must be .* loss\.item\(\)"):
        clrcore.Curve([0.1 * (i + 1) for i in range(len(losses))], losses)
