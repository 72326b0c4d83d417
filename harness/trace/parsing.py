"""Python source as a syntax tree, also in threads."""

from __future__ import annotations

import ast
import threading

# Guards the recursion counter that CPython 3.11 shares among threads that parse (gh-106905).
_LOCK = threading.RLock()


def parse(text: str) -> ast.Module:
    """Return the tree. Raises SyntaxError and, for what nests too deep, RecursionError."""
    with _LOCK:
        try:
            return ast.parse(text)
        except SystemError:  # another library parsed at the same time
            return ast.parse(text)


def parse_expression(text: str) -> ast.Expression:
    """Return the tree of one expression. Raises as `parse` does."""
    with _LOCK:
        return ast.parse(text, mode="eval")
