"""The table of traced operators, one line each, and its installation on Node.

An operator runs the plain Python function on the values and remembers its operands; those that
change a container change a copy. An exception becomes an ExecutionError, as in a bundle. Every
operator is a function of this module, too: `operators.add(x, y)`.
"""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from harness.trace import nodes
from harness.trace.context import SCOPE, language_model
from harness.trace.kinds import MessageNode, Node
from harness.trace.nodes import as_node, constant, distinct, failure, record
from harness.trace.snapshots import snapshot


class Op:
    """A traced operator: its name in a trace, what it computes, and where it sits on Node.

    arguments: one name per operand; a last name `*y` takes any number. Trailing operands may be
    left out if the function allows it. method, reflected: attributes of Node; `reflected` swaps
    the operands.
    """

    __slots__ = ("arguments", "doc", "function", "method", "name", "reflected", "several", "words")
    code = ""

    def __init__(  # noqa: PLR0913  one line of the table
        self,
        name: str,
        function: Callable[..., Any],
        arguments: str,
        doc: str,
        method: str | None = None,
        reflected: str | None = None,
    ) -> None:
        self.name = name
        self.function = function
        names = arguments.split()
        self.several = names.pop()[1:] if names and names[-1].startswith("*") else None
        self.arguments = tuple(names)
        self.words = tuple((n, "") for n in names)
        self.doc = doc
        self.method = method
        self.reflected = reflected

    def __call__(self, *operands: object, **named: object) -> MessageNode[Any]:
        """Run the operator on nodes or values, given by position or by argument."""
        sources: dict[str, Node] = {}
        for i, operand in enumerate(operands):
            name = self.arguments[i] if i < len(self.arguments) else self._spread(i)
            sources[name] = as_node(operand, name)
        if named:
            self._add_named(sources, named)
        return run(self, sources)

    def info_of(self, node: MessageNode) -> dict[str, Any]:
        """Return the facts about one call."""
        args = list(node.sources.values())
        facts = {"fun": self.function, "fun_name": self.name, "doc": self.doc}
        return {**facts, "inputs": {"args": args, "kwargs": {}}, "output": node.raw}

    def _add_named(self, sources: dict[str, Node], named: Mapping[str, object]) -> None:
        """Add operands given by argument; None stands for those left out before the last one."""
        for name in named:
            if name not in self.arguments or name in sources:
                raise TypeError(f"{self.name} takes ({', '.join(self.arguments)}); not {name}")
        last = max(self.arguments.index(name) for name in named)
        for name in self.arguments[len(sources) : last + 1]:
            sources[name] = as_node(named.get(name), name)

    def _spread(self, i: int) -> str:
        if self.several is None:
            takes = ", ".join(self.arguments)
            raise TypeError(f"{self.name} takes ({takes}); got an operand number {i + 1}")
        return f"{self.several}_{i - len(self.arguments)}"


def run(op: Op, sources: Mapping[str, Node]) -> MessageNode[Any]:
    """Run an operator on nodes and remember them."""
    try:
        value = op.function(*[n.data for n in sources.values()])
    except Exception as error:
        raise failure(error, op, sources) from error
    return record(value, op, sources)


def _of_method(name: str) -> Callable[..., object]:
    """Return what calls a method of the first value, whatever its type."""
    return lambda x, *rest: getattr(x, name)(*rest)


def _on_copy(name: str) -> Callable[..., object]:
    """Return what calls a method of a copy of the first value, and returns the copy."""

    def change(x: Any, *rest: object) -> object:
        x = copy.copy(x)
        getattr(x, name)(*snapshot(rest))
        return x

    return change


def _item(x: Any, index: object) -> object:
    return snapshot(x[index])


def _attribute(x: object, name: str) -> object:
    value = getattr(x, name)
    return value.data if isinstance(value, Node) else value


def _pop(x: Any, index: Any = -1) -> object:
    return copy.copy(x).pop(index)


def _with_item(x: Any, key: object, value: object) -> object:
    x = copy.copy(x)
    x[key] = value
    return x


def _without_item(x: Any, key: object) -> object:
    x = copy.copy(x)
    del x[key]
    return x


def _list(x: Iterable[Any]) -> list[Any]:
    # The order of a set differs between processes; that of the texts of its items does not.
    return sorted(x, key=repr) if isinstance(x, set | frozenset) else list(x)


