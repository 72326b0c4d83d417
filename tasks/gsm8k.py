"""GSM8K: grade school mathematics in words (Cobbe et al. 2021, arXiv:2110.14168).

Headline score: the last number of the final answer, as lm-evaluation-harness extracts it
("flexible"). The authors' own rule, the number after `#### `, stands beside it as `strict`; they
trained models on that form, a prompted model writes it only if told to. Train is shuffled, so
the Trace preset has the sizes of that paper, not its examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.answers import final_answer, gsm8k_strict, last_number, snippet
from harness.data import Row, table_examples, text
from harness.errors import DataError
from harness.types import (
    Example,
    HubRef,
    Pools,
    RowSource,
    Score,
    SplitSizes,
    make_example,
)

REVISION = "740312add88f781978c0658806c59bc2815b9866"
INSTRUCTION = (
    "Solve the math word problem. End your reply with a line 'Answer: N', where N is the result "
    "as a plain number, without units."
)
OBJECTIVE = (
    "Solve math word problems: the last number in the final answer must equal the expected one, "
    "digit by digit; commas and $ are ignored."
)
PRESETS = {
    "default": SplitSizes(50, 50, 100),
    "quick": SplitSizes(12, 12, 24),
    "trace": SplitSizes(200, 300, None),
}


@dataclass(frozen=True, slots=True)
class GSM8K:
    """The whole set: train and val from its train split, test from its test split."""

    name: str = "gsm8k"
    objective: str = OBJECTIVE
    instruction: str = INSTRUCTION
    program: str = "chain_of_thought"
    presets: Mapping[str, SplitSizes] = field(default_factory=lambda: PRESETS)

    def load(self, source: RowSource, sizes: SplitSizes, seed: int) -> Pools:
        """Return both splits of the config `main`."""
        train = source.rows(HubRef("openai/gsm8k", REVISION, "main", "train", "gsm8k"))
        test = source.rows(HubRef("openai/gsm8k", REVISION, "main", "test", "gsm8k"))
        return Pools(
            table_examples(train, _example),
            table_examples(test, _example),
            f"{train.source}; {test.source}",
        )

    def score(self, example: Example, output: str) -> Score:
        """Score the last number of the final answer, else of the whole output."""
        given = last_number(final_answer(output)) or last_number(output)
        right = given == example.target
        strict = float(gsm8k_strict(output) == example.target)
        return Score(float(right), _feedback(example.target, given, output), {"strict": strict})


def _example(row: Row) -> Example:
    question, solution = text(row, "question"), text(row, "answer")
    target = gsm8k_strict(solution)
    if target is None:
        raise DataError(f"field 'answer' has no '#### N' at its end; got {snippet(solution)}")
    return make_example({"question": question}, target, content=question)


def _feedback(target: str, given: str | None, output: str) -> str:
    if given == target:
        return f"Correct: {target}."
    if given is None:
        found = f"no number was found in {snippet(output)}" if output.strip() else "no answer"
        return f"Expected {target}, but {found}; end with 'Answer: N'."
    if _value(given) == _value(target):
        return f"Expected {target}; {given} has the right value, but must be written {target}."
    return f"Expected {target}, but the answer was {given}; the form is right, the value is not."


def _value(number: str) -> float | None:
    try:
        return float(number)
    except ValueError:
        return None


TASK = GSM8K()
