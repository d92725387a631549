"""range_test in a job of real processes (gloo): all agree, and none waits for ever."""

import ast
import datetime
import functools
import os
import pickle
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import distributed, nn
from torch.distributed import fsdp
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler

import clrcore
from clr_adapters.torch import find_bounds
from torch_training import Broken, assert_same, dataset, fingerprint, swept

PATIENCE = 300  # seconds until a job counts as hanging, also on a busy machine


def model_and_data(rank, size):
    """The same weights on every rank, and its own share of the data."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sampler = DistributedSampler(dataset(), size, rank)
    return model, optimizer, DataLoader(dataset(), batch_size=8, sampler=sampler)


def plain(rank, size):
    model, optimizer, data = model_and_data(rank, size)
    before = fingerprint(model, optimizer)
    curve = swept(model, optimizer, data, block_size=7, progress=True)
    assert_same(before, fingerprint(model, optimizer))
    return curve


def seeded(rank, size):
    model, optimizer, data = model_and_data(rank, size)
    return swept(model, optimizer, data, seeds=2)


def averaged_gradients(rank, size):
    model, optimizer, data = model_and_data(rank, size)
    return swept(DistributedDataParallel(model), optimizer, data, accumulate=2)


def sharded(rank, size):
    """By FSDP2: every parameter lies in shards on all ranks."""
    from torch.distributed.fsdp import fully_shard

    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    mesh = init_device_mesh("cpu", (size,))
    for module in (model[0], model[2], model):
        fully_shard(module, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    data = model_and_data(rank, size)[2]
    before = [parameter.to_local().clone() for parameter in model.parameters()]
    curve = swept(model, optimizer, data, accumulate=2, max_grad_norm=1.0)
    pairs = zip(before, model.parameters(), strict=True)
    same = all(torch.equal(old, parameter.to_local()) for old, parameter in pairs)
    return curve, same, len(optimizer.state)


def one_diverges(rank, size):
    _, _, data = model_and_data(rank, size)
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    updates = []
    optimizer.register_step_post_hook(lambda *_: updates.append(1))
    factor = 1e4 if rank == size - 1 else 1.0
    sweep = clrcore.exponential_sweep(1e-4, 1.0, 60)
    curve = swept(model, optimizer, [(x * factor, y) for x, y in data], sweep=sweep, block_size=5)
    return curve, len(updates)


def one_is_nan(rank, size):
    model, optimizer, data = model_and_data(rank, size)
    calls = []

    def loss_fn(outputs, targets):
        calls.append(1)
        bad = rank == 1 and len(calls) == 12
        return cross_entropy(outputs, targets) * (float("nan") if bad else 1.0)

    return swept(model, optimizer, data, loss_fn=loss_fn, block_size=5), len(calls)


def failing(calls, rank, how):
    def loss_fn(outputs, targets):
        calls.append(1)
        if rank == 1 and len(calls) == 12:
            how()
        return cross_entropy(outputs, targets)

    return loss_fn


def breaks():
    raise Broken("on purpose")


def one_raises(rank, size, how=breaks, wrap=lambda model: model):
    model, optimizer, data = model_and_data(rank, size)
    before = fingerprint(model, optimizer)
    try:
        swept(wrap(model), optimizer, data, loss_fn=failing([], rank, how), block_size=5)
    finally:
        assert_same(before, fingerprint(model, optimizer))


def one_is_interrupted(rank, size):
    one_raises(rank, size, how=lambda: signal.raise_signal(signal.SIGINT))


def one_raises_where_gradients_are_averaged(rank, size):
    one_raises(rank, size, wrap=DistributedDataParallel)


def one_dies(rank, size):
    one_raises(rank, size, how=lambda: os._exit(7))


# Arguments that differ between ranks.
DIFFERENT = {
    "sweeps_differ": lambda rank, data: {"sweep": clrcore.linear_sweep(0.0, 1.0 + rank, 10)},
    # Of the same ends and length.
    "sweeps_differ_inside": lambda rank, data: {
        "sweep": (clrcore.linear_sweep if rank else clrcore.exponential_sweep)(0.001, 1.0, 10)
    },
    "only_one_holds_out": lambda rank, data: {"val_loader": None if rank else data},
    "only_one_stops": lambda rank, data: {"stop": rank == 0},
    "seeds_differ": lambda rank, data: {"seeds": [min(rank, 1)]},
    "losses_differ_in_kind": lambda rank, data: (
        {"train_step": len, "loss_fn": None} if rank else {}
    ),
    "one_is_given_a_wrong_number": lambda rank, data: {"accumulate": 0 if rank == 1 else 1},
    "one_is_given_a_wrong_sweep": lambda rank, data: {"sweep": 3} if rank == 1 else {},
}


def differing(name, rank, size):
    model, optimizer, data = model_and_data(rank, size)
    return swept(model, optimizer, data, **DIFFERENT[name](rank, data))


def only_one_calls(rank, size):
    if rank:
        time.sleep(20)  # there, but busy with something else
        return "nothing"
    return swept(*model_and_data(rank, size))


def one_runs_out(rank, size, wrap=lambda model: model):
    model, optimizer, data = model_and_data(rank, size)
    batches = list(data) * 5
    source = iter(batches[:13]) if rank == 1 else batches
    with pytest.warns(UserWarning, match="range test") as caught:
        curve = swept(wrap(model), optimizer, source, block_size=5)
    return curve, str(caught[0].message)


def one_runs_out_where_gradients_are_averaged(rank, size):
    return one_runs_out(rank, size, wrap=DistributedDataParallel)


def finds_bounds(rank, size):
    model, optimizer, data = model_and_data(rank, size)
    before = fingerprint(model, optimizer)
    bounds = find_bounds(
        model, optimizer, data, cross_entropy, max_updates=400, val_loader=data, progress=False
    )
    assert_same(before, fingerprint(model, optimizer))
    return bounds


def fails_in_a_trial(rank, size):
    """After the 100 updates of the range test."""
    model, optimizer, data = model_and_data(rank, size)
    calls = []

    def later(outputs, targets):
        calls.append(1)
        if rank == 1 and len(calls) == 120:
            breaks()
        return cross_entropy(outputs, targets)

    find_bounds(model, optimizer, data, later, max_updates=400, progress=False)


def skips_on_one(rank, size):
    _, _, data = model_and_data(rank, size)
    torch.manual_seed(1)
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scale = 2.0**126 if rank == 1 else 1.0
    scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=5)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(1))
    batches = [(1000 * x, y) for x, y in data]
    return swept(model, optimizer, batches, scaler=scaler, stop=False), len(calls)


def work(names, rank, size, folder, timeout):
    """What one process does: one thing after the other, each in a group of its own."""
    torch.set_num_threads(1)
    for name in names:
        distributed.init_process_group(
            "gloo",
            init_method=f"file://{folder}/{name}.store",
            rank=rank,
            world_size=size,
            timeout=datetime.timedelta(seconds=timeout),
        )
        try:
            function = functools.partial(differing, name) if name in DIFFERENT else globals()[name]
            result = function(rank, size)
        except BaseException as error:
            notes = getattr(error, "__notes__", [])
            result = "; ".join([f"{type(error).__name__}: {error}", *notes])
        with open(f"{folder}/{name}.{rank}", "wb") as file:
            pickle.dump(result, file)
        distributed.destroy_process_group()


def job(names, size, folder, timeout=8):
    """By name of the function, the results of all ranks, None for a rank that died; and stderr."""
    program = (
        "import sys, test_torch_distributed as t; "
        f"t.work({names!r}, int(sys.argv[1]), {size}, {str(folder)!r}, {timeout})"
    )
    here = os.path.dirname(__file__)
    path = os.pathsep.join([here, os.path.dirname(here), *sys.path])
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(rank)],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]
    end = time.monotonic() + PATIENCE
    try:
        errors = [one.communicate(timeout=max(0.1, end - time.monotonic()))[1] for one in processes]
    finally:
        for one in processes:
            one.kill()
    results = {}
    for name in names:
        files = [folder / f"{name}.{rank}" for rank in range(size)]
        results[name] = [pickle.loads(f.read_bytes()) if f.exists() else None for f in files]
    return results, errors


HAS_FSDP2 = hasattr(fsdp, "fully_shard")
TOGETHER = ["plain", "seeded", "averaged_gradients", "sharded", "one_diverges", "one_is_nan",
            "one_raises", "one_is_interrupted", "one_runs_out", "finds_bounds", "fails_in_a_trial",
            "skips_on_one", *DIFFERENT]  # fmt: skip


@pytest.fixture(scope="module", params=[2, 3], ids=["two ranks", "three ranks"])
def ran(request, tmp_path_factory):
    """Everything that leaves the processes alive."""
    return job(TOGETHER, request.param, tmp_path_factory.mktemp("job"))


def alone(rank, size):
    """The curve of a rank's data without the others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the job: other numbers of threads round differently
    try:
        return swept(*model_and_data(rank, size))
    finally:
        torch.set_num_threads(threads)


