"""The table of traced operators, one line each, and its installation on Node.

Each runs the plain Python function on the values; the argument names are the names of the
recorded inputs. An exception becomes an ExecutionError, as in a bundle.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from harness.trace.node import Node
from harness.trace.record import apply, as_node, distinct, failure, record


@dataclass(frozen=True, slots=True)
class Op:
    """A traced operator: its name in a trace, what it computes, and where it sits on Node.

    arguments: one name per operand; trailing ones may be left out by the caller if the function
        allows it. method, reflected: attributes of Node; `reflected` swaps the operands.
    """

    name: str
    function: Callable[..., object]
    arguments: tuple[str, ...]
    description: str
    method: str | None = None
    reflected: str | None = None


def _str(x: object) -> str:
    return str(x)


def _cond(condition: object, x: object, y: object) -> object:
    return x if condition else y


def _keys(x: Mapping[Any, object]) -> list[object]:
    return list(x.keys())


def _values(x: Mapping[Any, object]) -> list[object]:
    return list(x.values())


def _items(x: Mapping[Any, object]) -> list[tuple[object, object]]:
    return list(x.items())


_X, _XY = ("x",), ("x", "y")
_PLAIN = cast("Any", operator)

# fmt: off
OPS: tuple[Op, ...] = (
    Op("neg", _PLAIN.neg, _X, "-x.", "__neg__"),
    Op("pos", _PLAIN.pos, _X, "+x.", "__pos__"),
    Op("invert", _PLAIN.invert, _X, "~x.", "__invert__"),
    Op("abs", abs, _X, "The absolute value of x.", "__abs__"),
    Op("round", round, ("x", "digits"), "x rounded to a number of digits.", "__round__"),
    Op("floor", math.floor, _X, "The largest whole number up to x.", "__floor__"),
    Op("ceil", math.ceil, _X, "The smallest whole number from x.", "__ceil__"),
    Op("trunc", math.trunc, _X, "x without its decimals.", "__trunc__"),

    Op("add", _PLAIN.add, _XY, "x + y.", "__add__", "__radd__"),
    Op("subtract", _PLAIN.sub, _XY, "x - y.", "__sub__", "__rsub__"),
    Op("multiply", _PLAIN.mul, _XY, "x * y.", "__mul__", "__rmul__"),
    Op("divide", _PLAIN.truediv, _XY, "x / y.", "__truediv__", "__rtruediv__"),
    Op("floor_divide", _PLAIN.floordiv, _XY, "x // y.", "__floordiv__", "__rfloordiv__"),
    Op("mod", _PLAIN.mod, _XY, "x % y.", "__mod__", "__rmod__"),
    Op("divmod", divmod, _XY, "The pair (x // y, x % y).", "__divmod__", "__rdivmod__"),
    Op("power", _PLAIN.pow, _XY, "x ** y.", "__pow__", "__rpow__"),
    Op("lshift", _PLAIN.lshift, _XY, "x << y.", "__lshift__", "__rlshift__"),
    Op("rshift", _PLAIN.rshift, _XY, "x >> y.", "__rshift__", "__rrshift__"),
    Op("and_", _PLAIN.and_, _XY, "x & y.", "__and__", "__rand__"),
    Op("or_", _PLAIN.or_, _XY, "x | y.", "__or__", "__ror__"),
    Op("xor", _PLAIN.xor, _XY, "x ^ y.", "__xor__", "__rxor__"),
    Op("matmul", _PLAIN.matmul, _XY, "x @ y.", "__matmul__", "__rmatmul__"),

    Op("lt", _PLAIN.lt, _XY, "x < y.", "__lt__"),
    Op("le", _PLAIN.le, _XY, "x <= y.", "__le__"),
    Op("gt", _PLAIN.gt, _XY, "x > y.", "__gt__"),
    Op("ge", _PLAIN.ge, _XY, "x >= y.", "__ge__"),
    Op("eq", _PLAIN.eq, _XY, "x == y.", "eq"),
    Op("neq", _PLAIN.ne, _XY, "x != y.", "neq"),

    Op("getitem", _PLAIN.getitem, ("x", "index"), "x[index].", "__getitem__"),
    Op("len", len, _X, "The number of items in x.", "len"),
    Op("keys", _keys, _X, "The list of the keys of x.", "keys"),
    Op("values", _values, _X, "The list of the values of x.", "values"),
    Op("items", _items, _X, "The list of the pairs of x.", "items"),

    Op("lower", str.lower, _X, "x in lower case.", "lower"),
    Op("upper", str.upper, _X, "x in upper case.", "upper"),
    Op("title", str.title, _X, "x with each word capitalized.", "title"),
    Op("capitalize", str.capitalize, _X, "x with its first letter capitalized.", "capitalize"),
    Op("swapcase", str.swapcase, _X, "x with upper and lower case swapped.", "swapcase"),
    Op("strip", str.strip, ("x", "chars"), "x without blanks or chars at its ends.", "strip"),
    Op("split", str.split, ("x", "separator", "maxsplit"), "The list of the parts of x.", "split"),
    Op("replace", str.replace, ("x", "old", "new", "count"), "x, old replaced by new.", "replace"),
    Op("join", str.join, ("separator", "items"), "The items, joined by the separator.", "join"),

    Op("str", _str, _X, "x as text."),
    Op("cond", _cond, ("condition", "x", "y"), "x if the condition holds, else y."),
)
# fmt: on


def run(op: Op, *operands: object) -> Node:
    """Run one operator of the table on nodes or values."""
    if len(operands) > len(op.arguments):
        raise TypeError(f"{op.name} takes {', '.join(op.arguments)}; got {len(operands)} operands")
    inputs: dict[str, Node] = {}
    values: list[object] = []
    for name, operand in zip(op.arguments, operands, strict=False):
        inputs[name] = found = operand if isinstance(operand, Node) else as_node(operand, name)
        values.append(found.data)
    try:
        value = op.function(*values)
    except Exception as error:
        raise failure(error, op.name, inputs, op.description) from error
    return record(value, op.name, inputs, op.description)


def str_(x: object) -> Node:
    """Return `str(x)` as a traced operation."""
    return run(_BY_NAME["str"], x)


def cond(condition: object, x: object, y: object) -> Node:
    """Return x if the condition holds, else y, with all three as recorded inputs."""
    return run(_BY_NAME["cond"], condition, x, y)


def format_(template: object, /, *args: object, **kwargs: object) -> Node:
    """Return `template.format(...)` as a traced operation."""
    inputs: dict[str, object] = dict(kwargs)
    keys = list(kwargs)
    for i, arg in enumerate(args):
        inputs[distinct(f"arg_{i}", inputs)] = arg
    inputs = {distinct("template", inputs): template, **inputs}

    def build(**values: Any) -> str:
        first, *rest = values.values()
        named = dict(zip(keys, rest, strict=False))
        return str.format(first, *rest[len(keys) :], **named)

    return apply("format", build, inputs, "The template with its fields filled in.")


def _method(op: Op) -> Callable[..., Node]:
    def method(self: Node, *operands: object) -> Node:
        return run(op, self, *operands)

    return method


def _reflected(op: Op) -> Callable[..., Node]:
    def method(self: Node, other: object) -> Node:
        return run(op, other, self)

    return method


def _format_method(self: Node, /, *args: object, **kwargs: object) -> Node:
    return format_(self, *args, **kwargs)


def _install(name: str, method: Callable[..., Any], description: str) -> None:
    method.__name__ = name
    method.__qualname__ = f"Node.{name}"
    method.__doc__ = f"Traced: {description}"
    setattr(Node, name, method)


def _install_all() -> None:
    for op in OPS:
        if op.method:
            _install(op.method, _method(op), op.description)
        if op.reflected:
            _install(op.reflected, _reflected(op), op.description)
    _install("format", _format_method, "The template with its fields filled in.")


_BY_NAME = {op.name: op for op in OPS}
_install_all()
