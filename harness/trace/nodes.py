"""How nodes are made: from a value, and from an operation that is run and remembered."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn, cast, overload

from harness.trace.constraints import Constraint
from harness.trace.context import CREATION, SCOPE, Scope, is_tracing
from harness.trace.errors import ExecutionError, TraceMissingInputsError, UsageError
from harness.trace.failures import report, trim
from harness.trace.kinds import (
    NO_INPUTS,
    ExceptionNode,
    MessageNode,
    Node,
    T,
    Words,
    serial,
    words_of,
)
from harness.trace.marks import plain_text, unmarked
from harness.trace.origins import Extra, Named, Origin
from harness.trace.parameters import ParameterKind, ParameterNode
from harness.trace.snapshots import SCALARS, holds_node, parts_of, rebuilt, snapshot

__all__ = [
    "GRAPH",
    "ExceptionNode",
    "MessageNode",
    "Node",
    "ParameterNode",
    "apply",
    "as_node",
    "constant",
    "distinct",
    "failure",
    "make_dict",
    "make_list",
    "make_tuple",
    "node",
    "record",
]

_new = object.__new__


@overload
def node(  # pyright: ignore[reportOverlappingOverload]  # a bool that is not known is rare
    data: Node[T] | T,
    name: str | None = None,
    trainable: Literal[False] = False,
    description: str | None = None,
    constraint: str | Constraint | None = None,
) -> Node[T]: ...
@overload
def node(
    data: Node[T] | T,
    name: str | None = None,
    trainable: bool = ...,
    description: str | None = None,
    constraint: str | Constraint | None = None,
    *,
    kind: ParameterKind | None = None,
) -> ParameterNode[T]: ...
def node(
    data: Any,
    name: str | None = None,
    trainable: bool = False,
    description: str | None = None,
    constraint: str | Constraint | None = None,
    *,
    kind: ParameterKind | None = None,
) -> Node[Any]:
    """Make a node. A trainable one is always a new Parameter; else a Node is returned as it is.

    A parameter made from a node shares its value. A list, tuple or dict of nodes becomes a node
    that depends on them. Text that was made from nodes depends on those, too.
    """
    if trainable:
        source, is_node = data, isinstance(data, Node)
        if isinstance(data, ParameterNode):
            kind, constraint = kind or source.kind, constraint or source.own_rule
            description = description or source.words[1]
        return ParameterNode(
            source,
            name=name or (source.label if is_node else None),
            kind=kind,
            description=description,
            constraint=constraint,
        )
    if isinstance(data, Node):
        if name is not None:
            warnings.warn(f"name {name!r} is ignored: the value is a node", stacklevel=2)
        return cast("Node[Any]", data)
    made: Node[Any] = as_node(data, "")
    if made.sources and not isinstance(data, str):
        made.raw = _with_nodes(data)
    made.words = words_of(name, description)
    return made


def constant(value: object, words: Words) -> Node[Any]:
    """Return the node of a value from outside; nothing is copied."""
    made: Node[Any] = _new(Node)
    made.raw = value
    made.origin = None
    made.sources = NO_INPUTS
    made.words = words
    made.serial = next(CREATION)
    made.feedbacks = None
    return made


def record(
    value: object, origin: Origin, sources: Mapping[str, Node], extra: Extra | None = None
) -> MessageNode[Any]:
    """Return the node of an operation's value; without inputs if tracing is stopped."""
    made: MessageNode[Any] = _new(MessageNode)
    made.raw = value
    made.origin = origin
    scope = SCOPE.get()
    made.sources = sources if scope is None or scope.tracing else NO_INPUTS
    made.words = (None, "")
    made.serial = next(CREATION)
    made.feedbacks = None
    made.extra = extra
    return made


def failure(
    error: Exception,
    origin: Origin,
    sources: Mapping[str, Node],
    comment: str | None = None,
) -> ExecutionError:
    """Return the error to raise for an operation that failed."""
    failed = ExceptionNode(error, inputs=sources if is_tracing() else NO_INPUTS)
    failed.origin, failed.words = origin, (None, "")
    failed.comment = comment or failed.raw
    failed.report = report(error, origin.name, failed.raw, comment)
    trim(error)
    return ExecutionError(failed)


def apply(
    op: str,
    function: Callable[..., object],
    inputs: Mapping[str, object],
    description: str = "",
) -> MessageNode[Any]:
    """Call `function(**values of inputs)` as one traced operation.

    The function gets copies of lists and dicts. Raises ExecutionError, with the function's own
    exception as its cause; what is no Exception, such as an interrupt, passes through.
    """
    sources = {name: as_node(value, name) for name, value in inputs.items()}
    origin = Named(op, description)
    values = {name: snapshot(n.data) for name, n in sources.items()}
    around, reads, mark = SCOPE.get(), set[Node[Any]](), next(CREATION)
    scope = Scope(around)
    scope.reads = scope.told = reads
    SCOPE.set(scope)
    try:
        value = function(**values)
    except UsageError:
        raise
    except Exception as error:
        SCOPE.set(around)
        raise failure(error, origin, sources) from error
    finally:
        SCOPE.set(around)
    written: list[Node[Any]] = []
    value = snapshot(value, written)
    _refuse_hidden(op, {*reads, *written} - {*sources.values()}, mark)
    return record(value, origin, sources)


