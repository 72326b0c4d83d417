"""The paragraphs that fit a query, by BM25, as traced operators for programs."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from harness.trace import Node, apply


def best_passages(query: str, context: Sequence[Mapping[str, str]], k: int) -> str:
    """Return the `k` paragraphs {title, text} with the highest BM25 score, as `title: text` lines.

    Ties and queries without a known word keep the paragraphs' order.
    """
    bm25s: Any = importlib.import_module("bm25s")  # without types; heavy, so not at the top
    texts = [f"{p['title']}: {p['text']}" for p in context]
    if not texts:
        return ""
    documents = bm25s.tokenize(texts, stopwords="en", show_progress=False)
    words = bm25s.tokenize([query], stopwords="en", show_progress=False, return_ids=False)
    if not documents.vocab:
        return "\n".join(texts[:k])
    index = bm25s.BM25()
    index.index(documents, show_progress=False)
    known = [w for w in words[0] if w in documents.vocab]
    scores = [float(s) for s in index.get_scores(known)] if known else [0.0] * len(texts)
    best = sorted(range(len(texts)), key=lambda i: (-scores[i], i))[:k]
    return "\n".join(texts[i] for i in best)


def asked(question: object, context: object, k: int = 1) -> Node | object:
    """Return the question, or, if there is a context, a node of its best passages and itself."""
    if context is None:
        return question
    inputs = {"question": question, "context": context, "k": k}
    return apply("with_passages", with_passages, inputs, description="Puts passages first, BM25.")


def with_passages(question: str, context: Sequence[Mapping[str, str]], k: int) -> str:
    """Return the question after its `k` best passages, for a program of one model call."""
    return f"{best_passages(question, context, k)}\n\nQuestion: {question}"
