"""Ten thousand random programs: values as in plain Python, traces as brute force finds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_programs import (
    Edge,
    Program,
    largest,
    minimal_subgraph,
    nodes_of,
    read_program,
    run_traced,
)

from harness.trace import ExceptionNode, ExecutionError, Node, ParameterNode, Trace, node, trace_of
from harness.trace.utils import sum_feedback

N_EXAMPLES, N_EACH = 2_500, 4
CODES = st.lists(st.binary(min_size=100, max_size=200), min_size=N_EACH, max_size=N_EACH)
# The same programs in every run, so that a failure in CI is a failure here.
many = settings(max_examples=N_EXAMPLES, derandomize=True, database=None, deadline=None)
some = settings(many, max_examples=N_EXAMPLES // 4)


def parameters_of(program: Program) -> list[int]:
    return [i for i, v in enumerate(program) if v.kind == "parameter"]


def named(program: Program, made: Sequence[Any]) -> dict[str, ParameterNode]:
    """Return the parameters by name, last first, so that their order is not that of creation."""
    return {f"p{i}": made[i] for i in reversed(parameters_of(program))}


def paired(
    root: Any,
    output: int,
    inputs_of: Callable[[Any], Sequence[tuple[str, Any]]],
    edges_of: Callable[[int], Sequence[Edge]],
) -> dict[Any, int]:
    """Walk a graph and our own beside it from their outputs; return which is which.

    Fails where they differ in an argument or a number of inputs, and where one value of either
    stands for two of the other.
    """
    found, waiting = {root: output}, [root]
    while waiting:
        key = waiting.pop()
        inputs, edges = inputs_of(key), edges_of(found[key])
        assert len(inputs) == len(edges)
        for (argument, source), (wanted, index) in zip(inputs, edges, strict=True):
            assert wanted in (argument, None)
            if source not in found:
                waiting.append(source)
            assert found.setdefault(source, index) == index
    assert len(set(found.values())) == len(found)
    return found


def check_trace(trace: Trace, program: Program, output: int, parameters: Sequence[int]) -> None:
    """Compare a whole trace with the subgraph that a search of all paths finds."""
    between, direct = minimal_subgraph(program, [output], parameters)
    nodes = {n.name: n for n in trace.nodes}
    found = paired(
        trace.output,
        output,
        lambda name: nodes[name].inputs,
        lambda i: program[i].edges if i in between else (),
    )

    assert len(nodes) == len(trace.nodes), "two nodes have one name"
    assert set(found) == set(nodes)
    assert set(found.values()) == (between | direct or {output})
    for name, i in found.items():
        shown, v = nodes[name], program[i]
        kind = "input" if i not in between else "op" if v.op or v.kind == "gather" else "parameter"
        assert (shown.kind, shown.value, shown.type) == (kind, plain(v.value), v.type)
        assert kind != "parameter" or name == f"p{i}"
        assert kind != "op" or shown.op in (v.op.name.split() if v.op else ["make_list"])
        assert (shown.error is not None) == (v.op is not None and v.type.endswith("Error"))


def check_order(trace: Trace, names: Sequence[str]) -> None:
    """Parameters come first, in the order given; all else comes after its inputs."""
    order = {n.name: i for i, n in enumerate(trace.nodes)}
    shown = [name for name in names if name in order]
    assert [n.name for n in trace.nodes[: len(shown)]] == shown
    for n in trace.nodes:
        assert all(order[source] < order[n.name] for _, source in n.inputs)


def plain(value: object) -> object:
    """Return the value as JSON holds it."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return repr(value) if isinstance(value, slice) else value


def live(made: Any, program: Program, output: int) -> Mapping[Node, int]:
    """Return the number of each node behind the output, those made on the way included."""
    return paired(made[output], output, lambda n: [*n.inputs.items()], lambda i: program[i].edges)


@many
@given(CODES)
def test_ten_thousand_programs_agree_with_plain_python_and_with_a_search_of_all_paths(codes):
    for code in codes:
        program = read_program(code)
        output, parameters = largest(program), parameters_of(program)

        made, again = run_traced(program), run_traced(program)
        trace = trace_of(made[output], named(program, made))

        for v, n in zip(program, made, strict=True):
            failed = v.op is not None and v.type.endswith("Error")
            assert not v.op or (n.data, isinstance(n, ExceptionNode)) == (v.value, failed)
        live(made, program, output)
        check_trace(trace, program, output, parameters)
        check_order(trace, [*named(program, made)])
        text = json.dumps(trace.to_json())
        assert text == json.dumps(trace_of(again[output], named(program, again)).to_json())
        assert Trace.from_json(json.loads(text)) == trace


@some
@given(st.binary(min_size=100, max_size=200), st.integers(0, 255))
def test_every_output_has_its_own_trace_and_unnamed_parameters_are_inputs(code, mask):
    program = read_program(code)
    made = run_traced(program)
    chosen = [i for n, i in enumerate(parameters_of(program)) if mask >> n & 1]
    names = {f"p{i}": made[i] for i in chosen}

    for output in nodes_of(program):
        check_trace(trace_of(made[output], names), program, output, chosen)


