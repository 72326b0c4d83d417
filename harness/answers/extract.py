"""From a model's reply to the short answer in it."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKER = re.compile(
    r"(?P<open>\*\*|__)?(?:\bfinal )?\banswer[ \t]{0,3}(?:\*\*|__)?[ \t]{0,3}:[ \t]{0,3}"
    r"(?:\*\*(?!\S)|__(?!\S))?"
    r"|\bthe[ \t]answer[ \t]is\b[ \t]{0,3}:?",
    re.IGNORECASE,
)
_BLANK_LINE = re.compile(r"\n[ \t\r]*\n")
_NUMBER_LM_EVAL = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_WHOLE_NUMBER = re.compile(r"-?[0-9][0-9,]*(?:\.0+)?(?![0-9.]*[0-9])")


def final_answer(text: str) -> str:
    """Return the answer that a reply ends with; a short answer comes back as it is.

    It is what stands after the last `Answer:` or "the answer is" (in any case, also in Markdown
    bold), up to a blank line. Without such a marker it is the only line, or the last line that is
    not blank. Bold, back-ticks or a code fence around the whole answer are taken off; a full stop
    stays. "" means that no answer was given.
    """
    marked = _marked(text)
    if marked is None:
        lines = _unwrapped(text).rstrip().rsplit("\n", 1)
        return _unwrapped(lines[-1])
    if marked.startswith("```"):
        return _unwrapped(marked)
    return _unwrapped(_BLANK_LINE.split(marked, maxsplit=1)[0])


def after_marker(text: str) -> str | None:
    """Return all that follows the last marker, blank lines included, or None without a marker.

    The markers and what is taken off are those of `final_answer`.
    """
    marked = _marked(text)
    return None if marked is None else _unwrapped(marked)


def last_number(text: str) -> str | None:
    """Return the last number as text, without commas, `$` and a final full stop; None if absent.

    Source: lm-evaluation-harness 4e7e0d47, gsm8k.yaml, filter "flexible-extract" with the
    normalisation of its exact_match. Two differences: a match must hold a digit (there "..." can
    be the last number), and U+2212 counts as a minus sign.
    """
    last = None
    for match in _NUMBER_LM_EVAL.finditer(text.replace("\u2212", "-")):
        if any(c in "0123456789" for c in match[0]):
            last = match[0]
    return None if last is None else last.replace(",", "").replace("$", "").removesuffix(".")


def integer(text: str) -> str | None:
    """Return the last whole number as `int` writes it; `1,000` and `24.0` are whole numbers."""
    found = _WHOLE_NUMBER.findall(text.replace("\u2212", "-"))
    if not found:
        return None
    digits = found[-1].replace(",", "").partition(".")[0]
    sign, digits = ("-", digits[1:]) if digits.startswith("-") else ("", digits)
    digits = digits.lstrip("0") or "0"
    return digits if digits == "0" else sign + digits


def letter(text: str, letters: str) -> str | None:
    """Return the chosen option's letter: the last `(B)`, else `B`, `B)`, `B.` at the start.

    Failing both, a letter at the very end after "is", "option", "choice" or a colon. Capitals
    only, since "a" is a word.
    """
    one = f"([{letters}])"
    bracketed = re.findall(rf"\({one}\)", text)
    if bracketed:
        return bracketed[-1]
    leading = re.match(rf"\s*{one}(?:[).:,]|\s*$)", text)
    if leading:
        return leading[1]
    trailing = re.search(rf"(?:\bis|\boption|\bchoice|:)[ \t]{one}[).\s]*\Z", text[-80:], re.I)
    return trailing[1] if trailing and trailing[1] in letters else None


def one_of(text: str, words: Sequence[str]) -> str | None:
    """Return which of the words the text starts with, in any case, else which occurs last."""
    either = "|".join(map(re.escape, words))
    found = re.findall(rf"\b(?:{either})\b", text, re.IGNORECASE)
    if not found:
        return None
    leading = re.match(rf"\W*({either})\b", text, re.IGNORECASE)
    chosen = leading[1] if leading else found[-1]
    return next((word for word in words if word.casefold() == chosen.casefold()), None)


def snippet(text: str, size: int = 80) -> str:
    """Return the text in quotes on one line, its middle cut out if it is longer than `size`."""
    line = " ".join(text[: 4 * size].split()) if len(text) <= 4 * size else ""
    if not line:
        head, tail = " ".join(text[: 2 * size].split()), " ".join(text[-2 * size :].split())
        line = head if head == tail else f"{head} {tail}"
    if len(line) > size:
        line = f"{line[: size // 2].rstrip()} ... {line[-(size // 2) :].lstrip()}"
    return f'"{line}"'


def _marked(text: str) -> str | None:
    matches = list(_MARKER.finditer(text))
    if not matches:
        return None
    last = matches[-1]
    rest = text[last.end() :].strip()
    opened = last["open"]  # "**Answer: 5**" closes after the answer
    return f"{opened}{rest}" if opened and _closes(rest, opened) else rest


def _closes(rest: str, mark: str) -> bool:
    first = _BLANK_LINE.split(rest, maxsplit=1)[0].rstrip()
    return first.endswith(mark) and not first.startswith(mark)


def _unwrapped(text: str) -> str:
    text = text.strip()
    if text.startswith("```"):
        inside = text.removeprefix("```").partition("```")[0]
        first, newline, rest = inside.partition("\n")
        return (rest if newline and (not first or first.strip().isalpha()) else inside).strip("\n")
    for mark in ("**", "__", "`"):
        inner = text[len(mark) : -len(mark)]
        whole = len(text) > 2 * len(mark) and text == f"{mark}{inner}{mark}"
        if whole and not re.search(rf"\s{re.escape(mark)}|{re.escape(mark)}\s", inner):
            text = inner.strip()
    return text
