"""Node, a value that remembers how it was made, and Parameter, a value an optimizer may change.

Edges point from a node to its inputs only, so a graph dies with the last reference to its output.
A node has no name; graph.py makes names when a trace is written out.

Comparison: `==` and `!=` compare values and give a plain bool; `<`, `<=`, `>`, `>=`, `eq()` and
`neq()` are traced. The hash is that of the object, so sets and dicts hold nodes by identity
although `==` and `in [...]` go by value: two nodes of value 1 are equal, yet two keys.

Copies: a node keeps a copy of a list, dict, set or tuple it is made from, so that later changes
of the original do not rewrite history. Other mutable objects are held by reference. Whoever
changes the object that `.data` returns changes the recorded value.
"""

from __future__ import annotations

import math
import reprlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, cast, get_args

from harness.trace.context import CREATION, READS
from harness.trace.signatures import Operators

if TYPE_CHECKING:
    from harness.trace.feedback import Feedback

ParameterKind: TypeAlias = Literal["text", "demos", "code", "number", "choice"]
Check: TypeAlias = Callable[[object], "str | None"]

NO_INPUTS: Mapping[str, Node] = MappingProxyType({})
_DEEPEST_COPY = 20
_AS_TEXT = (
    "{how} of a node would lose what the text depends on; write node.format(...), `+`, join(...) "
    "or str_(...) to have it traced, node.data for the bare value, repr(node) to look at it"
)


class UsageError(Exception):
    """The program itself must be mended; never recorded as the failure of one rollout."""


class Node(Operators):
    """A value, the operator that made it and that operator's inputs.

    op: None for a value that came from outside. label: what the user or an operator's argument
    calls the value; names in a trace are made from it. index: grows with creation.
    Pickling and deepcopy keep the value and drop the history.
    """

    __slots__ = ("__weakref__", "_data", "description", "index", "inputs", "label", "op")

    def __init__(
        self,
        data: object,
        op: str | None = None,
        inputs: Mapping[str, Node] = NO_INPUTS,
        description: str = "",
        label: str | None = None,
    ) -> None:
        self._data: Any = data
        self.op = op
        self.inputs = inputs
        self.description = description
        self.label = label
        self.index = next(CREATION)

    @property
    def data(self) -> Any:
        """The value. A read within a bundle's body is noted, to find undeclared inputs."""
        reads = READS.get()
        if reads is not None:
            reads.add(self)
        return self._data

    def backward(self, feedback: str) -> None:
        """Append the feedback to `.feedback` of every parameter this node depends on."""
        from harness.trace.feedback import backward

        for parameter, found in backward([(self, feedback)]).items():
            parameter.feedback.extend(found)

    def __eq__(self, other: object) -> bool:
        return bool(self.data == (other.data if isinstance(other, Node) else other))

    def __ne__(self, other: object) -> bool:
        return bool(self.data != (other.data if isinstance(other, Node) else other))

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        return bool(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, item: object) -> bool:
        return (item.data if isinstance(item, Node) else item) in self.data

    def __iter__(self) -> Iterator[Node]:
        value = self.data
        if hasattr(value, "keys"):
            return iter(self.keys())
        if not hasattr(value, "__len__"):
            # The operator refuses None and the like, and its failure is recorded.
            return iter((self[0], self[1]))
        return (self[i] for i in range(len(value)))

    def __format__(self, spec: str) -> NoReturn:
        raise TypeError(_AS_TEXT.format(how="an f-string"))

    def __str__(self) -> NoReturn:
        raise TypeError(_AS_TEXT.format(how="str()"))

    def __repr__(self) -> str:
        name = self.op or self.label
        return f"<{type(self).__name__}{' ' + name if name else ''}: {reprlib.repr(self._data)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (Node, (self._data, None, {}, self.description, self.label or self.op))


class Parameter(Node):
    """A value that an optimizer may change.

    name: what its maker calls it; a Module names its parameters by attribute path instead.
    constraint: the rule in words. check: returns the reason why a value is refused, or None.
    fields: for demos, the input fields and, last, the output field.
    """

    __slots__ = ("check", "constraint", "feedback", "fields", "kind")

    def __init__(  # noqa: PLR0913  every fact an optimizer may ask for, all but one by keyword
        self,
        data: object,
        *,
        name: str | None = None,
        kind: ParameterKind = "text",
        description: str = "",
        constraint: str = "",
        check: Check | None = None,
        fields: tuple[str, ...] = (),
    ) -> None:
        if kind not in get_args(ParameterKind):
            raise ValueError(f"kind {kind!r}; allowed: {', '.join(get_args(ParameterKind))}")
        super().__init__(snapshot(data), None, NO_INPUTS, description, name)
        self.kind: ParameterKind = kind
        self.constraint = constraint
        self.check = check
        self.fields = fields
        self.feedback: list[Feedback] = []
        self._require(self._data)

    @property
    def name(self) -> str | None:
        """What its maker calls it."""
        return self.label

    def refusal(self, value: object) -> str | None:
        """Return why `value` cannot be set, or None if it can."""
        return _refusal_of_kind(self, value) or (self.check(value) if self.check else None)

    def set(self, value: object) -> None:
        """Replace the value. Raises ValueError with the reason if it is refused."""
        self._require(value)
        self._data = snapshot(value)

    def zero_feedback(self) -> None:
        """Forget all feedback."""
        self.feedback = []

    def _require(self, value: object) -> None:
        reason = self.refusal(value)
        if reason is not None:
            rule = f"; {self.constraint}" if self.constraint else ""
            raise ValueError(f"parameter {self.label or 'without a name'}: {reason}{rule}")

    def __reduce__(self) -> tuple[Any, ...]:
        words = (self.label, self.kind, self.description, self.constraint)
        return (_restored_parameter, (self._data, words, self.check, self.fields))


