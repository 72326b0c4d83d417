"""Iteration over nodes: every item is a traced `getitem`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.trace.kinds import Node
from harness.trace.nodes import as_node, failure
from harness.trace.operators import OPS, install


class SeqIterable:
    """The items of a sequence node, one by one."""

    def __init__(self, wrapped_list: Node[Any]) -> None:
        self.wrapped_list = wrapped_list

    def __iter__(self) -> Iterator[Node[Any]]:
        return (self.wrapped_list[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.wrapped_list)


class DictIterable:
    """The pairs (key node, value node) of a dict node, one by one."""

    def __init__(self, wrapped_dict: Node[Any]) -> None:
        self.wrapped_dict = wrapped_dict
        self.keys = wrapped_dict.keys()

    def __iter__(self) -> Iterator[tuple[Node[Any], Node[Any]]]:
        return ((key, self.wrapped_dict[key]) for key in self.keys)

    def __len__(self) -> int:
        return len(self.wrapped_dict)


def iterate(x: object) -> SeqIterable:
    """Return the items of a sequence, a set (as a list) or a dict (its keys), traced.

    Raises ExecutionError, with a node as of any failed operation, for what has no items.
    """
    node = as_node(x, "x")
    value = node.data
    if isinstance(value, set | frozenset):
        return SeqIterable(OPS["to_list"](node))
    if hasattr(value, "keys"):
        return SeqIterable(node.keys())
    if hasattr(value, "__len__") and hasattr(value, "__getitem__"):
        return SeqIterable(node)
    error = TypeError(f"cannot unpack or iterate over a value of type {type(value).__name__}")
    raise failure(error, OPS["getitem"], {"x": node})


def _iter(self: Node[Any]) -> Iterator[Node[Any]]:
    return iter(iterate(self))


def _items(self: Node[Any]) -> DictIterable:
    return DictIterable(self)


install("__iter__", _iter, "The items, each a traced getitem.")
install("items", _items, "The pairs of a dict: key node, value node.")
