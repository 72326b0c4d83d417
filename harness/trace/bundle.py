"""@bundle: a function as one traced operation, and its source as a parameter.

The body runs on plain values with tracing stopped: whatever it does is one operation. A body that
reads a node which is no argument would hide a dependency; that raises TraceMissingInputsError.
The body gets copies of lists, dicts, sets and tuples, so it cannot change its inputs' values.

A trainable bundle has its source as a further input, `__code`. While that parameter holds the
original source, the function itself runs. Any other code never runs in this process: it goes to
the runner set by `with use_code_runner(...)`.
"""

from __future__ import annotations

import copy
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Protocol, overload

from harness.trace.context import CODE_RUNNER, CREATION, READS, TRACING
from harness.trace.node import Node, Parameter, UsageError, error_text, snapshot
from harness.trace.record import as_node, distinct, failure, record
from harness.trace.source import FunctionSource, marked_source, source_of

CODE = "__code"
CODE_PARAMETERS = "_code_parameters"
_SEVERAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class TraceMissingInputsError(UsageError):
    """A bundle's body read nodes that are not among its arguments."""


class MissingCodeRunner(UsageError):
    """A code parameter was replaced, and nothing is set to run the new code."""


class Call(NamedTuple):
    """One call: its inputs by argument name, in order; the first `n_positional` by position.

    keywords: the names under which the other inputs are passed.
    """

    inputs: dict[str, Node]
    n_positional: int
    keywords: tuple[str, ...] = ()

    def values(self) -> tuple[list[Any], dict[str, Any]]:
        """Return copies of the values, by position and by keyword."""
        values = [snapshot(n.data) for n in self.inputs.values()]
        if not self.keywords:
            return values, {}
        named = values[self.n_positional :]
        return values[: self.n_positional], dict(zip(self.keywords, named, strict=True))


class Binder:
    """Puts the arguments of a call under the names of the function's parameters."""

    __slots__ = ("name", "names", "signature")

    def __init__(self, name: str, parameters: list[inspect.Parameter]) -> None:
        self.name = name
        self.signature = inspect.Signature(parameters)
        plain = all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        self.names = tuple(p.name for p in parameters) if plain else None

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Call:
        """Return the call. Raises TypeError if the arguments do not fit."""
        if self.names is not None and not kwargs and len(args) == len(self.names):
            inputs = {n: as_node(a, n) for n, a in zip(self.names, args, strict=True)}
            return Call(inputs, len(args))
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}; it takes {self.signature}") from error
        bound.apply_defaults()
        return self._spread(bound.arguments)

    def _spread(self, arguments: Mapping[str, Any]) -> Call:
        inputs: dict[str, Node] = {}
        n_positional, keywords = 0, list[str]()
        for name, parameter in self.signature.parameters.items():
            several = parameter.kind in _SEVERAL
            value = arguments[name]
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
                named = value if several else {name: value}
                for key, item in named.items():
                    inputs[distinct(key, inputs)] = as_node(item, key)
                keywords.extend(named)
                continue
            items = {f"{name}_{i}": v for i, v in enumerate(value)} if several else {name: value}
            for key, item in items.items():
                inputs[distinct(key, inputs)] = as_node(item, key)
            n_positional += len(items)
        return Call(inputs, n_positional, tuple(keywords))


@dataclass(frozen=True, slots=True)
class Options:
    """How a bundle is made; see `bundle`."""

    description: str | None = None
    trainable: bool = False
    name: str | None = None
    constraint: str | None = None
    catch_execution_error: bool = True
    allow_external_dependencies: bool = False


