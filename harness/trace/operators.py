"""The operators of the table as traced operations, and as methods of Node.

An operator runs the plain Python function on the values and remembers its operands. An exception
becomes an ExecutionError, as in a bundle. Every operator is a function of this module:
`operators.add(x, y)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.trace import nodes
from harness.trace.context import SCOPE, language_model
from harness.trace.kinds import MessageNode, Node
from harness.trace.nodes import as_node, constant, distinct, failure, record
from harness.trace.table import TABLE, Rule


class Op:
    """A traced operator, to be called with nodes or values."""

    __slots__ = ("arguments", "doc", "function", "name", "several")
    code = ""

    def __init__(self, rule: Rule) -> None:
        self.name = rule.name
        self.doc = rule.doc
        self.function = rule.function
        names = rule.arguments.split()
        self.several = names.pop()[1:] if names and names[-1].startswith("*") else None
        self.arguments = tuple(names)

    def __call__(self, *operands: object, **named: object) -> MessageNode[Any]:
        """Run the operator on nodes or values, given by position or by argument."""
        sources: dict[str, Node] = {}
        for i, operand in enumerate(operands):
            name = self.arguments[i] if i < len(self.arguments) else self._spread(i)
            sources[name] = as_node(operand, name)
        if named:
            self._add_named(sources, named)
        return run(self, sources)

    def info_of(self, node: MessageNode) -> dict[str, Any]:
        """Return the facts about one call."""
        args = list(node.sources.values())
        facts = {"fun": self.function, "fun_name": self.name, "doc": self.doc}
        return {**facts, "inputs": {"args": args, "kwargs": {}}, "output": node.raw}

    def _add_named(self, sources: dict[str, Node], named: Mapping[str, object]) -> None:
        """Add operands given by argument; None stands for those left out before the last one."""
        for name in named:
            if name not in self.arguments or name in sources:
                raise TypeError(f"{self.name} takes ({', '.join(self.arguments)}); not {name}")
        last = max(self.arguments.index(name) for name in named)
        for name in self.arguments[len(sources) : last + 1]:
            sources[name] = as_node(named.get(name), name)

    def _spread(self, i: int) -> str:
        if self.several is None:
            takes = ", ".join(self.arguments)
            raise TypeError(f"{self.name} takes ({takes}); got an operand number {i + 1}")
        return f"{self.several}_{i - len(self.arguments)}"


def run(op: Op, sources: Mapping[str, Node]) -> MessageNode[Any]:
    """Run an operator on nodes and remember them."""
    try:
        value = op.function(*[n.data for n in sources.values()])
    except Exception as error:
        raise failure(error, op, sources) from error
    return record(value, op, sources)


OPS: Mapping[str, Op] = {rule.name: Op(rule) for rule in TABLE}


def make_dict(**items: object) -> MessageNode[Any]:
    """Make one node of several: a dict with their names as keys."""
    return nodes.make_dict(items)


def format_(x: object, /, *args: object, **kwargs: object) -> MessageNode[Any]:
    """Return `x.format(...)` as a traced operation."""
    sources: dict[str, Node] = {"x": as_node(x, "x")}
    for i, arg in enumerate(args):
        sources[f"args_{i}"] = as_node(arg, f"args_{i}")
    keys = {key: distinct(key, sources) for key in kwargs}
    sources |= {keys[key]: as_node(value, key) for key, value in kwargs.items()}

    def build(template: Any, *values: Any) -> str:
        named = dict(zip(kwargs, values[len(args) :], strict=True))
        return template.format(*values[: len(args)], **named)

    return run(
        Op(Rule("format", build, " ".join(sources), "x with its fields filled in.")), sources
    )


def call_llm(system_prompt: object, /, *user_prompts: object, **settings: Any) -> MessageNode[Any]:
    """Ask the language model set by `use_llm`: a system message, then user messages."""
    ask = language_model()
    sources: dict[str, Node] = {"system_prompt": as_node(system_prompt, "system_prompt")}
    for i, prompt in enumerate(user_prompts):
        sources[f"user_prompts_{i}"] = as_node(prompt, "prompt")

    def query(system: str, *users: str) -> str:
        turns = [("system", system), *(("user", user) for user in users)]
        return ask([{"role": role, "content": content} for role, content in turns], **settings)

    return run(Op(Rule("call_llm", query, " ".join(sources), "Asks a language model.")), sources)


FUNCTIONS: dict[str, Callable[..., MessageNode[Any]]] = {"format": format_}


def __getattr__(name: str) -> Callable[..., MessageNode[Any]]:
    found = OPS.get(name) or FUNCTIONS.get(name)
    if found is None:
        raise AttributeError(f"no operator {name!r}; known: {', '.join((*OPS, *FUNCTIONS))}")
    return found


def install(name: str, method: Callable[..., Any], doc: str) -> None:
    """Make a function a method of Node."""
    method.__name__ = name
    method.__qualname__ = f"Node.{name}"
    method.__doc__ = doc
    setattr(Node, name, method)


def _unary(op: Op) -> Callable[[Node], MessageNode[Any]]:
    """Return `op(self)` as a method, made fast."""
    function, first = op.function, op.arguments[0]

    def method(self: Node) -> MessageNode[Any]:
        sources = {first: self}
        scope = SCOPE.get()
        if scope is not None and scope.reads is not None:
            return run(op, sources)
        try:
            value = function(self.raw)
        except Exception as error:
            raise failure(error, op, sources) from error
        return record(value, op, sources)

    return method


def _binary(op: Op) -> Callable[[Node, object], MessageNode[Any]]:
    """Return `op(self, other)` as a method, made fast."""
    function, (first, second) = op.function, op.arguments
    words = (second, "")

    def method(self: Node[Any], other: Any) -> MessageNode[Any]:
        if not isinstance(other, Node):
            other = constant(other, words) if type(other) in _NUMBERS else as_node(other, second)
        sources: dict[str, Node[Any]] = {first: self, second: other}
        scope = SCOPE.get()
        if scope is not None and scope.reads is not None:
            return run(op, sources)
        try:
            value = function(self.raw, other.raw)
        except Exception as error:
            raise failure(error, op, sources) from error
        return record(value, op, sources)

    return method


def _reflected(op: Op) -> Callable[[Node[Any], object], MessageNode[Any]]:
    def method(self: Node[Any], other: object) -> MessageNode[Any]:
        return op(other, self)

    return method


def _method(op: Op) -> Callable[..., MessageNode[Any]]:
    def method(self: Node[Any], *operands: object, **named: object) -> MessageNode[Any]:
        return op(self, *operands, **named)

    return method


def _add(self: Node, other: object) -> MessageNode[Any]:
    return (_CONCAT if type(self.raw) is str else _ADD)(self, other)


def _radd(self: Node, other: object) -> MessageNode[Any]:
    return OPS["concat" if type(self.raw) is str else "add"](other, self)


def _join_items(self: Node, items: Any) -> MessageNode[Any]:
    whole: Any = items
    if isinstance(items, Node) and type(whole.raw) is not str:
        return OPS["join"](self, whole)
    return OPS["join"](self, *whole)


def _format_fields(self: Node, /, *args: object, **kwargs: object) -> MessageNode[Any]:
    return format_(self, *args, **kwargs)


def _install_all() -> None:
    for rule in TABLE:
        op = OPS[rule.name]
        if rule.method:
            special = rule.method.startswith("__")
            make = _FAST.get(rule.arguments, _method) if special else _method
            install(rule.method, make(op), rule.doc)
        if rule.reflected:
            install(rule.reflected, _reflected(op), rule.doc)
    install("__add__", _add, OPS["add"].doc)
    install("__radd__", _radd, OPS["add"].doc)
    install("join", _join_items, OPS["join"].doc)
    install("format", _format_fields, "The template with its fields filled in.")
    install("getattr", _method(OPS["node_getattr"]), OPS["node_getattr"].doc)


_FAST = {"x": _unary, "x y": _binary, "x index": _binary}
_NUMBERS = frozenset({int, float, bool})
_ADD, _CONCAT = _binary(OPS["add"]), _binary(OPS["concat"])
_install_all()
