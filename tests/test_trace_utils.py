"""The functions that programs written for Trace import from utils."""

from harness.trace import Bundle, Parameter, TraceGraph, bundle, node
from harness.trace.utils import contain, for_all_methods, sum_feedback


def test_a_node_is_contained_by_identity():
    one, other = node(1), node(1)

    assert contain([other, one], one)
    assert not contain([other], one) and one in [other]


def test_the_feedback_of_several_nodes_is_added_up():
    first, second = Parameter(1), Parameter(2)
    (first + second).backward("f")

    whole = sum_feedback([first, second])

    assert isinstance(whole, TraceGraph) and len(whole.graph) == 3
    assert sum_feedback([first]).user_feedback == "f"
    assert sum_feedback(n for n in ()).empty()


def test_every_public_method_of_a_class_is_decorated():
    @for_all_methods(bundle)
    class Steps:
        factor = 2

        def step(self, x):
            return x + 1

        @staticmethod
        def shift(x):
            return x - 1

        def __call__(self, x):
            return x

    steps = Steps()

    assert steps.step(node(1)).data == 2 and steps.step(1).op == "step"
    assert isinstance(Steps.step, Bundle)
    assert steps.shift(node(1)).data == Steps.shift(1).data == 0
    assert steps(5) == 5 and type(steps(5)) is int and steps.factor == 2
