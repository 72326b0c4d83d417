"""Strict reading of replies, and what a status means."""

import json
import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import LMRefused, LMUnavailable
from harness.lm import RawReply, Transient
from harness.lm.chat_format import error_text, parse_reply, raise_for_status, retry_after_s
from tests.fault_server import reply

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["choices", "message", "content", "usage", "error", "prompt_tokens"]),
            inner,
        )
    ),
)


@given(st.text(min_size=1))
def test_a_text_comes_out_as_it_went_in(text: str):
    usage = {"prompt_tokens": 4, "completion_tokens": 2}
    body = json.dumps({**reply(text), "usage": usage}).encode()

    assert parse_reply("application/json", body) == RawReply(text, 4, 2, "stop", None)


@given(ANY_JSON)
def test_any_json_is_a_reply_or_one_of_two_errors(data: object):
    try:
        parse_reply("application/json; charset=utf-8", json.dumps(data).encode())
    except (Transient, LMRefused) as e:
        assert "\n" not in str(e)


@given(st.binary(max_size=50))
def test_any_bytes_are_one_of_two_errors(body: bytes):
    with pytest.raises((Transient, LMRefused)):
        parse_reply("application/json", body)


def test_an_empty_reply_passes_if_the_model_made_tokens_for_it():
    data = {**reply(""), "usage": {"prompt_tokens": 4, "completion_tokens": 1}}

    assert parse_reply("application/json", json.dumps(data).encode()).text == ""


def test_blocked_content_is_refused():
    choice = {"message": {"content": None}, "finish_reason": "content_filter"}
    data = {**reply(""), "choices": [choice]}

    with pytest.raises(LMRefused, match="content filter"):
        parse_reply("application/json", json.dumps(data).encode())


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529, 204])
def test_a_passing_failure_is_transient(status: int):
    with pytest.raises(Transient, match=f"status {status}"):
        raise_for_status(status, b"", None)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_no_key_and_no_such_model_are_not_about_one_prompt(status: int):
    with pytest.raises(LMUnavailable, match=f"status {status}"):
        raise_for_status(status, b"{}", None)


@pytest.mark.parametrize("status", [301, 400, 402, 405, 413, 422])
def test_a_lasting_failure_is_refused(status: int):
    with pytest.raises(LMRefused, match=f"status {status}"):
        raise_for_status(status, b"", None)


def test_a_used_up_quota_is_not_retried():
    with pytest.raises(LMUnavailable, match="quota"):
        raise_for_status(429, b'{"error": {"code": "insufficient_quota"}}', "1")


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None):
    assert retry_after_s(header, NOW) == seconds


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_every_date_is_read(then: datetime):
    then = then.replace(microsecond=0, tzinfo=UTC)

    found = retry_after_s(format_datetime(then, usegmt=True), NOW)

    assert found == max(0.0, (then - NOW).total_seconds())


@given(st.text())
def test_any_header_is_seconds_or_nothing(header: str):
    found = retry_after_s(header, NOW)

    assert found is None or (found >= 0 and math.isfinite(found))


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_key_never_shows_not_even_where_the_text_is_cut(before: int, after: int):
    key = "sk-0123456789"
    body = json.dumps({"error": {"message": "a" * before + key + "b" * after}}).encode()

    told = error_text(body, key)

    assert len(told) <= 300
    assert "sk-0" not in told