def test_losses_are_means_over_the_ranks(ran):
    curves, errors = ran[0]["plain"], ran[1]
    assert all(curve == curves[0] for curve in curves)
    singles = [alone(rank, len(curves)) for rank in range(len(curves))]
    means = np.mean([curve.loss for curve in singles], axis=0)
    np.testing.assert_allclose(curves[0].loss, means, rtol=1e-12)
    accuracies = np.mean([curve.accuracy for curve in singles], axis=0)
    np.testing.assert_allclose(curves[0].accuracy, accuracies, rtol=1e-12)
    assert "30/30" in errors[0]
    assert not any("30/30" in error for error in errors[1:])  # one bar


def test_seeds_are_everybodys(ran):
    first, *others = ran[0]["seeded"]
    assert all(other == first for other in others)
    assert first[0] != first[1]


def test_averaged_gradients_with_accumulation_agree(ran):
    first, *others = ran[0]["averaged_gradients"]
    assert all(other == first for other in others)
    assert len(first) == 30


@pytest.mark.skipif(not HAS_FSDP2, reason="PyTorch 2.6 brought fully_shard")
def test_shards_are_put_back(ran):
    first, *others = ran[0]["sharded"]
    assert all(other == first for other in others)
    curve, same, states = first
    assert (len(curve), same, states) == (30, True, 0)


