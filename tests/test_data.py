"""Rows from mirror and Hub, and the split into three."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import Rows, integer, split, table_examples, text, texts
from harness.errors import DataError
from harness.types import Example, HubRef, Pools, SplitSizes, Table, make_example

REF = HubRef("owner/set", "740312add88f781978c0658806c59bc2815b9866", "main", "train", "set")
ASK_TWICE = """
import time
from harness.data import Rows
from harness.errors import DataError
from harness.types import HubRef
start = time.monotonic()
for config in ("one", "two"):
    try:
        Rows(None).rows(HubRef("owner/set", "740312a", config, "train", "set"))
    except DataError as e:
        print(e)
print(time.monotonic() - start)
"""


def write(folder: Path, config: str, rows: Sequence[object], *, name: str = "train.jsonl") -> None:
    path = folder / "set" / config / name
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(plain) if path.suffix == ".gz" else plain)


def refuse(ref: HubRef) -> Any:
    raise DataError("the Hub is out of reach")


def numbered(n: int, *, target: str = "t", start: int = 0) -> list[Example]:
    return [make_example({"question": f"q{i}"}, target) for i in range(start, start + n)]


# ---- rows


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz"])
def test_a_mirror_gives_its_rows_in_order_with_a_hash_of_their_text(tmp_path: Path, name: str):
    rows = [{"q": "a\u2028b \u20ac"}, {"q": "None"}]
    write(tmp_path, "main", rows, name=name)
    plain = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()

    table = Rows(tmp_path, refuse).rows(REF)

    digest = hashlib.sha256(plain).hexdigest()[:8]
    assert list(table.rows) == rows
    assert table.source == f"mirror set/main/{name} sha256:{digest}"


def test_what_the_mirror_lacks_comes_from_the_hub_at_its_revision(tmp_path: Path):
    asked: list[HubRef] = []

    def hub(ref: HubRef) -> list[dict[str, str]]:
        asked.append(ref)
        return [{"q": "x"}]

    table = Rows(tmp_path, hub).rows(REF)

    assert asked == [REF]
    assert table == Table([{"q": "x"}], "Hub owner/set@740312a main/train")


def test_rows_that_nobody_has_name_mirror_hub_and_the_way_out(tmp_path: Path):
    with pytest.raises(DataError) as caught:
        Rows(tmp_path, refuse).rows(REF)

    message = str(caught.value)
    for part in ("owner/set", "740312a", str(tmp_path), "out of reach", "--data", "OPTORACE_DATA"):
        assert part in message


def test_the_config_all_of_a_mirror_is_the_union_of_its_configs(tmp_path: Path):
    for config in ("beta", "alpha"):
        write(tmp_path, config, [{"q": config}])
    ref = HubRef("owner/set", "rev", "all", "train", "set")

    table = Rows(tmp_path, refuse).rows(ref)

    assert [row["q"] for row in table.rows] == ["alpha", "beta"]
    assert table.source.startswith("mirror set/all/train of 2 configs sha256:")


@pytest.mark.parametrize("line", [b"{", b"[1]", b"", b"\xff", b"[" * 100_000])
def test_a_malformed_line_is_named_by_file_and_number(tmp_path: Path, line: bytes):
    write(tmp_path, "main", [{"q": "x"}])
    path = tmp_path / "set" / "main" / "train.jsonl"
    path.write_bytes(path.read_bytes() + line + b"\n{}\n")

    with pytest.raises(DataError, match=r"set/main/train\.jsonl, line 2"):
        Rows(tmp_path, refuse).rows(REF)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"{}\n" * 99, mtime=0)[:-9]])
def test_a_damaged_file_is_a_data_error(tmp_path: Path, content: bytes):
    write(tmp_path, "main", [], name="train.jsonl.gz")
    (tmp_path / "set" / "main" / "train.jsonl.gz").write_bytes(content)

    with pytest.raises(DataError, match="cannot be read"):
        Rows(tmp_path, refuse).rows(REF)


def test_a_wrong_field_is_named_with_source_line_and_type():
    table = Table([{"a": "x"}, {"a": None}], "mirror set")

    with pytest.raises(DataError, match=r"mirror set, line 2: field 'a' is NoneType, must be text"):
        table_examples(table, lambda row: text(row, "a"))
    for read, value in ((integer, True), (integer, "1"), (texts, ["x", 1]), (texts, "x")):
        with pytest.raises(DataError, match="field 'a'"):
            read({"a": value}, "a")
    with pytest.raises(DataError, match=r"missing.*fields here: \['a'\]"):
        text({"a": "x"}, "b")


def test_rows_of_the_datasets_library_are_plain_and_read_as_needed():
    datasets = pytest.importorskip("datasets")
    rows = [{"q": f"q{i}", "c": ["None", "\r"], "n": i} for i in range(10)]
    loaded = datasets.Dataset.from_list(rows)
    read: list[int] = []

    class Watched:
        def __len__(self) -> int:
            return len(loaded)

        def __getitem__(self, i: int) -> Any:
            read.append(i)
            return loaded[i]

    table = Rows(None, lambda ref: Watched()).rows(REF)  # type: ignore[arg-type, return-value]

    assert table_examples(table, dict, limit=5) == rows[::2]
    assert read == [0, 2, 4, 6, 8]


@contextmanager
def silent_server() -> Iterator[str]:
    """Accept connections and never answer."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def ask_twice(endpoint: str) -> list[str]:
    # A proxy of the machine would answer in the Hub's place.
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    env = kept | {"HF_ENDPOINT": endpoint, "PYTHONPATH": str(Path(__file__).parents[1])}
    env.pop("HF_HUB_OFFLINE", None)
    command = [sys.executable, "-c", ASK_TWICE]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_a_hub_that_refuses_is_found_out_at_once():
    one, two, seconds = ask_twice("http://127.0.0.1:9")

    assert "http://127.0.0.1:9 is out of reach" in one
    assert "two/train" in two
    assert float(seconds) < 3.0


