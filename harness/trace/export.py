"""Export: a learned program as the text of a Python file that a person reads and commits.

The text is the file that defines the program's class, comments and all, edited in place:

- A literal in `__init__`, as in `self.x = node("...", trainable=True)`, becomes the learned value.
- A replaced function keeps its decorators and its `def` line, which decide how it is called, and
  gets the learned body. Learned code with helpers or imports, or that calls itself or looks at
  `self`, stands whole within the function: it sees there what it saw as a text of its own.
- Other values (computed, passed in, made in other files, not the same in each instance) stand in
  the dict `LEARNED`, which `learned(...)` loads. Code in there runs in the sandbox, as before.

Nothing learned runs here, nor can it reach beyond its function or literal: rewrite.py sees to it.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import attrgetter
from textwrap import indent
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, cast

from harness.trace.bundle import BoundBundle, Bundle, bundle
from harness.trace.containers import ParameterContainer
from harness.trace.modules import Module
from harness.trace.nodes import ParameterNode, node
from harness.trace.parsing import parse
from harness.trace.rewrite import (
    Def,
    Edit,
    RewriteError,
    codes_in,
    first_row,
    function_edit,
    literal,
    literal_edit,
    new_code,
    rewritten,
    under,
)
from harness.trace.source import source_of

_HEADER = "# Exported by harness.trace with the learned values of {name}.\n"
_NOTE = "# Learned values that stand nowhere else in this file, by the path of their parameter."
_SECTION = '''{note}
LEARNED = {{
{values}}}


def learned(*args, **kwargs):
    """Build the program with these values; code among them runs in a sandbox."""
{build}
    program.load_state(LEARNED)
    return program'''


class ExportError(Exception):
    """The program cannot be written as a file; tells why and what to do."""


class _File(NamedTuple):
    """A file as it was imported; functions by name and first line, decorators included."""

    module: ModuleType
    lines: Sequence[str]
    tree: ast.Module
    functions: Mapping[tuple[str, int], Def]


class _Place(NamedTuple):
    """Where the source gives a parameter its value.

    node: the function or the literal; None if it is none in this file. given: that value as a
    literal, None if it is not known. bound: it is a method, whose learned code gets no `self`.
    """

    node: Def | ast.expr | None = None
    given: str | None = None
    bound: bool = False


def export(program: Module) -> str:
    """Return the file of the program's class with the values of its parameters in it, as UTF-8.

    The same program gives the same text; exporting what that text defines gives it again. Raises
    ExportError if the source is not at hand or has changed, or if a value cannot be written.
    """
    name = type(program).__qualname__
    file = _read(type(program))
    edits, elsewhere = _sorted_out(file, program)
    try:
        text = rewritten(file.lines, file.tree, edits)
    except RewriteError as error:
        raise ExportError(
            f"{name} cannot be exported: {error}; load other values into it"
        ) from error
    text = _with_section(text, name, elsewhere, file.module)
    first = cast("re.Match[str]", re.match(r"(#!.*\n)?", text)).end()
    if not text.startswith(_HEADER.format(name=name), first):
        text = text[:first] + _HEADER.format(name=name) + text[first:]
    compile(text, f"<export of {name}>", "exec", dont_inherit=True)
    return text


def _sorted_out(file: _File, program: Module) -> tuple[dict[ast.AST, Edit], dict[str, str]]:
    """Return the edits for new values that have a place, and the texts of all others by path."""
    parameters = program.named_parameters()
    texts = {path: _literal(path, p.data) for path, p in parameters.items()}
    places = {path: _place(file, program, path, p) for path, p in parameters.items()}
    wanted: defaultdict[ast.AST | None, set[str]] = defaultdict(set)
    for path, place in places.items():
        wanted[place.node].add(texts[path])
    edits: dict[ast.AST, Edit] = {}
    elsewhere: dict[str, str] = {}
    for path, place in places.items():
        if texts[path] == place.given:
            continue
        if place.node is None or len(wanted[place.node]) > 1:
            elsewhere[path] = texts[path]
        elif isinstance(place.node, ast.expr):
            edits[place.node] = literal_edit(file.lines, place.node, texts[path])
        else:
            edits[place.node] = _code_edit(file, place.node, path, parameters[path], place.bound)
    return edits, elsewhere


def _literal(path: str, value: object) -> str:
    try:
        return literal(value)
    except RewriteError as error:
        raise ExportError(
            f"parameter {path} holds a {error}; load another value into it"
        ) from error


def _code_edit(
    file: _File, old: Def, path: str, parameter: ParameterNode[str], bound: bool
) -> Edit:
    try:
        new = new_code(parameter.data, old.name)
    except RewriteError as error:
        raise ExportError(f"parameter {path} holds {error}; load other code into it") from error
    return function_edit(file.lines, old, new, bound, vars(file.module))


def _read(cls: type) -> _File:
    module = sys.modules.get(cls.__module__)
    try:
        if module is None or attrgetter(cls.__qualname__)(module) is not cls:
            raise AttributeError(f"{cls.__module__} has no such class")
        path = inspect.getsourcefile(module) or ""
        with tokenize.open(path) as stream:
            text, encoding = stream.read(), stream.encoding
        tree = parse(text)
        known = set(codes_in(compile(tree, path, "exec", dont_inherit=True)))
    except (AttributeError, TypeError, OSError, SyntaxError, ValueError) as error:
        raise ExportError(
            f"{cls.__qualname__} cannot be exported: {error}; its class must stand under its own "
            "name in a .py file, outside of functions"
        ) from error
    if not encoding.startswith("utf-8"):
        raise ExportError(f"{path} is written in {encoding}; save it as UTF-8 and import it anew")
    for function in _functions(module):
        if function.__code__ not in known:
            raise ExportError(
                f"{path} holds another {function.__qualname__} than the loaded one; it was changed "
                "after its import (or a test tool rewrote it): import it anew and load the values"
            )
    found = {(n.name, first_row(n)): n for n in ast.walk(tree) if isinstance(n, Def)}
    return _File(module, text.split("\n"), tree, found)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions and methods that stand in the module's own file."""
    classes = [c for v in vars(module).values() if isinstance(v, type) for c in v.__mro__]
    for owner in (module, *(c for c in classes if c.__module__ == module.__name__)):
        for value in vars(owner).values():
            if isinstance(value, FunctionType | staticmethod | classmethod | Bundle):
                function = inspect.unwrap(cast("Any", value))
                own = getattr(function, "__globals__", None) is vars(module)
                if own and not function.__code__.co_filename.startswith("<"):
                    yield function


