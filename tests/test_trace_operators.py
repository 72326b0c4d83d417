"""Every traced operator gives what plain Python gives, and remembers its operands."""

import ast
import inspect
import math
import operator
from collections.abc import Callable
from typing import Any

import pytest

from harness.trace import ExecutionError, MessageNode, Node, node, operators, signatures
from harness.trace.operators import OPS, cond, to_str
from harness.trace.table import TABLE


class Row(tuple[int, ...]):
    """What has a product of its own."""

    def __matmul__(self, other: object) -> int:
        if not isinstance(other, Row):
            return NotImplemented
        return sum(a * b for a, b in zip(self, other, strict=True))


CASES: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (operator.neg, (3,)),
    (operator.pos, (3,)),
    (operator.invert, (3,)),
    (abs, (-3,)),
    (round, (1.26,)),
    (round, (1.26, 1)),
    (math.floor, (1.5,)),
    (math.ceil, (1.5,)),
    (math.trunc, (-1.5,)),
    (operator.add, (3, 4)),
    (operator.add, ("a", "b")),
    (operator.add, ([1], [2])),
    (operator.sub, (3, 5)),
    (operator.mul, ("ab", 3)),
    (operator.truediv, (3, 4)),
    (operator.floordiv, (-7, 2)),
    (operator.mod, (-7, 2)),
    (divmod, (-7, 2)),
    (operator.matmul, (Row((1, 2)), Row((3, 4)))),
    (operator.pow, (2, 5)),
    (operator.lshift, (1, 4)),
    (operator.rshift, (256, 4)),
    (operator.and_, (12, 10)),
    (operator.or_, (12, 10)),
    (operator.xor, (12, 10)),
    (operator.lt, (1, 2)),
    (operator.le, (2, 2)),
    (operator.gt, (1, 2)),
    (operator.ge, (1, 2)),
    (operator.getitem, ([5, 6], 1)),
    (operator.getitem, ({"a": 6}, "a")),
]
BOTH_SIDES = {"add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow"} | {
    "lshift", "rshift", "and_", "or_", "xor", "divmod",
}  # fmt: skip
# name, operands, result, operation if it is called otherwise
METHODS: list[tuple[str, tuple[Any, ...], object, str]] = [
    ("lower", ("aBc",), "abc", ""),
    ("upper", ("aBc",), "ABC", ""),
    ("casefold", ("aBc",), "abc", ""),
    ("title", ("a bc",), "A Bc", ""),
    ("capitalize", ("a bc",), "A bc", ""),
    ("swapcase", ("aBc",), "AbC", ""),
    ("strip", ("  a ",), "a", ""),
    ("strip", ("xax", "x"), "a", ""),
    ("lstrip", ("xax", "x"), "ax", ""),
    ("rstrip", ("xax", "x"), "xa", ""),
    ("removeprefix", ("xax", "x"), "ax", ""),
    ("removesuffix", ("xax", "x"), "xa", ""),
    ("split", ("a b",), ["a", "b"], ""),
    ("split", ("a,b,c", ",", 1), ["a", "b,c"], ""),
    ("rsplit", ("a,b,c", ",", 1), ["a,b", "c"], ""),
    ("splitlines", ("a\nb",), ["a", "b"], ""),
    ("partition", ("a=b=c", "="), ("a", "=", "b=c"), ""),
    ("rpartition", ("a=b=c", "="), ("a=b", "=", "c"), ""),
    ("replace", ("aba", "a", "c"), "cbc", ""),
    ("replace", ("aba", "a", "c", 1), "cba", ""),
    ("startswith", ("aba", "ab"), True, ""),
    ("endswith", ("aba", "ab"), False, ""),
    ("find", ("aba", "a", 1), 2, ""),
    ("rfind", ("aba", "a"), 2, ""),
    ("rindex", ("aba", "a"), 2, ""),
    ("center", ("a", 3, "-"), "-a-", ""),
    ("ljust", ("a", 3, "-"), "a--", ""),
    ("rjust", ("a", 3, "-"), "--a", ""),
    ("zfill", ("7", 3), "007", ""),
    ("expandtabs", ("\ta", 2), "  a", ""),
    ("translate", ("ab", {97: "x"}), "xb", ""),
    ("encode", ("é", "utf-8"), b"\xc3\xa9", ""),
    ("decode", (b"\xc3\xa9", "utf-8"), "é", ""),
    ("isalpha", ("ab",), True, ""),
    ("isalnum", ("a1",), True, ""),
    ("isdigit", ("a1",), False, ""),
    ("isdecimal", ("11",), True, ""),
    ("isnumeric", ("11",), True, ""),
    ("isspace", (" ",), True, ""),
    ("islower", ("a",), True, ""),
    ("isupper", ("a",), False, ""),
    ("istitle", ("A B",), True, ""),
    ("count", ("aba", "a"), 2, ""),
    ("index", ([5, 6], 6), 1, ""),
    ("keys", ({"a": 1},), ["a"], ""),
    ("values", ({"a": 1},), [1], ""),
    ("get", ({"a": 1}, "b", 2), 2, ""),
    ("update", ({"a": 1}, {"b": 2}), {"a": 1, "b": 2}, "dict_update"),
    ("append", ([1], 2), [1, 2], "list_append"),
    ("extend", ([1], [2]), [1, 2], "list_extend"),
    ("insert", ([1], 0, 2), [2, 1], "list_insert"),
    ("setitem", ([1], 0, 2), [2], ""),
    ("delitem", ({"a": 1}, "a"), {}, ""),
    ("pop", ([1, 2],), 2, ""),
    ("pop", ([1, 2], 0), 1, ""),
    ("union", ({1}, {2}), {1, 2}, "set_union"),
    ("intersection", ({1, 2}, {2}), {2}, "set_intersection"),
    ("difference", ({1, 2}, {2}), {1}, "set_difference"),
    ("len", ("abc",), 3, "len_"),
    ("eq", (1, 1), True, ""),
    ("neq", (1, 1), False, ""),
    ("clone", ([1],), [1], ""),
    ("getattr", (3 + 4j, "imag"), 4.0, "node_getattr"),
]
# Those that are no methods of Node.
FUNCTIONS: list[tuple[str, tuple[Any, ...], object]] = [
    ("identity", ([1],), [1]),
    ("ne", (1, 2), True),
    ("not_", (0,), True),
    ("is_", (None, None), True),
    ("is_not", (None, None), False),
    ("in_", ("a", "ab"), True),
    ("not_in", ("a", "ab"), False),
    ("min_", ([2, 1],), 1),
    ("max_", ([2, 1],), 2),
    ("sum_", ([2, 1],), 3),
    ("sorted_", ([2, 1],), [1, 2]),
    ("reversed_", ([2, 1],), [1, 2]),
    ("to_str", (5,), "5"),
    ("to_int", ("101", 2), 5),
    ("to_float", ("0.5",), 0.5),
    ("to_bool", ("",), False),
    ("to_list", ((1, 2),), [1, 2]),
    ("to_list", ({"b", "a"},), ["a", "b"]),
    ("to_tuple", ([1, 2],), (1, 2)),
    ("to_set", ([1, 1],), {1}),
    ("to_dict", ([("a", 1)],), {"a": 1}),
    ("make_list", (1, 2), [1, 2]),
    ("make_tuple", (1, 2), (1, 2)),
    ("make_set", (1, 2), {1, 2}),
    ("ord_", ("a",), 97),
    ("chr_", (97,), "a"),
    ("join", (", ", "a", "b"), "a, b"),
    ("dict_pop", ({"a": 1, "b": 2}, "a"), {"b": 2}),
    ("dict_popitem", ({"a": 1, "b": 2},), {"a": 1}),
    ("dict_setdefault", ({"a": 1}, "b", 2), {"a": 1, "b": 2}),
    ("dict_clear", ({"a": 1},), {}),
    ("list_clear", ([1],), []),
    ("list_pop", ([1, 2], 0), [2]),
    ("list_remove", ([1, 2], 1), [2]),
    ("list_reverse", ([1, 2],), [2, 1]),
    ("list_sort", ([2, 1],), [1, 2]),
    ("set_add", ({1}, 2), {1, 2}),
    ("set_clear", ({1},), set()),
    ("set_discard", ({1}, 2), {1}),
    ("set_remove", ({1, 2}, 2), {1}),
    ("set_pop", ({1},), set()),
    ("set_update", ({1}, [2]), {1, 2}),
    ("set_intersection_update", ({1, 2}, {2}), {2}),
    ("set_difference_update", ({1, 2}, {2}), {1}),
    ("set_symmetric_difference_update", ({1, 2}, {2, 3}), {1, 3}),
]


