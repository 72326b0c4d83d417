"""A batch of traces as the sections of a prompt, in the manner of OptoPrime (arXiv 2406.16218).

Against the paper: several rollouts in one text, parameters under their dotted names, long values
cut in the middle, and what a parameter means stands in the documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.trace.graph import Batch, Plain, Trace, TraceNode, merge
from harness.trace.marks import plain_text
from harness.trace.origins import split_tag
from harness.trace.parameters import ParameterNode


class ParameterText(Protocol):
    """What a prompt says about a parameter besides its value."""

    @property
    def description(self) -> str:
        """What the parameter is for."""
        ...

    @property
    def constraint(self) -> str:
        """The rule its value has to keep; empty if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class ProblemText:
    """The sections of an OPTO problem as text; one line per value unless the value has more.

    code: how each value is computed. documentation: what operators and parameters mean.
    variables: what may be changed, always whole. inputs: what came from outside. others: values
    between. outputs: what feedback is about.
    """

    code: str
    documentation: str
    variables: str
    constraints: str
    inputs: str
    others: str
    outputs: str
    feedback: str


def to_text(
    rollouts: Sequence[tuple[Trace, str]],
    parameters: Mapping[str, ParameterText],
    max_value_chars: int = 2000,
) -> ProblemText:
    """Write traces, each with its feedback, as text; the same input gives the same text.

    Values longer than the limit lose their middle, except variables: who cannot read a text to
    its end cannot rewrite it.
    """
    batch = merge([(trace, plain_text(feedback)) for trace, feedback in rollouts])
    outputs = {name for name, _ in batch.outputs}
    variables = [n for n in batch.nodes if n.kind == "parameter"]
    others = [n for n in batch.nodes if n.kind == "op" and n.name not in outputs]
    infos = [(n.name, parameters[n.name]) for n in variables if n.name in parameters]
    return ProblemText(
        code=_lines(_code(n) for n in batch.nodes if n.kind == "op"),
        documentation=_lines(_documentation(batch, infos)),
        variables=_lines(_valued(n, None) for n in variables),
        constraints=_lines(f"{name}: {i.constraint}" for name, i in infos if i.constraint),
        inputs=_lines(
            _valued(n, max_value_chars)
            for n in batch.nodes
            if n.kind == "input" and n.name not in outputs
        ),
        others=_lines(_valued(n, max_value_chars) for n in others),
        outputs=_lines(_valued(n, max_value_chars) for n in batch.nodes if n.name in outputs),
        feedback=_feedback(batch),
    )


def cut(text: str, max_chars: int) -> str:
    """Return the text, or its head and tail of together `max_chars` and how much is left out."""
    left_out = len(text) - max_chars
    if left_out <= 0:
        return text
    tail = max_chars // 2
    head = max_chars - tail
    return f"{text[:head]}[... {left_out} characters left out ...]{text[len(text) - tail :]}"


def value_text(value: Plain) -> str:
    """Return a value as it stands in a prompt: a text bare, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _code(n: TraceNode) -> str:
    return f"{n.name} = {n.op}({', '.join(f'{argument}={name}' for argument, name in n.inputs)})"


def _documentation(batch: Batch, infos: Sequence[tuple[str, ParameterText]]) -> list[str]:
    lines = [f"[{n.op}] {n.description}" for n in batch.nodes if n.op and n.description]
    words = [(name, words_of(info.description)) for name, info in infos]
    lines += [f"[{name}] {text}" for name, text in words if text]
    return list(dict.fromkeys(lines))


def words_of(description: str) -> str:
    """Return what a description says besides the tag that nodes put before it."""
    text = split_tag(description)[1]
    return "" if text == ParameterNode.about else text


def _valued(n: TraceNode, max_chars: int | None) -> str:
    text = n.error if n.error is not None else value_text(n.value)
    if max_chars is not None:
        text = cut(text, max_chars)
    return f"({n.type}) {n.name}={text}"


def _feedback(batch: Batch) -> str:
    if len(batch.outputs) == 1:
        return batch.outputs[0][1]
    return _lines(f"{name}: {feedback}" for name, feedback in batch.outputs)