def as_node(value: object, label: str, made: dict[int, Node[Any]] | None = None) -> Node[Any]:
    """Return a node as it is; wrap a value, with the nodes within it as inputs.

    made: the nodes of containers, by id, so that what is shared in the value is made once.
    """
    if isinstance(value, Node):
        return cast("Node[Any]", value)
    kind = type(value)
    if kind is str:
        text, found = unmarked(value)  # type: ignore[arg-type]
        if found:
            return record(text, TEXT, {f"part_{i}": part for i, part in enumerate(found)})
    elif kind not in SCALARS:
        if holds_node(value):
            made = {} if made is None else made
            if id(value) not in made:
                made[id(value)] = _gathered(value, made)
            return made[id(value)]
        value = snapshot(value)
    return constant(value, (label, ""))


def make_list(*items: object) -> MessageNode[list[Any]]:
    """Make one node of several: a list."""
    return _made("make_list", "A list of the items.", enumerate(items), list)


def make_tuple(*items: object) -> MessageNode[tuple[Any, ...]]:
    """Make one node of several: a tuple."""
    return _made("make_tuple", "A tuple of the items.", enumerate(items), tuple)


def make_dict(items: Mapping[Any, object] | None = None, /, **more: object) -> MessageNode:
    """Make one node of several: a dict with their names as keys."""
    return _dict_of({**(items or {}), **more}, {})


def _dict_of(pairs: dict[Any, object], made: dict[int, Node[Any]]) -> MessageNode[Any]:
    keys = [snapshot(key) for key in pairs]
    parts = list(pairs.items())
    parts += [(f"key_{i}", key) for i, key in enumerate(pairs) if holds_node(key)]

    def build(values: Sequence[object]) -> dict[Any, object]:
        return dict(zip(keys, values, strict=False))

    return _made("make_dict", "A dict of the items.", parts, build, made)


def distinct(name: str, taken: Iterable[str]) -> str:
    """Return `name`, with underscores appended while it is taken."""
    while name in taken:
        name += "_"
    return name


class Graph:
    """Stands where programs written for Trace clear its registry of nodes; there is none here."""

    def clear(self) -> None:
        """Do nothing: nodes die with their last reference."""

    def __len__(self) -> int:
        return 0

    @property
    def TRACE(self) -> bool:
        """Whether operations are traced here; `stop_tracing` switches it."""
        return is_tracing()


GRAPH = Graph()
TEXT = Named("text", "A text that holds the parts.")


def _gathered(value: Any, made: dict[int, Node[Any]]) -> MessageNode[Any]:
    """Make one node of a container or object that holds nodes."""
    try:
        if type(value) is dict:
            return _dict_of(cast("dict[Any, object]", value), made)
        if type(value) in (set, frozenset):
            _refuse_set()
        kind = cast("Any", type(value)).__name__
        words = f"A {kind} of the items."
        parts = parts_of(value)
        return _made(f"make_{kind}", words, parts, lambda new: rebuilt(value, new), made)
    except RecursionError as error:
        raise UsageError("an argument holds itself, or nodes too deep to be recorded") from error


def _made(
    op: str,
    doc: str,
    parts: Iterable[tuple[Any, object]],
    build: Callable[[Sequence[Any]], object],
    made: dict[int, Node[Any]] | None = None,
) -> MessageNode[Any]:
    sources: dict[str, Node] = {}
    for key, part in parts:
        label = (
            key if isinstance(key, str) else f"item_{key if isinstance(key, int) else len(sources)}"
        )
        name = distinct(label, sources)
        sources[name] = as_node(part, name, made)
    return record(build([snapshot(n.data) for n in sources.values()]), Named(op, doc), sources)


def _with_nodes(value: Any) -> Any:
    """Return a copy of a container that holds the nodes themselves."""
    if isinstance(value, Node | str):
        return plain_text(value) if isinstance(value, str) else cast("Node[Any]", value)
    parts = parts_of(value)
    return rebuilt(value, [_with_nodes(part) for _, part in parts]) if parts else value


def _refuse_hidden(op: str, read: set[Node[Any]], mark: int) -> None:
    hidden = sorted((n for n in read if n.serial < mark), key=serial)
    if hidden:
        raise TraceMissingInputsError(
            f"{op} reads {', '.join(map(repr, hidden[:3]))} which are no inputs of it; pass them "
            "as inputs"
        )


def _refuse_set() -> NoReturn:
    raise UsageError("a set of nodes has no order to be recorded in; pass a list or a tuple")
