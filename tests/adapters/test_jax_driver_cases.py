"""The table of driver cases, run against the range test of JAX."""

import jax
import jax.numpy as jnp
import pytest

from clr_adapters.jax import range_test
from driver_cases import CASES, check


class Jax:
    arguments = {"data": "batches", "held_out": "validate"}
    seeds_are_states = True

    def run(self, problem, *, seeds=None, **options):
        def loss_of(weights, inputs, classes):
            scores = jax.nn.log_softmax(inputs @ weights)
            return -scores[jnp.arange(len(classes)), classes].mean()

        def accuracy_of(weights, inputs, classes):
            return (jnp.argmax(inputs @ weights, axis=1) == classes).mean()

        def update(weights, batch, lr):
            loss, gradient = jax.value_and_grad(loss_of)(weights, *batch)
            metrics = {"loss": loss}
            if problem.accuracy:
                metrics["accuracy"] = accuracy_of(weights, *batch)
            return weights - lr * gradient, metrics

        if problem.held_out:
            options["validate"] = lambda weights: accuracy_of(weights, *problem.held_out)
        stacked = (int(seeds),) if type(seeds).__name__ in ("int", "int64") else ()
        start = jnp.zeros((*stacked, 4, 3))
        data = problem.data()
        return range_test(update, start, data, seeds=seeds, progress=False, **options)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_outcome_is_that_of_the_table(case):
    check(case, Jax())
