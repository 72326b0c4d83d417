"""Backward: which feedback reaches which parameter, in one reverse sweep over the graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.trace.graph import Trace, ancestors, trace_of
from harness.trace.node import Node, Parameter


@dataclass(frozen=True, slots=True)
class Feedback:
    """What is said about an output that a parameter led to."""

    output: Node
    text: str

    def trace(self, name: str, parameter: Parameter) -> Trace:
        """Return the part of the graph between the parameter, called `name`, and the output."""
        return trace_of(self.output, {name: parameter})


def backward(outputs: Sequence[tuple[Node, str]]) -> dict[Parameter, tuple[Feedback, ...]]:
    """Give each parameter the feedback on the outputs it leads to, in the order given.

    The parameters come in the order of their creation. An output may be given twice.
    """
    given = [Feedback(output, text) for output, text in outputs]
    # Bit i of a node's mask says that the node leads to output i.
    masks: dict[Node, int] = {}
    for i, feedback in enumerate(given):
        masks[feedback.output] = masks.get(feedback.output, 0) | 1 << i
    nodes = ancestors(*masks)
    for node in reversed(nodes):
        mask = masks.get(node, 0)
        for source in node.inputs.values():
            masks[source] = masks.get(source, 0) | mask
    return {
        node: tuple(f for i, f in enumerate(given) if masks[node] >> i & 1)
        for node in nodes
        if isinstance(node, Parameter)
    }
