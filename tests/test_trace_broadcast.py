"""apply_op: an operator on containers, part by part."""

import pytest

from harness.trace import NodeContainer, apply_op, node, operators


class Pair(NodeContainer):
    def __init__(self, left: object, right: object):
        self.left = left
        self.right = right


def values(whole):
    """Return a container with the values of its nodes."""
    if isinstance(whole, list):
        return [values(part) for part in whole]
    if isinstance(whole, tuple):
        return tuple(values(part) for part in whole)
    if isinstance(whole, dict):
        return {key: values(part) for key, part in whole.items()}
    return getattr(whole, "data", whole)


def test_nodes_alone_are_one_operation():
    one, two = node(1), node(2)

    made = apply_op(operators.add, None, one, two)

    assert made.data == 3 and made.inputs == {"x": one, "y": two}


def test_lists_tuples_and_dicts_go_part_by_part_into_the_output():
    left = [node(1), {"a": node(2)}, (node(3), "keep")]
    right = [node(10), {"a": node(20)}, (node(30), "keep")]
    output = [node(0), {"a": node(0)}, (node(0), "keep")]

    made = apply_op(operators.add, output, left, right)

    assert made is output
    assert values(output) == [11, {"a": 22}, (33, "keep")]
    assert output[0].inputs == {"x": left[0], "y": right[0]}  # pyright: ignore[reportAttributeAccessIssue]


def test_a_single_node_goes_with_every_part():
    ten = node(10)

    made = apply_op(operators.add, [node(0), node(0)], [node(1), node(2)], ten)
    named = apply_op(operators.subtract, [node(0)], y=ten, x=[node(1)])

    assert values(made) == [11, 12] and made[1].inputs["y"] is ten
    assert values(named) == [-9]


def test_node_containers_go_by_attribute():
    output = Pair(node(0), "stays")

    made = apply_op(operators.add, output, Pair(node(1), "a"), Pair(node(2), "b"))

    assert made is output and output.right == "stays"
    assert values(output.left) == 3


@pytest.mark.parametrize(
    ("other", "error", "reason"),
    [
        ([node(1)], ValueError, "an input has 1 items; the output has 2"),
        ((node(1), node(2)), TypeError, "an input is a tuple; the output is a list"),
        (5, TypeError, "an input is a int; the output is a list"),
    ],
)
def test_inputs_of_another_shape_are_refused(other, error, reason):
    output = [node(0), node(0)]

    with pytest.raises(error, match=reason):
        apply_op(operators.add, output, [node(1), node(2)], other)
    assert values(output) == [0, 0]


def test_dicts_with_other_keys_are_refused():
    for other in ({"b": node(1)}, {"a": node(1), "b": node(1)}, {}):
        with pytest.raises(ValueError):
            apply_op(operators.add, {"a": node(1)}, other, {"a": node(1)})
