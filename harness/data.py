"""Rows from a mirror folder or from the Hub at a pinned revision, and their split into three."""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import random
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from harness.errors import DataError
from harness.types import JSON, Example, HubRef, Pools, Splits, SplitSizes, Table

HUB_PROBE_S = 3.0
Row = Mapping[str, JSON]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows from a mirror folder if there is one and it has the file, else from the Hub.

    The mirror holds SET/CONFIG/SPLIT.jsonl, or .jsonl.gz: UTF-8, one JSON object a line, fields
    named and typed as on the Hub. Where it has no CONFIG `all`, that is the union of its configs
    in alphabetical order, as many as are there.
    `hub` loads one split at its revision; whether the Hub answers is found out once a process.
    """

    mirror: Path | None
    hub: Callable[[HubRef], Sequence[Row]] | None = None

    def rows(self, ref: HubRef) -> Table:
        """Return one split. Raises DataError if neither the mirror nor the Hub has it."""
        tried: list[str] = []
        if self.mirror is not None:
            paths = _mirror_paths(self.mirror, ref)
            if paths:
                return _read_mirror(paths, ref)
            tried.append(f"{self.mirror} has no {ref.mirror}/{ref.config}/{ref.split}.jsonl[.gz]")
        load = self.hub
        if load is None:
            reason = hub_out_of_reach()
            load = load_from_hub
            if reason is not None:
                raise DataError(_unreachable(ref, [*tried, reason]))
        try:
            rows = load(ref)
        except DataError as e:
            raise DataError(_unreachable(ref, [*tried, str(e)])) from e
        return Table(rows, f"Hub {ref.repo}@{ref.revision[:7]} {ref.config}/{ref.split}")


def text(row: Row, field: str) -> str:
    """Return a field that must be text. Raises DataError."""
    value = row.get(field)
    if not isinstance(value, str):
        raise DataError(_not_a(row, field, "text"))
    return value


def integer(row: Row, field: str) -> int:
    """Return a field that must be a whole number. Raises DataError."""
    value = row.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(_not_a(row, field, "a whole number"))
    return value


def texts(row: Row, field: str) -> list[str]:
    """Return a field that must be a list of texts. Raises DataError."""
    value = row.get(field)
    if not isinstance(value, list) or not all(isinstance(v, str) for v in cast("Any", value)):
        raise DataError(_not_a(row, field, "a list of texts"))
    return cast("list[str]", value)


def table_examples(table: Table, make: Callable[[Row], T], limit: int | None = None) -> list[T]:
    """Return what `make` gives for each row; a DataError is told with source and line.

    `limit` keeps that many rows, spread evenly over the table and in its order: the rest of a set
    of 90,000 rows is never read. The choice depends on the limit and the table alone.
    """
    n = len(table.rows)
    chosen = range(n) if limit is None or n <= limit else [i * n // limit for i in range(limit)]
    made: list[T] = []
    for i in chosen:
        try:
            made.append(make(table.rows[i]))
        except DataError as e:
            raise DataError(f"{table.source}, line {i + 1}: {e}") from e
    return made


def split(pools: Pools, sizes: SplitSizes, seed: int) -> Splits:
    """Draw three splits that share no `Example.content`.

    Repeated examples count once, the first stays; if their targets contradict each other, none
    stays. An optimize example that also is in the test pool leaves the optimize pool. Of the
    shuffled optimize pool val is the front and train the back; test is the front of its own
    pool, or, without one, val follows it. So each split grows by appending, and a larger train
    changes no other split, unless test is all that remains of the one pool.
    Raises DataError if there are too few examples.
    """
    optimize = _distinct(pools.optimize)
    total = len(pools.optimize) + (0 if pools.test is None else len(pools.test))
    rng = random.Random(seed)
    if pools.test is None:
        n_kept = len(optimize)
        shuffled = _shuffled(optimize, rng)
        _check_sizes(sizes, n_kept, n_kept, pools)
        if sizes.test is None:
            val, test = shuffled[: sizes.val], shuffled[sizes.val : n_kept - sizes.train]
        else:
            test = shuffled[: sizes.test]
            val = shuffled[sizes.test : sizes.test + sizes.val]
    else:
        seen = {example.content for example in pools.test}
        optimize = [example for example in optimize if example.content not in seen]
        tests = _distinct(pools.test)
        n_kept = len(optimize) + len(tests)
        _check_sizes(sizes, len(optimize), len(tests), pools)
        test = _shuffled(tests, rng)[: sizes.test]
        shuffled = _shuffled(optimize, rng)
        val = shuffled[: sizes.val]
    train = shuffled[::-1][: sizes.train]
    return Splits(tuple(train), tuple(val), tuple(test), pools.source, total - n_kept)


@functools.cache
def hub_out_of_reach() -> str | None:
    """Return why the Hub cannot be asked, or None if it answers. Asks once a process, 3 s at most.

    `datasets` would retry for 23 s per data set where there is no network. With HF_HUB_OFFLINE
    the Hub's local cache is asked, which needs no network.
    """
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return None
    answer: list[str | None] = []
    probe = threading.Thread(
        target=lambda: answer.append(_probe(constants.ENDPOINT)), daemon=True, name="hub-probe"
    )
    probe.start()
    probe.join(HUB_PROBE_S)
    if not answer:
        return f"the Hub at {constants.ENDPOINT} gave no answer within {HUB_PROBE_S:g} s"
    return answer[0]


def load_from_hub(ref: HubRef) -> Sequence[Row]:
    """Return one split at its pinned revision, read row by row. Raises DataError."""
    import datasets
    import httpx
    from datasets.exceptions import DatasetsError

    load = cast("Callable[..., Any]", datasets.load_dataset)  # pyright: ignore[reportUnknownMemberType]  # untyped arguments
    try:
        loaded = load(ref.repo, ref.config, split=ref.split, revision=ref.revision)
    except (OSError, ValueError, RuntimeError, httpx.HTTPError, DatasetsError) as e:
        raise DataError(f"the Hub answered {type(e).__name__}: {e}") from e
    return cast("Sequence[Row]", loaded)


def _probe(endpoint: str) -> str | None:
    request = urllib.request.Request(endpoint, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=HUB_PROBE_S):
            return None
    except urllib.error.HTTPError:
        return None  # it answered, if only to refuse this page
    except (OSError, ValueError) as e:
        return f"the Hub at {endpoint} is out of reach ({getattr(e, 'reason', e)})"


def _unreachable(ref: HubRef, tried: Sequence[str]) -> str:
    return (
        f"no rows of {ref.repo} ({ref.config}/{ref.split}, revision {ref.revision[:7]}): "
        f"{'; '.join(tried)}; give a folder that has {ref.mirror}/{ref.config}/{ref.split}.jsonl "
        "or .jsonl.gz, with --data DIR or OPTORACE_DATA, or go online"
    )


def _mirror_paths(mirror: Path, ref: HubRef) -> list[Path]:
    folder = mirror / ref.mirror
    own = _mirror_file(folder / ref.config, ref.split)
    if own is not None:
        return [own]
    if ref.config != "all" or not folder.is_dir():
        return []
    configs = sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: p.name)
    found = (_mirror_file(config, ref.split) for config in configs)
    return [path for path in found if path is not None]


def _mirror_file(folder: Path, split_name: str) -> Path | None:
    names = (f"{split_name}.jsonl", f"{split_name}.jsonl.gz")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read_mirror(paths: Sequence[Path], ref: HubRef) -> Table:
    """Read the files; the source tells names and a hash of the text, no absolute path."""
    digest = hashlib.sha256()
    rows: list[Row] = []
    for path in paths:
        name = f"{ref.mirror}/{path.parent.name}/{path.name}"
        try:
            raw = path.read_bytes()
            plain = gzip.decompress(raw) if path.suffix == ".gz" else raw
        except (OSError, EOFError, zlib.error) as e:
            raise DataError(f"mirror {name} cannot be read: {e}; copy the file again") from e
        digest.update(plain)
        rows += _parse(plain, f"mirror {name}")
    name = f"{ref.mirror}/{ref.config}/{paths[0].name}"
    if paths[0].parent.name != ref.config:
        name = f"{ref.mirror}/{ref.config}/{ref.split} of {len(paths)} configs"
    return Table(rows, f"mirror {name} sha256:{digest.hexdigest()[:8]}")


def _parse(plain: bytes, where: str) -> list[Row]:
    # Only \n ends a line here: str.splitlines would cut at U+2028, which JSON may hold unescaped.
    lines = plain.removesuffix(b"\n").split(b"\n") if plain else []
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as e:
            raise DataError(f"{where}, line {number}: no JSON ({e}); one object a line") from e
        if not isinstance(row, dict):
            raise DataError(f"{where}, line {number}: {type(row).__name__}, not a JSON object")
        rows.append(cast("Row", row))
    return rows


def _distinct(pool: Sequence[Example]) -> list[Example]:
    """Return the first of each content, none where targets contradict; in the pool's order."""
    first: dict[str, Example] = {}
    contradicting: set[str] = set()
    for example in pool:
        if first.setdefault(example.content, example).target != example.target:
            contradicting.add(example.content)
    return [example for content, example in first.items() if content not in contradicting]


