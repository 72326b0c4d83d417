"""Module: an object whose parameters are found by walking its attributes, and its state as data."""

from __future__ import annotations

import types
from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeVar, cast

from harness.trace.containers import ParameterContainer
from harness.trace.kinds import Node
from harness.trace.states import read_state, write_state

T = TypeVar("T")


class Module(ParameterContainer):
    """A program, or a part of one: its attributes hold parameters and further modules."""

    def forward(self, *args: Any, **kwargs: Any) -> Node:
        """Run the module; to be written by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define it")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run `forward`."""
        return self.forward(*args, **kwargs)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the state as JSON; folders are made."""
        write_state(path, ParameterContainer.state(self))

    def load(self, path: str | PathLike[str]) -> None:
        """Set what `save` wrote, all or nothing.

        Raises KeyError for unknown names and ValueError for a value that is refused.
        """
        self.load_state(read_state(path))


def model(cls: type[T]) -> type[T]:
    """Make a class a Module by decoration.

    A type checker sees Module's methods only on a class that derives from Module itself.
    Zero-argument super() and pickling work as in the class itself.
    """
    if issubclass(cls, Module):
        return cls
    names: Mapping[str, Any] = {
        name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")
    }
    return cast(
        "type[T]", types.new_class(cls.__name__, (cls, Module), {}, lambda body: body.update(names))
    )
