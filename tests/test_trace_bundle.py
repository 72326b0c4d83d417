"""@bundle: one traced operation, failing lines, code as a parameter, hidden dependencies."""

import copy
import functools
import pickle

import pytest

from harness.trace import (
    ExecutionError,
    MissingCodeRunner,
    Module,
    Parameter,
    TraceMissingInputsError,
    bundle,
    node,
    use_code_runner,
)
from harness.trace import bundle as alias


@bundle
def add_one(x):
    """Add one."""
    return x + 1


@bundle(description="Joins.", name="glue")
def join(first, *rest, sep=" ", **more):
    return sep.join([first, *rest, *more.values()])


@bundle(trainable=True, constraint="Use no loops.")
def double(x: int, times: int = 2) -> int:
    """Multiply."""
    # a comment inside
    return x * times


# fmt: off
@alias(trainable=True,
       description=") a bracket")
def spread(
    x,
): return x
# fmt: on


@bundle()
def fails(x):
    half = x / 2
    if half < 100:
        raise ValueError
    return half


class Solver(Module):
    @bundle(trainable=True)
    def solve(self, question, *, hint="none"):
        """Solve it."""
        return f"{question} {hint}"

    @bundle(description="One.", name="step")
    def first(self):
        return "a"

    @bundle(description="Two.", name="step")
    def second(self):
        return "b"


class Child(Solver):
    @bundle()
    def first(self):
        return super().first().data + "!"


def run_here(source, name, args, kwargs):
    """Stand in for the sandbox; the sources below are this file's own."""
    space: dict[str, object] = {}
    exec(source, space)
    return space[name](*args, **kwargs)  # pyright: ignore[reportCallIssue]


def test_a_function_is_one_operation_with_its_arguments_as_inputs():
    one = node(1)

    made = add_one(one)

    assert (made.data, made.op, made.description) == (2, "add_one", "Add one.")
    assert dict(made.inputs) == {"x": one} and made.inputs["x"] is one
    assert add_one(x=4).data == 5
    assert add_one.__name__ == "add_one"


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
    assert (made.op, made.description) == ("glue", "Joins.")


def test_arguments_that_do_not_fit_are_a_type_error():
    with pytest.raises(TypeError, match=r"add_one\(\): too many positional arguments"):
        add_one(1, 2)


def test_a_body_is_not_traced_and_a_node_it_returns_is_unwrapped():
    @bundle
    def outer(x):
        return [add_one(x), node(x) * 2]

    made = outer(3)

    assert made.data == [4, 6]
    assert set(made.inputs) == {"x"}


def test_an_error_without_a_message_marks_its_line():
    with pytest.raises(ExecutionError) as caught:
        fails(node(4))

    failed = caught.value.exception_node
    assert failed.data == failed.create_feedback() == "(ValueError)"
    assert failed.create_feedback("full") == (
        "@bundle()\n"
        "def fails(x):\n"
        "    half = x / 2\n"
        "    if half < 100:\n"
        "        raise ValueError  # <--- (ValueError)\n"
        "    return half"
    )
    assert failed.inputs["x"].data == 4
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_error_of_an_inner_operation_keeps_its_own_text():
    @bundle
    def outer(x):
        return fails(x).data

    with pytest.raises(ExecutionError) as caught:
        outer(node(1))

    assert caught.value.exception_node.op == "outer"
    assert caught.value.exception_node.data == "(ValueError)"
    assert "fails(x).data  # <--- (ValueError)" in caught.value.exception_node.comment


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

    @bundle(allow_external_dependencies=True)
    def may(x):
        return x + secret.data

    @bundle
    def around(x):
        return may(x)

    for function in (hides, returns_it, calls, around):
        with pytest.raises(TraceMissingInputsError, match="pass them as arguments"):
            function("a")
    assert may("a").data == "as"


def test_reading_an_own_argument_is_no_hidden_dependency():
    secret = node("s")

    @bundle
    def reads(x):
        return secret.data

    assert reads(secret).data == "s"


def test_lambdas_builtins_async_and_generators():
    assert bundle(len)([1, 2]).data == 2
    assert bundle(lambda x: x + 1)(1).data == 2
    with pytest.raises(TypeError, match="cannot be trainable"):
        bundle(trainable=True)(len)

    async def later(x):
        return x

    def several(x):
        yield x

    for function in (later, several):
        with pytest.raises(TypeError, match="async or a generator"):
            bundle(function)


def test_trainable_code_is_an_input_and_the_functions_own_source():
    made = double(node(4))

    assert made.data == 8
    assert isinstance(made.inputs["__code"], Parameter)
    assert double.parameter is made.inputs["__code"]
    assert double.parameter.kind == "code"
    assert double.parameter.data == (
        "def double(x: int, times: int = 2) -> int:\n"
        '    """Multiply."""\n'
        "    # a comment inside\n"
        "    return x * times\n"
    )
    assert "\ndef double(x: int, times: int=2) -> int:\n" in double.parameter.constraint
    assert double.parameter.constraint.endswith("\nUse no loops.")
    assert spread.parameter is not None
    assert spread.parameter.data == "def spread(\n    x,\n): return x\n"


