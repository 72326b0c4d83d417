"""Node: values, comparison, names, words, copies, the graph as seen from a node."""

import copy
import gc
import pickle
import weakref

import pytest

from harness.trace import (
    ExceptionNode,
    ExecutionError,
    MessageNode,
    Node,
    Parameter,
    bundle,
    node,
)


def test_equality_goes_by_value_and_the_hash_by_identity():
    one, other = node(1), node(1)

    assert one == other and one == 1 and (one != other) is False
    assert one in [other]
    assert one not in {other}
    assert len({one, other}) == 2


def test_truth_length_and_membership_are_plain():
    words = node(["a"])

    assert words and not node([])
    assert len(words) == 1
    assert "a" in words and node("a") in words


def test_a_node_stands_for_its_number_where_python_asks_for_one():
    two = node(2)

    assert int(node("7")) == 7
    assert float(two) == 2.0
    assert complex(two) == 2
    assert ["a", "b", "c"][two] == "c"
    assert list(range(two)) == [0, 1]


def test_later_changes_of_a_list_do_not_change_what_was_recorded():
    words = ["a"]
    first = node(words)
    total = first + words
    words.append("b")

    assert first.data == ["a"]
    assert total.data == ["a", "a"]
    assert total.inputs["y"].data == ["a"]


def test_a_list_that_holds_itself_is_no_endless_loop():
    ring: list[object] = []
    ring.append(ring)

    kept = node(ring).data

    assert kept is not ring
    assert kept[0] is kept


def test_an_item_or_attribute_cannot_be_set_and_the_message_tells_how_to():
    numbers = node([1, 2])

    with pytest.raises(TypeError, match=r"write x = x\.setitem\(key, value\)"):
        numbers[0] = 5
    with pytest.raises(TypeError, match=r"write x = x\.delitem\(key\)"):
        del numbers[0]
    with pytest.raises(AttributeError):
        numbers.foo = 1
    assert numbers.data == [1, 2]
    assert numbers.setitem(0, 5).data == [5, 2]
    assert numbers.delitem(0).data == [2]


def test_the_repr_tells_kind_name_origin_and_a_short_value():
    one = node(1, name="one")
    made = one + 2
    parameter = Parameter("a", name="prompt")

    assert repr(one) == f"<Node {one.name}: 1>"
    assert repr(made) == f"<MessageNode {made.name} = add(x, y): 3>"
    assert repr(parameter) == f"<ParameterNode {parameter.name}: 'a'>"
    assert (made.name, parameter.name) == (f"add:{made.id}", f"prompt:{parameter.id}")
    assert len(repr(node("x" * 10_000))) < 80


@pytest.mark.parametrize(
    ("label", "start"),
    [("x y!", "x_y_"), ("1a", "a"), ("__code", "__code"), (None, "int"), ("é", "é")],
)
def test_a_name_is_an_identifier_in_python_and_no_two_are_the_same(label, start):
    first, second = node(1, name=label), node(1, name=label)

    assert first.py_name.isidentifier() and first.py_name.startswith(start)
    assert first.name != second.name and first.py_name != second.py_name


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda: node(1), "[Node] This is a node in a computational graph."),
        (lambda: node(1, description="x"), "[Node] x"),
        (lambda: node(1, description="[own] x"), "[own] x"),
        (
            lambda: node(1, trainable=True),
            "[ParameterNode] This is a ParameterNode in a computational graph.",
        ),
        (lambda: node(1, trainable=True, description="x"), "[ParameterNode] x"),
        (lambda: node(1) + 2, "[add] x + y."),
    ],
)
def test_a_description_starts_with_a_tag(made, words):
    assert made().description == words


def test_a_node_tells_its_inputs_parents_level_and_type():
    one = node(1)
    two = one + one
    three = two * one

    assert (one.level, two.level, three.level) == (0, 1, 2)
    assert list(three.inputs) == ["x", "y"] and three.inputs["x"] is two
    assert [p is q for p, q in zip(three.parents, (two, one), strict=True)] == [True, True]
    assert len(two.parents) == 1
    assert one.is_root and not two.is_root
    assert two.type is int
    assert one.op is None and two.op == "add"


def test_children_are_the_living_nodes_made_from_this_one():
    one = node(1)
    two = one + 1
    three = two * one

    assert [child is n for child, n in zip(one.children, (two, three), strict=True)] == [True] * 2
    assert three.is_leaf and not one.is_leaf
    del three
    assert [child is two for child in one.children] == [True]
    assert two.is_leaf


def test_a_clone_is_traced_and_a_detached_copy_has_no_history():
    made = node([1]) + node([2])

    cloned, detached = made.clone(), made.detach()

    assert cloned.inputs["x"] is made and cloned.op == "clone"
    assert detached.inputs == {} and detached.parents == [] and detached.level == 0
    assert cloned.data == detached.data == [1, 2]
    assert cloned.data is not made.data and detached.data is not made.data
    assert type(detached) is MessageNode


def test_a_message_node_can_be_made_by_hand():
    one = node(1)

    by_name = MessageNode(5, inputs={"a": one}, description="[five] Gives 5.")
    by_place = MessageNode(5, inputs=[one, one], name="five")

    assert (by_name.op, by_name.inputs) == ("five", {"a": one})
    assert (by_name.description, by_name.doc) == ("[five] Gives 5.", "Gives 5.")
    assert list(by_place.inputs) == ["arg_0", "arg_1"]
    assert by_place.name.startswith("five:")


def test_an_exception_node_can_be_made_by_hand():
    failed = ExceptionNode(ValueError("no"), inputs={"x": node(1)})

    assert failed.data == "(ValueError) no" and failed.error_type == "ValueError"
    assert failed.create_feedback() == failed.create_feedback("full") == "(ValueError) no"
    assert str(ExecutionError(failed)) == "exception: (ValueError) no"


def test_pickling_and_copying_keep_the_value_and_drop_the_history():
    parameter = Parameter([{"a": "1"}], name="p", kind="demos", constraint="c", fields=("a",))
    out = node(1)
    for _ in range(5000):
        out = out + 1

    for copied in (pickle.loads(pickle.dumps(out)), copy.deepcopy(out), copy.copy(out)):
        assert copied.data == 5001 and copied.inputs == {}
    for copied in (pickle.loads(pickle.dumps(parameter)), copy.deepcopy(parameter)):
        assert type(copied) is type(parameter) and copied is not parameter
        assert copied.data == parameter.data and copied.data is not parameter.data
        assert (copied.label, copied.kind, copied.fields) == ("p", "demos", ("a",))
        assert copied.constraint == "c" and copied.refusal("x") == parameter.refusal("x") != ""


def test_a_failed_operation_can_be_pickled_with_its_report():
    @bundle
    def fails(x):
        raise ValueError("no")

    with pytest.raises(ExecutionError) as caught:
        fails(1)
    back = pickle.loads(pickle.dumps(caught.value))

    assert str(back) == str(caught.value)
    assert back.exception_node.comment == caught.value.exception_node.comment
    assert back.exception_node.data == "(ValueError) no"


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


def test_the_facts_about_a_call_are_read_from_its_node():
    one, two = node(1), node(2)
    made = one + two
    formatted = node("{}").format(one)

    assert made.info["fun_name"] == "add" and made.info["output"] == 3
    assert [n is m for n, m in zip(made.info["inputs"]["args"], (one, two), strict=True)] == [
        True,
        True,
    ]
    assert formatted.info["fun_name"] == "format"
    assert one.info == {} and isinstance(one, Node)
