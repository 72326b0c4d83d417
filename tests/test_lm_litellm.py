"""litellm as a transport, against the same server with faults."""

import threading
import time
from collections.abc import Iterator

import pytest

from harness.config import LMSettings, LocalSettings
from harness.errors import LMRefused, LMTimeout, LMUnavailable
from harness.lm import LM, OpenedModel, Slots, Transient, resolve
from tests.fault_server import FaultServer, fault_server
from tests.test_lm_client import DictLog
from tests.test_lm_http import ask

# Its reply types and lazy imports warn; the runs of users are kept quiet by the door itself.
pytestmark = pytest.mark.filterwarnings("ignore")
KEY = "sk-dummy-0123456789"


Served = tuple[FaultServer, OpenedModel]


@pytest.fixture(scope="module")
def door() -> Iterator[Served]:
    with fault_server(retry_after="7") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENAI_API_BASE", server.url)
        patch.setenv("OPENAI_API_KEY", KEY)
        opened = resolve("openai/gpt-4.1-mini", jobs=8, local=LocalSettings())
        opened.transport(ask("warm up"), 60)  # its lazy imports take a second
        yield server, opened
        opened.close()


@pytest.fixture
def served(door: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The door with its key in the environment, whence litellm takes it at each call."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return door


def test_a_reply_has_its_tokens_and_the_listed_price(served: Served):
    server, opened = served

    raw = opened.transport(ask("eins zwei", temperature=0.5, top_p=0.9), 10)

    assert (raw.text, raw.prompt_tokens, raw.completion_tokens) == ("eins zwei", 2, 2)
    assert raw.cost_usd == pytest.approx(2 * 0.4e-6 + 2 * 1.6e-6)
    sent = server.bodies[-1]
    assert (sent["model"], sent["seed"], sent["max_tokens"]) == ("gpt-4.1-mini", 3, 16)
    assert (sent["temperature"], sent["top_p"]) == (0.5, 0.9)


def test_a_schema_is_sent(served: Served):
    server, opened = served

    assert opened.transport(ask("ok", schema={"type": "object"}), 10).schema_enforced
    assert server.bodies[-1]["response_format"]["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize(
    "fault",
    [
        *("429", "500", "503", "reset", "hang-up", "malformed", "cut-off"),
        *("no-choices", "empty", "html", "error-in-200"),
    ],
)
def test_a_fault_is_transient_and_costs_one_request(served: Served, fault: str):
    server, opened = served

    with pytest.raises(Transient) as caught:
        opened.transport(ask(fault), 10)

    assert server.requests[fault] == 1
    assert "\n" not in caught.value.reason
    assert caught.value.retry_after_s == (7 if fault == "429" else None)


@pytest.mark.parametrize("fault", ["400", "422"])
def test_a_lasting_fault_is_refused(served: Served, fault: str):
    with pytest.raises(LMRefused):
        served[1].transport(ask(fault), 10)


@pytest.mark.parametrize("fault", ["stall", "drip"])
def test_the_deadline_ends_an_attempt(served: Served, fault: str):
    begin = time.monotonic()

    with pytest.raises(LMTimeout):
        served[1].transport(ask(fault), 0.3)

    assert time.monotonic() - begin < 3


def test_the_key_shows_in_no_error(served: Served):
    server, opened = served
    server.key = "another one"

    with pytest.raises(LMUnavailable) as caught:
        opened.transport(ask("ok"), 10)

    server.key = ""
    assert "wrong key" in str(caught.value)
    assert "0123456789" not in str(caught.value)


def test_the_client_retries_and_records(served: Served):
    log = DictLog()
    lm = LM(
        LMSettings(),
        served[1].identity,
        served[1].transport,
        log,
        "optimizer",
        slots=Slots(2),
        stop=threading.Event(),
        wait=lambda seconds: None,
    )

    reply = lm.complete([{"role": "user", "content": "500,malformed,good"}], seed=0)

    assert reply.usage.retries == 2
    assert [call.side for call in log.values()] == ["optimizer"]


def test_an_unknown_provider_is_one_clear_line(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(LMUnavailable, match="unknown model 'nonsense'"):
        resolve("nonsense", jobs=1, local=LocalSettings())

    assert "".join(capfd.readouterr()) == ""


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    with pytest.raises(LMUnavailable, match="needs ANTHROPIC_API_KEY"):
        resolve("anthropic/claude-sonnet-4-5", jobs=1, local=LocalSettings())
