import math
import pickle
import re
import time

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.trace.code import Signature
from harness.trace.constraints import (
    All,
    Constraint,
    DictOf,
    ListOf,
    Matches,
    MaxLength,
    OfType,
    OneOf,
    Range,
    Satisfies,
    Words,
    as_constraint,
    rule_of_kind,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(-5, 5).filter(lambda x: not x.is_integer())
    | st.text("ab1\n", max_size=4)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("qax"), inner, max_size=3)
    ),
    max_leaves=6,
)
ENDS = st.none() | st.integers(-5, 5) | st.floats(-5, 5)


def is_even(value: object) -> bool | str | None:
    return value % 2 == 0  # pyright: ignore[reportOperatorIssue]


RULES = {
    "type": OfType(str, float),
    "null": OfType(type(None), bool, list),
    "range": Range(-1, 3.5),
    "integers": Range(low=0, integer=True),
    "one": OneOf("a", True, 2, None, [1, False], {"q": 0}),
    "matches": Matches("[ab]+1?", longest=3),
    "text": OfType(str) & MaxLength(2),
    "list": ListOf(OfType(int, bool)) & MaxLength(2),
    "dict": DictOf({"q": OfType(str), "a": Range(0, 1) & Words("Not too sure.")}),
    "nested": ListOf(DictOf({"x": ListOf(OneOf("a", 1))})),
    "clash": OfType(float) & Range(0, 2, integer=True),
    "words": Words("Be brief."),
    "own": Satisfies(is_even, "It is even."),
    "code": Signature("f", ("x",), is_async=True, yields=True),
    "kind": rule_of_kind("choice", "a"),
}
SAID_IN_SCHEMA = sorted(set(RULES) - {"words", "own", "code", "kind"})


class Hostile:
    @property
    def __class__(self):
        raise RuntimeError("no class")

    def __eq__(self, other):
        raise RuntimeError("no equality")

    def __hash__(self):
        return hash("q")

    def __repr__(self):
        raise RuntimeError("no repr")

    __str__ = __bool__ = __len__ = __iter__ = __contains__ = __mod__ = __repr__


def rings() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    knot: dict[str, object] = {}
    knot["q"] = knot["a"] = knot
    return [ring, knot]


HOSTILE = [
    Hostile(),
    [Hostile()],
    {"q": Hostile(), "a": Hostile()},
    {Hostile(): 1, "a": 2},
    *rings(),
    float("nan"),
    float("-inf"),
    10**5000,
    -(10**400),
    "x" * 10_000_000,
    "\ud800" * 200,
    {"\ud800": 1},
    [[]] * 100_000,
    object,
    b"a",
]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_no_value_makes_a_check_raise_or_hang_and_reasons_are_short_and_writable(rule: Constraint):
    started = time.perf_counter()
    reasons = [rule.refusal(value) for value in HOSTILE]

    assert time.perf_counter() - started < 5
    for reason in filter(None, reasons):
        assert len(reason.encode()) < 300


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_survives_pickling_and_cannot_be_changed(rule: Constraint):
    back = pickle.loads(pickle.dumps(rule))

    assert (back.words, back.schema()) == (rule.words, rule.schema())
    assert [back.refusal(v) for v in ("a", 1, [1])] == [rule.refusal(v) for v in ("a", 1, [1])]
    assert rule.words
    with pytest.raises((AttributeError, TypeError)):
        rule.words = "x"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises((AttributeError, TypeError)):
        setattr(rule, next(iter(rule.__dataclass_fields__)), 1)  # pyright: ignore


@pytest.mark.parametrize("name", SAID_IN_SCHEMA)
@given(value=JSON)
def test_the_schema_allows_exactly_what_the_rule_allows(name: str, value: object):
    schema = RULES[name].schema()

    allowed = jsonschema.Draft202012Validator(schema).is_valid(value)

    # `$` of Python, which stands in for that of JSON schema, also matches before a last newline.
    if not (isinstance(value, str) and value.endswith("\n")):
        assert (RULES[name].refusal(value) is None) == allowed


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@given(value=JSON)
def test_no_schema_forbids_what_the_rule_allows(rule: Constraint, value: object):
    if rule.refusal(value) is None:
        jsonschema.Draft202012Validator(rule.schema()).validate(value)


