"""Plain data: what is written, what is read, what is refused."""

import pytest

import clrcore
from cases import each

DATA = clrcore.triangular(0.001, 0.006, 2000).to_dict()


def test_the_data_are_flat_and_named_as_the_arguments():
    assert DATA == {
        "version": 1,
        "type": "triangular",
        "base_lr": 0.001,
        "max_lr": 0.006,
        "step_size": 2000,
        "step_size_down": 2000,
        "window": "triangular",
    }


def test_only_chains_nest():
    chained = clrcore.chain([(clrcore.constant(0.5), 10), (clrcore.stepwise(0.1, [5]), None)])

    assert chained.to_dict() == {
        "version": 1,
        "type": "chain",
        "stages": [
            [{"version": 1, "type": "constant", "lr": 0.5}, 10],
            [
                {"version": 1, "type": "stepwise", "lr": 0.1, "milestones": [5], "factor": 0.1},
                None,
            ],
        ],
    }


def test_policies_within_policies_are_dictionaries():
    opposed = clrcore.triangular(0.0, 1.0, 4).opposed(0.85, 0.95)
    cooldown = clrcore.cooldown(clrcore.constant(0.5), 10, 5, final_lr=0.1, shape="1-sqrt")

    assert cooldown.to_dict() == {
        "version": 1,
        "type": "cooldown",
        "policy": {"version": 1, "type": "constant", "lr": 0.5},
        "at": 10,
        "num_steps": 5,
        "final_lr": 0.1,
        "shape": "1-sqrt",
    }
    assert list(opposed.to_dict()) == ["version", "type", "policy", "low", "high"]
    for policy in (cooldown, opposed):
        assert clrcore.policy_from_dict(policy.to_dict()) == policy


def contains_itself():
    data = clrcore.chain([(clrcore.constant(0.1), 5)]).to_dict()
    data["stages"][0][0] = data
    return data


def too_deep(kind):
    data = clrcore.constant(0.1).to_dict()
    cooldown = clrcore.cooldown(clrcore.constant(0.1), 1, 1).to_dict()
    for _ in range(1000):
        if kind == "chain":
            data = {"version": 1, "type": "chain", "stages": [[data, None]]}
        else:
            data = cooldown | {"policy": data}
    return data


@pytest.mark.parametrize("data", [contains_itself(), too_deep("chain"), too_deep("cooldown")])
def test_data_nested_without_end_are_refused(data):
    with pytest.raises(ValueError, match=r"^data nests policies more than 32 levels deep"):
        clrcore.policy_from_dict(data)


def test_chains_are_read_back_stage_by_stage():
    chained = clrcore.chain(
        [
            (clrcore.exp_range(0.1, 1.0, 5, gamma=0.9, decays="bounds"), 10),
            (clrcore.chain([(clrcore.warm_restarts(0.1, 1.0, 5, multiplier=2), 7)]), None),
        ]
    )

    assert clrcore.policy_from_dict(chained.to_dict()) == chained


def test_every_argument_is_written_under_its_own_name():
    assert clrcore.warm_restarts(0.1, 1.0, 5, multiplier=2).to_dict() == {
        "version": 1,
        "type": "warm_restarts",
        "base_lr": 0.1,
        "max_lr": 1.0,
        "period": 5,
        "multiplier": 2,
    }
    assert list(clrcore.one_cycle(1.0, 10).to_dict())[2:] == [
        *("max_lr", "total_steps", "form", "pct_start"),
        *("anneal_strategy", "div_factor", "final_div_factor"),
    ]


def test_the_callers_data_stay_as_they_were():
    data = clrcore.stepwise(0.1, [5, 6]).to_dict()
    policy = clrcore.policy_from_dict(data)
    data["milestones"].append(7)

    assert policy.to_dict()["milestones"] == [5, 6]


@each(
    ("change", "kind", "message"),
    [
        ({"version": 2}, ValueError, "data has version 2, but this clrcore reads version 1"),
        ({"version": True}, ValueError, "data has version True"),
        ({"version": None}, ValueError, "data has version None"),
        ({"type": "sawtooth"}, ValueError, r"data\['type'\] must be one of 'triangular'"),
        ({"type": 3}, TypeError, r"data\['type'\] must be one of"),
        ({"colour": "red"}, ValueError, "data has unknown 'colour'"),
        ({"gamma": 0.5}, ValueError, "data has unknown 'gamma'"),
        ({"max_lr": -1.0}, ValueError, "max_lr must be"),
        ({"max_lr": "0.1"}, TypeError, "max_lr must be"),
        ({"type": "triangular2", "window": None}, TypeError, "window must be"),
    ],
)
def test_wrong_data_are_refused(change, kind, message):
    with pytest.raises(kind, match=message):
        clrcore.policy_from_dict(DATA | change)


@each("missing", list(DATA))
def test_missing_keys_are_refused(missing):
    data = {key: value for key, value in DATA.items() if key != missing}

    with pytest.raises(ValueError, match=f"data lacks .*'{missing}'"):
        clrcore.policy_from_dict(data)


@each("data", [None, [], "triangular", clrcore.constant(0.1)])
def test_what_is_no_dictionary_is_refused(data):
    with pytest.raises(
        TypeError, match="data must be a dictionary, as to_dict makes it, got"
    ) as caught:
        clrcore.policy_from_dict(data)

    assert f"got {data!r} ({type(data).__name__})" in str(caught.value)


@each("stage", [DATA, [DATA], [DATA, 5, 6], None])
def test_stages_must_be_pairs(stage):
    data = {"version": 1, "type": "chain", "stages": [stage]}

    with pytest.raises(TypeError, match=r"stages\[0\] must be a \[policy dictionary, num_steps\]"):
        clrcore.policy_from_dict(data)


def test_errors_within_a_chain_name_the_stage():
    data = clrcore.chain([(clrcore.constant(0.5), 10), (clrcore.constant(0.1), 5)]).to_dict()
    data["stages"][1][0]["colour"] = "red"

    with pytest.raises(ValueError, match=r"stages\[1\]\[0\] has unknown 'colour'"):
        clrcore.policy_from_dict(data)


@each("stages", [None, 3, {"a": 1}, "ab"])
def test_stages_must_be_a_list(stages):
    with pytest.raises(
        TypeError, match=r"^stages must be a list of \[policy dictionary, num_steps\]"
    ):
        clrcore.policy_from_dict({"version": 1, "type": "chain", "stages": stages})
