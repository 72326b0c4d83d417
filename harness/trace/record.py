"""How one operation is run and remembered: `apply`, and what operators and bundles share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from harness.trace.context import TRACING
from harness.trace.node import (
    NO_INPUTS,
    ExceptionNode,
    ExecutionError,
    Node,
    UsageError,
    error_text,
    snapshot,
)

_DEEPEST_SEARCH = 20


def apply(
    op: str,
    function: Callable[..., object],
    inputs: Mapping[str, object],
    description: str = "",
) -> Node:
    """Call `function(**values of inputs)` as one traced operation.

    The function gets copies of lists and dicts. Raises ExecutionError, with the function's own
    exception as its cause; what is no Exception, such as an interrupt, passes through.
    """
    nodes = {name: as_node(value, name) for name, value in inputs.items()}
    try:
        value = snapshot(function(**{name: snapshot(n.data) for name, n in nodes.items()}))
    except UsageError:
        raise
    except Exception as error:
        raise failure(error, op, nodes, description) from error
    return record(value, op, nodes, description)


def record(value: object, op: str, inputs: Mapping[str, Node], description: str) -> Node:
    """Return the node of an operation's value; without inputs if tracing is stopped."""
    return Node(value, op, inputs if TRACING.get() else NO_INPUTS, description)


def failure(
    error: Exception,
    op: str,
    inputs: Mapping[str, Node],
    description: str,
    comment: str | None = None,
) -> ExecutionError:
    """Return the error to raise for an operation that failed."""
    kept = inputs if TRACING.get() else NO_INPUTS
    return ExecutionError(ExceptionNode(error_text(error), op, kept, description, comment))


def as_node(value: object, label: str) -> Node:
    """Return a node as it is; wrap a value, with the nodes within a list or dict as inputs."""
    if isinstance(value, Node):
        return value
    if _holds_node(value):
        return _gather(value)
    return Node(snapshot(value), None, NO_INPUTS, "", label)


def make_list(*items: object) -> Node:
    """Make one node of several: a list."""
    inputs = {f"item_{i}": item for i, item in enumerate(items)}
    return apply("make_list", _list_of, inputs, "A list of the items.")


def make_tuple(*items: object) -> Node:
    """Make one node of several: a tuple."""
    inputs = {f"item_{i}": item for i, item in enumerate(items)}
    return apply("make_tuple", _tuple_of, inputs, "A tuple of the items.")


def make_dict(items: Mapping[Any, object] | None = None, /, **more: object) -> Node:
    """Make one node of several: a dict with their names as keys."""
    pairs: dict[Any, object] = {**(items or {}), **more}
    keys = list(pairs)
    inputs: dict[str, object] = {}
    for i, (key, value) in enumerate(pairs.items()):
        inputs[distinct(key if isinstance(key, str) else f"item_{i}", inputs)] = value

    def build(**values: object) -> dict[Any, object]:
        return dict(zip(keys, values.values(), strict=True))

    return apply("make_dict", build, inputs, "A dict of the items.")


def distinct(name: str, taken: Iterable[str]) -> str:
    """Return `name`, with underscores appended while it is taken."""
    while name in taken:
        name += "_"
    return name


def _list_of(**items: object) -> list[object]:
    return list(items.values())


def _tuple_of(**items: object) -> tuple[object, ...]:
    return tuple(items.values())


def _holds_node(value: Any, depth: int = 0) -> bool:
    kind = cast("Any", type(value))
    if depth > _DEEPEST_SEARCH:
        return False
    if kind is list or kind is tuple or kind is set:
        return any(isinstance(v, Node) or _holds_node(v, depth + 1) for v in value)
    if kind is dict:
        return any(isinstance(v, Node) or _holds_node(v, depth + 1) for v in value.values())
    return False


def _gather(value: object) -> Node:
    if isinstance(value, dict):
        return make_dict(cast("dict[Any, object]", value))
    if isinstance(value, list):
        return make_list(*cast("list[object]", value))
    if isinstance(value, tuple):
        return make_tuple(*cast("tuple[object, ...]", value))
    raise TypeError("a set of nodes has no order to be recorded in; pass a list or a tuple")
