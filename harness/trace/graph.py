"""From an output to its trace: the minimal subgraph as plain data, with names made here.

The minimal subgraph holds what lies between the parameters and the output, and the direct inputs
of that by value, however they came about. Parameters come first, in the order given, then all else
from the output down its inputs in their order, inputs first. So order and names depend on the
graph alone: they are the same in every process, and whatever ran first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from harness.trace.errors import UsageError
from harness.trace.kinds import ExceptionNode, InstanceNode, Node
from harness.trace.parameters import ParameterNode
from harness.trace.snapshots import snapshot

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
TraceKind: TypeAlias = Literal["parameter", "op", "input"]

# Of the JSON form. A new field with a default does not change it.
VERSION = 1
# Python refuses to write longer whole numbers as text.
_LONGEST_INT_BITS = 13_000
_DEEPEST_VALUE = 20
# These stand in JSON as they are.
_PLAIN, _EXACT = frozenset({str, bool, type(None)}), 2**53


class TraceNode(NamedTuple):
    """One value of a trace; a tuple, because a trace may have many of them.

    inputs: pairs (argument, name of the node); only an op has them. value: plain JSON data, or
    the value's repr where it is none; `type` is then that of the value. error: the source with
    the failing line marked, if this op failed; its value is then `(ErrorType) message`. source:
    of the op's function, unless the op is built in or its code is a parameter.
    """

    name: str
    kind: TraceKind
    op: str | None
    description: str
    inputs: tuple[tuple[str, str], ...]
    value: Plain
    type: str
    error: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """How one output was made: parameters, then nodes after all their inputs; the output's name."""

    nodes: tuple[TraceNode, ...]
    output: str

    def node(self, name: str) -> TraceNode:
        """Return a node by name. Raises KeyError."""
        for found in self.nodes:
            if found.name == name:
                return found
        raise KeyError(f"no node {name!r}; known: {', '.join(n.name for n in self.nodes)}")

    def to_json(self) -> dict[str, Any]:
        """Return plain data that `from_json` turns into an equal trace."""
        nodes = [node._asdict() for node in self.nodes]
        for node in nodes:
            node["inputs"] = [list(pair) for pair in node["inputs"]]
        return {"version": VERSION, "nodes": nodes, "output": self.output}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Trace:
        """Read what `to_json` returned, also after a way through JSON text.

        Raises ValueError for a version that this library does not know.
        """
        if data.get("version") != VERSION:
            raise ValueError(f"trace of version {data.get('version')!r}; readable: {VERSION}")
        nodes: list[TraceNode] = []
        for node in data["nodes"]:
            pairs = tuple((argument, name) for argument, name in node["inputs"])
            facts = cast("dict[str, Any]", {**node, "inputs": pairs})
            nodes.append(TraceNode(**facts))
        return Trace(tuple(nodes), data["output"])


@dataclass(frozen=True, slots=True)
class Batch:
    """Several traces of one program as one graph; outputs: pairs (name, feedback on it)."""

    nodes: tuple[TraceNode, ...]
    outputs: tuple[tuple[str, str], ...]


def trace_of(output: Node, parameters: Mapping[str, ParameterNode]) -> Trace:
    """Return the minimal subgraph from the named parameters to the output, in linear time.

    A parameter that is not named here is an input like any other; of two names for one, the first
    counts. Raises UsageError if a parameter was changed after the output was made.
    """
    # Keyed by nodes, which hash by identity; see kinds.py.
    named: dict[Node, str] = {}
    for name, parameter in parameters.items():
        named.setdefault(parameter, name)
    order = ancestors(output)
    between, consumers = _minimal(order, named)
    names = {n: name for n, name in named.items() if n in between}
    _require_unchanged(names, output)
    nodes = [_written(n, names, "parameter") for n in names]
    taken, counts = set(names.values()), dict[str, int]()
    for n in order:
        if n in names:
            continue
        if n in between:
            names[n] = _numbered(n.op or "value", counts, taken)
            nodes.append(_written(n, names, "op"))
        elif n in consumers or n is output:
            names[n] = _numbered(n.label or consumers.get(n) or n.op or "value", counts, taken)
            nodes.append(_written(n, names, "input"))
    return Trace(tuple(nodes), names[output])


