"""The examples on CIFAR, end to end, on tiny files of the same format."""

import csv
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import clrcore
from cifar_files import write
from clr_adapters.torch import PolicyLR
from paper_rates import assert_rates

# The examples are scripts: they find their modules beside them.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import cifar10
import snapshots
from cifar.caffe import CaffeNet, WithinChannelLRN, parameter_groups, sgd
from cifar.data import Part, load
from cifar.images import Batches, Images, Pixels, augmented, probabilities, standardised
from cifar.networks import Block, DenseNet, ResNet
from cifar.plans import GAMMA, PLANS, SEEDS
from cifar.task import Loaded
from paper import bounds, files, report
from paper.errors import DataError, RunError
from paper.plans import Arm
from paper.sgd import CaffeSGD
from paper.training import Cadence, Job, draw, train

sys.path.pop(0)

EXAMPLES = Path(cifar10.__file__).parent
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("cifar"))


@pytest.fixture(scope="module")
def data(folder):
    return load(folder)


@pytest.fixture(autouse=True)
def one_thread():
    threads, tf32 = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = tf32  # the commands set it


def small(data, rows=60):
    """The same images, a few of them."""
    return data._replace(train=data.train.rows(0, rows), test=data.test.rows(0, 20))


class Tiny(nn.Module):
    """A network that the plans' rates suit and that takes no time."""

    def __init__(self, classes):
        super().__init__()
        self.fc = nn.Linear(48, classes)

    def forward(self, x):
        return self.fc(nn.functional.avg_pool2d(x, 8).flatten(1) / 16)


TINY = dataclasses.replace(
    PLANS["caffe"],
    network=Tiny,
    optimizers={
        "sgd": lambda net: CaffeSGD(net.parameters(), lr=1.0),
        "adam": lambda net: torch.optim.Adam(net.parameters(), lr=1.0),
    },
    batch=20,
)


def rows(path):
    """The log but for the time, which no two runs share."""
    return [row[:-1] for row in files.read_log(path)]


# The policies.

CONSTANTS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008)
# Numbers of updates, and the rates of updates, as the paper states them or as follows from it.
CAFFE = {
    "fixed": (
        70_000,
        {0: 0.001, 59_999: 0.001, 60_000: 1e-4, 64_999: 1e-4, 65_000: 1e-5, 69_999: 1e-5},
    ),
    "fixed-25k": (25_000, {21_428: 0.001, 21_429: 1e-4, 23_213: 1e-4, 23_214: 1e-5}),
    "staged": (
        25_000,
        {
            **{0: 0.001, 2000: 0.005, 6000: 0.003, 10_000: 0.002, 14_000: 0.0015},
            **{4000: 0.001, 15_999: 0.00100025, 16_000: 0.0001},
            **{17_000: 0.0005, 19_000: 0.0003, 21_000: 0.0002},
            **{21_999: 0.0001001, 22_000: 0.00001},
            **{22_500: 0.00005, 23_500: 0.00003, 24_500: 0.00002, 24_999: 0.00001002},
        },
    ),
    "triangular": (24_000, {0: 0.001, 2000: 0.006, 3000: 0.0035, 4000: 0.001, 22_000: 0.006}),
    "decay": (25_000, {0: 0.007, 2000: 0.004, 4000: 0.001, 24_999: 0.001}),
    "exp": (70_000, {0: 0.001, 42_000: 0.001 * 0.99994**42_000}),
    "exp-range-bounds": (
        70_000,
        {0: 0.001, 2000: 0.006 * 0.99994**2000, 40_000: 0.001 * 0.99994**40_000},
    ),
    "exp-range-amplitude": (
        70_000,
        {0: 0.001, 2000: 0.001 + 0.005 * 0.99994**2000, 40_000: 0.001},
    ),
    "linear": (25_000, {0: 0.006, 12_500: 0.003, 24_999: 0.006 / 25_000}),
    # PyTorch's OneCycleLR: 7500 updates up from 1/25, then down; phases end an update earlier.
    "one-cycle": (25_000, {0: 0.00024, 7499: 0.006, 24_999: 0.00024 / 1e4}),
    "wsd": (25_000, {0: 0.006 / 1250, 624: 0.003, 1249: 0.006, 20_000: 0.006, 22_500: 0.003}),
    **{f"constant-{lr:g}": (25_000, {0: lr, 24_999: lr}) for lr in CONSTANTS},
    "adam-fixed": (70_000, {0: 0.0005, 59_999: 0.0005, 60_000: 5e-5, 65_000: 5e-6}),
    "adam-triangular": (24_000, {0: 0.0005, 2000: 0.002, 4000: 0.0005}),
}
SUPER = {
    "one-cycle": (10_000, {0: 0.1, 100: 0.158, 2500: 1.55, 5000: 3.0, 9900: 0.158}),
    "fixed": (80_000, {0: 0.35, 49_999: 0.35, 50_000: 0.035, 70_000: 0.0035}),
    "fixed-10k": (10_000, {6249: 0.35, 6250: 0.035, 8749: 0.035, 8750: 0.0035}),
    "linear": (10_000, {0: 3.0, 5000: 1.5}),
    "wsd": (10_000, {499: 3.0, 8000: 3.0, 9000: 1.5}),
}


@pytest.mark.parametrize(("plan", "table"), [("caffe", CAFFE), ("super", SUPER)])
def test_the_arms_have_the_rates_that_the_paper_states(plan, table):
    assert_rates(PLANS[plan].arms(500, 1.0), table)


def test_the_paper_s_decay_of_exp_range_is_met_at_its_best_step():
    assert GAMMA**42_000 == pytest.approx(0.08045, rel=1e-3)
    arms = {arm.name: arm for arm in PLANS["caffe"].arms(500, 1.0)}
    assert (
        arms["exp-range-bounds"].evaluations == arms["exp-range-amplitude"].evaluations == (42_000,)
    )


