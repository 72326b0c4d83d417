"""Memory stays flat, nodes die with their last reference, and depth has no limit."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from traced_letter import Letter, asking, item, no_pause, refuse

import harness
from harness.trace import ExecutionError, Node, stop_tracing, trace_of

LOOPS = Path(__file__).with_name("traced_loops.py")
DEEP = 100_000
LONGEST_S = 120


def run(name: str, size: int) -> dict[str, Any]:
    """Run a loop in a fresh process; fails if that ends in anything but peace."""
    path = str(Path(harness.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, str(LOOPS), name, str(size)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("loop", "n"),
    [("forward", 100_000), ("backward", 100_000), ("failing", 10_000), ("whole", 3_000)],
)
def test_long_loops_leave_memory_flat_without_a_collector(loop, n):
    found = run(loop, n)

    assert found["nodes"][1] == found["nodes"][0]
    # One node of 100 bytes that is kept per iteration is 10 MiB in 100,000.
    assert found["mib"][1] - found["mib"][0] < max(0.5, n * 20 / 2**20)


def test_a_chain_of_a_hundred_thousand_operators_is_like_any_other():
    found = run("chain", DEEP)

    value = 1 - DEEP
    assert found == {
        "feedback": 2 * DEEP + 1,
        "sum": 2 * DEEP + 1,
        "value": value,
        "trace": 2 * DEEP + 1,
        "read": True,
        "pickled": True,
        "text": DEEP,
        "deepcopy": [value, {}],
        "detach": [value, {}],
        "unpickled": [value, {}],
        "repr": True,
        "freed": True,
    }


def test_a_tower_of_bundles_and_lists_is_like_any_other():
    found = run("tower", DEEP // 4)

    assert (found["value"], found["read"], found["pickled"], found["freed"]) == (1, *[True] * 3)
    assert found["trace"] == found["feedback"] > DEEP // 2
    assert found["deepcopy"] == found["detach"] == found["unpickled"] == [1, {}]


def test_a_parameter_with_a_hundred_thousand_children_is_like_any_other():
    # What is quadratic anywhere on the way takes minutes and runs into the time limit.
    found = run("fan", DEEP)

    assert found["feedback"] == found["trace"] == found["sum"] == DEEP + 1
    assert (found["value"], found["freed"]) == (1 - DEEP, True)


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def answered(letter: Letter) -> Node:
    return asyncio.run(asking(letter, no_pause)(3))


def quiet(letter: Letter) -> Node:
    with stop_tracing():
        return letter(*item(1))


def failed(letter: Letter) -> Node:
    try:
        return refuse(letter(*item(1))["text"], 1)
    except ExecutionError as error:
        return error.exception_node


def failed_operator(letter: Letter) -> Node:
    try:
        return letter.greeting + letter.times
    except ExecutionError as error:
        return error.exception_node


def looked_at(letter: Letter) -> Node:
    output = letter(*item(1))
    output.backward("why")
    trace_of(output, letter.named_parameters())
    repr(output)
    for parameter in letter.parameters():
        parameter.zero_feedback()
    return output


def iterated(letter: Letter) -> Node:
    first, *_ = letter.endings
    return first + letter.greeting.split("e")[0]


@pytest.mark.parametrize(
    "make",
    [
        lambda letter: letter.greeting + "x",
        lambda letter: letter(*item(1)),
        answered,
        quiet,
        failed,
        failed_operator,
        looked_at,
        iterated,
    ],
)
@pytest.mark.usefixtures("no_collector")
def test_a_node_dies_with_its_last_reference(make: Callable[[Letter], Node]):
    letter = Letter()
    output = make(letter)
    kept = {*letter.parameters()}
    inputs = [n for n in output.inputs.values() if n not in kept]
    found = [weakref.ref(n) for n in (output, *inputs)]

    del output, inputs

    assert [ref() for ref in found] == [None] * len(found)
    assert all(ref() is not None for ref in map(weakref.ref, letter.parameters()))
