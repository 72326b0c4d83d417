"""The types of the methods that other files install on Node; nothing of this runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from harness.trace.iterators import DictIterable
    from harness.trace.kinds import MessageNode, Node

_Unary: TypeAlias = "Callable[[], MessageNode]"
_Binary: TypeAlias = "Callable[[object], MessageNode]"
_Open: TypeAlias = "Callable[..., MessageNode]"


class Operators:
    """What may be done with a node so that the result is a node that remembers it."""

    __slots__ = ()

    if TYPE_CHECKING:
        # operators.py
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
        __getitem__: _Binary
        eq: _Binary
        neq: _Binary
        clone: _Unary
        len: _Unary
        keys: _Unary
        values: _Unary
        getattr: _Open
        setitem: _Open
        delitem: _Open
        pop: _Open
        get: _Open
        update: _Open
        append: _Open
        extend: _Open
        insert: _Open
        remove: _Open
        count: _Open
        index: _Open
        union: _Open
        intersection: _Open
        difference: _Open
        lower: _Unary
        upper: _Unary
        casefold: _Unary
        title: _Unary
        swapcase: _Unary
        capitalize: _Unary
        strip: _Open
        lstrip: _Open
        rstrip: _Open
        removeprefix: _Binary
        removesuffix: _Binary
        split: _Open
        rsplit: _Open
        splitlines: _Open
        partition: _Binary
        rpartition: _Binary
        replace: _Open
        startswith: _Open
        endswith: _Open
        find: _Open
        rfind: _Open
        rindex: _Open
        center: _Open
        ljust: _Open
        rjust: _Open
        zfill: _Binary
        expandtabs: _Open
        translate: _Open
        encode: _Open
        decode: _Open
        isalpha: _Unary
        isalnum: _Unary
        isdigit: _Unary
        isdecimal: _Unary
        isnumeric: _Unary
        isspace: _Unary
        islower: _Unary
        isupper: _Unary
        istitle: _Unary
        join: _Open
        format: _Open
        # iterators.py, bundle.py, propagators.py
        __iter__: Callable[[], Iterator[MessageNode]]
        items: Callable[[], DictIterable]
        call: _Open
        __call__: _Open
        backward: Callable[..., Any]
        level: int | property
        parameter_dependencies: set[Node] | property
        expandable_dependencies: set[Node] | property
        hidden_dependencies: set[Node] | property