def test_exp_range_alone_ends_at_a_peak_and_is_looked_at_before(tmp_path):
    def ends(arm):
        return arm.policy.cycle_ends(arm.total_steps)

    arms = {arm.name: arm for arm in PLANS["caffe"].arms(500, 1.0)}
    elsewhere = {
        name for name, arm in arms.items() if ends(arm)[-1:] not in ([], [arm.total_steps])
    }
    assert elsewhere == {"exp-range-bounds", "exp-range-amplitude"}
    for name in elsewhere:
        arm = arms[name]
        assert ends(arm)[-1] == 68_000
        assert max(end for end in ends(arm) if end <= 42_000) == 40_000
        for peak in (42_000, 70_000):  # higher than a while before and after
            assert arm.policy(peak) > max(arm.policy(peak - 100), arm.policy(peak + 100))
        cadence = Cadence(evaluate=9999)
        evaluations = Job(tmp_path, PLANS["caffe"], arm, 0, cadence).evaluations
        assert {40_000, 42_000, 68_000, 70_000} <= evaluations


def test_the_stages_of_table_2_end_where_their_cycles_do():
    arms = {arm.name: arm for arm in PLANS["caffe"].arms(500, 1.0)}
    ends = arms["staged"].policy.cycle_ends(25_000)
    assert ends == [
        *range(4000, 16_001, 4000),
        *range(18_000, 22_001, 2000),
        23_000,
        24_000,
        25_000,
    ]


@pytest.mark.parametrize(
    ("plan", "epochs", "batch", "top"),
    [
        ("resnet", 164, 128, 0.3),
        ("stochastic-depth", 500, 128, 0.3),
        ("densenet", 300, 64, 0.2),
    ],
)
def test_table_4_cycles_follow_the_drops_of_the_fixed_rates(plan, epochs, batch, top):
    per_epoch = 50_000 // batch
    arms = {arm.name: arm for arm in PLANS[plan].arms(per_epoch, 1.0)}
    fixed = ["fixed-0.1", "fixed-0.2", "fixed-0.3"]
    assert list(arms) == [*fixed, "clr", "linear", "one-cycle", "wsd"]
    total = arms["clr"].total_steps
    assert total == pytest.approx(epochs * per_epoch, abs=10)  # whole half cycles
    assert {arm.total_steps for arm in arms.values()} == {total}
    size = total // 20  # a cycle is a tenth of the run
    plain = clrcore.triangular(0.1, top, size)
    factor = clrcore.stepwise(1.0, [total // 2, total * 3 // 4])
    steps = np.arange(total)
    # The bounds are those of the paper times the fixed rates' drops, the cycles' count goes on.
    np.testing.assert_allclose(arms["clr"].policy(steps), plain(steps) * factor(steps), rtol=1e-12)
    fixed = arms["fixed-0.3"].policy
    np.testing.assert_allclose(fixed(steps), 0.3 * factor(steps), rtol=1e-12)
    evaluations = {*arms["clr"].evaluations, *arms["clr"].policy.cycle_ends(total)}
    assert sorted(evaluations) == plain.cycle_ends(total)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("scale", [0.001, 0.0123, 0.5])
def test_a_shortened_plan_keeps_its_shape(plan, scale):
    whole, short = plan.arms(390, 1.0), plan.arms(390, scale)
    for arm, shortened in zip(whole, short, strict=True):
        total = shortened.total_steps
        assert shortened.name == arm.name
        # Lengths are rounded: by half a step for every part of a run.
        assert total == pytest.approx(scale * arm.total_steps, abs=12)
        if arm.policy.cycle_ends(arm.total_steps)[-1:] == [arm.total_steps]:
            assert shortened.policy.cycle_ends(total)[-1:] == [total]
        rates = shortened.policy.values(0, total)
        expected = arm.policy.values(0, arm.total_steps)
        assert rates.max() == pytest.approx(expected.max(), rel=0.01)
        # The same rounding: stages of 28 steps in place of 25 are the most.
        assert rates.mean() == pytest.approx(expected.mean(), rel=0.12)


# The networks.


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


def test_the_caffe_network_has_the_shapes_of_its_description():
    net = CaffeNet(10)
    shapes = {name: tuple(parameter.shape) for name, parameter in net.named_parameters()}
    assert shapes == {
        "conv1.weight": (32, 3, 5, 5),
        "conv1.bias": (32,),
        "conv2.weight": (32, 32, 5, 5),
        "conv2.bias": (32,),
        "conv3.weight": (64, 32, 5, 5),
        "conv3.bias": (64,),
        "fc.weight": (10, 1024),
        "fc.bias": (10,),
    }
    assert parameters(net) == 89_578
    seen = []
    for module in (net.largest, net.mean, net.norm):
        module.register_forward_hook(lambda *call: seen.append(tuple(call[2].shape[1:])))
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    half, quarter = (32, 16, 16), (32, 8, 8)
    assert seen == [half, half, quarter, quarter, (64, 4, 4)]


def test_the_caffe_network_begins_with_the_spreads_of_its_description():
    torch.manual_seed(0)
    net = CaffeNet(10)
    for layer, std in ((net.conv1, 1e-4), (net.conv2, 0.01), (net.conv3, 0.01), (net.fc, 0.01)):
        # 2400 numbers and more: a spread is met within 2 % or so, 5 % never missed.
        assert layer.weight.std().item() == pytest.approx(std, rel=0.05)
        assert not layer.bias.any()


def test_normalisation_within_channels_is_that_of_its_formula():
    torch.manual_seed(1)
    x = 40 * torch.randn(2, 3, 6, 5)
    expected = torch.empty_like(x)
    for n, channel, i, j in np.ndindex(*x.shape):
        around = x[n, channel, max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
        scale = 1 + 5e-5 / 9 * float((around.double() ** 2).sum())
        expected[n, channel, i, j] = x[n, channel, i, j] / scale**0.75
    # float32 against float64.
    torch.testing.assert_close(WithinChannelLRN(3, 5e-5, 0.75)(x), expected, rtol=1e-6, atol=1e-6)


def test_rates_and_decays_have_caffe_s_multipliers():
    net = CaffeNet(10)
    optimizer = sgd(net)
    PolicyLR(optimizer, clrcore.constant(0.001), proportional=True)
    found = {
        name: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for name, parameter in net.named_parameters()
        if any(parameter is each for each in group["params"])
    }
    assert found == {
        "conv1.weight": (0.001, 0.004),
        "conv1.bias": (0.002, 0.004),
        "conv2.weight": (0.001, 0.004),
        "conv2.bias": (0.002, 0.004),
        "conv3.weight": (0.001, 0.004),
        "conv3.bias": (0.001, 0.004),
        "fc.weight": (0.001, 1.0),
        "fc.bias": (0.002, 0.0),
    }
    assert sum(len(group["params"]) for group in parameter_groups(net)) == 8


def test_caffe_s_momentum_has_the_rate_inside():
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    optimizer = CaffeSGD([weight], lr=1.0, momentum=0.9, weight_decay=0.5)
    expected, velocity = 2.0, 0.0
    for lr in (0.1, 0.1, 0.01):
        optimizer.param_groups[0]["lr"] = lr
        weight.grad = 3 * weight.detach()
        optimizer.step()
        velocity = 0.9 * velocity + lr * (3 * expected + 0.5 * expected)
        expected -= velocity
        assert weight.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "millions"),  # as the papers state them
    [
        (partial(ResNet, depth=56), 0.85),
        (partial(ResNet, depth=110, last_survival=0.5), 1.7),
        (DenseNet, 1.0),
    ],
)
def test_the_networks_of_table_4_have_the_size_of_their_papers(make, millions):
    net = make(10)
    assert parameters(net) / 1e6 == pytest.approx(millions, rel=0.02)
    assert net.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_statistics_take_five_per_cent_of_a_batch_in_super_convergence():
    torch.manual_seed(0)
    net = PLANS["super"].network(10)
    seen = {}
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda norm, x, _: seen.update({norm: x[0].detach()}))
    net.train()(torch.randn(4, 3, 32, 32))
    assert len(seen) == 55  # the first, and two in each of 27 blocks
    for norm, x in seen.items():
        torch.testing.assert_close(norm.running_mean, 0.05 * x.mean((0, 2, 3)))


