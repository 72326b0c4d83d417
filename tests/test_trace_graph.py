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
    UsageError,
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
        ("concat1", "op", "pQ!"),
    ]
    assert trace.node("concat1").inputs == (("x", "Ask.prompt"), ("y", "y1"))
    assert trace.node("Ask.prompt").description == "What to do."
    with pytest.raises(KeyError, match=r"known: Ask\.prompt, y1, concat1"):
        trace.node("concat2")


def test_names_number_each_word_and_avoid_the_parameters():
    prompt = Parameter("p")
    question = node("q", name="the question?")

    out = (prompt + question) + question + "z" + "z"

    assert [n.name for n in trace_of(out, {"concat2": prompt}).nodes] == [
        "concat2", "y1", "y2", "the_question1", "concat1", "concat3", "concat4", "concat5",
    ]  # fmt: skip


def test_the_order_depends_on_the_graph_and_not_on_what_was_made_first():
    first, last = node("l", name="last"), node("f", name="first")
    prompt = Parameter("p")
    early = prompt + last
    late = prompt + first

    out = make_list(late, node("o", name="outside"), early)

    assert [n.name for n in trace_of(out, {"p": prompt}).nodes] == [
        "p", "outside1", "last1", "concat1", "first1", "concat2", "make_list1",
    ]  # fmt: skip


def test_parameters_come_first_in_the_order_given():
    one, two = Parameter("a"), Parameter("b")
    out = one + two

    assert [n.name for n in trace_of(out, {"2": two, "1": one}).nodes] == ["2", "1", "concat1"]


def test_of_two_names_of_one_parameter_the_first_counts():
    one = Parameter("a")

    trace = trace_of(one + "b", {"a": one, "b": one})

    assert [n.name for n in trace.nodes] == ["a", "y1", "concat1"]


def test_an_output_that_depends_on_no_parameter_stands_alone():
    trace = trace_of(node(1) + 2, {})

    assert [(n.name, n.kind, n.inputs) for n in trace.nodes] == [("add1", "input", ())]
    assert trace.output == "add1"


def test_an_output_that_is_a_parameter_is_its_own_trace():
    parameter = Parameter("a")

    trace = trace_of(parameter, {"p": parameter, "other": Parameter("b")})

    assert [(n.name, n.kind) for n in trace.nodes] == [("p", "parameter")]
    assert trace.output == "p"


def test_a_parameter_that_is_not_named_is_an_input():
    one, other = Parameter("a", name="kept"), Parameter("b")

    trace = trace_of(one + other, {"other": other})

    assert [(n.name, n.kind) for n in trace.nodes] == [
        ("other", "parameter"),
        ("kept1", "input"),
        ("concat1", "op"),
    ]


def test_a_node_used_twice_appears_once():
    parameter = Parameter(2)
    twice = parameter * 3

    trace = trace_of(twice + twice, {"p": parameter})

    assert [n.name for n in trace.nodes] == ["p", "y1", "multiply1", "add1"]
    assert trace.node("add1").inputs == (("x", "multiply1"), ("y", "multiply1"))


def test_a_parameter_that_changed_after_the_output_is_a_usage_error():
    changed, kept = Parameter("a"), Parameter("b")
    out = changed + kept
    changed.set("c")

    with pytest.raises(UsageError, match="parameter p was changed after the output"):
        trace_of(out, {"p": changed})
    assert trace_of(out, {"kept": kept}).node("kept").value == "b"
    assert trace_of(changed + kept, {"p": changed}).node("p").value == "c"
    assert trace_of(changed, {"p": changed}).node("p").value == "c"


def test_the_source_of_a_function_is_shown_unless_it_is_a_parameter():
    parameter = Parameter("p")

    @bundle
    def plain(x):
        return x + "!"

    @bundle(trainable=True)
    def trained(x):
        return x + "!"

    trace = trace_of(trained(plain(parameter)), {"p": parameter, "code": trained.parameter})

    assert trace.node("plain1").source == 'def plain(x):\n    return x + "!"'
    assert trace.node("trained1").source == ""
    assert trace.node("code").value.startswith("def trained(x):")
    assert trace_of(parameter + "a", {"p": parameter}).node("concat1").source == ""


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
    assert [n.name for n in trace.nodes] == ["prompt", "y1", "concat1", "check1"]


def test_the_json_form_has_a_version_and_another_one_is_refused():
    data = trace_of(node(1) + 2, {}).to_json()

    assert data["version"] == 1
    with pytest.raises(ValueError, match="trace of version 2; readable: 1"):
        Trace.from_json({**data, "version": 2})


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

    assert [n.name for n in batch.nodes] == [
        "p", "r0.y1", "r0.concat1", "r1.y1", "r1.concat1",
    ]  # fmt: skip
    assert batch.nodes[-1].inputs == (("x", "p"), ("y", "r1.y1"))
    assert batch.outputs == (("r0.concat1", "good"), ("r1.concat1", "bad"))
    assert merge([(traces[0], "good")]).nodes == traces[0].nodes
    parameter.set("q")
    with pytest.raises(ValueError, match="p differs between traces"):
        merge([(traces[0], ""), (trace_of(parameter + "a", {"p": parameter}), "")])
