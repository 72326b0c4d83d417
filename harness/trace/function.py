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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from types import GeneratorType
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast, overload

from harness.trace.binding import Binder, Call, HasCode, as_input
from harness.trace.bound import BoundBundle, bind
from harness.trace.context import SCOPE, STOPPED, Scope
from harness.trace.errors import UsageError
from harness.trace.kinds import NODE, InstanceNode, MessageNode, Node
from harness.trace.nodes import failure, record
from harness.trace.origins import split_tag
from harness.trace.parameters import CODE, ParameterNode
from harness.trace.replaced import marked_code, replacement
from harness.trace.running import Run, note_reads
from harness.trace.snapshots import snapshot
from harness.trace.source import Definition, FunctionSource, definition_of, source_of

P = ParamSpec("P")
Q = ParamSpec("Q")
N = TypeVar("N")


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
        parameters = _parameters_of(function)
        takes_self = bool(parameters) and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL
        self._binder = Binder(self.name, parameters)
        self._method_binder = Binder(self.name, parameters[1:] if takes_self else parameters)
        self._first = parameters[0].name if takes_self else "self"
        self._is_method = self.is_for_class
        inner = inspect.unwrap(function)
        self._is_async = inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner)
        self.plain_recursion = options.trainable or options.overwrite_python_recursion
        owner = self.__qualname__.rpartition(".")[0]
        self._owner = "" if self.is_static or owner.endswith("<locals>") else owner
        self._is_simple = not (
            self._is_async
            or options.traceable_code
            or options.trainable
            or self._binder.names is None
            or self._owner
            or not options.process_inputs
            or self._is_method
        )
        self._names = self._binder.names or ()
        self._source: FunctionSource | None = source_of(function) if options.trainable else None
        self.parameter = self.new_parameter(method=False)

    def __repr__(self) -> str:
        return f"<bundle {self.__qualname__}{self._binder.signature}>"

    # ---- calls

    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> N: ...
    @overload
    def __call__(self, /, *args: Any, **kwargs: Any) -> N: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the function on nodes or values; return the node of its whole result.

        An async function gives a coroutine of the node. What a generator yields is one list.
        """
        scope = SCOPE.get()
        if scope is not None and _is_in(self.parameter, self, scope.plain):
            return self.function(*args, **kwargs)
        if self._is_simple and len(args) == len(self._names) and not kwargs:
            return self._untraced(args) if scope is STOPPED else self._simply(args, scope)
        if args and (self._is_method or (self._owner and self._owns(args[0]))):
            return self.bound_to(args[0])(*args[1:], **kwargs)
        return self._run(self._binder.bind(args, kwargs), self.parameter, None)

    def call_on(self, bound: BoundBundle[..., Any], args: tuple[Any, ...], kwargs: Any) -> Any:
        """Call the function as a method of one instance."""
        scope = SCOPE.get()
        if scope is not None and _is_in(bound.parameter, self, scope.plain):
            return self.function(bound.instance, *args, **kwargs)
        return self._run(self._method_binder.bind(args, kwargs), bound.parameter, bound)

    def _run(
        self, call: Call, code: ParameterNode[str] | None, bound: BoundBundle[..., Any] | None
    ) -> Any:
        inputs = call.inputs
        around = SCOPE.get()
        if around is not None and around.reads is not None:
            note_reads([*inputs.values(), *([] if code is None else [code])])
        options = self.options
        if options.traceable_code:
            args, kwargs = call.detached()
        else:
            args, kwargs = call.values() if options.process_inputs else call.nodes()
        function = self.function
        if code is not None:
            inputs = {**inputs, CODE: code}
            function = self._function(code)
        if bound is not None:
            inputs = {self._first: bound.self_node, **inputs}
            args.insert(0, bound.instance if function is self.function else None)
        run = Run(self, inputs, around)
        return (run.later if self._is_async else run.now)(function, args, kwargs)

    def _simply(self, args: tuple[Any, ...], around: Scope | None) -> MessageNode[Any]:
        """Do what `_run` does for an ordinary function; here for speed."""
        inputs: dict[str, Node[Any]] = {}
        values: list[Any] = []
        for name, arg in zip(self._names, args, strict=True):
            inputs[name] = made = arg if isinstance(arg, NODE) else as_input(arg, name)
            values.append(snapshot(made.raw))
        if around is not None and around.reads is not None:
            around.reads.update(inputs.values())
        return Run(self, inputs, around).now(self.function, values, {})

    def _untraced(self, args: tuple[Any, ...]) -> MessageNode[Any]:
        """Do what `_run` does while nothing is traced; here for speed."""
        try:
            value = self.function(*[snapshot(arg) for arg in args])
            if type(value) is GeneratorType:
                value = list(cast("Any", value))
        except UsageError:
            raise
        except Exception as error:
            if not self.options.catch_execution_error:
                raise
            raise failure(error, self, {}, self.marked(error, {})) from error
        return record(snapshot(value), self, {})

    def _owns(self, first: object) -> bool:
        """Tell whether a decorator above @bundle hid that this is a method of the argument."""
        own = inspect.getattr_static(first, self.__name__, None)
        is_static = isinstance(own, staticmethod)
        return not is_static and any(cls.__qualname__ == self._owner for cls in type(first).__mro__)

    def _function(self, code: ParameterNode[str]) -> Callable[..., Any]:
        """Return what to call: the function itself, or what runs the code that replaced it."""
        if self._source is None or not self._is_replaced(code):
            return self.function
        return replacement(code.raw, self._source.signature)

    def _is_replaced(self, code: Node[Any]) -> bool:
        # Replies of models come without the blank lines at their ends.
        return self._source is not None and code.raw.strip() != self._source.text.strip()

    def marked(self, error: Exception, inputs: Mapping[str, Node[Any]]) -> str | None:
        """Return the source that failed, with the failing line marked."""
        code = inputs.get(CODE)
        if code is not None and self._is_replaced(code):
            return marked_code(code.raw, error)
        return self.definition.marked(error)

    # ---- methods

    def __set_name__(self, owner: type, name: str) -> None:
        # Another function's bundle may be put into a class, too, and stays a function elsewhere.
        if self.__qualname__ == f"{owner.__qualname__}.{name}" and not self.is_static:
            self._is_method, self._is_simple = True, False

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
        new = self._source and self._source.parameter(self.options.constraint, method)
        if new is not None and method and self.parameter is not None:
            new.raw = self.parameter.raw  # also if the class's own was changed
        return new

    # ---- facts and copies

    @property
    def fun(self) -> Callable[..., Any]:
        """The function itself."""
        return self.function

    @functools.cached_property
    def definition(self) -> Definition:
        """How the function was defined; read once, when it is needed."""
        return definition_of(self.function)

    @property
    def code(self) -> str:
        """The source of the function; empty if it cannot be read."""
        return self._code

    @functools.cached_property
    def _code(self) -> str:
        return self.definition.facts()["source"]

    @property
    def info(self) -> dict[str, Any]:
        """The function, its name, documentation, signature, source, line number and file."""
        return {
            "fun": self.function,
            "fun_name": self.name,
            "doc": inspect.getdoc(self.function) or "",
            "signature": self._binder.signature,
            **self.definition.facts(),
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


def _is_in(code: object, bundle: object, plain: tuple[object, ...]) -> bool:
    """Tell by identity, because nodes are equal by value, whether a call is one within itself."""
    wanted = bundle if code is None else code
    return any(found is wanted for found in plain)


def _parameters_of(function: Callable[..., object]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:  # some builtins have none
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return [inspect.Parameter(n, k) for n, k in zip(("args", "kwargs"), kinds, strict=True)]


def _require_plain(function: object) -> None:
    if not callable(function) or not hasattr(function, "__qualname__"):
        raise TypeError(
            f"@bundle needs a function with a name, not {type(function).__name__}; wrap it in a def"
        )


def _restored(module: str, qualname: str, parameter: ParameterNode[str] | None) -> Any:
    found: Bundle[..., Any] = attrgetter(qualname)(importlib.import_module(module))
    return found if parameter is None else found.with_parameter(parameter)