@given(st.floats() | st.integers() | st.booleans(), ENDS, ENDS, st.booleans())
def test_a_range_allows_the_finite_numbers_between_its_ends(value, low, high, integer):
    if low is not None and high is not None and low > high:
        low, high = high, low
    fits = not isinstance(value, bool) and math.isfinite(value)
    fits = fits and (low is None or value >= low) and (high is None or value <= high)
    fits = fits and not (integer and isinstance(value, float))

    assert (Range(low, high, integer).refusal(value) is None) == fits


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        (Range(0, 1), 1.7, "it is 1.7; allowed: 0 to 1"),
        (Range(low=0.5), 0, "it is 0; allowed: at least 0.5"),
        (Range(high=3), 10**100, "it is an integer of 333 bits; allowed: at most 3"),
        (Range(), math.nan, "it must be a finite number, not nan"),
        (Range(), 10**400, "it must be a finite number, not an integer of 1329 bits"),
        (Range(integer=True), 2.0, "it must be a whole number, not 2.0"),
        (OfType(int), True, "it must be a whole number, not bool"),
        (OfType(float, str), None, "it must be a number or a text, not NoneType"),
        (OneOf(1, "b"), True, "it is True; allowed: 1, 'b'"),
        (OneOf([1]), [True], "it is a list of 1 items; allowed: [1]"),
        (OneOf({"a": 1}), {"a": 1.0}, "it is a dict of 1 items; allowed: {'a': 1}"),
        (OneOf((1, 2)), [1, 2], "it is a list of 2 items; allowed: (1, 2)"),
        (Matches("a+"), "aab", "it is 'aab'; it must match a+ as a whole"),
        (Matches("a+"), "a\n", r"it is 'a\n'; it must match a+ as a whole"),
        (Matches("a+", 3), "aaaa", "it has 4 characters; at most 3"),
        (Matches("a+"), 1, "it must be a text, not int"),
        (MaxLength(1), [1, 2], "it has 2 items; at most 1"),
        (MaxLength(1), 5, "it must be a text, a list or an object, not int"),
        (ListOf(Range(0, 1)), [1, 2], "item 1 is 2; allowed: 0 to 1"),
        (ListOf(ListOf(OfType(str))), [[], [1]], "item 1: item 0 must be a text, not int"),
        (ListOf(OfType(str)), "ab", "it must be a list, not str"),
        (
            DictOf({"q": Words(""), "a": Words("")}),
            {"q": 1, "b": 2},
            "it must have the fields q, a and no others; it has 'q', 'b'",
        ),
        (
            DictOf({"q": Words("")}),
            {"q": 1, "b": 2},
            "it must have the fields q and no others; it has 'q', 'b'",
        ),
        (DictOf({"q": Range(0, 1)}), {"q": "x"}, "field q must be a number, not str"),
        (OfType(str) & MaxLength(2), 7, "it must be a text, not int"),
        (OfType(str) & MaxLength(2), "abc", "it has 3 characters; at most 2"),
    ],
)
def test_a_reason_tells_what_is_wrong_and_what_is_allowed(rule, value, reason):
    assert rule.refusal(value) == reason


@given(JSON, JSON)
def test_one_of_tells_values_of_another_type_apart(one, other):
    # `repr` writes each type in another way; equal lists and objects have sorted keys here.
    same = repr(_sorted(one)) == repr(_sorted(other))

    assert (OneOf(one).refusal(other) is None) == same
    assert OneOf(other, one).refusal(one) is None


def _sorted(value):
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@given(st.text("ab1", max_size=6))
def test_both_is_the_first_reason_in_order(text):
    first, second = Matches("[ab]*"), MaxLength(3)

    assert (first & second).refusal(text) == (first.refusal(text) or second.refusal(text))
    assert (second & first).refusal(text) == (second.refusal(text) or first.refusal(text))


