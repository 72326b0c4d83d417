"""Trace: the minimal subgraph, its names, its plain values, merging."""

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.trace import (
    ExecutionError,
    Node,
    Parameter,
    Trace,
    bundle,
    make_list,
    merge,
    node,
    trace_of,
)

STEPS = st.lists(
    st.tuples(st.sampled_from("piop"), st.integers(0, 99), st.integers(0, 99)),
    min_size=1,
    max_size=25,
)

KINDS = ("parameter", "op", "input")


def build(steps):
    """Grow a random graph of additions over parameters and plain values."""
    nodes: list[Node] = []
    parameters: dict[str, Parameter] = {}
    for kind, i, j in steps:
        if kind == "p":
            parameters[f"p{len(nodes)}"] = made = Parameter(len(nodes), kind="number")
        elif kind == "i" or not nodes:
            made = node(len(nodes))
        else:
            made = nodes[i % len(nodes)] + nodes[j % len(nodes)]
        nodes.append(made)
    return nodes, parameters


def paths_from(output, goal):
    """Return the ids of all nodes on a path from the goal to the output, by trying all of them."""
    if output is goal:
        return {id(goal)}
    found: set[int] = set()
    for source in output.inputs.values():
        below = paths_from(source, goal)
        if below:
            found |= below | {id(output)}
    return found


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_the_minimal_subgraph_is_what_brute_force_finds(steps):
    nodes, parameters = build(steps)
    output = max(nodes[-6:], key=lambda n: len(n.inputs))
    between: set[int] = set()
    for parameter in parameters.values():
        between |= paths_from(output, parameter)
    by_id = {id(n): n for n in nodes}
    direct = {id(s) for i in between for s in by_id[i].inputs.values()} - between

    trace = trace_of(output, parameters)

    shown = {kind: [n.value for n in trace.nodes if n.kind == kind] for kind in KINDS}
    inputs = direct if between else {id(output)}
    assert sorted(shown["parameter"] + shown["op"]) == sorted(by_id[i].data for i in between)
    assert sorted(shown["input"]) == sorted(by_id[i].data for i in inputs)
    assert len(shown["parameter"]) == sum(bool(paths_from(output, p)) for p in parameters.values())
    assert trace.node(trace.output).value == output.data
    names = [n.name for n in trace.nodes]
    assert len(set(names)) == len(names)
    for i, n in enumerate(trace.nodes):
        assert all(source in names[:i] for _, source in n.inputs)
        if n.kind == "op":
            assert n.value == sum(trace.node(source).value for _, source in n.inputs)
    assert Trace.from_json(json.loads(json.dumps(trace.to_json()))) == trace


def test_what_leads_to_an_input_is_left_out_and_its_value_is_shown():
    prompt = Parameter("p", description="What to do.")
    question = node("q", name="question")
    loud = question.upper() + "!"

    trace = trace_of(prompt + loud, {"Ask.prompt": prompt})

    assert [(n.name, n.kind, n.value) for n in trace.nodes] == [
        ("Ask.prompt", "parameter", "p"),
        ("y1", "input", "Q!"),
        ("add1", "op", "pQ!"),
    ]
    assert trace.node("add1").inputs == (("x", "Ask.prompt"), ("y", "y1"))
    assert trace.node("Ask.prompt").description == "What to do."
    with pytest.raises(KeyError, match=r"known: Ask\.prompt, y1, add1"):
        trace.node("add2")


def test_names_number_each_word_and_avoid_the_parameters():
    prompt = Parameter("p")
    question = node("q", name="the question?")

    out = (prompt + question) + question + "z" + "z"

    assert [n.name for n in trace_of(out, {"add2": prompt}).nodes] == [
        "add2", "the_question1", "add1", "add3", "y1", "add4", "y2", "add5",
    ]  # fmt: skip


def test_parameters_come_first_in_the_order_given():
    one, two = Parameter("a"), Parameter("b")
    out = one + two

    assert [n.name for n in trace_of(out, {"2": two, "1": one}).nodes] == ["2", "1", "add1"]


