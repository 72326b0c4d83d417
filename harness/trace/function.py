"""A function as one traced operation, and its source as a parameter.

The body runs on plain values with tracing stopped: whatever it does is one operation. A body that
reads a node which is no argument would hide a dependency; that raises TraceMissingInputsError.
The body gets copies of lists, dicts, sets and tuples, so it cannot change its inputs' values.

A trainable bundle has its source as a further input, `__code`. While that parameter holds the
original source, the function itself runs. Any other code never runs in this process: it goes to
the runner set by `with use_code_runner(...)`, or to the library's sandbox.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from operator import attrgetter
from types import GeneratorType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from harness.trace.binding import CODE, Binder, Call, HasCode
from harness.trace.bound import BoundBundle, bind
from harness.trace.code import Signature
from harness.trace.context import CREATION, SCOPE, Body, code_runner
from harness.trace.errors import TraceMissingInputsError, UsageError
from harness.trace.graph import ancestors
from harness.trace.kinds import InstanceNode, MessageNode, Node, error_text, serial
from harness.trace.nodes import failure, record
from harness.trace.origins import Extra, split_tag
from harness.trace.parameters import ParameterNode
from harness.trace.snapshots import snapshot
from harness.trace.source import FunctionSource, facts_of, marked_source, source_of

P = ParamSpec("P")
Q = ParamSpec("Q")
N = TypeVar("N")

# The bundles whose recursive calls run plain here.
_PLAIN: ContextVar[tuple[Any, ...]] = ContextVar("PLAIN", default=())


# Replaced code of an async function: what it awaits can only be its own.
_DRIVER = """

def run_to_its_end(*args, **kwargs):
    coroutine = {name}(*args, **kwargs)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the code waits for something outside of it")
