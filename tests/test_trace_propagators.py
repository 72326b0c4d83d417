"""backward: each parameter gets the feedback on the outputs it leads to."""

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.trace import Node, Parameter, backward, node


def test_each_parameter_gets_the_feedback_of_its_own_outputs():
    first, second, third = Parameter("a"), Parameter("b"), Parameter("c")
    shared = first + "x"
    one, two = shared + second, shared + shared

    found = backward([(one, "low"), (two, "high"), (two, "again")])

    assert [p is q for p, q in zip(found, (first, second), strict=True)] == [True, True]
    assert [f.text for f in found[first]] == ["low", "high", "again"]
    assert [f.text for f in found[second]] == ["low"]
    assert third not in found


def test_the_trace_of_a_feedback_holds_only_the_way_from_that_parameter():
    first, second = Parameter("a"), Parameter("b")
    out = (first + "x") + (second + "y")

    feedback = backward([(out, "bad")])[first][0]

    kinds = {n.name: n.kind for n in feedback.trace("first", first).nodes}
    assert kinds == {"first": "parameter", "y1": "input", "add1": "op", "y2": "input", "add2": "op"}


def test_node_backward_collects_on_the_parameter():
    parameter = Parameter("a")

    (parameter * 2).backward("one")
    (parameter + parameter).backward("two")
    parameter.backward("three")

    assert [f.text for f in parameter.feedback] == ["one", "two", "three"]
    parameter.zero_feedback()
    assert parameter.feedback == []


def reaches(output: Node, goal: Node) -> bool:
    return output is goal or any(reaches(s, goal) for s in output.inputs.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=14), st.data())
def test_backward_agrees_with_a_search_of_every_path(pairs, data):
    nodes: list[Node] = [Parameter(1, kind="number"), node(1), Parameter(2, kind="number")]
    for i, j in pairs:
        nodes.append(nodes[i % len(nodes)] + nodes[j % len(nodes)])
    chosen = data.draw(st.lists(st.sampled_from(range(len(nodes))), min_size=1, max_size=4))
    outputs = [(nodes[i], f"{i}") for i in chosen]

    found = backward(outputs)

    for parameter in (nodes[0], nodes[2]):
        assert isinstance(parameter, Parameter)
        expected = [text for output, text in outputs if reaches(output, parameter)]
        assert [f.text for f in found.get(parameter, ())] == expected


def test_a_ladder_and_a_long_chain_are_swept_once():
    parameter = Parameter(1, kind="number")
    left = right = parameter + 0
    for _ in range(20_000):
        left, right = left + 1, right + left

    assert [f.text for f in backward([(right, "end")])[parameter]] == ["end"]
