"""What a printed table shows: columns, grouped lines and footnotes, the same in every format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import groupby
from operator import add
from typing import cast

from harness import formatting as fmt
from harness.results import CONTROL, Row, RunResult, rows
from harness.stats import minimum_detectable_effect
from harness.types import JSON

ARROWS: Mapping[str | None, str] = {
    "better": "↑",
    "worse": "↓",
    None: " ",
}  # a blank keeps the numbers in line


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head in two lines; numbers stand right."""

    head: str
    unit: str = ""
    left: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One cell per column; `remarks` say why seeds have no result."""

    cells: tuple[str, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """The lines of one task (and program and model, where there are several)."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Notes:
    """Footnotes under a heading."""

    title: str
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table for people. All its text is printable, but not yet escaped for a format."""

    title: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    notes: tuple[Notes, ...]


SCORE_COLUMNS = (
    Column("optimizer", left=True),
    Column("test score, %", "[95 % interval]"),
    Column("vs none, points", "[95 % interval]"),
    Column("p"),
    Column("n"),
    Column("failed"),
    Column("rollouts"),
    Column("LM calls", "task/opt."),
    Column("tokens", "task/opt."),
    Column("cost"),
)
TIME_COLUMNS = (
    Column("optimizer", left=True),
    Column("task calls", "s"),
    Column("optimizer calls", "s"),
    Column("final test", "s"),
)


def sheets(result: RunResult, *, times: bool) -> list[Sheet]:
    """Return the table of scores, and with `times` that of the measured seconds."""
    table = rows(result)
    shown = [score_sheet(result, table, times=times)]
    return [*shown, time_sheet(table)] if times else shown


def score_sheet(result: RunResult, table: Sequence[Row], *, times: bool) -> Sheet:
    """Return the main table: what repeats exactly when the same configuration runs again."""
    notes = (
        Notes("Worth knowing", _row_notes(table)),
        Notes("How to read it", _legend(table)),
        Notes("This run", _facts(result, table, times=times)),
    )
    filled = tuple(note for note in notes if note.items)
    return Sheet("Test scores", SCORE_COLUMNS, _groups(table, _score_line), filled)


def time_sheet(table: Sequence[Row]) -> Sheet:
    """Return the seconds per row; they differ between two runs of one configuration."""
    ran = [row for row in table if row.spend.task.calls or row.test_usage.calls]
    text = (
        "Measured on this machine and not reproducible: another run of the same configuration "
        "gives other seconds. Latencies of all calls added up, so calls in parallel count each."
    )
    title = "Measured time, in seconds"
    return Sheet(title, TIME_COLUMNS, _groups(ran, _time_line), (Notes("How to read it", (text,)),))


def label(row: Row, table: Sequence[Row]) -> str:
    """Return the row's task, with its program and models where the table has several."""
    parts = [row.task]
    if len({r.program for r in table}) > 1:
        parts.append(row.program)
    if len({r.model for r in table}) > 1:
        parts.append(row.model)
    if len({r.optimizer_model for r in table}) > 1:
        parts.append(f"optimizer model {row.optimizer_model}")
    return fmt.printable(" · ".join(parts))


def remarks_once(group: Group) -> list[Line]:
    """Return the lines, each run of equal remarks only under its last line."""
    following = [line.remarks for line in group.lines[1:]] + [()]
    return [
        replace(line, remarks=()) if line.remarks == after else line
        for line, after in zip(group.lines, following, strict=True)
    ]


def _groups(table: Sequence[Row], line: Callable[[Row], Line]) -> tuple[Group, ...]:
    by_label = groupby(table, key=lambda row: label(row, table))
    return tuple(Group(name, tuple(map(line, same))) for name, same in by_label)


def _score_line(row: Row) -> Line:
    spend = row.spend
    cost_usd = (spend.task + spend.optimizer).cost_usd
    spent = (
        str(row.n_failed),
        fmt.count(spend.rollouts),
        f"{fmt.count(spend.task.calls)}/{fmt.count(spend.optimizer.calls)}",
        f"{fmt.count(spend.task.tokens)}/{fmt.count(spend.optimizer.tokens)}",
        fmt.cost(cost_usd),
    )
    if row.status == "not run":
        spent = ("",) * len(spent)
    cells = (
        fmt.printable(row.optimizer),
        fmt.score(row.test) if row.test else row.status,
        _gain(row),
        "" if row.p is None else f"{fmt.p_value(row.p)} {ARROWS[row.verdict]}",
        str(row.n_test) if row.test else "",
        *spent,
    )
    return Line(cells, tuple(map(fmt.printable, row.remarks)))


def _gain(row: Row) -> str:
    if row.difference:
        return fmt.gain(row.difference)
    return "control" if row.optimizer == CONTROL and row.test else ""


def _time_line(row: Row) -> Line:
    seconds = (row.spend.task.seconds, row.spend.optimizer.seconds, row.test_usage.seconds)
    return Line((fmt.printable(row.optimizer), *(f"{s:.1f}" for s in seconds)))


# ---- footnotes


