"""Replies of an optimizer's model, read as typed, constraint-checked updates of parameters.

A reply is untrusted text. An update is applied whole or not at all; a refusal carries its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from harness.types import JSON, Candidate, ParameterInfo, canonical, encodable

FENCE = re.compile(r"```[a-zA-Z]*\n(.*?)```", re.DOTALL)
KIND_SCHEMA: dict[str, dict[str, JSON]] = {
    "text": {"type": "string"},
    "code": {"type": "string"},
    "number": {"type": "number"},
}


class Refused(ValueError):
    """A reply that cannot be read, or an update that breaks a type or a constraint."""


def update_schema(parameters: Mapping[str, ParameterInfo]) -> JSON:
    """Return the JSON schema of {reasoning, suggestion: {parameter: value}}.

    Every property is required, as strict modes of servers want it. Demonstrations may be null,
    which keeps them: a weak model that is made to write some writes wrong ones.
    """
    values = {name: _value_schema(info) for name, info in parameters.items()}
    suggestion: JSON = {
        "type": "object",
        "properties": values,
        "required": list(values),
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"reasoning": {"type": "string"}, "suggestion": suggestion},
        "required": ["reasoning", "suggestion"],
        "additionalProperties": False,
    }


def read_object(reply: str) -> Mapping[str, JSON]:
    """Return the JSON object in a reply: bare, fenced, in prose, or slightly broken.

    Raises Refused if there is none.
    """
    for text in _spans(reply):
        try:
            value: Any = json.loads(text, strict=False)
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(value, dict):
            return cast("Mapping[str, JSON]", value)
    return _repaired(reply)


def read_update(
    reply: str, candidate: Candidate, parameters: Mapping[str, ParameterInfo]
) -> Candidate:
    """Return the candidate that a reply suggests; values that it leaves out stay.

    Accepts {"suggestion": {name: value}} and {name: value}. Raises Refused if a name is unknown or
    a value has the wrong type; constraints are the caller's to check.
    """
    data = cast("Mapping[str, JSON]", json.loads(encodable(canonical(dict(read_object(reply))))))
    suggestion = data.get("suggestion", data)
    if not isinstance(suggestion, Mapping):
        raise Refused(f"suggestion is a {type(suggestion).__name__}, not an object")
    given = {
        name: value
        for name, value in suggestion.items()
        if (name in parameters or name not in ("reasoning", "answer"))
        and not _keeps(value, parameters.get(name))
    }
    unknown = sorted(set(given) - set(parameters))
    if unknown:
        raise Refused(f"unknown parameter {unknown[0][:80]!r}")
    if not given:
        raise Refused("no parameter in the suggestion")
    values = {name: _typed(value, parameters[name]) for name, value in given.items()}
    return candidate.replace(values)


def _spans(reply: str) -> Iterator[str]:
    yield reply.strip()
    yield from FENCE.findall(reply)
    start, end = reply.find("{"), reply.rfind("}")
    if 0 <= start < end:
        yield reply[start : end + 1]


def _repaired(reply: str) -> Mapping[str, JSON]:
    import json_repair

    start = reply.find("{")
    try:
        value: object = json_repair.loads(reply[start:]) if start >= 0 else None
    except (ValueError, RecursionError) as e:
        raise Refused("no JSON object in the reply: it is nested too deeply") from e
    if isinstance(value, dict) and value:
        return cast("Mapping[str, JSON]", value)
    raise Refused("no JSON object in the reply")


def _value_schema(info: ParameterInfo) -> JSON:
    if info.kind != "demos":
        return {**KIND_SCHEMA.get(info.kind, {}), **info.schema}
    fields: dict[str, JSON] = {name: {"type": "string"} for name in info.fields}
    item: JSON = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    return {"anyOf": [{"type": "null"}, {"type": "array", "items": item, "maxItems": 8}]}


def _keeps(value: JSON, info: ParameterInfo | None) -> bool:
    return value is None and info is not None and info.kind == "demos"


def _typed(value: JSON, info: ParameterInfo) -> JSON:
    if info.kind in ("choice", "data"):
        return value
    if info.kind in ("text", "code") and isinstance(value, str):
        fenced = FENCE.fullmatch(value.strip()) if info.kind == "code" else None
        return fenced.group(1) if fenced else value
    if info.kind == "number" and isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if info.kind == "demos" and isinstance(value, list):
        return value
    raise Refused(f"{info.name} is a {type(value).__name__}; a {info.kind} value is needed")
