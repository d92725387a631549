"""find_bounds of JAX: range test, suggestion and confirmation in a call."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import clrcore
from clr_adapters.jax import find_bounds

random = np.random.default_rng(0)
IMAGES = random.standard_normal((8, 20, 6)).astype(np.float32)
LABELS = IMAGES.sum(2) + random.standard_normal((8, 20)).astype(np.float32)
BATCHES = list(zip(IMAGES, LABELS, strict=True))


def start(seed=0):
    return {"weights": jax.random.normal(jax.random.key(seed), (6,)), "count": jnp.zeros((), int)}


def update(state, batch, lr):
    def loss_of(weights):
        return ((batch[0] @ weights - batch[1]) ** 2).mean()

    loss, gradient = jax.value_and_grad(loss_of)(state["weights"])
    after = {"weights": state["weights"] - lr * gradient, "count": state["count"] + 1}
    return after, {"loss": loss}


def found(function=update, state=None, batches=BATCHES, **options):
    usual = {"max_updates": 400, "progress": False}
    return find_bounds(function, start() if state is None else state, batches, **usual | options)


def test_a_range_test_is_confirmed_by_trials_from_the_same_state():
    state = start()
    before = jax.tree.map(np.array, state)
    bounds = found(state=state)

    assert bounds.rule == "confirmation"
    assert 0.01 < bounds.lr < 1
    assert len({trial.losses[0] for trial in bounds.trials}) == 1
    assert sum(len(trial.losses) for trial in bounds.trials) <= 300
    assert jax.tree.all(jax.tree.map(lambda x, y: (x == y).all(), before, state))


def test_every_stacked_state_has_a_range_test_and_the_first_the_trials():
    states = jax.vmap(start)(jnp.arange(2))
    bounds = found(state=states, seeds=2)

    alone = found(state=start(0))
    assert bounds.trials[0].losses[0] == pytest.approx(alone.trials[0].losses[0])
    assert {trial.seed for trial in bounds.trials} == {0}


def test_held_out_accuracy_is_measured_in_the_range_test_alone():
    def accuracy(state):
        return (jnp.sign(IMAGES[0] @ state["weights"]) == jnp.sign(LABELS[0])).mean()

    bounds = found(validate=accuracy, validate_every=5)
    assert all(trial.held_out_losses == () for trial in bounds.trials)


def test_the_planned_schedule_is_rehearsed():
    rates = []

    def noted(state, batch, lr):
        jax.debug.callback(lambda lr: rates.append(float(lr)), lr, ordered=True)
        return update(state, batch, lr)

    trials = found(noted, kind="linear", total_steps=5000).trials
    jax.effects_barrier()
    assert len(set(rates[-len(trials[-1].losses) :])) > 10


def test_where_nothing_trains_there_are_no_bounds():
    with pytest.raises(clrcore.NoBoundsError, match="range test gave no answer"):
        found(lambda state, batch, lr: (state, {"loss": 2.0}))


@pytest.mark.parametrize(
    ("kind", "argument", "options"),
    [
        (ValueError, "max_updates", {"max_updates": 30}),
        (ValueError, "default_lr", {"default_lr": 0.0}),
        (ValueError, "kind", {"kind": "cyclic"}),
        (ValueError, "total_steps", {"total_steps": 0}),
        (TypeError, "seeds", {"seeds": [1, 2]}),
        (TypeError, "batches", {"batches": iter(BATCHES)}),
        (TypeError, "progress", {"progress": 1}),
        (TypeError, "epochs", {"epochs": 3}),
    ],
)
def test_wrong_arguments_are_refused(kind, argument, options):
    with pytest.raises(kind) as caught:
        found(**options)
    assert caught.value.argument == argument


def test_progress_names_the_stage(capsys):
    found(progress=True)
    shown = capsys.readouterr().err
    assert "range test: update 75/100" in shown
    assert "trial at lr=" in shown