"""


@dataclass(frozen=True, slots=True)
class Options:
    """How a bundle is made; see `bundle`."""

    description: str | None = None
    traceable_code: bool = False
    process_inputs: bool = True
    trainable: bool = False
    catch_execution_error: bool = True
    allow_external_dependencies: bool = False
    overwrite_python_recursion: bool = False
    name: str | None = None
    constraint: str | None = None


class Bundle(HasCode, Generic[P, N]):
    """A function as one traced operation; made by `bundle`."""

    __name__: str
    __qualname__: str

    def __init__(self, function: Any, options: Options) -> None:
        self.is_static = isinstance(function, staticmethod)
        self.is_for_class = isinstance(function, classmethod)
        function = function.__func__ if self.is_static or self.is_for_class else function
        _require_plain(function)
        functools.update_wrapper(self, function)
        self.function: Callable[..., Any] = function
        self.options = options
        op, self.doc = split_tag(options.description or inspect.getdoc(function) or "")
        self.name = options.name or op or self.__name__
        parameters = list(inspect.signature(function).parameters.values())
        self._binder = Binder(self.name, parameters)
        self._method_binder = Binder(self.name, parameters[1:])
        self._first = parameters[0].name if parameters else ""
        self._is_method = self.is_for_class
        inner = inspect.unwrap(function)
        self._is_async = inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)
        self._plain_recursion = options.trainable or options.overwrite_python_recursion
        self._source: FunctionSource | None = source_of(function) if options.trainable else None
        self.parameter = self.new_parameter(method=False)

    # ---- calls

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> N: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> N: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function on nodes or values; return the node of its whole result.

        An async function gives a coroutine of the node. What a generator yields is one list.
        """
        if self._plain_recursion and self in _PLAIN.get():
            return self.function(*args, **kwargs)
        if args and (self._is_method or self._is_owned_by(args[0])):
            return self.bound_to(args[0])(*args[1:], **kwargs)
        return self._run(self._binder.bind(args, kwargs), self.parameter, None)

    def _is_owned_by(self, first: object) -> bool:
        """Tell whether a decorator above @bundle hid that this is a method of the argument."""
        owner = self.__qualname__.rpartition(".")[0]
        if not owner or owner.endswith("<locals>") or self.is_static or isinstance(first, Node):
            return False
        return any(cls.__qualname__ == owner for cls in type(first).__mro__)

    def call_on(self, bound: BoundBundle[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Call the function as a method of one instance."""
        if self._plain_recursion and self in _PLAIN.get():
            return self.function(bound.instance, *args, **kwargs)
        return self._run(self._method_binder.bind(args, kwargs), bound.parameter, bound)

    def _run(
        self, call: Call, code: ParameterNode[str] | None, bound: BoundBundle[..., Any] | None
    ) -> Any:
        inputs = call.inputs
        if bound is not None:
            inputs = {self._first: bound.self_node, **inputs}
        if code is not None:
            inputs = {**inputs, CODE: code}
        around = SCOPE.get()
        self._pass_on([*call.inputs.values(), *([] if code is None else [code])])
        options = self.options
        scope = Body(options.traceable_code and (around is None or around.tracing))
        function, first = self._function(code, bound)
        if options.traceable_code:
            args, kwargs = call.detached()
        else:
            args, kwargs = call.values() if options.process_inputs else call.nodes()
        if self._is_async:
            return self._finish_async(scope, inputs, function, (*first, *args), kwargs)
        mark = next(CREATION)
        try:
            value = self._watched(scope, function, (*first, *args), kwargs)
        except UsageError:
            raise
        except Exception as error:
            raise self._failure(error, scope, inputs, mark) from error
        return self._recorded(value, scope, inputs, mark)

    async def _finish_async(
        self,
        scope: Body,
        inputs: Mapping[str, Node[Any]],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> MessageNode[Any]:
        mark = next(CREATION)
        around = SCOPE.get()
        SCOPE.set(scope)
        try:
            result = function(*args, **kwargs)
            if isinstance(result, AsyncGenerator):
                value = [item async for item in cast("AsyncGenerator[Any]", result)]
            else:
                value = await result if inspect.isawaitable(result) else result
        except UsageError:
            raise
        except Exception as error:
            SCOPE.set(around)
            raise self._failure(error, scope, inputs, mark) from error
        finally:
            SCOPE.set(around)
        return self._recorded(value, scope, inputs, mark)

    def _watched(
        self,
        scope: Body,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Run a body with tracing stopped; the nodes it reads are noted in the scope."""
        around = SCOPE.get()
        plain = _PLAIN.set((*_PLAIN.get(), self)) if self._plain_recursion else None
        SCOPE.set(scope)
        try:
            value = function(*args, **kwargs)
            return list(cast("Any", value)) if type(value) is GeneratorType else value
        finally:
            SCOPE.set(around)
            if plain is not None:
                _PLAIN.reset(plain)

    def _function(
        self, code: ParameterNode[str] | None, bound: BoundBundle[..., Any] | None
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """Return what to call and the arguments that come before those of the call."""
        first = () if bound is None else (bound.instance,)
        if code is None or self._source is None or code.raw == self._source.text:
            return self.function, first
        source, signature = code.raw, self._source.signature

        def run(*args: Any, **kwargs: Any) -> object:
            refused = _refusal(signature, source)
            if refused:
                raise (SyntaxError if "does not parse" in refused else TypeError)(refused)
            if signature.is_async:
                driven = source + _DRIVER.format(name=signature.name)
                return code_runner()(driven, "run_to_its_end", args, kwargs)
            return code_runner()(source, signature.name, args, kwargs)

        return run, (None,) * len(first)

    # ---- results

    def _recorded(
        self, value: Any, scope: Body, inputs: Mapping[str, Node[Any]], mark: int
    ) -> MessageNode[Any]:
        inner = cast("Node[Any]", value) if isinstance(value, Node) else None
        written: list[Node[Any]] = []  # nodes that an f-string in the body read
        value = snapshot(value, written)
        scope.reads.update(written)
        if not scope.reads and inner is None:
            return record(value, self, inputs)
        if self.options.traceable_code:
            seen = ancestors(inner) if inner is not None else scope.reads
            hidden: list[Node[Any]] = [n for n in seen if isinstance(n, ParameterNode)]
            self._pass_on(hidden)
        else:
            hidden, inner = self._hidden(scope, inputs, mark), None
        extra = Extra(tuple(hidden), inner, None) if hidden or inner is not None else None
        return record(value, self, inputs, extra)

    def _failure(
        self, error: Exception, scope: Body, inputs: Mapping[str, Node[Any]], mark: int
    ) -> Exception:
        hidden = [] if self.options.traceable_code else self._hidden(scope, inputs, mark)
        if not self.options.catch_execution_error:
            return error
        code = inputs.get(CODE)
        replaced = code is not None and self._source and code.raw != self._source.text
        comment = (
            _own_code(code, error)
            if code is not None and replaced
            else marked_source(self.function, error)
        )
        failed = failure(error, self, inputs, comment)
        failed.exception_node.extra = Extra(tuple(hidden), None, None) if hidden else None
        return failed

    def _hidden(self, scope: Body, inputs: Mapping[str, Node[Any]], mark: int) -> list[Node[Any]]:
        """Return what the body read besides its inputs; refuse all but code, unless allowed.

        Nodes made in the body do not count; the code of a method may be made there, though.
        """
        unknown = sorted(scope.reads - set(inputs.values()), key=serial)
        outside = [n for n in unknown if n.serial < mark or isinstance(n, ParameterNode)]
        bare = [n for n in outside if not (isinstance(n, ParameterNode) and n.kind == "code")]
        if bare and not self.options.allow_external_dependencies:
            raise TraceMissingInputsError(
                f"{self.__qualname__} reads {', '.join(map(repr, bare[:3]))} which it does not "
                "take as arguments; pass them as arguments, or set allow_external_dependencies=True"
            )
        self._pass_on(outside)
        return outside

    def _pass_on(self, read: list[Node[Any]]) -> None:
        """Note in the bundle around this one what this one read."""
        around = SCOPE.get()
        if around is not None and around.reads is not None:
            around.reads.update(read)

    # ---- methods

    def __set_name__(self, owner: type, name: str) -> None:
        # Another function's bundle may be put into a class, too, and stays a function elsewhere.
        if self.__qualname__ == f"{owner.__qualname__}.{name}" and not self.is_static:
            self._is_method = True

    @overload
    def __get__(self, instance: None, owner: type) -> Bundle[P, N]: ...
    @overload
    def __get__(
        self: Bundle[Concatenate[Any, Q], N], instance: object, owner: type
    ) -> BoundBundle[Q, N]: ...
    def __get__(self, instance: object | None, owner: type) -> Any:
        if self.is_static or (instance is None and not self.is_for_class):
            return self
        return bind(self, owner if self.is_for_class else instance)

    def bound_to(self, instance: Any) -> BoundBundle[..., Any]:
        """Return the bundle as a method of the instance."""
        return bind(self, instance)

    # ---- the code as a parameter

    @property
    def code_parameter(self) -> ParameterNode[str] | None:
        """The source as a parameter; None if the bundle is not trainable."""
        return self.parameter

    @property
    def trainable(self) -> bool:
        """Whether the source is a parameter."""
        return self.parameter is not None

    def new_parameter(self, *, method: bool) -> ParameterNode[str] | None:
        """Return a new parameter of the original source; None if the bundle is not trainable."""
        return self._source and self._source.parameter(self.options.constraint, method)

    # ---- facts and copies

    @property
    def fun(self) -> Callable[..., Any]:
        """The function itself."""
        return self.function

    @property
    def code(self) -> str:
        """The source of the function; empty if it cannot be read."""
        return facts_of(self.function)["source"]

    @property
    def info(self) -> dict[str, Any]:
        """The function, its name, documentation, signature, source, line number and file."""
        return {
            "fun": self.function,
            "fun_name": self.name,
            "doc": inspect.getdoc(self.function) or "",
            "signature": self._binder.signature,
            **facts_of(self.function),
        }

    def info_of(self, node: MessageNode[Any]) -> dict[str, Any]:
        """Return the facts about one call, besides those about the function."""
        kinds = self._binder.signature.parameters
        args: list[Node[Any]] = []
        kwargs: dict[str, Node[Any]] = {}
        for name, source in node.sources.items():
            if name in kinds and kinds[name].kind is inspect.Parameter.KEYWORD_ONLY:
                kwargs[name] = source
            elif name != CODE and not isinstance(source, InstanceNode):
                args.append(source)
        extra = node.extra
        return {
            **self.info,
            "inputs": {"args": args, "kwargs": kwargs},
            "output": node.raw if extra is None or extra.inner is None else extra.inner,
            "external_dependencies": list(extra.hidden) if extra else [],
            "error_comment": getattr(node, "comment", None),
            "traceback": getattr(node, "report", None),
        }

    def detach(self) -> Bundle[P, N]:
        """Return a copy with a parameter of its own."""
        return copy.deepcopy(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundle[P, N]:
        if self.parameter is None or self._is_method:
            return self
        return self.with_parameter(copy.deepcopy(self.parameter, memo))

    def with_parameter(self, parameter: ParameterNode[str]) -> Bundle[P, N]:
        """Return a copy with another parameter."""
        other = copy.copy(self)
        other.parameter = parameter
        return other

    def __copy__(self) -> Bundle[P, N]:
        other: Bundle[P, N] = object.__new__(type(self))
        vars(other).update(vars(self))
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        own = None if self._is_method else self.parameter
        return (_restored, (self.__module__, self.__qualname__, own))


def _require_plain(function: object) -> None:
    if not callable(function) or not hasattr(function, "__qualname__"):
        raise TypeError(
            f"@bundle needs a function with a name, not {type(function).__name__}; wrap it in a def"
        )


@functools.lru_cache(maxsize=256)
def _refusal(signature: Signature, source: str) -> str | None:
    return signature.refusal(source)


def _own_code(code: Node[Any], error: Exception) -> str:
    return f"{code.raw}\n# <--- {error_text(error)}"


def _restored(module: str, qualname: str, parameter: ParameterNode[str] | None) -> Any:
    found: Bundle[..., Any] = attrgetter(qualname)(importlib.import_module(module))
    return found if parameter is None else found.with_parameter(parameter)
