"""What a policy costs as an optax schedule inside a scan, and a range test beside a bare scan.

Every row is the median of several runs with the lowest and the highest of them.
"""

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from paired import RUNS, command, ratios, row, seconds

import clrcore
from clr_adapters.jax import range_test

STEPS = 20_000
CYCLE = 400
# "In the class of": a whole update takes 0.2 microseconds here, so a tenth of it is 20 ns.
CLASS_LIMIT = 1.1
GROWTH_LIMIT = 1.05
TEST_LIMIT = 1.05

SHORT, LONG = 100, 4100
ROWS, FEATURES, BATCH = 10_000, 196, 100


def training(schedule: Any) -> Callable[[], object]:
    """STEPS updates of optax.sgd on 4160 parameters, compiled."""
    optimizer = optax.sgd(schedule)
    params = jnp.ones(4160)

    @jax.jit
    def run(params: jax.Array) -> jax.Array:
        def step(carry: Any, _: None) -> tuple[Any, None]:
            params, state = carry
            updates, state = optimizer.update(1e-3 * params, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), None, STEPS)[0][0]

    run(params).block_until_ready()
    return lambda: run(params).block_until_ready()


def joined(cycles: int) -> Any:
    """The same cycles as optax has them: pieces, joined."""
    half = STEPS // cycles // 2
    pieces = [
        optax.linear_schedule(*ends, half) for ends in ((0.001, 0.006), (0.006, 0.001))
    ] * cycles
    return optax.join_schedules(pieces, [half * i for i in range(1, 2 * cycles)])


def restarts(cycles: int) -> Any:
    length = STEPS // cycles
    one = {
        "init_value": 0.001,
        "peak_value": 0.006,
        "decay_steps": length,
        "warmup_steps": length // 2,
    }
    return optax.sgdr_schedule([one] * cycles)


def schedules() -> None:
    cosine = training(optax.cosine_decay_schedule(0.006, STEPS))
    bounds = (0.001, 0.006, CYCLE // 2)
    ours = {
        "triangular": clrcore.triangular(*bounds),
        "triangular2": clrcore.triangular2(*bounds),
        "exp_range": clrcore.exp_range(*bounds, gamma=0.9999, decays="amplitude"),
        "hann": clrcore.triangular(*bounds, window="hann"),
        "one_cycle": clrcore.one_cycle(0.006, STEPS),
    }
    constant = training(0.006)
    row("optax step, cosine, to a constant", ratios(cosine, constant))
    for name, policy in ours.items():
        row(f"optax step, {name}, to cosine", ratios(training(policy), cosine), CLASS_LIMIT)
    cycles = {
        number: training(clrcore.triangular(0.001, 0.006, STEPS // number // 2))
        for number in (5, 50, 500)
    }
    for number in (50, 500):
        found = ratios(cycles[number], cycles[5])
        row(f"optax step, triangular, {number} cycles to 5", found, GROWTH_LIMIT)
    for name, make in (("join_schedules", joined), ("sgdr_schedule", restarts)):
        found = ratios(cycles[50], training(make(50)))
        row(f"optax step, triangular to {name}, 50 cycles", found, 1.0)


def network() -> list[jax.Array]:
    keys = jax.random.split(jax.random.key(0), 3)
    sizes = (FEATURES, 128, 64, 10)
    return [
        jax.random.normal(key, shape) / shape[0] ** 0.5
        for key, *shape in zip(keys, sizes, sizes[1:], strict=False)
    ]


def tests() -> None:
    """One update of a range test: the time of LONG - SHORT updates, so that nothing is compiled."""
    random = np.random.default_rng(0)
    images = random.standard_normal((ROWS, FEATURES)).astype("float32")
    labels = random.integers(0, 10, ROWS)
    on_device = jnp.asarray(images), jnp.asarray(labels)

    def update(params: Any, batch: Any, lr: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        x, y = batch

        def loss_of(params: list[jax.Array]) -> jax.Array:
            *hidden, last = params
            out = x
            for weights in hidden:
                out = jax.nn.relu(out @ weights)
            return optax.softmax_cross_entropy_with_integer_labels(out @ last, y).mean()

        loss, grads = jax.value_and_grad(loss_of)(params)
        return jax.tree.map(lambda w, g: w - lr * g, params, grads), {"loss": loss}

    def gather(params: Any, rows: Any, lr: jax.Array) -> Any:
        return update(params, jax.tree.map(lambda part: part[rows], on_device), lr)

    order = np.arange(ROWS).reshape(-1, BATCH)
    host = [(images[rows], labels[rows]) for rows in order]
    kinds: list[tuple[str, Any, list[Any]]] = [
        ("rows of data on the device", gather, list(order)),
        ("arrays from the host", update, host),
    ]
    for name, function, batches in kinds:
        found = [paired_updates(function, batches) for _ in range(RUNS)]
        row(f"range test to bare scan, {name}", found, TEST_LIMIT)


def paired_updates(update: Any, batches: list[Any]) -> float:
    """A range test's time for an update, as a multiple of that of one scan over all of them."""
    params = network()
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *repeated(batches, LONG))

    @jax.jit
    def bare(params: Any, rates: jax.Array) -> Any:
        def step(params: Any, given: Any) -> Any:
            batch, lr = given
            params, metrics = update(params, batch, lr)
            return params, metrics["loss"]

        count = len(rates)
        some = jax.tree.map(lambda leaf: leaf[:count], stacked)
        return jax.lax.scan(step, params, (some, rates))[1]

    def ours(count: int) -> float:
        sweep = clrcore.exponential_sweep(1e-6, 1e-3, count)
        return seconds(lambda: range_test(update, params, batches, sweep=sweep, progress=False))

    def theirs(count: int) -> float:
        rates = jnp.geomspace(1e-6, 1e-3, count)
        return seconds(lambda: bare(params, rates).block_until_ready())

    for count in (SHORT, LONG):
        theirs(count)
    turns = [(ours(LONG) - ours(SHORT), theirs(LONG) - theirs(SHORT)) for _ in range(5)]
    mine, other = (statistics.median(side) for side in zip(*turns, strict=True))
    return mine / other


def repeated(batches: list[Any], count: int) -> Iterator[Any]:
    return (batches[i % len(batches)] for i in range(count))


def main() -> None:
    schedules()
    tests()


if __name__ == "__main__":
    command(__doc__, main, "jax", "optax")
