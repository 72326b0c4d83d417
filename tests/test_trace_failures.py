"""What people read about a failed operation: the user's own line first, the source marked."""

import copy
import json

import pytest

from harness.trace import ExecutionError, Module, apply, bundle, node, operators, stop_tracing


@bundle()
def fails(x):
    half = x / 2
    if half < 100:
        raise ValueError
    return half


@bundle
def checks(x):
    assert x > 100
    return x


@bundle
def around(x):
    return fails(x).data


@bundle
def rethrows(x):
    try:
        return 1 / x
    except ZeroDivisionError as error:
        raise KeyError("second") from error


@bundle(trainable=True)
def learned(x):
    return x


@bundle
def reads(text):
    return json.loads(text)


def helper(x):
    return x[5]


@bundle
def calls_helper(x):
    return helper(x)


def failure_of(call, *args):
    with pytest.raises(ExecutionError) as caught:
        call(*args)
    return caught.value


def own_line(error):
    """Return the second and third line of the report: where, and what stands there."""
    where, what = str(error).splitlines()[1:3]
    return where.strip().partition(", line")[0], what.strip()


def test_an_error_without_a_message_marks_its_line():
    error = failure_of(fails, node(4))

    failed = error.exception_node
    assert failed.data == failed.create_feedback() == "(ValueError)"
    assert failed.create_feedback("full") == (
        "@bundle()\n"
        "def fails(x):\n"
        "    half = x / 2\n"
        "    if half < 100:\n"
        "        raise ValueError  # <--- (ValueError)\n"
        "    return half"
    )
    assert failed.inputs["x"].data == 4 and failed.error_type == "ValueError"
    assert isinstance(error.__cause__, ValueError)
    assert failed.info["error_comment"] == failed.comment
    assert failed.info["traceback"] == str(error)


def test_the_report_starts_with_the_operation_and_the_users_own_line():
    lines = str(failure_of(fails, 4)).splitlines()

    assert lines[0] == "fails: (ValueError)"
    assert lines[1].startswith(f'  File "{__file__}", line ') and lines[1].endswith(", in fails")
    assert lines[2] == "    raise ValueError"
    assert lines[3] == "@bundle()"
    assert lines[7] == "        raise ValueError  # <--- (ValueError)"


def test_an_assertion_is_an_error_like_any_other():
    error = failure_of(checks, 1)

    assert error.exception_node.error_type == "AssertionError"
    assert own_line(error) == (f'File "{__file__}"', "assert x > 100")


def test_an_error_of_an_inner_operation_keeps_its_own_text_and_line():
    error = failure_of(around, node(1))

    failed = error.exception_node
    assert failed.op == "around" and failed.data == "(ValueError)"
    assert "fails(x).data  # <--- (ValueError)" in failed.comment
    assert own_line(error) == (f'File "{__file__}"', "raise ValueError")
    assert isinstance(error.__cause__, ExecutionError)


def test_an_error_raised_from_another_one_is_the_last_one():
    error = failure_of(rethrows, 0)

    assert error.exception_node.data == "(KeyError) 'second'"
    assert 'raise KeyError("second") from error  # <---' in error.exception_node.comment
    assert isinstance(error.__cause__, KeyError)
    assert isinstance(error.__cause__.__cause__, ZeroDivisionError)


def test_of_an_error_within_a_library_the_own_line_is_shown():
    error = failure_of(reads, "{")

    assert error.exception_node.error_type == "JSONDecodeError"
    assert own_line(error) == (f'File "{__file__}"', "return json.loads(text)")
    assert "return json.loads(text)  # <---" in error.exception_node.comment


def test_the_line_of_a_helper_is_shown_below_the_source():
    error = failure_of(calls_helper, [1])

    assert own_line(error) == (f'File "{__file__}"', "return x[5]")
    assert error.exception_node.comment.endswith(
        "    return helper(x)  # <--- (IndexError) list index out of range\n"
        "# in helper: return x[5]  # <--- (IndexError) list index out of range"
    )


def test_of_a_failed_operator_the_line_that_called_it_is_shown():
    numbers = node([1])

    error = failure_of(lambda: numbers[7])

    assert str(error).splitlines()[0] == "getitem: (IndexError) list index out of range"
    assert own_line(error) == (f'File "{__file__}"', "error = failure_of(lambda: numbers[7])")
    assert "harness/trace" not in str(error)


def test_the_traceback_of_the_cause_starts_in_the_users_own_code():
    for call in (fails, lambda x: apply("helper", helper, {"x": [x]})):
        cause = failure_of(call, 1).__cause__

        assert cause is not None and cause.__traceback__ is not None
        assert cause.__traceback__.tb_frame.f_code.co_filename == __file__
        assert cause.__traceback__.tb_next is None


def test_an_error_whose_text_fails_has_a_text_all_the_same():
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError

    @bundle
    def odd(x):
        raise Odd

    assert failure_of(odd, 1).exception_node.data == "(Odd) message lost: RuntimeError"


def test_several_errors_at_once_are_one_failure():
    @bundle
    def group(x):
        raise ExceptionGroup("both", [ValueError("a"), TypeError("b")])

    error = failure_of(group, 1)

    assert error.exception_node.data == "(ExceptionGroup) both (2 sub-exceptions)"


def test_an_error_in_code_without_a_source_has_no_marked_line():
    space: dict[str, object] = {}
    exec("def lost(x):\n    return x / 0", space)

    error = failure_of(bundle(space["lost"]), 1)  # pyright: ignore[reportCallIssue, reportArgumentType]  # a function

    assert error.exception_node.data == "(ZeroDivisionError) division by zero"
    assert error.exception_node.comment == "(ZeroDivisionError) division by zero"
    assert str(error).startswith("lost: (ZeroDivisionError) division by zero\n")


def test_a_method_fails_with_its_own_source_marked():
    class Program(Module):
        @bundle
        def step(self, x):
            return x + self.missing

    error = failure_of(Program().step, 1)

    assert error.exception_node.error_type == "AttributeError"
    assert "\n    return x + self.missing  # <---" in error.exception_node.comment
    assert list(error.exception_node.inputs) == ["self", "x"]


def test_of_replaced_code_no_line_of_this_library_is_shown():
    mine = copy.deepcopy(learned)
    assert mine.parameter is not None
    mine.parameter.set("def learned(x):\n    raise ValueError('bad')\n")

    error = failure_of(mine, 1)

    assert "harness" not in str(error)
    assert "raise ValueError('bad')" in str(error) and "ValueError: bad" in str(error)


def test_what_was_before_is_restored_after_a_failure():
    with stop_tracing():
        failure_of(fails, 1)
        assert (node(1) + 1).inputs == {}

    assert (node(1) + 1).inputs and operators.add(1, 2).inputs