def _minimal(order: Sequence[Node], named: Container[Node]) -> tuple[set[Node], Mapping[Node, str]]:
    """Return what depends on the named nodes, and its direct inputs with their first argument."""
    between: set[Node] = set()
    consumers: dict[Node, str] = {}
    for n in order:
        if n in named:
            between.add(n)
        elif n.sources or n.extra is not None:
            for source in sources_of(n):
                if source in between:
                    between.add(n)
                    for argument, shown in links(n):
                        consumers.setdefault(shown, argument)
                    break
    return between, consumers


def links(n: Node) -> Collection[tuple[str, Node]]:
    """Return what a trace shows that a node depends on: by argument, and what it read besides."""
    pairs = n.sources.items()
    extra = n.extra
    if extra is None and not any(type(source) is InstanceNode for source in n.sources.values()):
        return pairs
    found = [pair for pair in pairs if type(pair[1]) is not InstanceNode]
    hidden = () if extra is None else extra.hidden
    return found + [(f"{h.label or h.op or 'read'}_{i}", h) for i, h in enumerate(hidden)]


def sources_of(n: Node) -> Collection[Node]:
    """Return all nodes that a node depends on."""
    sources = n.sources.values()
    return sources if n.extra is None else (*sources, *n.extra.hidden)


def ancestors(*outputs: Node) -> list[Node]:
    """Return the nodes and all they depend on, inputs first, in an order that the graph gives.

    Of the inputs of a node, those from outside come first, then the others with all before them.
    """
    order: list[Node] = []
    seen: set[Node] = set()
    opened: set[Node] = set()
    waiting = list(reversed(outputs))
    while waiting:
        n = waiting[-1]
        if n in seen:
            waiting.pop()
        elif n in opened or not (n.sources or n.extra):
            waiting.pop()
            seen.add(n)
            order.append(n)
        else:
            opened.add(n)
            made: list[Node] = []
            for source in sources_of(n):
                if source in seen:
                    continue
                if source.sources or source.extra is not None:
                    made.append(source)
                else:
                    seen.add(source)
                    order.append(source)
            made.reverse()
            waiting += made
    return order


def merge(rollouts: Sequence[tuple[Trace, str]]) -> Batch:
    """Put traces, each with its feedback, into one graph in which shared parameters appear once.

    With more than one trace the other nodes get a prefix: `r0.`, `r1.` and so on. Raises
    ValueError if a parameter has not the same value in all of them.
    """
    parameters: dict[str, TraceNode] = {}
    others: list[TraceNode] = []
    outputs: list[tuple[str, str]] = []
    rollout = "r"
    named = [n.name for trace, _ in rollouts for n in trace.nodes if n.kind == "parameter"]
    while any(re.match(rf"{rollout}\d+\.", name) for name in named):
        rollout += "_"
    for i, (trace, feedback) in enumerate(rollouts):
        prefix = f"{rollout}{i}." if len(rollouts) > 1 else ""
        own = {n.name: n for n in trace.nodes if n.kind == "parameter"}
        for name, found in own.items():
            if parameters.setdefault(name, found).value != found.value:
                raise ValueError(f"parameter {name} differs between traces; merge one candidate's")
        new = {n.name: n.name if n.name in own else prefix + n.name for n in trace.nodes}
        for n in trace.nodes:
            if n.name not in own:
                inputs = tuple((argument, new[name]) for argument, name in n.inputs)
                others.append(n._replace(name=new[n.name], inputs=inputs))
        outputs.append((new[trace.output], feedback))
    return Batch((*parameters.values(), *others), tuple(outputs))


