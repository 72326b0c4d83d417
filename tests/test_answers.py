"""Answer extraction and scoring rules, also on hostile text."""

from __future__ import annotations

import re
import string
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import answers

HOSTILE = [
    "answer" * 20_000,
    "answer:" * 15_000,
    "**answer " * 10_000,
    "the answer is " * 7_000,
    "-" * 100_000,
    "1" * 100_000,
    "1,." * 33_333,
    "#### " * 20_000,
    "(" * 100_000,
    "(A" * 50_000,
    "[" * 100_000,
    "\n \n" * 33_333,
    "**" * 50_000,
    "a the an " * 11_000,
    "\u0661\u2212\ud800\U0001d7d8" * 25_000,
    " " * 100_000,
    "`" * 100_000,
]


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("72", "72"),
        ("Answer: 72", "72"),
        ("ANSWER : 72", "72"),
        ("**Answer:** 72", "72"),
        ("**Answer**: **72**", "72"),
        ("**Final Answer: 72**", "72"),
        ("**Answer: 5*X**9**", "5*X**9"),
        ("Answer: **a** or **b**", "**a** or **b**"),
        ("So the answer is (B).", "(B)."),
        ("Answer: 1\nNo, wrong.\nAnswer: 2", "2"),
        ("Answer: ] ]\n\nBecause they close.", "] ]"),
        ("Answer:\n1 2\n3 4", "1 2\n3 4"),
        ("Answer:\n```python\n1 2\n\n3 4\n```\nDone.", "1 2\n\n3 4"),
        ("First I add.\nThen it is 9\n", "Then it is 9"),
        ("```\n5\n```", "5"),
        ("Answer:", ""),
        ("", ""),
    ],
)
def test_the_final_answer_is_what_follows_the_last_marker(reply: str, answer: str):
    assert answers.final_answer(reply) == answer


@given(st.text(alphabet=string.ascii_letters + string.digits + " ()-,", min_size=1))
def test_a_short_answer_and_a_full_reply_give_the_same_final_answer(answer: str):
    short = answer.strip()
    if answers.after_marker(short) is not None:
        return

    assert answers.final_answer(short) == short
    assert answers.final_answer(f"I think.\n\nAnswer: {short}") == short


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [
        ("so\n#### 72", "72", "72"),
        ("#### 109,200,000", "109200000", "109200000"),
        ("#### -5", "-5", "-5"),
        ("#### 72.", "72.", "72"),
        ("#### $72", None, "72"),
        ("#### 1\n#### 2", "1", "2"),
        ("It costs $1,234.", None, "1234"),
        ("It is 7 ...", None, "7"),
        ("It is \u22127", None, "-7"),
        ("\\boxed{18}", None, "18"),
        ("none", None, None),
    ],
)
def test_gsm8k_has_a_strict_and_a_flexible_rule(
    text: str, strict: str | None, flexible: str | None
):
    assert answers.gsm8k_strict(text) == strict
    assert answers.last_number(text) == flexible


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("(A)", "A"),
        ("A", "A"),
        ("A)", "A"),
        ("B. Newton", "B"),
        ("(A) is wrong, (C) is right", "C"),
        ("the right one is option D.", "D"),
        ("\\text{(B)}", "B"),
        ("A cat", None),
        ("vitamin C", None),
        ("E", None),
        ("", None),
    ],
)
def test_a_letter_is_read_from_the_usual_ways_to_write_it(text: str, chosen: str | None):
    assert answers.letter(text, "ABCD") == chosen


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Yes", "Yes"),
        ("yes.", "Yes"),
        ("**No**, since yes is wrong", "No"),
        ("It is not a yes but a no", "No"),
        ("nothing", None),
        ("noyes", None),
    ],
)
def test_a_word_counts_at_the_start_else_the_last_one(text: str, word: str | None):
    assert answers.one_of(text, ("Yes", "No")) == word


def test_valid_is_not_found_inside_invalid():
    assert answers.one_of("invalid", ("valid", "invalid")) == "invalid"


@given(st.integers(-(10**9), 10**9))
def test_whole_numbers_are_read_however_they_are_written(number: int):
    for written in (str(number), f"{number:,}", f"{number}.0", f"it is {number}.", f"= {number}"):
        assert answers.integer(written) == str(number)


def test_a_fraction_is_no_whole_number():
    assert answers.integer("2.5") != "2"


