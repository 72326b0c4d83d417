"""The kinds of nodes: a value from outside, a parameter, what an operation made, what failed.

A node is a value that remembers how it was made. Edges point from a node to its inputs only, so a
graph dies with the last reference to its output. Names belong to a trace; see graph.py.

Comparison: `==` and `!=` compare values and give a plain bool; `<`, `<=`, `>`, `>=`, `eq()` and
`neq()` are traced. The hash is that of the object, so sets and dicts hold nodes by identity
although `==` and `in [...]` go by value: two nodes of value 1 are equal, yet two keys.

Copies: a node keeps a copy of a list, dict, set or tuple it is made from, so that later changes
of the original do not rewrite history. Other mutable objects are held by reference. Whoever
changes the object that `.data` returns changes the recorded value.
"""

from __future__ import annotations

import builtins
import copy
import gc
import re
import reprlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, TypeAlias, cast

from harness.trace.context import CREATION, SCOPE
from harness.trace.errors import ExecutionError
from harness.trace.marks import marked, plain_text, refuse_percent
from harness.trace.origins import Extra, Named, Origin, split_tag
from harness.trace.signatures import Operators
from harness.trace.snapshots import snapshot

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")

Words: TypeAlias = tuple["str | None", str]

NO_INPUTS: Mapping[str, Node] = MappingProxyType({})
NO_WORDS: Words = (None, "")


