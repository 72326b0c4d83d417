"""LM: replay, single flight, retries, metering, interruption. The transports are functions."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.config import LMSettings
from harness.errors import ConfigError, Interrupted, LMError, LMRefused, LMTimeout, LMUnavailable
from harness.lm import (
    LM,
    RawReply,
    RecordedCall,
    Request,
    Slots,
    Transient,
    request_key,
    scripted,
)
from harness.lm.client import wire_seed
from harness.types import Usage

ASK = [{"role": "user", "content": "one two three"}]


class DictLog(dict[str, RecordedCall]):
    """A call log in memory."""

    def put(self, key: str, call: RecordedCall) -> None:
        self.setdefault(key, call)


def make(transport: Any, log: DictLog | None = None, **changes: Any) -> LM:
    settings = LMSettings(model="m", **changes.pop("settings", {}))
    known: dict[str, Any] = {"slots": Slots(8), "stop": threading.Event(), "wait": lambda s: None}
    log = DictLog() if log is None else log
    return LM(settings, "m@1", transport, log, "task", **(known | changes))


def failing(*failures: Exception) -> Callable[[Request, float], RawReply]:
    """Return a transport that raises these first, then answers `fine`."""
    left = list(failures)

    def transport(request: Request, timeout_s: float) -> RawReply:
        if left:
            raise left.pop(0)
        return RawReply("fine", 3, 1, "stop", None)

    return transport


def test_a_reply_has_its_usage():
    clock = iter([10.0, 12.5])
    lm = make(scripted(lambda request: "four five"), clock=lambda: next(clock))

    reply = lm.complete(ASK, seed=0)

    assert reply.text == "four five"
    assert reply.usage == Usage(1, 3, 2, 2.5, 0.0, 0)


def test_a_recorded_call_is_replayed_with_its_usage_and_not_made_again():
    log = DictLog()
    first = make(failing(Transient("busy")), log).complete(ASK, seed=0)
    again = make(failing(LMUnavailable("nobody is asked")), log).complete(ASK, seed=0)

    assert again == first
    assert again.usage.retries == 1


def test_a_call_is_recorded_whole_before_it_is_returned():
    log = DictLog()
    lm = make(failing(Transient("busy"), Transient("cut off")), log)

    lm.complete(ASK, seed=5, sample=2)

    ((key, call),) = log.items()
    assert key == request_key(call.request)
    assert call.request["seed"] == 5
    assert call.request["sample"] == 2
    assert call.attempts == ("busy", "cut off")
    assert (call.side, call.text, call.usage.retries) == ("task", "fine", 2)


def test_arguments_win_over_settings():
    seen: list[Request] = []
    lm = make(
        scripted(lambda request: seen.append(request) or "x"),
        settings={"temperature": 0.5, "max_tokens": 9, "top_p": 0.8},
    )

    lm.complete(ASK, seed=0)
    lm.complete(ASK, seed=0, temperature=0, max_tokens=3, schema={"type": "object"})

    assert (seen[0].temperature, seen[0].max_tokens, seen[0].top_p) == (0.5, 9, 0.8)
    assert (seen[1].temperature, seen[1].max_tokens) == (0, 3)
    assert seen[1].schema == {"type": "object"}


def test_samples_of_a_request_are_independent_calls_with_seeds_of_their_own():
    seeds: list[int] = []
    lm = make(scripted(lambda request: seeds.append(request.seed) or "x"))

    for sample in (0, 1, 2, 1):
        lm.complete(ASK, seed=7, sample=sample)

    assert seeds[0] == 7
    assert len(set(seeds)) == len(seeds) == 3


@pytest.mark.parametrize("seed", [-1, 0, 2**31 - 1, 2**32 - 1, 2**70])
def test_a_server_gets_a_seed_of_31_bits(seed: int):
    assert all(0 <= wire_seed(seed, sample) < 2**31 for sample in range(5))


def test_threads_that_ask_the_same_at_once_share_one_call():
    started, finish, calls = threading.Event(), threading.Event(), []

    def transport(request: Request, timeout_s: float) -> RawReply:
        calls.append(request)
        started.set()
        assert finish.wait(10)
        return RawReply("once", 1, 1, "stop", 0.0)

    lm = make(transport)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(lm.complete, ASK, seed=0)
        assert started.wait(10)
        others = [pool.submit(lm.complete, ASK, seed=0) for _ in range(3)]
        finish.set()
        replies = [future.result(10) for future in [first, *others]]

    assert len(calls) == 1
    assert {reply.text for reply in replies} == {"once"}


def test_all_who_share_a_failed_call_hear_of_it_and_the_next_one_tries_anew():
    started, finish = threading.Event(), threading.Event()

    def transport(request: Request, timeout_s: float) -> RawReply:
        if finish.is_set():
            return RawReply("well again", 1, 2, "stop", 0.0)
        started.set()
        assert finish.wait(10)
        raise LMRefused("no")

    lm = make(transport)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(lm.complete, ASK, seed=0)]
        assert started.wait(10)
        finish.set()

        assert isinstance(asked[0].exception(10), LMRefused)
    assert lm.complete(ASK, seed=0).text == "well again"


def test_a_failed_call_is_an_error_with_its_reasons_and_is_not_recorded():
    log = DictLog()
    lm = make(
        failing(Transient("status 500"), LMTimeout("too late"), Transient("reset")),
        log,
        settings={"retries": 2},
    )

    with pytest.raises(LMError, match=r"3 attempts: status 500; too late; reset") as caught:
        lm.complete(ASK, seed=0)

    assert not isinstance(caught.value, LMTimeout)
    assert not log


def test_a_call_that_only_timed_out_is_a_timeout():
    lm = make(failing(LMTimeout("too late"), LMTimeout("too late")), settings={"retries": 1})

    with pytest.raises(LMTimeout, match="2 attempts: too late"):
        lm.complete(ASK, seed=0)


@pytest.mark.parametrize("error", [LMRefused("bad request"), LMUnavailable("no server")])
def test_what_no_retry_can_mend_is_not_retried(error: LMError):
    lm = make(failing(error))

    with pytest.raises(type(error), match=str(error)):
        lm.complete(ASK, seed=0)
    assert lm.complete(ASK, seed=0).usage.retries == 0


def test_the_timeout_of_the_settings_reaches_the_transport():
    given: list[float] = []

    def transport(request: Request, timeout_s: float) -> RawReply:
        given.append(timeout_s)
        return RawReply("x", 1, 1, "stop", 0.0)

    make(transport, settings={"timeout_s": 2.5}).complete(ASK, seed=0)

    assert given == [2.5]


def waits(*failures: Exception) -> list[float]:
    pauses: list[float] = []
    lm = make(failing(*failures), wait=pauses.append, settings={"retries": 20})
    lm.complete(ASK, seed=0)
    return pauses


def test_the_backoff_grows_with_full_jitter_and_is_the_same_in_every_run():
    failures = [Transient("busy") for _ in range(12)]

    pauses = waits(*failures)

    assert pauses == waits(*failures)
    assert all(0 <= s <= min(30, 0.5 * 2**n) for n, s in enumerate(pauses))
    assert max(pauses[6:]) > 5


def test_retry_after_is_obeyed():
    (pause,) = waits(Transient("status 429", retry_after_s=7))

    assert 7 <= pause <= 7.5


def test_too_long_a_retry_after_is_capped_and_the_record_says_so():
    log, pauses = DictLog(), []
    lm = make(failing(Transient("status 429", retry_after_s=3600)), log, wait=pauses.append)

    lm.complete(ASK, seed=0)

    assert 120 <= pauses[0] <= 120.5
    (call,) = log.values()
    assert call.attempts == ("status 429; asked for 3600 s of patience, waited 120 s",)


def test_the_seconds_of_failed_attempts_count_but_not_the_waiting():
    clock = iter([0.0, 1.0, 100.0, 102.0])
    lm = make(failing(Transient("busy")), clock=lambda: next(clock))

    assert lm.complete(ASK, seed=0).usage.seconds == 3.0


def test_prices_of_the_settings_win_and_an_unknown_price_stays_unknown():
    priced = make(failing(), settings={"price_in": 2.0, "price_out": 10.0})

    assert make(failing()).complete(ASK, seed=0).usage.cost_usd is None
    assert priced.complete(ASK, seed=0).usage.cost_usd == pytest.approx((3 * 2 + 1 * 10) / 1e6)


def test_half_a_price_is_refused():
    with pytest.raises(ConfigError, match="set both"):
        make(failing(), settings={"price_in": 2.0})


def test_after_the_stop_recorded_calls_replay_but_no_new_one_is_made():
    log, stop = DictLog(), threading.Event()
    lm = make(failing(), log, stop=stop)
    lm.complete(ASK, seed=0)
    stop.set()

    assert lm.complete(ASK, seed=0).text == "fine"
    with pytest.raises(Interrupted):
        lm.complete(ASK, seed=1)


def test_the_stop_ends_a_long_wait_between_attempts():
    stop = threading.Event()

    def transport(request: Request, timeout_s: float) -> RawReply:
        stop.set()
        raise Transient("busy", retry_after_s=100)

    with pytest.raises(Interrupted):
        make(transport, stop=stop, wait=None).complete(ASK, seed=0)


def test_the_stop_ends_waiting_for_a_slot():
    slots, stop = Slots(1), threading.Event()
    slots.acquire(stop)
    lm = make(failing(), slots=slots, stop=stop)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lm.complete, ASK, seed=0)
        stop.set()

        assert isinstance(waiting.exception(10), Interrupted)


def test_slots_bound_the_requests_in_flight_over_two_lms():
    lock, now, most = threading.Lock(), [0], [0]
    both = threading.Barrier(2, timeout=10)

    def transport(request: Request, timeout_s: float) -> RawReply:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        both.wait()  # passes only if two are in flight at once
        with lock:
            now[0] -= 1
        return RawReply("x", 1, 1, "stop", 0.0)

    slots = Slots(2)
    lms = [make(transport, slots=slots), make(transport, slots=slots)]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(lms[n % 2].complete, ASK, seed=n) for n in range(16)]
        assert [future.result(10).text for future in asked] == ["x"] * 16

    assert most == [2]


def test_a_slot_is_free_while_a_call_waits_for_its_next_attempt():
    slots, stop = Slots(1), threading.Event()

    def take_and_give_back(seconds: float) -> None:
        slots.acquire(stop)
        slots.release()

    lm = make(failing(Transient("busy")), slots=slots, stop=stop, wait=take_and_give_back)

    assert lm.complete(ASK, seed=0).text == "fine"


def test_half_an_emoji_in_a_reply_can_be_recorded_and_asked_about():
    log = DictLog()
    lm = make(scripted(lambda request: "cut \ud83d"), log)

    reply = lm.complete([{"role": "user", "content": "\ud83d ö 🙂"}], seed=0)

    assert reply.text == "cut ?"
    (call,) = log.values()
    assert call.request["messages"] == [{"role": "user", "content": "? ö 🙂"}]