def _shuffled(examples: Sequence[Example], rng: random.Random) -> list[Example]:
    """Shuffle by keys from `random()`, the one method whose numbers no Python version changes."""
    keys = [(rng.random(), i) for i in range(len(examples))]
    return [examples[i] for _, i in sorted(keys)]


def _check_sizes(sizes: SplitSizes, n_optimize: int, n_test: int, pools: Pools) -> None:
    if min(sizes.train, sizes.val, sizes.test or 0) < 0:
        raise DataError(f"split sizes {_asked(sizes)}; each must be 0 or more")
    asked = sizes.train + sizes.val
    wanted = 1 if sizes.test is None else sizes.test
    where = f"of {pools.source}, repeated ones left out, there are"
    if pools.test is None and asked + wanted > n_optimize:
        raise DataError(f"{where} {n_optimize} examples; asked: {_asked(sizes)}; ask for fewer")
    if asked > n_optimize:
        what = f"{n_optimize} to draw train and val from"
        raise DataError(f"{where} {what}; asked: {_asked(sizes)}; ask for fewer")
    if wanted > n_test:
        raise DataError(f"{where} {n_test} test examples; asked: {_asked(sizes)}; ask for fewer")


def _asked(sizes: SplitSizes) -> str:
    test = "the rest" if sizes.test is None else sizes.test
    return f"train {sizes.train}, val {sizes.val}, test {test}"


def _not_a(row: Row, field: str, wanted: str) -> str:
    if field not in row:
        return f"field {field!r} is missing; it must be {wanted}; fields here: {sorted(row)}"
    return f"field {field!r} is {type(row[field]).__name__}, must be {wanted}; see docs/tasks.md"
