"""@bundle: one traced operation, its options, hidden dependencies, async functions, generators."""

import asyncio
import functools
import inspect

import pytest

from harness.trace import (
    ExecutionError,
    MessageNode,
    Node,
    Parameter,
    TraceGraph,
    TraceMissingInputsError,
    UsageError,
    bundle,
    node,
    to_data,
    trace_of,
)


@bundle
def add_one(x):
    """Add one."""
    return x + 1


@bundle(description="Joins.", name="glue")
def join(first, *rest, sep=" ", **more):
    return sep.join([first, *rest, *more.values()])


def loud(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        return function(*args, **kwargs).upper()

    return call


def test_a_function_is_one_operation_with_its_arguments_as_inputs():
    one = node(1)

    made = add_one(one)

    assert (made.data, made.op, made.description) == (2, "add_one", "[add_one] Add one.")
    assert made.inputs["x"] is one and len(made.inputs) == 1
    assert add_one(x=4).data == 5
    assert type(made) is MessageNode


def test_a_bundle_shows_the_function_that_it_is_made_of():
    def plain(x: int, *, y: str = "a") -> str:
        """Say it."""
        return y * x

    made = bundle(plain)

    assert (made.__name__, made.__doc__, made.fun) == ("plain", "Say it.", plain)
    assert made.__qualname__.endswith("<locals>.plain") and made.__module__ == __name__
    assert inspect.signature(made) == inspect.signature(plain)
    assert "plain" in repr(made) and " at 0x" not in repr(made)
    assert made.__wrapped__ is plain  # pyright: ignore[reportAttributeAccessIssue]  # set by functools


def test_all_kinds_of_arguments_have_names_and_defaults_are_inputs():
    made = join("a", "b", node("c"), end="d")

    assert made.data == "a b c d"
    assert {k: n.data for k, n in made.inputs.items()} == {
        "first": "a",
        "rest_0": "b",
        "rest_1": "c",
        "sep": " ",
        "end": "d",
    }
    assert (made.op, made.description) == ("glue", "[glue] Joins.")


def test_arguments_of_one_name_stay_apart():
    @bundle
    def pick(*rest, **more):
        return [*rest, more["rest_0"]]

    made = pick(1, rest_0=2)

    assert made.data == [1, 2]
    assert {k: n.data for k, n in made.inputs.items()} == {"rest_0": 1, "rest_0_": 2}


def test_arguments_that_do_not_fit_are_a_type_error():
    with pytest.raises(TypeError, match=r"add_one\(\): too many positional arguments"):
        add_one(1, 2)
    with pytest.raises(TypeError, match=r"it takes \(x\)"):
        add_one(y=2)


@pytest.mark.parametrize(
    ("options", "op", "doc"),
    [
        ({}, "f", "Say it."),
        ({"description": "[say] Says."}, "say", "Says."),
        ({"description": "Says."}, "f", "Says."),
        ({"name": "told"}, "told", "Say it."),
        ({"description": "[say] Says.", "name": "told"}, "told", "Says."),
    ],
)
def test_name_and_description_are_given_or_the_functions_own(options, op, doc):
    @bundle(**options)
    def f(x):
        """Say it."""
        return x

    assert (f(1).op, f(1).doc) == (op, doc)
    assert f(1).description == f"[{op}] {doc}"


def test_a_bundle_is_made_with_or_without_parentheses_and_also_by_partial():
    described = functools.partial(bundle, description="[both] Two.")

    def f(x):
        return x

    assert bundle(f)(1).op == bundle()(f)(1).op == "f"
    assert described()(f)(1).op == bundle("[both] Two.")(f)(1).op == "both"


def test_a_body_gets_plain_values_and_is_not_traced():
    kinds: list[type] = []

    @bundle
    def outer(x, items):
        kinds.extend((type(x), type(items[0]), type(add_one(x))))
        return [add_one(x), node(x) * 2]

    made = outer(node(3), [node(4)])

    assert kinds == [int, int, MessageNode]
    assert made.data == [4, 6] and type(made.data[0]) is int
    assert set(made.inputs) == {"x", "items"}


def test_a_body_cannot_change_its_inputs_nor_its_recorded_result():
    demos = Parameter([{"q": "1"}], kind="demos")
    kept: list[list[object]] = []

    @bundle
    def grow(items):
        items[0]["q"] = "2"
        items.append({"q": "3"})
        kept.append(items)
        return items

    grown = grow(demos)
    kept[0].clear()

    assert demos.data == [{"q": "1"}]
    assert grown.data == [{"q": "2"}, {"q": "3"}]


def test_arguments_can_be_handed_over_as_they_come():
    seen: list[object] = []

    @bundle(_process_inputs=False)
    def look(x, y):
        seen.extend((x, y))
        return x + 1

    one = node(1)
    made = look(one, 5)

    assert seen[0] is one and seen[1] == 5 and type(seen[1]) is int
    assert made.data == 2 and made.inputs["x"] is one and made.inputs["y"].data == 5


def test_a_traceable_body_keeps_its_graph_apart():
    weight = Parameter(3, name="weight")
    seen: list[Node] = []

    @bundle(traceable_code=True)
    def scale(x):
        seen.append(x)
        return x * weight + 1

    two = node(2, name="two")
    made = scale(two)
    out = made + 1

    assert made.data == 7 and made.inputs == {"x": two}
    inner = made.info["output"]
    assert inner.op == "add" and inner.inputs["x"].inputs["y"] is weight
    assert inner.inputs["x"].inputs["x"] is seen[0] is not two and type(seen[0]) is Node
    assert made.hidden_dependencies == {weight} and out.parameter_dependencies == set()
    assert out.expandable_dependencies == {made}
    assert [n.op for _, n in TraceGraph().expand(made).graph if n.op] == ["multiply", "add"]
    names = {n.name: n.inputs for n in trace_of(out, {"weight": weight}).nodes}
    assert names["scale1"] == (("x", "two1"), ("weight_0", "weight"))


def test_an_error_is_let_out_on_demand():
    @bundle(catch_execution_error=False)
    def raw(x):
        raise KeyError(x)

    with pytest.raises(KeyError):
        raw(1)


def test_a_hidden_dependency_is_refused_unless_allowed():
    secret = node("s", trainable=True)

    @bundle
    def hides(x):
        return x + secret.data

    @bundle
    def returns_it(x):
        return secret

    @bundle
    def calls(x):
        return add_one(secret)

    @bundle
    def operates(x):
        return secret + x

    for function in (hides, returns_it, operates):
        with pytest.raises(TraceMissingInputsError, match="pass them as arguments"):
            function("a")
    with pytest.raises(UsageError):
        calls("a")


def test_an_allowed_hidden_dependency_is_part_of_the_trace():
    secret = node("s", name="secret", trainable=True)

    @bundle(allow_external_dependencies=True)
    def may(x):
        return x + secret.data

    @bundle
    def around(x):
        return may(x)

    made = may("a")

    assert made.data == "as" and list(made.inputs) == ["x"]
    assert made.hidden_dependencies == {secret}
    assert made.info["external_dependencies"] == [secret]
    assert ("secret_0", "s") in trace_of(made, {"s": secret}).node("may1").inputs
    with pytest.raises(TraceMissingInputsError, match="around reads"):
        around("a")


def test_reading_an_own_argument_is_no_hidden_dependency():
    secret = node("s")

    @bundle
    def reads(x):
        return secret.data

    assert reads(secret).data == "s"


def test_what_is_made_in_the_body_is_no_hidden_dependency():
    @bundle
    def makes(x):
        return (node(x) + 1).data

    assert makes(1).data == 2 and makes(1).hidden_dependencies == set()


def test_lambdas_builtins_and_decorated_functions_can_be_bundles():
    @bundle
    @loud
    def inner(x):
        """Inner."""
        return x + "b"

    @bundle(name="twice")
    @loud
    @loud
    def twice(x):
        return x

    @loud
    @functools.wraps(inner)
    def outer(x):
        return inner(x)

    assert bundle(len)([1, 2]).data == 2
    assert bundle(lambda x: x + 1)(1).data == 2
    assert inner("a").data == "AB" and (inner("a").op, inner("a").doc) == ("inner", "Inner.")
    assert twice("a").data == "A"
    assert outer("a").op == "upper" and outer("a").inputs["x"].op == "inner"


@pytest.mark.parametrize("thing", [5, functools.partial(int, base=2), None])
def test_what_has_no_name_cannot_be_a_bundle(thing):
    with pytest.raises(TypeError, match="a function with a name"):
        bundle()(thing)


def test_recursion_through_a_bundle_gives_plain_results():
    @bundle
    def fib(n):
        return n if n < 2 else fib(n - 1).data + fib(n - 2).data

    assert fib(10).data == 55


def test_recursive_calls_run_plain_on_demand_and_if_trainable():
    seen: list[type] = []

    def fib(n):
        found = n if n < 2 else called(n - 1) + called(n - 2)
        seen.append(type(found))
        return found

    called = bundle(overwrite_python_recursion=True)(fib)
    made = called(6)
    called = bundle(fib)
    called(3)

    assert made.data == 8 and type(made) is MessageNode
    assert set(seen[:25]) == {int} and MessageNode in seen[25:]


@bundle
async def later(x, times=2):
    await asyncio.sleep(0)
    return x * times


@bundle
async def several(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i


@bundle
def counted(n):
    yield from range(n)


def test_async_functions_and_generators_are_one_operation():
    three = node(3)

    for made in (asyncio.run(later(three)), asyncio.run(several(three)), counted(three)):
        assert type(made) is MessageNode and next(iter(made.inputs.values())) is three
    assert asyncio.run(later(three)).data == 6
    assert asyncio.run(several(three)).data == counted(three).data == [0, 1, 2]


def test_async_functions_and_generators_fail_as_others_do():
    secret = node("s")

    @bundle
    async def hides(x):
        return secret.data

    @bundle
    async def fails(x):
        raise ValueError("late")

    @bundle
    def stops(n):
        yield 1
        raise ValueError("late")

    for run in (lambda: asyncio.run(fails(1)), lambda: stops(1)):
        with pytest.raises(ExecutionError) as caught:
            run()
        assert caught.value.exception_node.data == "(ValueError) late"
        assert 'raise ValueError("late")  # <---' in caught.value.exception_node.comment
    with pytest.raises(TraceMissingInputsError):
        asyncio.run(hides(1))


def test_nodes_are_taken_out_of_any_container():
    one = node(1)

    assert to_data([one, {"a": (one, {2: one})}, "x"]) == [1, {"a": (1, {2: 1})}, "x"]
    assert to_data(node([one])) == [1]
    assert to_data({one: 2}) == {1: 2}
