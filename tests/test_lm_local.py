"""The embedded model itself: SmolLM2-135M, fetched once into the cache folder."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.config import LMSettings, LocalSettings
from harness.errors import LMRefused, LMTimeout, LMUnavailable
from harness.lm import CATALOGUE, LM, OpenedModel, cache_folder, resolve
from harness.lm.local import LocalModel
from harness.lm.weights import weights_path
from tests.test_lm_client import DictLog
from tests.test_lm_http import ask

SMALL = LocalSettings(context_tokens=512)
WORDS = ["red", "blue", "green", "white", "black", "brown"]
PARENT = """
import os, sys, time
from pathlib import Path
from harness.config import LocalSettings
from harness.lm.local import LocalModel
model = LocalModel(Path(sys.argv[1]), 1, LocalSettings(context_tokens=512))
print(model.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def weights() -> Path:
    return weights_path(CATALOGUE["smollm2-135m"], cache_folder())


@pytest.fixture(scope="module")
def opened(weights: Path) -> Iterator[OpenedModel]:
    model = resolve("local/smollm2-135m", jobs=4, local=SMALL)
    yield model
    model.close()


def test_the_identity_names_the_weights_by_their_hash(opened: OpenedModel):
    assert opened.identity == "smollm2-135m@b179c952"


def test_a_file_has_the_identity_of_its_content(weights: Path, tmp_path: Path):
    file = tmp_path / "my-model.gguf"
    file.symlink_to(weights)

    model = resolve(f"local:{file}", jobs=1, local=SMALL)
    model.close()

    assert model.identity == "my-model@b179c952"


def test_no_more_calls_are_in_flight_than_there_are_servers(opened: OpenedModel):
    assert opened.slots.n == min(4, len(os.sched_getaffinity(0)))


def test_a_reply_depends_on_its_request_alone(opened: OpenedModel):
    requests = [ask(f"Name a thing that is {word}.", max_tokens=8) for word in WORDS]
    alone = [opened.transport(request, 60) for request in requests]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda request: opened.transport(request, 60), requests[::-1]))

    assert together[::-1] == alone
    assert all(0 < raw.completion_tokens <= 8 for raw in alone)


def test_a_prompt_whose_beginning_is_known_gets_the_same_reply(weights: Path):
    shots = " ".join(f"Question {n}: is {n} even? Answer: {n % 2 == 0}." for n in range(20))
    requests = [ask(f"{shots} Is {w} nice?", max_tokens=8) for w in WORDS[:4]]
    model = LocalModel(weights, 1, LocalSettings(context_tokens=1024))

    first = [model(request, 60).text for request in requests]
    again = [model(request, 60).text for request in requests[::-1]][::-1]
    model.close()
    fresh = LocalModel(weights, 1, LocalSettings(context_tokens=1024))
    alone = fresh(requests[-1], 60).text
    fresh.close()

    assert first == again
    assert alone == first[-1]


def test_a_local_reply_costs_nothing(opened: OpenedModel):
    assert opened.transport(ask("Hi", max_tokens=1), 60).cost_usd == 0.0


def test_at_a_temperature_the_seed_decides(opened: OpenedModel):
    def write(seed: int) -> str:
        return opened.transport(ask("Write.", temperature=1.5, seed=seed, max_tokens=12), 60).text

    assert write(5) == write(5)
    assert len({write(seed) for seed in range(5, 8)}) > 1


def test_samples_of_one_request_differ_at_a_temperature(opened: OpenedModel):
    lm = LM(
        LMSettings(temperature=1.5, max_tokens=12),
        opened.identity,
        opened.transport,
        DictLog(),
        "task",
        slots=opened.slots,
        stop=threading.Event(),
    )

    texts = {
        lm.complete([{"role": "user", "content": "Write."}], seed=5, sample=n).text
        for n in range(3)
    }

    assert len(texts) > 1


def test_a_schema_is_followed(opened: OpenedModel):
    schema = {"enum": ["red", "green"]}

    raw = opened.transport(ask("What colour is the sky?", schema=schema, max_tokens=16), 60)

    assert json.loads(raw.text) in ("red", "green")
    assert raw.schema_enforced


def test_a_prompt_beyond_the_context_is_refused(opened: OpenedModel):
    with pytest.raises(LMRefused, match=r"too long for local.context_tokens=512; raise it"):
        opened.transport(ask("word " * 1000), 60)


def test_a_call_that_passes_its_deadline_frees_its_server(opened: OpenedModel):
    long = {"type": "string", "minLength": 4000}
    with pytest.raises(LMTimeout):
        opened.transport(ask("Write a long story.", schema=long, max_tokens=400), 0.3)

    begin = time.monotonic()
    for _ in range(opened.slots.n):
        opened.transport(ask("Hi", max_tokens=1), 60)
    assert time.monotonic() - begin < 3


def test_one_server_with_many_slots_serves_at_once(weights: Path):
    model = LocalModel(weights, 3, LocalSettings("batched", 512))
    with ThreadPoolExecutor(3) as pool:
        raws = list(pool.map(lambda w: model(ask(w, max_tokens=4), 60), WORDS[:3]))
    model.close()

    assert model.n_parallel == 3
    assert all(raw.completion_tokens > 0 for raw in raws)


def test_a_file_that_is_no_model_is_one_clear_line(tmp_path: Path):
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF, but not really")

    with pytest.raises(LMUnavailable, match="does not start: exit code 1") as caught:
        LocalModel(file, 1, SMALL)

    assert "\n" not in str(caught.value)


def test_a_process_that_was_killed_is_told_as_such(weights: Path):
    model = LocalModel(weights, 1, SMALL)
    os.kill(model.pid, signal.SIGKILL)

    while is_running(model.pid):
        time.sleep(0.01)

    with pytest.raises(LMUnavailable, match=r"process ended: exit code -9"):
        model(ask("Hi", max_tokens=1), 60)
    model.close()


def test_the_child_goes_when_its_parent_is_killed(weights: Path):
    command = [sys.executable, "-c", PARENT, str(weights)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not is_running(child)


def is_running(pid: int) -> bool:
    """Tell whether a process lives; a zombie that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