class Node(Operators, Generic[T]):
    """A value that came from outside; the base of the other kinds.

    name: what the user calls it. description: what it means.
    serial: grows with creation; with the base name it makes `name`, unique in this process.
    Pickling and deepcopy keep the value and drop the history.
    """

    __slots__ = ("__weakref__", "feedbacks", "origin", "raw", "serial", "sources", "words")
    about = "This is a node in a computational graph."
    extra: Extra | None = None

    def __init__(
        self, value: T | Node[T], *, name: str | None = None, description: str | None = None
    ) -> None:
        self.raw: Any = value.raw if isinstance(value, Node) else snapshot(value)
        self.origin: Origin | None = None
        self.sources: Mapping[str, Node[Any]] = NO_INPUTS
        self.words = words_of(name, description)
        self.serial = next(CREATION)
        self.feedbacks: dict[Node[Any], list[Any]] | None = None

    @property
    def data(self) -> T:
        """The value. A read within a bundle's body is noted, to find undeclared inputs."""
        scope = SCOPE.get()
        if scope is not None and scope.reads is not None:
            scope.reads.add(self)
        return self.raw

    # ---- names and words

    @property
    def label(self) -> str | None:
        """What the user, or the argument of an operation, calls the value."""
        return self.words[0]

    @property
    def op(self) -> str | None:
        """The name of the operation that made the value; None if it came from outside."""
        return self.origin.name if self.origin else None

    @property
    def name(self) -> str:
        """The label, operation or type, and a number that is unique in this process."""
        return f"{self.label or self.op or type(self.raw).__name__}:{self.serial}"

    @property
    def py_name(self) -> str:
        """The name as a Python identifier."""
        return re.sub(r"\W", "_", self.name.replace(":", "")).lstrip("0123456789") or "value"

    @property
    def id(self) -> str:
        """The number in the name."""
        return str(self.serial)

    @property
    def doc(self) -> str:
        """What the value means, or what the operation that made it does; may be empty."""
        return self.words[1] or (self.origin.doc if self.origin else "")

    @property
    def description(self) -> str:
        """The words about the node, after the operation's or the class's name in brackets."""
        doc = self.doc
        if split_tag(doc)[0] is not None:
            return doc
        return f"[{self.op or type(self).__name__}] {doc or self.about}"

    @property
    def type(self) -> builtins.type[T]:
        """The type of the value."""
        return cast("builtins.type[T]", type(self.raw))

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change the value."""
        return False

    @property
    def info(self) -> dict[str, Any]:
        """Facts about the call that made the value; made anew at each read."""
        return {}

    # ---- the graph

    @property
    def inputs(self) -> dict[str, Node[Any]]:
        """The inputs of the operation that made the value, by argument."""
        return dict(self.sources)

    @property
    def parents(self) -> list[Node[Any]]:
        """The inputs, each once."""
        return list(dict.fromkeys(self.sources.values()))

    @property
    def children(self) -> list[Node[Any]]:
        """The living nodes made from this one, oldest first. For debugging: searches the heap."""
        holders = {id(found) for found in gc.get_referrers(self)}
        nodes = cast("list[MessageNode[Any]]", [n for n in gc.get_objects() if type(n) in _MADE])
        return sorted((n for n in nodes if id(n.sources) in holders), key=serial)

    @property
    def is_root(self) -> bool:
        """Whether it was made from nothing."""
        return not self.sources

    @property
    def is_leaf(self) -> bool:
        """Whether no living node was made from it."""
        return not self.children

    # ---- feedback

    @property
    def feedback(self) -> dict[Node[Any], list[Any]]:
        """What backward brought here: lists of feedback by the child they came through."""
        return {} if self.feedbacks is None else self.feedbacks

    def add_feedback(self, child: Node[Any], feedback: object) -> None:
        """Append a feedback that came through `child`."""
        if self.feedbacks is None:
            self.feedbacks = {}
        self.feedbacks.setdefault(child, []).append(feedback)

    def zero_feedback(self) -> None:
        """Forget all feedback."""
        self.feedbacks = None

    # ---- copies

    def detach(self) -> Node[T]:
        """Return a deep copy without history."""
        return copy.deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (type(self), self.state()))

    def state(self) -> dict[str, Any]:
        """Return what a copy keeps."""
        return {"raw": self.raw, "words": (self.label or self.op, self.doc)}

    # ---- plain Python, not traced

    def __eq__(self, other: object) -> bool:
        return bool(self.data == _value(other))

    def __ne__(self, other: object) -> bool:
        return bool(self.data != _value(other))

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(self.data)

    def __len__(self) -> int:
        return len(cast("Any", self.data))

    def __contains__(self, item: object) -> bool:
        return _value(item) in cast("Any", self.data)

    def __int__(self) -> int:
        refuse_percent()
        return int(cast("Any", self.data))

    def __float__(self) -> float:
        refuse_percent()
        return float(cast("Any", self.data))

    def __index__(self) -> int:
        refuse_percent()
        return cast("Any", self.data).__index__()

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise TypeError(
            "a node keeps its value; write x = x.setitem(key, value) for a changed copy"
        )

    def __delitem__(self, key: object) -> NoReturn:
        raise TypeError("a node keeps its value; write x = x.delitem(key) for a copy without it")

    def __str__(self) -> str:
        return self._told(str(self.raw))

    def __format__(self, spec: str) -> str:
        return self._told(format(self.raw, spec))

    def _told(self, text: str) -> str:
        """Return a text made from the node: marked where it can enter the graph again.

        Within a bundle's body it cannot; there the node becomes a hidden dependency.
        """
        scope = SCOPE.get()
        if scope is None or scope.tracing:
            return marked(self, text)
        if scope.told is not None:
            scope.told.add(self)
        return text

    def __repr__(self) -> str:
        made = f" = {self.op}({', '.join(self.sources)})" if self.sources else ""
        return f"<{type(self).__name__} {self.name}{made}: {reprlib.repr(self.raw)}>"

    # ---- what programs written for Trace touch

    @property
    def _data(self) -> Any:
        return self.raw

    @_data.setter
    def _data(self, value: object) -> None:
        self.raw = value

    @property
    def _inputs(self) -> Mapping[str, Node[Any]]:
        return self.sources

    @property
    def _feedback(self) -> dict[Node[Any], list[Any]]:
        return self.feedback

    @_feedback.setter
    def _feedback(self, value: dict[Node[Any], list[Any]]) -> None:
        self.feedbacks = value

    @property
    def _constraint(self) -> str | None:
        return None


class InstanceNode(Node[T]):
    """The object that a method belongs to: an input of the call, but not shown in a trace."""

    __slots__ = ()


class MessageNode(Node[T]):
    """What an operation made of its inputs.

    inputs: by argument, or a list. The description may start with `[name of the operation]`.
    `extra` holds what only some operations have to tell.
    """

    __slots__ = ("extra",)

    def __init__(
        self,
        value: T | Node[T],
        *,
        inputs: Mapping[str, Node[Any]] | Sequence[Node[Any]],
        description: str = "",
        name: str | None = None,
    ) -> None:
        super().__init__(value, name=name, description=description)
        op, doc = split_tag(description)
        self.words = words_of(name, doc)
        self.origin = Named(op or name or "message", doc)
        self.sources = dict(inputs) if isinstance(inputs, Mapping) else _numbered(inputs)
        self.extra: Extra | None = None

    @property
    def info(self) -> dict[str, Any]:
        """Facts about the call that made the value; made anew at each read."""
        return self.origin.info_of(self) if self.origin else {}

    def state(self) -> dict[str, Any]:
        """Return what a copy keeps."""
        return {**super().state(), "extra": None}


class ExceptionNode(MessageNode[str]):
    """What is left of an operation that failed; `data` is `(ErrorType) message`.

    comment: the source with the failing line marked, or the data where there is no source.
    report: the same for people, with the user's own line first.
    """

    __slots__ = ("comment", "report")

    def __init__(
        self,
        value: Exception,
        *,
        inputs: Mapping[str, Node[Any]] | Sequence[Node[Any]],
        description: str = "[exception] The operation failed.",
        name: str | None = None,
    ) -> None:
        super().__init__(error_text(value), inputs=inputs, description=description, name=name)
        self.comment: str = self.raw
        self.report: str = f"{self.op}: {self.raw}"

    @property
    def error_type(self) -> str:
        """The name of the exception's class."""
        return str(self.raw)[1:].partition(")")[0]

    def create_feedback(self, style: Literal["simple", "full"] = "simple") -> str:
        """Return the error's line, or (`full`) the source with the failing line marked."""
        return self.comment if style == "full" else str(self.raw)

    def state(self) -> dict[str, Any]:
        """Return what a copy keeps."""
        return {**super().state(), "comment": self.comment, "report": self.report}


