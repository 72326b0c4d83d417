"""node, apply and what makes one node of several."""

import dataclasses
from typing import NamedTuple

import pytest

from harness.trace import (
    GRAPH,
    ExecutionError,
    MessageNode,
    Node,
    NodeContainer,
    Parameter,
    UsageError,
    apply,
    bundle,
    make_dict,
    make_list,
    make_tuple,
    node,
    operators,
    stop_tracing,
)


def test_a_node_is_returned_as_it_is_and_a_trainable_one_is_new():
    source = node("a", name="source")

    assert node(source) is source
    parameter = node(source, trainable=True)
    assert isinstance(parameter, Parameter) and parameter is not source
    assert (parameter.data, parameter.label) == ("a", "source")
    assert node(source, name="other", trainable=True).label == "other"
    with pytest.warns(UserWarning, match="name 'b' is ignored"):
        assert node(source, name="b") is source


def test_a_parameter_made_from_a_node_shares_its_value():
    source = node(["a"])

    assert node(source, trainable=True).data is source.data
    assert node(source.data, trainable=True).data is not source.data


def test_a_node_of_a_list_depends_on_its_items_and_keeps_them_as_nodes():
    one, two = node(1), node(2)

    whole = node([one, {"a": two}, 3], name="whole")

    assert whole.data[0] is one and whole.data[1]["a"] is two
    assert whole.inputs["item_0"] is one
    assert whole.inputs["item_1"].inputs["a"] is two
    assert whole.label == "whole"
    assert type(whole[0].data) is int
    assert operators.sum_(node([one, two])).data == 3


@pytest.mark.parametrize("index", [0, -1, slice(1)])
def test_an_operation_on_a_node_of_nodes_gets_their_values(index):
    plain = [1, [2]]

    made = node([node(1), [node(2)]])[index]

    assert made.data == plain[index]


def test_a_parameter_of_nodes_holds_their_values():
    assert Parameter([node(1), {"a": node(2)}]).data == [1, {"a": 2}]


class Pair(NamedTuple):
    first: object
    second: object


@dataclasses.dataclass
class Card:
    title: object
    size: int


class Box(NodeContainer):
    def __init__(self, item: object):
        self.item = item


def test_nodes_within_objects_and_slices_stay_inputs():
    one = node(1)
    taken = bundle(lambda x: x)

    for value in (Pair(one, 2), Card(one, 2), Box(one), (2, one), slice(one, 3)):
        made = taken(value).inputs["x"]
        assert one in made.parents and made.op == f"make_{type(value).__name__}"
        assert type(made.data) is type(value)
    assert taken(Card(one, 2)).data == Card(1, 2)
    assert taken(Pair(one, 2)).data == Pair(1, 2)
    assert taken(Box(one)).data.item == 1 and type(taken(Box(one)).data.item) is int
    assert node([1, 2, 3])[one:].data == [2, 3]


def test_a_set_of_nodes_and_a_list_that_holds_itself_are_refused():
    ring: list[object] = [node(1)]
    ring.append(ring)

    with pytest.raises(UsageError, match="a set of nodes has no order"):
        node({node(1)})
    with pytest.raises(UsageError, match="an argument holds itself"):
        node(ring)


def test_several_nodes_are_made_into_one():
    one, two = node(1), node(2)

    pair = make_dict({"a": one, 7: two}, b=[two])

    assert make_list(one, 5).data == [1, 5]
    assert make_tuple(one, two).data == (1, 2)
    assert pair.data == {"a": 1, 7: 2, "b": [2]}
    assert pair.inputs["a"] is one and two in pair.parents
    assert make_list(one, 5).inputs["item_0"] is one


def test_keys_that_are_nodes_are_inputs_as_well():
    key, value = node("k"), node(1)

    made = make_dict({key: value})

    assert made.data == {"k": 1}
    assert [key is n or value is n for n in made.parents] == [True, True]


def test_apply_records_names_and_description_and_chains_the_cause():
    made = apply("Predict", lambda question: question + "?", {"question": node("why")}, "Asks.")
    broken = ZeroDivisionError("no")

    def fail(question: object) -> object:
        raise broken

    assert (made.op, made.doc, made.data) == ("Predict", "Asks.", "why?")
    assert made.description == "[Predict] Asks." and type(made) is MessageNode
    with pytest.raises(ExecutionError) as caught:
        apply("Predict", fail, {"question": made})
    assert caught.value.__cause__ is broken
    assert caught.value.exception_node.data == "(ZeroDivisionError) no"
    assert caught.value.exception_node.inputs["question"] is made
    assert str(caught.value).splitlines()[0] == "Predict: (ZeroDivisionError) no"
    assert "raise broken" in str(caught.value).splitlines()[2]


def test_apply_gives_copies_to_the_function():
    words = node(["a"])

    def grow(items: list[str]) -> list[str]:
        items.append("b")
        return items

    made = apply("grow", grow, {"items": words})

    assert (words.data, made.data) == (["a"], ["a", "b"])


def test_nodes_within_the_arguments_of_apply_stay_inputs():
    one, two = node(1), node(2)

    made = apply("total", lambda items: sum(items), {"items": [one, two, 3]})

    assert made.data == 6
    assert made.inputs["items"].inputs["item_0"] is one


def test_what_is_no_exception_passes_through_apply_and_bundles():
    class Spent(BaseException):
        pass

    def stop(x: object) -> object:
        raise Spent

    for call in (lambda: apply("stop", stop, {"x": 1}), lambda: bundle(stop)(1)):
        with pytest.raises(Spent):
            call()


def test_the_graph_of_trace_stands_there_and_holds_nothing():
    kept = [node(1) + 1 for _ in range(10)]

    GRAPH.clear()

    assert len(GRAPH) == 0 and len(kept[0].inputs) == 2
    assert GRAPH.TRACE
    with stop_tracing():
        assert not GRAPH.TRACE


def test_a_node_of_a_value_is_a_plain_node():
    assert type(node(1)) is Node
    assert type(node([1])) is Node
    assert type(node(1) + 1) is MessageNode