def _sorted(x: Any, key: Any = None, reverse: bool = False) -> object:
    x = copy.copy(x)
    x.sort(key=key, reverse=reverse)
    return x


def _join(x: Any, *items: Any) -> object:
    whole = items[0] if len(items) == 1 and not isinstance(items[0], str) else items
    return x.join(snapshot(whole))


_OF = cast("Any", operator)

# fmt: off
TABLE: tuple[Op, ...] = (
    Op("clone", copy.deepcopy, "x", "A copy of x.", "clone"),
    Op("identity", copy.deepcopy, "x", "A copy of x."),

    Op("pos", _OF.pos, "x", "+x.", "__pos__"),
    Op("neg", _OF.neg, "x", "-x.", "__neg__"),
    Op("abs", abs, "x", "The absolute value of x.", "__abs__"),
    Op("invert", _OF.invert, "x", "~x.", "__invert__"),
    Op("round", round, "x n", "x rounded to n digits.", "__round__"),
    Op("floor", math.floor, "x", "The largest whole number up to x.", "__floor__"),
    Op("ceil", math.ceil, "x", "The smallest whole number from x.", "__ceil__"),
    Op("trunc", math.trunc, "x", "x without its decimals.", "__trunc__"),

    Op("add", _OF.add, "x y", "x + y.", "__add__", "__radd__"),
    Op("concat", _OF.add, "x y", "The texts x and y, joined."),
    Op("subtract", _OF.sub, "x y", "x - y.", "__sub__", "__rsub__"),
    Op("multiply", _OF.mul, "x y", "x * y.", "__mul__", "__rmul__"),
    Op("floor_divide", _OF.floordiv, "x y", "x // y.", "__floordiv__", "__rfloordiv__"),
    Op("divide", _OF.truediv, "x y", "x / y.", "__truediv__", "__rtruediv__"),
    Op("mod", _OF.mod, "x y", "x % y.", "__mod__", "__rmod__"),
    Op("node_divmod", divmod, "x y", "The pair (x // y, x % y).", "__divmod__", "__rdivmod__"),
    Op("power", _OF.pow, "x y", "x ** y.", "__pow__", "__rpow__"),
    Op("lshift", _OF.lshift, "x y", "x << y.", "__lshift__", "__rlshift__"),
    Op("rshift", _OF.rshift, "x y", "x >> y.", "__rshift__", "__rrshift__"),
    Op("and_", _OF.and_, "x y", "x & y.", "__and__", "__rand__"),
    Op("or_", _OF.or_, "x y", "x | y.", "__or__", "__ror__"),
    Op("xor", _OF.xor, "x y", "x ^ y.", "__xor__", "__rxor__"),
    Op("matmul", _OF.matmul, "x y", "x @ y.", "__matmul__", "__rmatmul__"),

    Op("lt", _OF.lt, "x y", "x < y.", "__lt__"),
    Op("le", _OF.le, "x y", "x <= y.", "__le__"),
    Op("gt", _OF.gt, "x y", "x > y.", "__gt__"),
    Op("ge", _OF.ge, "x y", "x >= y.", "__ge__"),
    Op("eq", _OF.eq, "x y", "x == y.", "eq"),
    Op("neq", _OF.ne, "x y", "x != y.", "neq"),
    Op("ne", _OF.ne, "x y", "x != y."),

    Op("cond", lambda c, x, y: x if c else y, "condition x y", "x if the condition holds, else y."),
    Op("not_", _OF.not_, "x", "not x."),
    Op("is_", _OF.is_, "x y", "x is y."),
    Op("is_not", _OF.is_not, "x y", "x is not y."),
    Op("in_", lambda x, y: x in y, "x y", "x in y."),
    Op("not_in", lambda x, y: x not in y, "x y", "x not in y."),

    Op("getitem", _item, "x index", "x[index].", "__getitem__"),
    Op("setitem", _with_item, "x key value", "A copy of x with x[key] = value.", "setitem"),
    Op("delitem", _without_item, "x key", "A copy of x without x[key].", "delitem"),
    Op("pop", _pop, "x index", "x[index], the last one if there is no index.", "pop"),
    Op("len_", len, "x", "The number of items in x.", "len"),
    Op("count", _of_method("count"), "x y start end", "How often y is in x.", "count"),
    Op("index", _of_method("index"), "x y start end", "Where y is in x.", "index"),
    Op("min_", min, "x", "The smallest item of x."),
    Op("max_", max, "x", "The largest item of x."),
    Op("sum_", sum, "x", "The sum of the items of x."),
    Op("sorted_", sorted, "x", "The list of the items of x, sorted."),
    Op("reversed_", lambda x: x[::-1], "x", "x from its end."),

    Op("to_str", str, "x", "x as text."),
    Op("to_int", int, "x base", "x as a whole number."),
    Op("to_float", float, "x", "x as a number."),
    Op("to_bool", bool, "x", "Whether x holds."),
    Op("to_list", _list, "x", "The list of the items of x."),
    Op("to_tuple", tuple, "x", "The tuple of the items of x."),
    Op("to_set", set, "x", "The set of the items of x."),
    Op("to_dict", dict, "x", "The dict of the pairs of x."),
    Op("make_list", lambda *y: list(y), "*y", "A list of the items."),
    Op("make_tuple", lambda *y: y, "*y", "A tuple of the items."),
    Op("make_set", lambda *y: set(y), "*y", "A set of the items."),

    Op("ord_", ord, "x", "The number of the character x."),
    Op("chr_", chr, "x", "The character of the number x."),
    Op("lower", _of_method("lower"), "x", "x in lower case.", "lower"),
    Op("upper", _of_method("upper"), "x", "x in upper case.", "upper"),
    Op("casefold", _of_method("casefold"), "x", "x for comparison without case.", "casefold"),
    Op("title", _of_method("title"), "x", "x with each word capitalized.", "title"),
    Op("swapcase", _of_method("swapcase"), "x", "x with its cases swapped.", "swapcase"),
    Op("capitalize", _of_method("capitalize"), "x", "x, its first letter capitalized.", "capitalize"),
    Op("strip", _of_method("strip"), "x chars", "x without blanks or chars at its ends.", "strip"),
    Op("lstrip", _of_method("lstrip"), "x chars", "x without chars at its start.", "lstrip"),
    Op("rstrip", _of_method("rstrip"), "x chars", "x without chars at its end.", "rstrip"),
    Op("removeprefix", _of_method("removeprefix"), "x y", "x without y at its start.", "removeprefix"),
    Op("removesuffix", _of_method("removesuffix"), "x y", "x without y at its end.", "removesuffix"),
    Op("split", _of_method("split"), "x sep maxsplit", "The parts of x between sep.", "split"),
    Op("rsplit", _of_method("rsplit"), "x sep maxsplit", "As split, from the end.", "rsplit"),
    Op("splitlines", _of_method("splitlines"), "x keepends", "The lines of x.", "splitlines"),
    Op("partition", _of_method("partition"), "x y", "x before y, y, x after it.", "partition"),
    Op("rpartition", _of_method("rpartition"), "x y", "As partition, from the end.", "rpartition"),
    Op("replace", _of_method("replace"), "x old new count", "x, old replaced by new.", "replace"),
    Op("startswith", _of_method("startswith"), "x y start end", "Whether x starts with y.", "startswith"),
    Op("endswith", _of_method("endswith"), "x y start end", "Whether x ends with y.", "endswith"),
    Op("find", _of_method("find"), "x y start end", "Where y is in x, or -1.", "find"),
    Op("rfind", _of_method("rfind"), "x y start end", "Where y is last in x, or -1.", "rfind"),
    Op("rindex", _of_method("rindex"), "x y start end", "Where y is last in x.", "rindex"),
    Op("center", _of_method("center"), "x width fill", "x amid fill.", "center"),
    Op("ljust", _of_method("ljust"), "x width fill", "x, then fill.", "ljust"),
    Op("rjust", _of_method("rjust"), "x width fill", "Fill, then x.", "rjust"),
    Op("zfill", _of_method("zfill"), "x width", "x after zeros.", "zfill"),
    Op("expandtabs", _of_method("expandtabs"), "x size", "x with blanks for tabs.", "expandtabs"),
    Op("translate", _of_method("translate"), "x table", "x with its characters mapped.", "translate"),
    Op("encode", _of_method("encode"), "x encoding errors", "x as bytes.", "encode"),
    Op("decode", _of_method("decode"), "x encoding errors", "The bytes x as text.", "decode"),
    Op("isalpha", _of_method("isalpha"), "x", "Whether x has letters only.", "isalpha"),
    Op("isalnum", _of_method("isalnum"), "x", "Whether x has letters and digits only.", "isalnum"),
    Op("isdigit", _of_method("isdigit"), "x", "Whether x has digits only.", "isdigit"),
    Op("isdecimal", _of_method("isdecimal"), "x", "Whether x is a decimal number.", "isdecimal"),
    Op("isnumeric", _of_method("isnumeric"), "x", "Whether x has numerals only.", "isnumeric"),
    Op("isspace", _of_method("isspace"), "x", "Whether x has blanks only.", "isspace"),
    Op("islower", _of_method("islower"), "x", "Whether x is in lower case.", "islower"),
    Op("isupper", _of_method("isupper"), "x", "Whether x is in upper case.", "isupper"),
    Op("istitle", _of_method("istitle"), "x", "Whether each word of x is capitalized.", "istitle"),
    Op("join", _join, "x *y", "The items, joined by x."),

    Op("keys", lambda x: list(x.keys()), "x", "The list of the keys of x.", "keys"),
    Op("values", lambda x: list(x.values()), "x", "The list of the values of x.", "values"),
    Op("get", _of_method("get"), "x key default", "x[key], or the default.", "get"),
    Op("dict_update", _on_copy("update"), "x y", "x with the items of y.", "update"),
    Op("dict_pop", _on_copy("pop"), "x key default", "x without the key."),
    Op("dict_popitem", _on_copy("popitem"), "x", "x without its last item."),
    Op("dict_setdefault", _on_copy("setdefault"), "x key value", "x with x[key], if new."),
    Op("dict_clear", _on_copy("clear"), "x", "x without its items."),

    Op("list_append", _on_copy("append"), "x y", "x with y at its end.", "append"),
    Op("list_clear", _on_copy("clear"), "x", "x without its items."),
    Op("list_extend", _on_copy("extend"), "x y", "x with the items of y at its end.", "extend"),
    Op("list_insert", _on_copy("insert"), "x index y", "x with y before the index.", "insert"),
    Op("list_pop", _on_copy("pop"), "x index", "x without the item at the index."),
    Op("list_remove", _on_copy("remove"), "x y", "x without the first y.", "remove"),
    Op("list_reverse", _on_copy("reverse"), "x", "x from its end."),
    Op("list_sort", _sorted, "x key reverse", "x, sorted."),

    Op("set_add", _on_copy("add"), "x y", "x with y."),
    Op("set_clear", _on_copy("clear"), "x", "x without its items."),
    Op("set_discard", _on_copy("discard"), "x y", "x without y, if it is there."),
    Op("set_remove", _on_copy("remove"), "x y", "x without y."),
    Op("set_pop", _on_copy("pop"), "x", "x without one item."),
    Op("set_update", _on_copy("update"), "x y", "x with the items of y."),
    Op("set_union", _of_method("union"), "x y", "What is in x or in y.", "union"),
    Op("set_intersection", _of_method("intersection"), "x y", "What is in both.", "intersection"),
    Op("set_difference", _of_method("difference"), "x y", "What is in x only.", "difference"),
    Op("set_intersection_update", _on_copy("intersection_update"), "x y", "What is in x and y."),
    Op("set_difference_update", _on_copy("difference_update"), "x y", "What is in x only."),
    Op("set_symmetric_difference_update", _on_copy("symmetric_difference_update"), "x y",
       "What is in one of x and y."),

    Op("node_getattr", _attribute, "obj attr", "The attribute attr of obj."),
)
# fmt: on
OPS: Mapping[str, Op] = {op.name: op for op in TABLE}




