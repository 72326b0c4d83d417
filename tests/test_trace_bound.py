"""Bundles as methods: of instances, classes and none; copies; a code parameter per instance."""

import copy
import functools
import pickle

import pytest

from harness.trace import Module, Parameter, bundle, node, trace_of, use_code_runner


@bundle
def add_one(x):
    return x + 1


class Solver(Module):
    @bundle(trainable=True)
    def solve(self, question, *, hint="none"):
        """Solve it."""
        return f"{question} {hint}"

    @bundle(description="One.", name="step")
    def first(self):
        return "a"

    @bundle(description="[step] Two.")
    def second(self):
        return "b"


class Child(Solver):
    @bundle()
    def first(self):
        return super().first().data + "!"


class Counter:
    def __init__(self, v=1):
        self.v = v

    @bundle(trainable=True)
    def get(self):
        return self.v

    @property
    @bundle
    def double(self):
        return 2 * self.v

    @bundle
    def add(self, x):
        self.v += x
        return self.v


class Kinds:
    @bundle
    @staticmethod
    def below(x):
        return x + 1

    @staticmethod
    @bundle
    def above(x):
        return x + 2

    @bundle
    @classmethod
    def class_below(cls, x):
        return f"{cls.__name__}{x}"

    @classmethod
    @bundle
    def class_above(cls, x):
        return f"{cls.__name__}{x}!"

    @bundle(trainable=True)
    @staticmethod
    def trained(x):
        return x + 3

    @bundle(trainable=True)
    @classmethod
    def class_trained(cls, x):
        return f"{cls.__name__}{x}?"


class Heir(Kinds):
    pass


def run_here(source, name, args, kwargs):
    """Stand in for the sandbox; the sources below are this file's own."""
    space: dict[str, object] = {}
    exec(source, space)
    return space[name](*args, **kwargs)  # pyright: ignore[reportCallIssue]


def test_self_is_an_input_of_the_call_and_not_shown_in_a_trace():
    counter, question = Counter(), Parameter(1, name="question")

    made = counter.add(question)

    assert list(made.inputs) == ["self", "x"] and len(made.parents) == 2
    assert made.inputs["self"].data is counter
    assert counter.get().inputs["self"] is counter.get().inputs["self"]
    trace = trace_of(made, {"question": question})
    assert trace.node("add1").inputs == (("x", "question"),)
    assert len(trace.nodes) == 2


def test_methods_have_one_code_parameter_per_instance():
    one, other = Solver(), Solver()
    rule = one.solve.parameter

    assert isinstance(rule, Parameter) and rule is one.solve.parameter
    assert rule is not other.solve.parameter
    assert "self is None when this code runs" in rule.constraint
    rule.set("def solve(self, question, *, hint):\n    return question.upper()")

    with use_code_runner(run_here):
        assert one.solve("a", hint="b").data == "A"
    rule.set("def solve(self, question, *, hint):\n    return repr(self)")
    with use_code_runner(run_here):
        assert one.solve("a").data == "None"
    assert other.solve("a", hint="b").data == "a b"
    made = other.solve(node("a"))
    assert list(made.inputs) == ["self", "question", "hint", "__code"]
    assert Solver.solve(other, "a").inputs["__code"] is other.solve.parameter


def test_a_function_put_into_a_class_stays_a_function():
    class Holder:
        tool = add_one

    assert add_one(1).data == 2
    assert Holder.tool(1).data == 2


@pytest.mark.parametrize("holder", [Kinds, Kinds()])
def test_static_and_class_methods_are_bundles_in_either_order_of_decorators(holder):
    one = node(1)

    assert (holder.below(one).data, holder.above(one).data) == (2, 3)
    assert holder.below(one).inputs == {"x": one}
    assert (holder.class_below(one).data, holder.class_above(one).data) == ("Kinds1", "Kinds1!")
    assert list(holder.class_below(one).inputs) == ["cls", "x"]
    assert holder.trained(one).data == 4 and holder.class_trained(one).data == "Kinds1?"
    assert list(holder.trained(one).inputs) == ["x", "__code"]
    assert holder.class_trained(one).inputs["__code"] is Kinds.class_trained.parameter


