"""What goes wrong in Trace (trace-opt 0.1.3.8) in ordinary use, row by row, is right here."""

import copy
import inspect
import sys

import pytest

from harness.trace import (
    ExecutionError,
    Module,
    Parameter,
    SumPropagator,
    bundle,
    node,
    stop_tracing,
    use_code_runner,
)
from harness.trace.utils import sum_feedback


@bundle()
def add(x, y):
    return x + y


@bundle()
def same(x):
    return x


@bundle(trainable=True)
def trained(x):
    return x


def run_here(source, name, args, kwargs):
    """Stand in for the sandbox; the sources below are this file's own."""
    space: dict[str, object] = {}
    exec(source, space)
    return space[name](*args, **kwargs)  # pyright: ignore[reportCallIssue]


def said_to(parameter):
    return sum_feedback([parameter]).user_feedback


def test_1_a_node_used_twice_in_one_operation_gets_its_feedback_once():
    parameter = Parameter(3)
    once = parameter * 1

    for out, n_shown in (
        (once + once, 4),
        (add(parameter, parameter), 2),
        (parameter**parameter, 2),
    ):
        parameter.zero_feedback()
        out.backward("f")
        assert said_to(parameter) == "f"
        assert [len(graphs) for graphs in parameter.feedback.values()] == [1]
        assert len(sum_feedback([parameter]).graph) == n_shown


def test_2_abs_and_round_end():
    number = node(-1.5)

    assert abs(number).data == 1.5 and abs(number).inputs["x"] is number
    assert round(number).data == -2 and round(node(1.26), 1).data == 1.3


@pytest.mark.parametrize("error", [AssertionError, ValueError, AssertionError(), KeyError()])
def test_3_an_exception_without_arguments_is_a_failure_with_a_node(error):
    @bundle()
    def fails(x):
        raise error

    with pytest.raises(ExecutionError) as caught:
        fails(1)

    name = type(error).__name__ if isinstance(error, Exception) else error.__name__
    assert caught.value.exception_node.data == f"({name})"
    assert "raise error  # <---" in caught.value.exception_node.comment


def test_4_the_facts_about_a_call_are_those_of_that_call():
    first, second = same(1), same(2)

    assert [n.data for n in first.info["inputs"]["args"]] == [1]
    assert [n.data for n in second.info["inputs"]["args"]] == [2]
    assert (first.info["output"], second.info["output"]) == (1, 2)
    first.info["inputs"]["args"].clear()
    assert [n.data for n in first.info["inputs"]["args"]] == [1]


class Steps(Module):
    @bundle("[step] one")
    def a(self):
        return "a"

    @bundle("[step] two")
    def b(self):
        return "b"

    @bundle(trainable=True)
    def deep(self, n):
        return f"base {n}"


class MoreSteps(Steps):
    @bundle("[step] three")
    def a(self):
        return super().a().data + "!"

    @bundle(trainable=True)
    def deep(self, n):
        return super().deep(n).data + "!"


def test_5_methods_of_one_name_stay_apart_and_super_works():
    steps, more = Steps(), MoreSteps()

    assert (steps.a().data, steps.b().data, steps.a().data) == ("a", "b", "a")
    assert (more.a().data, more.b().data, more.deep(1).data) == ("a!", "b", "base 1!")
    assert (steps.a().op, steps.b().op, more.a().doc) == ("step", "step", "three")


def test_6_code_may_have_helper_functions_and_imports():
    mine = copy.deepcopy(trained)
    code = "import math\ndef pre(x):\n    return x * 100\ndef trained(x):\n    return pre(x) + 1\n"
    assert mine.parameter is not None

    for source in (code, code.replace("+ 1", "+ math.floor(1.5)")):
        mine.parameter.set(source)
        with use_code_runner(run_here):
            assert mine(1).data == 101


# fmt: off
@bundle(trainable=True)
def long_head(
    x,
    y=(1, 2),
): return [x, y]


_alias = bundle


@_alias(trainable=True, description="[odd] a ) bracket ( and\na line)",
        constraint="no )")
def behind_brackets(x):
    return x
# fmt: on


