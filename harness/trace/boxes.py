"""What a picture of a trace shows: boxes and the edges between them, the same in every form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from harness.trace.graph import Batch, Trace, TraceNode

Graph: TypeAlias = Trace | Batch
BoxKind: TypeAlias = Literal["parameter", "op", "input", "feedback"]


class Edge(NamedTuple):
    """From one box, by its place, to another; the label is empty if it leads to feedback."""

    source: int
    target: int
    label: str
    is_way: bool


@dataclass(frozen=True, slots=True)
class Box:
    """A value of the trace, or the feedback on one; inputs: pairs (argument, place of a box)."""

    name: str
    kind: BoxKind
    text: str
    inputs: tuple[tuple[str, int], ...]
    node: TraceNode | None = None
    is_output: bool = False

    @property
    def looks(self) -> tuple[str, ...]:
        """What marks it: a key of the colors, and whether it is an output."""
        failed = self.node is not None and self.node.error is not None
        look = "failed" if failed else self.kind
        return (look, "output") if self.is_output else (look,)


def boxes_of(graph: Graph) -> list[Box]:
    """Return the values in the order of the trace, then the feedback on its outputs."""
    outputs = ((graph.output, ""),) if isinstance(graph, Trace) else graph.outputs
    places = {node.name: i for i, node in enumerate(graph.nodes)}
    names = {name for name, _ in outputs}
    boxes = [
        Box(
            node.name,
            node.kind,
            node.value if isinstance(node.value, str) else json_text(node.value),
            tuple((argument, places[source]) for argument, source in node.inputs),
            node,
            node.name in names,
        )
        for node in graph.nodes
    ]
    return boxes + [
        Box(f"Feedback on {name}", "feedback", text, (("", places[name]),))
        for name, text in outputs
        if text
    ]


def edges_of(boxes: Sequence[Box]) -> Iterator[Edge]:
    """Yield the edges by target; a box that is several arguments of another has one edge to it."""
    depends = depend_on_parameter(boxes)
    for target, box in enumerate(boxes):
        arguments: dict[int, list[str]] = {}
        for argument, source in box.inputs:
            arguments.setdefault(source, []).append(argument)
        for source, labels in arguments.items():
            yield Edge(source, target, ", ".join(labels), depends[source])


def depend_on_parameter(boxes: Sequence[Box]) -> list[bool]:
    """Return which boxes are or depend on a parameter; boxes come after their inputs."""
    found: list[bool] = []
    for box in boxes:
        found.append(box.kind == "parameter" or any(found[source] for _, source in box.inputs))
    return found


def json_text(value: object) -> str:
    """Return a value as JSON to be read by a person."""
    return json.dumps(value, ensure_ascii=False, indent=2)
