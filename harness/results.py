"""What a report gets: the cells of a run as plain data, and the rows of its table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from typing import Literal, TypeAlias

from harness import stats
from harness.types import JSON, Spend, Usage

CONTROL = "none"  # the optimizer that changes nothing; every other is compared with it
ALPHA = 0.05

Status: TypeAlias = Literal["done", "not run", "failed"]
Verdict: TypeAlias = Literal["better", "worse"]


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one cell came to.

    `reason` says why a cell is not done, or what is worth knowing about one that is, else "".
    `test_scores` follow `test_ids`; None is a failed rollout. `metrics` are in the same order.
    `n_failed_rollouts` counts optimization and test. `spend` is optimization only, `test_usage`
    the final test only. `changed` is False if the returned candidate is the one it started from.
    """

    task: str
    program: str
    optimizer: str
    model: str
    optimizer_model: str
    seed: int
    status: Status
    reason: str = ""
    val_score: float | None = None
    test_scores: tuple[float | None, ...] = ()
    test_ids: tuple[str, ...] = ()
    metrics: Mapping[str, tuple[float | None, ...]] = field(
        default_factory=dict[str, tuple[float | None, ...]]
    )
    n_failed_rollouts: int = 0
    spend: Spend = field(default_factory=Spend)
    test_usage: Usage = field(default_factory=Usage)
    changed: bool = False
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """How many examples a task's splits have; `n_dropped` repeated examples were left out."""

    train: int
    val: int
    test: int
    n_dropped: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """The cells of one run. `config` is RunConfig as JSON; `sources` and `splits` are by task."""

    config: Mapping[str, JSON]
    versions: Mapping[str, str]
    sources: Mapping[str, str]
    notes: tuple[str, ...]
    cells: tuple[CellResult, ...]
    splits: Mapping[str, SplitCounts] = field(default_factory=dict[str, SplitCounts])


@dataclass(frozen=True, slots=True)
class Row:
    """One task x program x model x optimizer over its seeds.

    `seeds` are those that are done; statistics are over them, spend is summed over all that ran.
    `remarks` are the reasons; one that names no seed is about the whole row and explains `status`.
    `test` is None if no seed is done. `difference` to the control is over the seeds both have done,
    None for the control itself or without one. `p` is Holm-adjusted over the rows of the table.
    `verdict` needs p < 0.05 and an interval without 0. `bounds` are the score if failed test
    rollouts counted 0 or 1. `optimism` is the val score minus the test score. `unchanged_seeds`
    returned what they started from.
    """

    task: str
    program: str
    optimizer: str
    model: str
    optimizer_model: str
    status: Status
    seeds: tuple[int, ...]
    remarks: tuple[str, ...]
    n_test: int
    test: stats.Estimate | None
    difference: stats.Difference | None
    p: float | None
    verdict: Verdict | None
    metrics: Mapping[str, float | None]
    bounds: tuple[float, float] | None
    n_failed: int
    n_test_rollouts: int
    n_test_failed: int
    val_score: float | None
    optimism: float | None
    unchanged_seeds: tuple[int, ...]
    counts: Mapping[str, int]
    spend: Spend
    test_usage: Usage


_Key: TypeAlias = tuple[str, str, str, str, str]


def rows(result: RunResult) -> list[Row]:
    """Return the rows of the table, in the order in which their first cells come."""
    groups: dict[_Key, list[CellResult]] = {}
    for cell in result.cells:
        key = (cell.task, cell.program, cell.model, cell.optimizer_model, cell.optimizer)
        groups.setdefault(key, []).append(cell)
    built = [_row(cells, _control(cells[0], result.cells)) for cells in groups.values()]
    adjusted = stats.holm([row.difference.p if row.difference else None for row in built])
    return [
        replace(row, p=p, verdict=_verdict(row.difference, p))
        for row, p in zip(built, adjusted, strict=True)
    ]


def _control(cell: CellResult, cells: Sequence[CellResult]) -> list[CellResult]:
    """Return the control's cells on the same task, program and model; none for the control."""
    if cell.optimizer == CONTROL:
        return []
    same = (cell.task, cell.program, cell.model)
    return [c for c in cells if c.optimizer == CONTROL and (c.task, c.program, c.model) == same]


