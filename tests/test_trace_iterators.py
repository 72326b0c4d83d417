"""Iteration: every item is a traced getitem."""

import pytest

from harness.trace import ExecutionError, iterators, node


@pytest.mark.parametrize(
    ("value", "items"),
    [
        ([3, 4], [3, 4]),
        ((3, 4), [3, 4]),
        ("ab", ["a", "b"]),
        ({"a": 1, "b": 2}, ["a", "b"]),
        ({"b", "a"}, ["a", "b"]),
        (frozenset("ba"), ["a", "b"]),
        ([], []),
    ],
)
def test_what_has_items_gives_them_as_nodes(value, items):
    whole = node(value)

    for found in (list(whole), list(iterators.iterate(whole)), list(iterators.iterate(value))):
        assert [item.data for item in found] == items
        assert all(item.op == "getitem" for item in found)
    assert len(iterators.iterate(value)) == len(items)


def test_an_item_depends_on_the_whole():
    whole, table, loose = node([5]), node({"k": 6}), node({7})

    item, key, of_set = next(iter(whole)), next(iter(table)), next(iter(loose))

    assert item.inputs["x"] is whole and item.inputs["index"].data == 0
    assert key.inputs["x"].op == "keys" and key.inputs["x"].inputs["x"] is table
    assert of_set.inputs["x"].op == "to_list" and of_set.inputs["x"].inputs["x"] is loose


def test_the_pairs_of_a_dict_are_a_key_and_the_item_at_that_key():
    table = node({"a": 1, "b": 2})

    pairs = table.items()

    assert [(k.data, v.data) for k, v in pairs] == [("a", 1), ("b", 2)]
    assert len(pairs) == 2
    key, value = next(iter(pairs))
    assert value.inputs["x"] is table and value.inputs["index"] is key
    assert key.parents[0].parents == [table]


def test_nodes_can_be_unpacked_zipped_and_sorted():
    first, (second, third) = node([1, (2, 3)])

    assert (first.data, second.data, third.data) == (1, 2, 3)
    assert [(i.data, j.data) for i, j in zip(node([1]), node([2]), strict=True)] == [(1, 2)]
    assert [n.data for n in sorted(node([2, 1]))] == [1, 2]
    assert sum(node([1, 2])).data == 3
    assert [n.data for n in reversed(node([1, 2]))] == [2, 1]


@pytest.mark.parametrize("value", [None, 5, iter([1]), object()])
def test_what_has_no_items_is_a_failed_operation(value):
    whole = node(value)

    with pytest.raises(ExecutionError, match="cannot unpack or iterate") as caught:
        _, _ = whole
    assert caught.value.exception_node.inputs["x"] is whole
    with pytest.raises(ExecutionError, match="cannot unpack or iterate"):
        iterators.iterate(whole)
