"""MMLU: four-choice questions in 57 subjects (Hendrycks et al. 2021, arXiv:2009.03300).

`mmlu/SUBJECT` is one subject, `mmlu` all of them; the score is the share of right letters, over
questions, not over subjects, as in the authors' evaluate.py. They compare the probabilities of
" A".." D"; a generated answer has no official parser: ours takes the last `(B)`, or a leading `B`.
Train and val come from the validation and dev splits.
The same question means: the same text with the same choices in any order. The text alone would
merge 40 groups of different questions in 30 subjects ("Which of the following is true?").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.answers import final_answer, letter, snippet
from harness.data import Row, integer, table_examples, text, texts
from harness.errors import DataError
from harness.types import (
    Example,
    HubRef,
    Pools,
    RowSource,
    Score,
    SplitSizes,
    Table,
    make_example,
)

REVISION = "c30699e8356da336a370243923dbaf21066bb9fe"
LETTERS = "ABCD"
N_SUBJECTS = 57
SUBJECTS = """
abstract_algebra anatomy astronomy business_ethics clinical_knowledge college_biology
college_chemistry college_computer_science college_mathematics college_medicine college_physics
computer_security conceptual_physics econometrics electrical_engineering elementary_mathematics
formal_logic global_facts high_school_biology high_school_chemistry high_school_computer_science
high_school_european_history high_school_geography high_school_government_and_politics
high_school_macroeconomics high_school_mathematics high_school_microeconomics high_school_physics
high_school_psychology high_school_statistics high_school_us_history high_school_world_history
human_aging human_sexuality international_law jurisprudence logical_fallacies machine_learning
management marketing medical_genetics miscellaneous moral_disputes moral_scenarios nutrition
philosophy prehistory professional_accounting professional_law professional_medicine
professional_psychology public_relations security_studies sociology us_foreign_policy virology
world_religions
"""
VARIANTS = ("", *SUBJECTS.split())
INSTRUCTION = (
    "Answer the multiple-choice question. End your reply with a line 'Answer: X', where X is one "
    "of the letters A, B, C and D."
)
OBJECTIVE = (
    "Answer multiple-choice questions: the letter of the final answer must be the right one."
)
# college_physics has 8 rows in validation and dev together that test does not repeat.
ONE = {"default": SplitSizes(4, 4, 80), "quick": SplitSizes(4, 4, 24)}
ALL = {"default": SplitSizes(50, 50, 200), "quick": SplitSizes(12, 12, 24)}


@dataclass(frozen=True, slots=True)
class MMLU:
    """One subject, or all."""

    subject: str
    program: str = "direct"
    objective: str = OBJECTIVE
    instruction: str = INSTRUCTION

    @property
    def name(self) -> str:
        """`mmlu` or `mmlu/SUBJECT`."""
        return f"mmlu/{self.subject}" if self.subject else "mmlu"

    @property
    def presets(self) -> Mapping[str, SplitSizes]:
        """Smaller ones for one subject."""
        return ONE if self.subject else ALL

    def load(self, source: RowSource, sizes: SplitSizes, seed: int) -> Pools:
        """Return the three splits; a mirror may lack subjects, then the source counts them."""
        config = self.subject or "all"
        tables = {
            name: source.rows(HubRef("cais/mmlu", REVISION, config, name, "mmlu"))
            for name in ("validation", "dev", "test")
        }
        optimize = [e for name in ("validation", "dev") for e in _examples(tables[name])]
        test = _examples(tables["test"])
        where = "; ".join(table.source for table in tables.values())
        if not self.subject:
            n_subjects = len({str(e.meta["subject"]) for e in test})
            where += f"; {n_subjects} of {N_SUBJECTS} subjects"
        return Pools(optimize, test, where)

    def score(self, example: Example, output: str) -> Score:
        """Score the chosen letter."""
        answer = final_answer(output)
        given = letter(answer, LETTERS)
        if given == example.target:
            return Score(1.0, f"Correct: {example.target}.")
        expected = f"Expected {example.target}, {snippet(str(example.meta['text']))}"
        if not answer:
            return Score(0.0, f"{expected}, but no answer was found; end with 'Answer: X'.")
        if given is None:
            return Score(0.0, f"{expected}; {snippet(answer)} names no letter A, B, C or D.")
        return Score(0.0, f"{expected}, but the answer was {given}.")


def task(variant: str) -> MMLU:
    """Return one subject, or all for the empty name."""
    return MMLU(variant)


def _examples(table: Table) -> list[Example]:
    return table_examples(table, _example)


def _example(row: Row) -> Example:
    question, choices, answer = text(row, "question"), texts(row, "choices"), integer(row, "answer")
    if len(choices) != len(LETTERS) or not 0 <= answer < len(LETTERS):
        raise DataError(f"{len(choices)} choices and answer {answer}; there must be 4, and 0 to 3")
    lines = [f"{x}) {choice.strip()}" for x, choice in zip(LETTERS, choices, strict=True)]
    squeezed = sorted(" ".join(choice.casefold().split()) for choice in choices)
    return make_example(
        {"question": "\n".join([question.strip(), *lines])},
        LETTERS[answer],
        content="\n".join([question, *squeezed]),
        meta={"subject": text(row, "subject"), "text": choices[answer].strip()},
    )