def test_all_end_where_one_diverges(ran):
    results = ran[0]["one_diverges"]
    assert all(result == results[0] for result in results)
    curve, updates = results[0]
    assert len(curve) < 60
    assert len(curve) <= updates < len(curve) + 5


def test_all_end_where_one_has_no_number(ran):
    results = ran[0]["one_is_nan"]
    for curve, calls in results:
        assert curve == results[0][0]
        assert np.isnan(curve.loss).tolist() == [False] * 11 + [True]
        assert calls == 15


@pytest.mark.parametrize(
    ("how", "said"),
    [("one_raises", "Broken: on purpose"), ("one_is_interrupted", "KeyboardInterrupt: ")],
)
def test_all_raise_where_one_does(ran, how, said):
    other = f"RuntimeError: the run ended because rank 1 failed: {said}"
    for rank, result in enumerate(ran[0][how]):
        assert result.startswith(said if rank == 1 else other), result


@pytest.mark.parametrize(
    ("how", "name", "values"),
    [
        ("sweeps_differ", "the rate at step 1", [1.0 / 9, 2.0 / 9, 3.0 / 9]),
        ("only_one_holds_out", "whether val_loader is given", [True, False]),
        ("sweeps_differ_inside", "the rate at step 1", [0.001 * 1000 ** (1 / 9), 0.112]),
        ("only_one_stops", "stop", [True, False]),
        ("seeds_differ", "seeds", [[0], [1]]),
        ("losses_differ_in_kind", "whether train_step is given", [False, True]),
    ],
)
def test_all_refuse_what_is_not_the_same_on_all(ran, how, name, values):
    for rank, result in enumerate(ran[0][how]):
        start = f"ArgumentValueError: {name} must be the same on every rank of the job, got "
        assert result.startswith(start), result
        assert result.endswith(f" on rank {rank}")
        got = ast.literal_eval(result.removeprefix(start).removesuffix(f" on rank {rank}"))
        assert got == pytest.approx(values[min(rank, len(values) - 1)])


@pytest.mark.parametrize("how", ["one_is_given_a_wrong_number", "one_is_given_a_wrong_sweep"])
def test_all_end_where_one_refuses_an_argument(ran, how):
    for rank, result in enumerate(ran[0][how]):
        if rank == 1:
            assert re.match("Argument(ValueError: accumulate|TypeError: sweep) must be", result)
        else:
            begin = "RuntimeError: the run ended because rank 1 failed: Argument"
            assert result.startswith(begin)


def test_one_that_is_alone_in_a_job_ends_by_the_groups_timeout(tmp_path):
    start = time.monotonic()
    first, second = job(["only_one_calls"], 2, tmp_path)[0]["only_one_calls"]
    assert "Error" in first
    assert second == "nothing"
    assert time.monotonic() - start < PATIENCE / 2  # the timeout is 8 seconds; PyTorch's 1800


def test_all_end_where_one_has_no_more_batches(ran):
    first, *others = ran[0]["one_runs_out"]
    assert all(other == first for other in others)
    curve, message = first
    assert len(curve) == 13
    assert message.startswith(
        "the range test ended after 13 of 30 updates: on rank 1, train_loader has no further batch"
    )


def test_all_find_the_same_bounds(ran):
    first, *others = ran[0]["finds_bounds"]
    assert all(other == first for other in others)
    assert first.trials
    assert all(trial.held_out_losses for trial in first.trials)


def test_all_end_where_one_fails_in_a_trial(ran):
    for rank, result in enumerate(ran[0]["fails_in_a_trial"]):
        other = "RuntimeError: the run ended because rank 1 failed: Broken: on purpose"
        assert result == ("Broken: on purpose" if rank == 1 else other)


def test_all_repeat_an_update_that_one_skips(ran):
    first, *others = ran[0]["skips_on_one"]
    assert all(other == first for other in others)
    curve, calls = first
    assert len(curve) == 30 < calls


def test_nobody_waits_for_gradients_of_a_rank_that_cannot_go_on(tmp_path):
    raises = "one_raises_where_gradients_are_averaged"
    ends = "one_runs_out_where_gradients_are_averaged"
    start = time.monotonic()
    results, errors = job([raises, ends], 2, tmp_path, timeout=PATIENCE)
    assert time.monotonic() - start < PATIENCE / 2
    first, second = results[raises]
    assert second == "Broken: on purpose", errors
    assert first == "RuntimeError: the run ended because rank 1 failed: Broken: on purpose"
    first, second = results[ends]
    assert first == second
    assert len(first[0]) == 13


def test_nobody_waits_for_a_process_that_died(tmp_path):
    first, second = job(["one_dies"], 2, tmp_path)[0]["one_dies"]
    assert second is None
    assert "another rank of the job has ended or does not answer: " in first


def test_a_job_of_one_process_is_nothing_special(tmp_path):
    distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        curve = alone(0, 1)
    finally:
        distributed.destroy_process_group()
    assert curve == alone(0, 1)