@pytest.mark.parametrize(("function", "values"), CASES)
def test_an_operator_gives_what_plain_python_gives(function, values):
    wrapped = [node(value) for value in values]

    for operands in (wrapped, [wrapped[0], *values[1:]]):
        made = function(*operands)
        assert isinstance(made, Node)
        assert made.data == function(*values)
        assert [source.data for source in made.inputs.values()] == list(values)


@pytest.mark.parametrize(("function", "values"), [c for c in CASES if c[0].__name__ in BOTH_SIDES])
def test_a_plain_left_operand_keeps_its_side(function, values):
    left, right = values

    made = function(left, node(right))

    assert made.data == function(left, right)
    assert [source.data for source in made.inputs.values()] == [left, right]


@pytest.mark.parametrize(("name", "values", "expected", "op"), METHODS)
def test_a_method_gives_what_plain_python_gives(name, values, expected, op):
    source = node(values[0])

    made = getattr(source, name)(*values[1:])

    assert made.data == expected and type(made.data) is type(expected)
    assert made.op == (op or name)
    assert [n.data for n in made.inputs.values()] == list(values)
    assert next(iter(made.inputs.values())) is source
    assert source.data == values[0]


@pytest.mark.parametrize(("name", "values", "expected"), FUNCTIONS)
def test_a_function_gives_what_plain_python_gives(name, values, expected):
    sources = [node(value) for value in values]

    made = getattr(operators, name)(*sources)

    assert made.data == expected and type(made.data) is type(expected)
    assert made.op == name
    assert all(n is m for n, m in zip(made.inputs.values(), sources, strict=True))
    assert [n.data for n in sources] == list(values)


