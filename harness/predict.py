"""Predict: a traced LM call with an instruction and demonstrations as parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from harness.trace import Module, Node, ParameterNode, Satisfies, Trace, apply
from harness.types import JSON, ParameterInfo

OP = "predict"


class Ask(Protocol):
    """The task's model as a program sees it: chat messages in, the reply's text out."""

    def __call__(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Ask once. Raises LMError if no reply can be had."""
        ...


@dataclass(frozen=True, slots=True)
class PredictCall:
    """One LM call read back from a trace: the predictor's name, its inputs and its output."""

    name: str
    inputs: Mapping[str, JSON]
    output: str


class Predict(Module):
    """Ask the model: instruction and `format` as the system message, demos as earlier turns.

    `inputs` name the fields of a call, `output` the field of its reply; together they are the
    fields of a demonstration. `format` is fixed text that tells the form of the reply: it is not a
    parameter, so that an optimizer cannot break the program that reads it.
    """

    def __init__(
        self, ask: Ask, instruction: str, inputs: Sequence[str], output: str, format: str = ""
    ):
        self._ask = ask
        self._inputs, self._output, self._format = tuple(inputs), output, format
        fields = (*self._inputs, output)
        self.instruction = ParameterNode(
            instruction,
            name="instruction",
            kind="text",
            description="The instruction of a language model call.",
            constraint=Satisfies(_check_instruction, "A text of 1 to 4000 characters, in words."),
        )
        self.demos = ParameterNode(
            [],
            name="demos",
            kind="demos",
            description="Worked examples that the language model call shows before its input.",
            constraint=Satisfies(
                partial(_check_demos, fields=fields),
                f"A list of objects, each with exactly the text fields {', '.join(fields)}.",
            ),
            fields=fields,
        )

    def forward(self, **inputs: object) -> Node:
        """Ask about one set of inputs (nodes or plain values); return the reply as a node."""
        if tuple(sorted(inputs)) != tuple(sorted(self._inputs)):
            raise TypeError(f"inputs are {sorted(inputs)}; this call takes {sorted(self._inputs)}")
        arguments = {"instruction": self.instruction, "demos": self.demos, **inputs}
        return apply(OP, self._call, arguments, description="Asks a language model.")

    def _call(self, *, instruction: str, demos: Sequence[Mapping[str, str]], **inputs: JSON) -> str:
        system = f"{instruction.strip()}\n\n{self._format}".strip()
        messages = [{"role": "system", "content": system}]
        for demo in demos:
            messages.append({"role": "user", "content": render(demo, self._inputs)})
            messages.append({"role": "assistant", "content": demo[self._output]})
        messages.append({"role": "user", "content": render(inputs, self._inputs)})
        return self._ask(messages)


def render(values: Mapping[str, JSON], fields: Sequence[str]) -> str:
    """Write the fields of a call as text: a single field bare, several under their names."""
    if len(fields) == 1:
        return as_text(values[fields[0]])
    return "\n\n".join(f"{name.capitalize()}:\n{as_text(values[name])}" for name in fields)


def as_text(value: JSON) -> str:
    """Write a plain value for a reader: lists as lines, mappings as `value: value` lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ": ".join(as_text(v) for v in value.values())
    if isinstance(value, Sequence):
        return "\n".join(as_text(v) for v in value)
    return str(value)


def calls_in(trace: Trace, parameters: Mapping[str, ParameterInfo]) -> list[PredictCall]:
    """Return the LM calls of a rollout in their order, named after their predictor.

    A predictor `answer` owns the parameters `answer.instruction` and `answer.demos`.
    """
    found: list[PredictCall] = []
    for node in trace.nodes:
        if node.op != OP or node.error is not None or node.kind != "op":
            continue
        sources = dict(node.inputs)
        owner = sources["demos"].removesuffix("demos").removesuffix(".")
        fields = parameters[sources["demos"]].fields
        inputs = {name: cast("JSON", trace.node(sources[name]).value) for name in fields[:-1]}
        found.append(PredictCall(owner, inputs, str(node.value)))
    return found


def _check_instruction(value: object) -> str | None:
    if not isinstance(value, str):
        return f"it is a {type(value).__name__}, not a text"
    if not value.strip():
        return "it is empty"
    return f"it has {len(value)} characters; at most 4000" if len(value) > 4000 else None


def _check_demos(value: object, fields: tuple[str, ...]) -> str | None:
    if not isinstance(value, list):
        return f"it is a {type(value).__name__}, not a list"
    for i, demo in enumerate(cast("list[object]", value)):
        if not isinstance(demo, dict) or set(cast("dict[str, object]", demo)) != set(fields):
            return f"item {i} is not an object with exactly the fields {', '.join(fields)}"
        if not isinstance(cast("dict[str, object]", demo)[fields[-1]], str):
            return f"item {i}: {fields[-1]} is not a text"
    return None