# For isinstance where a type checker is not to narrow to a node of an unknown type.
NODE: Any = Node
_MADE = (MessageNode, ExceptionNode)


def _value(x: Any) -> Any:
    if type(x) is str:
        return plain_text(x)
    return x.data if isinstance(x, Node) else x  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]  # a node of any value


def words_of(name: Any, description: Any) -> Words:
    """Return name and description as a node keeps them. Raises TypeError for what is no text."""
    for what, text in (("name", name), ("description", description)):
        if text is not None and not isinstance(text, str):
            raise TypeError(f"the {what} of a node must be a text, not {type(text).__name__}")
    return (name and plain_text(name), plain_text(description or ""))


def serial(node: Node) -> int:
    """Return the number of a node, to sort by creation."""
    return node.serial


def error_text(error: Exception) -> str:
    """Return `(ErrorType) message`; a failed operator within another keeps its own text."""
    if isinstance(error, ExecutionError):
        return error.exception_node.create_feedback()
    try:
        message = str(error)
    except Exception as e:  # noqa: BLE001  the __str__ of a program's own exception
        message = f"message lost: {type(e).__name__}"
    return plain_text(f"({type(error).__name__}) {message}".rstrip())


def _numbered(inputs: Sequence[Node]) -> dict[str, Node]:
    return {f"arg_{i}": node for i, node in enumerate(inputs)}


def _restored(cls: builtins.type[Node], state: Mapping[str, Any]) -> Node:
    node = cls.__new__(cls)
    node.origin, node.sources, node.feedbacks, node.serial = None, NO_INPUTS, None, next(CREATION)
    for name, value in state.items():
        setattr(node, name, value)
    return node