def test_every_operator_of_the_table_is_tried_here():
    tried = {name for name, *_ in FUNCTIONS} | {op or name for name, _, _, op in METHODS}
    tried |= {function(*map(node, values)).op for function, values in CASES} | {"cond"}

    assert tried == set(OPS)


def test_operands_may_be_given_by_name_and_those_between_are_none():
    parts = node("a b c").split(maxsplit=1)

    assert parts.data == ["a", "b c"]
    assert list(parts.inputs) == ["x", "sep", "maxsplit"]
    assert operators.list_sort([1, 2], reverse=True).data == [2, 1]
    assert operators.subtract(y=1, x=5).data == 4
    with pytest.raises(TypeError, match=r"subtract takes \(x, y\); not z"):
        operators.subtract(1, z=2)
    with pytest.raises(TypeError, match=r"subtract takes \(x, y\); not x"):
        operators.subtract(1, x=2)


def test_an_unknown_operator_is_an_error_that_lists_the_known_ones():
    with pytest.raises(AttributeError, match=r"no operator 'plus'; known: .*add.*call"):
        operators.plus(1, 2)


def test_operators_take_several_nodes_into_one_container():
    one, two = node(1), node(2)

    made = operators.make_list(one, two)

    assert made.inputs == {"y_0": one, "y_1": two}
    assert operators.make_dict(a=one, b=two).data == {"a": 1, "b": 2}
    assert operators.make_dict(a=one).inputs["a"] is one


