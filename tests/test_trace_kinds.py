"""Node and Parameter: values, comparison, copies, refusals, the context they are made in."""

import copy
import gc
import operator
import pickle
import threading
import weakref

import pytest

from harness.trace import (
    ExecutionError,
    Node,
    Parameter,
    apply,
    bundle,
    make_dict,
    make_list,
    make_tuple,
    node,
    stop_tracing,
)


def test_equality_goes_by_value_and_the_hash_by_identity():
    one, other = node(1), node(1)

    assert one == other and one == 1 and (one != other) is False
    assert one in [other]
    assert one not in {other}


def test_a_node_is_returned_as_it_is_and_a_trainable_one_is_new():
    source = node("a", name="source")

    assert node(source) is source
    parameter = node(source, trainable=True)
    assert isinstance(parameter, Parameter)
    assert parameter.data == "a" and parameter.name == "source"
    with pytest.warns(UserWarning, match="name 'b' is ignored"):
        node(source, name="b")


@pytest.mark.parametrize(
    ("value", "kind"),
    [("a", "text"), (1, "number"), (0.5, "number"), ([{"a": "b"}], "demos"), (True, "choice")],
)
def test_the_kind_of_a_parameter_follows_its_value(value, kind):
    parameter = node(value, trainable=True)

    assert isinstance(parameter, Parameter) and parameter.kind == kind


def test_a_text_made_of_a_node_is_an_error_and_not_a_lost_dependency():
    value = node("hello", trainable=True)

    for write in (
        lambda: f"{value}",
        lambda: str(value),
        lambda: str.format("{}", value),
        lambda: operator.mod("%s", value),
    ):
        with pytest.raises(TypeError, match=r"node\.format"):
            write()
    assert repr(value) == "<Parameter: 'hello'>"


def test_later_changes_of_a_list_do_not_change_what_was_recorded():
    words = ["a"]
    first = node(words)
    total = first + words
    words.append("b")

    assert first.data == ["a"]
    assert total.data == ["a", "a"]
    assert total.inputs["y"].data == ["a"]


def test_a_body_cannot_change_its_inputs_nor_its_recorded_result():
    demos = Parameter([{"q": "1"}], kind="demos")
    kept: list[object] = []

    @bundle
    def grow(items):
        items[0]["q"] = "2"
        items.append({"q": "3"})
        kept.append(items)
        return items

    grown = grow(demos)
    new = [{"q": "4"}]
    kept[0].clear()  # pyright: ignore[reportAttributeAccessIssue]

    assert demos.data == [{"q": "1"}]
    demos.set(new)
    new.clear()
    assert demos.data == [{"q": "4"}]
    assert grown.data == [{"q": "2"}, {"q": "3"}]


def test_a_list_that_holds_itself_is_no_endless_loop():
    ring: list[object] = []
    ring.append(ring)

    assert isinstance(node(ring).data, list)


@pytest.mark.parametrize(
    ("kind", "good", "bad", "reason"),
    [
        ("text", "b", 5, "must be a text, not int"),
        ("number", 2.5, "3", "must be a number, not str"),
        ("number", 3, True, "must be a number, not bool"),
        ("number", 3, float("nan"), "must be a finite number"),
        ("demos", [{"q": "2", "a": "3"}], "none", "demos must be a list, not str"),
        ("demos", [], ["x"], "demo 0 must be an object, not str"),
        ("demos", [], [{"q": "2"}], "demo 0 must have the fields q, a and no others"),
        ("choice", "b", 5, "must stay of type str, not int"),
    ],
)
def test_a_parameter_refuses_what_does_not_fit_its_kind(kind, good, bad, reason):
    start = {"number": 1, "demos": []}.get(kind, "a")
    parameter = Parameter(start, name="p", kind=kind, constraint="The rule.", fields=("q", "a"))

    parameter.set(good)

    assert parameter.data == good
    with pytest.raises(ValueError, match=reason) as caught:
        parameter.set(bad)
    assert str(caught.value).startswith("parameter p: ") and "The rule." in str(caught.value)
    assert parameter.data == good


