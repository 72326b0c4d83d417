"""The chat completions format: request body, strict reading of replies, what a status means."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from harness.errors import LMRefused, LMUnavailable
from harness.lm.calls import RawReply, Request, Transient
from harness.types import JSON

LONGEST_QUOTE = 300
# Servers without keys are often given a dummy such as `x`; hiding it would garble every message.
SHORTEST_SECRET = 6
NO_COUNTS = (
    "the server's reply does not count tokens, so no token budget can be kept; use a server whose "
    "replies have usage.prompt_tokens and usage.completion_tokens"
)
TRANSIENT_STATUS = frozenset({408, 409, 425, 429})


def request_body(request: Request, model: str, with_schema: bool) -> bytes:
    """Return the JSON body of POST /chat/completions."""
    body: dict[str, JSON] = {
        "model": model,
        "messages": [dict(message) for message in request.messages],
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_tokens,
        "seed": request.seed,
    }
    if with_schema:
        body["response_format"] = response_format(request.schema)
    return json.dumps(body).encode()


def response_format(schema: JSON) -> dict[str, JSON]:
    """Return the field that asks for a reply following a JSON schema."""
    wanted: dict[str, JSON] = {"name": "reply", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": wanted}


def parse_reply(content_type: str, body: bytes, secret: str = "") -> RawReply:
    """Read a reply with status 200; the cost is unknown. No error repeats `secret`.

    Raises Transient for anything that is no complete reply with text: an empty reply passes only
    if the model made tokens for it. Raises LMRefused if the provider blocked the content, or does
    not count tokens.
    """
    if "json" not in content_type.lower():
        told = _quote(content_type or "none", secret)
        raise Transient(f"the reply has the content type {told!r}, not JSON")
    try:
        data = json.loads(body)
    except ValueError as e:
        raise Transient(f"the reply is not valid JSON: {e}") from e
    return parse_fields(data, secret)


def parse_fields(data: Any, secret: str = "") -> RawReply:
    """Read the fields of a reply; see `parse_reply`."""
    choice = _first_choice(data, secret)
    message = choice.get("message")
    text = cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
    reason = str(choice.get("finish_reason") or "unknown")
    if reason == "content_filter" and not text:
        raise LMRefused("the provider's content filter blocked the reply; change the prompt")
    if not isinstance(message, dict) or not isinstance(text, str | None):
        raise Transient("the reply has no text content")
    text = text or ""  # null: a model that spent its tokens on thinking
    prompt_tokens, completion_tokens = _token_counts(data)
    if not text and completion_tokens == 0:
        raise Transient("the reply is empty")
    if completion_tokens == 0:
        raise LMUnavailable(NO_COUNTS)
    return RawReply(text, prompt_tokens, completion_tokens, reason, None)


def _first_choice(data: Any, secret: str) -> dict[str, Any]:
    choices = cast("dict[str, Any]", data).get("choices") if isinstance(data, dict) else None
    if isinstance(choices, list) and choices:
        first = cast("list[Any]", choices)[0]
        if isinstance(first, dict):
            return cast("dict[str, Any]", first)
    told = error_text(json.dumps(data).encode(), secret)
    raise Transient(f"the reply has no choices: {told}")


def _token_counts(data: Mapping[str, Any]) -> tuple[int, int]:
    usage = data.get("usage")
    counts = cast("dict[str, Any]", usage) if isinstance(usage, dict) else {}
    found = counts.get("prompt_tokens"), counts.get("completion_tokens")
    if all(isinstance(n, int) and n >= 0 for n in found):
        return cast("tuple[int, int]", found)
    raise LMUnavailable(NO_COUNTS)


def raise_for_status(status: int, body: bytes, retry_after: str | None, secret: str = "") -> None:
    """Raise Transient, LMRefused or LMUnavailable for any status but 200, without `secret`."""
    if status == 200:
        return
    told = f"status {status}: {error_text(body, secret)}"
    if status == 429 and "insufficient_quota" in told:
        raise LMUnavailable(
            f"the account's quota is used up ({told}); add credit or use another model"
        )
    if status in TRANSIENT_STATUS or status >= 500 or 200 < status < 300:
        raise Transient(told, retry_after_s(retry_after))
    if status in (401, 403):
        raise LMUnavailable(f"the server wants another key ({told}); set OPTORACE_API_KEY")
    if status == 404:
        raise LMUnavailable(f"the server has no such model or path ({told}); check the name")
    if 300 <= status < 400:
        raise LMRefused(f"the server redirects ({told}); give the address it redirects to")
    raise LMRefused(f"the server refuses the request ({told}); change the request or the model")


def error_text(body: bytes, secret: str = "") -> str:
    """Return the message in an error's body, else its beginning, on one line, without `secret`."""
    text = body[:100_000].decode("utf-8", "replace")
    try:
        data = json.loads(text)
    except ValueError:
        return _quote(text, secret)
    error = cast("dict[str, Any]", data).get("error", data) if isinstance(data, dict) else data
    if isinstance(error, dict):
        fields = cast("dict[str, Any]", error)
        parts = [fields[k] for k in ("message", "type", "code", "detail") if fields.get(k)]
        return _quote(", ".join(dict.fromkeys(map(str, parts))) or text, secret)
    return _quote(str(error), secret)


def hide(text: str, secret: str) -> str:
    """Return the text with each occurrence of a secret replaced."""
    return text.replace(secret, "[key]") if len(secret) >= SHORTEST_SECRET else text


def _quote(text: str, secret: str) -> str:
    line = " ".join(hide(text, secret).split()) or "no message"
    return line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + "…"


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Read a Retry-After header: seconds or a date; None if absent or unreadable."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        seconds = _seconds_until(header, now or datetime.now(UTC))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds_until(date: str, now: datetime) -> float:
    try:
        then = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    return (then.replace(tzinfo=then.tzinfo or UTC) - now).total_seconds()