def test_join_takes_a_list_or_the_items():
    comma, a, b = node(", "), node("a"), node("b")

    for made in (comma.join([a, b]), operators.join(comma, a, b), comma.join(x for x in (a, b))):
        assert made.data == "a, b" and a in made.parents and b in made.parents
    whole = node(["a", "b"])
    assert comma.join(whole).inputs == {"x": comma, "y_0": whole}
    assert node("-").join("ab").data == node("-").join(node("ab")).data == "a-b"


def test_a_plain_text_before_a_node_is_joined_as_text():
    made = "a" + node("b")

    assert (made.data, made.op) == ("ab", "concat")
    assert [n.data for n in made.inputs.values()] == ["a", "b"]
    assert (node([1]) + node([2])).op == "add"


def test_an_attribute_method_or_value_of_a_node_can_be_called():
    words, length = node(["a", "b"]), node(len)

    found, counted = words.call("index", "b"), length(words)

    assert found.data == 1 and found.op == "call"
    assert found.inputs["fun"].op == "node_getattr" and found.inputs["fun"].inputs["obj"] is words
    assert counted.data == 2
    assert counted.inputs == {"fun": length, "args_0": words}


def test_functions_beside_the_operators_are_traced():
    condition, b = node(True), node("b")

    chosen = cond(condition, "a", b)

    assert chosen.data == "a" and cond(False, "a", b).data == "b"
    assert list(chosen.inputs) == ["condition", "x", "y"]
    assert to_str(node(5)).data == "5" and type(to_str(5)) is MessageNode


def test_format_records_the_template_and_every_field():
    template = node("{0} {b} {0}")

    made = template.format(node("x"), b=node("y"))

    assert made.data == "x y x"
    assert made.inputs["x"] is template
    assert {k: n.data for k, n in made.inputs.items() if n is not template} == {
        "b": "y",
        "args_0": "x",
    }
    assert operators.format("{}", 5).data == "5"


def test_format_takes_fields_with_any_name():
    made = node("{x}-{self}-{args_0}-{0}").format(1, x="t", self="s", args_0="a")

    assert made.data == "t-s-a-1"
    assert [n.data for n in made.inputs.values()][1:] == [1, "t", "s", "a"]


def test_the_same_node_may_be_used_twice_in_one_operator():
    one = node(3)

    made = one * one

    assert made.data == 9
    assert made.inputs["x"] is made.inputs["y"] is one


def test_a_failing_operator_raises_with_the_operands_as_inputs():
    with pytest.raises(ExecutionError) as caught:
        node(1) / 0

    assert caught.value.exception_node.data == "(ZeroDivisionError) division by zero"
    assert set(caught.value.exception_node.inputs) == {"x", "y"}
    text = node("a")
    for call in (lambda: -text, lambda: text.index("b"), lambda: operators.to_int(text)):
        with pytest.raises(ExecutionError) as caught:
            call()
        assert caught.value.exception_node.inputs["x"] is text
    with pytest.raises(TypeError, match=r"strip takes \(x, chars\); got an operand number 3"):
        node("a").strip("b", "c")


def test_what_is_declared_for_type_checkers_is_what_is_installed():
    tree = ast.parse(inspect.getsource(signatures))
    declared = {n.target.id for n in ast.walk(tree) if isinstance(n, ast.AnnAssign)}  # pyright: ignore[reportAttributeAccessIssue]  # all are names
    declared |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    declared -= {"_Unary", "_Binary", "_Open"}
    of_table = {name for rule in TABLE for name in (rule.method, rule.reflected) if name}

    assert of_table <= declared
    assert all(hasattr(Node, name) for name in declared)
    assert len(OPS) == len(TABLE)


def test_a_chain_of_a_hundred_thousand_operators_lives_and_dies():
    made = node(0)
    for _ in range(100_000):
        made = made + 1

    assert made.data == 100_000
    del made