def test_survival_falls_to_that_of_the_last_block():
    net = ResNet(10, depth=20, last_survival=0.5)
    survivals = [block.survival for block in net.blocks]
    np.testing.assert_allclose(np.diff(survivals), -0.5 / 9)
    assert survivals[-1] == 0.5


def test_a_block_is_left_out_as_often_as_it_says_and_weighted_in_evaluation():
    torch.manual_seed(0)
    block = Block(4, 4, 1, survival=0.5, momentum=0.1)
    x = torch.rand(2, 4, 8, 8)
    out = sum(torch.equal(block(x), x) for _ in range(200))
    assert 70 < out < 130  # 4 standard deviations of a fair coin
    block.eval()
    torch.testing.assert_close(block(x), torch.relu(x + 0.5 * block.branch(x)))


# The data.


def test_images_and_labels_are_read_in_the_order_of_the_files(folder, data):
    raw = np.fromfile(folder / "data_batch_3.bin", dtype=np.uint8).reshape(-1, 3073)
    assert data.train.images.shape == (1000, 3, 32, 32)
    assert data.train.labels[400:600].tolist() == raw[:, 0].tolist()
    assert np.array_equal(data.train.images[400:600].reshape(200, -1), raw[:, 1:])
    assert (len(data.test.labels), data.classes) == (200, 10)


def test_the_folder_that_the_archive_unpacks_into_is_found(tmp_path):
    write(tmp_path / "cifar-10-batches-bin")
    assert len(load(tmp_path).train.labels) == 1000


def test_cifar_100_is_read_by_its_fine_labels(tmp_path):
    write(tmp_path, classes=100, label_bytes=2, train=["train.bin"], test="test.bin")
    found = load(tmp_path, "cifar100")
    assert (found.classes, len(found.train.labels)) == (100, 200)
    assert found.train.labels.max() > 10


def test_missing_files_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"lacks data_batch_3\.bin of CIFAR-10; unpack the binary"):
        load(tmp_path)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    with pytest.raises(DataError, match=r"of CIFAR-10, and so does .*cifar-10-batches-bin; unpack"):
        load(tmp_path)
    (tmp_path / "data_batch_1").touch()
    with pytest.raises(DataError, match="Python version"):
        load(tmp_path)


@pytest.mark.parametrize("inside", [".", "cifar-100-binary"])
def test_files_of_the_other_data_set_are_pointed_out(tmp_path, inside):
    write(tmp_path / inside, classes=100, label_bytes=2, train=["train.bin"], test="test.bin")
    with pytest.raises(DataError, match="CIFAR-100 is there: pass --dataset cifar100"):
        load(tmp_path)
    with pytest.raises(DataError) as error:
        load(write(tmp_path / "half", train=["data_batch_1.bin"]))
    assert "--dataset" not in str(error.value)


def test_images_with_other_labels_have_another_fingerprint(data):
    shifted = data.train._replace(labels=(data.train.labels + 1) % 10)
    assert shifted.fingerprint() != data.train.fingerprint()
    again = Part(data.train.images.copy(), data.train.labels.copy())
    assert again.fingerprint() == data.train.fingerprint()


