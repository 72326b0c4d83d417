"""LM: replay from the log, one call per key, retries, deadlines, a bound on requests in flight."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from dataclasses import KW_ONLY, dataclass, field, replace

from harness.config import LMSettings
from harness.errors import ConfigError, Interrupted, LMError, LMTimeout
from harness.lm.calls import (
    CallLog,
    RawReply,
    RecordedCall,
    Reply,
    Request,
    Transient,
    Transport,
)
from harness.types import JSON, Side, Usage, content_hash, encodable

BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 30.0
# A server that asks for more patience than this is asked again after this time all the same.
LONGEST_RETRY_AFTER_S = 120.0
# How soon a thread that waits for a slot or for another thread's call sees that the run stops.
POLL_S = 0.1


class Slots:
    """Bounds the requests in flight over all users of a model."""

    def __init__(self, n: int):
        self.n = n
        self._free = threading.BoundedSemaphore(n)

    def acquire(self, stop: threading.Event) -> None:
        """Wait for a free slot. Raises Interrupted once `stop` is set."""
        while not stop.is_set():
            if self._free.acquire(timeout=POLL_S):
                return
        raise _interrupted()

    def release(self) -> None:
        """Give the slot back."""
        self._free.release()


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why an attempt failed; `retry_after_s` is what the server asked for, None if nothing."""

    reason: str
    retry_after_s: float | None = None
    timed_out: bool = False


@dataclass(slots=True, eq=False, repr=False)
class LM:
    """The door to one model for one side. Thread-safe: one LM serves all cells of a run.

    wait: sleeps for some seconds, `stop.wait` if None, so that setting `stop` ends every wait.
    clock: seconds, only differences are used.
    """

    settings: LMSettings
    identity: str
    transport: Transport
    log: CallLog
    side: Side
    _: KW_ONLY
    slots: Slots
    stop: threading.Event
    wait: Callable[[float], object] | None = None
    clock: Callable[[], float] = time.monotonic
    # _lock guards _flights: the calls being made now, by key.
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _flights: dict[str, futures.Future[Reply]] = field(
        default_factory=dict[str, "futures.Future[Reply]"], init=False
    )

    def __post_init__(self):
        if (self.settings.price_in is None) != (self.settings.price_out is None):
            raise ConfigError(
                f"only one of price_in, price_out is set for {self.identity}; set both, in US "
                "dollars per million tokens, or none"
            )

    def complete(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        seed: int,
        sample: int = 0,
        temperature: float | None = None,
        max_tokens: int | None = None,
        schema: JSON | None = None,
    ) -> Reply:
        """Return the model's reply; None takes the setting. The caller adds up `Reply.usage`.

        `sample` numbers repeats of the same request, which are independent calls. A recorded call
        is replayed with its usage. Threads that ask the same at once share one call. Raises LMError
        after the last retry, and Interrupted instead of a new call once `stop` is set.
        """
        settings = self.settings
        request = Request(
            model=self.identity,
            messages=tuple({k: encodable(v) for k, v in m.items()} for m in messages),
            temperature=settings.temperature if temperature is None else temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens if max_tokens is None else max_tokens,
            seed=seed,
            schema=schema,
        )
        return self._once(request, sample)

    def _once(self, request: Request, sample: int) -> Reply:
        """Replay the call, join the thread that makes it, or make it."""
        key = request.key(sample)
        mine: futures.Future[Reply] = futures.Future()
        with self._lock:
            flight = self._flights.setdefault(key, mine)
        if flight is not mine:
            return self._join(flight)
        try:
            recorded = self.log.get(key)
            reply = self._call(request, sample, key) if recorded is None else recorded.reply
            mine.set_result(reply)
            return reply
        except BaseException as e:
            mine.set_exception(e)
            raise
        finally:
            with self._lock:
                del self._flights[key]

    def _join(self, flight: futures.Future[Reply]) -> Reply:
        while not futures.wait([flight], POLL_S).done:
            if self.stop.is_set():
                raise _interrupted()
        return flight.result()

    def _call(self, request: Request, sample: int, key: str) -> Reply:
        """Make the call with its retries and record it."""
        sent = replace(request, seed=wire_seed(request.seed, sample))
        jitter = random.Random(key)
        failures: list[_Failure] = []
        seconds = 0.0
        while True:
            self.slots.acquire(self.stop)
            try:
                outcome, took = self._attempt(sent)
                seconds += took
                if isinstance(outcome, RawReply):
                    # Still in the slot: a kill loses at most as many paid calls as there are slots.
                    usage = self._usage(outcome, seconds, len(failures))
                    return self._record(key, request.to_json(sample), outcome, usage, failures)
            finally:
                self.slots.release()
            if len(failures) == self.settings.retries:
                raise _given_up(self.identity, [*failures, outcome])
            pause_s, outcome = _pause(outcome, len(failures), jitter)
            failures.append(outcome)
            (self.wait or self.stop.wait)(pause_s)

    def _record(
        self,
        key: str,
        request: Mapping[str, JSON],
        raw: RawReply,
        usage: Usage,
        failures: Sequence[_Failure],
    ) -> Reply:
        call = RecordedCall(
            request=request,
            text=encodable(raw.text),
            finish_reason=raw.finish_reason,
            usage=usage,
            attempts=tuple(failure.reason for failure in failures),
            side=self.side,
            schema_enforced=raw.schema_enforced,
        )
        self.log.put(key, call)
        return call.reply

    def _attempt(self, request: Request) -> tuple[RawReply | _Failure, float]:
        """Make one attempt; return what came of it and the seconds it took."""
        begin = self.clock()
        try:
            outcome = self.transport(request, self.settings.timeout_s)
        except Transient as e:
            outcome = _Failure(e.reason, e.retry_after_s)
        except LMTimeout as e:
            outcome = _Failure(str(e), timed_out=True)
        return outcome, self.clock() - begin

    def _usage(self, raw: RawReply, seconds: float, retries: int) -> Usage:
        settings, cost = self.settings, raw.cost_usd
        if settings.price_in is not None and settings.price_out is not None:
            dollars_in = raw.prompt_tokens * settings.price_in
            cost = (dollars_in + raw.completion_tokens * settings.price_out) / 1e6
        return Usage(1, raw.prompt_tokens, raw.completion_tokens, seconds, cost, retries)


