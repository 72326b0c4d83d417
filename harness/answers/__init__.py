"""Answer extraction and scoring rules: pure functions over untrusted text, linear in its length."""

from harness.answers.extract import (
    after_marker,
    final_answer,
    integer,
    last_number,
    letter,
    one_of,
    snippet,
)
from harness.answers.harmless import is_harmless_formula, is_harmless_literal
from harness.answers.rules import (
    dyck_equal,
    exact_match,
    gsm8k_strict,
    hotpot_em,
    hotpot_f1,
    normalise_hotpot,
    words_equal,
)

__all__ = [
    "after_marker",
    "dyck_equal",
    "exact_match",
    "final_answer",
    "gsm8k_strict",
    "hotpot_em",
    "hotpot_f1",
    "integer",
    "is_harmless_formula",
    "is_harmless_literal",
    "last_number",
    "letter",
    "normalise_hotpot",
    "one_of",
    "snippet",
    "words_equal",
]