@pytest.mark.parametrize("size", [0, 3072, 3073 * 7 + 1])
def test_a_file_cut_short_is_refused(tmp_path, size):
    write(tmp_path)
    whole = (tmp_path / "test_batch.bin").read_bytes()
    (tmp_path / "test_batch.bin").write_bytes(whole[:size])
    with pytest.raises(DataError, match=rf"test_batch\.bin has {size} bytes.*3073.*unpack"):
        load(tmp_path)


def test_a_label_out_of_range_is_refused(tmp_path):
    write(tmp_path)
    path = tmp_path / "data_batch_2.bin"
    damaged = bytearray(path.read_bytes())
    damaged[3073 * 17] = 10
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"data_batch_2\.bin has the label 10 at image 17.*0 to 9"):
        load(tmp_path)


def test_pixels_are_minus_the_mean_image_or_standardised(data):
    kept, _ = Images(data.train, PLANS["caffe"].pixels(data.train), CPU)[:]
    assert float(kept.mean(0).abs().max()) < 1e-3  # of a scale of 255, in float32
    assert float(kept.std()) > 30
    scaled, _ = Images(data.train, standardised(data.train), CPU)[:]
    torch.testing.assert_close(scaled.std((0, 2, 3)), torch.ones(3), rtol=1e-4, atol=0)


def test_every_epoch_has_every_image_once_in_an_order_of_its_own():
    images = np.arange(10, dtype=np.uint8).repeat(3072).reshape(10, 3, 32, 32)
    part = Part(images, np.arange(10))
    plain = Pixels(torch.zeros(()), torch.ones(()))
    batches = Batches(Images(part, plain, CPU), 3, seed=7, augment=False)
    assert len(batches) == 3
    orders = []
    for epoch in range(2):
        labels = torch.cat([batches.at(3 * epoch + i)[1] for i in range(3)]).tolist()
        assert len(set(labels)) == 9
        orders.append(labels)
    assert orders[0] != orders[1]
    assert batches.at(1)[1].tolist() == orders[0][3:6]  # back again, as a resumed run goes
    inputs, labels = batches.at(4)
    assert inputs[:, 0, 0, 0].tolist() == labels.tolist()


@pytest.mark.parametrize("augment", [False, True])
def test_batches_are_those_of_their_seed(data, augment):
    part = small(data).train
    images = Images(part, standardised(part), CPU)

    def drawn(seed):
        inputs, labels = zip(*map(Batches(images, 20, seed, augment).at, range(6)), strict=True)
        return torch.cat(inputs), torch.cat(labels)

    first, again, other = drawn(0), drawn(0), drawn(1)
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, other))


def test_augmented_images_are_shifted_and_mirrored():
    x = torch.arange(1.0, 2 * 3 * 32 * 32 + 1).reshape(2, 3, 32, 32)
    padded = nn.functional.pad(x, (4,) * 4)
    found = set()
    for seed in range(20):
        for i, image in enumerate(augmented(x, np.random.default_rng(seed))):
            places = [
                (down, right, mirrored)
                for down in range(9)
                for right in range(9)
                for mirrored in (False, True)
                for crop in [padded[i, :, down : down + 32, right : right + 32]]
                if torch.equal(image, crop.flip(2) if mirrored else crop)
            ]
            assert len(places) == 1
            found.add(places[0])
    assert len(found) > 25


# A run.


def job(out, plan, policy, total, seed=0, cadence=None, **arm):
    made = Arm("arm", policy, total, **arm)
    return Job(out, plan, made, seed, cadence or Cadence(log=3, evaluate=8, checkpoint=4))


def test_the_log_has_the_rates_of_the_policy_and_looks_at_cycle_ends(data, tmp_path):
    policy = clrcore.triangular(0.001, 0.006, 5)
    run = job(tmp_path, TINY, policy, 23, evaluations=(14,))
    train(run, Loaded.of(small(data), TINY, CPU))
    found = files.read_log(run.log)
    assert [row.lr for row in found] == [policy(row.step - 1) for row in found]
    evaluations = [row.step for row in found if row.test_accuracy is not None]
    assert evaluations == [8, 10, 14, 16, 20, 23]
    assert [row.step for row in found] == sorted({*evaluations, *range(3, 24, 3)})
    assert json.loads((run.folder / "run.json").read_text())["policy"] == policy.to_dict()


def test_a_seed_s_arms_have_the_same_first_weights_and_batches(data, tmp_path):
    loaded = Loaded.of(small(data), TINY, CPU)

    def still(name, optimizer, seed):
        """Trained at a rate of 0: the weights are the first, the losses those of the batches."""
        run = job(tmp_path / name, TINY, clrcore.constant(0.0), 9, seed, optimizer=optimizer)
        weights = train(run, loaded).state_dict()
        return weights["fc.weight"], [row.loss for row in files.read_log(run.log)]

    first, first_losses = still("first", "sgd", 0)
    same, same_losses = still("same", "adam", 0)
    other, other_losses = still("other", "sgd", 1)
    assert torch.equal(first, same)
    assert first_losses == same_losses
    assert not torch.equal(first, other)
    assert not set(first_losses) & set(other_losses)


def test_dropout_differs_between_seeds_updates_and_processes():
    drawn = []
    for place in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        draw(*place)
        first = torch.rand(8)
        draw(*place)
        assert torch.equal(torch.rand(8), first)
        drawn.append(tuple(first.tolist()))
    assert len(set(drawn)) == 4


class Stopped(Exception):
    pass


def stop_after(last):
    def stop(cycle, net):
        if cycle == last:
            raise Stopped

    return stop


