"""Where code that a model wrote runs: an interpreter without host access, in a worker process.

`pydantic-monty` runs a subset of Python in a pool of child processes, with a limit on time, memory
and recursion; the clock stands still and chance has one seed, so a call always gives the same.
Values cross as plain data: None, bool, int, float, str, list, tuple, dict.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.errors import SandboxError

if TYPE_CHECKING:
    from pydantic_monty import Monty

TIME_LIMIT_S = 2.0
MEMORY_LIMIT_BYTES = 256 * 1024 * 1024
RECURSION_LIMIT = 500
PLAIN = (type(None), bool, int, float, str)
CLOSED: Any = {"sleep": "zero", "random_start": {"seed": 0}, "datetime": datetime(2000, 1, 1)}


class Sandbox:
    """A pool of workers, started at the first call. `run` has the shape of a trace code runner."""

    def __init__(self, workers: int = 2):
        self._workers = workers
        self._lock = threading.Lock()  # guards _pool: started once, closed once
        self._pool: Monty | None = None

    def run(
        self, source: str, name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Define `source` and call `name(*args, **kwargs)` in a worker; return the plain result.

        Raises SandboxError with the code's own error, with the limit it broke, or with the value
        that cannot cross.
        """
        import pydantic_monty as monty

        inputs = {"args": list(args), "kwargs": dict(kwargs)}
        _must_be_plain(inputs, f"an argument of {name}")
        limits: Any = {
            "max_feed_duration_secs": TIME_LIMIT_S,
            "max_memory": MEMORY_LIMIT_BYTES,
            "max_recursion_depth": RECURSION_LIMIT,
        }
        call = f"{source}\n\n{name}(*args, **kwargs)"
        try:
            with self._started().checkout(limits=limits, os_policy=CLOSED) as session:
                result = session.feed_run(call, inputs=inputs, print_callback=_ignore)
        except monty.MontyError as e:
            raise SandboxError(f"{name} failed in the sandbox: {_reason(e)}") from e
        _must_be_plain(result, f"the result of {name}")
        return result

    def close(self) -> None:
        """End the workers."""
        with self._lock:
            if self._pool is not None:
                self._pool.__exit__(None, None, None)
                self._pool = None

    def _started(self) -> Monty:
        import pydantic_monty as monty

        with self._lock:
            if self._pool is None:
                pool = monty.Monty(max_processes=self._workers)
                pool.__enter__()
                self._pool = pool
            return self._pool


def _must_be_plain(value: object, what: str) -> None:
    """Raise SandboxError unless `value` is plain data all through; iterative, so depth is no issue.

    Containers are followed once each, so a list that holds itself is refused as too large.
    """
    todo: list[object] = [value]
    for _ in range(1_000_000):
        if not todo:
            return
        item = todo.pop()
        if isinstance(item, dict):
            todo += [*item.keys(), *item.values()]  # pyright: ignore[reportUnknownArgumentType,reportUnknownMemberType] # any dict
        elif isinstance(item, list | tuple):
            todo += list(item)  # pyright: ignore[reportUnknownArgumentType] # any list
        elif not isinstance(item, PLAIN):
            kind = type(item).__name__
            raise SandboxError(f"{what} is a {kind}; only plain data crosses into the sandbox")
    raise SandboxError(f"{what} has over a million values; only smaller data crosses")


def _ignore(stream: str, text: str) -> None:
    """What the code prints goes nowhere: it must not write on the user's terminal."""


def _reason(error: Exception) -> str:
    display = getattr(error, "display", None)
    return str(display() if callable(display) else error).strip()