@some
@given(CODES)
def test_backward_brings_every_parameter_its_minimal_subgraph(codes):
    for code in codes:
        program = read_program(code)
        made, output = run_traced(program), largest(program)
        numbers = live(made, program, output)

        made[output].backward("why")

        for parameter in parameters_of(program):
            check_feedback(made, program, [output], [parameter], numbers)
        check_feedback(made, program, [output], parameters_of(program), numbers)


@some
@given(st.binary(min_size=100, max_size=200), st.integers(0, 2**16))
def test_feedback_on_several_outputs_arrives_apart_and_adds_up(code, seed):
    program = read_program(code)
    made = run_traced(program)
    ops = [i for i, v in enumerate(program) if v.op] or [0]
    outputs = Random(seed).choices(ops, k=3)
    numbers: dict[Node, int] = {}
    for output in outputs:
        numbers.update(live(made, program, output))

    for n, output in enumerate(outputs):
        made[output].backward(f"feedback {n}")

    for parameter in parameters_of(program):
        reached = [
            n for n, o in enumerate(outputs) if minimal_subgraph(program, [o], [parameter])[0]
        ]
        graphs = [graph for found in made[parameter].feedback.values() for graph in found]
        assert {g.user_feedback for g in graphs} == {f"feedback {n}" for n in reached}
        for n in reached:
            own = [g.graph for g in graphs if g.user_feedback == f"feedback {n}"]
            between, direct = minimal_subgraph(program, [outputs[n]], [parameter])
            assert {numbers[v] for graph in own for _, v in graph} == between | direct
        check_feedback(made, program, outputs, [parameter], numbers)


def check_feedback(
    made: Sequence[Any],
    program: Program,
    outputs: Sequence[int],
    parameters: Sequence[int],
    numbers: Mapping[Node, int],
) -> None:
    """Compare what has arrived at some parameters with a search of all paths."""
    between, direct = minimal_subgraph(program, outputs, parameters)
    with_feedback = [made[i] for i in parameters if made[i].feedback]
    arrived = [
        numbers[key]
        for i in parameters
        for key in made[i].feedback
        if key in numbers and i not in outputs
    ]
    users = {i for i in between if {s for _, s in program[i].edges} & set(parameters)}
    assert {*arrived} == {*users} - {*parameters}
    if not between:
        assert with_feedback == []
        return
    graph = sum_feedback(with_feedback).graph
    levels = {numbers[n]: level for level, n in graph}
    assert len(levels) == len(graph), "a node stands twice in the sum"
    assert set(levels) == between | direct
    assert [level for level, _ in graph] == sorted(levels.values())
    for i in between:
        assert all(levels[source] < levels[i] for _, source in program[i].edges)


def test_the_random_programs_hold_what_they_should():
    random = Random(3)
    programs = [read_program(random.randbytes(150)) for _ in range(300)]
    everything = [v for program in programs for v in program]
    subgraphs = [minimal_subgraph(p, [largest(p)], parameters_of(p)) for p in programs]
    twice = [v for v in everything if len({i for _, i in v.edges}) < len(v.edges)]

    assert len({v.op for v in everything}) > 50
    assert sum(v.type.endswith("Error") for v in everything) > 300
    assert sum(v.kind == "gather" for v in everything) > 100
    assert sum(not v.traced for v in everything) > 100
    assert len(twice) > 200
    assert sum(len(between) > 8 for between, _ in subgraphs) > 80
    assert sum(bool(direct) for _, direct in subgraphs) > 200
    assert sum(not between for between, _ in subgraphs) > 10


def test_the_comparison_notices_a_wrong_trace():
    random = Random(5)
    while True:
        program = read_program(random.randbytes(150))
        made, output = run_traced(program), largest(program)
        trace = trace_of(made[output], named(program, made))
        if len(trace.nodes) > 8 and program[output].op:
            break
    data = trace.to_json()
    for change in (drop_input, swap_inputs, change_value, lose_node):
        wrong = json.loads(json.dumps(data))
        change(wrong["nodes"])

        with pytest.raises((AssertionError, KeyError)):
            check_trace(Trace.from_json(wrong), program, output, parameters_of(program))


def drop_input(nodes: list[dict[str, Any]]) -> None:
    next(n for n in nodes if len(n["inputs"]) > 1)["inputs"].pop()


def swap_inputs(nodes: list[dict[str, Any]]) -> None:
    next(n for n in nodes if len({tuple(i) for i in n["inputs"]}) > 1)["inputs"].reverse()


def change_value(nodes: list[dict[str, Any]]) -> None:
    nodes[-2]["value"] = [nodes[-2]["value"]]


def lose_node(nodes: list[dict[str, Any]]) -> None:
    del nodes[-2]


def test_feedback_on_a_parameter_itself_stays_there():
    parameter = node(1, name="p", trainable=True)

    parameter.backward("why")

    graphs = [graph for found in parameter.feedback.values() for graph in found]
    assert [(g.user_feedback, [n is parameter for _, n in g.graph]) for g in graphs] == [
        ("why", [True])
    ]


def test_a_failed_operator_sends_feedback_to_what_it_was_given():
    parameter, other = node("a", trainable=True), node("b", trainable=True)
    with pytest.raises(ExecutionError) as caught:
        (parameter + "x") @ other

    caught.value.exception_node.backward("why")

    assert len(sum_feedback([parameter]).graph) == 5
    assert len(sum_feedback([other]).graph) == 3
