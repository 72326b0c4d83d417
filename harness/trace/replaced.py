"""Code that replaced a function's own: what calls it, and how its failure is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from harness.trace.code import Signature
from harness.trace.context import code_runner
from harness.trace.kinds import error_text

# What runs replaced code of an async function or a generator; what it awaits can only be its own.
_AWAITED = """

def run_to_its_end(*args, **kwargs):
    coroutine = {name}(*args, **kwargs)
    if not hasattr(coroutine, "send"):
        import asyncio
        return asyncio.run(coroutine)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("the code waits for something outside of it")
"""
_LISTED = """

def run_to_its_end(*args, **kwargs):
    return list({name}(*args, **kwargs))
"""
_GATHERED = """

def run_to_its_end(*args, **kwargs):
    found, items = {name}(*args, **kwargs), []
    while True:
        try:
            found.__anext__().send(None)
        except StopIteration as end:
            items.append(end.value)
        except StopAsyncIteration:
            return items
        else:
            raise RuntimeError("the code waits for something outside of it")
"""
_DRIVERS = {(True, False): _AWAITED, (False, True): _LISTED, (True, True): _GATHERED}


def replacement(source: str, signature: Signature) -> Callable[..., object]:
    """Return what calls the code, through the code runner.

    It raises SyntaxError or TypeError for code that may not stand for the function.
    """

    def run(*args: Any, **kwargs: Any) -> object:
        refused = _refusal(signature, source)
        if refused:
            raise (SyntaxError if "does not parse" in refused else TypeError)(refused)
        driver = _DRIVERS.get((signature.is_async, signature.yields))
        if driver is None:
            return code_runner()(source, signature.name, args, kwargs)
        driven = source + driver.format(name=signature.name)
        return code_runner()(driven, "run_to_its_end", args, kwargs)

    return run


def marked_code(code: str, error: Exception) -> str:
    """Return the code with the failing line marked, if the runner told it; else below the code."""
    lines = code.rstrip("\n").split("\n")
    at = getattr(error, "line", None)
    mark = f"  # <--- {getattr(error, 'reason', error_text(error))}"
    if isinstance(at, int) and 0 < at <= len(lines):
        lines[at - 1] += mark
    else:
        lines.append(mark.strip())
    return "\n".join(lines)


@lru_cache(maxsize=256)
def _refusal(signature: Signature, source: str) -> str | None:
    return signature.refusal(source)
