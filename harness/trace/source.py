"""The source of a function: as the value of a code parameter, and with a failing line marked."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType

from harness.trace.node import Parameter, error_text

_RULE = (
    "The code must define, at top level, one function that starts with this line (defaults and "
    "annotations may change). Helper functions and imports may stand beside it.\n{head}"
)
_METHOD_RULE = "\nWork with the other arguments only: {first} is None when this code runs."


@dataclass(frozen=True, slots=True)
class CodeCheck:
    """Tells why a text cannot replace a function: its name and parameters must stay.

    parameters: in order, with `*` and `**` where the function takes any number.
    """

    name: str
    parameters: tuple[str, ...]

    def __call__(self, value: object) -> str | None:
        """Return the reason why `value` is refused, or None."""
        if not isinstance(value, str):
            return f"code must be a text, not {type(value).__name__}"
        try:
            tree = ast.parse(value)
        except SyntaxError as error:
            return f"the code does not parse: {error.msg} (line {error.lineno})"
        except (ValueError, RecursionError, MemoryError) as error:
            return f"the code does not parse: {type(error).__name__} {error}".rstrip()
        return self._refusal(tree)

    def _refusal(self, tree: ast.Module) -> str | None:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        named = [n for n in tree.body if isinstance(n, kinds) and n.name == self.name]
        if len(named) != 1:
            found = [n.name for n in tree.body if isinstance(n, kinds)]
            return (
                f"the code must define `{self.name}` once at top level; it defines there: "
                f"{', '.join(found) or 'nothing'}"
            )
        function = named[0]
        if not isinstance(function, ast.FunctionDef):
            return f"`{self.name}` must be a plain `def`, neither `async def` nor a class"
        given = parameter_names(function.args)
        if given != self.parameters:
            wanted, got = ", ".join(self.parameters), ", ".join(given)
            return f"`{self.name}` must have the parameters ({wanted}); it has ({got})"
        return None


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """A function's dedented source without decorators, and what a replacement has to keep."""

    text: str
    head: str
    check: CodeCheck

    def parameter(self, name: str, constraint: str | None, method: bool) -> Parameter:
        """Return a new code parameter that holds this source."""
        rule = _RULE.format(head=self.head)
        if method:
            rule += _METHOD_RULE.format(first=self.check.parameters[0])
        return Parameter(
            self.text,
            name=name,
            kind="code",
            description=f"The source of the function {self.check.name}.",
            constraint=f"{rule}\n{constraint}" if constraint else rule,
            check=self.check,
        )


def source_of(function: Callable[..., object]) -> FunctionSource:
    """Return the source of a `def` in a file. Raises TypeError if there is none."""
    try:
        lines, _ = inspect.getsourcelines(function)
        text = _dedented("".join(lines))
        found = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError, IndexError) as error:
        raise _no_source(function) from error
    if not isinstance(found, ast.FunctionDef):
        raise _no_source(function)
    names = parameter_names(found.args)
    head = f"def {found.name}({ast.unparse(found.args)}):"
    if found.returns:
        head = f"{head[:-1]} -> {ast.unparse(found.returns)}:"
    kept = text.splitlines(keepends=True)[found.lineno - 1 : found.end_lineno]
    return FunctionSource("".join(kept).rstrip("\n") + "\n", head, CodeCheck(found.name, names))


def marked_source(function: Callable[..., object], error: Exception) -> str | None:
    """Return the source of `function` with the line marked on which `error` left it.

    None if the error did not pass through the function, or its source cannot be read.
    """
    function = inspect.unwrap(function)
    line = _failing_line(getattr(function, "__code__", None), error)
    if line is None:
        return None
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return None
    text = _dedented("".join(lines)).splitlines()
    at = line - max(first, 1)
    if not 0 <= at < len(text):
        return None
    message = error_text(error).splitlines()[0]
    text[at] += f"  # <--- {message}"
    return "\n".join(text)


def parameter_names(arguments: ast.arguments) -> tuple[str, ...]:
    """Return the names of a function's parameters in order, with `*` and `**` before them."""
    names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg:
        names.append(f"*{arguments.vararg.arg}")
    names += [a.arg for a in arguments.kwonlyargs]
    if arguments.kwarg:
        names.append(f"**{arguments.kwarg.arg}")
    return tuple(names)


def _dedented(text: str) -> str:
    """Take the first line's indent off every line that has it; a text within may start left."""
    indent = text[: len(text) - len(text.lstrip(" \t"))]
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def _failing_line(code: CodeType | None, error: Exception) -> int | None:
    line = None
    at = error.__traceback__
    while at is not None:
        if at.tb_frame.f_code is code:
            line = at.tb_lineno
        at = at.tb_next
    return line


def _no_source(function: Callable[..., object]) -> TypeError:
    name = getattr(function, "__qualname__", repr(function))
    return TypeError(
        f"{name} cannot be trainable: its source is not that of a `def` in a file; define it with "
        "`def` in a .py file, or leave trainable out"
    )