RANDOM = dataclasses.replace(
    PLANS["stochastic-depth"], network=partial(ResNet, depth=8, last_survival=0.5), batch=10
)


@pytest.mark.parametrize(
    ("plan", "optimizer"),
    [(TINY, "sgd"), (TINY, "adam"), (RANDOM, "sgd")],
    ids=["tiny-sgd", "tiny-adam", "stochastic-depth"],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(data, tmp_path, plan, optimizer):
    loaded = Loaded.of(small(data), plan, CPU)
    policy = clrcore.triangular(0.001, 0.1, 3)
    cadence = Cadence(log=5, evaluate=8, checkpoint=4)
    whole = job(tmp_path / "whole", plan, policy, 20, cadence=cadence, optimizer=optimizer)
    other = dataclasses.replace(whole, out=tmp_path / "other")
    expected = train(whole, loaded).state_dict()
    # After 6 and 18 updates; the checkpoints are after 4 and 16, and a row was logged after 5.
    for cycle in (0, 2):
        with pytest.raises(Stopped):
            train(other, loaded, stop_after(cycle))
    found = train(other, loaded).state_dict()
    assert rows(other.log) == rows(whole.log)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    before = other.log.read_bytes()
    train(other, loaded)
    assert other.log.read_bytes() == before  # a finished run stays as it is


def test_a_loss_that_is_not_finite_ends_the_run(data, tmp_path):
    run = job(tmp_path, TINY, clrcore.constant(1e38), 20)
    train(run, Loaded.of(small(data), TINY, CPU))
    last = files.read_log(run.log)[-1]
    assert last.step < 20
    assert not math.isfinite(last.loss)
    assert last.test_accuracy is not None
    result = report.Result(run.arm, (tuple(files.read_log(run.log)),))
    assert result.diverged() == 1
    assert "1 of 1 seeds diverged" in report.table([result])[1]


def test_a_seed_that_diverged_keeps_its_last_accuracy_beside_the_others():
    def row(step, accuracy, loss=1.0):
        return files.Row(step, 0.1, loss, accuracy, 0.0)

    arm = Arm("arm", clrcore.constant(0.1), 10)
    good = (row(3, None), row(5, 0.5), row(10, 0.75))
    diverged = (row(3, 0.25, math.nan),)
    result = report.Result(arm, (good, diverged))
    assert result.evaluations() == [5, 10]
    assert [result.accuracy(step) for step in (5, 10, None)] == [[50, 25], [75, 25], [75, 25]]


def test_a_folder_of_another_run_is_refused(data, tmp_path):
    loaded = Loaded.of(small(data), TINY, CPU)
    policy = clrcore.constant(0.01)
    run = job(tmp_path, TINY, policy, 4)
    train(run, loaded)
    log = run.log.read_bytes()
    with pytest.raises(RunError, match=r"total_steps=4, but now it is 8.*another --out") as e:
        train(job(tmp_path, TINY, policy, 8), loaded)
    assert str(e.value).endswith(f"or delete {run.folder}")
    other = Loaded.of(small(data, rows=40), TINY, CPU)
    with pytest.raises(RunError, match="train='60 images"):
        train(run, other)
    assert run.log.read_bytes() == log


def test_damaged_leavings_are_refused(data, tmp_path):
    loaded = Loaded.of(small(data), TINY, CPU)
    run = job(tmp_path, TINY, clrcore.constant(0.01), 4)
    train(run, loaded)
    log = run.log.read_bytes()
    run.log.write_bytes(log[:-5])
    with pytest.raises(RunError, match=r"log\.csv has .* delete .*caffe-arm-seed0 to start"):
        train(run, loaded)
    run.log.write_bytes(log)
    run.checkpoint.write_bytes(b"half")
    with pytest.raises(RunError, match=r"checkpoint\.pt cannot be read.*delete"):
        train(run, loaded)


def test_a_checkpoint_is_the_old_one_where_writing_fails(tmp_path):
    path = tmp_path / "checkpoint.pt"
    files.save(path, {"step": 0})
    os.link(path, tmp_path / "before")
    files.save(path, {"step": 1})
    assert files.load(tmp_path / "before") == {"step": 0}  # replaced, not written over
    with pytest.raises(Exception, match="pickle"):
        files.save(path, {"step": 2, "bad": lambda: None})
    assert files.load(path) == {"step": 1}


def test_too_few_images_for_a_batch_are_refused(data, tmp_path):
    loaded = Loaded.of(small(data), PLANS["super"], CPU)
    with pytest.raises(DataError, match="batches of 1000, but there are only 60"):
        train(job(tmp_path, PLANS["super"], clrcore.constant(0.1), 1), loaded)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_network_trains(data, tmp_path, plan):
    plan = dataclasses.replace(plan, batch=4)
    run = job(tmp_path, plan, clrcore.triangular(*plan.bounds, 1), 2)
    torch.manual_seed(0)
    before = dict(plan.network(10).named_parameters())  # without statistics, which move anyway
    net = train(run, Loaded.of(small(data, rows=8), plan, CPU))
    assert all(torch.isfinite(value).all() for value in net.state_dict().values())
    after = dict(net.named_parameters())
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert len(files.read_log(run.log)) == 1
    groups = files.load(run.checkpoint)["optimizer"]["param_groups"]
    multipliers = [1, 2, 1, 2] if plan.name == "caffe" else [1]
    assert [group["lr"] / groups[0]["lr"] for group in groups] == multipliers


def test_the_range_test_gives_curves_of_held_out_images(data):
    curves = bounds.measure(Loaded.of(data, TINY, CPU), [0, 1], scale=0.5)
    assert [len(curve) for curve in curves] == [180, 180]  # 8 epochs of 45 batches, halved
    assert curves[0].held_out
    assert curves[0].steps_per_epoch == 45
    assert (curves[0].lr[0], curves[0].lr[-1]) == (0.0, 0.02)
    assert curves[0] != curves[1]
    assert "the plan's bounds: 0.001 to 0.006" in bounds.read(TINY, curves)[1]


def test_bounds_are_those_of_the_curves_or_none_with_the_reason():
    lr = np.linspace(0.0, 0.02, 101)
    # Rises at once, is best around 0.008, and fails from 0.014 on.
    accuracy = np.interp(lr, [0, 0.001, 0.008, 0.014, 0.016], [0.1, 0.3, 0.8, 0.75, 0.1])
    curve = clrcore.Curve(lr=lr, loss=1.0 - accuracy, accuracy=accuracy)
    found, text = bounds.read(TINY, [curve])
    assert found == clrcore.suggest_bounds([curve])
    assert text.startswith(str(found))
    flat = clrcore.Curve(lr=lr, loss=np.ones(101), accuracy=np.full(101, 0.1))
    found, text = bounds.read(TINY, [flat])
    assert found is None
    assert text.startswith("The range test gave no bounds: ")


# The commands.


def command(main, *arguments):
    return CliRunner().invoke(main, [str(each) for each in arguments])


def test_all_arms_run_and_are_reported(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "caffe", TINY)
    options = ["--data", folder, "--out", tmp_path, "--scale", 0.001, "--range-test"]
    result = command(cifar10.main, *options, "--seeds", 2)
    assert result.exit_code == 0, result.output
    names = [arm.name for arm in TINY.arms(50, 0.001)]
    table = result.output[result.output.index("arm  ") :].splitlines()[1:]
    # Three arms have a line for 42,000 updates too.
    assert [line.split()[0] for line in table if " (sd " in line] == [
        name for name in names for _ in range(1 + (name.startswith("exp")))
    ]
    note = "not the plan's run: data of 1000 training and 200 test images, lengths times 0.001"
    assert note in result.output
    assert "fixed ends in 80.5 to 82 %: not judged" in result.output
    assert "staged ends at most 0.5 points below fixed: not judged" in result.output
    assert "\nstaged less fixed-25k: " in result.output
    assert "; the best on the test images of 6 of 6\n" in result.output
    for name in ("range-test", *(f"accuracy-{i}" for i in (1, 2, 3, 4)), "rates-1"):
        assert (tmp_path / f"caffe-{name}.png").stat().st_size > 5000
    first = (tmp_path / "caffe-staged-seed1" / "log.csv").read_text().splitlines()[0]
    assert first.startswith("# not the plan's run")
    with (tmp_path / "caffe-range-test-seed1.csv").open() as file:
        assert next(csv.reader(file))[0] == "lr"


def test_a_conflict_with_any_run_s_folder_is_told_before_anything_is_trained(
    folder, tmp_path, monkeypatch
):
    monkeypatch.setitem(PLANS, "caffe", TINY)
    options = ["--data", folder, "--out", tmp_path, "--seeds", 1, "--arm", "staged"]
    assert command(cifar10.main, *options, "--steps", 4).exit_code == 0
    before = sorted(tmp_path.rglob("*"))
    result = command(cifar10.main, *options, "--steps", 5, "--arm", "fixed", "--range-test")
    assert result.exit_code == 1
    assert "caffe-staged-seed0 holds a run with " in result.output
    assert sorted(tmp_path.rglob("*")) == before


def test_pictures_of_two_plans_lie_side_by_side(folder, tmp_path, monkeypatch):
    for name in ("caffe", "super"):
        monkeypatch.setitem(PLANS, name, dataclasses.replace(TINY, name=name))
        options = ["--data", folder, "--out", tmp_path, "--plan", name, "--arm", "fixed"]
        assert command(cifar10.main, *options, "--seeds", 1, "--steps", 2).exit_code == 0
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        f"{plan}-{what}-1.png" for plan in ("caffe", "super") for what in ("accuracy", "rates")
    ]


