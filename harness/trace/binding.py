"""The arguments of a call under the names of the function's parameters, as nodes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from os import PathLike
from typing import Any, NamedTuple

from harness.trace.kinds import Node
from harness.trace.nodes import as_node, constant, distinct, record
from harness.trace.origins import Named
from harness.trace.parameters import CODE, ParameterNode
from harness.trace.snapshots import BARE, snapshot
from harness.trace.states import read_state, write_state

_SEVERAL = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
_FUNCTION = Named("function", "A function whose code is a parameter.")


class HasCode:
    """A function whose source may be a parameter; given as an argument, it brings that along."""

    @property
    def code_parameter(self) -> ParameterNode[str] | None:
        """The source as a parameter; None if the function is not trainable."""
        raise NotImplementedError

    def parameters(self) -> list[ParameterNode[Any]]:
        """Return the code parameter, if there is one."""
        return [] if self.code_parameter is None else [self.code_parameter]

    def save(self, path: str | PathLike[str]) -> None:
        """Write the code as JSON."""
        write_state(path, dict((CODE, parameter.raw) for parameter in self.parameters()))

    def load(self, path: str | PathLike[str]) -> None:
        """Read what `save` wrote. Raises ValueError for code that may not stand here."""
        values = read_state(path)
        if list(values) != [CODE for _ in self.parameters()]:
            raise ValueError(f"{path} has the values {list(values)}; wanted is {CODE!r} alone")
        for parameter in self.parameters():
            parameter.set(values[CODE])


class Call(NamedTuple):
    """One call: its inputs by argument name, in order; the first `n_positional` by position.

    given: the arguments as they came, in the same order. keywords: the names under which the
    other ones are passed.
    """

    inputs: dict[str, Node[Any]]
    given: tuple[Any, ...]
    n_positional: int
    keywords: tuple[str, ...] = ()

    def values(self) -> tuple[list[Any], dict[str, Any]]:
        """Return copies of the values, by position and by keyword."""
        values = [snapshot(n.raw) for n in self.inputs.values()]
        return (values, {}) if not self.keywords else self._split(values)

    def nodes(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments as they came: nodes as nodes, all else as it is."""
        return self._split(list(self.given))

    def detached(self) -> tuple[list[Any], dict[str, Any]]:
        """Return new nodes of the same values, without history."""
        pairs = self.inputs.items()
        return self._split([constant(snapshot(n.raw), (name, "")) for name, n in pairs])

    def _split(self, values: list[Any]) -> tuple[list[Any], dict[str, Any]]:
        if not self.keywords:
            return values, {}
        named = dict(zip(self.keywords, values[self.n_positional :], strict=True))
        return values[: self.n_positional], named


class Binder:
    """Puts the arguments of a call under the names of the function's parameters."""

    __slots__ = ("name", "names", "signature")

    def __init__(self, name: str, parameters: list[inspect.Parameter]) -> None:
        self.name = name
        self.signature = inspect.Signature(parameters)
        plain = all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        self.names = tuple(p.name for p in parameters) if plain else None

    def bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Call:
        """Return the call. Raises TypeError if the arguments do not fit."""
        if self.names is not None and not kwargs and len(args) == len(self.names):
            pairs = zip(self.names, args, strict=True)
            return Call(
                {n: a if isinstance(a, Node) else as_input(a, n) for n, a in pairs}, args, len(args)
            )
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self.name}(): {error}; it takes {self.signature}") from error
        bound.apply_defaults()
        return self._spread(bound.arguments)

    def _spread(self, arguments: Mapping[str, Any]) -> Call:
        found: dict[str, Any] = {}
        n_positional, keywords = 0, list[str]()
        for name, parameter in self.signature.parameters.items():
            several, value = parameter.kind in _SEVERAL, arguments[name]
            if parameter.kind in _BY_NAME:
                named: Mapping[str, Any] = value if several else {name: value}
                found |= {distinct(key, found): item for key, item in named.items()}
                keywords.extend(named)
                continue
            items = {f"{name}_{i}": v for i, v in enumerate(value)} if several else {name: value}
            found |= {distinct(key, found): item for key, item in items.items()}
            n_positional += len(items)
        inputs = {key: as_input(item, key) for key, item in found.items()}
        return Call(inputs, tuple(found.values()), n_positional, tuple(keywords))


def as_input(value: Any, name: str) -> Node[Any]:
    """Return the node of an argument."""
    if isinstance(value, Node):
        return value  # pyright: ignore[reportUnknownVariableType]  # a node of any value
    if type(value) in BARE:
        return constant(value, (name, ""))
    if isinstance(value, HasCode) and value.code_parameter is not None:
        return record(value, _FUNCTION, {CODE: value.code_parameter})
    return as_node(value, name)
