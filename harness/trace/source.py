"""The source of a function: as the value of a code parameter, and with a failing line marked."""

from __future__ import annotations

import ast
import inspect
import io
import linecache
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType
from typing import Any

from harness.trace.code import Def, Signature
from harness.trace.constraints import Constraint, Words
from harness.trace.failures import frames_of
from harness.trace.kinds import error_text
from harness.trace.parameters import ParameterNode
from harness.trace.parsing import parse

_METHOD_RULE = "Work with the other arguments only: {first} is None when this code runs."
_BUNDLE = re.compile(r"([\w.]+\.)?bundle\b")


@dataclass(frozen=True, slots=True)
class Definition:
    """The text of a function with its decorators, dedented; empty if it cannot be read.

    found: its `def`, if the text is one. first: the line of the file on which the text starts.
    """

    text: str
    found: Def | None
    first: int
    code: CodeType | None

    @property
    def lines(self) -> list[str]:
        """The lines, as the parser counts them."""
        return self.text.rstrip("\n").split("\n")

    def facts(self) -> dict[str, Any]:
        """Return source, line_number and file, from what stands below @bundle on."""
        start = self.found.lineno if self.found else 1
        for decorator in reversed(self.found.decorator_list if self.found else []):
            if _BUNDLE.match(ast.unparse(decorator)):
                break
            start = decorator.lineno
        return {
            "source": "\n".join(self.lines[start - 1 :]).strip(),
            "line_number": self.first + start - 1,
            "file": self.code.co_filename if self.code else "",
        }

    def marked(self, error: Exception) -> str | None:
        """Return the source with the line marked on which `error` left the function.

        Below it stands the line of each further function that the error passed through. None if
        the error did not pass through the function, or its source cannot be read.
        """
        frames = frames_of(error)
        at = next((i for i, f in enumerate(frames) if f.tb_frame.f_code is self.code), None)
        lines = self.lines
        if at is None or not self.text or not 0 <= frames[at].tb_lineno - self.first < len(lines):
            return None
        mark = f"  # <--- {error_text(error).splitlines()[0]}"
        lines[frames[at].tb_lineno - self.first] += mark
        for frame in frames[at + 1 :]:
            inner = frame.tb_frame.f_code
            if inner is not self.code:
                line = linecache.getline(inner.co_filename, frame.tb_lineno).strip()
                lines.append(f"# in {inner.co_name}: {line or frame.tb_lineno}{mark}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """A function's dedented source without decorators, and what a replacement has to keep."""

    text: str
    signature: Signature

    def parameter(self, constraint: str | None, method: bool) -> ParameterNode[str]:
        """Return a new code parameter that holds this source."""
        rule: Constraint = self.signature
        if method:
            rule = rule & Words(_METHOD_RULE.format(first=self.signature.parameters[0]))
        if constraint:
            rule = rule & Words(constraint)
        return ParameterNode(
            self.text,
            name="__code",
            kind="code",
            description=f"The source of the function {self.signature.name}.",
            constraint=rule,
        )


def source_of(function: Callable[..., object]) -> FunctionSource:
    """Return the source of a `def` in a file. Raises TypeError if there is none."""
    definition = definition_of(function)
    found = definition.found
    if found is None:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"{name} cannot be trainable: its source is not that of a `def` in a file; define it "
            "with `def` in a .py file, or leave trainable out"
        )
    kept = definition.lines[found.lineno - 1 : found.end_lineno]
    return FunctionSource("\n".join(kept) + "\n", Signature.of_def(found))


def definition_of(function: Callable[..., object]) -> Definition:
    """Return how a function was defined; its text is empty if that cannot be read."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return Definition("", None, 1, code)
    text = _dedented("".join(lines))
    try:
        body = parse(text).body
    except SyntaxError:
        return Definition(text, None, first, code)
    found = body[0] if body and isinstance(body[0], Def) else None
    return Definition(text, found, max(first, 1), code)


def _dedented(text: str) -> str:
    """Take the first line's indent off every line, but for those within a text."""
    indent = text[: len(text) - len(text.lstrip(" \t"))]
    if not indent:
        return text
    within: set[int] = set()
    before = tokenize.NEWLINE
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if before != tokenize.INDENT:  # else it is a docstring
                within.update(range(token.start[0] + 1, token.end[0] + 1))  # texts have several
            before = token.type
    except (tokenize.TokenError, SyntaxError):
        pass
    lines = enumerate(text.split("\n"), 1)
    return "\n".join(line if i in within else line.removeprefix(indent) for i, line in lines)