def test_cifar_100_is_not_judged_by_what_is_claimed_of_cifar_10(tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "caffe", TINY)
    write(tmp_path, classes=100, label_bytes=2, train=["train.bin"], test="test.bin")
    options = ["--dataset", "cifar100", "--seeds", SEEDS, "--arm", "fixed", "--steps", 1]
    result = command(cifar10.main, "--data", tmp_path, "--out", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    reason = "not the plan's run: CIFAR-100 for CIFAR-10, data of 200 training and 200 test images"
    assert f"fixed ends in 80.5 to 82 %: not judged; {reason}" in result.output


def result(name, *ends):
    """A finished arm whose seeds ended with these accuracies, in per cent."""
    logs = (((files.Row(5, 0.1, 1.0, end / 100, 1.0)),) for end in ends)
    return report.Result(Arm(name, clrcore.constant(0.1), 5), tuple(logs))


def test_a_plan_is_judged_by_rules_stated_before():
    plan = PLANS["caffe"]
    held = report.verdict(
        plan,
        [result("fixed", 81, 82, 81, 82, 81.5), result("staged", 81, 81.2, 81, 81.2, 81.1)],
        None,
    )
    assert held == [
        "fixed ends in 80.5 to 82 %: held, the mean of 5 seeds is 81.50",
        "staged ends at most 0.5 points below fixed: held, the mean of 5 seeds is -0.40",
    ]
    missed = report.verdict(plan, [result("fixed", *[80] * 5), result("staged", *[79.4] * 5)], None)
    assert [": did NOT hold" in line for line in missed] == [True, True]
    assert report.verdict(plan, [result("exp", *[80] * 5)], None) == []


def test_fewer_seeds_than_claimed_of_are_not_judged():
    few = [result("fixed", 81, 82, 81, 82), result("staged", 81, 82, 81, 82)]
    assert report.verdict(PLANS["caffe"], few, None) == [
        "fixed ends in 80.5 to 82 %: not judged: 4 of 5 seeds",
        "staged ends at most 0.5 points below fixed: not judged: 4 of 5 seeds",
    ]


def test_staged_is_set_against_the_controls_seed_by_seed():
    plan, staged = PLANS["caffe"], result("staged", 81, 82)
    controls = [result("constant-0.001", 80, 79), result("constant-0.002", 79, 81.5)]
    assert report.contrasts(plan, [staged, *controls, result("fixed-25k", 80, 82.5)]) == [
        "staged less fixed-25k: +0.25 (-0.50 to +1.00)",
        "staged less constant-0.002: +1.25 (+0.50 to +2.00); the best on the test images of 2 of 6",
    ]
    assert report.contrasts(plan, [staged]) == report.contrasts(plan, controls) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--arm", "fixd"], r"'fixd' is no arm of the plan caffe; its arms are fixed, fixed-25k"),
        (["--plan", "vgg"], r"'vgg' is not one of 'caffe', 'super'"),
        (["--scale", 2], "0.001<=x<=1.0"),
        (["--device", "cuda"], "Invalid value for '--device': PyTorch sees no GPU"),
    ],
)
def test_wrong_options_are_refused_in_words(folder, tmp_path, options, message):
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = command(cifar10.main, "--data", folder, "--out", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("main", [cifar10.main, snapshots.main])
def test_data_that_are_not_there_are_told_in_one_line(tmp_path, main):
    result = command(main, "--data", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.output.startswith(f"Error: {tmp_path} lacks data_batch_1.bin")
    assert "Missing option '--data'" in command(main).output


def failing(error, calls):
    """A network that raises the error after so many calls."""

    class Failing(Tiny):
        def forward(self, x):
            made.append(x)
            if len(made) > calls:
                raise error
            return super().forward(x)

    made = []
    return dataclasses.replace(TINY, network=Failing)


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        (3, "starts again: no checkpoint was written"),
        (4, "resumes from the last checkpoint"),
    ],
)
def test_ctrl_c_says_how_to_go_on(folder, tmp_path, monkeypatch, calls, message):
    monkeypatch.setitem(PLANS, "caffe", failing(KeyboardInterrupt, calls))
    options = ["--data", folder, "--out", tmp_path, "--arm", "fixed", "--checkpoint-every", 4]
    result = command(cifar10.main, *options)
    assert result.exit_code == 130
    assert result.output.endswith(f"Interrupted; the same command {message}.\n")


