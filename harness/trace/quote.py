"""Quoting of values that came from outside: short, writable as UTF-8, and without running them."""

from __future__ import annotations

from typing import cast


def shown(value: object) -> str:
    """Return `value` in at most 80 characters, all of which can be written as UTF-8.

    Only what cannot be long or foreign is written out, so no method of the value runs.
    """
    kind = type(value)
    if kind is str:
        return cut(repr(cast("str", value)[:80]))
    if kind is int and (bits := cast("int", value).bit_length()) > 256:
        return f"an integer of {bits} bits"
    if kind in (int, float, bool, type(None)):
        return repr(value)
    if kind in (list, tuple, dict):
        return f"a {kind.__name__} of {len(cast('list[object]', value))} items"
    return cut(f"a value of type {kind.__name__}")


def cut(text: str, room: int = 80) -> str:
    """Return the first `room` characters; what UTF-8 cannot write is escaped."""
    text = text[: room + 1].encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= room else f"{text[: room - 3]}..."


def error_words(error: Exception) -> str:
    """Return `Type: message` in short."""
    try:
        message = str(error)
    except Exception:  # noqa: BLE001  the message may hold the value, whose `repr` is foreign
        return type(error).__name__
    return cut(f"{type(error).__name__}: {message}", 200)
