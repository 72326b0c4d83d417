"""HotpotQA, distractor setting: questions over two of ten paragraphs (Yang et al. 2018, D18-1259).

Headline score: the official exact match; `f1` beside it (hotpot_evaluate_v1.py). Supporting facts
are not scored: the programs give an answer only. Train and val come from the train split, test
from the validation split, whose answers are public. GEPA uses other rows: fullwiki, and its train
split for all three; the preset `gepa` has its sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.answers import final_answer, hotpot_em, hotpot_f1, snippet
from harness.data import Row, table_examples, text, texts
from harness.errors import DataError
from harness.types import (
    JSON,
    Example,
    HubRef,
    Pools,
    RowSource,
    Score,
    SplitSizes,
    make_example,
)

REVISION = "1908d6afbbead072334abe2965f91bd2709910ab"
MAX_TRAIN_ROWS = 10_000  # of 90,447, evenly spread; all of them would fill gigabytes
INSTRUCTION = (
    "Answer the question from the given paragraphs. End your reply with a line 'Answer: X', where "
    "X is as short as possible: a name, a date, a number, yes or no."
)
OBJECTIVE = (
    "Answer questions that need two paragraphs: the final answer must equal the expected one after "
    "lower-casing and removing punctuation and articles. Extra words make it wrong."
)
PRESETS = {
    "default": SplitSizes(50, 50, 100),
    "quick": SplitSizes(12, 12, 24),
    "gepa": SplitSizes(150, 300, 300),
}


@dataclass(frozen=True, slots=True)
class HotpotQA:
    """The config `distractor`."""

    name: str = "hotpotqa"
    objective: str = OBJECTIVE
    instruction: str = INSTRUCTION
    program: str = "multihop"
    presets: Mapping[str, SplitSizes] = field(default_factory=lambda: PRESETS)

    def load(self, source: RowSource, sizes: SplitSizes, seed: int) -> Pools:
        """Return the validation split, and at most MAX_TRAIN_ROWS of the train split."""
        repo, config = "hotpotqa/hotpot_qa", "distractor"
        train = source.rows(HubRef(repo, REVISION, config, "train", "hotpotqa"))
        test = source.rows(HubRef(repo, REVISION, config, "validation", "hotpotqa"))
        return Pools(
            table_examples(train, _example, MAX_TRAIN_ROWS),
            table_examples(test, _example),
            f"{train.source}; {test.source}",
        )

    def score(self, example: Example, output: str) -> Score:
        """Score the final answer by the official exact match."""
        answer = final_answer(output)
        em, f1 = hotpot_em(answer, example.target), hotpot_f1(answer, example.target)
        return Score(em, _feedback(example.target, answer, em, f1), {"f1": f1})


def _example(row: Row) -> Example:
    question, target = text(row, "question"), text(row, "answer")
    inputs = {"question": question, "context": _context(row)}
    return make_example(inputs, target, content=question)


def _context(row: Row) -> list[JSON]:
    context = row.get("context")
    if not isinstance(context, Mapping):
        raise DataError("field 'context' must hold title and sentences; see docs/tasks.md")
    titles, sentences = texts(context, "title"), context.get("sentences")
    if not isinstance(sentences, list) or len(sentences) != len(titles):
        raise DataError("field 'context.sentences' must be a list of texts for each title")
    lists = [texts({"sentences": s}, "sentences") for s in sentences]
    return [{"title": t, "text": "".join(s)} for t, s in zip(titles, lists, strict=True)]


def _feedback(target: str, answer: str, em: float, f1: float) -> str:
    if em:
        return f"Correct: {target}"
    if not answer:
        return f"Expected \"{target}\", but no answer was found; end with 'Answer: X'."
    if f1:
        return (
            f'Expected exactly "{target}"; the answer {snippet(answer)} shares words with it '
            f"(F1 {f1:.2f}), but words are missing or too many."
        )
    return f'Expected "{target}", but the answer was {snippet(answer)}; no match.'


TASK = HotpotQA()
