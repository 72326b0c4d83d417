"""What benchmarks/trace.py measures: calls and graphs, written once for every tracing library.

`api` is the library's module, with `node`, `bundle` and `ExecutionError` as trace-opt has them.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any


def build(shape: str, api: Any, n: int) -> tuple[Any, list[Any]]:
    """Return the output and the parameters of a graph of n operators, layers or parameters."""
    x = api.node(1, trainable=True)
    if shape == "chain":
        y = x
        for _ in range(n):
            y = y + 1
        return y, [x]
    if shape == "diamond":  # one parameter, n operators on it, one function over all of them
        return joiner(api)(*[x + i for i in range(n)]), [x]
    if shape == "ladder":  # each layer of two reads both of the layer before
        a, b = x + 1, x + 2
        for _ in range(n - 1):
            a, b = a - b, b - a
        return a + b, [x]
    parameters = [api.node(i, trainable=True) for i in range(n)]
    if shape == "fan-in":
        return joiner(api)(*parameters), parameters
    if shape == "sum":
        return reduce(operator.add, parameters), parameters
    raise ValueError(f"shape {shape!r} not known; known: chain, diamond, ladder, fan-in, sum")


def calls_of(api: Any) -> dict[str, Callable[[], object]]:
    """Return the calls of the table, on new nodes."""
    bundle = api.bundle  # trace-opt looks for this very name in the source
    x, y, items = (api.node(value, trainable=True) for value in (3, 4, [1, 2, 3]))

    @bundle()
    def same(v: Any) -> Any:
        """Return v."""
        return v

    @bundle()
    def total(a: Any, b: Any, c: Any, d: Any = 1, e: Any = 2) -> Any:
        """Return the sum."""
        return a + b + c + d + e

    @bundle(trainable=True)
    def learned(v: Any) -> Any:
        """Return v."""
        return v

    class Program:
        @bundle()
        def method(self, v: Any) -> Any:
            """Return v."""
            return v

    program, caught = Program(), _failing(api)
    return {
        "node + node": lambda: x + y,
        "node + 1": lambda: x + 1,
        "-node": lambda: -x,
        "node[0]": lambda: items[0],
        "bundle of 1 node": lambda: same(x),
        "bundle of 1 value": lambda: same(1),
        "bundle of 5, 2 defaults": lambda: total(x, 2, 3),
        "trainable bundle": lambda: learned(x),
        "bundled method": lambda: program.method(x),
        "bundle that raises": caught,
    }


def joiner(api: Any) -> Callable[..., Any]:
    """Return a traced function of any number of arguments."""

    @api.bundle()
    def join(*values: Any) -> int:
        """Return the number of values."""
        return len(values)

    return join


def _failing(api: Any) -> Callable[[], None]:
    """Return a call of a function that fails, and whose error is caught."""
    x = api.node(1, trainable=True)

    @api.bundle()
    def fail(v: Any) -> Any:
        """Fail."""
        raise ValueError(v)

    def caught() -> None:
        with contextlib.suppress(api.ExecutionError):
            fail(x)

    return caught