def test_a_class_method_gets_the_class_that_it_was_called_on():
    assert Heir.class_below("a").data == Heir().class_below("a").data == "Heira"
    assert Heir.class_above("a").data == "Heira!"


def test_where_there_is_no_place_to_keep_the_code_it_says_so():
    class Slotted:
        __slots__ = ()
        solve = Solver.solve

    with pytest.raises(TypeError, match="without __slots__"):
        Slotted().solve("a")


def test_a_plain_method_works_with_slots():
    class Slotted:
        __slots__ = ("v",)

        @bundle
        def get(self):
            return self.v

    slotted = Slotted()
    slotted.v = 5

    assert slotted.get().data == 5


def test_methods_of_one_name_and_overridden_methods_stay_apart():
    child = Child()

    assert (Solver().first().data, Solver().second().data) == ("a", "b")
    assert child.first().data == "a!"


@pytest.mark.parametrize("called", [False, True])
def test_a_shallow_copy_runs_its_own_methods_and_shares_the_code(called):
    one = Counter()
    if called:
        one.get()
    other = copy.copy(one)
    other.v = 2

    values = (one.get().data, other.get().data, one.get().data)

    assert values == (1, 2, 1)
    assert other.get().inputs["self"].data is other and one.get().inputs["self"].data is one
    if called:
        assert other.get.parameter is one.get.parameter


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["deep", "pickled"]
)
def test_a_full_copy_has_its_own_methods_and_code(copied):
    one = Counter()
    one.get.parameter.set("def get(self):\n    return 'new'\n")

    other = copied(one)
    other.v = 2
    other.get.parameter.set("def get(self):\n    return 'other'\n")

    with use_code_runner(run_here):
        assert (one.get().data, other.get().data) == ("new", "other")
    assert other.get().inputs["self"].data is other
    assert other.add(1).data == 3 and one.v == 1


def test_methods_themselves_can_be_copied_and_pickled():
    one = Counter(4)
    get = one.get

    shallow, deep, back = copy.copy(get), copy.deepcopy(get), pickle.loads(pickle.dumps(get))

    assert [f().data for f in (shallow, deep, back)] == [4, 4, 4]
    assert shallow.instance is one and shallow.parameter is get.parameter
    for other in (deep, back):
        assert other.instance is not one and other.parameter is not get.parameter
        assert other.instance.get.parameter is other.parameter
    assert functools.partial(get)().data == 4


def test_a_property_around_a_bundle_is_a_method():
    counter = Counter(7)

    made = counter.double

    assert made.data == 14 and list(made.inputs) == ["self"]
    assert [n.kind for n in trace_of(made + Parameter(1), {}).nodes] == ["input"]
    whole = trace_of(counter.add(made), {"p": Parameter(1)})
    assert len(whole.nodes) == 1


def test_a_method_saves_and_loads_its_own_code(tmp_path):
    one, other, third = Counter(), Counter(), Counter()
    path = tmp_path / "code.json"
    one.get.parameter.set("def get(self):\n    return 0\n")

    one.get.save(path)
    other.get.load(path)

    assert one.get.parameters() == [one.get.parameter]
    assert one.get.parameters()[0] is one.get.parameter
    assert other.get.parameter.data == one.get.parameter.data
    assert third.get.parameter.data == Counter.get.parameter.data != one.get.parameter.data


def test_a_method_shows_what_its_bundle_shows():
    solve = Solver().solve

    assert (solve.__name__, solve.__doc__, solve.name) == ("solve", "Solve it.", "solve")
    assert solve.trainable and solve.code.startswith("def solve(")
    assert solve.__wrapped__("q") == "q none"
    with pytest.raises(AttributeError):
        getattr(solve, "nothing")  # noqa: B009  a type checker knows it is not there