ParameterNode = Parameter


class ExceptionNode(Node):
    """What is left of an operator that failed; `data` is `(ErrorType) message`.

    comment: the source with the failing line marked, or the data where there is no source.
    """

    __slots__ = ("comment",)

    def __init__(
        self,
        data: str,
        op: str,
        inputs: Mapping[str, Node],
        description: str,
        comment: str | None,
    ) -> None:
        super().__init__(data, op, inputs, description)
        self.comment: str = comment or data

    @property
    def error_type(self) -> str:
        """The name of the exception's class."""
        return str(self._data)[1:].partition(")")[0]

    def create_feedback(self, style: Literal["simple", "full"] = "simple") -> str:
        """Return the error's line, or (`full`) the source with the failing line marked."""
        return self.comment if style == "full" else str(self._data)

    def __reduce__(self) -> tuple[Any, ...]:
        return (ExceptionNode, (self._data, self.op, {}, self.description, self.comment))


class ExecutionError(Exception):
    """A traced operator failed; the program's own exception is `__cause__`."""

    def __init__(self, exception_node: ExceptionNode) -> None:
        super().__init__(exception_node)
        self.exception_node = exception_node

    def __str__(self) -> str:
        return f"{self.exception_node.op}: {self.exception_node.create_feedback()}"


def node(
    data: object,
    name: str | None = None,
    trainable: bool = False,
    description: str | None = None,
    constraint: str | None = None,
) -> Node:
    """Make a node. A trainable one is always a new Parameter; else a Node is returned as it is.

    The kind of a parameter follows its value: str is text, a number is a number, a list of dicts
    is demos, all else is a choice.
    """
    if isinstance(data, Node):
        if not trainable:
            if name is not None:
                warnings.warn(f"name {name!r} is ignored: the value is a node", stacklevel=2)
            return data
        name = name or data.label
        data = data.data
    if not trainable:
        return Node(snapshot(data), None, NO_INPUTS, description or "", name)
    return Parameter(
        data,
        name=name,
        kind=_kind_of(data),
        description=description or "",
        constraint=constraint or "",
    )


def snapshot(value: Any, depth: int = 0) -> Any:
    """Copy lists, dicts, sets and tuples, and take the values of nodes within them.

    Only these very types are copied, to a depth of 20; what lies deeper is shared.
    """
    kind = cast("Any", type(value))
    if kind is str or depth > _DEEPEST_COPY:
        return value
    if kind is list or kind is tuple or kind is set:
        return cast("object", kind(snapshot(item, depth + 1) for item in value))
    if kind is dict:
        return {snapshot(key): snapshot(item, depth + 1) for key, item in value.items()}
    return value.data if isinstance(value, Node) else value


def error_text(error: Exception) -> str:
    """Return `(ErrorType) message`; a failed operator within another keeps its own text."""
    if isinstance(error, ExecutionError):
        return error.exception_node.create_feedback()
    try:
        message = str(error)
    except Exception as e:  # noqa: BLE001  the __str__ of a program's own exception
        message = f"message lost: {type(e).__name__}"
    return f"({type(error).__name__}) {message}".rstrip()


def _kind_of(data: object) -> ParameterKind:
    if isinstance(data, str):
        return "text"
    if isinstance(data, int | float) and not isinstance(data, bool):
        return "number"
    if isinstance(data, list) and all(isinstance(d, dict) for d in cast("list[object]", data)):
        return "demos"
    return "choice"


def _refusal_of_kind(parameter: Parameter, value: object) -> str | None:
    """Return what is wrong with the type of `value`; a choice without a check keeps its type."""
    found = type(value).__name__
    match parameter.kind:
        case "text" | "code":
            return None if isinstance(value, str) else f"it must be a text, not {found}"
        case "number":
            if isinstance(value, bool) or not isinstance(value, int | float):
                return f"it must be a number, not {found}"
            return None if math.isfinite(value) else f"it must be a finite number, not {value}"
        case "demos":
            return _refusal_of_demos(value, parameter.fields)
        case "choice":
            kept = cast("type[object]", type(parameter.data))
            same = parameter.check is not None or type(value) is kept
            return None if same else f"it must stay of type {kept.__name__}, not {found}"


def _refusal_of_demos(value: object, fields: tuple[str, ...]) -> str | None:
    if not isinstance(value, list | tuple):
        return f"demos must be a list, not {type(value).__name__}"
    for i, demo in enumerate(cast("list[object]", value)):
        if not isinstance(demo, Mapping):
            return f"demo {i} must be an object, not {type(demo).__name__}"
        if fields and set(cast("Mapping[str, object]", demo)) != set(fields):
            return f"demo {i} must have the fields {', '.join(fields)} and no others"
    return None


def _restored_parameter(
    data: object,
    words: tuple[str | None, ParameterKind, str, str],
    check: Check | None,
    fields: tuple[str, ...],
) -> Parameter:
    name, kind, description, constraint = words
    return Parameter(
        data,
        name=name,
        kind=kind,
        description=description,
        constraint=constraint,
        check=check,
        fields=fields,
    )
