"""What the running code is in the middle of: one value per thread and per asyncio task.

A new thread starts with the defaults: it traces, and is in no bundle.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from harness.trace.node import Node

CodeRunner: TypeAlias = Callable[[str, str, Sequence[object], Mapping[str, object]], object]

TRACING: ContextVar[bool] = ContextVar("TRACING", default=True)
READS: ContextVar[set[Node] | None] = ContextVar("READS", default=None)
CODE_RUNNER: ContextVar[CodeRunner | None] = ContextVar("CODE_RUNNER", default=None)

# next() on a count is one step of the interpreter, so threads never share an index.
CREATION = itertools.count()


@contextmanager
def stop_tracing() -> Generator[None]:
    """Run operators as usual, but let their results remember nothing.

    May be nested; on leaving, what was before is restored. Other threads are not affected.
    """
    token = TRACING.set(False)
    try:
        yield
    finally:
        TRACING.reset(token)


@contextmanager
def use_code_runner(runner: CodeRunner) -> Generator[None]:
    """Hand code that replaced a trainable function's own to `runner`.

    It is called as `runner(source, function_name, args, kwargs)` with plain data.
    """
    token = CODE_RUNNER.set(runner)
    try:
        yield
    finally:
        CODE_RUNNER.reset(token)
