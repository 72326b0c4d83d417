"""Module: an object whose parameters are found by walking its attributes, and its state as data."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from harness.trace.bundle import CODE_PARAMETERS, BoundBundle, Bundle
from harness.trace.node import Node, Parameter, snapshot

T = TypeVar("T")


class Module:
    """A program, or a part of one: its attributes hold parameters and further modules."""

    def forward(self, *args: Any, **kwargs: Any) -> Node:
        """Run the module; to be written by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define it")

    def __call__(self, *args: Any, **kwargs: Any) -> Node:
        """Run `forward`."""
        return self.forward(*args, **kwargs)

    def parameters(self) -> dict[str, Parameter]:
        """Return every parameter once, in the order of definition, by dotted attribute path.

        Searched are the trainable methods and then the attributes of the instance: parameters,
        modules, trainable bundles, and lists, tuples and dicts of these. A parameter reached by
        two paths has the name of the first. Raises ValueError if two parameters have the same
        name, or if the class itself holds one, because copies could not differ in it.
        """
        found: dict[str, Parameter] = {}
        seen: set[int] = set()
        for path, parameter in _walk(self, "", seen):
            if path in found:
                raise ValueError(f"two parameters are called {path!r}; rename a key or attribute")
            found[path] = parameter
        return found

    def state(self) -> dict[str, Any]:
        """Return the values of all parameters, by name."""
        return {name: snapshot(p.data) for name, p in self.parameters().items()}

    def load_state(self, values: Mapping[str, object]) -> None:
        """Set the named parameters, all or none; those not named stay.

        Raises KeyError for an unknown name and ValueError for a value that is refused.
        """
        parameters = self.parameters()
        unknown = [name for name in values if name not in parameters]
        if unknown:
            raise KeyError(f"unknown parameters {unknown}; known: {', '.join(parameters)}")
        for name, value in values.items():
            reason = parameters[name].refusal(value)
            if reason is not None:
                raise ValueError(f"parameter {name}: {reason}; nothing was changed")
        for name, value in values.items():
            parameters[name].set(value)


def model(cls: type[T]) -> type[T]:
    """Make a class a Module by decoration.

    A type checker sees Module's methods only on a class that derives from Module itself.
    Zero-argument super() and pickling work as in the class itself.
    """
    if issubclass(cls, Module):
        return cls
    names = {k: getattr(cls, k) for k in ("__module__", "__qualname__", "__doc__")}
    return cast(
        "type[T]", types.new_class(cls.__name__, (cls, Module), {}, lambda body: body.update(names))
    )


def _walk(value: object, path: str, seen: set[int]) -> Iterator[tuple[str, Parameter]]:
    """Yield the parameters below `value`; `seen` holds the ids of what was met, and ends cycles."""
    if isinstance(value, str | int | float | bool | None) or id(value) in seen:
        return
    if isinstance(value, Parameter):
        seen.add(id(value))
        yield path, value
    elif isinstance(value, Bundle | BoundBundle):
        if value.parameter is not None:
            yield from _walk(value.parameter, path, seen)
    else:
        seen.add(id(value))
        for name, part in _parts(value):
            yield from _walk(part, f"{path}.{name}" if path else name, seen)


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Module):
        yield from _attributes(value)
    elif isinstance(value, dict):
        for key, part in list(cast("dict[object, object]", value).items()):
            yield str(key), part
    elif isinstance(value, list | tuple):
        for i, part in enumerate(cast("list[object]", value)):
            yield str(i), part


def _attributes(module: Module) -> Iterator[tuple[str, object]]:
    """Yield attributes without running properties; a method bundle comes bound to the module."""
    own = vars(module)
    names: dict[str, object] = {}
    for cls in reversed(type(module).__mro__):
        names.update(vars(cls))
    for name, value in names.items():
        if name in own or name.startswith("__"):
            continue
        if isinstance(value, Bundle):
            yield name, BoundBundle(value, module)
            continue
        shared = cast("object", value.__func__) if isinstance(value, staticmethod) else value
        if next(_walk(shared, name, set()), None) is not None:
            raise ValueError(
                f"{type(module).__name__}.{name} holds a parameter that all instances would share; "
                "set it in __init__, or use a trainable method"
            )
    for name, value in list(own.items()):
        if name != CODE_PARAMETERS:
            yield name, value
