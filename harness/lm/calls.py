"""The nouns of a model call: the request and its key, the reply, the record, the transport."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias, cast

from harness.types import JSON, Side, Usage, canonical


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    model: the identity that is hashed, such as `smollm2-135m@b179c952` or `openai/gpt-4.1-mini`;
        never a path, a host or a port. messages: each with `role` and `content`.
    schema: the JSON schema that the reply shall follow.
    """

    model: str
    messages: tuple[Mapping[str, str], ...]
    temperature: float
    top_p: float
    max_tokens: int
    seed: int
    schema: JSON | None = None

    def to_json(self, sample: int) -> dict[str, JSON]:
        """Return the request and its sample index as plain data: what the key is a hash of."""
        return {
            "model": self.model,
            "messages": [dict(message) for message in self.messages],
            "temperature": float(self.temperature),
            "top_p": float(self.top_p),
            "max_tokens": self.max_tokens,
            "seed": self.seed,
            "schema": self.schema,
            "sample": sample,
        }

    def key(self, sample: int) -> str:
        """Return 64 hex digits that name this request's reply number `sample`."""
        return request_key(self.to_json(sample))


def request_key(request: Mapping[str, JSON]) -> str:
    """Return the key of a recorded request: sha256 of its canonical JSON."""
    return hashlib.sha256(canonical(request).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class RawReply:
    """What a transport brings back from one attempt. `cost_usd` None: the price is unknown.

    `schema_enforced` False: the server was asked for free text, though a schema was wanted.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    finish_reason: str
    cost_usd: float | None
    schema_enforced: bool = True


Transport: TypeAlias = Callable[[Request, float], RawReply]
"""Makes one attempt and ends it within the given seconds.

Raises Transient for what a further attempt may mend, LMTimeout at the deadline, LMRefused for what
no attempt can mend, LMUnavailable if there is no model to ask.
"""


class Transient(Exception):
    """An attempt failed in a way that a further one may mend; never leaves the LM client."""

    def __init__(self, reason: str, retry_after_s: float | None = None):
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, new or replayed: a replayed one has the usage of the call it was recorded from."""

    text: str
    finish_reason: str
    usage: Usage
    schema_enforced: bool = True


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call that succeeded, as the log keeps it.

    request: `Request.to_json(sample)`; its `request_key` is the key of the record.
    attempts: the reason of each failed attempt before the reply, in order.
    side: who asked first; the other side may replay it.
    """

    request: Mapping[str, JSON]
    text: str
    finish_reason: str
    usage: Usage
    attempts: tuple[str, ...]
    side: Side
    schema_enforced: bool = True

    @property
    def reply(self) -> Reply:
        """The reply as the caller of the model gets it."""
        return Reply(self.text, self.finish_reason, self.usage, self.schema_enforced)

    def to_json(self) -> dict[str, JSON]:
        """Return the record as plain data."""
        return {
            "request": dict(self.request),
            "text": self.text,
            "finish_reason": self.finish_reason,
            "usage": asdict(self.usage),
            "attempts": list(self.attempts),
            "side": self.side,
            "schema_enforced": self.schema_enforced,
        }

    @staticmethod
    def from_json(data: Mapping[str, JSON]) -> RecordedCall:
        """Rebuild a record from `to_json`. Raises KeyError or TypeError for other data."""
        known = cast("dict[str, Any]", dict(data))
        usage = Usage(**known.pop("usage"))
        return RecordedCall(usage=usage, attempts=tuple(known.pop("attempts")), **known)


class CallLog(Protocol):
    """Where calls are recorded and replayed from. Both methods are called from many threads."""

    def get(self, key: str) -> RecordedCall | None:
        """Return the recorded call, None if there is none."""
        ...

    def put(self, key: str, call: RecordedCall) -> None:
        """Record a call before its reply is used; the first record of a key stays."""
        ...
