"""Parameter, a value that an optimizer may change."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from harness.trace.constraints import Constraint, OneOf, as_constraint, rule_of_kind
from harness.trace.context import CREATION
from harness.trace.kinds import Node, T
from harness.trace.snapshots import snapshot

ParameterKind: TypeAlias = Literal["text", "demos", "code", "number", "choice", "data"]
# The argument under which a trainable function has its own source as an input.
CODE = "__code"
KINDS = get_args(ParameterKind)


class ParameterNode(Node[T]):
    """A value that an optimizer may change.

    kind: by default from the value: text, number, demos for a list of dicts, choice for what has
    allowed values, else data (any JSON value). constraint: a rule from constraints.py that every
    new value has to keep, or a text, which only the optimizer reads. fields: for demos, the
    input fields and, last, the output field. trainable: False freezes it.
    """

    __slots__ = ("changed", "fields", "is_trainable", "kind", "own_rule", "rule")
    about = "This is a ParameterNode in a computational graph."

    def __init__(  # noqa: PLR0913  every fact an optimizer may ask for, all but one by keyword
        self,
        value: T | Node[T],
        *,
        name: str | None = None,
        kind: ParameterKind | None = None,
        description: str | None = None,
        constraint: str | Constraint | None = None,
        fields: tuple[str, ...] = (),
        trainable: bool = True,
    ) -> None:
        super().__init__(value, name=name, description=description)
        self.own_rule = as_constraint(constraint)
        self.kind: ParameterKind = kind or kind_of(self.raw, self.own_rule)
        if self.kind not in KINDS:
            raise ValueError(f"kind {kind!r}; allowed: {', '.join(KINDS)}")
        self.fields = fields
        self.is_trainable = trainable
        rule = rule_of_kind(self.kind, self.raw, fields)
        self.rule: Constraint = rule & self.own_rule if self.own_rule else rule
        self._require(self.raw)
        self.changed = self.serial

    @property
    def constraint(self) -> str:
        """The rule in words; empty if there is none besides the kind."""
        return self.own_rule.words if self.own_rule else ""

    @property
    def trainable(self) -> bool:
        """Whether an optimizer may change the value."""
        return self.is_trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.is_trainable = value

    def refusal(self, value: object) -> str | None:
        """Return why `value` cannot be set, or None if it can."""
        return self.rule.refusal(self._shaped(value))

    def set(self, value: object) -> None:
        """Replace the value. Raises ValueError with the reason if it is refused."""
        value = self._shaped(value)
        self._require(value)
        self.raw, self.changed = snapshot(value), next(CREATION)

    def _shaped(self, value: Any) -> Any:
        """Return the value of a node; a list for a tuple, which JSON does not have, as a tuple."""
        value = snapshot(value.raw if isinstance(value, Node) else value)  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType]  # a node of any value
        return tuple(value) if type(value) is list and type(self.raw) is tuple else value  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType]

    def _require(self, value: object) -> None:
        reason = self.refusal(value)
        if reason is not None:
            rule = f"; {self.constraint}" if self.constraint else ""
            raise ValueError(f"parameter {self.label or 'without a name'}: {reason}{rule}")

    @property
    def _data(self) -> Any:
        return self.raw

    @_data.setter
    def _data(self, value: object) -> None:
        # Trace's way to set a value, past every rule.
        self.raw, self.changed = value, next(CREATION)

    @property
    def _constraint(self) -> str | None:
        return self.constraint or None

    def state(self) -> dict[str, Any]:
        """Return what a copy keeps."""
        own = {name: getattr(self, name) for name in ParameterNode.__slots__}
        return {**super().state(), **own, "changed": 0}  # not since it was made


Parameter = ParameterNode


def kind_of(value: object, rule: Constraint | None) -> ParameterKind:
    """Return the kind that a parameter of this value has if its maker does not say."""
    if isinstance(rule, OneOf):
        return "choice"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "number"
    return "data"