def test_7_the_source_of_a_function_is_read_whatever_its_head_looks_like():
    assert long_head.parameter is not None and behind_brackets.parameter is not None

    assert long_head.parameter.data == ("def long_head(\n    x,\n    y=(1, 2),\n): return [x, y]\n")
    assert behind_brackets.parameter.data == "def behind_brackets(x):\n    return x\n"
    assert long_head(1).data == [1, (1, 2)] and behind_brackets(1).op == "odd"


def test_8_recursion_runs_plain_and_leaves_no_tracer():
    n_nodes: list[object] = []

    @bundle(overwrite_python_recursion=True, catch_execution_error=False)
    def fib(n):
        if n == 13:
            raise ValueError
        found = n if n < 2 else fib(n - 1) + fib(n - 2)
        n_nodes.append(type(found) is not int)
        return found

    made = fib(12)
    with pytest.raises(ValueError):
        fib(13)

    assert made.data == 144 and list(made.inputs) == ["n"]
    assert len(n_nodes) == 465 and not any(n_nodes)
    assert fib(3).data == 2
    assert sys.gettrace() is None or "coverage" in sys.modules


def test_9_a_copy_does_not_drag_its_ancestors_along():
    out = node(0)
    for _ in range(5000):
        out = out + 1

    for copied in (out.detach(), copy.deepcopy(out), add(out, out).detach()):
        assert copied.inputs == {} and copied.data in (5000, 10_000)
    assert copy.deepcopy(same)(1).data == same.detach()(1).data == 1


def test_10_nested_stop_tracing_stays_stopped():
    with stop_tracing():
        with stop_tracing():
            pass
        made = node(1) + 1

    assert made.parents == [] and (node(1) + 1).parents != []


def test_11_an_f_string_keeps_value_and_dependency():
    prompt = Parameter("hello")

    made = node(f"{prompt}")

    assert made.data == "hello" and made.parents[0] is prompt


def test_12_the_sum_propagator_works():
    parameter = Parameter(1)

    (parameter + 1).backward("f", propagator=SumPropagator())

    assert list(parameter.feedback.values()) == [["f"]]


def test_13_the_methods_of_a_copy_run_on_the_copy():
    class Holder:
        v = 1

        @bundle()
        def get(self):
            return self.v

    one = Holder()
    assert one.get().data == 1
    other = copy.copy(one)
    other.v = 2

    assert (other.get().data, one.get().data) == (2, 1)
    assert other.get().inputs["self"].data is other


def test_14_parameters_in_lists_are_found_once_and_properties_do_not_run():
    class Program(Module):
        def __init__(self):
            self.layers = [Parameter("1"), Parameter("2")]
            self.table = {"k": Parameter("3")}
            self.w = Parameter("4")
            self.w2 = self.w

        @property
        def trap(self):
            raise RuntimeError

    program = Program()

    assert [p.data for p in program.parameters()] == ["1", "2", "3", "4"]
    assert list(program.named_parameters()) == ["layers.0", "layers.1", "table.k", "w"]


def test_15_what_was_recorded_does_not_change():
    words = [1]
    made, parameter = same(words), Parameter([1])

    @bundle()
    def grow(x):
        x.append(9)
        return x

    grown, popped = grow(parameter), parameter.pop()
    words.append(2)

    assert made.data == [1] and made.inputs["x"].data == [1]
    assert parameter.data == [1] and grown.data == [1, 9]
    assert popped.data == 1 and popped.inputs["x"].data == [1]


def test_16_outputs_with_different_feedback_go_back_in_one_step():
    parameter = Parameter(1)
    first, second = parameter + 1, parameter + 2

    first.backward("f1")
    second.backward("f2")
    first.backward([1.0, 1.0])

    whole = sum_feedback([parameter])
    assert whole.user_feedback == ["f1", "f2", [1.0, 1.0]]
    assert [n.data for _, n in whole.graph].count(1) == 2
    assert {first, second} <= {n for _, n in whole.graph}


def test_there_is_a_test_for_every_row_of_the_table():
    rows = [name for name, f in globals().items() if name[5:6].isdigit() and inspect.isfunction(f)]

    assert [int(name.split("_")[1]) for name in rows] == list(range(1, 17))
