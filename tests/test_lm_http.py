"""The fast lane against a server with faults."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.config import LMSettings, LocalSettings
from harness.errors import LMError, LMRefused, LMTimeout, LMUnavailable
from harness.lm import LM, OpenedModel, Request, Slots, Transient, resolve
from harness.lm.openai_http import OpenAICompatible, check_key, parse_reference
from tests.fault_server import FaultServer, fault_server
from tests.test_lm_client import DictLog

KEY = "sk-secret-0123456789"


def ask(prompt: str, **changes: Any) -> Request:
    known: dict[str, Any] = {"temperature": 0.0, "top_p": 1.0, "max_tokens": 16, "seed": 3}
    return Request("mock", ({"role": "user", "content": prompt},), **(known | changes))


def open_server(server: FaultServer) -> OpenedModel:
    return resolve(f"openai-compatible:{server.url}#mock", jobs=8, local=LocalSettings())


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with fault_server() as state:
        yield state


@pytest.fixture
def opened(server: FaultServer) -> Iterator[OpenedModel]:
    model = open_server(server)
    yield model
    model.close()


def test_a_request_arrives_as_it_was_made(server: FaultServer, opened: OpenedModel):
    raw = opened.transport(ask("zwei Wörter", temperature=0.5, top_p=0.9), 5)

    assert (raw.text, raw.prompt_tokens, raw.completion_tokens) == ("zwei Wörter", 2, 2)
    assert raw.cost_usd is None
    assert server.bodies == [
        {
            "model": "mock",
            "messages": [{"role": "user", "content": "zwei Wörter"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "max_tokens": 16,
            "seed": 3,
        }
    ]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("429", "status 429: told to fail"),
        ("500", "status 500: told to fail"),
        ("reset", "connection failed"),
        ("hang-up", "closed the connection without a reply"),
        ("malformed", "not valid JSON"),
        ("cut-off", "cut off"),
        ("no-choices", "no choices"),
        ("empty", "empty"),
        ("html", "content type 'text/html'"),
        ("error-in-200", "the upstream is down"),
    ],
)
def test_a_fault_is_transient_and_the_next_attempt_works(
    opened: OpenedModel, fault: str, reason: str
):
    with pytest.raises(Transient, match=reason):
        opened.transport(ask(f"{fault},ok"), 5)

    assert opened.transport(ask(f"{fault},ok"), 5).text == f"{fault},ok"


@pytest.mark.parametrize("fault", ["400", "422"])
def test_a_lasting_fault_is_refused(opened: OpenedModel, fault: str):
    with pytest.raises(LMRefused):
        opened.transport(ask(fault), 5)


def test_a_server_that_counts_no_tokens_cannot_be_raced(opened: OpenedModel):
    with pytest.raises(LMUnavailable, match="does not count tokens"):
        opened.transport(ask("no-usage"), 5)


def test_a_reply_without_content_that_used_tokens_is_an_empty_answer(opened: OpenedModel):
    raw = opened.transport(ask("no-content"), 5)

    assert raw.text == ""
    assert raw.completion_tokens > 0


@pytest.mark.parametrize("fault", ["stall", "drip", "drip-unsized"])
def test_the_deadline_ends_an_attempt_whatever_it_waits_for(opened: OpenedModel, fault: str):
    begin = time.monotonic()

    with pytest.raises(LMTimeout, match=r"within 0.2 s"):
        opened.transport(ask(fault), 0.2)

    assert 0.19 < time.monotonic() - begin < 2
    assert opened.transport(ask("ok"), 5).text == "ok"


def test_the_deadline_ends_a_connection_that_is_never_accepted():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # the backlog is full now
            endpoint, model = parse_reference(f"http://127.0.0.1:{port}/v1#m")
            transport = OpenAICompatible(endpoint, model)
            begin = time.monotonic()

            with pytest.raises(LMTimeout):
                transport(ask("ok"), 0.2)

            assert time.monotonic() - begin < 2
            transport.close()


def test_the_deadline_ends_a_tls_handshake():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        endpoint, model = parse_reference(f"https://127.0.0.1:{listener.getsockname()[1]}/v1#m")
        transport = OpenAICompatible(endpoint, model)
        begin = time.monotonic()

        with pytest.raises(LMTimeout):
            transport(ask("ok"), 0.2)

        assert time.monotonic() - begin < 2
        transport.close()


def test_retry_after_comes_with_the_failure():
    with fault_server(retry_after="7") as server:
        opened = open_server(server)

        with pytest.raises(Transient) as caught:
            opened.transport(ask("429"), 5)

        assert caught.value.retry_after_s == 7
        opened.close()


def test_calls_one_after_another_use_one_connection(server: FaultServer, opened: OpenedModel):
    for n in range(5):
        opened.transport(ask(f"ok {n}"), 5)

    assert server.connections == 1


def test_connections_outlive_the_threads_that_opened_them(server: FaultServer, opened: OpenedModel):
    for _ in range(3):
        with ThreadPoolExecutor(1) as pool:
            pool.submit(opened.transport, ask("ok"), 5).result()

    assert server.connections == 1


def test_a_connection_closed_while_idle_is_opened_anew_and_nothing_is_sent_twice(
    server: FaultServer, opened: OpenedModel
):
    opened.transport(ask("close-after"), 5)
    while server.in_flight:
        time.sleep(0.001)
    time.sleep(0.05)  # until the server's FIN has arrived

    raw = opened.transport(ask("ok"), 5)

    assert raw.text == "ok"
    assert server.requests == {"close-after": 1, "ok": 1}
    assert server.connections == 2


def test_a_schema_is_sent_as_the_response_format(server: FaultServer, opened: OpenedModel):
    raw = opened.transport(ask("ok", schema={"type": "object"}), 5)

    assert raw.schema_enforced
    assert server.bodies[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": {"type": "object"}, "strict": True},
    }


def test_a_server_that_refuses_schemas_is_asked_without_from_then_on():
    with fault_server(takes_schemas=False) as server:
        opened = open_server(server)
        raws = [opened.transport(ask(f"ok {n}", schema={"type": "object"}), 5) for n in range(3)]
        opened.close()

    assert [raw.schema_enforced for raw in raws] == [False] * 3
    assert len(server.bodies) == 4


def test_a_bad_request_with_a_schema_does_not_turn_schemas_off(
    server: FaultServer, opened: OpenedModel
):
    with pytest.raises(LMRefused, match="status 400"):
        opened.transport(ask("400", schema={"type": "object"}), 5)

    assert opened.transport(ask("ok", schema={"type": "object"}), 5).schema_enforced


def test_the_key_is_sent_and_shows_nowhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPTORACE_API_KEY", f" {KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-provider")
    with fault_server(key=KEY) as server:
        opened = open_server(server)
        assert opened.transport(ask("ok"), 5).text == "ok"
        server.key = "another one now"

        with pytest.raises(
            LMUnavailable, match=r"wrong key Bearer \[key\].*set OPTORACE_API_KEY"
        ) as e:
            opened.transport(ask("ok"), 5)

        assert KEY not in repr(opened) + str(e.value)
        opened.close()


def test_no_other_providers_key_is_ever_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OPTORACE_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-provider")
    with fault_server(key="wanted") as server:
        opened = open_server(server)

        with pytest.raises(LMUnavailable, match=r"wrong key\)"):
            opened.transport(ask("ok"), 5)

        opened.close()


def test_a_key_that_cannot_stand_in_a_header_is_refused_without_showing_it():
    with pytest.raises(LMUnavailable, match="visible ASCII") as caught:
        check_key("geheim\nX-Evil: ü")

    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 404, 405])
def test_a_server_that_answers_passes_the_preflight(status: int):
    with fault_server(models_status=status) as server:
        open_server(server).close()


@pytest.mark.parametrize(
    ("status", "told"), [(401, "set OPTORACE_API_KEY"), (503, "not ready: status 503")]
)
def test_a_server_that_will_not_serve_fails_the_preflight(status: int, told: str):
    with fault_server(models_status=status) as server, pytest.raises(LMUnavailable, match=told):
        open_server(server)


def test_no_server_is_one_clear_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(LMUnavailable, match=f"127.0.0.1:{port}: nothing listens") as caught:
        resolve(f"openai-compatible:http://127.0.0.1:{port}/v1#m", jobs=1, local=LocalSettings())

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "reference",
    ["", "#m", "http://h/v1", "ftp://h/v1#m", "http://h:x/v1#m", "h:80/v1#m", "http://h/a b#m"],
)
def test_an_address_that_is_none_is_refused(reference: str):
    with pytest.raises(LMUnavailable, match="openai-compatible:http://host:port/v1#MODEL"):
        parse_reference(reference)


@pytest.mark.parametrize(
    "reference", ["http://u:geheim@h/v1#m", "http://h/v1?key=geheim#m", "http://u:geheim#m"]
)
def test_a_secret_in_an_address_is_refused_without_showing_it(reference: str):
    with pytest.raises(LMUnavailable) as caught:
        parse_reference(reference)

    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "host", "port", "path", "model"),
    [
        ("http://h/v1/#org/m:x", "h", 80, "/v1", "org/m:x"),
        ("https://h#m", "h", 443, "", "m"),
        ("http://[::1]:8000/v1#m", "::1", 8000, "/v1", "m"),
    ],
)
def test_an_address_is_read(reference: str, host: str, port: int, path: str, model: str):
    endpoint, name = parse_reference(reference)

    assert (endpoint.host, endpoint.port, endpoint.path, name) == (host, port, path, model)


def test_the_identity_is_the_model_without_the_address(opened: OpenedModel):
    assert opened.identity == "mock"


def test_no_reply_is_lost_and_none_is_paid_twice_under_faults(server: FaultServer):
    faults = ["429", "500", "reset", "hang-up", "malformed", "cut-off", "no-choices", "html"]
    opened, log = open_server(server), DictLog()
    lm = LM(
        LMSettings(retries=1, timeout_s=5),
        opened.identity,
        opened.transport,
        log,
        "task",
        slots=Slots(8),
        stop=threading.Event(),
        wait=lambda seconds: None,
    )
    prompts = [f"{faults[n % 8]},ok {n}" if n % 2 else f"ok {n}" for n in range(160)]

    def complete(prompt: str) -> str:
        return lm.complete([{"role": "user", "content": prompt}], seed=0).text

    with ThreadPoolExecutor(16) as pool:
        texts = list(pool.map(complete, prompts))
    opened.close()

    assert texts == prompts
    assert len(log) == len(prompts)
    assert sum(server.requests.values()) == sum(1 + n % 2 for n in range(160))
    assert server.most_in_flight <= 8


def test_after_the_last_retry_the_error_names_the_reasons(opened: OpenedModel):
    lm = LM(
        LMSettings(retries=2),
        "mock",
        opened.transport,
        DictLog(),
        "task",
        slots=opened.slots,
        stop=threading.Event(),
        wait=lambda seconds: None,
    )

    with pytest.raises(LMError, match=r"3 attempts: status 500: .*; status 503"):
        lm.complete([{"role": "user", "content": "500,503"}], seed=0)
