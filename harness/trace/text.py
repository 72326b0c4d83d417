"""A batch of traces as the sections of a prompt, in the manner of OptoPrime (arXiv 2406.16218).

Against the paper: several rollouts in one text, parameters under their dotted names, long values
cut in the middle, and what a parameter means stands in the documentation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Protocol

from harness.trace.graph import Batch, Plain, Trace, TraceNode, merge
from harness.trace.marks import plain_text
from harness.trace.origins import split_tag
from harness.trace.parameters import ParameterNode

_CHARS_PER_TOKEN = 4
# To so many characters a value may be cut, and so many the note takes that tells it.
_SHORTEST, _NOTE = 80, 40


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

    code: how each value is computed. documentation: what operators and parameters mean, and the
    source of the program's own functions, each once.
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
    max_tokens: int | None = None,
) -> ProblemText:
    """Write traces, each with its feedback, as text; the same input gives the same text.

    Variables and outputs stay whole: who cannot read a text to its end cannot rewrite it. Of the
    other values, those longer than the limit lose their middle. max_tokens: about as long as the
    whole may be, at four characters a token; values lose their middles, those nearest to an output
    last, until it fits or each is down to 80 characters.
    """
    batch = merge([(trace, plain_text(feedback)) for trace, feedback in rollouts])
    outputs = {name for name, _ in batch.outputs}
    variables = [n for n in batch.nodes if n.kind == "parameter"]
    infos = [(n.name, parameters[n.name]) for n in variables if n.name in parameters]
    rest = [n for n in batch.nodes if n.kind != "parameter" and n.name not in outputs]
    shown = {n.name: _valued(n, max_value_chars) for n in rest}
    text = ProblemText(  # inputs and others are filled in below
        code=_lines(_code(n) for n in batch.nodes if n.kind == "op"),
        documentation=_lines(_documentation(batch, infos)),
        variables=_lines(_valued(n, None) for n in variables),
        constraints=_lines(f"{name}: {i.constraint}" for name, i in infos if i.constraint),
        inputs="",
        others="",
        outputs=_lines(_valued(n, None) for n in batch.nodes if n.name in outputs),
        feedback=_feedback(batch),
    )
    if max_tokens is not None:
        length = _length(text) + len(_lines(shown.values()))
        _shorten(shown, batch, length - max_tokens * _CHARS_PER_TOKEN)
    return replace(
        text,
        inputs=_lines(shown[n.name] for n in rest if n.kind == "input"),
        others=_lines(shown[n.name] for n in rest if n.kind == "op"),
    )


def _length(text: ProblemText) -> int:
    return sum(len(getattr(text, field.name)) for field in fields(text))


def _shorten(shown: dict[str, str], batch: Batch, excess: int) -> None:
    """Cut values until `excess` characters are saved, those farthest from an output first."""
    sources = {n.name: [name for _, name in n.inputs] for n in batch.nodes}
    distance = {name: 0 for name, _ in batch.outputs}
    waiting = list(distance)
    for name in waiting:
        for source in sources[name]:
            if source not in distance:
                distance[source] = distance[name] + 1
                waiting.append(source)
    for name in sorted(shown, key=lambda name: -distance.get(name, 0)):
        if excess <= 0:
            return
        line = shown[name]
        shown[name] = shorter = cut(line, max(_SHORTEST, len(line) - excess - _NOTE))
        if len(shorter) < len(line):
            excess -= len(line) - len(shorter)
        else:
            shown[name] = line


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
    ops = [n for n in batch.nodes if n.op and (n.description or n.source)]
    lines = [f"[{n.op}] {n.description}\n{n.source}".rstrip() for n in ops]
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
