"""Scoring rules under their own names, each with its source."""

from __future__ import annotations

import re
import string
from collections import Counter

_GSM8K = re.compile(r"#### (\-?[0-9\.\,]+)")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_BRACKETS = frozenset("[](){}<>")


def gsm8k_strict(text: str) -> str | None:
    """Return the answer after the first `#### `, commas removed; None if there is none.

    Source: openai/grade-school-math @ 3101c7d, grade_school_math/dataset.py. Answers are equal as
    strings: `72.` is not `72`.
    """
    match = _GSM8K.search(text)
    return match[1].strip().replace(",", "") if match else None


def exact_match(answer: str, target: str) -> bool:
    """Compare a final answer with the target, after one final full stop is taken off.

    Source: BIG-Bench Hard (arXiv:2210.09261, section 3), exact match of what follows "the answer
    is"; the full stop belongs to the sentence. lm-evaluation-harness drops the last character
    whatever it is; this does not.
    """
    return answer.strip().removesuffix(".") == target.strip()


def dyck_equal(answer: str, target: str) -> bool:
    """Compare two bracket sequences; everything that is no bracket is left out."""
    return [c for c in answer if c in _BRACKETS] == [c for c in target if c in _BRACKETS]


def words_equal(answer: str, target: str) -> bool:
    """Compare two lists of words, split at commas and blanks, in any case."""
    given = answer.removesuffix(".").casefold().replace(",", " ").split()
    return given == target.casefold().split()


def normalise_hotpot(text: str) -> str:
    """Return lower case without ASCII punctuation and articles, blanks squeezed.

    Source: hotpotqa/hotpot @ 3635853, hotpot_evaluate_v1.py, normalize_answer. Curly quotes and
    dashes stay, as there.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def hotpot_em(answer: str, target: str) -> float:
    """Return 1.0 if both are equal after normalisation, else 0.0; source as normalise_hotpot."""
    return float(normalise_hotpot(answer) == normalise_hotpot(target))


def hotpot_f1(answer: str, target: str) -> float:
    """Return F1 over the normalised tokens, as multisets; source as normalise_hotpot.

    If either side is yes, no or noanswer and the other differs, it is 0, as it is there.
    """
    given, wanted = normalise_hotpot(answer), normalise_hotpot(target)
    if given != wanted and {given, wanted} & {"yes", "no", "noanswer"}:
        return 0.0
    given_tokens, wanted_tokens = given.split(), wanted.split()
    n_same = sum((Counter(given_tokens) & Counter(wanted_tokens)).values())
    if n_same == 0:
        return 0.0
    precision, recall = n_same / len(given_tokens), n_same / len(wanted_tokens)
    return 2 * precision * recall / (precision + recall)
