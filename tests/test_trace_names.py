"""The public names: those of Trace at Trace's own places, and nothing that is not there."""

import importlib

import pytest

import harness.trace

# Every import that Trace's own tests and examples make from `opto.trace`.
PLACES = {
    "": "node bundle model GRAPH Node ExecutionError stop_tracing Module NodeContainer apply_op",
    ".nodes": "node Node GRAPH ParameterNode MessageNode ExceptionNode",
    ".bundle": "bundle ExecutionError TraceMissingInputsError to_data",
    ".modules": "Module model",
    ".containers": "NodeContainer ParameterContainer Seq Map",
    ".broadcast": "apply_op",
    ".iterators": "iterate",
    ".errors": "ExecutionError TraceMissingInputsError",
    ".operators": "add cond getitem identity list_extend dict_update call_llm format call",
    ".propagators": "Propagator SumPropagator GraphPropagator TraceGraph",
    ".utils": "contain for_all_methods sum_feedback",
}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place or "harness.trace")
def test_what_programs_for_trace_import_is_at_the_same_place(place):
    module = importlib.import_module(f"harness.trace{place}")

    missing = [name for name in PLACES[place].split() if not hasattr(module, name)]

    assert missing == []


def test_one_thing_is_the_same_thing_at_every_place():
    found: dict[str, set[int]] = {}
    for place, names in PLACES.items():
        module = importlib.import_module(f"harness.trace{place}")
        for name in names.split():
            found.setdefault(name, set()).add(id(getattr(module, name)))

    assert [name for name, ids in found.items() if len(ids) > 1] == []


def test_the_public_names_are_there_and_each_once():
    names = harness.trace.__all__

    assert len(set(names)) == len(names)
    assert [name for name in names if not hasattr(harness.trace, name)] == []
