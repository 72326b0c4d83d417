"""replies: what a model writes becomes a typed update, whole or not at all."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.replies import Refused, read_object, read_update, update_schema
from harness.types import Candidate, ParameterInfo

PARAMETERS = {
    "answer.instruction": ParameterInfo("answer.instruction", "text", "", ""),
    "answer.demos": ParameterInfo("answer.demos", "demos", "", "", ("question", "answer")),
    "extract": ParameterInfo("extract", "code", "", ""),
    "k": ParameterInfo("k", "number", "", ""),
}
SEED = Candidate(
    {"answer.instruction": "Answer.", "answer.demos": [], "extract": "def f(x): ...", "k": 2}
)
GOOD = (
    '{"reasoning": "r", "suggestion": {"answer.instruction": "Define a default; use TERMINATE."}}'
)


@pytest.mark.parametrize(
    "reply",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Sure, here it is:\n{GOOD}\nHope this helps!",
        f"```\n{GOOD}\n```\nDone.",
        GOOD.replace("}}", "},}"),
        GOOD[:-1],
        GOOD.replace("a default;", "a\ndefault;").replace("a\ndefault", "a default"),
        '{"answer.instruction": "Define a default; use TERMINATE."}',
        "{'suggestion': {'answer.instruction': 'Define a default; use TERMINATE.'}}",
    ],
)
def test_the_usual_flaws_are_read_through(reply: str) -> None:
    update = read_update(reply, SEED, PARAMETERS)

    assert update.values["answer.instruction"] == "Define a default; use TERMINATE."
    assert {k: v for k, v in update.values.items() if k != "answer.instruction"} == {
        k: v for k, v in SEED.values.items() if k != "answer.instruction"
    }


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no JSON object"),
        ("I cannot do that.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ("{}", "no"),
        ('{"suggestion": {}}', "no parameter"),
        ('{"suggestion": "shorter"}', "not an object"),
        ('{"suggestion": {"nope": 1}}', "unknown parameter 'nope'"),
        ('{"suggestion": {"answer.instruction": 3}}', "a text value is needed"),
        ('{"suggestion": {"k": "many"}}', "a number value is needed"),
        ('{"suggestion": {"k": true}}', "a number value is needed"),
        ('{"suggestion": {"answer.demos": "none"}}', "a demos value is needed"),
        ('{"suggestion": {"answer.instruction": "fine", "k": null}}', "a number value is needed"),
    ],
)
def test_what_cannot_be_used_is_refused_whole_with_a_reason(reply: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_update(reply, SEED, PARAMETERS)


def test_code_comes_out_of_its_fence_and_prompts_keep_theirs() -> None:
    code = "```python\ndef f(x):\n    return x\n```"
    reply = json.dumps({"suggestion": {"extract": code, "answer.instruction": code}})

    update = read_update(reply, SEED, PARAMETERS)

    assert update.values["extract"] == "def f(x):\n    return x\n"
    assert update.values["answer.instruction"] == code


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(reply: str) -> None:
    with contextlib.suppress(Refused):
        assert isinstance(read_object(reply), dict)


@given(st.text(alphabet="{}[]\",:'` \n\\", max_size=60))
def test_any_broken_json_is_read_or_refused(reply: str) -> None:
    with contextlib.suppress(Refused):
        read_update(reply, SEED, PARAMETERS)


def test_deeply_nested_json_does_not_break_the_reader() -> None:
    with pytest.raises(Refused):
        read_update("[" * 100_000 + "{" * 1000, SEED, PARAMETERS)


def test_the_schema_names_every_parameter_with_its_type() -> None:
    schema = json.loads(json.dumps(update_schema(PARAMETERS)))
    suggestion = schema["properties"]["suggestion"]

    demos = suggestion["properties"].pop("answer.demos")
    assert [choice["type"] for choice in demos["anyOf"]] == ["null", "array"]
    assert {n: s["type"] for n, s in suggestion["properties"].items()} == {
        "answer.instruction": "string",
        "extract": "string",
        "k": "number",
    }
    assert set(suggestion["required"]) == set(PARAMETERS)


def test_demos_that_are_null_stay_as_they_are() -> None:
    reply = json.dumps({"suggestion": {"answer.instruction": "New.", "answer.demos": None}})

    update = read_update(reply, SEED, PARAMETERS)

    assert update.values["answer.demos"] == SEED.values["answer.demos"]
    assert update.values["answer.instruction"] == "New."
