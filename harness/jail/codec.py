"""The forms in which requests, answers and values go to the jail's worker and back.

A request is its length and that many bytes; an answer is its kind, a length and bytes. Values are
plain data as text, one token a line, a container before its items, so that neither side needs
recursion or pickle: `n` None, `T` `F`, `i1f` an int in hexadecimal, `f0.5`, `"text"` as in JSON,
`l2` a list of the next two values, `t2` a tuple of them, `d2` a dict of the next two pairs.

`worker.py` runs this file, too: it imports the standard library only.
"""

from __future__ import annotations

import json
import struct
from enum import IntEnum
from typing import Any

REQUEST_HEAD, ANSWER_HEAD = struct.Struct("=I"), struct.Struct("=BI")
COMPLETE = b"\nend"  # the last bytes of a reply that was not cut off
MAX_VALUES = 1_000_000
_AROUND = 100  # what an envelope around the values may add


class Answer(IntEnum):
    """What became of the worker's start or of a call."""

    READY = 0
    UNAVAILABLE = 1
    REPLY = 2
    DEAD = 3
    OUT_OF_TIME = 4
    REPLY_TOO_LARGE = 5
    SCRATCH_FULL = 6


class NotPlain(Exception):
    """A value is not plain data: None, bool, int, float, str, list, tuple, dict all through."""


def encode(value: object, what: str) -> str:
    """Return plain data as ASCII text; a subclass of a plain type becomes that type.

    Raises NotPlain, which calls the value `what`; a list that holds itself is refused as too large.
    """
    lines: list[str] = []
    todo: list[Any] = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            parts: list[Any] = [part for pair in item.items() for part in pair]  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]  # any dict
            lines.append(f"d{len(parts) // 2}")
            todo += reversed(parts)
        elif isinstance(item, list | tuple):
            items: list[Any] = list(item)  # pyright: ignore[reportUnknownArgumentType]  # any list
            lines.append(f"{'l' if isinstance(item, list) else 't'}{len(items)}")
            todo += reversed(items)
        else:
            lines.append(_encode_scalar(item, what))
        if len(lines) + len(todo) > MAX_VALUES + _AROUND:
            raise NotPlain(f"{what} has over a million values; only smaller data crosses")
    return "\n".join(lines)


def _encode_scalar(item: object, what: str) -> str:
    if item is None:
        return "n"
    if isinstance(item, bool):
        return "T" if item else "F"
    if isinstance(item, int):
        return f"i{int(item):x}"
    if isinstance(item, float):
        return f"f{float.__repr__(item)}"
    if isinstance(item, str):
        return json.dumps(item)
    raise NotPlain(
        f"{what} holds a {type(item).__name__}; only plain data crosses: None, bool, int, float, "
        "str, list, tuple, dict"
    )


def decode(text: str) -> Any:
    """Return the value that `encode` wrote. Raises ValueError or TypeError for any other text."""
    lines = text.split("\n")
    if len(lines) > MAX_VALUES + _AROUND:
        raise ValueError("over a million values")
    stack: list[Any] = []
    for line in reversed(lines):
        kind = line[:1]
        if kind in ("l", "t", "d"):
            n = int(line[1:]) * (2 if kind == "d" else 1)
            if not 0 <= n <= len(stack):
                raise ValueError(f"{n} values expected, {len(stack)} found")
            first = len(stack) - n
            items = stack[first:][::-1]
            del stack[first:]
            stack.append(_container(kind, items))
        else:
            stack.append(_decode_scalar(kind, line))
    if len(stack) != 1:
        raise ValueError(f"one value expected, {len(stack)} found")
    return stack[0]


def _container(kind: str, items: list[Any]) -> Any:
    if kind == "d":
        return dict(zip(items[::2], items[1::2], strict=True))
    return items if kind == "l" else tuple(items)


def _decode_scalar(kind: str, line: str) -> Any:
    if line in ("n", "T", "F"):
        return {"n": None, "T": True, "F": False}[line]
    if kind == "i":
        return int(line[1:], 16)
    if kind == "f":
        return float(line[1:])
    if kind == '"':
        return json.loads(line)
    raise ValueError(f"unknown token {line[:20]!r}")