def test_brackets_are_compared_without_blanks_and_words_as_lists():
    assert answers.dyck_equal("]]", "] ]")
    assert not answers.dyck_equal("[ [ ] ]", "] ]")
    assert answers.words_equal("Ape, bee,cat.", "ape bee cat")
    assert not answers.words_equal("bee ape", "ape bee")


@pytest.mark.parametrize(
    ("answer", "target", "em", "f1"),
    [
        ("The Beatles!", "beatles", 1.0, 1.0),
        ("yes", "Yes.", 1.0, 1.0),
        ("yes it is", "yes", 0.0, 0.0),
        ("no", "no way", 0.0, 0.0),
        ("Paris France", "Paris", 0.0, 2 / 3),
        ("", "Paris", 0.0, 0.0),
        ("a red car", "the car", 0.0, 2 / 3),
        ("x x y", "x y y", 0.0, 2 / 3),
        ("\u2018Paris\u2019", "Paris", 0.0, 0.0),
    ],
)
def test_hotpot_scores_follow_the_official_rules(answer: str, target: str, em: float, f1: float):
    assert answers.hotpot_em(answer, target) == em
    assert answers.hotpot_f1(answer, target) == pytest.approx(f1)


@given(st.lists(st.sampled_from("xyz")), st.lists(st.sampled_from("xyz")))
def test_hotpot_f1_is_the_dice_coefficient_of_multisets(one: list[str], other: list[str]):
    total, same = len(one) + len(other), sum((Counter(one) & Counter(other)).values())

    f1 = answers.hotpot_f1(" ".join(one), " ".join(other))

    assert f1 == pytest.approx(2 * same / total if same else 0.0)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "(lambda: 1)()",
        "[exit() for x in [1]]",
        "[x for x in 'ab']",
        "().__class__",
        "9**9**9",
        "exit()",
        "[1][0]",
        "f'{1}'",
        "(" * 300,
    ],
)
def test_no_text_that_could_act_reaches_a_verifier_that_evaluates(text: str):
    assert not answers.is_harmless_literal(text)
    assert not answers.is_harmless_formula(text, frozenset({"sin"}))


def test_plain_data_and_small_arithmetic_are_harmless():
    for literal in ("0 1 2\n3 4 5", "[[0, 1], [1, 0]]", "ABCDE", "['A', 'B']", "_ Q _", "-1 2"):
        assert answers.is_harmless_literal(literal)
    for formula in ("(3 + 4)*2", "x**2/2 + sin(x) + C", "(x**3 + 1)**2", "-x**(3/2)", "2**x"):
        assert answers.is_harmless_formula(formula, frozenset({"sin"}))


@pytest.mark.parametrize(
    "text", ["((2**20)**20)**20", "2**21", "x**(9*9)", "9**(1/0.1/0.1)", "1" * 13, "cos(x)", "'a'"]
)
def test_arithmetic_that_could_grow_is_not_harmless(text: str):
    assert not answers.is_harmless_formula(text, frozenset({"sin"}))


@given(st.text(), st.text())
@settings(max_examples=200)
def test_no_rule_raises_for_any_text(text: str, target: str):
    _every_rule(text, target)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_a_hundred_thousand_characters_take_no_time(text: str):
    start = time.perf_counter()

    _every_rule(text, "target")

    assert time.perf_counter() - start < 2.0


@given(st.text(), st.integers(4, 100))
def test_a_snippet_is_short_and_on_one_line(text: str, size: int):
    quoted = answers.snippet(text, size)

    assert "\n" not in quoted
    assert len(quoted) <= size + 7  # the quotes and " ... "


def test_the_oracle_of_hotpot_normalisation_agrees():
    def official(text: str) -> str:  # as the paper's script describes it, in other words
        kept = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\s+", " ", re.sub(r"\b(?:a|an|the)\b", " ", kept)).strip()

    for text in ("The U.S.A., an a the!", "Washington, D.C.", "ana the-an", "  A  b\tc "):
        assert answers.normalise_hotpot(text) == official(text)


def _every_rule(text: str, target: str) -> None:
    final = answers.final_answer(text)
    answers.after_marker(text)
    answers.gsm8k_strict(text)
    answers.last_number(text)
    answers.integer(text)
    answers.letter(text, "ABCDEFGHIJKLMNOPQR")
    answers.one_of(text, ("Yes", "No"))
    answers.exact_match(final, target)
    answers.dyck_equal(text, target)
    answers.words_equal(text, target)
    answers.hotpot_em(text, target)
    answers.hotpot_f1(text, target)
    answers.is_harmless_literal(text)
    answers.is_harmless_formula(text, frozenset())
    answers.snippet(text)
