"""jail.codec: plain data comes back as it was, other values are refused, other texts are errors."""

from __future__ import annotations

import math
import random
from collections import Counter, namedtuple
from enum import IntEnum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.jail.codec import NotPlain, decode, encode

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
)
KEYS = SCALARS | st.tuples(SCALARS, SCALARS)
PLAIN = st.recursive(
    SCALARS,
    lambda x: st.lists(x) | st.lists(x).map(tuple) | st.dictionaries(KEYS, x),
    max_leaves=30,
)
TOKENS = st.sampled_from(
    ["n", "T", "i1", "f1", '"a"', "l1", "l2", "t1", "d1", "d0", "l-1", "l9", ""]
)


@settings(deadline=None)
@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value: object) -> None:
    again = decode(encode(value, "it"))

    assert again == value
    assert repr(again) == repr(value)  # True is not 1, -0.0 not 0.0, and dicts keep their order


@settings(deadline=None)
@given(st.text() | st.lists(TOKENS).map("\n".join))
def test_any_other_text_is_a_value_error_or_type_error(text: str) -> None:
    try:
        value = decode(text)
    except (ValueError, TypeError):
        return

    assert decode(encode(value, "it")) == value or value != value


def test_special_numbers_cross() -> None:
    value = [math.inf, -math.inf, 2**20_000, -(2**70)]

    assert decode(encode(value, "it")) == value
    assert math.isnan(decode(encode(math.nan, "it")))


def test_depth_is_no_issue() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]

    text = encode(value, "it")

    assert encode(decode(text), "it") == text


def test_subclasses_cross_as_the_plain_type() -> None:
    class Level(IntEnum):
        LOW = 1

    point = namedtuple("point", "x y")

    again = decode(encode([Level.LOW, point(1, 2), Counter("aa")], "it"))

    assert [type(v) for v in again] == [int, tuple, dict]
    assert again == [1, (1, 2), {"a": 2}]


@pytest.mark.parametrize("value", [object(), {1}, b"a", 1j, [{"a": (range(2),)}], {b"a": 1}])
def test_other_values_are_refused_by_name(value: object) -> None:
    with pytest.raises(NotPlain, match=r"it holds a .*; only plain data crosses"):
        encode(value, "it")


def test_a_list_that_holds_itself_is_too_large() -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(NotPlain, match="over a million values"):
        encode(endless, "it")


def test_brackets_do_not_nest_into_the_parser() -> None:
    with pytest.raises(ValueError, match="unknown token"):
        decode("[" * 1_000_000)


def test_a_cut_text_is_an_error_or_shorter_in_its_last_token_only() -> None:
    text = encode([random.Random(0).random() for _ in range(9)], "it")

    for end in range(text.rindex("\n")):
        with pytest.raises(ValueError):
            decode(text[:end])
