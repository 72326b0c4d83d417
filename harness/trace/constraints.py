"""Constraints: rules for the values of parameters, told in words and enforced.

A value may come from a model, so a check trusts nothing: it never raises, and it cuts what it
quotes. The classes are frozen; they pickle if what they hold does. `a & b` asks for both.
"""

from __future__ import annotations

import json
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import Any, TypeAlias, cast

from harness.trace.quote import cut, error_words, shown

Schema: TypeAlias = dict[str, object]

# How a type is called in a reason, and in a JSON schema.
_NAMES: Mapping[type, tuple[str, str]] = {
    str: ("a text", "string"),
    bool: ("true or false", "boolean"),
    int: ("a whole number", "integer"),
    float: ("a number", "number"),
    list: ("a list", "array"),
    dict: ("an object", "object"),
    type(None): ("null", "null"),
}
# What only Python's patterns have, or what means something else in those of JSON schema.
_PYTHON_ONLY = re.compile(r"\(\?(?![:=!])|\\[AZUNa]|[*+?}]\+|\{,|\[\^?\]")
_LARGEST = sys.float_info.max


class Constraint(ABC):
    """A rule for a value. One of your own is made with `Satisfies`."""

    __slots__ = ()

    @property
    def words(self) -> str:
        """The rule in sentences, for a prompt."""
        return self._told()[0]

    def schema(self) -> Schema:
        """Return a JSON schema for servers that constrain decoding; {} if it cannot say.

        It may allow more than the rule does, so the value has to be checked as well.
        """
        return self._told()[1]

    def refusal(self, value: object) -> str | None:
        """Return in one clause why `value` is refused, or None if it is fine. Never raises."""
        try:
            return self._check(value)
        except Exception as error:  # noqa: BLE001  code of the value or of a predicate ran
            return f"it cannot be checked: {error_words(error)}"

    def __and__(self, other: Constraint) -> Constraint:
        return All((*_parts(self), *_parts(other)))

    @abstractmethod
    def _told(self) -> tuple[str, Schema]: ...

    @abstractmethod
    def _check(self, value: Any) -> str | None: ...


@dataclass(frozen=True, slots=True)
class All(Constraint):
    """Every one of the parts, asked in their order; made by `a & b`.

    The words come on lines of their own if one part has several lines. The schemas are merged;
    `allOf` holds those that clash with the ones before.
    """

    parts: tuple[Constraint, ...]

    def _told(self) -> tuple[str, Schema]:
        words = [part.words for part in self.parts if part.words]
        whole: Schema = {}
        rest: list[Schema] = []
        for schema in (part.schema() for part in self.parts):
            if any(whole[key] != schema[key] for key in whole.keys() & schema.keys()):
                rest.append(schema)
            else:
                whole |= schema
        joined = ("\n" if any("\n" in w for w in words) else " ").join(words)
        return joined, whole | {"allOf": rest} if rest else whole

    def _check(self, value: Any) -> str | None:
        reasons = (part.refusal(value) for part in self.parts)
        return next((reason for reason in reasons if reason is not None), None)


@dataclass(frozen=True, slots=True)
class Words(Constraint):
    """A rule in words alone: told to an optimizer, enforces nothing."""

    text: str

    def _told(self) -> tuple[str, Schema]:
        return self.text, {}

    def _check(self, value: Any) -> str | None:
        return None


@dataclass(frozen=True, slots=True, init=False)
class OfType(Constraint):
    """A value of one of these types: str, bool, int, float, list, dict, type(None).

    A bool is no int. An int is fine where float is asked. For finite numbers take Range().
    """

    types: tuple[type, ...]

    def __init__(self, *types: type) -> None:
        if not types or any(t not in _NAMES for t in types):
            known = ", ".join(t.__name__ for t in _NAMES)
            raise ValueError(f"OfType{types}; allowed: {known}; for another type use Satisfies")
        told = tuple(t for t in types if t is not int or float not in types)
        object.__setattr__(self, "types", told)

    def _told(self) -> tuple[str, Schema]:
        names = [_NAMES[t][1] for t in self.types]
        return f"It is {self._named()}.", {"type": names if len(names) > 1 else names[0]}

    def _check(self, value: Any) -> str | None:
        kind = cast("type[object]", type(value))
        wanted = (*self.types, int) if float in self.types else self.types
        if kind in self.types or (kind is not bool and issubclass(kind, wanted)):
            return None
        return f"it must be {self._named()}, not {kind.__name__}"

    def _named(self) -> str:
        return " or ".join(_NAMES[t][0] for t in self.types)


