"""The source of a bundle as a parameter, and what runs when it was replaced."""

import asyncio
import copy
import pickle
import sys

import pytest

from harness.trace import (
    CodeRunner,
    ExecutionError,
    MissingCodeRunner,
    Module,
    Parameter,
    Signature,
    TraceMissingInputsError,
    bundle,
    node,
    trace_of,
    use_code_runner,
)
from harness.trace import bundle as alias


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


@bundle(trainable=True)
async def later(x):
    return x


@bundle
def add_one(x):
    return x + 1


def run_here(source, name, args, kwargs):
    """Stand in for the sandbox; the sources below are this file's own."""
    space: dict[str, object] = {}
    exec(source, space)
    return space[name](*args, **kwargs)  # pyright: ignore[reportCallIssue]


def replaced(code):
    """Return a copy of `double` with other code."""
    mine = copy.deepcopy(double)
    assert mine.parameter is not None
    mine.parameter.set(code)
    return mine


def test_trainable_code_is_an_input_and_the_functions_own_source():
    made = double(node(4))

    assert made.data == 8 and list(made.inputs) == ["x", "times", "__code"]
    assert isinstance(made.inputs["__code"], Parameter)
    assert double.parameter is made.inputs["__code"]
    assert double.parameter.kind == "code" and double.trainable
    assert double.parameters() == [double.parameter] and add_one.parameters() == []
    assert not add_one.trainable
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


def test_the_facts_about_a_function_start_below_its_decorator():
    facts = double.info

    assert facts["source"].startswith("def double(") and facts["fun_name"] == "double"
    assert facts["file"] == __file__ and facts["doc"] == "Multiply."
    line = facts["line_number"]
    with open(__file__, encoding="utf-8") as file:
        assert file.read().splitlines()[line - 1].startswith("def double(")


def test_replaced_code_goes_to_the_runner_and_never_runs_here():
    code = (
        "import math\ndef pre(x):\n    return x * 100\ndef double(x, times):\n    return pre(x)\n"
    )
    seen: list[object] = []
    mine = replaced(code)

    def runner(source, name, args, kwargs):
        seen.append((source, name, list(args), dict(kwargs)))
        return 7

    with use_code_runner(runner):
        made = mine(node(1))

    assert seen == [(code, "double", [1, 2], {})]
    assert made.data == 7 and made.inputs["__code"] is mine.parameter
    assert double(3).data == 6
    with use_code_runner(run_here):
        assert mine(2).data == 200


def test_without_a_runner_the_sandbox_of_the_library_runs_replaced_code():
    mine = replaced("import math\ndef double(x, times):\n    return [x + times, math.floor(1.5)]\n")

    assert mine(node(1)).data == [3, 1]


def test_without_runner_and_sandbox_replaced_code_is_a_usage_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "harness.sandbox", None)  # as if it were not installed

    with pytest.raises(MissingCodeRunner, match=r"with use_code_runner\(runner\)"):
        replaced("def double(x, times):\n    return 1\n")(1)
    assert double(1).data == 2


def test_a_runner_holds_within_its_block_only():
    mine = replaced("def double(x, times):\n    return 1\n")
    one: CodeRunner = lambda *args: "one"  # noqa: E731  a runner is any callable
    two: CodeRunner = lambda *args: "two"  # noqa: E731

    with use_code_runner(one):
        with use_code_runner(two):
            assert mine(1).data == "two"
        assert mine(1).data == "one"
    assert mine(1).data == 1


def test_an_error_of_replaced_code_shows_that_code():
    mine = replaced("def double(x, times):\n    return x / 0")

    with use_code_runner(run_here), pytest.raises(ExecutionError) as caught:
        mine(1)

    assert caught.value.exception_node.comment == (
        "def double(x, times):\n    return x / 0\n# <--- (ZeroDivisionError) division by zero"
    )


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("def double(x:\n", "SyntaxError", "does not parse"),
        ("def double(x): return x", "TypeError", r"must have the parameters (x, times)"),
        ("x = 1", "TypeError", "must define `double` once at top level"),
    ],
)
def test_code_set_past_its_rule_fails_when_it_is_called(code, error, words):
    mine = copy.deepcopy(double)
    assert mine.parameter is not None
    mine.parameter._data = code

    with pytest.raises(ExecutionError) as caught:
        mine(1)

    failed = caught.value.exception_node
    assert failed.data.startswith(f"({error}) ") and words in failed.data
    assert failed.inputs["__code"] is mine.parameter
    assert failed.comment.startswith(code)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (5, "must be a text, not int"),
        ("def double(x, times:\n", "does not parse"),
        ("def double(x, times): return '\0'", "does not parse"),
        ("x = 1", "must define `double` once at top level; it defines there: nothing"),
        ("class double: pass", "must be a plain `def`"),
        ("def double(times, x): pass", r"parameters \(x, times\); it has \(times, x\)"),
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
    assert Signature.of(double.fun).refusal("def double(x, times): pass") is None