def test_an_output_that_depends_on_no_parameter_stands_alone():
    trace = trace_of(node(1) + 2, {})

    assert [(n.name, n.kind, n.inputs) for n in trace.nodes] == [("add1", "input", ())]
    assert trace.output == "add1"


def test_a_parameter_that_is_not_named_is_an_input():
    one, other = Parameter("a", name="kept"), Parameter("b")

    trace = trace_of(one + other, {"other": other})

    assert [(n.name, n.kind) for n in trace.nodes] == [
        ("other", "parameter"),
        ("kept1", "input"),
        ("add1", "op"),
    ]


def test_an_error_is_the_output_of_its_trace():
    prompt = Parameter("p")

    @bundle
    def check(text):
        raise ValueError("bad")

    with pytest.raises(ExecutionError) as caught:
        check(prompt + "x")
    trace = trace_of(caught.value.exception_node, {"prompt": prompt})

    failed = trace.node(trace.output)
    assert (failed.name, failed.type, failed.value) == ("check1", "ValueError", "(ValueError) bad")
    assert failed.error is not None and failed.error.endswith("# <--- (ValueError) bad")
    assert [n.name for n in trace.nodes] == ["prompt", "y1", "add1", "check1"]


class Odd:
    def __repr__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "plain", "kind"),
    [
        ((1, (2, "a")), [1, [2, "a"]], "tuple"),
        ({"a": [None, True, 0.5]}, {"a": [None, True, 0.5]}, "dict"),
        ({1: 2}, "{1: 2}", "dict"),
        (float("inf"), "inf", "float"),
        (b"x", "b'x'", "bytes"),
        (object(), "<object object>", "object"),
        (Odd(), "<Odd whose repr fails: RuntimeError>", "Odd"),
        pytest.param(10**5000, "<int whose repr fails: ValueError>", "int", id="a long number"),
        ("\ud800", "\ud800", "str"),
    ],
)
def test_a_value_is_plain_data_or_its_repr(value, plain, kind):
    trace = trace_of(node(value), {})

    assert (trace.nodes[0].value, trace.nodes[0].type) == (plain, kind)
    assert Trace.from_json(json.loads(json.dumps(trace.to_json()))) == trace


def test_a_graph_of_a_hundred_thousand_nodes_is_traced():
    parameter = Parameter(0, kind="number")
    out = parameter + 0
    for _ in range(100_000):
        out = out + parameter

    trace = trace_of(out, {"p": parameter})

    assert len(trace.nodes) == 100_003
    assert trace.output == "add100001"


def test_the_same_program_gives_the_same_trace_in_every_process():
    code = (
        "import json; from harness.trace import *\n"
        "p = Parameter('p')\n"
        "out = make_list(p + 'a', p + 'b', {'k': p.upper()}, object())\n"
        "print(json.dumps(trace_of(out, {'p': p}).to_json()))"
    )
    node(0) + 1

    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    parameter = Parameter("p")
    out = make_list(parameter + "a", parameter + "b", {"k": parameter.upper()}, object())
    assert len(seen) == 1
    assert json.loads(seen.pop()) == trace_of(out, {"p": parameter}).to_json()


def test_merged_traces_share_parameters_and_prefix_the_rest():
    parameter = Parameter("p")
    traces = [trace_of(parameter + text, {"p": parameter}) for text in ("a", "b")]

    batch = merge([(traces[0], "good"), (traces[1], "bad")])

    assert [n.name for n in batch.nodes] == ["p", "r0.y1", "r0.add1", "r1.y1", "r1.add1"]
    assert batch.nodes[-1].inputs == (("x", "p"), ("y", "r1.y1"))
    assert batch.outputs == (("r0.add1", "good"), ("r1.add1", "bad"))
    assert merge([(traces[0], "good")]).nodes == traces[0].nodes
    parameter.set("q")
    with pytest.raises(ValueError, match="p differs between traces"):
        merge([(traces[0], ""), (trace_of(parameter + "a", {"p": parameter}), "")])
