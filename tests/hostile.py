"""Foreign data at their worst: plain data and files with damage.

`tests/core/test_foreign_data.py` and `tests/adapters/test_foreign_logs.py` say what must hold when
they are read; `tests/fuzz.py` searches for data that break it.
"""

import copy
import decimal
import fractions
import linecache
import math
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

import clrcore

PACKAGES = Path(clrcore.__file__).parents[1]
# A message fits on a screen.
LONGEST_MESSAGE = 3000


def itself():
    """A list and a dictionary that contain themselves."""
    data = {"version": 1, "type": "chain", "stages": []}
    data["stages"] += [data, data["stages"]]
    return data


def nested(kind, depth):
    """Lists or dictionaries within each other."""
    data = 1.0
    for _ in range(depth):
        data = [data] if kind == "list" else {"policy": data}
    return data


ODD = [
    *(10**400, -(10**400), 10**5000, 2**63, 2**64, 2**53 + 1, -1, 0, 1, True, False, None),
    *(math.nan, math.inf, -math.inf, -0.0, 5e-324, 1.7e308, -1.7e308, 0.5, 1e-300),
    *("nan", "inf", "-inf", "NaN", "Infinity", "", " ", "1e999", "1_000", "0.1", "\u0661", "\x00"),
    *("lr", "loss", "chain", "x" * 100_000, "\ud800", b"", b"\xff", (), [], {}, set()),
    *(1j, decimal.Decimal("0.1"), fractions.Fraction(1, 3), object, object(), range(3)),
    *(np.float64(0.5), np.int64(3), np.bool_(True), np.array(0.5), np.array([1.0]), np.ones(3)),
    *(np.array([], dtype=object), np.array(["a"]), np.ones((2, 2)), np.ma.masked),
    np.datetime64("2026-01-01"),
    *(nested("list", 50), nested("list", 3000), nested("dict", 3000), itself(), [0.1] * 20_000),
]


@st.composite
def _odd(draw):
    """An odd value; drawn by its number, as Hypothesis shows what it samples from."""
    return ODD[draw(st.integers(0, len(ODD) - 1))]


