"""Signature: what a text of code has to keep so that it can replace a function."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from harness.trace.constraints import Constraint, MaxLength, OfType, Schema
from harness.trace.parsing import parse
from harness.trace.quote import cut

Def: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_RULE = (
    "The code must define, at top level, one function that starts with this line (defaults and "
    "annotations may change). Helper functions and imports may stand beside it.\n{head}"
)
_YIELDS = "\nThe function is a generator: it must yield."
# A text of this length takes about a second to parse.
_LENGTH = MaxLength(100_000)
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_SCOPES = (*_NAMED, ast.Lambda)


@dataclass(frozen=True, slots=True)
class Signature(Constraint):
    """A text of code that defines a function whose name and parameters are kept.

    parameters: in order, with `/` and `*` as in a `def` and the stars of `*args` and `**options`.
    head: the first line in full, to be shown; made from the name and parameters if it is empty.
    """

    name: str
    parameters: tuple[str, ...] = ()
    is_async: bool = False
    yields: bool = False
    head: str = field(default="", compare=False)

    @classmethod
    def of(cls, function: Callable[..., object]) -> Signature:
        """Return that of a function made by `def`, or of the one within its decorators."""
        inner = inspect.unwrap(function)
        inner = getattr(inner, "__func__", inner)
        if not inspect.isfunction(inner) or not inner.__name__.isidentifier():
            raise TypeError(f"{function!r} has no signature to keep; give a function made by `def`")
        empty = inspect.Parameter.empty
        every = inspect.signature(inner).parameters.values()
        bare = [p.replace(annotation=empty, default=empty) for p in every]
        flags = inner.__code__.co_flags
        return cls(
            inner.__name__,
            tuple(n for n in str(inspect.Signature(bare))[1:-1].split(", ") if n),
            bool(flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)),
            bool(flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR)),
        )

    @classmethod
    def of_def(cls, found: Def) -> Signature:
        """Return that of a parsed `def`, with its annotations and defaults in the head."""
        is_async = isinstance(found, ast.AsyncFunctionDef)
        returns = f" -> {ast.unparse(found.returns)}" if found.returns else ""
        start = "async def" if is_async else "def"
        head = f"{start} {found.name}({ast.unparse(found.args)}){returns}:"
        return cls(found.name, _parameter_names(found.args), is_async, _yields(found), head)

    def _told(self) -> tuple[str, Schema]:
        start = "async def" if self.is_async else "def"
        head = self.head or f"{start} {self.name}({', '.join(self.parameters)}):"
        return _RULE.format(head=head) + (_YIELDS if self.yields else ""), {"type": "string"}

    def _check(self, value: Any) -> str | None:
        reason = OfType(str).refusal(value) or _LENGTH.refusal(value)
        if reason:
            return reason
        try:
            tree = parse(value)
        except SyntaxError as error:
            line = f" (line {error.lineno})" if error.lineno else ""
            return f"the code does not parse: {cut(error.msg)}{line}"
        except (ValueError, RecursionError, MemoryError) as error:
            return f"the code does not parse: {type(error).__name__} {error}".rstrip()
        named = [part for part in tree.body if isinstance(part, _NAMED)]
        mine = [part for part in named if part.name == self.name]
        if len(mine) != 1:
            found = cut(", ".join(part.name for part in named[:20])) or "nothing"
            return (
                f"the code must define `{self.name}` once at top level; it defines there: {found}"
            )
        return self._refusal_of(mine[0])

    def _refusal_of(self, found: Def | ast.ClassDef) -> str | None:
        wanted, other = "a plain `def`", "`async def`"
        if self.is_async:
            wanted, other = "an `async def`", "a plain `def`"
        if not isinstance(found, ast.AsyncFunctionDef if self.is_async else ast.FunctionDef):
            return f"`{self.name}` must be {wanted}, neither {other} nor a class"
        given = _parameter_names(found.args)
        if given != self.parameters:
            kept, got = ", ".join(self.parameters), cut(", ".join(given), 200)
            return f"`{self.name}` must have the parameters ({kept}); it has ({got})"
        if _yields(found) != self.yields:
            return f"`{self.name}` must {'yield' if self.yields else 'return, not yield'}"
        return None


def _parameter_names(arguments: ast.arguments) -> tuple[str, ...]:
    names = [a.arg for a in arguments.posonlyargs]
    if names:
        names.append("/")
    names += [a.arg for a in arguments.args]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    elif arguments.kwonlyargs:
        names.append("*")
    names += [a.arg for a in arguments.kwonlyargs]
    if arguments.kwarg:
        names.append(f"**{arguments.kwarg.arg}")
    return tuple(names)


def _yields(function: Def) -> bool:
    """Return whether the function itself yields, not one defined in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(part, _SCOPES):
            waiting.extend(ast.iter_child_nodes(part))
    return False