def batch_of(nodes: Sequence[Node], said: Sequence[tuple[Node, str]]) -> Batch:
    """Return these nodes, inputs first, as plain data; `said` is the feedback on some of them.

    A node whose inputs are not among them is shown as an input.
    """
    names: dict[Node, str] = {}
    found: list[TraceNode] = []
    taken, counts = set[str](), dict[str, int]()
    for n in nodes:
        is_op = bool(n.sources) and all(source in names for _, source in links(n))
        kind: TraceKind = "op" if is_op else "input"
        kind = "parameter" if isinstance(n, ParameterNode) else kind
        base = n.op if is_op else n.label or n.op or type(n.data).__name__
        names[n] = _numbered(base or "value", counts, taken)
        found.append(_written(n, names, kind))
    return Batch(tuple(found), tuple((names[n], feedback) for n, feedback in said if n in names))


def _require_unchanged(names: Mapping[Node, str], output: Node) -> None:
    for n, name in names.items():
        if isinstance(n, ParameterNode) and n.changed > output.serial and n is not output:
            raise UsageError(
                f"parameter {name} was changed after the output was made from it; write the trace "
                "before the change, or run the program again"
            )


def _written(n: Node, names: Mapping[Node, str], kind: TraceKind) -> TraceNode:
    value: Any = n.raw
    bare = type(value) in _PLAIN or (type(value) is int and -_EXACT < value < _EXACT)
    plain = value if bare else plain_value(value)
    if kind == "input" and bare and type(n) is not ExceptionNode:
        return TraceNode(names[n], kind, None, "", (), plain, type(value).__name__)
    failed = n if isinstance(n, ExceptionNode) else None
    shown = failed.error_type if failed else type(value).__name__
    error = failed.comment if failed else None
    if kind != "op":
        doc = n.doc if kind == "parameter" else ""
        return TraceNode(names[n], kind, None, doc, (), plain, shown, error)
    inputs = tuple([(argument, names[source]) for argument, source in links(n)])
    source = n.origin.code if n.origin and "__code" not in n.sources else ""
    return TraceNode(names[n], kind, n.op, n.doc, inputs, plain, shown, error, source)


def _numbered(base: str, counts: dict[str, int], taken: set[str]) -> str:
    word = base if base.isidentifier() else re.sub(r"\W+", "_", base).strip("_") or "value"
    number = counts.get(word, 0) + 1
    while (name := f"{word}{number}") in taken:
        number += 1
    counts[word] = number
    taken.add(name)
    return name


def plain_value(value: object) -> Plain:
    """Return JSON data that equals the value (a tuple as a list), or its repr as text."""
    try:
        return _plain(snapshot(value), 0)
    except TypeError:
        return _repr(value)


def _plain(value: Any, depth: int) -> Plain:
    """Raises TypeError for what JSON cannot hold."""
    kind = cast("object", type(value))
    if value is None or kind is bool or kind is str:
        return value
    if kind is int and value.bit_length() < _LONGEST_INT_BITS:
        return value
    if kind is float and math.isfinite(value):
        return value
    if (kind is list or kind is tuple) and depth < _DEEPEST_VALUE:
        return [_plain(item, depth + 1) for item in value]
    if (kind is set or kind is frozenset) and depth < _DEEPEST_VALUE:
        # Its own order differs between processes.
        return [_plain(item, depth + 1) for item in sorted(value, key=repr)]
    if kind is dict and depth < _DEEPEST_VALUE:
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _key(key: object) -> str:
    if type(key) is str:
        return key
    raise TypeError(f"{type(key).__name__} is no JSON key")


def _repr(value: object) -> str:
    """Return the repr without memory addresses, which differ between processes."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001  the __repr__ of a program's own class
        return f"<{type(value).__name__} whose repr fails: {type(error).__name__}>"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