def test_a_check_refuses_with_its_reason_also_the_first_value():
    def short(value: object) -> str | None:
        return None if len(str(value)) < 5 else "it is too long"

    parameter = Parameter("abc", check=short)

    assert parameter.refusal("abcdef") == "it is too long"
    with pytest.raises(ValueError, match="too long"):
        parameter.set("abcdef")
    with pytest.raises(ValueError, match="too long"):
        Parameter("abcdef", check=short)
    with pytest.raises(ValueError, match="allowed: text, demos"):
        Parameter("a", kind="prompt")  # pyright: ignore[reportArgumentType]


def test_nested_stop_tracing_ends_with_the_outermost():
    one = node(1)

    with stop_tracing():
        with stop_tracing():
            pass
        silent = one + 1
    loud = one + 1

    assert silent.data == 2 and silent.inputs == {}
    assert set(loud.inputs) == {"x", "y"}


def test_stop_tracing_ends_with_an_exception():
    with pytest.raises(KeyError), stop_tracing():
        raise KeyError

    assert (node(1) + 1).inputs


def test_threads_trace_independently_of_each_other():
    barrier = threading.Barrier(4)
    wrong: list[str] = []

    def work(stopped: bool) -> None:
        barrier.wait()
        for i in range(300):
            if stopped:
                with stop_tracing():
                    made = double(node(i))
            else:
                made = double(node(i))
            if made.data != 2 * i or bool(made.inputs) == stopped:
                wrong.append(f"{stopped} {i}")

    @bundle
    def double(x):
        return 2 * x

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_pickling_and_copying_keep_the_value_and_drop_the_history():
    parameter = Parameter([{"a": "1"}], name="p", kind="demos", constraint="c", fields=("a",))
    out = node(1)
    for _ in range(5000):
        out = out + 1

    for copied in (pickle.loads(pickle.dumps(out)), copy.deepcopy(out)):
        assert copied.data == 5001 and copied.inputs == {}
    for copied in (pickle.loads(pickle.dumps(parameter)), copy.deepcopy(parameter)):
        assert type(copied) is Parameter and copied is not parameter
        assert copied.data == parameter.data and copied.data is not parameter.data
        assert (copied.name, copied.kind, copied.fields) == ("p", "demos", ("a",))


def test_results_die_with_their_last_reference_and_not_with_the_parameter():
    parameter = Parameter("a")
    gc.collect()
    gc.disable()
    try:
        result = parameter + "b"
        gone = weakref.ref(result)
        del result

        assert gone() is None
    finally:
        gc.enable()


def test_nodes_within_lists_and_dicts_stay_inputs():
    one, two = node(1), node(2)

    made = apply("total", lambda items: sum(items), {"items": [one, two, 3]})

    assert made.data == 6
    assert made.inputs["items"].inputs["item_0"] is one
    assert make_list(one, 5).data == [1, 5]
    assert make_tuple(one, two).data == (1, 2)
    pair = make_dict({"a": one, 7: two}, b=[two])
    assert pair.data == {"a": 1, 7: 2, "b": [2]}
    assert pair.inputs["a"] is one and pair.inputs["item_1"] is two


def test_apply_records_names_and_description_and_chains_the_cause():
    made = apply("Predict", lambda question: question + "?", {"question": node("why")}, "Asks.")

    assert (made.op, made.description, made.data) == ("Predict", "Asks.", "why?")
    broken = ZeroDivisionError("no")

    def fail(question: object) -> object:
        raise broken

    with pytest.raises(ExecutionError) as caught:
        apply("Predict", fail, {"question": made})
    assert caught.value.__cause__ is broken
    assert caught.value.exception_node.data == "(ZeroDivisionError) no"
    assert caught.value.exception_node.inputs["question"] is made
    assert str(caught.value) == "Predict: (ZeroDivisionError) no"


def test_what_is_no_exception_passes_through_apply_and_bundles():
    class Spent(BaseException):
        pass

    def stop(x: object) -> object:
        raise Spent

    for call in (lambda: apply("stop", stop, {"x": 1}), lambda: bundle(stop)(1)):
        with pytest.raises(Spent):
            call()


def test_iteration_gives_traced_items():
    first, second = node([3, 4])
    key = next(iter(node({"a": 1})))

    assert (first.data, second.data, key.data) == (3, 4, "a")
    assert first.op == "getitem" and isinstance(first, Node)
    with pytest.raises(ExecutionError, match="not subscriptable"):
        _, _ = node(None)