def _row_notes(table: Sequence[Row]) -> tuple[str, ...]:
    noted = ((row, _worth_knowing(row)) for row in table)
    return tuple(
        f"{fmt.printable(row.optimizer)} on {label(row, table)}: {'; '.join(found)}."
        for row, found in noted
        if found
    )


def _worth_knowing(row: Row) -> list[str]:
    found: list[str] = []
    if row.n_test_failed and row.bounds:
        low, high = map(fmt.percent, row.bounds)
        found.append(
            f"{row.n_test_failed} of {row.n_test_rollouts} test rollouts failed; the score is "
            f"between {low} and {high} if they count as 0 or 1"
        )
    if row.difference and row.difference.n_left_out:
        n_left_out = row.difference.n_left_out
        n_all = row.difference.n_pairs + n_left_out
        found.append(f"{n_left_out} of {n_all} pairs are left out of the comparison with none")
    if row.optimizer != CONTROL and row.unchanged_seeds:
        found.append(f"it returned the program unchanged ({fmt.listed(row.unchanged_seeds)})")
    return found


def _legend(table: Sequence[Row]) -> tuple[str, ...]:
    n_seeds = max((len(row.seeds) for row in table), default=0)
    seeds = f" and {n_seeds} seeds" if n_seeds > 1 else ""
    notes = [
        f"test score: mean over the n test examples{seeds}, in percent of the full score. Brackets "
        "hold the 95 % interval: Wilson's for right/wrong scores of one seed, else from a bootstrap"
        " over examples and seeds."
    ]
    if n_seeds == 1:
        notes.append("One seed: the intervals do not tell how much another seed would change.")
    notes += _comparison_notes(table)
    notes += [
        "failed: rollouts that broke, while optimizing or in the test. They have no score and are "
        "left out, never counted as 0.",
        "rollouts, LM calls, tokens, cost: spent on optimizing, all seeds together; the final test "
        "is not in them. task: calls of the program; opt.: calls of the optimizer itself.",
    ]
    if any((row.spend.task + row.spend.optimizer).cost_usd is None for row in table):
        notes.append(
            "unknown cost: no price is known for the model; set price_in and price_out of "
            "lm and optimizer_lm."
        )
    return tuple(notes)


def _comparison_notes(table: Sequence[Row]) -> list[str]:
    compared = [row for row in table if row.difference]
    if not compared:
        return [
            f"vs none: empty, because `{CONTROL}` and the others have no result on the same task."
        ]
    sizes = sorted({row.difference.n_pairs for row in compared if row.difference} - {0})
    effects = ", ".join(
        f"{fmt.percent(minimum_detectable_effect(n))} points (n = {n})" for n in sizes
    )
    n_ps = sum(row.p is not None for row in compared)
    return [
        "vs none: points above (+) or below (-) none, the unchanged program, on the same examples.",
        "p: how often chance alone makes a difference at least this large (exact McNemar test for "
        "right/wrong scores of one seed, else sign flips by example), Holm-adjusted for the "
        f"table's {n_ps} comparison{'' if n_ps == 1 else 's'}.",
        "↑ better, ↓ worse than none: p below 0.05 and an interval without 0. Without an arrow "
        "this run cannot tell them apart.",
        f"Smallest true difference that would be found four times in five: {effects}, if scores "
        "are right/wrong and 20 % of the examples change.",
    ]


def _facts(result: RunResult, table: Sequence[Row], *, times: bool) -> tuple[str, ...]:
    facts = [
        f"{name}: {', '.join(found)}"
        for name, found in (
            ("program", _distinct(row.program for row in table)),
            ("model", _distinct(row.model for row in table)),
            ("optimizer model", _distinct(row.optimizer_model for row in table)),
        )
    ]
    facts.append(f"seeds: {', '.join(_distinct(str(c.seed) for c in result.cells))}")
    facts.append(f"budget of each seed: {_budget(result.config)}")
    for task in _distinct(row.task for row in table):
        facts.append(f"data of {task}: {_data(result, task)}")
    if table:
        facts.append(f"final tests: {fmt.usage(reduce(add, (row.test_usage for row in table)))}")
    if result.versions:
        facts.append(
            f"versions: {', '.join(f'{k} {v}' for k, v in sorted(result.versions.items()))}"
        )
    facts += result.notes
    if not times:
        facts.append("Seconds are measured and differ from run to run; --times shows them.")
    return tuple(map(fmt.printable, facts))


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _budget(config: Mapping[str, JSON]) -> str:
    budget = cast("Mapping[str, JSON]", config.get("budget") or {})
    limits = [f"{name}={limit}" for name, limit in budget.items() if limit is not None]
    return ", ".join(limits) or "no limit"


def _data(result: RunResult, task: str) -> str:
    parts = [result.sources.get(task, "not loaded")]
    if counts := result.splits.get(task):
        parts.append(f"{counts.train} train, {counts.val} val, {counts.test} test examples")
        if counts.n_dropped:
            parts.append(f"{counts.n_dropped} repeated examples left out")
    return "; ".join(parts)
