"""A bundle as the method of one instance, with a code parameter of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from harness.trace.binding import HasCode
from harness.trace.kinds import InstanceNode, Node
from harness.trace.nodes import constant
from harness.trace.parameters import ParameterNode

P = ParamSpec("P")
N = TypeVar("N")
RESERVED = "__TRACE_RESERVED_"
SELF_NODE = f"{RESERVED}self_node"


class BoundBundle(HasCode, Generic[P, N]):
    """A bundle as a method of one instance."""

    __slots__ = ("bundle", "instance", "parameter", "self_node")

    def __init__(
        self, bundle: Any, instance: object, parameter: ParameterNode[str] | None, kept: bool
    ) -> None:
        self.bundle = bundle
        self.instance = instance
        self.parameter = parameter
        self.self_node: Node[Any] = _self_node(instance, kept)

    @property
    def __doc__(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]  # that of the function
        return self.bundle.__doc__

    @property
    def code_parameter(self) -> ParameterNode[str] | None:
        """The instance's own code parameter; None if the bundle is not trainable."""
        return self.parameter

    @overload
    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> N: ...
    @overload
    def __call__(self, /, *args: Any, **kwargs: Any) -> N: ...
    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call the method and return the node of its whole result."""
        return self.bundle.call_on(self, args, kwargs)

    def detach(self) -> BoundBundle[P, N]:
        """Return a copy with a parameter of its own, for the same instance."""
        return BoundBundle(self.bundle, self.instance, copy.deepcopy(self.parameter), kept=False)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.bundle.function.__get__(self.instance)

    def __getattr__(self, name: str) -> Any:
        if name in BoundBundle.__slots__:  # not set yet: while it is being copied
            raise AttributeError(name)
        return getattr(self.bundle, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> BoundBundle[P, N]:
        instance = copy.deepcopy(self.instance, memo)
        return BoundBundle(self.bundle, instance, copy.deepcopy(self.parameter, memo), kept=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebound, (self.bundle, self.instance, self.parameter))


def bind(bundle: Any, instance: object) -> BoundBundle[Any, Any]:
    """Return a bundle as a method; a trainable one always with the instance's own parameter."""
    if bundle.parameter is None or bundle.is_for_class or isinstance(instance, type):
        return BoundBundle(bundle, instance, bundle.parameter, kept=False)
    own = _attributes(instance)
    if own is None:
        raise TypeError(
            f"{type(instance).__name__} has no __dict__ to keep the code parameter of "
            f"{bundle.__qualname__} in; use it on instances, of a class without __slots__"
        )
    key = f"{RESERVED}bundle_{bundle.__qualname__}"
    found: BoundBundle[Any, Any] | None = own.get(key)
    while found is not None and found.bundle.function is not bundle.function:
        key += "'"  # another function of the same name, from a factory of classes
        found = own.get(key)
    if found is not None and found.instance is instance:
        return found
    # A shallow copy of an object shares its parameters, as it shares all else.
    parameter = found.parameter if found is not None else bundle.new_parameter(method=True)
    new = BoundBundle[Any, Any](bundle, instance, parameter, kept=True)
    if found is None:
        return own.setdefault(key, new)  # one step of the interpreter: threads agree
    own[key] = new
    return new


def _self_node(instance: object, kept: bool) -> Node[Any]:
    own = _attributes(instance)
    if not kept or own is None:
        return _instance_node(instance)
    found: Node[Any] | None = own.get(SELF_NODE)
    if found is not None and found.raw is instance:
        return found
    own[SELF_NODE] = new = _instance_node(instance)
    return new


def _attributes(instance: object) -> dict[str, Any] | None:
    own: Any = getattr(instance, "__dict__", None)
    return cast("dict[str, Any]", own) if isinstance(own, dict) else None


def _instance_node(instance: object) -> Node[Any]:
    made = constant(instance, ("self", ""))
    made.__class__ = InstanceNode  # same slots
    return made


def _rebound(
    bundle: Any, instance: object, parameter: ParameterNode[str] | None
) -> BoundBundle[Any, Any]:
    return BoundBundle(bundle, instance, parameter, kept=False)
