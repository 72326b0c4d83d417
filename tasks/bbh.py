"""BIG-Bench Hard: 27 tasks (Suzgun et al. 2022, arXiv:2210.09261).

Headline score: a rule by the form of the task's answers (the last `(B)`, the word, the number, the
brackets, the list of words) on the final answer. The paper's exact match of what follows "the
answer is" stands beside it as `strict`. Each task is one pool of rows without an official split;
splits are shuffled, so the presets of the Trace and TextGrad papers have their sizes, not their
examples (both cut by position in the file). The data set carries a canary, see docs/tasks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.answers import (
    dyck_equal,
    exact_match,
    final_answer,
    integer,
    letter,
    one_of,
    snippet,
    words_equal,
)
from harness.data import Row, table_examples, text
from harness.types import (
    Example,
    HubRef,
    Pools,
    RowSource,
    Score,
    SplitSizes,
    make_example,
)

# The Parquet copy that lm-evaluation-harness uses; lukaemon/bbh is a script, which datasets>=4
# refuses. The revision is pinned so in two public repositories; we could not load it ourselves.
REPO, REVISION = "SaylorTwift/bbh", "b5306be6f827cfafbb545ff5a51f96916029b0fd"
LETTERS = "ABCDEFGHIJKLMNOPQR"


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer looks like; `read` finds it in a final answer, None if it is not there.

    `equal` compares the final answer itself where there is nothing to look for.
    """

    wanted: str
    read: Callable[[str], str | None]
    equal: Callable[[str, str], bool] | None = None


def _words(*words: str) -> Form:
    return Form(" or ".join(words), lambda answer: one_of(answer, words))


LETTER = Form("the letter of an option in parentheses, such as (A)", lambda a: _option(a))
NUMBER = Form("a whole number", integer)
YES_NO, LOWER_YES_NO = _words("Yes", "No"), _words("yes", "no")
BRACKETS = Form(
    "only the missing closing brackets, separated by blanks",
    lambda answer: answer if set(answer) & set("[](){}<>") else None,
    dyck_equal,
)
SORTED = Form("the sorted words, separated by blanks", lambda a: a or None, words_equal)

OTHER_FORMS = {
    "boolean_expressions": _words("True", "False"),
    "causal_judgement": YES_NO,
    "dyck_languages": BRACKETS,
    "formal_fallacies": _words("valid", "invalid"),
    "multistep_arithmetic_two": NUMBER,
    "navigate": YES_NO,
    "object_counting": NUMBER,
    "sports_understanding": LOWER_YES_NO,
    "web_of_lies": YES_NO,
    "word_sorting": SORTED,
}
LETTER_TASKS = """
date_understanding disambiguation_qa geometric_shapes hyperbaton logical_deduction_five_objects
logical_deduction_seven_objects logical_deduction_three_objects movie_recommendation
penguins_in_a_table reasoning_about_colored_objects ruin_names salient_translation_error_detection
snarks temporal_sequences tracking_shuffled_objects_five_objects
tracking_shuffled_objects_seven_objects tracking_shuffled_objects_three_objects
"""
FORMS = {**OTHER_FORMS, **dict.fromkeys(LETTER_TASKS.split(), LETTER)}
VARIANTS = tuple(sorted(FORMS))
# Their options were cut at a comma, so that no letter is right: no answer scores 1. The
# contradicting pairs of causal_judgement are left out by the split.
UNREACHABLE = {
    "movie_recommendation": frozenset({"Monsters, Inc"}),
    "ruin_names": frozenset({"dearth, wind, & fire", "rita, sue and bob poo"}),
}
# textgrad is 50/100/100 where a task has 250 different rows; penguins_in_a_table has too few.
PRESETS = {
    "default": SplitSizes(20, 20, 100),
    "quick": SplitSizes(12, 12, 24),
    "trace": SplitSizes(15, 5, None),
    "textgrad": SplitSizes(50, 100, None),
}
TOO_SMALL_FOR_TEXTGRAD = frozenset({"penguins_in_a_table"})


@dataclass(frozen=True, slots=True)
class BBH:
    """One of the 27 tasks."""

    variant: str
    program: str = "chain_of_thought"

    @property
    def name(self) -> str:
        """`bbh/VARIANT`."""
        return f"bbh/{self.variant}"

    @property
    def objective(self) -> str:
        """The same for all, with the form of the answers."""
        return f"Answer each question correctly; the final answer must be {self._form.wanted}."

    @property
    def instruction(self) -> str:
        """Tells the form of the answer."""
        return (
            "Answer the question. End your reply with a line 'Answer: X', where X is "
            f"{self._form.wanted}."
        )

    @property
    def presets(self) -> Mapping[str, SplitSizes]:
        """Named split sizes."""
        left_out = {"textgrad"} if self.variant in TOO_SMALL_FOR_TEXTGRAD else set[str]()
        return {name: sizes for name, sizes in PRESETS.items() if name not in left_out}

    @property
    def _form(self) -> Form:
        return FORMS[self.variant]

    def load(self, source: RowSource, sizes: SplitSizes, seed: int) -> Pools:
        """Return all rows as one pool."""
        table = source.rows(HubRef(REPO, REVISION, self.variant, "test", "bbh"))
        return Pools(table_examples(table, _example), None, table.source)

    def score(self, example: Example, output: str) -> Score:
        """Score the final answer by the form's rule."""
        answer, target, form = final_answer(output), example.target, self._form
        strict = float(exact_match(answer, target))
        found = form.read(answer)
        right = form.equal(answer, target) if form.equal else found == target
        if right:
            return Score(1.0, f"Correct: {target}", {"strict": strict})
        if not answer:
            fault = "but no answer was found; end with 'Answer: X'"
        elif found is None:
            fault = f"but {snippet(answer)} is not of the form wanted: {form.wanted}"
        else:
            fault = f"but the answer was {snippet(found)}"
        return Score(0.0, f"Expected {target}, {fault}.", {"strict": strict})


def task(variant: str) -> BBH:
    """Return one of the 27 tasks."""
    return BBH(variant)


def _example(row: Row) -> Example:
    question = text(row, "input")
    return make_example({"question": question}, text(row, "target"), content=question)


def _option(answer: str) -> str | None:
    found = letter(answer, LETTERS)
    return None if found is None else f"({found})"
