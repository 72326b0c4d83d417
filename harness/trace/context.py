"""What the running code is in the middle of: one value per thread and per asyncio task.

A new thread starts with the defaults: it traces, and is in no bundle.
"""

from __future__ import annotations

import functools
import importlib
import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypeVar, cast

from harness.trace.errors import MissingCodeRunner, UsageError

if TYPE_CHECKING:
    from harness.trace.kinds import Node

CodeRunner: TypeAlias = Callable[[str, str, Sequence[Any], Mapping[str, Any]], object]
LanguageModel: TypeAlias = Callable[..., str]
P = ParamSpec("P")
R = TypeVar("R")


class Scope:
    """Where code runs if not at the top level.

    reads, told: collect the nodes that a bundle reads, and those it writes into a text; None
    outside of any bundle. plain: the bundles, or their code, whose calls within themselves run
    plain.
    """

    __slots__ = ("plain", "reads", "told", "tracing")

    def __init__(self, around: Scope | None) -> None:
        self.tracing = False
        self.reads: set[Node[Any]] | None = around.reads if around else None
        self.told: set[Node[Any]] | None = around.told if around else None
        self.plain: tuple[object, ...] = around.plain if around else ()


STOPPED = Scope(None)
# None means that operators are traced and that no bundle is running.
SCOPE: ContextVar[Scope | None] = ContextVar("SCOPE", default=None)
CODE_RUNNER: ContextVar[CodeRunner | None] = ContextVar("CODE_RUNNER", default=None)
LANGUAGE_MODEL: ContextVar[LanguageModel | None] = ContextVar("LANGUAGE_MODEL", default=None)

# next() on a count is one step of the interpreter, so threads never share a number.
CREATION = itertools.count()

# Found by name when first needed, so that this package imports the standard library only.
_SANDBOX = ("harness.sandbox", "run_code")


class stop_tracing:
    """Run operators as usual, but let their results remember nothing.

    May be nested; on leaving, what was before is restored. Other threads are not affected.
    """

    __slots__ = ("_around",)

    def __init__(self) -> None:
        self._around: Any = None  # (the scope around, the same of an entry before)

    def __enter__(self) -> None:
        around = SCOPE.get()
        self._around = (around, self._around)
        if around is None or (around.reads is None and not around.plain):
            SCOPE.set(STOPPED)
        else:
            SCOPE.set(Scope(around))

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return the function so that it runs untraced. Raises TypeError for what may wait."""
        waits = (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)
        if any(test(function) for test in waits):
            raise TypeError(
                f"{function!r} is async or a generator, whose body runs later; write "
                "`with stop_tracing():` within it"
            )

        @functools.wraps(function)
        def untraced(*args: P.args, **kwargs: P.kwargs) -> R:
            with stop_tracing():
                return function(*args, **kwargs)

        return untraced

    def __exit__(self, *error: object) -> None:
        # Not by token: an abandoned generator may be closed in another context.
        around, self._around = self._around
        SCOPE.set(around)


def is_tracing() -> bool:
    """Tell whether operators remember their inputs here."""
    scope = SCOPE.get()
    return scope is None or scope.tracing


@contextmanager
def use_code_runner(runner: CodeRunner) -> Generator[None]:
    """Hand code that replaced a trainable function's own to `runner`.

    It is called as `runner(source, function_name, args, kwargs)` with plain data. Without this,
    the sandbox of the whole library runs it.
    """
    token = CODE_RUNNER.set(runner)
    try:
        yield
    finally:
        CODE_RUNNER.reset(token)


def code_runner() -> CodeRunner:
    """Return what runs replaced code here. Raises MissingCodeRunner if there is nothing."""
    runner = CODE_RUNNER.get()
    if runner is not None:
        return runner
    module, name = _SANDBOX
    try:
        return cast("CodeRunner", getattr(importlib.import_module(module), name))
    except ImportError as error:
        raise MissingCodeRunner(
            f"code that replaced a function's own runs only in a sandbox, and {module} cannot be "
            f"imported ({error}); call the program within `with use_code_runner(runner):`"
        ) from error


@contextmanager
def use_llm(ask: LanguageModel) -> Generator[None]:
    """Let `call_llm` ask `ask(messages, **settings)`, which returns the reply's text."""
    token = LANGUAGE_MODEL.set(ask)
    try:
        yield
    finally:
        LANGUAGE_MODEL.reset(token)


def language_model() -> LanguageModel:
    """Return what `call_llm` asks here. Raises UsageError if there is nothing."""
    ask = LANGUAGE_MODEL.get()
    if ask is None:
        raise UsageError("call_llm has no model; call the program within `with use_llm(ask):`")
    return ask
