"""Range tests on the engines that people have; the session `engines` installs them."""

import os
import signal
import sys
from pathlib import Path

import pytest

import clrcore

# Engines warn of their own use of sockets and processes.
pytestmark = pytest.mark.filterwarnings("default")


def curve(seed):
    """A range test of a small quadratic; seed 3 fails."""
    if seed == 3:
        raise ArithmeticError("no such data")
    test = clrcore.RangeTest(clrcore.exponential_sweep(1e-3, 1.0, 20))
    weight = 1.0 + seed
    for lr in test:
        test.record(loss=weight**2)
        weight -= lr * 2 * weight
    return test.curve


def die_once(setting):
    """Kill the worker process at the first try of seed 1."""
    seed, folder = setting
    if seed == 1:
        try:
            (Path(folder) / "tried").mkdir()
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return curve(seed)


def die(seed):
    """Kill every worker process that tries seed 1."""
    if seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return curve(seed)


def check(outcomes):
    """Curves in order, and the error of seed 3, whose setting is named."""
    assert [outcome.loss[0] for outcome in outcomes[:3]] == [1.0, 4.0, 9.0]
    assert "no such data" in str(outcomes[3])
    assert outcomes[3].__notes__ == ["the setting was 3"]
    assert outcomes[4] == curve(4)


@pytest.fixture
def by_path(monkeypatch):
    """Let the processes of an engine import this file."""
    folders = [str(Path(__file__).parent), *filter(None, sys.path)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.fixture
def client(by_path, request):
    """A dask cluster of two processes; the parameter is how many workers a task may kill."""
    dask = pytest.importorskip("dask")
    distributed = pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": getattr(request, "param", 3)}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_loky(by_path):
    loky = pytest.importorskip("loky")
    with loky.ProcessPoolExecutor(2) as executor:
        check(clrcore.range_tests(curve, range(5), executor))


def test_dask(client):
    check(clrcore.range_tests(curve, range(5), client))
    check(clrcore.range_tests(curve, range(5), client.get_executor()))


def test_dask_repeats_the_work_of_a_worker_that_is_killed(client, tmp_path):
    settings = [(seed, str(tmp_path)) for seed in (0, 1, 2)]
    assert clrcore.range_tests(die_once, settings, client) == [curve(0), curve(1), curve(2)]
    assert (tmp_path / "tried").exists()


@pytest.mark.parametrize("client", [0], indirect=True)
def test_dask_gives_up_a_setting_that_kills_every_worker(client):
    distributed = pytest.importorskip("distributed")
    first, killed, last = clrcore.range_tests(die, [0, 1, 2], client)
    assert (first, last) == (curve(0), curve(2))
    assert isinstance(killed, distributed.KilledWorker)
    assert "the setting was 1" in killed.__notes__


def test_submitit_on_this_machine(by_path, tmp_path):
    submitit = pytest.importorskip("submitit")
    executor = submitit.LocalExecutor(folder=tmp_path)
    executor.update_parameters(timeout_min=10)
    check(clrcore.range_tests(curve, range(5), executor))
