"""The optimizers of Trace's authors on our nodes, each case a function; runs as its own process.

`python upstream_cases.py FILE` writes {case: what went wrong, or null} to FILE. The package `opto`
must be importable without its core; see upstream_trace.py. A case that fails tells where.
"""

from __future__ import annotations

import copy
import json
import re
import sys
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from opto.optimizers import OPRO, OptoPrime, OptoPrimeMulti, TextGrad
from opto.optimizers.optimizer import Optimizer
from opto.optimizers.optoprime import node_to_function_feedback

from harness.trace import ExecutionError, bundle, model, node
from harness.trace.propagators import Propagator
from harness.trace.utils import sum_feedback


class Stub:
    """A model that gives one reply after the other, and keeps what it was asked."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.prompts: list[str] = []

    def __call__(self, messages: list[dict[str, str]], **settings: Any) -> SimpleNamespace:
        self.prompts.append(messages[-1]["content"])
        text = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return SimpleNamespace(choices=[SimpleNamespace(message=SimpleNamespace(content=text))])

    create = __call__

    def section(self, name: str) -> list[str]:
        """Return the lines of a section of the last prompt."""
        after = self.prompts[-1].partition(f"\n#{name}\n")[2]
        lines = re.split(r"\n#|\n====", after)[0].splitlines()
        return [line for line in lines if line]


def suggests(**values: object) -> str:
    return json.dumps({"reasoning": "", "suggestion": values})


def step(optimizer: Optimizer, output: Any, feedback: object) -> None:
    optimizer.zero_feedback()
    optimizer.backward(output, feedback)
    optimizer.step()


@bundle()
def scale(x):
    """Multiply by minus two."""
    return -x * 2


@bundle(trainable=True)
def square(x):
    """Square a number."""
    return x**2


@bundle()
def refuse(x):
    """Take positive numbers only."""
    if x < 0:
        raise ValueError("x must be positive")
    return x


@model
class Agent:
    def __init__(self):
        self.style = node("short", trainable=True, description="How to write.")

    @bundle(trainable=True)
    def write(self, style, topic):
        """Write about a topic."""
        return style + topic

    def forward(self, topic):
        return self.write(self.style, topic)


def optoprime_changes_a_number_and_shows_its_graph() -> None:
    p = node(-1.0, name="p", trainable=True, constraint="above zero")
    unused = node(3, name="unused", trainable=True)
    output = scale(p) + 1
    stub = Stub(suggests(**{p.py_name: "5", unused.py_name: "x"}))

    step(OptoPrime([p, unused], llm=stub), output, "too small")

    assert p.data == 5.0 and type(p.data) is float and unused.data == 3
    scaled = output.parents[0]
    assert stub.section("Code") == [
        f"{scaled.py_name} = scale(x={p.py_name})",
        f"{output.py_name} = add(x={scaled.py_name}, y={output.parents[1].py_name})",
    ]
    assert stub.section("Variables") == [f"(float) {p.py_name}=-1.0"]
    assert stub.section("Constraints") == [f"(float) {p.py_name}: above zero"]
    assert stub.section("Inputs") == [f"(int) {output.parents[1].py_name}=1"]
    assert stub.section("Others") == [f"(float) {scaled.py_name}=2.0"]
    assert stub.section("Outputs") == [f"(float) {output.py_name}=3.0"]
    assert stub.section("Feedback") == ["too small"]
    assert "Multiply by minus two." in stub.section("Documentation")[0]


def optoprime_replaces_code_and_the_new_code_runs() -> None:
    code = square.parameter
    assert code.py_name.startswith("__code") and code.name != code.py_name
    stub = Stub(suggests(**{code.py_name: "def square(x):\n    return -(x**2)\n"}))

    step(OptoPrime(square.parameters(), llm=stub), square(3), "must be negative")

    assert stub.section("Variables")[0].startswith(f"(code) {code.py_name}:def square(x):")
    assert "def square(x):" in "".join(stub.section("Constraints"))
    assert stub.section("Outputs")[0].endswith("=9")
    assert square(3) == -9


def optoprime_reads_a_program_of_two_parameters() -> None:
    agent = Agent()
    assert len(agent.parameters()) == 2
    output = agent(node("cats", name="topic"))
    stub = Stub(suggests(**{agent.style.py_name: "long "}))

    step(OptoPrime(agent.parameters(), llm=stub), output, "more")

    assert agent.style.data == "long " and agent(" text") == "long  text"
    assert f"(str) {agent.style.py_name}=short" in stub.section("Variables")
    assert any(line.startswith("(code) __code") for line in stub.section("Variables"))
    assert any(line.endswith("=cats") for line in stub.section("Inputs"))


def the_summary_of_a_parameter_holds_its_own_way_and_its_edge() -> None:
    x, y = node(1, name="x", trainable=True), node(2, name="y", trainable=True)
    doubled, tripled = x * 2, y * 3
    output = doubled + tripled
    output.backward("feedback")

    (graph,) = next(iter(x.feedback.values()))
    summary = node_to_function_feedback(graph)

    assert [text.partition(" = ")[2].partition("(")[0] for _, text in summary.graph] == [
        "multiply",
        "add",
    ]
    assert list(summary.output) == [output.py_name]
    assert set(summary.others) == {doubled.py_name}
    assert set(summary.roots) == {x.py_name, doubled.parents[1].py_name, tripled.py_name}
    assert summary.roots[tripled.py_name] == (6, None)
    assert summary.user_feedback == "feedback"


def one_node_used_twice_is_one_variable() -> None:
    p = node(2, name="p", trainable=True)
    inner = p * p
    stub = Stub(suggests(**{p.py_name: 7}))

    step(OptoPrime([p], llm=stub), inner + inner, "more")

    assert p.data == 7 and len(stub.section("Code")) == 2


def a_failure_reaches_the_optimizer_with_its_message() -> None:
    p = node(-1.0, name="p", trainable=True)
    try:
        output = refuse(p)
    except ExecutionError as error:
        output = error.exception_node
    stub = Stub(suggests(**{p.py_name: 1.0}))

    step(OptoPrime([p], llm=stub), output, output.create_feedback("full"))

    assert "(ValueError) x must be positive" in stub.section("Outputs")[0]
    assert any("raise ValueError" in line and "<---" in line for line in stub.section("Feedback"))
    assert refuse(p) == 1.0


def a_parameter_that_is_the_output_gets_the_feedback() -> None:
    p = node("a draft", name="p", trainable=True)
    stub = Stub(suggests(**{p.py_name: "a text"}))

    step(OptoPrime([p], llm=stub), p, "finish it")

    assert p.data == "a text" and stub.section("Feedback") == ["finish it"]


def memory_shows_the_values_of_steps_before() -> None:
    p = node(1, name="p", trainable=True)
    stub = Stub(suggests(**{p.py_name: 2}), suggests(**{p.py_name: 3}))
    optimizer = OptoPrime([p], llm=stub, memory_size=2)

    step(optimizer, p + 1, "first")
    step(optimizer, p + 1, "second")

    assert p.data == 3 and '"feedback": "first"' in stub.prompts[1]
    assert json.loads(json.dumps(optimizer.log)) == optimizer.log


def masked_sections_stay_empty() -> None:
    p = node(1, name="p", trainable=True)
    stub = Stub(suggests(**{p.py_name: 2}))
    optimizer = OptoPrime([p], llm=stub)
    optimizer.zero_feedback()
    optimizer.backward(p + 1, "more")

    optimizer.step(mask=["#Code", "#Others"])

    assert stub.section("Code") == [] and stub.section("Outputs") != []


def opro_shows_every_value_it_tried() -> None:
    p = node(1, name="p", trainable=True)
    stub = Stub(suggests(**{p.py_name: 2}), suggests(**{p.py_name: 3}))
    optimizer = OPRO([p], llm=stub)

    step(optimizer, p + 1, "first")
    step(optimizer, p + 1, "second")

    assert p.data == 3 and stub.prompts[1].count(f'"{p.py_name}"') == 2


def textgrad_asks_along_every_edge() -> None:
    p = node("ab", name="p", trainable=True, description="A text.", constraint="no digits")
    output = (p + "c").upper()
    stub = Stub("gradient", "gradient", "gradient", "<IMPROVED_VARIABLE>xy</IMPROVED_VARIABLE>")

    step(TextGrad([p], llm=stub), output, "be better")

    assert p.data == "xy" and len(stub.prompts) == 4
    assert "be better" in stub.prompts[0] and "no digits" in stub.prompts[3]
    assert "A text." in stub.prompts[3] and "[ParameterNode]" not in stub.prompts[3]


def several_candidates_are_drawn_and_one_is_taken() -> None:
    p = node(1, name="p", trainable=True)
    stub = Stub(*(suggests(**{p.py_name: n}) for n in (5, 6, 7)))
    optimizer = OptoPrimeMulti(
        [p], llm=stub, num_responses=3, selector=lambda found: max(found, key=lambda c: c[p])
    )

    step(optimizer, p + 1, "more")

    assert p.data == 7 and [c[p] for c in optimizer.candidates] == [5, 6, 7]


def two_optimizers_share_a_graph() -> None:
    p, q = node(1, name="p", trainable=True), node(2, name="q", trainable=True)
    first = OptoPrime([p], llm=Stub(suggests(**{p.py_name: 10})))
    second = OptoPrime([q], llm=Stub(suggests(**{q.py_name: 20})))
    output = p + q

    first.zero_feedback()
    first.backward(output, "for p", retain_graph=True)
    first.step()
    step(second, output, "for q")

    assert (p.data, q.data) == (10, 20)
    assert second.llm.section("Feedback") == ["for q"]


def two_outputs_with_feedback_of_their_own_make_one_problem() -> None:
    p = node(1, name="p", trainable=True)
    shared = p + 1
    doubled, tripled = shared * 2, shared * 3
    stub = Stub(suggests(**{p.py_name: 4}))
    optimizer = OptoPrime([p], llm=stub)

    optimizer.zero_feedback()
    optimizer.backward(doubled, "too small")
    optimizer.backward(tripled, "too odd")
    optimizer.step()

    assert p.data == 4 and len(stub.section("Code")) == 3
    assert {line.partition(" ")[2] for line in stub.section("Outputs")} == {
        f"{doubled.py_name}=4",
        f"{tripled.py_name}=6",
    }
    told = "\n".join(stub.section("Feedback"))
    assert "too small" in told and "too odd" in told


def an_optimizer_is_copied_with_its_parameters() -> None:
    p = node(1, name="p", trainable=True)

    other = copy.deepcopy(OptoPrime([p], llm=Stub("TERMINATE")))

    assert other.parameters[0] is not p and other.parameters[0] == p
    step(other, other.parameters[0] + 1, "more")
    assert len(other.llm.prompts) == 1 and not p.feedback


class Gradient(Propagator):
    """Derivatives of sums and products, as a user would write a propagator."""

    def init_feedback(self, node, feedback):
        return feedback

    def _propagate(self, child):
        gradient = sum(sum(given) for given in child.feedback.values())
        x, y = child.inputs["x"], child.inputs["y"]
        if child.description.startswith("[add]"):
            return {x: gradient, y: gradient}
        return {x: gradient * y.data, y: gradient * x.data}


class Descent(Optimizer):
    def default_propagator(self):
        return Gradient()

    def _step(self):
        slope = {p: sum(sum(given) for given in p.feedback.values()) for p in self.parameters}
        return {p: p.data - 0.25 * s for p, s in slope.items()}


def a_propagator_of_ones_own_carries_numbers() -> None:
    x, y = node(1.0, trainable=True), node(2.0, trainable=True)

    step(Descent([x, y]), x * y + x * 3.0, 1.0)

    assert (x.data, y.data) == (1.0 - 0.25 * (2.0 + 3.0), 2.0 - 0.25 * 1.0)


def a_registered_rule_takes_the_place_of_the_general_one() -> None:
    x = node(1.0, trainable=True)
    optimizer = Descent([x])
    optimizer.propagator.register("add", lambda child: {p: 8.0 for p in child.parents})

    step(optimizer, x + 1.0, 1.0)

    assert x.data == -1.0


def feedback_reaches_a_parameter_inside_a_traced_body() -> None:
    hidden = node(3, name="hidden", trainable=True)

    @bundle(traceable_code=True)
    def outer(x):
        """Add what is hidden."""
        return x + hidden

    output = outer(node(1, name="x"))
    stub = Stub(suggests(**{hidden.py_name: 4}))

    step(OptoPrime([hidden], llm=stub), output, "more")

    assert hidden.data == 4
    assert output.expandable_dependencies == {output} and not output.parameter_dependencies
    assert len(sum_feedback([hidden]).expand(output).graph) == 3


CASES = {
    name: case
    for name, case in list(globals().items())
    if getattr(case, "__module__", None) == __name__
    and "_" in name
    and getattr(case, "__annotations__", {}).get("return") == "None"
}


def main(file: Path) -> None:
    failures: dict[str, str | None] = {}
    for name, case in CASES.items():
        try:
            case()
            failures[name] = None
        except Exception:  # noqa: BLE001  whatever a case meets is its result
            failures[name] = traceback.format_exc()
    file.write_text(json.dumps(failures), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
