"""The source of a function: as the value of a code parameter, and with a failing line marked."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.trace.code import Def, Signature
from harness.trace.constraints import Constraint, Words
from harness.trace.failures import frames_of
from harness.trace.kinds import error_text
from harness.trace.parameters import ParameterNode

_METHOD_RULE = "Work with the other arguments only: {first} is None when this code runs."
_BUNDLE = re.compile(r"([\w.]+\.)?bundle\b")


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
    text, found, _ = _definition(function)
    if found is None:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"{name} cannot be trainable: its source is not that of a `def` in a file; define it "
            "with `def` in a .py file, or leave trainable out"
        )
    kept = text.splitlines(keepends=True)[found.lineno - 1 : found.end_lineno]
    return FunctionSource("".join(kept).rstrip("\n") + "\n", Signature.of_def(found))


def facts_of(function: Callable[..., object]) -> dict[str, Any]:
    """Return source, line_number and file of a function, from what stands below @bundle on."""
    text, found, first = _definition(function)
    start = 1
    if found is not None:
        start = found.lineno
        for decorator in reversed(found.decorator_list):
            if _BUNDLE.match(ast.unparse(decorator)):
                break
            start = decorator.lineno
    code = getattr(inspect.unwrap(function), "__code__", None)
    return {
        "source": "\n".join(text.splitlines()[start - 1 :]).strip(),
        "line_number": first + start - 1,
        "file": code.co_filename if code else "",
    }


def marked_source(function: Callable[..., object], error: Exception) -> str | None:
    """Return the source of `function` with the line marked on which `error` left it.

    Below it stands the line of each further function that the error passed through. None if the
    error did not pass through the function, or its source cannot be read.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    frames = frames_of(error)
    at = next((i for i, f in enumerate(frames) if f.tb_frame.f_code is code), None)
    text, _, first = _definition(function)
    lines = text.splitlines()
    if at is None or not 0 <= frames[at].tb_lineno - first < len(lines):
        return None
    mark = f"  # <--- {error_text(error).splitlines()[0]}"
    lines[frames[at].tb_lineno - first] += mark
    for frame in frames[at + 1 :]:
        inner = frame.tb_frame.f_code
        if inner is not code:
            lines.append(f"# in {inner.co_name}: {_line(inner.co_filename, frame.tb_lineno)}{mark}")
    return "\n".join(lines)


def _definition(function: Callable[..., object]) -> tuple[str, Def | None, int]:
    """Return the source with decorators, dedented, its `def` and its first line.

    ("", None, 1) if it cannot be read.
    """
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return "", None, 1
    text = _dedented("".join(lines))
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return text, None, first
    found = body[0] if body else None
    return text, found if isinstance(found, Def) else None, max(first, 1)


def _dedented(text: str) -> str:
    """Take the first line's indent off every line that has it; a text within may start left."""
    indent = text[: len(text) - len(text.lstrip(" \t"))]
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def _line(filename: str, number: int) -> str:
    import linecache

    return linecache.getline(filename, number).strip() or f"line {number}"
