"""backward: each parameter gets the feedback on the outputs it leads to, and its own graph."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.trace import (
    GraphPropagator,
    Node,
    Parameter,
    Propagator,
    SumPropagator,
    TraceGraph,
    bundle,
    node,
)
from harness.trace.utils import sum_feedback


def said_to(parameter):
    """Return the feedback that reached a node, one for each output."""
    whole = sum_feedback([parameter])
    said = whole.user_feedback
    return said if isinstance(said, list) else [said] if said is not None else []


def shown_to(parameter):
    """Return the operations and labels of the graph that a parameter got, by level."""
    return [(level, n.op or n.label or n.data) for level, n in sum_feedback([parameter]).graph]


def test_each_parameter_gets_the_feedback_of_its_own_outputs():
    first, second, third = Parameter("a"), Parameter("b"), Parameter("c")
    shared = first + "x"
    one, two = shared + second, shared + shared

    one.backward("low")
    two.backward("high")
    two.backward("again")

    assert said_to(first) == ["low", "high", "again"]
    assert said_to(second) == ["low"]
    assert said_to(third) == [] and third.feedback == {}


def test_feedback_is_kept_by_the_child_that_it_came_through():
    parameter = Parameter(1, name="p")
    left, right = parameter + 1, parameter * 2
    out = left + right

    out.backward("f")

    assert list(parameter.feedback) == [left, right]
    assert [len(graphs) for graphs in parameter.feedback.values()] == [1, 1]
    assert [n for _, n in parameter.feedback[left][0].graph] == [parameter, left.inputs["y"], right,
                                                                 left, out]  # fmt: skip


def test_the_graph_of_a_parameter_holds_only_the_way_from_it():
    first, second = Parameter("a", name="first"), Parameter("b", name="second")
    out = (first + "x") + (second + "y")

    out.backward("bad")

    assert shown_to(first) == [(0, "first"), (0, "y"), (1, "concat"), (1, "concat"), (2, "concat")]
    assert second not in [n for _, n in sum_feedback([first]).graph]


def test_what_two_parameters_share_appears_once_in_the_sum():
    first, second = Parameter(1, name="first"), Parameter(2, name="second")
    out = (first + second) * (first + second)

    out.backward("f")

    whole = sum_feedback([first, second])
    assert whole.user_feedback == "f"
    assert [level for level, _ in whole.graph] == [0, 0, 1, 1, 2]
    assert len({n for _, n in whole.graph}) == 5


def test_feedback_stays_until_it_is_zeroed():
    parameter = Parameter("a")

    (parameter * 2).backward("one")
    (parameter + parameter).backward("two")
    parameter.backward("three")

    assert said_to(parameter) == ["one", "two", "three"]
    parameter.zero_feedback()
    assert parameter.feedback == {}


def test_feedback_may_be_anything_also_what_cannot_be_compared():
    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # pyright: ignore[reportAssignmentType]

    parameter, one, two = Parameter(1), Array(), Array()

    (parameter + 1).backward(one)
    (parameter + 2).backward(two)

    found = said_to(parameter)
    assert found[0] is one and found[1] is two


def test_only_parameters_keep_feedback_unless_the_graph_is_retained():
    parameter = Parameter(1)
    middle = parameter + 1
    out = middle * 2

    out.backward("a")
    out.backward("sum", propagator=SumPropagator())
    assert middle.feedback == out.feedback == {}
    parameter.zero_feedback()
    out.backward("a")
    out.backward("b", retain_graph=True)

    assert said_to(middle) == said_to(out) == ["b"]
    assert said_to(parameter) == ["a", "b"]


def test_a_sum_propagator_adds_texts_and_numbers():
    first, second = Parameter(3), Parameter(4)
    out = first * first + second

    out.backward(2, propagator=SumPropagator())
    out.backward("ab", propagator=SumPropagator())

    assert list(second.feedback.values()) == [[2, "ab"]]
    assert list(first.feedback.values()) == [[2, "ab"]]


def test_a_sum_propagator_sums_over_all_ways():
    parameter = Parameter(3)
    one = parameter + 1
    out = one * 2 + one

    out.backward(5, propagator=SumPropagator())

    assert list(parameter.feedback.values()) == [[10]]


class Halves(Propagator):
    def init_feedback(self, node, feedback):
        return feedback

    def _propagate(self, child):
        total = sum(item for items in child.feedback.values() for item in items)
        return dict.fromkeys(child.parents, total / 2)


def test_a_propagator_of_your_own_is_asked_node_by_node_from_the_output():
    first, second = Parameter(3), Parameter(4)
    out = first * 2 + second

    out.backward(8, propagator=Halves())

    assert list(second.feedback.values()) == [[4.0]]
    assert list(first.feedback.values()) == [[2.0]]


def test_another_function_can_be_registered_for_one_operation():
    first, second = Parameter(3), Parameter(4)
    halves = Halves()
    halves.register("multiply", lambda child: dict.fromkeys(child.parents, 7))

    (first * 2 + second).backward(8, propagator=halves)

    assert list(first.feedback.values()) == [[7]]
    assert list(second.feedback.values()) == [[4.0]]


def test_a_registered_function_of_the_graph_propagator_is_asked():
    first, second = Parameter(3), Parameter(4)
    graphs = GraphPropagator()
    seen: list[str | None] = []

    def look(child):
        seen.append(child.op)
        return dict.fromkeys(child.parents, graphs.aggregate(child.feedback))

    graphs.register("add", look)
    (first * 2 + second).backward("f", propagator=graphs)

    assert seen == ["add"]
    assert said_to(first) == said_to(second) == ["f"]


def test_a_propagator_that_leaves_an_input_out_or_is_unfinished_says_so():
    class Leaves(Halves):
        def _propagate(self, child):
            return {}

    out = Parameter(1) + 2

    with pytest.raises(ValueError, match="gave no feedback for"):
        out.backward(8, propagator=Leaves())
    with pytest.raises(NotImplementedError, match="has no init_feedback"):
        out.backward(8, propagator=Propagator())


def test_a_propagator_that_fails_changes_no_feedback():
    class Fails(Halves):
        def _propagate(self, child):
            raise KeyError

    parameter = Parameter(1)
    out = (parameter + 1) * 2
    out.backward("kept")

    with pytest.raises(KeyError):
        out.backward(8, propagator=Fails())

    assert said_to(parameter) == ["kept"] and out.feedback == {}


def test_feedback_reaches_hidden_parameters():
    weight, x = Parameter(3, name="weight"), Parameter(2, name="x")

    @bundle(traceable_code=True)
    def scale(x):
        return x * weight

    @bundle(allow_external_dependencies=True)
    def shift(x):
        return x + weight.data

    for function in (scale, shift):
        weight.zero_feedback()
        function(x).backward("f")
        assert said_to(weight) == ["f"]
    for graphs in (None, GraphPropagator()):
        weight.zero_feedback()
        scale(x).backward("f", propagator=graphs, retain_graph=True)
        assert said_to(weight) == ["f"]


def test_graphs_add_up_from_nothing_and_by_hand():
    one, two = node(1), node(2)

    whole = TraceGraph([(0, one)], "f") + TraceGraph([(1, two), (0, one)], "f")

    assert whole.graph == [(0, one), (1, two)] and whole.user_feedback == "f"
    assert len(whole) == 2 and list(whole) == whole.graph
    assert len(TraceGraph()) == 0 and TraceGraph().empty() and not whole.empty()
    assert sum([TraceGraph([(0, one)])]).graph == [(0, one)]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # the sum starts with 0
    assert sum_feedback([]).empty()


def test_a_drawing_is_returned_on_demand():
    out = Parameter("a", name="p") + "b"

    assert out.backward("f") is None
    drawing = out.backward("f", visualize=True)
    assert "concat" in str(drawing) or "concat" in drawing.source


def reaches(output: Node, goal: Node) -> bool:
    return output is goal or any(reaches(s, goal) for s in output.inputs.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=14), st.data())
def test_backward_agrees_with_a_search_of_every_path(pairs, data):
    nodes: list[Node] = [Parameter(1), node(1), Parameter(2)]
    for i, j in pairs:
        nodes.append(nodes[i % len(nodes)] + nodes[j % len(nodes)])
    chosen = data.draw(st.lists(st.sampled_from(range(len(nodes))), min_size=1, max_size=4))
    outputs = [(nodes[i], f"{i}") for i in chosen]

    for output, text in outputs:
        output.backward(text)

    for parameter in (nodes[0], nodes[2]):
        expected = [text for output, text in outputs if reaches(output, parameter)]
        assert sorted(said_to(parameter)) == sorted(set(expected))


def test_a_ladder_and_a_long_chain_are_swept_once():
    parameter = Parameter(1)
    left = right = parameter + 0
    for _ in range(20_000):
        left, right = left + 1, right + left

    right.backward("end")

    assert said_to(parameter) == ["end"]
    assert len(parameter.feedback) == 1
