"""Rewriting of a Python file: new literals and function bodies, and nothing else is changed.

All text is split at `\\n`; rows count from 1, as in `ast`. An edit knows the syntax that its text
has to have in the file, and `rewritten` compares the syntax tree of the result with that.
"""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import io
import pprint
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from textwrap import indent
from types import CodeType
from typing import NamedTuple, TypeAlias, cast

from harness.trace.parsing import parse, parse_expression

Def: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_WIDTH = 80
_BESIDE = (Def, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
# How a function of each kind hands on what another of its kind returns or yields.
_HAND_ON = {
    0: "return {call}",
    inspect.CO_COROUTINE: "return await {call}",
    inspect.CO_GENERATOR: "return (yield from {call})",
    inspect.CO_ASYNC_GENERATOR: "async for item in {call}:\n    yield item",
}


class RewriteError(Exception):
    """A text cannot take the place it is for; tells why."""


class Edit(NamedTuple):
    """A new text from one offset to another, and the syntax it has to have there."""

    start: int
    end: int
    text: str
    node: ast.AST


class NewCode(NamedTuple):
    """A text of code and the function `main` in it.

    kind: one of the code flags of _HAND_ON. in_string: the rows that begin within a string and
    so keep their indent; docstrings do not count.
    """

    lines: Sequence[str]
    tree: ast.Module
    main: Def
    kind: int
    in_string: set[int]


def rewritten(lines: Sequence[str], tree: ast.Module, edits: Mapping[ast.AST, Edit]) -> str:
    """Apply edits, by the node they replace. Uses the tree up.

    Raises RewriteError if a text would mean something else, or reach further, than its node.
    """
    text = "\n".join(lines)
    for start, end, new, _ in sorted(edits.values(), key=itemgetter(0), reverse=True):
        text = text[:start] + new + text[end:]
    try:
        same = _shape(parse(text)) == _shape(_Swap(edits).visit(tree))
    except (SyntaxError, RecursionError):
        same = False
    if not same:
        raise RewriteError(
            "a new text means something else in the file than by itself; look for form feeds, tabs "
            "and very deep nesting in code that was learned"
        )
    return text


def literal(value: object) -> str:
    """Return a plain value as Python source, a long one over several lines.

    Raises RewriteError if it has no literal that gives the same again, in the same order.
    """
    text = ""
    try:
        text = pprint.pformat(value, width=_WIDTH, sort_dicts=False)
        steps = list(ast.walk(parse_expression(text)))
        same = repr(ast.literal_eval(text)) == repr(value)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        steps, same = [], False
    if not same or any(isinstance(step, ast.Set) for step in steps):
        raise RewriteError(
            f"{type(value).__name__} without a fixed literal in Python; allowed are texts, finite "
            "numbers, True, False, None, and lists and dicts of these"
        )
    return text


def under(text: str) -> str:
    """Return a text of several lines as a block that begins on a new line, others as they are."""
    return "\n" + indent(text, "    ") if "\n" in text else text


def literal_edit(lines: Sequence[str], old: ast.expr, text: str) -> Edit:
    """Put the text of a literal in the place of another, which is an argument of a call."""
    before, last_row = _before(lines, old), old.end_lineno or 0
    last = lines[last_row - 1].encode()[: old.end_col_offset].decode()
    # What begins its line stays there; else a long literal gets a line of its own.
    new = under(text) if before.strip() else text
    new = indent(new, _margin(before)).lstrip(" \t")
    start, end = _offset(lines, old.lineno) + len(before), _offset(lines, last_row) + len(last)
    return Edit(start, end, new, parse_expression(text).body)


def function_edit(
    lines: Sequence[str], old: Def, new: NewCode, bound: bool, names: Iterable[str]
) -> Edit:
    """Put the new body, or all of the new code, in the place of a function's body.

    bound: the function is a method; as a text of its own the new code was called with None for
    `self`. names: those of the file's module, which may hide builtins.
    """
    own, main = old.args, new.main
    margin = _margin(lines[old.lineno - 1])
    first = [a.arg for a in (*own.posonlyargs, *own.args)][: int(bound)]
    used = {n.id for n in ast.walk(new.tree) if isinstance(n, ast.Name)}
    taken = {*names, *(a.arg for a in ast.walk(own) if isinstance(a, ast.arg))}
    hidden = {n for n in used & taken if hasattr(builtins, n) and not n.startswith("_")}
    alone = new.tree.body == [main] and not main.decorator_list
    if alone and used.isdisjoint({main.name, *first, *hidden}):
        rows = range(first_row(main.body[0]), (main.end_lineno or 0) + 1)
        text, body = _moved(new, rows, margin), main.body
    else:
        text, body = _whole(new, _call(own, first), sorted(hidden), margin)
    start, end = _offset(lines, first_row(old.body[0])), _offset(lines, (old.end_lineno or 0) + 1)
    head = _before(lines, old.body[0]).rstrip()
    if head:
        start, text = start + len(head), ["", *text]
    node = copy.copy(old)
    node.body = body
    return Edit(start, end - 1, "\n".join(text), node)


def new_code(source: str, name: str) -> NewCode:
    """Parse code for the function `name`. Raises RewriteError if it cannot stand in a function."""
    lines = re.split(r"\r\n?|\n", source.strip("\r\n"))
    try:
        tree = parse("\n".join(lines))
        codes = codes_in(compile(tree, f"<{name}>", "exec", dont_inherit=True))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RewriteError(f"code that does not compile: {error}") from error
    main = next((d for d in tree.body if isinstance(d, Def) and d.name == name), None)
    if main is None:
        raise RewriteError(f"code that does not define {name}")
    head, row = _before(lines, main.body[0]), main.body[0].lineno
    if head.strip():
        body = "    " + lines[row - 1][len(head) :]
        return new_code("\n".join([*lines[: row - 1], head.rstrip(), body, *lines[row:]]), name)
    for part in tree.body:
        if not _may_move(part):
            raise RewriteError(
                f"`{lines[part.lineno - 1].strip()[:60]}` in its code; beside the function may "
                "stand helpers, imports of names and assignments"
            )
    if any(isinstance(part, ast.Global) for part in ast.walk(tree)):
        raise RewriteError("`global` in its code, which would reach the names of the file")
    flags = next(
        c.co_flags for c in codes if (c.co_name, c.co_firstlineno) == (name, first_row(main))
    )
    return NewCode(lines, tree, main, flags & sum(_HAND_ON), _rows_in_strings(lines, tree))


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all within it, as compiled functions and classes are."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_in(constant)


def first_row(step: ast.stmt) -> int:
    """Return the first row of a statement, decorators included."""
    return min(part.lineno for part in (step, *getattr(step, "decorator_list", ())))


def _may_move(part: ast.stmt) -> bool:
    if isinstance(part, ast.ImportFrom):
        return part.module != "__future__" and part.names[0].name != "*"
    text = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
    return text or isinstance(part, _BESIDE)


def _call(own: ast.arguments, absent: Sequence[str]) -> str:
    """Write the call of the new function with the arguments of the old, None for `absent`."""
    given = ["None" if a.arg in absent else a.arg for a in (*own.posonlyargs, *own.args)]
    given += [f"*{own.vararg.arg}"] if own.vararg else []
    given += [f"{a.arg}={a.arg}" for a in own.kwonlyargs]
    given += [f"**{own.kwarg.arg}"] if own.kwarg else []
    return f"_learned()({', '.join(given)})"


def _whole(
    new: NewCode, call: str, hidden: Sequence[str], margin: str
) -> tuple[list[str], list[ast.stmt]]:
    """Return a body that makes the new function out of all of its text, and calls it."""
    step = _margin(new.lines[new.main.body[0].lineno - 1])
    head = ["def _learned():", *(f"{step}from builtins import {name}" for name in hidden)]
    hand_on = _HAND_ON[new.kind].format(call=call)
    tail = ["", f"{step}return {new.main.name}", "", *hand_on.split("\n")]
    frame = parse("\n".join([*head, *tail])).body
    cast("ast.FunctionDef", frame[0]).body[-1:-1] = new.tree.body
    doc = new.main.body[: 1 if ast.get_docstring(new.main) else 0]
    text = [
        line for d in doc for line in _moved(new, range(d.lineno, (d.end_lineno or 0) + 1), margin)
    ]
    text += [f"{margin}{step}{line}" for line in head]
    text += _moved(new, range(1, len(new.lines) + 1), margin + step + step)
    text += [f"{margin}{step}{line}".rstrip() for line in tail]
    return text, [*doc, *frame]


def _moved(new: NewCode, rows: Iterable[int], margin: str) -> list[str]:
    """Return the lines of these rows further to the right."""
    lines = [(row, new.lines[row - 1]) for row in rows]
    return [line if row in new.in_string or not line else margin + line for row, line in lines]


def _rows_in_strings(lines: Sequence[str], tree: ast.Module) -> set[int]:
    rows: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO("\n".join(lines)).readline):
        # Since Python 3.12 the text between the braces of an f-string is a token of its own.
        if tokenize.tok_name[token.type].endswith(("STRING", "STRING_MIDDLE")):
            rows.update(range(token.start[0] + 1, token.end[0] + 1))
    for doc in _docstrings(tree):
        rows.difference_update(range(doc.lineno + 1, (doc.end_lineno or 0) + 1))
    return rows


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    for part in ast.walk(tree):
        if isinstance(part, ast.Module | ast.ClassDef | Def) and ast.get_docstring(part):
            yield cast("ast.Constant", cast("ast.Expr", part.body[0]).value)


def _shape(tree: ast.AST) -> str:
    """Write a syntax tree without positions and without the indent of its docstrings."""
    for doc in _docstrings(tree):
        doc.value = inspect.cleandoc(cast("str", doc.value))
    return ast.dump(tree)


class _Swap(ast.NodeTransformer):
    """Puts the new nodes of edits in the place of the old ones."""

    def __init__(self, edits: Mapping[ast.AST, Edit]) -> None:
        self.edits = edits

    def visit(self, node: ast.AST) -> ast.AST:
        """Return the node's replacement, or the node with those of its parts."""
        return self.edits[node].node if node in self.edits else self.generic_visit(node)


def _margin(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _before(lines: Sequence[str], part: ast.stmt | ast.expr) -> str:
    """Return what stands before a part of the source on its line; ast counts in bytes."""
    return lines[part.lineno - 1].encode()[: part.col_offset].decode()


def _offset(lines: Sequence[str], row: int) -> int:
    return sum(len(line) + 1 for line in lines[: row - 1])
