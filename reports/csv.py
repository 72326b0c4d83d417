"""The results as CSV: a line per row of the table, numbers in full precision, empty if unknown."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from harness.formatting import printable
from harness.results import Row, RunResult, rows
from harness.types import Usage

Value: TypeAlias = str | int | float | None

_FORMULA = ("=", "+", "-", "@")


def render(result: RunResult, *, times: bool) -> str:
    """Return a header and a line per row; measured seconds only with `times`."""
    table = rows(result)
    metrics = sorted({name for row in table for name in row.metrics})
    records = [_record(row, metrics) | (_times(row) if times else {}) for row in table]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if records:
        writer.writerow([_cell(name) for name in records[0]])
    writer.writerows([[_cell(value) for value in record.values()] for record in records])
    return text.getvalue()


def _cell(value: Value) -> Value:
    """Return text so that no spreadsheet takes it for a formula; numbers as they are."""
    if not isinstance(value, str):
        return "" if value is None else repr(value)
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _record(row: Row, metrics: Sequence[str]) -> dict[str, Value]:
    return {
        "task": row.task,
        "program": row.program,
        "model": row.model,
        "optimizer_model": row.optimizer_model,
        "optimizer": row.optimizer,
        "status": row.status,
        "remarks": "; ".join(row.remarks),
        "seeds": " ".join(map(str, row.seeds)),
        "unchanged_seeds": " ".join(map(str, row.unchanged_seeds)),
        **_statistics(row),
        **{f"metric.{name}": row.metrics.get(name) for name in metrics},
        "failed_rollouts": row.n_failed,
        "rollouts": row.spend.rollouts,
        **_usage("task", row.spend.task),
        **_usage("optimizer", row.spend.optimizer),
        "cost_usd": (row.spend.task + row.spend.optimizer).cost_usd,
        **_usage("test", row.test_usage),
        "test_cost_usd": row.test_usage.cost_usd,
    }


def _statistics(row: Row) -> Mapping[str, Value]:
    test, difference, bounds = row.test, row.difference, row.bounds
    return {
        "test_score": test and test.mean,
        "test_low": test and test.low,
        "test_high": test and test.high,
        "vs_none": difference and difference.mean,
        "vs_none_low": difference and difference.low,
        "vs_none_high": difference and difference.high,
        "p_raw": difference and difference.p,
        "p_holm": row.p,
        "verdict": row.verdict,
        "pairs": difference and difference.n_pairs,
        "pairs_left_out": difference and difference.n_left_out,
        "test_examples": row.n_test,
        "test_rollouts": row.n_test_rollouts,
        "test_failed": row.n_test_failed,
        "test_score_if_failed_are_0": bounds and bounds[0],
        "test_score_if_failed_are_1": bounds and bounds[1],
        "val_score": row.val_score,
        "val_minus_test": row.optimism,
    }


def _usage(side: str, usage: Usage) -> dict[str, Value]:
    return {
        f"{side}_calls": usage.calls,
        f"{side}_prompt_tokens": usage.prompt_tokens,
        f"{side}_completion_tokens": usage.completion_tokens,
    }


def _times(row: Row) -> dict[str, Value]:
    return {
        "measured_task_seconds": row.spend.task.seconds,
        "measured_optimizer_seconds": row.spend.optimizer.seconds,
        "measured_test_seconds": row.test_usage.seconds,
    }