@dataclass(frozen=True, slots=True)
class Range(Constraint):
    """A finite number from `low` to `high`, both included; None leaves an end open.

    integer: int only, 2.0 is refused. An int beyond the largest float counts as not finite.
    """

    low: float | None = None
    high: float | None = None
    integer: bool = False

    def __post_init__(self) -> None:
        ends = [-_LARGEST, *(end for end in (self.low, self.high) if end is not None), _LARGEST]
        if not all(low <= high for low, high in pairwise(ends)):
            raise ValueError(
                f"Range from {self.low} to {self.high}; allowed: finite ends, `low` not above "
                "`high`; leave an end out to keep it open"
            )

    def _told(self) -> tuple[str, Schema]:
        schema: Schema = {"type": "integer" if self.integer else "number"}
        ends = {"minimum": self.low, "maximum": self.high}
        schema |= {name: end for name, end in ends.items() if end is not None}
        return f"It is {self._noun()}, {self._span()}.", schema

    def _check(self, value: Any) -> str | None:
        kind = cast("type[object]", type(value))
        if kind is bool or not issubclass(kind, int | float):
            return f"it must be {self._noun()}, not {kind.__name__}"
        if self.integer and not issubclass(kind, int):
            return f"it must be {self._noun()}, not {shown(value)}"
        if not -_LARGEST <= value <= _LARGEST:
            return f"it must be a finite number, not {shown(value)}"
        fits = self.low is None or self.low <= value
        fits = fits and (self.high is None or value <= self.high)
        return None if fits else f"it is {shown(value)}; allowed: {self._span()}"

    def _noun(self) -> str:
        return "a whole number" if self.integer else "a number"

    def _span(self) -> str:
        if self.low is None:
            return "finite" if self.high is None else f"at most {self.high}"
        return f"at least {self.low}" if self.high is None else f"{self.low} to {self.high}"


@dataclass(frozen=True, slots=True, init=False)
class OneOf(Constraint):
    """One of these values, also in type: True is not 1 and 1 is not 1.0, also within a list."""

    values: tuple[object, ...]

    def __init__(self, *values: object) -> None:
        if not values:
            raise ValueError("OneOf() allows nothing; give one or more values: OneOf('a', 'b')")
        object.__setattr__(self, "values", values)

    def _told(self) -> tuple[str, Schema]:
        schema: Schema = {"enum": list(self.values)} if all(map(_is_json, self.values)) else {}
        return f"It is one of: {self._named()}.", schema

    def _check(self, value: Any) -> str | None:
        if any(_same(value, allowed) for allowed in self.values):
            return None
        return f"it is {shown(value)}; allowed: {self._named()}"

    def _named(self) -> str:
        return ", ".join(map(repr, self.values))


@dataclass(frozen=True, slots=True)
class Matches(Constraint):
    """A text that a regular expression of Python's `re` matches as a whole.

    longest: a longer text is refused unseen. That bounds the time of most patterns, but not of
    nested repeats like `(a+)+b`, exponential in the length: Python cannot stop a match. Write
    those with `a++` or `(?>...)`, which never go back. The schema holds the pattern unless it
    uses what only Python has.
    """

    pattern: str
    longest: int = 4000

    def __post_init__(self) -> None:
        re.compile(self.pattern)

    def _told(self) -> tuple[str, Schema]:
        schema: Schema = {"type": "string", "maxLength": self.longest}
        if not _PYTHON_ONLY.search(self.pattern):
            schema["pattern"] = f"^(?:{self.pattern})$"
        return f"It is a text that matches {self.pattern} as a whole.", schema

    def _check(self, value: Any) -> str | None:
        reason = _TEXT.refusal(value) or MaxLength(self.longest).refusal(value)
        # `re` keeps what it compiled.
        if reason or re.fullmatch(self.pattern, value):
            return reason
        return f"it is {shown(value)}; it must match {self.pattern} as a whole"


@dataclass(frozen=True, slots=True)
class MaxLength(Constraint):
    """A text of at most `n` characters, or a list or an object of at most `n` items."""

    n: int

    def _told(self) -> tuple[str, Schema]:
        words = f"It has at most {self.n} characters (a text) or items (a list, an object)."
        return words, {"maxLength": self.n, "maxItems": self.n, "maxProperties": self.n}

    def _check(self, value: Any) -> str | None:
        if not issubclass(type(value), str | list | tuple | dict):
            return f"it must be a text, a list or an object, not {type(value).__name__}"
        unit = "characters" if isinstance(value, str) else "items"
        return None if len(value) <= self.n else f"it has {len(value)} {unit}; at most {self.n}"


@dataclass(frozen=True, slots=True)
class ListOf(Constraint):
    """A list (or a tuple) whose items all keep a rule; noun: what one item is called."""

    item: Constraint
    noun: str = ""

    def _told(self) -> tuple[str, Schema]:
        words = f"It is a list. Each {self.noun or 'item'}: {self.item.words}"
        return words, {"type": "array", "items": self.item.schema()}

    def _check(self, value: Any) -> str | None:
        if not issubclass(type(value), list | tuple):
            whole = f"{self.noun}s" if self.noun else "it"
            return f"{whole} must be a list, not {type(value).__name__}"
        for i, item in enumerate(value):
            reason = self.item.refusal(item)
            if reason is not None:
                return _about(f"{self.noun or 'item'} {i}", reason)
        return None


