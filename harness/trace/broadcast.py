"""An operator applied to containers of nodes, part by part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.trace.kinds import Node
from harness.trace.snapshots import NodeContainer, parts_of, rebuilt


def apply_op(op: Callable[..., Any], output: Any, *args: Any, **kwargs: Any) -> Any:
    """Apply `op` to nodes, or to the matching parts of containers of one shape.

    Containers are lists, tuples, dicts and NodeContainers. `output` has that shape; it is filled
    in place (a tuple is made anew) and returned. A node among containers goes with every part; a
    part of `output` that is neither node nor container stays. Raises TypeError or ValueError for
    inputs of another type or size.
    """
    inputs = [*args, *kwargs.values()]
    if all(isinstance(x, Node) for x in inputs):
        return op(*args, **kwargs)
    if not isinstance(output, list | tuple | dict | NodeContainer):
        return output
    for x in inputs:
        if not isinstance(x, Node):
            _require_shape(x, output)
    new = [
        apply_op(
            op,
            part,
            *(_part(x, key) for x in args),
            **{name: _part(x, key) for name, x in kwargs.items()},
        )
        for key, part in parts_of(output)
    ]
    return _filled(output, new)


def _part(x: Any, key: Any) -> Any:
    if isinstance(x, Node):
        return x  # pyright: ignore[reportUnknownVariableType]  # a node of any value
    return getattr(x, key) if isinstance(x, NodeContainer) else x[key]


def _require_shape(x: Any, output: Any) -> None:
    if type(x) is not type(output):
        raise TypeError(
            f"an input is a {type(x).__name__}; the output is a {type(output).__name__}"
        )
    if isinstance(output, dict) and set(x) != set(output):  # pyright: ignore[reportUnknownArgumentType]  # any dict
        raise ValueError(f"an input has the keys {list(x)[:9]}; the output has {list(output)[:9]}")  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(output, list | tuple) and len(x) != len(output):  # pyright: ignore[reportUnknownArgumentType]  # any list
        raise ValueError(f"an input has {len(x)} items; the output has {len(output)}")  # pyright: ignore[reportUnknownArgumentType]


def _filled(output: Any, new: list[Any]) -> Any:
    if isinstance(output, tuple):
        return rebuilt(output, new)
    for (key, _), part in zip(parts_of(output), new, strict=True):
        if isinstance(output, NodeContainer):
            setattr(output, key, part)
        else:
            output[key] = part
    return output
