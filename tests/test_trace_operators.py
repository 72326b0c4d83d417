"""Every traced operator gives what plain Python gives, and remembers its operands."""

import math
import operator
from collections.abc import Callable
from typing import Any

import pytest

from harness.trace import ExecutionError, Node, node
from harness.trace.operators import cond, to_str
from harness.trace.operators import OPS
from harness.trace.signatures import Operators

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
BOTH_SIDES = {"add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift"} | {
    "and_", "or_", "xor", "divmod",
}  # fmt: skip
METHODS: list[tuple[str, tuple[Any, ...], object]] = [
    ("lower", ("aBc",), "abc"),
    ("upper", ("aBc",), "ABC"),
    ("title", ("a bc",), "A Bc"),
    ("capitalize", ("a bc",), "A bc"),
    ("swapcase", ("aBc",), "AbC"),
    ("strip", ("  a ",), "a"),
    ("strip", ("xax", "x"), "a"),
    ("split", ("a b",), ["a", "b"]),
    ("split", ("a,b,c", ",", 1), ["a", "b,c"]),
    ("replace", ("aba", "a", "c"), "cbc"),
    ("join", (", ", ["a", "b"]), "a, b"),
    ("keys", ({"a": 1},), ["a"]),
    ("values", ({"a": 1},), [1]),
    ("items", ({"a": 1},), [("a", 1)]),
    ("len", ("abc",), 3),
    ("eq", (1, 1), True),
    ("neq", (1, 1), False),
]


@pytest.mark.parametrize(("function", "values"), CASES)
def test_an_operator_gives_what_plain_python_gives(function, values):
    wrapped = [node(value) for value in values]

    for operands in (wrapped, [wrapped[0], *values[1:]]):
        made = function(*operands)
        assert isinstance(made, Node)
        assert made.data == function(*values)
        assert [source.data for source in made.inputs.values()] == list(values)


@pytest.mark.parametrize(
    ("function", "values"), [c for c in CASES if c[0].__name__ in BOTH_SIDES and c[1][0] != [1]]
)
def test_a_plain_left_operand_keeps_its_side(function, values):
    left, right = values
    if isinstance(left, str) and function is operator.mod:
        pytest.skip("str % is formatting")

    made = function(left, node(right))

    assert made.data == function(left, right)
    assert [source.data for source in made.inputs.values()] == [left, right]


@pytest.mark.parametrize(("name", "values", "expected"), METHODS)
def test_a_method_gives_what_plain_python_gives(name, values, expected):
    made = getattr(node(values[0]), name)(*values[1:])

    assert made.data == expected
    assert made.op == name
    assert [source.data for source in made.inputs.values()] == list(values)


def test_functions_beside_the_operators_are_traced():
    assert to_str(node(5)).data == "5"
    assert cond(node(True), "a", node("b")).data == "a"
    assert cond(False, "a", node("b")).data == "b"


def test_format_records_the_template_and_every_field():
    template = node("{0} {b} {0}")

    made = template.format(node("x"), b=node("y"))

    assert made.data == "x y x"
    assert made.inputs["template"] is template
    assert {k: n.data for k, n in made.inputs.items() if n is not template} == {
        "b": "y",
        "arg_0": "x",
    }


def test_format_takes_fields_with_any_name():
    made = node("{template}-{self}-{arg_0}-{0}").format(1, template="t", self="s", arg_0="a")

    assert made.data == "t-s-a-1"


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
    with pytest.raises(TypeError, match="takes x, chars; got 3"):
        node("a").strip("b", "c")


def test_truth_length_and_membership_are_plain():
    words = node(["a"])

    assert words and not node([])
    assert len(words) == 1
    assert "a" in words and node("a") in words


def test_declared_and_installed_operators_are_the_same():
    installed = {name for op in OPS for name in (op.method, op.reflected) if name} | {"format"}

    assert set(Operators.__annotations__) == installed
    assert len({op.name for op in OPS}) == len(OPS)


def test_a_chain_of_a_hundred_thousand_operators_lives_and_dies():
    made = node(0)
    for _ in range(100_000):
        made = made + 1

    assert made.data == 100_000
    del made
