"""Parameter: its kind, what it refuses, how it is set."""

import pytest

from harness.trace import OfType, OneOf, Parameter, Range, Satisfies, node


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a", "text"),
        (1, "number"),
        (0.5, "number"),
        ([{"a": "b"}], "data"),
        (True, "data"),
        ({"a": 1}, "data"),
        (None, "data"),
    ],
)
def test_the_kind_of_a_parameter_follows_its_value(value, kind):
    parameter = node(value, trainable=True)

    assert isinstance(parameter, Parameter) and parameter.kind == kind


def test_a_parameter_with_allowed_values_is_a_choice():
    parameter = Parameter("a", constraint=OneOf("a", "b"))

    parameter.set("b")

    assert parameter.kind == "choice"
    assert parameter.refusal("c") == "it is 'c'; allowed: 'a', 'b'"
    assert node(1, trainable=True, constraint=OneOf(1, 2)).kind == "choice"


def test_demos_and_code_are_only_what_is_called_so():
    assert Parameter([{"q": "a"}], kind="demos").kind == "demos"
    assert node("def f(): pass", trainable=True).kind == "text"
    assert node("def f(): pass", trainable=True, kind="code").kind == "code"
    with pytest.raises(ValueError, match="allowed: text, demos, code, number, choice, data"):
        Parameter("a", kind="prompt")  # pyright: ignore[reportArgumentType]


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
        ("data", "b", None, "must stay of type str, not NoneType"),
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


def test_a_constraint_refuses_with_its_reason_also_the_first_value():
    short = Satisfies(lambda text: None if len(text) < 5 else "it is too long", "Be short.")

    parameter = Parameter("abc", constraint=short)

    assert parameter.constraint == "Be short."
    assert parameter.refusal("abcdef") == "it is too long"
    with pytest.raises(ValueError, match="too long"):
        parameter.set("abcdef")
    with pytest.raises(ValueError, match="too long"):
        Parameter("abcdef", constraint=short)


def test_the_kind_and_the_constraint_hold_together():
    parameter = Parameter(3, constraint=Range(0, 10) & OfType(int))

    assert parameter.refusal("3") is not None
    assert parameter.refusal(11) is not None
    assert parameter.refusal(4.5) is not None
    assert parameter.refusal(4) is None


def test_a_text_as_constraint_is_told_and_enforces_nothing():
    parameter = Parameter("a", constraint="At most one word.")

    parameter.set("two words")

    assert parameter.constraint == parameter._constraint == "At most one word."
    assert node("a", trainable=True, constraint="Short.").constraint == "Short."
    assert Parameter("a")._constraint is None
    with pytest.raises(TypeError, match=r"allowed: a text, a constraint such as Range\(0, 1\)"):
        Parameter("a", constraint=5)  # pyright: ignore[reportArgumentType]


def test_a_new_value_is_copied_and_may_be_a_node():
    parameter, demos = Parameter("a"), [{"q": "4"}]
    several = Parameter([], kind="demos")

    several.set(demos)
    demos.clear()
    parameter.set(node("b"))

    assert several.data == [{"q": "4"}]
    assert parameter.data == "b"


def test_trace_s_own_way_to_set_a_value_goes_past_every_rule():
    parameter = Parameter("a", constraint=OneOf("a"))

    parameter._data = 5

    assert parameter.data == 5


def test_a_parameter_can_be_frozen():
    parameter = Parameter("a", trainable=False)

    assert not parameter.trainable and not node("a").trainable
    parameter.trainable = True
    assert parameter.trainable