def test_both_joins_words_and_merges_schemas():
    three = OfType(str) & (MaxLength(5) & Words("Be brief."))

    assert isinstance(three, All) and len(three.parts) == 3
    assert three.words == (
        "It is a text. It has at most 5 characters (a text) or items (a list, an object). Be brief."
    )
    assert three.schema() == {"type": "string", "maxLength": 5, "maxItems": 5, "maxProperties": 5}
    assert (Words("a:\nb") & Words("c")).words == "a:\nb\nc"
    assert (Range(0) & Range(high=1)).schema() == {"type": "number", "minimum": 0, "maximum": 1}
    assert (Range(0) & Range(1)).schema()["allOf"] == [{"type": "number", "minimum": 1}]


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (True, None),
        (None, None),
        (False, "it is 'v'; allowed: The rule."),
        ("", "it is 'v'; allowed: The rule."),
        ("it is odd", "it is odd"),
        (
            re.match("v", "v"),
            "it cannot be checked: TypeError: the predicate returned a value of type Match; "
            "allowed: bool, str, None",
        ),
    ],
)
def test_a_predicate_returns_a_bool_or_a_reason_and_nothing_else(verdict, reason):
    assert Satisfies(lambda _: verdict, "The rule.").refusal("v") == reason


def test_what_a_predicate_raises_is_named_in_the_reason():
    def fails(value):
        raise ValueError(value)

    rule = Satisfies(fails, "It works.")

    assert rule.refusal("too odd") == "it cannot be checked: ValueError: too odd"
    assert rule.refusal(Hostile()) == "it cannot be checked: ValueError"
    assert rule.refusal("\ud800") == r"it cannot be checked: ValueError: \ud800"
    assert len(rule.refusal("x" * 10_000) or "") < 300


def test_a_schema_forbids_other_fields_and_leaves_out_what_json_cannot_write():
    schema = DictOf({"q": Words("")}).schema()

    assert not jsonschema.Draft202012Validator(schema).is_valid({"q": 1, "b": 2})
    for value in (math.inf, (1, 2), {1: "a"}, b"a"):
        assert OneOf("a", value).schema() == {}
    assert OneOf("a", None, [0.5]).schema() == {"enum": ["a", None, [0.5]]}


def test_a_pattern_that_only_python_has_stays_out_of_the_schema():
    for pattern in ("(?i)a", "(?P<n>a)", r"a\Z", "a++", "(?>a)b", "a{,3}", "[]a]"):
        assert Matches(pattern).schema() == {"type": "string", "maxLength": 4000}
    assert Matches("a(?:b|c)(?!d)").schema()["pattern"] == "^(?:a(?:b|c)(?!d))$"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OfType(set), "allowed: str, bool, int"),
        (lambda: OfType(), "allowed: str, bool, int"),
        (lambda: Range(2, 1), "`low` not above"),
        (lambda: Range(math.nan), "finite ends"),
        (lambda: Range(high=math.inf), "finite ends"),
        (lambda: OneOf(), "one or more values"),
        (lambda: rule_of_kind("prompt", "a"), "allowed: text, code"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_broken_pattern_is_refused_when_it_is_made():
    with pytest.raises(re.error, match="unterminated"):
        Matches("[a")


def test_a_plain_text_is_told_and_enforces_nothing():
    told = as_constraint("Be brief.")

    assert told == Words("Be brief.") and told.refusal(object()) is None and told.schema() == {}
    assert as_constraint(None) is None and as_constraint("") is None
    assert as_constraint(rule := Range(0, 1)) is rule
    with pytest.raises(TypeError, match="constraint 5; allowed: a text"):
        as_constraint(5)


@pytest.mark.parametrize(
    ("kind", "start", "good", "bad", "reason"),
    [
        ("text", "a", "b", 5, "it must be a text, not int"),
        ("code", "a", "b", None, "it must be a text, not NoneType"),
        ("number", 1, 2.5, "3", "it must be a number, not str"),
        ("number", 1, 3, True, "it must be a number, not bool"),
        ("number", 1, 3, math.nan, "it must be a finite number, not nan"),
        ("demos", [], [{"q": "2", "a": "3"}], "none", "demos must be a list, not str"),
        ("demos", [], ({"q": "2", "a": "3"},), ["x"], "demo 0 must be an object, not str"),
        (
            "demos",
            [],
            [],
            [{"q": "2"}],
            "demo 0 must have the fields q, a and no others; it has 'q'",
        ),
        ("choice", "a", "b", 5, "it must stay of type str, not int"),
        ("choice", 1, 2, True, "it must stay of type int, not bool"),
    ],
)
def test_each_kind_of_parameter_has_its_rule(kind, start, good, bad, reason):
    rule = rule_of_kind(kind, start, ("q", "a"))

    assert rule.refusal(good) is None
    assert rule.refusal(bad) == reason
    assert rule_of_kind("demos", []).refusal([{"any": 1}]) is None