odd = _odd()
plain = st.one_of(st.integers(), st.floats(), st.text(max_size=8), st.booleans(), st.none())
values = st.one_of(
    odd,
    plain,
    st.recursive(
        st.one_of(plain, odd),
        lambda inner: st.one_of(
            st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=8,
    ),
)


def places(data, most=200, of_a_list=None):
    """The containers and keys of everything within lists and dictionaries, the outer first.

    of_a_list: the number of entries that are visited of each list, by default all.
    """
    found, waiting = [], [[data]]
    root = waiting[0]
    while waiting and len(found) < most:
        container = waiting.pop(0)
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys if isinstance(container, dict) else keys[:of_a_list]:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                waiting.append(container[key])
    return root, found


def with_odd_values(data):
    """The data with each odd value in turn at each place; of a list, only in its first two."""
    root, found = places(copy.deepcopy(data), of_a_list=2)
    for container, key in found:
        whole = container[key]
        for value in ODD:
            container[key] = value
            yield root[0]
        container[key] = whole


def _changed(draw, value):
    """A value near the given value."""
    if isinstance(value, bool) or value is None:
        return draw(values)
    if isinstance(value, int | float):
        return draw(st.sampled_from([-value, value + 1, value - 1, value * 1000, value // 1000, 0]))
    if isinstance(value, str):
        return draw(st.sampled_from([value[:-1], value + "\x00", value.upper(), value * 9]))
    if isinstance(value, list):
        longer = value * (500 if len(value) < 2000 else 1)  # at most 10^6 values
        return draw(st.sampled_from([value[:-1], value[1:], value * 2, longer, value[::-1]]))
    return draw(values)


def _has(container, key):
    """Whether a change before this has left the key."""
    return key in container if isinstance(container, dict) else key < len(container)


@st.composite
def damaged(draw, data):
    """Plain data with up to three changes at random places."""
    root, found = places(copy.deepcopy(data))
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(found))
        how = draw(st.sampled_from(["change", "replace", "delete", "add", "swap"]))
        if not _has(container, key):
            continue
        if how == "change":
            container[key] = _changed(draw, container[key])
        elif how == "replace" or container is root:
            container[key] = draw(values)
        elif how == "delete":
            del container[key]
        elif how == "add":
            _add(draw, container, key)
        else:
            other, place = draw(st.sampled_from(found))
            if other is not root and _has(other, place):
                container[key] = copy.copy(other[place])
    return root[0]


def _add(draw, container, key):
    """Put a further value into a list or a dictionary."""
    if isinstance(container, list):
        container.insert(key, draw(values))
    else:
        name = draw(st.one_of(st.text(max_size=5), st.integers(), st.none(), st.just(10**5000)))
        container[name] = draw(values)


@st.composite
def cut(draw, content):
    """Bytes with a few changes: bits flipped, cut off, left out, doubled, replaced."""
    content = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, max(len(content) - 1, 0)))
        stop = min(len(content), start + draw(st.sampled_from([0, 1, 2, 5, 20, 1000])))
        how = draw(st.sampled_from(["flip", "truncate", "delete", "double", "insert"]))
        if how == "flip" and content:
            content[start] ^= 1 << draw(st.integers(0, 7))
        elif how == "truncate":
            del content[start:]
        elif how == "delete":
            del content[start:stop]
        elif how == "double":
            content[start:start] = content[start:stop] * draw(st.sampled_from([1, 2, 100]))
        else:
            content[start:start] = draw(st.one_of(st.binary(max_size=8), tokens))
    return bytes(content)


# What tables and JSON are made of.
tokens = st.sampled_from(
    [
        *(b"lr", b"loss", b"val_acc", b"step", b"value", b"metric", b"version", b"log_history"),
        *(b",", b";", b"\t", b" ", b"\n", b"\r", b"\r\n", b'"', b"#", b"\xef\xbb\xbf", b"\x00"),
        *(b"\x0b", b"\x1c", "\u2028".encode(), b"\xff", b"nan", b"inf", b"-1", b"0.1", b"1e999"),
        *(b"1,5", b"1_0", b"9" * 5000, "\u0661".encode(), b"[", b"]", b"{", b"}", b":", b"null"),
        *(
            b"[" * 100_000,
            b'{"a":' * 50_000,
            b'"' + b"x" * 200_000,
            b"," * 100_000,
            b"1\n" * 10_000,
        ),
    ]
)
texts = st.lists(tokens, max_size=30).map(b"".join)


def outcome(function, *arguments, errors=(), **options):
    """What a function returns, or the documented error that it raises; anything else fails.

    Documented is a TypeError or ValueError that our own code raises with words of its own, or one
    of `errors`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return function(*arguments, **options)
    except (TypeError, ValueError, *errors) as error:
        result = error
    if not isinstance(result, (clrcore.ArgumentError, clrcore.TableError, *errors)):
        frame = traceback.extract_tb(result.__traceback__)[-1]
        line = linecache.getline(frame.filename, frame.lineno).strip()
        if not (Path(frame.filename).is_relative_to(PACKAGES) and line.startswith("raise")):
            raise AssertionError(f"not refused, but failed at: {line}") from result
    assert len(str(result)) <= LONGEST_MESSAGE
    return result


def refused(result):
    """Whether `outcome` returned an error."""
    return isinstance(result, Exception)


class Reader(NamedTuple):
    """Something that reads foreign data: the law for whatever it reads, and valid data."""

    law: Callable[[Any], None]
    valid: list[Any]

    @property
    def data(self):
        """A strategy of damaged data, or of damaged content where the valid data are bytes."""
        if isinstance(self.valid[0], bytes):
            return st.one_of(*map(cut, self.valid), texts)
        return st.one_of(*map(damaged, self.valid), values)
