"""The example on ImageNet, end to end, on a tiny tree of JPEG files.

Every arm runs with a small network, and the plans' networks make an update. With
CLR_IMAGENET=whole, every arm runs with its own network, in 1 and in 2 processes.
"""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import distributed, nn
from torch.nn.functional import cross_entropy

import clrcore
import with_torchvision  # before any import of torchvision
from imagenet_files import write
from paper_rates import assert_rates

# The examples are scripts: they find their modules beside them.
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import imagenet
from ilsvrc import networks
from ilsvrc.data import Images, Order, Stream, load
from ilsvrc.plans import PLANS, caffe_crop, centre_crop, random_sized_crop
from ilsvrc.task import FromFolders
from paper import files
from paper.errors import DataError
from paper.plans import Arm
from paper.ranks import ALONE, Ranks
from paper.training import Cadence, Job, train

sys.path.pop(0)

CPU = torch.device("cpu")
COMMAND = [with_torchvision.__file__, imagenet.__file__]
PATIENCE = 1800  # seconds until a command counts as hanging, also on a busy machine
takes_minutes = pytest.mark.skipif(
    os.environ.get("CLR_IMAGENET") != "whole", reason="takes minutes: CLR_IMAGENET=whole runs it"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("imagenet"))


@pytest.fixture
def copied(folder, tmp_path):
    """A tree to damage."""
    return Path(shutil.copytree(folder, tmp_path / "tree"))


@pytest.fixture(scope="module")
def tree(folder):
    return load(folder)


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# The policies.

# Numbers of updates, and the rates of updates, as the paper states them or as follows from it.
ALEXNET = {
    "fixed": (
        400_000,
        {0: 0.01, 99_999: 0.01, 100_000: 1e-3, 200_000: 1e-4, 300_000: 1e-5, 399_999: 1e-5},
    ),
    "triangular2": (
        400_000,
        {
            **{0: 0.01, 15_000: 0.0125, 30_000: 0.015, 45_000: 0.0125, 60_000: 0.01},
            **{90_000: 0.0125, 150_000: 0.01125, 210_000: 0.010625, 360_000: 0.01},
            **{390_000: 0.01 + 0.005 / 64, 399_999: 0.01 + 0.005 / 64 * 20_001 / 30_000},
        },
    ),
    "triangular2-staged": (
        360_000,
        {
            **{0: 0.01, 30_000: 0.015, 60_000: 0.01, 90_000: 0.0125, 120_000: 0.001},
            **{150_000: 0.0015, 210_000: 0.00125, 240_000: 1e-4, 270_000: 1.5e-4, 330_000: 1.25e-4},
        },
    ),
    "exp": (460_000, {0: 0.006, 300_000: 0.006 * 0.999995**300_000}),
    "exp-range-bounds": (
        300_000,
        {
            **{0: 0.006, 30_000: 0.014 * 0.999995**30_000, 60_000: 0.006 * 0.999995**60_000},
            **{270_000: 0.014 * 0.999995**270_000},
        },
    ),
    "exp-range-amplitude": (
        300_000,
        {0: 0.006, 30_000: 0.006 + 0.008 * 0.999995**30_000, 60_000: 0.006, 240_000: 0.006},
    ),
    "linear": (400_000, {0: 0.015, 200_000: 0.0075}),
    # PyTorch's OneCycleLR: 30 % of the updates up from 1/25, a phase ends an update earlier.
    "one-cycle": (400_000, {0: 0.0006, 119_999: 0.015, 399_999: 0.0006 / 1e4}),
    "wsd": (400_000, {19_999: 0.015, 320_000: 0.015, 360_000: 0.0075}),
}
GOOGLENET = {
    "fixed": (420_000, {0: 0.01, 179_999: 0.01, 180_000: 1e-3, 299_999: 1e-3, 300_000: 1e-4}),
    "triangular2": (
        420_000,
        {
            **{0: 0.01, 15_000: 0.018, 30_000: 0.026, 60_000: 0.01, 90_000: 0.018},
            **{150_000: 0.014, 210_000: 0.012, 360_000: 0.01, 390_000: 0.01 + 0.016 / 64},
        },
    ),
    "triangular2-staged": (
        420_000,
        {
            **{0: 0.01, 30_000: 0.026, 90_000: 0.018, 150_000: 0.014, 180_000: 0.001},
            **{210_000: 0.0026, 270_000: 0.0018, 300_000: 1e-4, 330_000: 2.6e-4, 390_000: 1.8e-4},
        },
    ),
    "exp": (240_000, {0: 0.01, 239_999: 0.01 * 0.99998**239_999}),
    "exp-range-bounds": (
        240_000,
        {0: 0.01, 30_000: 0.026 * 0.99998**30_000, 60_000: 0.01 * 0.99998**60_000},
    ),
    "exp-range-amplitude": (240_000, {30_000: 0.01 + 0.016 * 0.99998**30_000, 60_000: 0.01}),
    "linear": (420_000, {0: 0.026, 210_000: 0.013}),
    "one-cycle": (420_000, {0: 0.00104, 125_999: 0.026, 419_999: 0.00104 / 1e4}),
    "wsd": (420_000, {20_999: 0.026, 336_000: 0.026, 378_000: 0.013}),
}
RESNET50 = {
    "fixed": (450_360, {0: 0.1, 150_119: 0.1, 150_120: 0.01, 300_240: 0.001}),
    "fixed-20": (100_080, {0: 0.1, 33_360: 0.01, 66_720: 0.001}),
    "smith-one-cycle": (100_080, {0: 0.1, 45_036: 1.0, 90_072: 1e-4, 100_079: 1e-4}),
    "linear": (100_080, {0: 1.0, 50_040: 0.5}),
    "one-cycle": (100_080, {0: 0.04}),
    "wsd": (100_080, {5003: 1.0, 80_064: 1.0, 90_072: 0.5}),
}


