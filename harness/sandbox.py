"""Where code that a model wrote runs: never in this process, and with no access to the host.

Two levels. `pydantic-monty`, an interpreter of a subset of Python in a pool of child processes,
runs a call in a fraction of a millisecond; the clock stands still there. What it lacks (modules,
`yield`, inheritance, ...) makes the same call run with CPython in the jail, which takes a few
milliseconds; the clock is real there. On both levels time, memory and recursion are limited and
chance has one seed, so a call takes the same way and gives the same each time. The subset has no
side effects: a call that starts again has left nothing behind.

Values cross as plain data: None, bool, int, float, str, list, tuple, dict.
"""

from __future__ import annotations

import atexit
import builtins
import functools
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from harness.errors import SandboxError
from harness.jail import Jail, JailUnavailable, Limits, code_error

if TYPE_CHECKING:
    from pydantic_monty import Monty, MontyError

LIMITS = Limits()
RECURSION_LIMIT = 500
PLAIN = (type(None), bool, int, float, str)
CLOSED: Any = {"sleep": "zero", "random_start": {"seed": 0}, "datetime": datetime(2000, 1, 1)}


def run_code(
    source: str, name: str, args: Sequence[object], kwargs: Mapping[str, object]
) -> object:
    """Run code in one sandbox that all programs share; see `Sandbox.run`.

    It is started by the first call and ended with this process.
    """
    return _shared(os.getpid()).run(source, name, args, kwargs)


class Sandbox:
    """Two pools of workers, each started by the first call that needs it.

    `run` has the shape of a trace code runner. It may be called from many threads.
    """

    def __init__(self, workers: int = 2):
        self._workers = workers
        self._lock = threading.Lock()  # guards _pool: started once, closed once
        self._pool: Monty | None = None
        self._jail = Jail(workers)

    def run(
        self, source: str, name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Define `source` and call `name(*args, **kwargs)` in a worker; return the plain result.

        Raises CodeError, a SandboxError, if the code fails or breaks a limit, and SandboxError with
        the value that cannot cross, or with what the code needs if this machine has no jail.
        """
        import pydantic_monty as monty

        inputs = {"args": list(args), "kwargs": dict(kwargs)}
        _must_be_plain(inputs, f"an argument of {name}")
        limits: Any = {
            "max_feed_duration_secs": LIMITS.time_s,
            "max_memory": LIMITS.memory_bytes,
            "max_recursion_depth": RECURSION_LIMIT,
        }
        call = f"{source}\n\n{name}(*args, **kwargs)"
        try:
            with self._started().checkout(limits=limits, os_policy=CLOSED) as session:
                result = session.feed_run(call, inputs=inputs, print_callback=_ignore)
        except monty.MontyError as e:
            error = e.exception()
            if not _is_lack(error):
                raise code_error(name, _reason(error), source, _stack(e, source)) from e
            try:
                return self._jail.run(source, name, args, kwargs)
            except JailUnavailable as unavailable:
                raise _no_jail(name, error, unavailable) from unavailable
        _must_be_plain(result, f"the result of {name}")
        return result

    def close(self) -> None:
        """End the workers."""
        self._jail.close()
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


@functools.cache
def _shared(process: int) -> Sandbox:
    """Return the sandbox of this process; a forked one must not use its parent's workers."""
    sandbox = Sandbox()
    atexit.register(_end, process, sandbox)
    return sandbox


def _end(process: int, sandbox: Sandbox) -> None:
    if process == os.getpid():
        sandbox.close()


def _is_lack(error: BaseException) -> bool:
    """Tell whether CPython may go on where the small interpreter raised this."""
    text = str(error)
    if isinstance(error, ImportError | NotImplementedError):
        return True
    if isinstance(error, NameError):
        found = re.fullmatch(r"name '(\w+)' is not defined", text)
        return found is not None and hasattr(builtins, found[1])
    if isinstance(error, AttributeError):
        found = re.search(r"(module )?'(\w+)'(?: object)? has no attribute '(\w+)'", text)
        return found is not None and _has_attribute(found[1], found[2], found[3])
    return isinstance(error, RuntimeError) and text.startswith("Internal error in monty")


def _has_attribute(kind: str | None, owner: str, attribute: str) -> bool:
    """Tell whether CPython has it, as far as that is known without an import."""
    if kind:
        return owner in sys.stdlib_module_names
    found = getattr(builtins, owner, None)
    return isinstance(found, type) and hasattr(found, attribute)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _stack(error: MontyError, source: str) -> list[tuple[int, str]]:
    """Return line and function of the calls within the source; the line below it is our own."""
    frames: list[Any] = getattr(error, "traceback", list)()  # errors of the pool have none
    n_lines = source.count("\n") + 1
    return [(f.line, f.function_name or "<module>") for f in frames if f.line <= n_lines]


def _no_jail(name: str, lack: BaseException, unavailable: JailUnavailable) -> SandboxError:
    return SandboxError(
        f"{name} needs more than the small interpreter of the sandbox has ({_reason(lack)}), and "
        f"CPython cannot run it here: {unavailable}; use Linux with Landlock and seccomp, or keep "
        "the code within the small interpreter's subset"
    )


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
            raise SandboxError(f"{what} holds a {kind}; only plain data crosses into the sandbox")
    raise SandboxError(f"{what} has over a million values; only smaller data crosses")


def _ignore(stream: str, text: str) -> None:
    """What the code prints goes nowhere: it must not write on the user's terminal."""
