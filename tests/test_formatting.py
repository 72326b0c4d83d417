"""How values are written, and what is taken out of text from outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import formatting as fmt
from harness.stats import Difference, Estimate


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jcleared", "cleared"),
        ("two\nlines\r\tand\u2028more", "two lines and more"),
        ("a\u202eb\u200bc\x00d", "abcd"),
        ("naïve 日本 é", "naïve 日本 é"),
        ("\x1b\x1b[0m[31m", "[31m"),
    ],
)
def test_text_from_outside_is_one_harmless_line(raw: str, shown: str) -> None:
    assert fmt.printable(raw) == shown


@given(st.text())
def test_printable_text_is_printable_and_stays_as_it_is(raw: str) -> None:
    text = fmt.printable(raw)

    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)
    assert len(text.splitlines()) <= 1
    text.encode()


def test_wide_and_combining_characters_take_their_columns() -> None:
    assert fmt.width("日本") == 4
    assert fmt.width("e\u0301") == 1


@pytest.mark.parametrize(
    ("n", "shown"),
    [
        (0, "0"),
        (9_999, "9999"),
        (10_000, "10k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (9_949_999, "9.9M"),
        (12_300_000, "12M"),
    ],
)
def test_counts_stay_short(n: int, shown: str) -> None:
    assert fmt.count(n) == shown


@pytest.mark.parametrize(
    ("dollars", "shown"),
    [(None, "unknown"), (0.0, "$0"), (0.00001, "<$0.0001"), (0.0123, "$0.0123"), (1.5, "$1.50")],
)
def test_an_unknown_cost_is_no_zero(dollars: float | None, shown: str) -> None:
    assert fmt.cost(dollars) == shown


def test_a_score_stands_with_its_interval_in_percent() -> None:
    assert fmt.score(Estimate(0.42, 0.341, 0.5026, 150)) == "42.0 [34.1, 50.3]"
    assert fmt.score(Estimate(None, 0, 1, 0)) == "no score"


def test_a_difference_has_a_sign_and_zero_has_none() -> None:
    assert fmt.gain(Difference(0.031, -0.0001, 0.5, 0.1, 9)) == "+3.1 [0.0, +50.0]"
    assert fmt.gain(Difference(None, -1, 1, None, 0)) == "no pair"


@pytest.mark.parametrize(("p", "shown"), [(0.0004, "<0.001"), (0.0244, "0.024"), (1.0, "1.000")])
def test_small_ps_are_bounded(p: float, shown: str) -> None:
    assert fmt.p_value(p) == shown
