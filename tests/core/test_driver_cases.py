"""The table of driver cases, run against a driver in plain NumPy: how little a driver needs."""

import copy

import numpy as np
import pytest

import clrcore
from cases import each
from clrcore.arguments import check_bool, check_seeds
from driver_cases import CASES, check

BLOCK = 4


def range_test(data, accuracy, held_out, *, sweep, seeds=None, stop=True, **options):
    """A range test of softmax regression, block by block; the driver has no rule of its own."""
    given_length = options.pop("steps_per_epoch", None)
    length = clrcore.RangeTest.epoch_length(data) if given_length is None else given_length
    template = clrcore.RangeTest(
        sweep,
        steps_per_epoch=length,
        held_out=held_out is not None,
        stop_diverged=check_bool("stop", stop),
        **options,
    )
    seed_list = check_seeds("seeds", seeds)
    template.check_data("data", data, seed_list)
    curves = []
    for _ in seed_list or [None]:
        test = copy.deepcopy(template)
        batches = clrcore.RangeTest.repeated(data)
        weights = np.zeros((4, 3), np.float32)
        while rates := test.next_rates(BLOCK):
            losses, accuracies = [], []
            for lr, (inputs, classes) in zip(rates, batches, strict=False):
                metrics = update(weights, lr, inputs, classes)
                losses.append(metrics[0])
                if test.validation_due(len(losses) - 1):
                    accuracies.append(right(weights, *held_out))
                else:
                    accuracies.append(metrics[1] if accuracy and held_out is None else None)
            if losses:
                test.record_block(losses, accuracies)
            if len(losses) < len(rates):
                test.end_early(clrcore.RangeTest.data_end("data"))
        curves.append(test.curve)
    return curves[0] if seed_list is None else curves


def right(weights, inputs, classes):
    return float((np.argmax(inputs @ weights, axis=1) == classes).mean())


def update(weights, lr, inputs, classes):
    """Loss and accuracy before an update of the weights, in place."""
    outputs = inputs @ weights
    outputs -= outputs.max(axis=1, keepdims=True)
    shares = np.exp(outputs)
    norm = shares.sum(axis=1)
    shares /= norm[:, None]
    rows = np.arange(len(classes))
    loss = (np.log(norm) - outputs[rows, classes]).mean()
    accuracy = right(weights, inputs, classes)
    shares[rows, classes] -= 1
    weights -= np.float32(lr / len(classes)) * (inputs.T @ shares)
    return float(loss), accuracy


class Plain:
    arguments = {"data": "data", "held_out": "held_out"}
    seeds_are_states = False

    def run(self, problem, **options):
        with np.errstate(all="ignore"):  # some cases diverge
            return range_test(problem.data(), problem.accuracy, problem.held_out, **options)


@each("case", CASES)
def test_the_outcome_is_that_of_the_table(case):
    check(case, Plain())


def test_each_pass_over_the_data_is_announced():
    passes = []
    batches = clrcore.RangeTest.repeated([1, 2], passes.append)
    assert [next(batches) for _ in range(5)] == [1, 2, 1, 2, 1]
    assert passes == [0, 1, 2]
    assert list(clrcore.RangeTest.repeated([])) == []


def test_the_loss_for_displays_is_a_running_mean():
    test = clrcore.RangeTest()
    assert test.smoothed_loss is None
    test.next_rates(2)
    test.record_block([1.0, 3.0])
    assert test.smoothed_loss == 2.0


@pytest.mark.parametrize(
    "columns", [{}, {"losses": [1.0, 2.0, 3.0]}, {"losses": [1.0], "accuracies": []}]
)
def test_a_block_of_another_length_is_refused(columns):
    test = clrcore.RangeTest()
    test.next_rates(2)
    with pytest.raises(ValueError, match="losses must be of the same length") as caught:
        test.record_block(**columns)
    assert caught.value.argument == "losses"
    assert test.record_block([1.0, 2.0]) == 2


def test_data_that_end_before_the_first_update_are_refused():
    test = clrcore.RangeTest()
    with pytest.raises(ValueError, match="ended before its first update: no data"):
        test.end_early("no data")
    test = clrcore.RangeTest(clrcore.linear_sweep(0.0, 1.0, 2))
    test.next_rates(2)
    test.record_block([1.0, 2.0])
    test.end_early("no data")  # the sweep was over already
    assert test.reason.startswith("all ")
