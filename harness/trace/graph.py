"""From an output to its trace: the minimal subgraph as plain data, with names made here.

The minimal subgraph holds what lies between the parameters and the output, and the direct inputs
of that by value, however they came about. Parameters come first, in the order given, then all else
by creation; so the same program gives the same trace in every process.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, cast

from harness.trace.node import NO_INPUTS, ExceptionNode, Node, Parameter

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
TraceKind: TypeAlias = Literal["parameter", "op", "input"]

# Python refuses to write longer whole numbers as text.
_LONGEST_INT_BITS = 13_000
_DEEPEST_VALUE = 20


@dataclass(frozen=True, slots=True)
class TraceNode:
    """One value of a trace.

    inputs: pairs (argument, name of the node); only an op has them. value: plain JSON data, or
    the value's repr where it is none; `type` is then that of the value. error: the source with
    the failing line marked, if this op failed; its value is then `(ErrorType) message`.
    """

    name: str
    kind: TraceKind
    op: str | None
    description: str
    inputs: tuple[tuple[str, str], ...]
    value: Plain
    type: str
    error: str | None = None


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
        keys = TraceNode.__slots__
        nodes = [{key: getattr(node, key) for key in keys} for node in self.nodes]
        for node in nodes:
            node["inputs"] = [list(pair) for pair in node["inputs"]]
        return {"nodes": nodes, "output": self.output}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Trace:
        """Read what `to_json` returned, also after a way through JSON text."""
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


def trace_of(output: Node, parameters: Mapping[str, Parameter]) -> Trace:
    """Return the minimal subgraph from the named parameters to the output, in linear time.

    A parameter that is not named here is an input like any other. Parameters are read now: write
    the trace before they are changed.
    """
    # Keyed by nodes, which hash by identity; see node.py.
    named: dict[Node, str] = {p: name for name, p in parameters.items()}
    between = _between(ancestors(output), named)
    shown = {output} | between
    consumers: dict[Node, str] = {}
    for n in sorted(between, key=_index):
        for argument, source in n.inputs.items():
            shown.add(source)
            consumers.setdefault(source, argument)
    names = {n: name for n, name in named.items() if n in shown}
    nodes = [_written(n, names, "parameter") for n in names]
    taken, counts = set(names.values()), Counter[str]()
    for n in sorted(shown - set(names), key=_index):
        kind: TraceKind = "op" if n in between else "input"
        base = n.op if kind == "op" else n.label or consumers.get(n) or n.op
        names[n] = _numbered(base or "value", counts, taken)
        nodes.append(_written(n, names, kind))
    return Trace(tuple(nodes), names[output])


def ancestors(*outputs: Node) -> list[Node]:
    """Return the nodes and all they were made from, by creation, so inputs come first."""
    found = set(outputs)
    waiting = list(outputs)
    while waiting:
        for source in waiting.pop().inputs.values():
            if source not in found:
                found.add(source)
                waiting.append(source)
    return sorted(found, key=_index)


def merge(rollouts: Sequence[tuple[Trace, str]]) -> Batch:
    """Put traces, each with its feedback, into one graph in which shared parameters appear once.

    With more than one trace the other nodes get a prefix: `r0.`, `r1.` and so on. Raises
    ValueError if a parameter has not the same value in all of them.
    """
    parameters: dict[str, TraceNode] = {}
    others: list[TraceNode] = []
    outputs: list[tuple[str, str]] = []
    for i, (trace, feedback) in enumerate(rollouts):
        prefix = f"r{i}." if len(rollouts) > 1 else ""
        own = {n.name: n for n in trace.nodes if n.kind == "parameter"}
        for name, found in own.items():
            if parameters.setdefault(name, found).value != found.value:
                raise ValueError(f"parameter {name} differs between traces; merge one candidate's")
        new = {n.name: n.name if n.name in own else prefix + n.name for n in trace.nodes}
        for n in trace.nodes:
            if n.name not in own:
                inputs = tuple((argument, new[name]) for argument, name in n.inputs)
                others.append(replace(n, name=new[n.name], inputs=inputs))
        outputs.append((new[trace.output], feedback))
    return Batch((*parameters.values(), *others), tuple(outputs))


def _between(nodes: Sequence[Node], named: Mapping[Node, str]) -> set[Node]:
    """Return those of the nodes, inputs first, that are a parameter or depend on one."""
    found: set[Node] = set()
    for n in nodes:
        if n in named or any(source in found for source in n.inputs.values()):
            found.add(n)
    return found


def _written(n: Node, names: Mapping[Node, str], kind: TraceKind) -> TraceNode:
    sources = n.inputs if kind == "op" else NO_INPUTS
    failed = n if isinstance(n, ExceptionNode) else None
    return TraceNode(
        name=names[n],
        kind=kind,
        op=n.op if kind == "op" else None,
        description="" if kind == "input" else n.description,
        inputs=tuple((argument, names[source]) for argument, source in sources.items()),
        value=plain_value(n.data),
        type=failed.error_type if failed else type(n.data).__name__,
        error=failed.comment if failed else None,
    )


def _numbered(base: str, counts: Counter[str], taken: set[str]) -> str:
    base = re.sub(r"\W+", "_", base).strip("_") or "value"
    while True:
        counts[base] += 1
        name = f"{base}{counts[base]}"
        if name not in taken:
            taken.add(name)
            return name


def plain_value(value: object) -> Plain:
    """Return JSON data that equals the value (a tuple as a list), or its repr as text."""
    try:
        return _plain(value, 0)
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


def _index(node: Node) -> int:
    return node.index
