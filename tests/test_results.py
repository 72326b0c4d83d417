"""Rows of a table from the cells of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.results import CellResult, RunResult, rows
from harness.types import Spend, Usage


def cell(optimizer: str, scores: str, seed: int = 0, task: str = "sums") -> CellResult:
    """Make a done cell; in `scores` 1 is right, 0 wrong, - a failed rollout."""
    values = {"1": 1.0, "0": 0.0, "-": None}
    test = tuple(values[s] for s in scores)
    ids = tuple(f"e{i}" for i in range(len(test)))
    return CellResult(
        task,
        "direct",
        optimizer,
        "tiny",
        "tiny",
        seed,
        "done",
        test_scores=test,
        test_ids=ids,
        n_failed_rollouts=test.count(None),
        changed=True,
    )


def run(*cells: CellResult, **config: list[str]) -> RunResult:
    return RunResult(config, {}, {}, (), cells)


def test_rows_come_in_the_order_of_their_first_cells() -> None:
    cells = [cell(o, "1", n, task=t) for t in "ba" for o in ("none", "x") for n in (0, 1)]

    table = rows(run(*cells))

    assert [(row.task, row.optimizer) for row in table] == [
        ("b", "none"),
        ("b", "x"),
        ("a", "none"),
        ("a", "x"),
    ]


def test_seeds_share_a_row_and_add_up_their_spend() -> None:
    spent = Spend(10, Usage(20, 300, 40, 1.0, 0.5), Usage(1, 5, 5, 1.0, None))
    a, b = (replace(cell("x", "10", s), spend=spent, counts={"accepted": 2}) for s in (0, 1))

    (row,) = rows(run(a, b))

    assert (row.seeds, row.spend.rollouts, row.spend.task.calls) == ((0, 1), 20, 40)
    assert (row.spend.task.cost_usd, row.spend.optimizer.cost_usd) == (1.0, None)
    assert row.counts == {"accepted": 4}


def test_the_control_has_no_difference_and_others_are_paired_with_it_by_seed() -> None:
    table = rows(run(cell("none", "0011"), cell("x", "0111"), cell("x", "1111", seed=1)))

    assert table[0].difference is None
    assert table[1].difference is not None
    assert (table[1].difference.mean, table[1].difference.n_pairs) == (0.25, 4)


def test_without_a_control_on_the_same_task_there_is_no_difference() -> None:
    (other, row) = rows(run(cell("none", "01"), cell("x", "11", task="letters")))

    assert (other.difference, row.difference, row.p) == (None, None, None)


def test_scores_are_paired_by_id_whatever_their_order() -> None:
    control, x = cell("none", "0001"), cell("x", "0001")
    turned = replace(x, test_scores=x.test_scores[::-1], test_ids=x.test_ids[::-1])

    row = rows(run(control, turned))[1]

    assert row.difference is not None
    assert (row.difference.mean, row.difference.p) == (0.0, 1.0)
    assert row.difference.high < 0.5  # with no pair that differs


def test_p_is_adjusted_over_the_whole_table() -> None:
    control, won = "0" * 8, "1" * 8
    two = [cell("none", control), cell("x", won), cell("y", won)]

    table = rows(run(*two, *(replace(c, task="letters") for c in two)))

    # Exact McNemar of 8 against 0 is 2 / 2**8; four comparisons.
    assert [r.p for r in table if r.p is not None] == pytest.approx([4 * 2 / 2**8] * 4)
    assert [r.verdict for r in table] == [None, "better", "better"] * 2


def test_a_loss_is_told_as_worse() -> None:
    table = rows(run(cell("none", "1" * 8), cell("x", "0" * 8)))

    assert [r.verdict for r in table] == [None, "worse"]


def test_an_interval_with_0_gets_no_verdict_whatever_the_p() -> None:
    # Every gain comes from one of two seeds: sure for new examples, not for a new seed.
    control = [cell("none", "0" * 30, seed) for seed in (0, 1)]

    row = rows(run(*control, cell("x", "0" * 30), cell("x", "1" * 30, 1)))[1]

    assert row.p is not None and row.p < 0.001
    assert row.verdict is None


def test_a_failed_test_rollout_is_bounded_and_no_zero() -> None:
    (row,) = rows(run(cell("x", "11-0")))

    assert row.test is not None
    assert row.test.mean == pytest.approx(2 / 3)
    assert (row.bounds, row.n_test_failed, row.n_test, row.n_failed) == ((0.5, 0.75), 1, 4, 1)


def test_optimism_is_the_val_score_minus_the_test_score() -> None:
    (row,) = rows(run(replace(cell("x", "10"), val_score=0.75)))

    assert (row.val_score, row.optimism) == (0.75, 0.25)


def test_a_row_that_did_not_run_keeps_its_reason_and_has_no_score() -> None:
    skipped = [
        replace(cell("x", "", seed), status="not run", reason="no rows") for seed in range(2)
    ]

    (row,) = rows(run(*skipped))

    assert (row.status, row.remarks, row.test, row.val_score) == (
        "not run",
        ("no rows",),
        None,
        None,
    )


def test_a_seed_that_failed_is_told_and_the_others_count() -> None:
    broken = replace(cell("x", "", 1), status="failed", reason="boom")

    (row,) = rows(run(cell("x", "10"), broken))

    assert (row.status, row.seeds, row.remarks) == ("done", (0,), ("seed 1 failed: boom",))


def test_an_unchanged_program_is_told_by_seed() -> None:
    (row,) = rows(run(replace(cell("x", "10"), changed=False), cell("x", "10", 1)))

    assert row.unchanged_seeds == (0,)


def test_models_are_never_averaged_together() -> None:
    table = rows(run(cell("x", "10"), replace(cell("x", "11"), model="big")))

    assert [(r.model, r.test.mean if r.test else None) for r in table] == [
        ("tiny", 0.5),
        ("big", 1.0),
    ]


def test_other_metrics_are_averaged_over_what_is_known() -> None:
    (row,) = rows(run(replace(cell("x", "10"), metrics={"strict": (1.0, None)})))

    assert row.metrics == {"strict": 1.0}


def test_a_run_without_cells_has_no_rows() -> None:
    assert rows(run()) == []
