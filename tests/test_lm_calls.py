"""A request's key and the record of a call."""

import hashlib
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from harness.lm import RecordedCall, Request, request_key
from harness.types import Usage

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.floats(0, 2)
REQUESTS = st.builds(
    Request,
    model=TEXT,
    messages=st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT})).map(tuple),
    temperature=NUMBER,
    top_p=NUMBER,
    max_tokens=st.integers(1, 10**6),
    seed=st.integers(),
    schema=st.none() | st.dictionaries(TEXT, st.none() | st.booleans() | TEXT),
)
CALLS = st.builds(
    RecordedCall,
    request=st.tuples(REQUESTS, st.integers(0, 9)).map(lambda pair: pair[0].to_json(pair[1])),
    text=TEXT,
    finish_reason=TEXT,
    usage=st.builds(Usage, cost_usd=st.none() | NUMBER, seconds=NUMBER),
    attempts=st.lists(TEXT).map(tuple),
    side=st.sampled_from(["task", "optimizer"]),
    schema_enforced=st.booleans(),
)
REQUEST = Request("m@12345678", ({"role": "user", "content": "hi"},), 0.5, 1.0, 16, 7, {"a": 1})


@given(CALLS)
def test_a_record_survives_the_way_through_json(call: RecordedCall):
    assert RecordedCall.from_json(json.loads(json.dumps(call.to_json()))) == call


@given(REQUESTS, st.integers(0, 9))
def test_the_key_can_be_computed_from_the_recorded_request(request: Request, sample: int):
    recorded = json.loads(json.dumps(request.to_json(sample)))

    assert request_key(recorded) == request.key(sample)


def test_the_key_is_the_sha256_of_the_canonical_json():
    text = (
        '{"max_tokens":16,"messages":[{"content":"hi","role":"user"}],"model":"m@12345678",'
        '"sample":3,"schema":{"a":1},"seed":7,"temperature":0.5,"top_p":1.0}'
    )

    assert REQUEST.key(3) == hashlib.sha256(text.encode()).hexdigest()


def test_every_field_and_the_sample_change_the_key():
    others = [
        replace(REQUEST, model="n"),
        replace(REQUEST, messages=()),
        replace(REQUEST, temperature=0.6),
        replace(REQUEST, top_p=0.9),
        replace(REQUEST, max_tokens=17),
        replace(REQUEST, seed=8),
        replace(REQUEST, schema=None),
    ]

    keys = [REQUEST.key(0), REQUEST.key(1), *(other.key(0) for other in others)]

    assert len(set(keys)) == len(others) + 2


def test_a_whole_number_is_the_same_temperature_as_its_float():
    assert replace(REQUEST, temperature=1).key(0) == replace(REQUEST, temperature=1.0).key(0)