def _row(cells: Sequence[CellResult], control: Sequence[CellResult]) -> Row:
    done = [c for c in cells if c.status == "done"]
    first = cells[0]
    ids = _ids(done)
    test = stats.mean_interval(_matrix(done, ids)) if done else None
    vals = [c.val_score for c in done if c.val_score is not None]
    val_score = sum(vals) / len(vals) if vals else None
    mean = test.mean if test else None
    return Row(
        first.task,
        first.program,
        first.optimizer,
        first.model,
        first.optimizer_model,
        status="done" if done else first.status,
        seeds=tuple(c.seed for c in done),
        remarks=_remarks(cells),
        n_test=len(ids),
        test=test,
        difference=_difference(done, control),
        p=None,
        verdict=None,
        metrics={name: _metric_mean(done, name) for name in _metric_names(done)},
        bounds=stats.bounds([[s for c in done for s in c.test_scores]]) if done else None,
        n_failed=sum(c.n_failed_rollouts for c in cells),
        n_test_rollouts=sum(len(c.test_scores) for c in done),
        n_test_failed=sum(c.test_scores.count(None) for c in done),
        val_score=val_score,
        optimism=None if val_score is None or mean is None else val_score - mean,
        unchanged_seeds=tuple(c.seed for c in done if not c.changed),
        counts=_total_counts(cells),
        spend=_total_spend(cells),
        test_usage=reduce(add, (c.test_usage for c in cells)),
    )


def _ids(cells: Iterable[CellResult]) -> list[str]:
    return list(dict.fromkeys(i for cell in cells for i in cell.test_ids))


def _matrix(cells: Iterable[CellResult], ids: Sequence[str]) -> list[list[float | None]]:
    """Return a row per cell, a score per id; an example that a seed lacks has no score there."""
    by_id = [dict(zip(c.test_ids, c.test_scores, strict=True)) for c in cells]
    return [[scores.get(i) for i in ids] for scores in by_id]


def _difference(
    cells: Sequence[CellResult], control: Sequence[CellResult]
) -> stats.Difference | None:
    by_seed = {c.seed: c for c in control if c.status == "done"}
    pairs = [(c, by_seed[c.seed]) for c in cells if c.seed in by_seed]
    if not pairs:
        return None
    ids = _ids(cell for pair in pairs for cell in pair)
    return stats.paired_difference(
        _matrix((cell for cell, _ in pairs), ids), _matrix((other for _, other in pairs), ids)
    )


def _verdict(difference: stats.Difference | None, p: float | None) -> Verdict | None:
    if difference is None or p is None or p >= ALPHA:
        return None
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else None


def _remarks(cells: Sequence[CellResult]) -> tuple[str, ...]:
    """Say what each reason is about: all seeds, or some; equal reasons together."""
    seeds: dict[tuple[Status, str], list[int]] = {}
    for cell in cells:
        if cell.status != "done" or cell.reason:
            seeds.setdefault((cell.status, cell.reason), []).append(cell.seed)
    return tuple(_remark(*key, which, len(cells)) for key, which in seeds.items())


def _remark(status: Status, reason: str, seeds: Sequence[int], n_cells: int) -> str:
    reason = reason or "no reason was recorded"
    if len(seeds) == n_cells:
        return reason
    which = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    return f"{which}: {reason}" if status == "done" else f"{which} {status}: {reason}"


def _metric_names(cells: Iterable[CellResult]) -> list[str]:
    return sorted({name for cell in cells for name in cell.metrics})


def _metric_mean(cells: Iterable[CellResult], name: str) -> float | None:
    values = [v for c in cells for v in c.metrics.get(name, ()) if v is not None]
    return sum(values) / len(values) if values else None


def _total_counts(cells: Iterable[CellResult]) -> dict[str, int]:
    total: dict[str, int] = {}
    for cell in cells:
        for name, n in cell.counts.items():
            total[name] = total.get(name, 0) + n
    return dict(sorted(total.items()))


def _total_spend(cells: Sequence[CellResult]) -> Spend:
    return Spend(
        sum(c.spend.rollouts for c in cells),
        reduce(add, (c.spend.task for c in cells)),
        reduce(add, (c.spend.optimizer for c in cells)),
    )