def make_dict(**items: object) -> MessageNode[Any]:
    """Make one node of several: a dict with their names as keys."""
    return nodes.make_dict(items)


def format_(x: object, *args: object, **kwargs: object) -> MessageNode[Any]:
    """Return `x.format(...)` as a traced operation."""
    sources: dict[str, Node] = {"x": as_node(x, "x")}
    for i, arg in enumerate(args):
        sources[f"args_{i}"] = as_node(arg, f"args_{i}")
    keys = {key: distinct(key, sources) for key in kwargs}
    sources |= {keys[key]: as_node(value, key) for key, value in kwargs.items()}

    def build(template: Any, *values: Any) -> str:
        named = dict(zip(kwargs, values[len(args) :], strict=True))
        return template.format(*values[: len(args)], **named)

    return run(Op("format", build, " ".join(sources), "x with its fields filled in."), sources)


def call_llm(system_prompt: object, *user_prompts: object, **settings: Any) -> MessageNode[Any]:
    """Ask the language model set by `use_llm`: a system message, then user messages."""
    ask = language_model()
    sources: dict[str, Node] = {"system_prompt": as_node(system_prompt, "system_prompt")}
    for i, prompt in enumerate(user_prompts):
        sources[f"user_prompts_{i}"] = as_node(prompt, "prompt")

    def query(system: str, *users: str) -> str:
        turns = [("system", system), *(("user", user) for user in users)]
        return ask([{"role": role, "content": content} for role, content in turns], **settings)

    return run(Op("call_llm", query, " ".join(sources), "Asks a language model."), sources)


