"""multihop: two rounds of retrieval over the given paragraphs, four LM calls, four instructions.

The shape of the HotpotQA program of the GEPA paper (arXiv 2507.19457, appendix E): the first query
is the question, the second is written from a first summary. Retrieval is BM25 over the paragraphs
that come with the question, not over a whole encyclopaedia.
"""

from harness.predict import Ask, Predict
from harness.retrieval import best_passages
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
    inputs = {"query": query, "context": context, "k": TOP_K}
    return apply("retrieve", best_passages, inputs, description="Finds the k best passages, BM25.")


PROGRAM = Multihop