@pytest.mark.parametrize(
    ("plan", "table"), [("alexnet", ALEXNET), ("googlenet", GOOGLENET), ("resnet50", RESNET50)]
)
def test_the_arms_have_the_rates_that_the_paper_states(plan, table):
    assert_rates(PLANS[plan].arms(1_281_167 // PLANS[plan].batch, 1.0), table)


def test_exp_is_measured_where_exp_range_ends():
    arms = {arm.name: arm for arm in PLANS["alexnet"].arms(5004, 1.0)}
    assert arms["exp"].evaluations == (300_000,)
    assert arms["exp-range-bounds"].policy.cycle_ends(300_000)[-1] == 300_000
    # The paper's figure.
    assert 0.999995**300_000 == pytest.approx(0.2231, rel=1e-3)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("scale", [1e-5, 0.00123, 0.5])
def test_a_shortened_plan_has_its_arms(plan, scale):
    whole, short = plan.arms(5004, 1.0), plan.arms(5004, scale)
    for arm, shortened in zip(whole, short, strict=True):
        total = shortened.total_steps
        assert shortened.name == arm.name
        assert total == pytest.approx(scale * arm.total_steps, abs=12)
        if arm.policy.cycle_ends(arm.total_steps)[-1:] == [arm.total_steps]:
            assert shortened.policy.cycle_ends(total)[-1:] == [total]
        highest = shortened.policy.values(0, total).max()
        assert highest <= arm.policy.values(0, arm.total_steps).max() * (1 + 1e-12)


# The networks.


def first_rows(part, count):
    return part._replace(paths=part.paths[:count], labels=part.labels[:count])


def test_the_auxiliary_heads_add_their_losses_in_training():
    torch.manual_seed(0)
    net, labels = networks.googlenet(8), torch.tensor([1, 5])
    pixels = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    outputs = net.train()(pixels)
    main, second, first = (cross_entropy(head, labels) for head in outputs)
    torch.testing.assert_close(networks.loss(outputs, labels), main + 0.3 * first + 0.3 * second)
    networks.loss(outputs, labels).backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    plain = net.eval()(pixels)
    assert plain.shape == (2, 8)
    assert torch.equal(networks.loss(plain, labels), cross_entropy(plain, labels))
    dropouts = [module.p for module in net.modules() if isinstance(module, nn.Dropout)]
    assert sorted(dropouts) == [0.4, 0.7, 0.7]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_network_trains(tree, tmp_path, plan):
    plan = dataclasses.replace(plan, batch=4)
    arm = Arm("arm", clrcore.constant(plan.bounds[0]), 1)
    task = FromFolders(
        plan, CPU, ALONE, tree._replace(val=first_rows(tree.val, 4)), 64, "float32", 0
    )
    torch.manual_seed(0)
    before = dict(task.network().named_parameters())
    job = Job(tmp_path, plan, arm, 0, Cadence())
    after = dict(train(job, task).named_parameters())
    assert all(torch.isfinite(parameter).all() for parameter in after.values())
    assert sum(not torch.equal(before[name], after[name]) for name in before) > len(before) / 2
    job.checkpoint.unlink()  # half a gigabyte for AlexNet


@pytest.mark.parametrize(("name", "decay"), [("alexnet", 0.0005), ("googlenet", 0.0002)])
def test_rates_and_decays_have_caffe_s_multipliers(name, decay):
    net = PLANS[name].network(8)
    optimizer = PLANS[name].optimizers["sgd"](net)
    found = {
        id(parameter): (group["lr"], group["weight_decay"], group["momentum"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for parameter_name, parameter in net.named_parameters():
        bias = parameter_name.endswith("bias")
        assert found[id(parameter)] == ((2.0, 0.0, 0.9) if bias else (1.0, decay, 0.9))


def test_inputs_are_pixels_and_colours_are_standardised():
    net = networks.FromPixels(nn.Identity())
    white = net(torch.full((1, 3, 2, 2), 255, dtype=torch.uint8))
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(white[0, :, 0, 0], torch.tensor(expected))


# The data.


def keys(order):
    return list(order)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_epoch_has_every_image_once_in_an_order_of_its_own(size):
    rows = np.arange(100, 111)
    shares = [keys(Order(rows, 4, 7, 0, 4, Ranks(rank, size))) for rank in range(size)]
    assert {len(batch) for share in shares for batch in share} == {4 // size}
    drawn = [sorted(key for share in shares for key in share[step]) for step in range(4)]
    epochs = [{row for batch in drawn[i : i + 2] for row, _ in batch} for i in (0, 2)]
    assert [len(epoch) for epoch in epochs] == [8, 8]
    assert epochs[0] != epochs[1]
    # The number of processes changes neither images nor crops.
    assert drawn == [sorted(batch) for batch in keys(Order(rows, 4, 7, 0, 4, ALONE))]


def test_a_batch_depends_on_seed_and_update_alone():
    rows = np.arange(10)
    whole = keys(Order(rows, 3, 7, 0, 12, ALONE))
    for first in range(12):  # in the middle of an epoch too
        assert keys(Order(rows, 3, 7, first, 12, ALONE)) == whole[first:]
    assert keys(Order(rows, 3, 8, 0, 12, ALONE)) != whole
    crops = [crop for batch in whole for _, crop in batch]
    assert len(set(crops)) == len(crops)


def test_a_crop_depends_on_its_key_alone(tree):
    images = Images(tree.train, caffe_crop(64))
    before = torch.get_rng_state()
    first, label = images[5, 1]
    assert torch.equal(torch.get_rng_state(), before)
    assert (first.shape, first.dtype, label) == ((3, 64, 64), torch.uint8, 0)
    torch.manual_seed(99)
    assert torch.equal(images[5, 1][0], first)
    assert not torch.equal(images[5, 2][0], first)
    order = Order(np.arange(20), 4, 0, 0, 3, ALONE)
    alone, helped = (list(Stream(images, order, workers, CPU)) for workers in (0, 2))
    for (inputs, labels), (others, other_labels) in zip(alone, helped, strict=True):
        assert torch.equal(inputs, others)
        assert torch.equal(labels, other_labels)


@pytest.mark.parametrize("crop", [caffe_crop, random_sized_crop])
def test_crops_are_mirrored_and_moved(crop):
    ramp = np.linspace(0, 255, 200).astype(np.uint8)
    image = Image.fromarray(np.tile(ramp[None, :, None], (150, 1, 3)))
    torch.manual_seed(0)
    edges = [crop(64)(image)[0, 0, [0, -1]].int().tolist() for _ in range(30)]
    assert {left < right for left, right in edges} == {True, False}
    assert len({min(edge) for edge in edges}) > 4
    left, right = centre_crop(64)(image)[0, 0, [0, -1]].int().tolist()
    assert left + right == pytest.approx(255, abs=6)  # the middle, which rounding moves a little


def test_the_tree_is_read_with_its_classes(tree):
    assert tree.classes == [f"class{i}" for i in range(8)]
    assert (len(tree.train.paths), len(tree.val.paths)) == (192, 64)
    assert tree.train.labels.tolist() == sorted(list(range(8)) * 24)


def task_of(tree, plan, ranks=ALONE, precision="float32"):
    return FromFolders(plan, CPU, ranks, tree, 64, precision, 0)


def test_held_out_images_are_not_trained_on(tree):
    plan = dataclasses.replace(PLANS["googlenet"], batch=16)
    seen, held_out = [], []
    for rank in range(2):
        batches = task_of(tree, plan, Ranks(rank, 2)).tuning(3, 30)
        seen += [row for batch in batches.train._loader.batch_sampler for row, _ in batch]
        held_out.append(
            [row for batch in batches.held_out._loader.batch_sampler for row, _ in batch]
        )
        assert batches.steps_per_epoch == (192 - 19) // 16
    assert len(held_out[0]) == len(held_out[1]) == 9  # equal, as processes wait for each other
    assert not set(held_out[0]) & set(held_out[1])
    assert not {*held_out[0], *held_out[1]} & set(seen)


def test_accuracy_counts_the_images_of_all(tree):
    class Known(nn.Module):
        """Knows the classes of even number."""

        def forward(self, pixels):
            return torch.stack([scores[float(image.float().sum())] for image in pixels])

    plan = dataclasses.replace(PLANS["googlenet"], batch=6)
    images = Images(tree.val, centre_crop(64))
    scores = {}
    for row in range(64):
        image, label = images[row, 0]
        right = label if label % 2 == 0 else 7 - label
        scores[float(image.float().sum())] = torch.eye(8)[right]
    assert task_of(tree, plan).accuracy(Known()) == 0.5

    # Without the other processes a share counts for itself only.
    class Deaf(Ranks):
        def total(self, value):
            return value

    parts = [task_of(tree, plan, Deaf(rank, 2)).accuracy(Known()) for rank in range(2)]
    assert sum(parts) == 0.5


def test_all_processes_evaluate_the_network_of_the_first(monkeypatch):
    shared = []
    monkeypatch.setattr(
        distributed, "broadcast", lambda value, source: shared.append((value, source))
    )
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    Ranks(1, 2).share_statistics(net)
    found = {(id(value), source) for value, source in shared}
    assert found == {(id(buffer), 0) for buffer in net.buffers()}
    assert len(found) == 3
    ALONE.share_statistics(net)
    assert len(shared) == 3


# What is wrong with a tree.


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_missing_folder_is_named(copied, part):
    shutil.rmtree(copied / part)
    with pytest.raises(
        DataError, match=rf"{part} is missing: --data must name a folder with train"
    ):
        load(copied)


def test_a_folder_without_classes_is_refused(copied):
    for place in (copied / "val").iterdir():
        shutil.rmtree(place)
    with pytest.raises(DataError, match=r"val has no folders: it must have a folder for every"):
        load(copied)


def test_an_empty_class_is_named(copied):
    for path in (copied / "train" / "class3").iterdir():
        path.unlink()
    with pytest.raises(
        DataError, match=r"class3 has no images \(1 of 8 classes are empty\): unpack"
    ):
        load(copied)


def test_classes_that_differ_are_named(copied):
    shutil.rmtree(copied / "val" / "class5")
    with pytest.raises(
        DataError, match=r"train has the class class5, but .*val lacks it \(1 class"
    ):
        load(copied)


def test_a_broken_image_is_named_by_the_command(copied, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "googlenet", TINY)
    broken = copied / "train" / "class2" / "7.JPEG"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    result = tiny(copied, tmp_path, "--arm", "fixed", "--workers", 1, "--checkpoint-every", 1)
    assert result.exit_code == 1
    error = result.output[result.output.index("Error: ") :]
    assert error.startswith(f"Error: {broken} cannot be read (OSError: image file is truncated")
    assert error.endswith("put the original file there, and the same command resumes\n")
    broken.write_bytes(whole)
    result = tiny(copied, tmp_path, "--arm", "fixed", "--workers", 1, "--checkpoint-every", 1)
    assert result.exit_code == 0, result.output
    assert "fixed, seed 0: " in result.output


@pytest.mark.parametrize(("part", "option"), [("val", ()), ("train", ("--range-test",))])
def test_a_broken_image_is_named_wherever_it_is_read(copied, tmp_path, monkeypatch, part, option):
    monkeypatch.setitem(PLANS, "googlenet", TINY)
    for number in range(8):
        (copied / part / "class2" / f"{number}.JPEG").write_bytes(b"no image")
    result = tiny(copied, tmp_path, "--arm", "fixed", "--workers", 0, *option)
    assert result.exit_code == 1
    assert ".JPEG cannot be read (UnidentifiedImageError: " in result.output
    assert f"/{part}/class2/" in result.output


def test_too_few_images_are_refused(folder, tmp_path):
    options = ["--data", folder, "--out", tmp_path / "out", "--device", "cpu"]
    result = command(*options)
    assert result.exit_code == 1
    assert "an update has 256 images, but there are only 192 to train with: pass a smaller" in (
        result.output
    )


def test_processes_must_share_a_batch_equally():
    plan = dataclasses.replace(PLANS["alexnet"], batch=15)
    imagenet._check_shares(plan, Ranks(0, 3))
    with pytest.raises(
        Exception, match="2 processes cannot share 15 images equally: pass a --batch"
    ):
        imagenet._check_shares(plan, Ranks(0, 2))


# The command.


class Tiny(nn.Module):
    """A network that takes no time."""

    def __init__(self, classes):
        super().__init__()
        self.fc = nn.Linear(48, classes)

    def forward(self, x):
        return self.fc(nn.functional.avg_pool2d(x, 16).flatten(1))


TINY = dataclasses.replace(
    PLANS["googlenet"], network=lambda classes: networks.FromPixels(Tiny(classes))
)
SMALL = ["--batch", 16, "--size", 64, "--device", "cpu", "--plan", "googlenet"]


def command(*arguments):
    return CliRunner().invoke(imagenet.main, [str(each) for each in arguments])


def tiny(folder, tmp_path, *options):
    arguments = ["--data", folder, "--out", tmp_path / "out", *SMALL, "--steps", 14]
    return command(*arguments, "--workers", 0, *options)


def test_all_arms_run_and_are_reported(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "googlenet", TINY)
    options = ["--scale", 0.0001, "--range-test", "--find-bounds", 400, "--seed", 1, "--workers", 0]
    result = command("--data", folder, "--out", tmp_path, *SMALL, "--batch", 8, *options)
    assert result.exit_code == 0, result.output
    note = (
        "not the plan's run: data of 192 training and 64 validation images in 8 classes, batches "
        "of 8, crops of 64, lengths times 0.0001"
    )
    assert note in result.output
    assert "the plan's bounds: 0.01 to 0.026" in result.output
    assert "(by find_bounds; the arms use the plan's rates)" in result.output
    table = result.output[result.output.index("arm  ") :].splitlines()[1:]
    assert [line.split()[0] for line in table[: len(GOOGLENET)]] == list(GOOGLENET)
    # The classes can be told apart, and 42 updates learn some of them.
    assert float(table[0].split()[2]) > 40
    for name in ("range-test", "find-bounds", "accuracy-1", "accuracy-2", "rates-1", "rates-2"):
        assert (tmp_path / f"googlenet-{name}.png").stat().st_size > 5000
    arm = next(arm for arm in TINY.arms(24, 0.0001) if arm.name == "triangular2")
    log = files.read_log(tmp_path / "googlenet-triangular2-seed1" / "log.csv")
    assert [row.step for row in log] == arm.policy.cycle_ends(42)
    assert [row.lr for row in log] == [arm.policy(row.step - 1) for row in log]
    curve = clrcore.Curve.from_csv(tmp_path / "googlenet-range-test-seed1.csv")
    assert curve.held_out
    assert (curve.lr[0], curve.lr[-1], len(curve)) == (0.001, 0.065, 100)


def test_mixed_precision_trains_the_same_weights_in_another_way(folder, tmp_path, monkeypatch):
    seen = set()

    class Seen(Tiny):
        def forward(self, x):
            outputs = super().forward(x)
            seen.add((outputs.dtype, self.fc.weight.dtype))
            return outputs

    plan = dataclasses.replace(TINY, network=lambda classes: networks.FromPixels(Seen(classes)))
    monkeypatch.setitem(PLANS, "googlenet", plan)
    for precision in ("float32", "bfloat16"):
        options = ["--out", tmp_path / precision, "--precision", precision, "--arm", "fixed"]
        result = command("--data", folder, *SMALL, "--steps", 3, "--workers", 0, *options)
        assert result.exit_code == 0, result.output
    assert seen == {(torch.float32, torch.float32), (torch.bfloat16, torch.float32)}
    options = ["--out", tmp_path / "float32", "--precision", "bfloat16", "--arm", "fixed"]
    result = command("--data", folder, *SMALL, "--steps", 3, "--workers", 0, *options)
    assert "holds a run with precision='float32', but now it is 'bfloat16'" in result.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '--data'"),
        (["--data", ".", "--arm", "fixd"], "is missing: --data must name a folder with train/"),
        (["--precision", "float16"], "'float16' is not one of 'float32', 'bfloat16'"),
        (["--device", "cuda", "--data", "."], "PyTorch sees no GPU here; pass --device cpu"),
    ],
)
def test_wrong_options_are_refused_in_words(tmp_path, monkeypatch, options, message):
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.chdir(tmp_path)
    result = command(*options)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "imagenet-runs").exists()


# Real processes.


def started(processes, folder, out, printed, *options, pids=None):
    """The command in as many processes, each with a thread."""
    launcher = [sys.executable, *COMMAND]
    if processes > 1:
        run = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        launcher = [sys.executable, *run, *COMMAND]
    small = ["--batch", 16, "--size", 64, "--device", "cpu", "--data", folder, "--out", out]
    arguments = [str(each) for each in (*launcher, *small, *options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} | ({"CLR_PIDS": str(pids)} if pids else {})
    return subprocess.Popen(arguments, stdout=printed, stderr=printed, env=environment)


def finished(processes, folder, out, *options):
    """What the command prints until it ends well."""
    path = out.with_suffix(".txt")
    with path.open("w") as printed:
        process = started(processes, folder, out, printed, *options)
        try:
            assert process.wait(PATIENCE) == 0, path.read_text()
        finally:
            process.kill()
    return path.read_text()


def rows(path):
    """The log but for the time, which no two runs share."""
    return [row[:-1] for row in files.read_log(path)]


@pytest.mark.parametrize("processes", [pytest.param(1, marks=takes_minutes), 2])
def test_killed_in_mid_cycle_and_run_again_is_as_if_nothing_had_been(folder, tmp_path, processes):
    options = ["--plan", "googlenet", "--arm", "triangular2", "--scale", 0.0003, "--steps", 16]
    # Checkpoints lie between rows of the log.
    options += ["--log-every", 3, "--evaluate-every", 7, "--checkpoint-every", 4, "--workers", 1]
    inside = Path("googlenet-triangular2-seed0", "log.csv")
    log, pids = tmp_path / "killed" / inside, tmp_path / "pids"
    pids.mkdir()
    with (tmp_path / "printed").open("w") as printed:
        process = started(processes, folder, tmp_path / "killed", printed, *options, pids=pids)
        try:
            end = time.monotonic() + PATIENCE
            while not (log.exists() and [row for row in files.read_log(log) if row.step >= 6]):
                assert process.poll() is None, (tmp_path / "printed").read_text()
                assert time.monotonic() < end
                time.sleep(0.01)
        finally:
            for path in pids.iterdir():
                os.kill(int(path.read_text()), signal.SIGKILL)
            assert process.wait(PATIENCE) != 0
    # Half a cycle has 9 updates, an epoch 12.
    assert 6 <= rows(log)[-1][0] < 16
    for name in ("killed", "whole"):
        finished(processes, folder, tmp_path / name, *options)
    whole = rows(tmp_path / "whole" / inside)
    assert [row[0] for row in whole] == [3, 6, 7, 9, 12, 14, 15, 16]
    assert rows(log) == whole
    found, expected = (
        files.load((tmp_path / name / inside).with_name("checkpoint.pt"))["net"]
        for name in ("killed", "whole")
    )
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@takes_minutes
def test_two_processes_train_on_the_images_of_one(folder, tmp_path):
    """Without dropout and statistics of shares, AlexNet would be the same; its first loss is."""
    options = ["--plan", "alexnet", "--arm", "fixed", "--steps", 2, "--log-every", 1]
    losses = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        finished(processes, folder, out, *options, "--workers", 0)
        losses.append([row.loss for row in files.read_log(out / "alexnet-fixed-seed0" / "log.csv")])
        shutil.rmtree(out)  # a checkpoint of AlexNet has half a gigabyte
    # New weights give nearly equal scores, whatever is dropped.
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


@takes_minutes
@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    ("plan", "table"), [("alexnet", ALEXNET), ("googlenet", GOOGLENET), ("resnet50", RESNET50)]
)
def test_every_arm_runs_with_its_own_network(folder, tmp_path, processes, plan, table):
    scale = {"alexnet": 1e-5, "googlenet": 5e-5, "resnet50": 0.01}[plan]
    for arm in table:
        out = tmp_path / arm
        options = ["--plan", plan, "--arm", arm, "--scale", scale, "--workers", 1, "--batch", 8]
        if arm == "fixed":
            options += ["--range-test", "--find-bounds", 100]
        printed = finished(processes, folder, out, *options)
        assert f"[1/1] {arm}, seed 0: " in printed
        assert (out / f"{plan}-accuracy-1.png").exists()
        if arm == "fixed":
            assert f"Written: {out / f'{plan}-range-test.png'}" in printed
            assert "find_bounds" in printed
        shutil.rmtree(out)
