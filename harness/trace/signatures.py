"""The types of the operators that ops.py installs on Node; nothing of this runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from harness.trace.node import Node

_Unary: TypeAlias = "Callable[[], Node]"
_Binary: TypeAlias = "Callable[[object], Node]"
_Open: TypeAlias = "Callable[..., Node]"


class Operators:
    """What may be done with a node so that the result is a node that remembers it."""

    __slots__ = ()

    __neg__: _Unary
    __pos__: _Unary
    __invert__: _Unary
    __abs__: _Unary
    __round__: _Open
    __floor__: _Unary
    __ceil__: _Unary
    __trunc__: _Unary

    __add__: _Binary
    __radd__: _Binary
    __sub__: _Binary
    __rsub__: _Binary
    __mul__: _Binary
    __rmul__: _Binary
    __truediv__: _Binary
    __rtruediv__: _Binary
    __floordiv__: _Binary
    __rfloordiv__: _Binary
    __mod__: _Binary
    __rmod__: _Binary
    __divmod__: _Binary
    __rdivmod__: _Binary
    __pow__: _Binary
    __rpow__: _Binary
    __lshift__: _Binary
    __rlshift__: _Binary
    __rshift__: _Binary
    __rrshift__: _Binary
    __and__: _Binary
    __rand__: _Binary
    __or__: _Binary
    __ror__: _Binary
    __xor__: _Binary
    __rxor__: _Binary
    __matmul__: _Binary
    __rmatmul__: _Binary

    __lt__: _Binary
    __le__: _Binary
    __gt__: _Binary
    __ge__: _Binary
    eq: _Binary
    neq: _Binary

    __getitem__: _Binary
    len: _Unary
    keys: _Unary
    values: _Unary
    items: _Unary

    lower: _Unary
    upper: _Unary
    title: _Unary
    capitalize: _Unary
    swapcase: _Unary
    strip: _Open
    split: _Open
    replace: _Open
    join: _Binary
    format: _Open
