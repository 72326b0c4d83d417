"""Three functions that programs written for Trace import from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from operator import add
from typing import Any, TypeVar

from harness.trace.kinds import Node
from harness.trace.propagators import TraceGraph

C = TypeVar("C", bound=type)


def contain(container_of_nodes: Iterable[Node], node: Node) -> bool:
    """Tell whether this very node is among them; `in` would compare values."""
    return any(node is n for n in container_of_nodes)


def sum_feedback(nodes: Iterable[Node]) -> Any:
    """Return all feedback of the nodes added up; an empty TraceGraph if there is none."""
    found = [item for node in nodes for items in node.feedback.values() for item in items]
    if all(isinstance(item, TraceGraph) for item in found):
        return TraceGraph.sum(found)
    return reduce(add, found)


def for_all_methods(decorator: Callable[[Any], Any]) -> Callable[[C], C]:
    """Return a class decorator that decorates every public method."""

    def decorate(cls: C) -> C:
        for name, value in list(vars(cls).items()):
            if callable(value) and not isinstance(value, type) and not name.startswith("__"):
                setattr(cls, name, decorator(value))
        return cls

    return decorate
