"""Python source as a syntax tree, also in threads."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Guards the recursion counter that CPython 3.11 shares among threads that parse (gh-106905).
_LOCK = threading.RLock()


def parse(text: str) -> ast.Module:
    """Return the tree. Raises SyntaxError and, for what nests too deep, RecursionError."""
    return _parsed(lambda: ast.parse(text))


def parse_expression(text: str) -> ast.Expression:
    """Return the tree of one expression. Raises as `parse` does."""
    return _parsed(lambda: ast.parse(text, mode="eval"))


def _parsed(read: Callable[[], T]) -> T:
    with _LOCK:
        try:
            return read()
        except SystemError:  # another library parsed at the same time
            return read()
