"""store: what is written is on disk, comes back equal, and damage gives one clear line."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import problem, toy

from harness.errors import StoreError
from harness.lm import RecordedCall
from harness.store import DATABASE, CellKey, CellRecord, Store
from harness.types import Candidate, Spend, Usage

KEY = CellKey("c1", "sums", "direct", "none", "toy", "toy", 0)
texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | texts,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3),
    max_leaves=8,
)


def call(text: str = "hi", usage: Usage | None = None) -> RecordedCall:
    return RecordedCall(
        {"model": "m"}, text, "stop", usage or Usage(1, 2, 3, 0.5), ("429",), "task"
    )


@given(text=texts, seconds=st.floats(0, 1e6), cost=st.none() | st.floats(0, 100))
@settings(max_examples=30)
def test_a_call_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, text: str, seconds: float, cost: float | None
) -> None:
    store = Store(tmp_path_factory.mktemp("s"))
    recorded = call(text, Usage(1, 2, 3, seconds, cost, 1))
    store.put("k", recorded)

    assert store.get("k") == recorded
    assert store.get("other") is None
    store.close()


def test_the_first_record_of_a_call_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put("k", call("first"))
    store.put("k", call("second"))

    found = store.get("k")
    store.close()

    assert found is not None and found.text == "first"


@given(before=st.dictionaries(texts, values, max_size=3))
@settings(max_examples=30)
def test_a_cell_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, object]
) -> None:
    store = Store(tmp_path_factory.mktemp("s"))
    record = CellRecord(
        KEY,
        "done",
        "the budget of rollouts ended it",
        Candidate(before),  # pyright: ignore[reportArgumentType]
        Candidate({"a": [{"q": "x"}]}),
        0.5,
        {"broken": 2},
        Spend(7, Usage(1, 2, 3, 0.1, None), Usage()),
        Usage(4),
        {"accepted": 1},
        ("refused: why",),
    )
    store.save_cell(record)

    assert store.cell("c1") == record
    assert store.cell("c2") is None
    store.close()


def test_test_rollouts_come_back_by_example_and_a_replay_overwrites_itself(tmp_path: Path) -> None:
    of = toy()
    p = problem(of)
    rollouts = p.rollout(p.initial, p.train)
    store = Store(tmp_path)

    store.save_rollouts("c1", "test", rollouts)
    store.save_rollouts("c1", "test", [replace(r, score=None, error="x") for r in rollouts[:1]])
    found = store.test_rollouts("c1", p.initial.hash)
    store.close()

    assert [r.example for r in found] == sorted(r.example.id for r in rollouts)
    assert sum(r.score is None for r in found) == 1


def test_a_killed_process_leaves_every_recorded_call(tmp_path: Path) -> None:
    code = f"""
import os, signal
from pathlib import Path
from harness.lm import RecordedCall
from harness.store import Store
from harness.types import Usage
store = Store(Path({str(tmp_path)!r}))
for i in range(50):
    store.put(str(i), RecordedCall({{}}, str(i), "stop", Usage(1), (), "task"))
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    store = Store(tmp_path)
    found = [store.get(str(i)) for i in range(50)]
    store.close()

    assert done.returncode == -9
    assert all(f is not None and f.text == str(i) for i, f in enumerate(found))


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"this is not a database" * 100)

    with pytest.raises(StoreError, match="not a database") as error:
        Store(tmp_path)

    assert "\n" not in str(error.value)


def test_a_path_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")

    with pytest.raises(StoreError, match="cannot use"):
        Store(tmp_path / "file")