def _place(file: _File, program: Module, path: str, parameter: ParameterNode[Any]) -> _Place:
    *way, name = path.split(".")
    owner = reduce(_part, way, cast("Any", program))
    held = _part(owner, name)
    if held is parameter and isinstance(owner, ParameterContainer):
        return _literal_place(file, type(owner), name)
    return _function_place(file, held) if isinstance(held, Bundle | BoundBundle) else _Place()


def _part(whole: Any, name: str) -> Any:
    """Return the part of a container that a path names, or None."""
    parts: Any = ()
    if isinstance(whole, ParameterContainer):
        parts = whole.own_parts()
    elif isinstance(whole, Mapping):
        parts = cast("Any", whole).items()
    elif isinstance(whole, Sequence):
        parts = enumerate(cast("Any", whole))
    return next((part for key, part in parts if str(key) == name), None)


def _function_place(file: _File, held: Any) -> _Place:
    bound = isinstance(held, BoundBundle)
    function = inspect.unwrap(held.bundle if bound else held)
    given = literal(source_of(function).text)
    code = function.__code__
    found = file.functions.get((code.co_name, code.co_firstlineno))
    if found is None or function.__globals__ is not vars(file.module):
        return _Place(None, given)
    # A decorator below @bundle does not act on learned code, but would act on exported code.
    kinds = ("staticmethod", "classmethod")
    others = [d for d in found.decorator_list if not isinstance(d, ast.Name) or d.id not in kinds]
    last = others[-1] if others else None
    named = _named(file, last.func if isinstance(last, ast.Call) else last)
    return _Place(found if named is bundle else None, given, bound)


def _literal_place(file: _File, cls: type, name: str) -> _Place:
    """Find the literal of `self.name = node(literal, ...)` if no other line there uses `name`."""
    makers = [f for c in cls.__mro__ if isinstance(f := vars(c).get("__init__"), FunctionType)]
    makers = [f for f in makers if name in f.__code__.co_names]
    if len(makers) != 1 or makers[0].__globals__ is not vars(file.module):
        return _Place()
    maker = file.functions.get(("__init__", makers[0].__code__.co_firstlineno))
    steps = [] if maker is None else list(ast.walk(maker))
    uses = [n for n in steps if isinstance(n, ast.Attribute) and n.attr == name]
    made = [n.value for n in steps if isinstance(n, ast.Assign) and n.targets == uses]
    made += [n.value for n in steps if isinstance(n, ast.AnnAssign) and [n.target] == uses]
    call = made[0] if made else None
    if not isinstance(call, ast.Call):
        return _Place()
    data = [*call.args, *(k.value for k in call.keywords if k.arg in ("data", "value"))]
    if not data or all(_named(file, call.func) is not f for f in (node, ParameterNode)):
        return _Place()
    try:
        return _Place(data[0], literal(ast.literal_eval(data[0])))
    except (ValueError, TypeError, RewriteError):
        return _Place()


def _named(file: _File, expression: ast.expr | None) -> object:
    """Return what an expression like `node` or `trace.node` stands for, or None."""
    try:
        return attrgetter(ast.unparse(expression))(file.module) if expression else None
    except AttributeError:
        return None


def _with_section(text: str, name: str, values: Mapping[str, str], module: ModuleType) -> str:
    """Put the values that have no place of their own after the program, or renew them there."""
    lines, body = text.split("\n"), parse(text).body
    build = f"    program = {name}(*args, **kwargs)"
    for one, two in itertools.pairwise(body):
        start, end = one.lineno - 2, two.end_lineno or 0
        if lines[start] == _NOTE and "def learned(*args, **kwargs):" in lines[start:end]:
            if build not in lines[start:end]:
                raise ExportError("the file holds learned values of another program; move them")
            return "\n".join([*lines[:start], *_section(build, values), *lines[end:]])
    if not values:
        return text
    if {"LEARNED", "learned"} & set(vars(module)):
        raise ExportError("the program's file uses the name LEARNED or learned; rename it there")
    if isinstance(body[-1], ast.If) and "__name__" in ast.unparse(body[-1].test):
        at = body[-1].lineno - 1
        while lines[at - 1].startswith("#"):
            at -= 1
        return "\n".join([*lines[:at], *_section(build, values), "", "", *lines[at:]])
    return "\n".join([text.rstrip("\n"), "", "", *_section(build, values), ""])


def _section(build: str, values: Mapping[str, str]) -> list[str]:
    if not values:
        return []
    blocks = {path: under(text) if "\n" in text else f" {text}" for path, text in values.items()}
    items = indent("".join(f"{path!r}:{block},\n" for path, block in blocks.items()), "    ")
    return _SECTION.format(note=_NOTE, values=items, build=build).split("\n")
