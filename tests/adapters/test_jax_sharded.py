"""The range test and the search where batches and states lie in shards on four devices."""

import pytest

import processes

pytest.importorskip("jax")

PROGRAM = """
    import os, sys, warnings
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax, jax.numpy as jnp, numpy as np
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    import clrcore
    from clr_adapters.jax import find_bounds, range_test

    assert jax.device_count() == 4
    mesh = Mesh(np.array(jax.devices()), ("rows",))
    rows, columns, whole = (NamedSharding(mesh, spec) for spec in (P("rows"), P(None, "rows"), P()))
    x = np.random.default_rng(0).normal(size=(10, 32, 8)).astype("float32")
    y = np.repeat(x.sum(2, keepdims=True), 16, axis=2)

    def update(weights, batch, lr):
        def loss_fn(weights):
            return jnp.mean((batch[0] @ weights - batch[1]) ** 2)
        loss, gradient = jax.value_and_grad(loss_fn)(weights)
        return weights - lr * gradient, {"loss": loss}

    sweep = clrcore.exponential_sweep(1e-3, 1.0, 60)
    options = {"sweep": sweep, "progress": False, "stop": False}
    begin = jnp.zeros((8, 16))
    single = range_test(update, begin, list(zip(x, y)), **options)
    batches = [(jax.device_put(a, rows), jax.device_put(b, rows)) for a, b in zip(x, y)]
    for sharding in (whole, columns):
        weights = jax.device_put(begin, sharding)
        curve = range_test(update, weights, batches, **options)
        np.testing.assert_allclose(curve.loss, single.loss, rtol=1e-3)  # sums in another order
        assert curve.lr.tolist() == single.lr.tolist()
        assert weights.sharding == sharding and not weights.is_deleted()
        np.testing.assert_array_equal(np.asarray(weights), 0.0)
        found = find_bounds(update, weights, batches, sweep=sweep, max_updates=200, progress=False)
        assert found.trials and 0.01 < found.lr < 10.0, found
        assert not weights.is_deleted()

    def failing():
        yield from batches[:7]
        raise RuntimeError("on purpose")

    try:
        range_test(update, weights, failing(), **options)
    except RuntimeError as error:
        assert str(error) == "on purpose"
    else:
        raise AssertionError("no error")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        short = range_test(update, weights, iter(batches[:7]), **options)
    assert len(short) == 7 and "7 of 60 updates" in str(caught[0].message), caught
    print("right")
"""


def test_shards_on_four_devices_give_the_curve_of_a_single_device():
    ended = processes.run(PROGRAM)
    assert ended.stdout.endswith("right\n"), ended.stdout + ended.stderr