def test_a_silent_hub_costs_three_seconds_once_a_process():
    with silent_server() as endpoint:
        one, two, seconds = ask_twice(endpoint)

    for message in (one, two):
        assert re.search(r"within 3 s|out of reach", message)
    assert float(seconds) < 4.5


# ---- split


def contents(examples: Sequence[Example]) -> set[str]:
    return {example.content for example in examples}


@given(
    st.lists(st.integers(0, 30), max_size=60),
    st.lists(st.integers(0, 30), min_size=1, max_size=60) | st.none(),
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9) | st.none()),
    st.integers(0, 5),
)
def test_splits_are_disjoint_have_the_sizes_asked_for_or_say_how_many_there_are(
    pool: list[int], tests: list[int] | None, asked: tuple[int, int, int | None], seed: int
):
    def example(i: int) -> Example:
        return make_example({"question": f"q{i}"}, "t")

    sizes = SplitSizes(*asked)
    pools = Pools([*map(example, pool)], tests and [*map(example, tests)], "made")
    n_test = len(set(tests)) if tests else None
    n_optimize = len(set(pool) - set(tests or []))
    wanted = sizes.train + sizes.val + (0 if tests else (sizes.test or 1))

    if wanted > n_optimize or (n_test is not None and (sizes.test or 1) > n_test):
        with pytest.raises(DataError, match="there are"):
            split(pools, sizes, seed)
        return
    made = split(pools, sizes, seed)

    assert (len(made.train), len(made.val)) == (sizes.train, sizes.val)
    rest = n_test if n_test is not None else n_optimize - sizes.train - sizes.val
    assert len(made.test) == (rest if sizes.test is None else sizes.test)
    drawn = [*made.train, *made.val, *made.test]
    assert len(contents(drawn)) == len(drawn)
    assert made.n_dropped == len(pool) + len(tests or []) - n_optimize - (n_test or 0)
    assert made == split(pools, sizes, seed)


def test_an_optimize_example_that_is_in_the_test_pool_leaves_the_optimize_pool():
    pools = Pools(numbered(10), numbered(5), "made")

    made = split(pools, SplitSizes(3, 2, None), 0)

    assert contents(made.test) == contents(numbered(5))
    assert contents([*made.train, *made.val]) == contents(numbered(5, start=5))
    assert made.n_dropped == 5


def test_contradicting_targets_leave_out_the_whole_group():
    pool = [*numbered(4), *numbered(1, target="other"), *numbered(1, start=1)]

    made = split(Pools(pool, None, "made"), SplitSizes(1, 1, None), 0)

    assert contents([*made.train, *made.val, *made.test]) == contents(numbered(3, start=1))
    assert made.n_dropped == 3


@pytest.mark.parametrize("tests", [None, numbered(30, start=100)])
def test_a_larger_split_keeps_the_smaller_one_and_a_larger_train_changes_no_other(
    tests: list[Example] | None,
):
    pools = Pools(numbered(40), tests, "made")

    small = split(pools, SplitSizes(5, 5, 10), 7)
    more_train = split(pools, SplitSizes(20, 5, 10), 7)
    more_val = split(pools, SplitSizes(5, 20, 10), 7)

    assert more_train.train[:5] == small.train
    assert (more_train.val, more_train.test) == (small.val, small.test)
    assert more_val.val[:5] == small.val
    assert (more_val.train, more_val.test) == (small.train, small.test)


def test_the_shuffle_is_the_same_in_every_version_of_python():
    made = split(Pools(numbered(8), None, "made"), SplitSizes(2, 2, 4), 0)

    # random.Random(0).random() gives 0.844, 0.758, 0.421, 0.259, 0.511, 0.405, 0.784, 0.303
    order = [e.inputs["question"] for e in [*made.test, *made.val, *reversed(made.train)]]
    assert order == ["q3", "q7", "q5", "q2", "q4", "q1", "q6", "q0"]


def test_another_seed_gives_other_splits():
    pools = Pools(numbered(40), None, "made")

    assert split(pools, SplitSizes(10, 10, 10), 0) != split(pools, SplitSizes(10, 10, 10), 1)


def test_negative_sizes_are_refused():
    with pytest.raises(DataError, match="0 or more"):
        split(Pools(numbered(4), None, "made"), SplitSizes(-1, 1, 1), 0)
