"""Module: which parameters are found under which names, and state in and out."""

import copy
import json
import pickle

import pytest

from harness.trace import (
    Module,
    Parameter,
    bundle,
    model,
    node,
)


@bundle(trainable=True)
def shout(x):
    return x.upper()


class Part(Module):
    def __init__(self, text):
        self.prompt = Parameter(text, constraint="Short.")

    def forward(self, x):
        return self.prompt + x


class Whole(Module):
    def __init__(self):
        self.b = Part("b")
        self.a = Part("a")
        self.parts = [Part("0"), (Part("1"), {"x": Parameter(5, kind="number")})]
        self.again = self.b.prompt
        self.function = shout
        self.plain = [1, "x", {"y": None}]
        self.plain.append(self.plain)
        self.parent = self

    @property
    def trap(self):
        raise RuntimeError("a property must not run")

    @bundle(trainable=True)
    def tidy(self, x):
        return x.strip()

    def forward(self, x):
        return self.tidy(self.b(x))


@model
class Decorated:
    """Kept."""

    def __init__(self):
        super().__init__()
        self.p = Parameter("p")

    @bundle(trainable=True)
    def forward(self, x):
        return x


NAMES = [
    "tidy", "b.prompt", "a.prompt", "parts.0.prompt", "parts.1.0.prompt", "parts.1.1.x",
    "function",
]  # fmt: skip


def test_parameters_are_found_once_in_the_order_of_definition():
    whole = Whole()

    found = whole.named_parameters()

    assert list(found) == NAMES
    assert found["b.prompt"] is whole.b.prompt
    assert found["tidy"] is whole.tidy.parameter
    assert len(set(found.values())) == len(found)


def test_two_parameters_of_one_name_are_an_error():
    class Twice(Module):
        def __init__(self):
            self.d = {"1": Parameter("a"), 1: Parameter("b")}

    with pytest.raises(ValueError, match=r"two parameters are called 'd\.1'"):
        Twice().named_parameters()


def test_a_parameter_that_instances_would_share_is_an_error():
    class Shared(Module):
        kept = (Parameter("a"),)

    class Static(Module):
        f = staticmethod(shout)

    for cls, name in ((Shared, "kept"), (Static, "f")):
        with pytest.raises(ValueError, match=rf"{cls.__name__}\.{name} holds a parameter that all"):
            cls().named_parameters()


def test_an_overridden_trainable_method_is_listed_once_under_its_name():
    class Child(Whole):
        @bundle(trainable=True)
        def tidy(self, x):
            return super().tidy(x).data + "!"

    child = Child()

    made = child.tidy(" a ")

    assert made.data == "a!"
    assert [name for name in child.named_parameters() if "tidy" in name] == ["tidy"]
    assert made.inputs["__code"] is child.named_parameters()["tidy"]


def test_state_goes_out_and_in_again():
    one, other = Whole(), Whole()
    one.b.prompt.set("new")
    one.parts[1][1]["x"].set(7)

    state = one.state()
    other.load_state(state)

    assert other.state() == state
    assert state["b.prompt"] == "new" and state["parts.1.1.x"] == 7
    assert other(node("!")).data == "new!"


def test_state_is_a_copy():
    class Shots(Module):
        def __init__(self):
            self.demos = Parameter([{"q": "1"}], kind="demos")

    shots = Shots()
    shots.state()["demos"][0]["q"] = "changed"

    assert shots.demos.data == [{"q": "1"}]


def test_a_state_that_is_refused_changes_nothing():
    whole = Whole()
    before = whole.state()

    with pytest.raises(ValueError, match=r"parameter parts\.1\.1\.x: it must be a number"):
        whole.load_state({"b.prompt": "new", "parts.1.1.x": "five"})
    with pytest.raises(ValueError, match="parameter tidy: the code must define `tidy`"):
        whole.load_state({"b.prompt": "new", "tidy": "x = 1"})
    with pytest.raises(KeyError, match=r"unknown parameters \['c'\]"):
        whole.load_state({"b.prompt": "new", "c": "x"})

    assert whole.state() == before


def test_instances_can_be_pickled_and_copied_with_their_parameters():
    whole = Whole()
    whole.a.prompt.set("mine")
    whole.tidy.parameter.set("def tidy(self, x):\n    return 1\n")

    for other in (pickle.loads(pickle.dumps(whole)), copy.deepcopy(whole)):
        assert other.state() == whole.state()
        assert other.again is other.b.prompt
        other.a.prompt.set("theirs")
        other.load_state({"function": "def shout(x):\n    return 2\n"})
    assert whole.a.prompt.data == "mine"
    assert shout("a").data == "A"


def test_a_decorated_class_is_a_module_and_can_be_pickled():
    one = Decorated()

    assert isinstance(one, Module) and Decorated.__doc__ == "Kept."
    assert list(one.named_parameters()) == ["forward", "p"]
    assert one(3).data == 3  # pyright: ignore[reportCallIssue]
    assert pickle.loads(pickle.dumps(one)).state() == one.state()


@model
class Heir(Decorated):
    def __init__(self):
        super().__init__()
        self.q = Parameter("q")


def test_a_decorated_class_can_be_derived_from():
    one = Heir()
    one.q.set("new")

    assert list(one.named_parameters()) == ["forward", "p", "q"]  # pyright: ignore[reportAttributeAccessIssue]
    assert pickle.loads(pickle.dumps(one)).q.data == copy.deepcopy(one).q.data == "new"
    assert model(Part) is Part
    assert Decorated.__name__ == "Decorated" and Decorated.__module__ == __name__


def test_a_program_is_saved_as_json_and_loaded_again(tmp_path):
    path = tmp_path / "new" / "folder" / "state.json"
    one, other = Whole(), Whole()
    one.b.prompt.set("é")
    one.tidy.parameter.set("def tidy(self, x):\n    return 1\n")

    one.save(path)
    other.load(path)

    assert other.state() == one.state() == json.loads(path.read_text("utf-8"))
    assert "é" in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "error", "reason"),
    [
        ("{", ValueError, "is no state: it must be a JSON object"),
        ("[1]", ValueError, "is no state: it must be a JSON object"),
        ('{"c": 1}', KeyError, "unknown parameters"),
        ('{"b.prompt": 1}', ValueError, r"parameter b\.prompt: it must be a text, not int"),
    ],
)
def test_a_file_that_is_no_state_of_the_program_changes_nothing(tmp_path, text, error, reason):
    path, whole = tmp_path / "state.json", Whole()
    path.write_text(text, encoding="utf-8")
    before = whole.state()

    with pytest.raises(error, match=reason):
        whole.load(path)
    assert whole.state() == before


def test_a_tuple_comes_back_as_a_tuple(tmp_path):
    path, module = tmp_path / "state.json", Module()
    module.p = Parameter((1, 2))  # pyright: ignore[reportAttributeAccessIssue]

    module.save(path)
    module.p.set((4, 5))  # pyright: ignore[reportAttributeAccessIssue]
    module.load(path)

    assert module.state() == {"p": (1, 2)}


@pytest.mark.parametrize("value", [{1, 2}, {1: 2}, [(1, 2)], object()])
def test_a_state_that_would_come_back_changed_is_not_written(tmp_path, value):
    module = Module()
    module.p = Parameter(value)  # pyright: ignore[reportAttributeAccessIssue]

    with pytest.raises(TypeError, match="parameter p cannot be saved"):
        module.save(tmp_path / "state.json")
    assert list(tmp_path.iterdir()) == []


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        Module()(1)