def test_too_little_memory_is_told_in_words(folder, tmp_path, monkeypatch):
    # PyTorch raises it for GPUs only.
    plan = failing(torch.OutOfMemoryError("CUDA out of memory"), 0)
    monkeypatch.setitem(PLANS, "caffe", plan)
    result = command(cifar10.main, "--data", folder, "--out", tmp_path, "--arm", "fixed")
    assert result.exit_code == 1
    assert "smaller --plan, or lower the plan's batch" in result.output


@pytest.mark.parametrize(("name", "tf32"), [("caffe", False), ("resnet", True)])
def test_the_paper_s_network_is_trained_without_tf32(folder, tmp_path, monkeypatch, name, tf32):
    tiny = dataclasses.replace(TINY, name=name, tf32=PLANS[name].tf32)
    monkeypatch.setitem(PLANS, name, tiny)
    torch.backends.cudnn.allow_tf32 = not tf32
    options = ["--plan", name, "--arm", "fixed", "--seeds", 1, "--steps", 1]
    result = command(cifar10.main, "--data", folder, "--out", tmp_path, *options)
    assert result.exit_code == 0, result.output
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_the_plans_can_be_listed_without_data():
    result = command(cifar10.main, "--list", "--plan", "densenet", "--speed", 1000)
    budget = "234,300 updates, 15.00 million images, 4.2 hours, sgd"
    assert result.output.splitlines()[1].split() == ["fixed-0.1", *budget.split()]
    last = "all, one seed 1,640,100 updates, 104.97 million images, 29.2 hours"
    assert result.output.splitlines()[-1].split() == last.split()


def test_find_bounds_reports_its_trials_before_the_training(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "caffe", TINY)
    options = ["--data", folder, "--out", tmp_path, "--arm", "linear", "--steps", 1, "--seeds", 1]
    result = command(cifar10.main, *options, "--find-bounds", 600)
    assert result.exit_code == 0, result.output
    before, after = result.output.split("(by find_bounds; the arms use the plan's rates)\n")
    assert "reasons:" in before
    assert after.startswith(f"Written: {tmp_path / 'caffe-find-bounds.png'}\n[1/1] linear, seed 0")
    assert (tmp_path / "caffe-find-bounds.png").stat().st_size > 5000


def test_find_bounds_without_an_answer_says_why_and_trains(folder, tmp_path, monkeypatch):
    class Constant(Tiny):
        def forward(self, x):
            return super().forward(x) * 0.0

    monkeypatch.setitem(PLANS, "caffe", dataclasses.replace(TINY, network=Constant))
    options = ["--data", folder, "--out", tmp_path, "--arm", "linear", "--steps", 1, "--seeds", 1]
    result = command(cifar10.main, *options, "--find-bounds", 600)
    assert result.exit_code == 0, result.output
    assert "find_bounds gave no bounds: " in result.output
    assert "[1/1] linear, seed 0" in result.output