FUNCTIONS: Mapping[str, Callable[..., MessageNode[Any]]] = {"format": format_}


def __getattr__(name: str) -> Callable[..., MessageNode[Any]]:
    found = OPS.get(name) or FUNCTIONS.get(name)
    if found is None:
        raise AttributeError(f"no operator {name!r}; known: {', '.join((*OPS, *FUNCTIONS))}")
    return found


def install(name: str, method: Callable[..., Any], doc: str) -> None:
    """Make a function a method of Node."""
    method.__name__ = name
    method.__qualname__ = f"Node.{name}"
    method.__doc__ = doc
    setattr(Node, name, method)


def _unary(op: Op) -> Callable[[Node], MessageNode[Any]]:
    """Return `op(self)` as a method, made fast."""
    function, first = op.function, op.arguments[0]

    def method(self: Node) -> MessageNode[Any]:
        sources = {first: self}
        scope = SCOPE.get()
        if scope is not None and scope.reads is not None:
            return run(op, sources)
        try:
            value = function(self.raw)
        except Exception as error:
            raise failure(error, op, sources) from error
        return record(value, op, sources)

    return method


def _binary(op: Op) -> Callable[[Node, object], MessageNode[Any]]:
    """Return `op(self, other)` as a method, made fast."""
    function, (first, second), words = op.function, op.arguments, op.words[1]

    def method(self: Node, other: object) -> MessageNode[Any]:
        if not isinstance(other, Node):
            other = constant(other, words) if type(other) in _NUMBERS else as_node(other, second)
        sources = {first: self, second: other}
        scope = SCOPE.get()
        if scope is not None and scope.reads is not None:
            return run(op, sources)
        try:
            value = function(self.raw, other.raw)
        except Exception as error:
            raise failure(error, op, sources) from error
        return record(value, op, sources)

    return method