@dataclass(frozen=True, slots=True, init=False)
class DictOf(Constraint):
    """An object with exactly these fields, each with a rule of its own."""

    fields: tuple[tuple[str, Constraint], ...]

    def __init__(self, fields: Mapping[str, Constraint]) -> None:
        object.__setattr__(self, "fields", tuple(fields.items()))

    def _told(self) -> tuple[str, Schema]:
        rules = (f"Field {name}: {rule.words}" for name, rule in self.fields if rule.words)
        fields = {name: rule.schema() for name, rule in self.fields}
        schema: Schema = {"type": "object", "properties": fields, "required": list(fields)}
        words = " ".join((f"It is an object with {self._named()}.", *rules))
        return words, schema | {"additionalProperties": False}

    def _check(self, value: Any) -> str | None:
        if not issubclass(type(value), dict):
            return f"it must be an object, not {type(value).__name__}"
        if len(value) != len(self.fields) or any(name not in value for name, _ in self.fields):
            found = cut(", ".join(map(shown, islice(cast("dict[object, Any]", value), 20))))
            return f"it must have {self._named()}; it has {found or 'none'}"
        reasons = ((name, rule.refusal(value[name])) for name, rule in self.fields)
        return next((_about(f"field {name}", why) for name, why in reasons if why), None)

    def _named(self) -> str:
        return f"the fields {', '.join(name for name, _ in self.fields)} and no others"


@dataclass(frozen=True, slots=True)
class Satisfies(Constraint):
    """A rule of your own: `predicate` returns a bool, or why it refuses the value, or None.

    If it raises or returns anything else, the value is refused and the reason names that. To be
    pickled it must be a function at the top level of a module.
    """

    predicate: Callable[[Any], bool | str | None]
    text: str

    def _told(self) -> tuple[str, Schema]:
        return self.text, {}

    def _check(self, value: Any) -> str | None:
        verdict = cast("object", self.predicate(value))
        if verdict is True or verdict is None:
            return None
        if verdict is not False and not isinstance(verdict, str):
            raise TypeError(f"the predicate returned {shown(verdict)}; allowed: bool, str, None")
        return cut(verdict or f"it is {shown(value)}; allowed: {self.text}", 500)


_TEXT = OfType(str)


def as_constraint(value: object) -> Constraint | None:
    """Return a constraint as it is, a text as `Words`, and None for None or an empty text."""
    if value is None or isinstance(value, Constraint):
        return value
    if isinstance(value, str):
        return Words(value) if value else None
    raise TypeError(
        f"constraint {shown(value)}; allowed: a text, a constraint such as Range(0, 1), or None"
    )


def rule_of_kind(kind: str, value: object, fields: tuple[str, ...] = ()) -> Constraint:
    """Return what every value of a parameter of this kind keeps; a choice keeps its type.

    fields: those that each demo must have; none for demos with any.
    """
    match kind:
        case "text" | "code":
            return _TEXT
        case "number":
            return Range()
        case "demos":
            demo = DictOf(dict.fromkeys(fields, Words(""))) if fields else OfType(dict)
            return ListOf(demo, "demo")
        case "choice" | "data" if value is None:
            return Words("")
        case "choice" | "data":
            name = type(value).__name__
            return Satisfies(partial(_other_type, type(value)), f"It stays of type {name}.")
        case _:
            raise ValueError(f"kind {kind!r}; allowed: text, code, number, demos, choice, data")


def _about(subject: str, reason: str) -> str:
    return subject + reason.removeprefix("it") if reason[:3] == "it " else f"{subject}: {reason}"


def _parts(constraint: Constraint) -> tuple[Constraint, ...]:
    return constraint.parts if isinstance(constraint, All) else (constraint,)


def _same(value: Any, allowed: Any) -> bool:
    if type(value) is not type(allowed):
        return False
    if type(allowed) in (list, tuple):
        return len(value) == len(allowed) and all(map(_same, value, allowed))
    if type(allowed) is dict:
        mine, other = cast("dict[Any, Any]", value), cast("dict[Any, Any]", allowed)
        return mine.keys() == other.keys() and all(_same(mine[key], other[key]) for key in other)
    return bool(value == allowed)


def _is_json(value: object) -> bool:
    try:
        return _same(value, json.loads(json.dumps(value, allow_nan=False)))
    except (TypeError, ValueError, RecursionError):
        return False


def _other_type(kept: type, value: object) -> str | None:
    found = type(value)
    return None if found is kept else f"it must stay of type {kept.__name__}, not {found.__name__}"