def wire_seed(seed: int, sample: int) -> int:
    """Return the seed a server gets, in [0, 2**31): repeats of a request must draw differently.

    Sample 0 keeps a seed that is in range.
    """
    if sample == 0:
        return seed % 2**31
    return int(content_hash([seed, sample]), 16) % 2**31


def _pause(failure: _Failure, n_before: int, jitter: random.Random) -> tuple[float, _Failure]:
    """Return the seconds to wait before the next attempt: full jitter, or what the server asked.

    If the server asks for more than our patience, the failure's reason says so.
    """
    asked_s = failure.retry_after_s
    if asked_s is None:
        return jitter.uniform(0, min(LONGEST_BACKOFF_S, BACKOFF_S * 2**n_before)), failure
    if asked_s > LONGEST_RETRY_AFTER_S:
        note = f"asked for {asked_s:g} s of patience, waited {LONGEST_RETRY_AFTER_S:g} s"
        failure = replace(failure, reason=f"{failure.reason}; {note}")
    # The spread keeps the waiting threads from coming back all at the same moment.
    return min(asked_s, LONGEST_RETRY_AFTER_S) + jitter.uniform(0, BACKOFF_S), failure


def _given_up(identity: str, failures: Sequence[_Failure]) -> LMError:
    n = len(failures)
    attempts = "1 attempt" if n == 1 else f"{n} attempts"
    reasons = "; ".join(dict.fromkeys(failure.reason for failure in failures))
    text = f"{identity} gave no reply in {attempts}: {reasons}"
    if all(failure.timed_out for failure in failures):
        return LMTimeout(f"{text}; raise timeout_s if the model is slow")
    return LMError(f"{text}; see whether the server is well, or raise retries")


def _interrupted() -> Interrupted:
    return Interrupted("the run was asked to stop; no further model call is made")