def _reflected(op: Op) -> Callable[[Node, object], MessageNode[Any]]:
    return lambda self, other: op(other, self)


def _method(op: Op) -> Callable[..., MessageNode[Any]]:
    return lambda self, *operands, **named: op(self, *operands, **named)


def _add(self: Node, other: object) -> MessageNode[Any]:
    return (_CONCAT if type(self.raw) is str else _ADD)(self, other)


def _radd(self: Node, other: object) -> MessageNode[Any]:
    return OPS["concat" if type(self.raw) is str else "add"](other, self)


def _join_items(self: Node, items: Any) -> MessageNode[Any]:
    whole = isinstance(items, Node) and type(items.raw) is not str
    return OPS["join"](self, items) if whole else OPS["join"](self, *items)


def _format_fields(self: Node, /, *args: object, **kwargs: object) -> MessageNode[Any]:
    return format_(self, *args, **kwargs)


def _install_all() -> None:
    for op in TABLE:
        makers = {1: _unary, 2: _binary}
        make = makers.get(len(op.arguments), _method) if not op.several else _method
        if op.method:
            special = op.method.startswith("__") and op.name not in ("round", "getitem")
            install(op.method, (make if special else _method)(op), op.doc)
        if op.reflected:
            install(op.reflected, _reflected(op), op.doc)
    install("__add__", _add, OPS["add"].doc)
    install("__radd__", _radd, OPS["add"].doc)
    install("join", _join_items, OPS["join"].doc)
    install("format", _format_fields, "The template with its fields filled in.")
    install("getattr", _method(OPS["node_getattr"]), OPS["node_getattr"].doc)


_NUMBERS = frozenset({int, float, bool})
_ADD, _CONCAT = _binary(OPS["add"]), _binary(OPS["concat"])
_install_all()
