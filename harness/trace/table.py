"""The table of operators, one line each: plain Python functions and where they sit on Node.

The functions know nothing of nodes but those that values hold. Operators that change a container
change a copy.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from harness.trace.snapshots import snapshot


@dataclass(frozen=True, slots=True)
class Rule:
    """An operator: its name in a trace, what it computes, and where it sits on Node.

    arguments: one name per operand; a last name `*y` takes any number. Trailing operands may be
    left out if the function allows it. method, reflected: attributes of Node; `reflected` swaps
    the operands.
    """

    name: str
    function: Callable[..., Any]
    arguments: str
    doc: str
    method: str | None = None
    reflected: str | None = None


def _of(name: str, arguments: str, doc: str) -> Rule:
    """Return the operator that calls the method of that name, whatever the value's type."""
    return Rule(name, _call(name), arguments, doc, name)


def _call(name: str) -> Callable[..., Any]:
    def method(x: Any, *rest: Any) -> Any:
        return getattr(x, name)(*rest)

    return method


def _on_copy(name: str) -> Callable[..., Any]:
    """Return what calls a method of a copy of the first value, and returns the copy."""

    def change(x: Any, *rest: Any) -> Any:
        x = copy.copy(x)
        getattr(x, name)(*snapshot(rest))
        return x

    return change


def _item(x: Any, index: Any) -> Any:
    return snapshot(x[index])


def _attribute(x: object, name: str) -> Any:
    return snapshot(getattr(x, name))


def _pop(x: Any, index: Any = None) -> Any:
    x = copy.copy(x)
    return snapshot(x.pop() if index is None else x.pop(index))


def _with_item(x: Any, key: Any, value: Any) -> Any:
    x = copy.copy(x)
    x[key] = snapshot(value)
    return x


def _without_item(x: Any, key: Any) -> Any:
    x = copy.copy(x)
    del x[key]
    return x


def _list(x: Iterable[Any]) -> list[Any]:
    # The order of a set differs between processes; that of the texts of its items does not.
    return sorted(x, key=repr) if isinstance(x, set | frozenset) else list(x)


def _sorted(x: Any, key: Any = None, reverse: Any = False) -> Any:
    x = copy.copy(x)
    x.sort(key=key, reverse=bool(reverse))
    return x


def _join(x: Any, *items: Any) -> Any:
    whole = items[0] if len(items) == 1 and not isinstance(items[0], str) else items
    return x.join(snapshot(whole))


def _cond(condition: Any, x: Any, y: Any) -> Any:
    return x if condition else y


def _in(x: Any, y: Any) -> bool:
    return x in y


def _not_in(x: Any, y: Any) -> bool:
    return x not in y


def _reversed(x: Any) -> Any:
    return x[::-1]


def _items(*y: Any) -> tuple[Any, ...]:
    return snapshot(y)


def _items_list(*y: Any) -> list[Any]:
    return list(snapshot(y))


def _items_set(*y: Any) -> set[Any]:
    return set(snapshot(y))


def _keys(x: Any) -> list[Any]:
    return list(x.keys())


def _values(x: Any) -> list[Any]:
    return list(x.values())


_OF = cast("Any", operator)

