"""multihop: two rounds of retrieval over the given paragraphs, four LM calls, four instructions.

The shape of the HotpotQA program of the GEPA paper (arXiv 2507.19457, appendix E): the first query
is the question, the second is written from a first summary. Retrieval is BM25 over the paragraphs
that come with the question, not over a whole encyclopaedia.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from harness.predict import Ask, Predict
from harness.trace import Module, Node, apply
from harness.types import JSON, Task

SUMMARIZE = "Write a short summary of the passages that helps to answer the question."
QUERY = "Write one search query for the fact that is still missing to answer the question."
TOP_K = 2


class Multihop(Module):
    """Question and paragraphs in; a short answer out."""

    def __init__(self, lm: Ask, task: Task):
        self.summarize1 = Predict(lm, SUMMARIZE, ["question", "passages"], "summary")
        self.query2 = Predict(
            lm, QUERY, ["question", "summary"], "query", "Reply with the query only."
        )
        self.summarize2 = Predict(lm, SUMMARIZE, ["question", "summary", "passages"], "summary2")
        self.answer = Predict(
            lm,
            task.instruction,
            ["question", "summary", "summary2"],
            "answer",
            "Reply with the answer only.",
        )

    def forward(self, question: JSON, context: JSON) -> Node:
        """Answer one question from `context`, a list of {title, text}."""
        first = _retrieve(question, context)
        summary = self.summarize1(question=question, passages=first)
        query = self.query2(question=question, summary=summary)
        second = _retrieve(query, context)
        summary2 = self.summarize2(question=question, summary=summary, passages=second)
        return self.answer(question=question, summary=summary, summary2=summary2)


def _retrieve(query: object, context: object) -> Node:
    inputs = {"query": query, "context": context}
    return apply("retrieve", retrieve, inputs, description=f"Finds the {TOP_K} best passages.")


def retrieve(query: str, context: Sequence[Mapping[str, str]]) -> str:
    """Return the TOP_K paragraphs with the highest BM25 score, as `title: text` lines.

    Ties and queries without a known word keep the paragraphs' order.
    """
    bm25s: Any = importlib.import_module("bm25s")  # without types; heavy, so not at the top
    texts = [f"{p['title']}: {p['text']}" for p in context]
    if not texts:
        return ""
    documents = bm25s.tokenize(texts, stopwords="en", show_progress=False)
    words = bm25s.tokenize([query], stopwords="en", show_progress=False, return_ids=False)
    if not documents.vocab:
        return "\n".join(texts[:TOP_K])
    index = bm25s.BM25()
    index.index(documents, show_progress=False)
    known = [w for w in words[0] if w in documents.vocab]
    scores = [float(s) for s in index.get_scores(known)] if known else [0.0] * len(texts)
    best = sorted(range(len(texts)), key=lambda i: (-scores[i], i))[:TOP_K]
    return "\n".join(texts[i] for i in best)


PROGRAM = Multihop