class Bundle:
    """A function as one traced operation; made by `bundle`."""

    __name__: str
    __qualname__: str

    def __init__(self, function: Callable[..., object], options: Options) -> None:
        _require_plain(function)
        functools.update_wrapper(self, function)
        self.function = function
        self.options = options
        self.op = options.name or self.__name__
        self.description = options.description or inspect.getdoc(function) or ""
        parameters = list(inspect.signature(function).parameters.values())
        self._binder = Binder(self.op, parameters)
        self._method_binder = Binder(self.op, parameters[1:])
        self._is_method = False
        self._source: FunctionSource | None = source_of(function) if options.trainable else None
        self.parameter: Parameter | None = self._new_parameter()

    def __call__(self, *args: Any, **kwargs: Any) -> Node:
        """Call the function and return the node of its whole result."""
        if self._is_method and args:
            return self.call_on(args[0], args[1:], kwargs)
        return self._run((), self.parameter, self._binder.bind(args, kwargs))

    def call_on(
        self, instance: object, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> Node:
        """Call the function as a method of `instance`, which is not an input."""
        parameter = self.parameter_of(instance)
        return self._run((instance,), parameter, self._method_binder.bind(args, kwargs))

    def parameter_of(self, instance: object) -> Parameter | None:
        """Return the instance's own code parameter; None if the bundle is not trainable."""
        if self._source is None:
            return None
        if not isinstance(getattr(instance, "__dict__", None), dict):
            raise TypeError(
                f"{type(instance).__name__} has no __dict__ to keep the code parameter of "
                f"{self.__qualname__} in; use it on instances, of a class without __slots__"
            )
        own: dict[str, Parameter] = vars(instance).setdefault(CODE_PARAMETERS, {})
        found = own.get(self.__qualname__)
        if found is None:
            new = self._source.parameter(self.op, self.options.constraint, True)
            found = own.setdefault(self.__qualname__, new)
        return found

    def __set_name__(self, owner: type, name: str) -> None:
        # Another function's bundle may be put into a class, too, and stays a function elsewhere.
        if self.__qualname__ == f"{owner.__qualname__}.{name}":
            self._is_method = True

    @overload
    def __get__(self, instance: None, owner: type) -> Bundle: ...
    @overload
    def __get__(self, instance: object, owner: type) -> BoundBundle: ...
    def __get__(self, instance: object | None, owner: type) -> Bundle | BoundBundle:
        return self if instance is None else BoundBundle(self, instance)

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundle:
        if self.parameter is None:
            return self
        return self._with(copy.deepcopy(self.parameter, memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restored, (self.__module__, self.__qualname__, self.parameter))

    def _with(self, parameter: Parameter) -> Bundle:
        other = Bundle(self.function, self.options)
        other.parameter = parameter
        return other

    def _new_parameter(self) -> Parameter | None:
        if self._source is None:
            return None
        return self._source.parameter(self.op, self.options.constraint, False)

    def _run(self, first: tuple[object, ...], parameter: Parameter | None, call: Call) -> Node:
        args, kwargs = call.values()
        inputs = {**call.inputs, CODE: parameter} if parameter is not None else call.inputs
        run, replaced = self._runner(parameter)
        if replaced and first:
            first = (None,)
        mark = next(CREATION)
        reads: set[Node] = set()
        try:
            value = _watched(reads, run, (*first, *args), kwargs)
        except UsageError:
            raise
        except Exception as error:
            self._check_reads(reads, inputs, mark)
            if not self.options.catch_execution_error:
                raise
            comment = _own_code(inputs[CODE], error) if replaced else marked_source(run, error)
            raise failure(error, self.op, inputs, self.description, comment) from error
        self._check_reads(reads, inputs, mark)
        return record(value, self.op, inputs, self.description)

    def _runner(self, parameter: Parameter | None) -> tuple[Callable[..., object], bool]:
        """Return what to call, and whether it is code that replaced the function's own."""
        if parameter is None or self._source is None or parameter.data == self._source.text:
            return self.function, False
        runner, source, name = CODE_RUNNER.get(), parameter.data, self._source.check.name
        if runner is None:
            raise MissingCodeRunner(
                f"the code of {self.__qualname__} was replaced, and such code runs only in a "
                "sandbox; call the program within `with use_code_runner(runner):`"
            )
        return lambda *args, **kwargs: runner(source, name, args, kwargs), True

    def _check_reads(self, reads: set[Node], inputs: Mapping[str, Node], mark: int) -> None:
        """Refuse reads of parameters and older nodes that are no inputs of the call.

        The code parameter of a method may be made in the call; it is a dependency all the same.
        """
        if not reads:
            return
        unknown = sorted(reads - set(inputs.values()), key=_index)
        outside = [n for n in unknown if n.index < mark or isinstance(n, Parameter)]
        if outside and not self.options.allow_external_dependencies:
            raise TraceMissingInputsError(
                f"{self.__qualname__} reads {', '.join(map(repr, outside[:3]))} which it does not "
                "take as arguments; pass them as arguments, or set allow_external_dependencies=True"
            )
        around = READS.get()  # a bundle around this one reads what this one reads
        if around is not None:
            around.update(outside)


class BoundBundle:
    """A bundle as a method of one instance."""

    __slots__ = ("bundle", "instance")

    def __init__(self, bundle: Bundle, instance: object) -> None:
        self.bundle = bundle
        self.instance = instance

    @property
    def parameter(self) -> Parameter | None:
        """The instance's own code parameter, if the bundle is trainable."""
        return self.bundle.parameter_of(self.instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Node:
        """Call the method and return the node of its whole result."""
        return self.bundle.call_on(self.instance, args, kwargs)


class Decorator(Protocol):
    """What turns a function into a bundle."""

    def __call__(self, function: Callable[..., object], /) -> Bundle:
        """Return the function as a bundle."""
        ...


@overload
def bundle(function: Callable[..., object], /) -> Bundle: ...
@overload
def bundle(
    *,
    description: str | None = None,
    trainable: bool = False,
    name: str | None = None,
    constraint: str | None = None,
    catch_execution_error: bool = True,
    allow_external_dependencies: bool = False,
) -> Decorator: ...
def bundle(function: Callable[..., object] | None = None, /, **options: Any) -> Bundle | Decorator:
    """Make a function one traced operation: `@bundle`, `@bundle()` or `@bundle(trainable=True)`.

    description: what an optimizer reads about it; by default the docstring.
    trainable: the source is a parameter; on a method, one for each instance.
    name: of the operation, by default the function's. constraint: words added to the code's rule.
    catch_execution_error: False lets the function's own exceptions out instead of ExecutionError.
    allow_external_dependencies: True lets the body read nodes that are not recorded as inputs.

    Decorators below @bundle apply to the function but are not part of a trainable source.
    """
    if function is not None:
        return Bundle(function, Options())
    settings = Options(**options)
    return lambda function, /: Bundle(function, settings)


def _require_plain(function: object) -> None:
    if not callable(function) or not hasattr(function, "__qualname__"):
        raise TypeError(
            f"@bundle needs a function with a name, not {type(function).__name__}; wrap it in a def"
        )
    test = inspect.unwrap(function)
    if inspect.iscoroutinefunction(test) or inspect.isgeneratorfunction(test):
        raise TypeError(
            f"{test.__qualname__} is async or a generator; a bundle returns one value: use `def` "
            "with `return`"
        )


def _watched(
    reads: set[Node], run: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a body with tracing stopped; add the nodes it reads to `reads`."""
    read_token, tracing_token = READS.set(reads), TRACING.set(False)
    try:
        return snapshot(run(*args, **kwargs))
    finally:
        TRACING.reset(tracing_token)
        READS.reset(read_token)


def _own_code(code: Node, error: Exception) -> str:
    return f"{code.data}\n# <--- {error_text(error)}"


def _index(node: Node) -> int:
    return node.index


def _restored(module: str, qualname: str, parameter: Parameter | None) -> Bundle:
    found: Bundle = attrgetter(qualname)(importlib.import_module(module))
    return found if parameter is None else found._with(parameter)  # pyright: ignore[reportPrivateUsage]  # this file's own class
