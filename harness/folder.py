"""A run folder, read back: its configuration, its cells, its results."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from harness.config import RunConfig, from_json
from harness.errors import StoreError
from harness.results import CellResult, RunResult, SplitCounts, Status
from harness.store import DATABASE, CellKey, CellRecord, Store


def load(out: Path) -> RunResult:
    """Return the results of a run folder. Raises StoreError if it holds no run."""
    with _opened(out) as store:
        return read(store)


def stored_config(out: Path) -> RunConfig | None:
    """Return the configuration of a run folder, None if it holds no run."""
    if not (out / DATABASE).is_file():
        return None
    with _opened(out) as store:
        facts = store.read_run()
    return None if facts is None else from_json(cast("Mapping[str, Any]", facts["config"]))


def records(out: Path) -> list[CellRecord]:
    """Return the cells of a run folder that have ended, in table order."""
    with _opened(out) as store:
        found = [store.cell(cell["id"]) for cell in _facts(store)["cells"]]
        return [record for record in found if record is not None]


def read(store: Store) -> RunResult:
    """Fold a store into the plain data that a report gets."""
    facts = _facts(store)
    return RunResult(
        config=facts["config"],
        versions=facts["versions"],
        sources=facts["sources"],
        notes=tuple(facts["notes"]),
        cells=tuple(_result(store, cell) for cell in facts["cells"]),
        splits={name: SplitCounts(**counts) for name, counts in facts["splits"].items()},
    )


@contextmanager
def _opened(out: Path) -> Generator[Store]:
    if not (out / DATABASE).is_file():
        raise StoreError(f"{out} holds no run; give the --out folder of an `optorace run`")
    store = Store(out)
    try:
        yield store
    finally:
        store.close()


def _facts(store: Store) -> Mapping[str, Any]:
    facts = store.read_run()
    if facts is None:
        raise StoreError(f"{store.path} holds no run yet; start one with `optorace run`")
    return facts


def _result(store: Store, cell: Mapping[str, Any]) -> CellResult:
    """Return what a cell came to; `cell` is its key with the reason why it cannot run, or ""."""
    key = CellKey(**{k: v for k, v in cell.items() if k != "reason"})
    shown = {k: v for k, v in asdict(key).items() if k != "id"}
    record = store.cell(key.id)
    if record is None:
        return CellResult(**shown, status="not run", reason=cell["reason"] or "not finished yet")
    rollouts = store.test_rollouts(key.id, record.final.hash) if record.final else []
    names = sorted({name for r in rollouts for name in r.metrics})
    return CellResult(
        **shown,
        status=cast("Status", record.status),
        reason="; ".join(filter(None, (record.reason, failure_line(record)))),
        val_score=record.val_score,
        test_scores=tuple(r.score for r in rollouts),
        test_ids=tuple(r.example for r in rollouts),
        metrics={n: tuple(r.metrics.get(n) for r in rollouts) for n in names},
        n_failed_rollouts=sum(record.failures.values()),
        spend=record.spend,
        test_usage=record.test_usage,
        changed=record.final != record.initial,
        counts=record.counts,
    )


def failure_line(record: CellRecord) -> str:
    """Return how many rollouts failed and the most frequent reason, "" for none."""
    if not record.failures:
        return ""
    reason = max(sorted(record.failures), key=lambda r: record.failures[r])
    n = sum(record.failures.values())
    return f"{n} failed rollout{'' if n == 1 else 's'}, most often: {reason}"
