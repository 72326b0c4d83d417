"""What holds parameters: objects by attribute, Seq by position, Map by key."""

from __future__ import annotations

from collections import UserDict, UserList
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from harness.trace.bound import RESERVED
from harness.trace.function import Bundle
from harness.trace.kinds import Node
from harness.trace.parameters import ParameterNode
from harness.trace.snapshots import NodeContainer, snapshot

__all__ = ["Map", "NodeContainer", "ParameterContainer", "Seq"]


class ParameterContainer(NodeContainer):
    """An object whose attributes hold parameters and further containers."""

    def parameters(self) -> list[ParameterNode[Any]]:
        """Return every parameter once, in the order of definition."""
        return [parameter for _, parameter in _walk(self, "", set())]

    def named_parameters(self) -> dict[str, ParameterNode[Any]]:
        """Return every parameter that may be changed, once, by dotted attribute path.

        Searched are the trainable methods and then the attributes of the instance: parameters,
        containers, trainable bundles, and lists, tuples and dicts of these. A parameter reached by
        two paths has the name of the first. Raises ValueError if two parameters have the same
        name, or if the class itself holds one, because copies could not differ in it.
        """
        found: dict[str, ParameterNode[Any]] = {}
        for path, parameter in _walk(self, "", set()):
            if path in found:
                raise ValueError(f"two parameters are called {path!r}; rename a key or attribute")
            found[path] = parameter
        return {path: parameter for path, parameter in found.items() if parameter.trainable}

    def parameters_dict(self) -> dict[str, ParameterNode[Any] | ParameterContainer]:
        """Return the object's own parameters and containers of parameters, by attribute."""
        found: dict[str, ParameterNode[Any] | ParameterContainer] = {}
        for name, value in self.own_parts():
            part: object = getattr(value, "code_parameter", value)
            if isinstance(part, ParameterNode | ParameterContainer):
                found[name] = cast("ParameterNode[Any] | ParameterContainer", part)
        return found

    def state(self) -> dict[str, Any]:
        """Return the values of all parameters, by dotted path."""
        return {name: snapshot(p.raw) for name, p in self.named_parameters().items()}

    def load_state(self, values: Mapping[str, object]) -> None:
        """Set the named parameters, all or none; those not named stay.

        Raises KeyError for an unknown name and ValueError for a value that is refused.
        """
        parameters = self.named_parameters()
        unknown = [name for name in values if name not in parameters]
        if unknown:
            raise KeyError(f"unknown parameters {unknown}; known: {', '.join(parameters)}")
        for name, value in values.items():
            reason = parameters[name].refusal(value)
            if reason is not None:
                raise ValueError(f"parameter {name}: {reason}; nothing was changed")
        for name, value in values.items():
            parameters[name].set(value)

    def own_parts(self) -> Iterator[tuple[str, object]]:
        """Yield attributes without running properties; a method bundle comes bound."""
        own = vars(self)
        names: dict[str, object] = {}
        for cls in reversed(type(self).__mro__):
            names.update(vars(cls))
        for name, value in names.items():
            if name in own or name.startswith("__"):
                continue
            if isinstance(value, Bundle) and not value.is_static:
                yield name, cast("object", value.__get__(self, type(self)))
                continue
            shared = _function_of(value)
            if next(_walk(shared, name, set()), None) is not None:
                raise ValueError(
                    f"{type(self).__name__}.{name} holds a parameter that all instances would "
                    "share; set it in __init__, or use a trainable method"
                )
        slots = {name for cls in type(self).__mro__ for name in _slots_of(cls)}
        kept = {name: getattr(self, name) for name in sorted(slots) if hasattr(self, name)}
        for name, value in [*own.items(), *kept.items()]:
            if not name.startswith(RESERVED):
                yield name, value


class Seq(UserList[Any], ParameterContainer):
    """A list whose parameters are found; its items stay as they are."""

    def __init__(self, *items: Any) -> None:
        whole = (
            len(items) == 1 and hasattr(items[0], "__len__") and hasattr(items[0], "__getitem__")
        )
        super().__init__(items[0] if whole and not isinstance(items[0], Node) else items)

    def own_parts(self) -> Iterator[tuple[str, object]]:
        """Yield the items by position."""
        return ((str(i), item) for i, item in enumerate(self.data))


class Map(UserDict[Any, Any], ParameterContainer):
    """A dict whose parameters are found, also among its keys."""

    def __init__(self, mapping: Mapping[Any, Any]) -> None:
        super().__init__(mapping)

    def own_parts(self) -> Iterator[tuple[str, object]]:
        """Yield the values by key, and keys that are nodes by their own name."""
        for key, value in self.data.items():
            label = (key.label or str(key.raw)) if isinstance(key, Node) else str(key)
            yield label, value
            if isinstance(key, Node):
                yield f"{label}_key", cast("object", key)


def _walk(value: object, path: str, seen: set[int]) -> Iterator[tuple[str, ParameterNode[Any]]]:
    """Yield the parameters below `value`; `seen` holds the ids of what was met, and ends cycles."""
    value = getattr(value, "code_parameter", value)
    if isinstance(value, str | int | float | bool | None) or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, ParameterNode):
        yield path, cast("ParameterNode[Any]", value)
        return
    for name, part in _parts(value):
        yield from _walk(part, f"{path}.{name}" if path else name, seen)


def _slots_of(cls: type) -> tuple[str, ...]:
    slots: Any = vars(cls).get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if not name.startswith("__"))


def _function_of(value: Any) -> Any:
    return value.__func__ if isinstance(value, staticmethod) else value  # pyright: ignore[reportUnknownVariableType]  # any function


def _parts(value: object) -> Iterable[tuple[str, object]]:
    if isinstance(value, ParameterContainer):
        return value.own_parts()
    if isinstance(value, dict):
        return [(str(key), part) for key, part in cast("dict[object, object]", value).items()]
    if isinstance(value, list | tuple):
        return [(str(i), part) for i, part in enumerate(cast("list[object]", value))]
    return ()