def test_killed_half_way_and_run_again_is_as_if_nothing_had_been(folder, tmp_path):
    options = ["--data", folder, "--arm", "staged", "--seeds", 1, "--scale", 0.001, "--steps", 12]
    options += ["--log-every", 1, "--evaluate-every", 5, "--checkpoint-every", 4, "--device", "cpu"]
    options = [str(option) for option in options]
    inside = Path("caffe-staged-seed0", "log.csv")
    log = tmp_path / "killed" / inside
    with (tmp_path / "printed").open("w") as printed:
        process = subprocess.Popen(
            [sys.executable, EXAMPLES / "cifar10.py", *options, "--out", tmp_path / "killed"],
            # Sums over another number of threads differ in their last bits.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=printed,
            stderr=printed,
        )
        try:
            while not (log.exists() and len(files.read_log(log)) >= 6):
                assert process.poll() is None, (tmp_path / "printed").read_text()
                time.sleep(0.01)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert 6 <= len(rows(log)) < 12
    for name in ("killed", "whole"):
        result = command(cifar10.main, *options, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
    whole = rows(tmp_path / "whole" / inside)
    assert len(whole) == 12
    assert rows(log) == whole
    found, expected = (
        files.load((tmp_path / name / inside).with_name("checkpoint.pt"))["net"]
        for name in ("killed", "whole")
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)


# Snapshots.


def test_snapshots_are_averaged_as_networks_and_as_answers(folder, data, tmp_path, monkeypatch):
    plan = dataclasses.replace(PLANS["caffe"], batch=20)
    monkeypatch.setitem(PLANS, "caffe", plan)
    options = ["--cycles", 3, "--epochs", 1, "--last", 2, "--out", tmp_path]
    result = command(snapshots.main, "--data", folder, *options)
    assert result.exit_code == 0, result.output
    loaded = Loaded.of(data, plan, CPU)
    place = tmp_path / "caffe-snapshots-triangular-seed0"
    states = [files.load(place / f"snapshot-{cycle}.pt") for cycle in range(3)]
    said = []
    for state in states[1:]:
        net = CaffeNet(10)
        net.load_state_dict(state)
        said.append(probabilities(net, loaded.test))
    net.load_state_dict({name: (states[1][name] + states[2][name]) / 2 for name in states[1]})
    mean = probabilities(net, loaded.test)
    labels = torch.from_numpy(data.test.labels)
    shares = [
        float((each.argmax(1) == labels).double().mean())
        for each in (*said, said[1], said[0] + said[1], mean)
    ]
    lines = result.output.splitlines()
    assert lines[0].startswith(
        "One training of plan caffe's network, triangular: 3 cycles of 50 steps are 150 steps; "
        "snapshots at their ends, the last 2 scored; on "
    )
    assert lines[-5] == "Test accuracy, from the last 2 of 3 cycles:"
    printed = [float(word) for line in lines[-4:] for word in line.split() if "." in word]
    assert printed == [round(100 * share, 2) for share in shares]
    # The classes of the tiny files can be learned, and three cycles learn them.
    assert shares[-2] > 0.9
    last = files.read_log(place / "log.csv")[-1]
    assert last.test_accuracy == shares[1]  # the last snapshot is the end of the run


def test_snapshots_of_a_run_that_was_stopped_are_the_same(data, tmp_path):
    loaded = Loaded.of(small(data), TINY, CPU)
    made = job(tmp_path, TINY, clrcore.triangular(0.001, 0.006, 3), 18)
    kept = {}

    def keep(cycle, net):
        state = {name: value.clone() for name, value in net.state_dict().items()}
        if cycle in kept:
            assert all(torch.equal(state[name], kept[cycle][name]) for name in state)
        kept[cycle] = state
        if len(kept) == 2 and not stopped:
            stopped.append(cycle)
            raise Stopped

    stopped = []
    with pytest.raises(Stopped):
        train(made, loaded, keep)
    train(made, loaded, keep)
    assert list(kept) == [0, 1, 2]


def test_statistics_are_taken_anew_for_averaged_weights(data):
    plan = dataclasses.replace(PLANS["resnet"], network=partial(ResNet, depth=8), batch=20)
    plan = dataclasses.replace(plan, augment=False)
    loaded = Loaded.of(small(data), plan, CPU)
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states.append(plan.network(10).state_dict())
    net = snapshots.averaged_network(plan, loaded, states, seed=0)
    for name, value in net.named_parameters():
        torch.testing.assert_close(value, (states[0][name] + states[1][name]) / 2)
    inputs, _ = loaded.train[:]
    # One pass over all images in equal batches: the mean over batches is the mean over images.
    expected = net.first[0](inputs).mean((0, 2, 3))
    torch.testing.assert_close(net.first[1].running_mean, expected, rtol=1e-4, atol=1e-5)


def test_more_snapshots_than_cycles_are_refused(folder):
    result = command(snapshots.main, "--data", folder, "--cycles", 2, "--last", 3)
    assert result.exit_code == 2
    assert "Invalid value for '--last': must be at most --cycles=2, got 3" in result.output


def test_fewer_cycles_than_the_usual_snapshots_are_all_used(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "caffe", TINY)
    options = ["--cycles", 2, "--epochs", 1, "--out", tmp_path]
    result = command(snapshots.main, "--data", folder, *options)
    assert "from the last 2 of 2 cycles" in result.output


def test_a_loss_that_is_not_finite_at_the_last_update_is_no_snapshot(folder, tmp_path, monkeypatch):
    # The largest rate makes weights that the second and last update cannot bear.
    plan = dataclasses.replace(TINY, batch=500, bounds=(1e38, 1.1e38))
    monkeypatch.setitem(PLANS, "caffe", plan)
    options = ["--cycles", 1, "--epochs", 1, "--out", tmp_path]
    result = command(snapshots.main, "--data", folder, *options)
    assert result.exit_code == 1
    assert "the run diverged after 2 updates, nothing to average" in result.output