# fmt: off
TABLE: tuple[Rule, ...] = (
    Rule("clone", copy.deepcopy, "x", "A copy of x.", "clone"),
    Rule("identity", copy.deepcopy, "x", "A copy of x."),

    Rule("pos", _OF.pos, "x", "+x.", "__pos__"),
    Rule("neg", _OF.neg, "x", "-x.", "__neg__"),
    Rule("abs", abs, "x", "The absolute value of x.", "__abs__"),
    Rule("invert", _OF.invert, "x", "~x.", "__invert__"),
    Rule("round", round, "x n", "x rounded to n digits.", "__round__"),
    Rule("floor", math.floor, "x", "The largest whole number up to x.", "__floor__"),
    Rule("ceil", math.ceil, "x", "The smallest whole number from x.", "__ceil__"),
    Rule("trunc", math.trunc, "x", "x without its decimals.", "__trunc__"),

    Rule("add", _OF.add, "x y", "x + y.", "__add__", "__radd__"),
    Rule("concat", _OF.add, "x y", "The texts x and y, joined."),
    Rule("subtract", _OF.sub, "x y", "x - y.", "__sub__", "__rsub__"),
    Rule("multiply", _OF.mul, "x y", "x * y.", "__mul__", "__rmul__"),
    Rule("floor_divide", _OF.floordiv, "x y", "x // y.", "__floordiv__", "__rfloordiv__"),
    Rule("divide", _OF.truediv, "x y", "x / y.", "__truediv__", "__rtruediv__"),
    Rule("mod", _OF.mod, "x y", "x % y.", "__mod__", "__rmod__"),
    Rule("node_divmod", divmod, "x y", "The pair (x // y, x % y).", "__divmod__", "__rdivmod__"),
    Rule("power", _OF.pow, "x y", "x ** y.", "__pow__", "__rpow__"),
    Rule("lshift", _OF.lshift, "x y", "x << y.", "__lshift__", "__rlshift__"),
    Rule("rshift", _OF.rshift, "x y", "x >> y.", "__rshift__", "__rrshift__"),
    Rule("and_", _OF.and_, "x y", "x & y.", "__and__", "__rand__"),
    Rule("or_", _OF.or_, "x y", "x | y.", "__or__", "__ror__"),
    Rule("xor", _OF.xor, "x y", "x ^ y.", "__xor__", "__rxor__"),
    Rule("matmul", _OF.matmul, "x y", "x @ y.", "__matmul__", "__rmatmul__"),

    Rule("lt", _OF.lt, "x y", "x < y.", "__lt__"),
    Rule("le", _OF.le, "x y", "x <= y.", "__le__"),
    Rule("gt", _OF.gt, "x y", "x > y.", "__gt__"),
    Rule("ge", _OF.ge, "x y", "x >= y.", "__ge__"),
    Rule("eq", _OF.eq, "x y", "x == y.", "eq"),
    Rule("neq", _OF.ne, "x y", "x != y.", "neq"),
    Rule("ne", _OF.ne, "x y", "x != y."),

    Rule("cond", _cond, "condition x y", "x if the condition holds, else y."),
    Rule("not_", _OF.not_, "x", "not x."),
    Rule("is_", _OF.is_, "x y", "x is y."),
    Rule("is_not", _OF.is_not, "x y", "x is not y."),
    Rule("in_", _in, "x y", "x in y."),
    Rule("not_in", _not_in, "x y", "x not in y."),

    Rule("getitem", _item, "x index", "x[index].", "__getitem__"),
    Rule("setitem", _with_item, "x key value", "A copy of x with x[key] = value.", "setitem"),
    Rule("delitem", _without_item, "x key", "A copy of x without x[key].", "delitem"),
    Rule("pop", _pop, "x index", "x[index], the last one if there is no index.", "pop"),
    Rule("len_", len, "x", "The number of items in x.", "len"),
    _of("count", "x y start end", "How often y is in x."),
    _of("index", "x y start end", "Where y is in x."),
    Rule("min_", min, "x", "The smallest item of x."),
    Rule("max_", max, "x", "The largest item of x."),
    Rule("sum_", sum, "x", "The sum of the items of x."),
    Rule("sorted_", sorted, "x", "The list of the items of x, sorted."),
    Rule("reversed_", _reversed, "x", "x from its end."),

    Rule("to_str", str, "x", "x as text."),
    Rule("to_int", int, "x base", "x as a whole number."),
    Rule("to_float", float, "x", "x as a number."),
    Rule("to_bool", bool, "x", "Whether x holds."),
    Rule("to_list", _list, "x", "The list of the items of x."),
    Rule("to_tuple", tuple, "x", "The tuple of the items of x."),
    Rule("to_set", set, "x", "The set of the items of x."),
    Rule("to_dict", dict, "x", "The dict of the pairs of x."),
    Rule("make_list", _items_list, "*y", "A list of the items."),
    Rule("make_tuple", _items, "*y", "A tuple of the items."),
    Rule("make_set", _items_set, "*y", "A set of the items."),

    Rule("ord_", ord, "x", "The number of the character x."),
    Rule("chr_", chr, "x", "The character of the number x."),
    _of("lower", "x", "x in lower case."),
    _of("upper", "x", "x in upper case."),
    _of("casefold", "x", "x for comparison without case."),
    _of("title", "x", "x with each word capitalized."),
    _of("swapcase", "x", "x with its cases swapped."),
    _of("capitalize", "x", "x, its first letter capitalized."),
    _of("strip", "x chars", "x without blanks or chars at its ends."),
    _of("lstrip", "x chars", "x without chars at its start."),
    _of("rstrip", "x chars", "x without chars at its end."),
    _of("removeprefix", "x y", "x without y at its start."),
    _of("removesuffix", "x y", "x without y at its end."),
    _of("split", "x sep maxsplit", "The parts of x between sep."),
    _of("rsplit", "x sep maxsplit", "As split, from the end."),
    _of("splitlines", "x keepends", "The lines of x."),
    _of("partition", "x y", "x before y, y, x after it."),
    _of("rpartition", "x y", "As partition, from the end."),
    _of("replace", "x old new count", "x, old replaced by new."),
    _of("startswith", "x y start end", "Whether x starts with y."),
    _of("endswith", "x y start end", "Whether x ends with y."),
    _of("find", "x y start end", "Where y is in x, or -1."),
    _of("rfind", "x y start end", "Where y is last in x, or -1."),
    _of("rindex", "x y start end", "Where y is last in x."),
    _of("center", "x width fill", "x amid fill."),
    _of("ljust", "x width fill", "x, then fill."),
    _of("rjust", "x width fill", "Fill, then x."),
    _of("zfill", "x width", "x after zeros."),
    _of("expandtabs", "x size", "x with blanks for tabs."),
    _of("translate", "x table", "x with its characters mapped."),
    _of("encode", "x encoding errors", "x as bytes."),
    _of("decode", "x encoding errors", "The bytes x as text."),
    _of("isalpha", "x", "Whether x has letters only."),
    _of("isalnum", "x", "Whether x has letters and digits only."),
    _of("isdigit", "x", "Whether x has digits only."),
    _of("isdecimal", "x", "Whether x is a decimal number."),
    _of("isnumeric", "x", "Whether x has numerals only."),
    _of("isspace", "x", "Whether x has blanks only."),
    _of("islower", "x", "Whether x is in lower case."),
    _of("isupper", "x", "Whether x is in upper case."),
    _of("istitle", "x", "Whether each word of x is capitalized."),
    Rule("join", _join, "x *y", "The items, joined by x."),

    Rule("keys", _keys, "x", "The list of the keys of x.", "keys"),
    Rule("values", _values, "x", "The list of the values of x.", "values"),
    _of("get", "x key default", "x[key], or the default."),
    Rule("dict_update", _on_copy("update"), "x y", "x with the items of y.", "update"),
    Rule("dict_pop", _on_copy("pop"), "x key default", "x without the key."),
    Rule("dict_popitem", _on_copy("popitem"), "x", "x without its last item."),
    Rule("dict_setdefault", _on_copy("setdefault"), "x key value", "x with x[key], if new."),
    Rule("dict_clear", _on_copy("clear"), "x", "x without its items."),

    Rule("list_append", _on_copy("append"), "x y", "x with y at its end.", "append"),
    Rule("list_clear", _on_copy("clear"), "x", "x without its items."),
    Rule("list_extend", _on_copy("extend"), "x y", "x with the items of y at its end.", "extend"),
    Rule("list_insert", _on_copy("insert"), "x index y", "x with y before the index.", "insert"),
    Rule("list_pop", _on_copy("pop"), "x index", "x without the item at the index."),
    Rule("list_remove", _on_copy("remove"), "x y", "x without the first y.", "remove"),
    Rule("list_reverse", _on_copy("reverse"), "x", "x from its end."),
    Rule("list_sort", _sorted, "x key reverse", "x, sorted."),

    Rule("set_add", _on_copy("add"), "x y", "x with y."),
    Rule("set_clear", _on_copy("clear"), "x", "x without its items."),
    Rule("set_discard", _on_copy("discard"), "x y", "x without y, if it is there."),
    Rule("set_remove", _on_copy("remove"), "x y", "x without y."),
    Rule("set_pop", _on_copy("pop"), "x", "x without one item."),
    Rule("set_update", _on_copy("update"), "x y", "x with the items of y."),
    Rule("set_union", _call("union"), "x y", "What is in x or in y.", "union"),
    Rule("set_intersection", _call("intersection"), "x y", "What is in both.", "intersection"),
    Rule("set_difference", _call("difference"), "x y", "What is in x only.", "difference"),
    Rule("set_intersection_update", _on_copy("intersection_update"), "x y", "What is in x and y."),
    Rule("set_difference_update", _on_copy("difference_update"), "x y", "What is in x only."),
    Rule("set_symmetric_difference_update", _on_copy("symmetric_difference_update"), "x y",
       "What is in one of x and y."),

    Rule("node_getattr", _attribute, "obj attr", "The attribute attr of obj."),
)
# fmt: on
