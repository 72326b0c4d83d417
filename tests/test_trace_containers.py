"""Which parameters are found, by attribute, position and key."""

import copy

import pytest

from harness.trace import Map, Module, Node, NodeContainer, Parameter, Seq, bundle, node


class Holder(Module):
    def __init__(self, **parts: object):
        vars(self).update(parts)


@bundle(trainable=True)
def shout(x):
    return x.upper()


def test_lists_dicts_and_further_names_of_a_parameter_are_found_once():
    first, second, third = Parameter("1"), Parameter("2"), Parameter("3")
    holder = Holder(layers=[first, (second,)], by_name={"w": third, 5: first}, again=third)

    assert holder.parameters() == [first, second, third]
    assert list(holder.named_parameters()) == ["layers.0", "layers.1.0", "by_name.w"]


def test_the_list_of_parameters_is_fresh_and_holds_frozen_ones():
    frozen, other = Parameter("a", trainable=False), Parameter("b")
    holder = Holder(frozen=frozen, other=other)

    holder.parameters().clear()

    assert holder.parameters() == [frozen, other]
    assert list(holder.named_parameters()) == ["other"]


def test_own_parameters_and_containers_are_told_by_attribute():
    part, parameter = Holder(p=Parameter("b")), Parameter("a")
    holder = Holder(part=part, parameter=parameter, tool=shout, plain=5, deep=[Parameter("c")])

    assert holder.parameters_dict() == {
        "part": part,
        "parameter": parameter,
        "tool": shout.parameter,
    }


def test_a_sequence_of_parameters_is_searched():
    first, second = Parameter("a"), Parameter("b")

    for seq in (Seq(first, [second], 5), Seq([first, [second], 5]), Seq((first, [second], 5))):
        assert seq.parameters() == [first, second]
        assert list(seq.named_parameters()) == ["0", "1.0"]
        assert seq[2] == 5 and len(seq) == 3
    assert Seq(node("ab"))[0].data == "ab"


def test_a_map_of_parameters_is_searched_keys_included():
    key, value = Parameter("k", name="first key"), Parameter("v")
    nameless = Parameter("n")

    mapped = Map({"a": value, key: 5, nameless: [Parameter("deep")]})

    assert list(mapped.named_parameters()) == ["a", "first key_key", "n.0", "n_key"]
    assert mapped["a"] is value and mapped[key] == 5


def test_containers_within_modules_are_searched_by_path():
    holder = Holder(seq=Seq(Parameter("a"), Map({"k": Parameter("b")})), tool=shout)

    assert list(holder.named_parameters()) == ["seq.0", "seq.1.k", "tool"]
    other = copy.deepcopy(holder)
    other.load_state({"seq.1.k": "new"})
    assert (other.state()["seq.1.k"], holder.state()["seq.1.k"]) == ("new", "b")


def test_properties_do_not_run_and_plain_objects_are_not_searched():
    class Trap(Module):
        def __init__(self):
            self.other = object()
            self.marked = NodeContainer()
            self.marked.p = Parameter("a")  # pyright: ignore[reportAttributeAccessIssue]

        @property
        def trap(self):
            raise RuntimeError("a property must not run")

    assert Trap().parameters() == []


def test_parameters_and_nodes_in_attributes_stay_what_they_are():
    one = node(1)
    holder = Holder(one=one, p=Parameter(2))

    assert holder.one is one and isinstance(holder.one, Node)  # pyright: ignore[reportAttributeAccessIssue]
    assert not hasattr(holder, "missing")
    with pytest.raises(NotImplementedError):
        holder(1)