def test_replaced_code_goes_to_the_runner_and_never_runs_here():
    mine = copy.deepcopy(double)
    code = (
        "import math\ndef pre(x):\n    return x * 100\ndef double(x, times):\n    return pre(x)\n"
    )
    seen: list[object] = []

    def runner(source, name, args, kwargs):
        seen.append((source, name, list(args), dict(kwargs)))
        return 7

    assert mine.parameter is not None
    mine.parameter.set(code)

    with pytest.raises(MissingCodeRunner, match="use_code_runner"):
        mine(node(1))
    with use_code_runner(runner):
        made = mine(node(1))

    assert seen == [(code, "double", [1, 2], {})]
    assert made.data == 7 and made.inputs["__code"] is mine.parameter
    assert double(3).data == 6
    with use_code_runner(run_here):
        assert mine(2).data == 200


def test_an_error_of_replaced_code_shows_that_code():
    mine = copy.deepcopy(double)
    assert mine.parameter is not None
    mine.parameter.set("def double(x, times):\n    return x / 0")

    with use_code_runner(run_here), pytest.raises(ExecutionError) as caught:
        mine(1)

    assert caught.value.exception_node.comment == (
        "def double(x, times):\n    return x / 0\n# <--- (ZeroDivisionError) division by zero"
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (5, "must be a text, not int"),
        ("def double(x, times:\n", "does not parse"),
        ("def double(x, times): return '\0'", "does not parse"),
        ("x = 1", "must define `double` once at top level; it defines there: nothing"),
        ("def triple(x, times): pass", "it defines there: triple"),
        ("if True:\n    def double(x, times): pass", "it defines there: nothing"),
        ("def double(x, times): pass\ndef double(x, times): pass", "once at top level"),
        ("class double: pass", "must be a plain `def`"),
        ("async def double(x, times): pass", "must be a plain `def`"),
        ("def double(times, x): pass", r"parameters \(x, times\); it has \(times, x\)"),
        ("def double(x): pass", r"it has \(x\)"),
        ("def double(x, times, more): pass", r"it has \(x, times, more\)"),
        ("def double(x, *times): pass", r"it has \(x, \*times\)"),
    ],
)
def test_code_that_does_not_keep_the_rule_is_refused_with_the_reason(code, reason):
    assert double.parameter is not None
    before = double.parameter.data

    with pytest.raises(ValueError, match=reason):
        double.parameter.set(code)

    assert double.parameter.data == before


def test_helpers_imports_and_other_annotations_are_allowed():
    assert double.parameter is not None

    for code in (
        "import re\nLIMIT = 3\ndef f(x):\n    return x\ndef double(x, times):\n    return f(x)",
        "def double(x: float, times: int = 5) -> float:\n    return x",
    ):
        assert double.parameter.refusal(code) is None


def test_methods_have_one_code_parameter_per_instance():
    one, other = Solver(), Solver()
    rule = one.solve.parameter

    assert isinstance(rule, Parameter) and rule is one.solve.parameter
    assert rule is not other.solve.parameter
    assert "self is None when this code runs" in rule.constraint
    rule.set("def solve(self, question, *, hint):\n    return question.upper()")

    with use_code_runner(run_here):
        assert one.solve("a", hint="b").data == "A"
    rule.set("def solve(self, question, *, hint):\n    return repr(self)")
    with use_code_runner(run_here):
        assert one.solve("a").data == "None"
    assert other.solve("a", hint="b").data == "a b"
    made = other.solve(node("a"))
    assert list(made.inputs) == ["question", "hint", "__code"]
    assert Solver.solve(other, "a").inputs["__code"] is other.solve.parameter


def test_a_function_put_into_a_class_stays_a_function():
    class Holder:
        tool = add_one

    assert add_one(1).data == 2
    assert Holder.tool(1).data == 2


def test_what_has_no_name_or_nowhere_to_keep_its_code_says_so():
    class Slotted:
        __slots__ = ()
        solve = Solver.solve

    with pytest.raises(TypeError, match="without __slots__"):
        Slotted().solve("a")
    for thing in (5, functools.partial(int, base=2)):
        with pytest.raises(TypeError, match="a function with a name"):
            bundle(thing)


def test_methods_of_one_name_and_overridden_methods_stay_apart():
    child = Child()

    assert (Solver().first().data, Solver().second().data) == ("a", "b")
    assert child.first().data == "a!"


def test_a_copied_instance_runs_its_own_methods():
    class Counter:
        def __init__(self):
            self.v = 1

        @bundle
        def get(self):
            return self.v

    one = Counter()
    one.get()
    other = copy.copy(one)
    other.v = 2

    assert (one.get().data, other.get().data) == (1, 2)


def test_recursion_through_a_bundle_gives_plain_results():
    @bundle
    def fib(n):
        return n if n < 2 else fib(n - 1).data + fib(n - 2).data

    assert fib(10).data == 55


def test_a_pickled_bundle_keeps_its_code():
    mine = copy.deepcopy(double)
    assert mine.parameter is not None
    mine.parameter.set("def double(x, times):\n    return 0\n")

    back = pickle.loads(pickle.dumps(mine))

    assert back.parameter.data == mine.parameter.data
    assert pickle.loads(pickle.dumps(add_one)) is add_one
