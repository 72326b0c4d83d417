"""Long loops and deep graphs, run in a process of their own: `traced_loops.py NAME N`.

Prints what the tests look at, as JSON. Without a collector: counting references has to be enough.
"""

from __future__ import annotations

import copy
import gc
import json
import pickle
import resource
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from traced_letter import Letter, item, refuse

from harness.trace import ExecutionError, Node, bundle, make_list, node, to_text, trace_of
from harness.trace.utils import sum_feedback

STATM = Path("/proc/self/statm")
# Room for the frames of the interpreter itself, not for one frame for each of 100,000 nodes.
SMALL_STACK = 512 * 1024


@bundle
def doubled(x):
    return [x, x]


def forward(letter: Letter, i: int) -> None:
    doubled(letter.times + i)[0] * 2


def backward(letter: Letter, i: int) -> None:
    (doubled(letter.times + i)[0] * letter.times).backward(f"feedback {i}")
    letter.times.zero_feedback()


def failing(letter: Letter, i: int) -> None:
    try:
        refuse(letter.greeting + str(i), 2)
    except ExecutionError as error:
        error.exception_node.backward(str(error))
    letter.greeting.zero_feedback()


def whole(letter: Letter, i: int) -> None:
    output = letter(*item(i))
    output.backward("why")
    trace_of(output, letter.named_parameters())
    for parameter in letter.parameters():
        parameter.zero_feedback()


LOOPS: Mapping[str, Callable[[Letter, int], None]] = {
    loop.__name__: loop for loop in (forward, backward, failing, whole)
}


def looped(loop: Callable[[Letter, int], None], n: int) -> dict[str, Any]:
    """Run a loop on one long-lived program; return live nodes and memory, early and late."""
    gc.disable()
    letter = Letter()
    for i in range(n // 10):
        loop(letter, i)
    early = n_nodes(), memory_mib()
    for i in range(n):
        loop(letter, i)
    late = n_nodes(), memory_mib()
    return {"nodes": [early[0], late[0]], "mib": [early[1], late[1]]}


def n_nodes() -> int:
    return sum(isinstance(found, Node) for found in gc.get_objects())


def memory_mib() -> float:
    """Return the memory in use; where Linux does not tell it, the most that ever was."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def chain(n: int) -> tuple[Any, Node]:
    """Return a parameter and the end of a chain of n operators behind it."""
    parameter = node(1, trainable=True, name="p")
    output: Node = parameter
    for _ in range(n):
        output = output - 1
    return parameter, output


def fan(n: int) -> tuple[Any, Node]:
    """Return a parameter and the end of a chain of n operators that all use it."""
    parameter = node(1, trainable=True, name="p")
    output: Node = parameter
    for _ in range(n):
        output = output - parameter
    return parameter, output


def tower(n: int) -> tuple[Any, Node]:
    """Return a parameter and the end of n bundle calls, some of them on lists of nodes."""
    parameter = node(1, trainable=True, name="p")
    output: Node = parameter
    for i in range(n // 3):
        output = doubled(output if i % 2 else [output, parameter])[0]
        output = output if i % 2 else make_list(output[0], output[1])[0]
    return parameter, output


def deep(make: Callable[[int], tuple[Any, Node]], n: int) -> dict[str, Any]:
    """Do with a deep graph whatever one may do with a small one."""
    parameter, output = make(n)
    value = output.data
    output.backward("why")
    feedback = [g for found in parameter.feedback.values() for g in found]
    found: dict[str, Any] = {"feedback": len(feedback[0].graph), "value": value}
    found["sum"] = len(sum_feedback([parameter]).graph)
    trace = trace_of(output, {"p": parameter})
    found["trace"] = len(trace.nodes)
    found["read"] = trace == type(trace).from_json(json.loads(json.dumps(trace.to_json())))
    found["pickled"] = pickle.loads(pickle.dumps(trace)) == trace
    text = to_text([(trace, "why")], {"p": parameter}, max_value_chars=50)
    found["text"] = len(text.code.splitlines())
    for name, copied in (
        ("deepcopy", copy.deepcopy(output)),
        ("detach", output.detach()),
        ("unpickled", pickle.loads(pickle.dumps(output))),
    ):
        found[name] = [copied.data, dict(copied.inputs)]
    found["repr"] = len(repr(output)) < 200
    parameter.zero_feedback()
    del feedback
    end = weakref.ref(output)
    del output
    found["freed"] = end() is None
    return found


def deep_in_a_thread(make: Callable[[int], tuple[Any, Node]], n: int) -> dict[str, Any]:
    """Do the same on a small stack, where a recursion in C would crash."""
    found: dict[str, Any] = {}
    threading.stack_size(SMALL_STACK)
    thread = threading.Thread(target=lambda: found.update(deep(make, n)))
    thread.start()
    thread.join()
    return found


if __name__ == "__main__":
    name, size = sys.argv[1], int(sys.argv[2])
    if name in LOOPS:
        result = looped(LOOPS[name], size)
    else:
        graph = {"chain": chain, "fan": fan, "tower": tower}[name]
        # Lives until the interpreter itself takes it down.
        kept = graph(size)
        result = deep_in_a_thread(graph, size)
    sys.stdout.write(json.dumps(result))
