"""@bundle: make a function one traced operation. And `call`, which calls the value of a node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from harness.trace.bound import BoundBundle
from harness.trace.errors import ExecutionError, MissingCodeRunner, TraceMissingInputsError
from harness.trace.function import Bundle, Options
from harness.trace.kinds import ExceptionNode, MessageNode, Node
from harness.trace.nodes import as_node
from harness.trace.operators import FUNCTIONS, install
from harness.trace.snapshots import to_data

__all__ = [
    "BoundBundle",
    "Bundle",
    "ExceptionNode",
    "ExecutionError",
    "MissingCodeRunner",
    "TraceMissingInputsError",
    "bundle",
    "call",
    "to_data",
]

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """What turns a function into a bundle."""

    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]  # a coroutine is a result, too
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> Bundle[P, Coroutine[Any, Any, MessageNode[R]]]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]  # a generator is a result, too
        self, function: Callable[P, Iterator[R]], /
    ) -> Bundle[P, MessageNode[list[R]]]: ...
    @overload
    def __call__(  # pyright: ignore[reportOverlappingOverload]
        self, function: Callable[P, AsyncIterator[R]], /
    ) -> Bundle[P, Coroutine[Any, Any, MessageNode[list[R]]]]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Bundle[P, MessageNode[R]]: ...


@overload
def bundle(  # pyright: ignore[reportOverlappingOverload]  # a coroutine is a result, too
    description: Callable[P, Coroutine[Any, Any, R]], /
) -> Bundle[P, Coroutine[Any, Any, MessageNode[R]]]: ...
@overload
def bundle(  # pyright: ignore[reportOverlappingOverload]  # a generator is a result, too
    description: Callable[P, Iterator[R]], /
) -> Bundle[P, MessageNode[list[R]]]: ...
@overload
def bundle(  # pyright: ignore[reportOverlappingOverload]
    description: Callable[P, AsyncIterator[R]], /
) -> Bundle[P, Coroutine[Any, Any, MessageNode[list[R]]]]: ...
@overload
def bundle(description: Callable[P, R], /) -> Bundle[P, MessageNode[R]]: ...
@overload
def bundle(
    description: str | None = None,
    traceable_code: bool = False,
    _process_inputs: bool = True,
    trainable: bool = False,
    catch_execution_error: bool = True,
    allow_external_dependencies: bool = False,
    overwrite_python_recursion: bool = False,
    *,
    name: str | None = None,
    constraint: str | None = None,
) -> Decorator: ...
def bundle(description: Any = None, *args: Any, **options: Any) -> Any:
    """Make a function one traced operation: `@bundle`, `@bundle()` or `@bundle(trainable=True)`.

    description: what an optimizer reads about it, by default the docstring; `[name] words` names
        the operation. name: of the operation, by default the function's.
    traceable_code: the body gets nodes and is traced, too; the graph within is kept apart.
    _process_inputs: False hands the arguments to the body as they come, nodes as nodes.
    trainable: the source is a parameter; on a method, one for each instance. constraint: words
        added to the code's rule.
    catch_execution_error: False lets the function's own exceptions out instead of ExecutionError.
    allow_external_dependencies: True lets the body read nodes that are not its arguments.
    overwrite_python_recursion: calls of the function within itself run plain. So it is in any
        case if it is trainable.

    Decorators below @bundle apply to the function but are not part of a trainable source.
    """
    if callable(description) or isinstance(description, staticmethod | classmethod):
        return Bundle[..., Any](description, Options())
    if "_process_inputs" in options:
        options["process_inputs"] = options.pop("_process_inputs")
    settings = Options(description, *args, **options)

    def decorate(function: Any) -> Bundle[..., Any]:
        return Bundle(function, settings)

    return decorate


def _call(fun: Node[Callable[..., Any]], /, *args: Any, **kwargs: Any) -> Any:
    return fun.raw(*args, **kwargs)


call: Bundle[..., MessageNode[Any]] = Bundle(
    _call,
    Options(
        "[call] Calls the function fun with the other inputs.",
        process_inputs=False,
        allow_external_dependencies=True,
    ),
)


def _call_method(self: Node[Any], name: str, /, *args: Any, **kwargs: Any) -> MessageNode[Any]:
    nodes = [as_node(arg, f"args_{i}") for i, arg in enumerate(args)]
    return call(self.getattr(name), *nodes, **{k: as_node(v, k) for k, v in kwargs.items()})


def _call_value(self: Node[Any], /, *args: Any, **kwargs: Any) -> MessageNode[Any]:
    return call(self, *args, **kwargs)


install("call", _call_method, "Calls the method of that name, traced.")
install("__call__", _call_value, "Calls the value, traced.")
FUNCTIONS["call"] = call