def test_what_has_no_source_cannot_be_trainable():
    for function in (len, eval("lambda x: x")):
        with pytest.raises(TypeError, match="cannot be trainable"):
            bundle(trainable=True)(function)


def test_a_trainable_async_function_has_its_code_as_input():
    made = asyncio.run(later(1))
    mine = copy.deepcopy(later)
    assert mine.parameter is not None
    mine.parameter.set("async def later(x):\n    return x + 5\n")

    assert made.data == 1 and list(made.inputs) == ["x", "__code"]
    assert mine.parameter.refusal("def later(x): return x") is not None
    with use_code_runner(run_here):
        assert asyncio.run(mine(1)).data == 6


class Nested(Module):
    @bundle(trainable=True)
    def step(self, x):
        return x + 1

    @bundle
    def run(self, x):
        return self.step(x).data * 2

    @bundle
    def fails(self, x):
        return 1 / (self.step(x).data - x - 1)


def test_code_called_within_another_body_is_a_hidden_dependency():
    program = Nested()

    made = program.run(node(3))
    with pytest.raises(ExecutionError) as caught:
        program.fails(1)

    assert made.data == 8
    assert list(made.inputs) == ["self", "x"]
    assert made.hidden_dependencies == {program.step.parameter}
    assert caught.value.exception_node.hidden_dependencies == {program.step.parameter}
    trace = trace_of(made, program.named_parameters())
    assert trace.node("run1").inputs == (("x", "x1"), ("__code_0", "step"))


def test_any_other_node_within_a_body_is_refused_all_the_same():
    secret = Parameter("s")

    @bundle
    def around(x):
        return double(secret).data

    with pytest.raises(TraceMissingInputsError, match="around reads"):
        around(1)


def test_a_bundle_given_as_an_argument_brings_its_code_along():
    @bundle
    def use(tool, x):
        return tool(x).data

    made = use(double, 3)

    assert made.data == 6
    assert made.inputs["tool"].inputs == {"__code": double.parameter}
    assert made.hidden_dependencies == {double.parameter}


def test_a_pickled_or_copied_bundle_keeps_its_code():
    mine = replaced("def double(x, times):\n    return 0\n")

    back = pickle.loads(pickle.dumps(mine))

    assert back.parameter.data == mine.parameter.data and back.parameter is not mine.parameter
    assert pickle.loads(pickle.dumps(add_one)) is add_one
    assert copy.deepcopy(add_one) is add_one
    assert copy.copy(mine).parameter is mine.parameter
    detached = double.detach()
    assert detached.parameter is not double.parameter and detached(2).data == 4


def test_code_is_saved_and_loaded_as_json(tmp_path):
    path = tmp_path / "new" / "code.json"
    mine = replaced("def double(x, times):\n    return 0\n")
    other = copy.deepcopy(double)

    mine.save(path)
    other.load(path)

    assert other.parameter is not None and mine.parameter is not None
    assert other.parameter.data == mine.parameter.data
    path.write_text('{"__code": "import os"}')
    with pytest.raises(ValueError, match="must define `double`"):
        other.load(path)
    path.write_text("{}")
    with pytest.raises((KeyError, ValueError), match="__code"):
        other.load(path)
    assert other.parameter.data == mine.parameter.data


def test_replaced_generators_and_async_functions_run_to_their_end():
    @bundle(trainable=True)
    def counts(n):
        yield n

    @bundle(trainable=True)
    async def later(n):
        return n

    @bundle(trainable=True)
    async def listed(n):
        yield n

    assert counts.parameter and later.parameter and listed.parameter
    counts.parameter.set("def counts(n):\n    yield n\n    yield n + 1\n")
    later.parameter.set("async def later(n):\n    return n + 2\n")
    listed.parameter.set("async def listed(n):\n    yield n + 3\n")

    assert counts(3).data == [3, 4]
    assert asyncio.run(later(3)).data == 5
    assert asyncio.run(listed(3)).data == [6]
