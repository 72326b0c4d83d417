"""Whether a verifier that evaluates the answer as Python may be shown it.

Several verifiers of reasoning-gym call `eval` or sympy's `parse_expr`, which is `eval`, on what the
model wrote. Code that a model wrote never runs in our process, so only texts that pass here may
reach them: plain data, or short arithmetic that can neither call out nor grow without bound.
"""

from __future__ import annotations

import ast
import re
from typing import cast

MAX_LITERAL = 10_000  # characters
MAX_FORMULA = 400
MAX_EXPONENT = 20
MAX_NUMBER = 10**12
_WORDS = re.compile(r"[\w\s-]*")
_WARNS = re.compile(r"[0-9][^\W\d]|\\")  # "1or 2" and "\d" make Python's parser warn
_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Call)
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub, ast.Load)


def is_harmless_literal(text: str) -> bool:
    """Whether `eval` would only build plain data, or fail: words without brackets, or a literal."""
    if len(text) > MAX_LITERAL or _WARNS.search(text):
        return False
    if _WORDS.fullmatch(text):
        return True
    tree = _parsed(text)
    if tree is None:
        return False
    try:
        ast.literal_eval(tree)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def is_harmless_formula(text: str, functions: frozenset[str]) -> bool:
    """Whether the text is arithmetic over small numbers, one-letter names and these functions.

    An exponent is one number up to 20, one fraction or one name, and at most two powers stand
    inside each other, so that no value has more than some thousand digits.
    """
    if len(text) > MAX_FORMULA or _WARNS.search(text):
        return False
    tree = _parsed(text)
    return tree is not None and all(_is_plain(node, functions) for node in ast.walk(tree))


def _parsed(text: str) -> ast.Expression | None:
    try:
        return ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_plain(node: ast.AST, functions: frozenset[str]) -> bool:
    if isinstance(node, ast.Constant):
        # Of the exact types: a bool is an int, and a text must not pass.
        return type(node.value) in (int, float) and abs(cast("float", node.value)) < MAX_NUMBER
    if isinstance(node, ast.Name):
        return len(node.id) == 1 or node.id in functions
    if isinstance(node, ast.Call):
        named = isinstance(node.func, ast.Name) and node.func.id in functions
        return named and len(node.args) == 1 and not node.keywords
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _is_small(node.right) and _power_depth(node.left) < 2
    return isinstance(node, _NODES + _OPERATORS)


def _is_small(exponent: ast.expr) -> bool:
    if isinstance(exponent, ast.UnaryOp):
        return _is_small(exponent.operand)
    if isinstance(exponent, ast.BinOp) and isinstance(exponent.op, ast.Div):
        sides = (exponent.left, exponent.right)
        return all(isinstance(side, ast.Constant) and _is_small(side) for side in sides)
    if isinstance(exponent, ast.Constant):
        return isinstance(exponent.value, int | float) and exponent.value <= MAX_EXPONENT
    return isinstance(exponent, ast.Name)


def _power_depth(node: ast.AST) -> int:
    deepest = max(map(_power_depth, ast.iter_child_nodes(node)), default=0)
    return deepest + (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow))
