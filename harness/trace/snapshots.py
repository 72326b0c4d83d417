"""Copies of plain containers, and the nodes within them."""

from __future__ import annotations

import copy
import dataclasses
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any, cast

from harness.trace.marks import is_marked, plain_text, unmarked
from harness.trace.signatures import Operators

# Nothing of these types can hold a node or be changed.
SCALARS = frozenset({int, float, bool, type(None), str, bytes, complex})
# Nor can a value of these types be a text with marks.
BARE = SCALARS - {str}
# Copied, but not searched.
_OTHERS = (OrderedDict, defaultdict, Counter, deque, bytearray)
_CONTAINERS = (list, tuple, dict, set, frozenset)
_DEEPEST = 200


class NodeContainer:
    """Marks a class whose instances hold nodes in their attributes."""


def snapshot(value: Any, written: list[Any] | None = None) -> Any:
    """Copy lists, dicts, sets and tuples, and take the values of the nodes within them.

    Of other types those of `collections` are copied, too. What lies deeper than 200 is shared.
    What is one object in the original is one in the copy. Text that was made from nodes becomes
    plain. The nodes that were found are appended to `written`.
    """
    kind = cast("Any", type(value))
    if kind in SCALARS and (kind is not str or value.isascii()):
        return value
    return _copied(value, ({}, [] if written is None else written), 0)


def holds_node(value: Any) -> bool:
    """Tell whether there is a node, or text made from one, within a container or data class."""
    return _holds(value, set(), 0)


def to_data(value: Any) -> Any:
    """Return a value with the values of all nodes in place of them, however deep they are."""
    if isinstance(value, Operators):
        return to_data(cast("Any", value).raw)
    if not holds_node(value):
        return value
    if isinstance(value, str):
        return plain_text(value)
    if type(value) is dict:
        return {to_data(key): to_data(item) for key, item in cast("Any", value).items()}
    return rebuilt(value, [to_data(part) for _, part in parts_of(value)])


def parts_of(value: Any) -> list[tuple[Any, Any]]:
    """Return what a container or object is made of, by key, position or attribute."""
    if isinstance(value, Mapping):
        return list(cast("Mapping[Any, Any]", value).items())
    if isinstance(value, list | tuple | set | frozenset):
        return list(enumerate(cast("Iterable[Any]", value)))
    if type(value) is slice:
        return [("start", value.start), ("stop", value.stop), ("step", value.step)]
    if isinstance(value, NodeContainer):
        return list(vars(value).items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return [(name, getattr(value, name)) for name in names if hasattr(value, name)]
    return []


def rebuilt(value: Any, parts: Iterable[Any]) -> Any:
    """Return a copy of a container or object with other parts, in the order of `parts_of`."""
    kind = cast("Any", type(value))
    if kind is dict:
        return dict(zip(value, parts, strict=True))
    if kind in _CONTAINERS:
        return cast("Any", kind(parts))
    if isinstance(value, slice):
        return slice(*parts)
    if isinstance(value, tuple):
        make = getattr(kind, "_make", kind)
        return make(parts)
    new = copy.copy(value)
    for (name, _), part in zip(parts_of(value), parts, strict=True):
        if isinstance(value, list | Mapping):
            new[name] = part
        else:
            object.__setattr__(new, name, part)
    return new


def _copied(value: Any, notes: tuple[dict[int, Any], list[Any]], depth: int) -> Any:
    kind = cast("Any", type(value))
    if kind in SCALARS:
        if kind is str and is_marked(value):
            value, found = unmarked(value)
            notes[1].extend(found)
        return value
    if isinstance(value, Operators):
        notes[1].append(value)
        return _copied(cast("Any", value).raw, notes, depth + 1)
    memo = notes[0]
    if id(value) in memo:
        return memo[id(value)]
    if kind not in _CONTAINERS or depth > _DEEPEST:
        memo[id(value)] = new = _copied_object(value, notes, depth)
        return new
    if kind is list:
        new = memo[id(value)] = cast("list[Any]", [])
        new.extend(_copied(item, notes, depth + 1) for item in value)
        return new
    if kind is dict:
        table = memo[id(value)] = cast("dict[Any, Any]", {})
        for key, item in value.items():
            table[_copied(key, notes, depth + 1)] = _copied(item, notes, depth + 1)
        return table
    memo[id(value)] = kind([_copied(item, notes, depth + 1) for item in value])
    return memo[id(value)]


def _copied_object(value: Any, notes: tuple[dict[int, Any], list[Any]], depth: int) -> Any:
    if type(value) in _OTHERS:
        return copy.copy(value)
    if depth > _DEEPEST or not _holds(value, set(), depth):
        return value
    return rebuilt(value, [_copied(part, notes, depth + 1) for _, part in parts_of(value)])


def _holds(value: Any, seen: set[int], depth: int) -> bool:
    kind = cast("Any", type(value))
    if kind in SCALARS or depth > _DEEPEST:
        return kind is str and is_marked(value)
    if isinstance(value, Operators):
        return True
    parts = parts_of(value)
    if not parts or id(value) in seen:
        return False
    seen.add(id(value))
    keys = cast("Iterable[Any]", value if isinstance(value, Mapping) else ())
    return any(_holds(key, seen, depth + 1) for key in keys) or any(
        _holds(part, seen, depth + 1) for _, part in parts
    )
