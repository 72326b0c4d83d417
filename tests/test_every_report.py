"""The conformance suite of reports: each of them shows the same facts, and no text breaks it."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from harness import registry
from harness.formatting import printable, width
from harness.results import CellResult, RunResult, SplitCounts
from harness.types import Spend, Usage

REPORTS = registry.names("reports")
OURS = ("table", "markdown", "latex", "csv", "json")
FOR_PEOPLE = ("table", "markdown", "latex")
REASON = "the rows cannot be reached without a network"
HOSTILE = (
    "\x1b[31mred\x1b[0m\x1b]0;title\x07 |pipe| a\\|b `tick` <script>alert(1)</script> &amp; "
    "new\nline [a](http://x) **b** _u_ #h ~t~ $m$ {c} }{ ^ % \\input{x} \u202e \x00 \" ' --x"
)
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\x1b[0m=1", "\n@x")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)


def cell(optimizer: str, scores: tuple[float | None, ...], seed: int = 0) -> CellResult:
    return CellResult(
        "sums",
        "direct",
        optimizer,
        "tiny-model",
        "tiny-model",
        seed,
        "done",
        val_score=0.9,
        test_scores=scores,
        test_ids=tuple(f"e{i}" for i in range(len(scores))),
        metrics={"strict": scores},
        n_failed_rollouts=scores.count(None) + 2,
        spend=Spend(77, Usage(154, 1000, 234, 12.25, 0.0), Usage(6, 500, 67, 3.5, None, 4)),
        test_usage=Usage(8, 90, 10, 5.125, 0.0),
        changed=True,
    )


def run(*more: CellResult) -> RunResult:
    control = replace(cell("none", (0.0, 1.0, 0.0, 1.0)), spend=Spend(), n_failed_rollouts=0)
    better = cell("climber", (1.0, 1.0, None, 1.0))
    absent = CellResult("letters", "direct", "climber", "tiny-model", "tiny-model", 0, "not run")
    return RunResult(
        {"tasks": ["sums", "letters"], "budget": {"rollouts": 80}, "data": "/home/me/mirror"},
        {"optorace": "0.1.0"},
        {"sums": "made by a generator"},
        ("a note of the run",),
        (control, better, replace(absent, reason=REASON), *more),
        {"sums": SplitCounts(5, 6, 4, 3)},
    )


def render(report: str, result: RunResult, *, times: bool = False) -> str:
    return registry.load_report(report)(result, times=times)


def csv_records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def markdown_rows(text: str) -> list[list[str]]:
    """Return the text of each cell of the first table as a Markdown parser reads it."""
    table: list[list[str]] = []
    for before, token in pairwise(MarkdownIt("commonmark").enable("table").parse(text)):
        if before.type == "tr_open":
            table.append([])
        if before.type in ("td_open", "th_open"):
            assert {child.type for child in token.children or []} <= {"text", "text_special"}
            table[-1].append("".join(child.content for child in token.children or []))
    return table


def braces_balance(latex: str) -> bool:
    depth = 0
    for brace in re.findall(r"[{}]", re.sub(r"\\[\\{}]", "", latex)):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_the_reports_that_the_readme_names_are_there() -> None:
    assert set(OURS) <= set(REPORTS)


def test_loading_a_report_called_json_or_csv_shadows_no_library() -> None:
    for name in ("json", "csv"):
        registry.load_report(name)

    assert "reports" not in str(sys.modules["json"].__file__)
    assert "reports" not in str(sys.modules["csv"].__file__)


@pytest.mark.parametrize("report", REPORTS)
@pytest.mark.parametrize("times", [False, True])
def test_equal_results_give_equal_bytes_that_end_in_one_newline(report: str, times: bool) -> None:
    text = render(report, run(), times=times)

    assert text == render(report, run(), times=times)
    assert text.endswith("\n") and not text.endswith("\n\n")
    text.encode()


@pytest.mark.parametrize("report", REPORTS)
def test_measured_time_is_shown_only_when_asked_for(report: str) -> None:
    slow = cell("climber", (1.0, 1.0, None, 1.0))
    spend = Spend(77, replace(slow.spend.task, seconds=99.75), slow.spend.optimizer)
    other = replace(run(), cells=(*run().cells[:1], replace(slow, spend=spend), *run().cells[2:]))

    assert render(report, other) == render(report, run())
    assert "99.8" in render(report, other, times=True) or "99.75" in render(
        report, other, times=True
    )


@pytest.mark.parametrize("report", FOR_PEOPLE)
def test_people_see_every_fact_of_a_row(report: str) -> None:
    text = render(report, run())

    for fact in ("sums", "letters", "none", "climber", "50.0", "100.0", "control", "154/6"):
        assert fact in text
    for fact in ("1234/567", "77", "unknown", "not run", REASON, "0.1.0", "made by a generator"):
        assert fact in text
    for fact in ("5 train, 6 val, 4 test", "3 repeated", "rollouts=80", "a note of the run"):
        assert fact in text.replace("\n    ", " ")
    assert "between 75.0 and 100.0 if they count as 0 or 1" in text.replace("\n    ", " ")


@pytest.mark.parametrize("report", OURS)
def test_no_path_of_this_machine_is_shown(report: str) -> None:
    assert "/home/me" not in render(report, run())


def test_csv_reads_back_as_the_numbers_of_the_row() -> None:
    control, climber, absent = csv_records(render("csv", run()))

    assert [r["task"] for r in (control, climber, absent)] == ["sums", "sums", "letters"]
    assert (float(climber["test_score"]), float(climber["test_score_if_failed_are_0"])) == (1, 0.75)
    assert (float(climber["vs_none"]), climber["pairs"]) == (pytest.approx(1 / 3), "3")
    assert (climber["rollouts"], climber["failed_rollouts"]) == ("77", "3")
    assert (climber["cost_usd"], control["cost_usd"]) == ("", "0.0")
    assert (absent["test_score"], absent["status"], absent["remarks"]) == ("", "not run", REASON)
    assert float(climber["metric.strict"]) == 1.0


def test_json_reads_back_with_the_scores_of_every_seed() -> None:
    content = json.loads(render("json", run(cell("climber", (0.0, 0.5, 1.0, None), seed=1))))

    assert content["cells"][1]["test_scores"] == [1.0, 1.0, None, 1.0]
    assert content["cells"][3]["test_scores"] == [0.0, 0.5, 1.0, None]
    row = content["rows"][1]
    assert (row["optimizer"], row["seeds"], row["n_failed"]) == ("climber", [0, 1], 6)
    assert row["spend"]["optimizer"]["cost_usd"] is None
    assert content["rows"][2]["remarks"] == [REASON]


@pytest.mark.parametrize("report", OURS)
def test_hostile_text_leaves_no_control_character(report: str) -> None:
    hostile = replace(cell(HOSTILE, (1.0,) * 4), task=HOSTILE, program=HOSTILE, model=HOSTILE)
    failed = replace(hostile, status="failed", reason=HOSTILE, optimizer="x", test_scores=())
    result = replace(
        run(hostile, replace(failed, test_ids=())),
        notes=(HOSTILE,),
        versions={HOSTILE: HOSTILE},
        sources={"sums": HOSTILE, HOSTILE: HOSTILE},
    )

    text = render(report, result, times=True)

    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text.replace("\n", ""))
    assert "\u202e" not in text


@settings(max_examples=40, deadline=None)
@given(TEXT)
def test_markdown_shows_any_name_as_it_is(name: str) -> None:
    table = markdown_rows(render("markdown", run(cell(name, (1.0,) * 4))))

    assert {len(row) for row in table} == {11}
    assert printable(name) in [row[1] for row in table]


def test_markdown_lets_no_markup_through() -> None:
    text = render("markdown", replace(run(cell(HOSTILE, (1.0,) * 4)), notes=(HOSTILE,)))

    html = MarkdownIt("commonmark").enable("table").render(text)

    assert "<script" not in html and "<a " not in html and "<em>" not in html
    assert printable(HOSTILE) in [row[1] for row in markdown_rows(text)]


@settings(max_examples=40, deadline=None)
@given(TEXT)
def test_latex_stays_balanced_with_any_name(name: str) -> None:
    text = render("latex", run(cell(name, (1.0,) * 4)))
    rows = [
        line for line in text.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]

    assert braces_balance(text)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {10}


def test_latex_escapes_every_special_character() -> None:
    text = render("latex", run(cell(r"\input{a} $b$ #c %d _e ^f ~g &h --i", (1.0,) * 4)))

    assert (
        r"\textbackslash{}input\{a\} \$b\$ \#c \%d \_e \textasciicircum{}f "
        r"\textasciitilde{}g \&h -{}-i"
    ) in text


@pytest.mark.parametrize("name", FORMULAS)
def test_csv_holds_no_formula(name: str) -> None:
    hostile = replace(cell(name, (1.0,) * 4), task=name, program=name, metrics={name: (1.0,) * 4})

    table = list(csv.reader(io.StringIO(render("csv", run(hostile)))))

    assert not [v for row in table for v in row if v.startswith(("=", "@", "\t", "\r", "+"))]
    assert not [v for row in table for v in row if re.match(r"-(?!\d)|-1$", v)]


def test_json_keeps_names_exactly() -> None:
    content = json.loads(render("json", run(cell(HOSTILE, (1.0,) * 4))))

    assert content["cells"][-1]["optimizer"] == HOSTILE


@pytest.mark.parametrize("report", REPORTS)
def test_a_run_without_cells_can_be_shown(report: str) -> None:
    assert isinstance(render(report, replace(run(), cells=()), times=True), str)


def test_the_table_fits_a_terminal_of_120_columns() -> None:
    names = ("none", "bootstrap_few_shot", "best_of_n", "dspy_mipro")
    scores = (1.0, 0.0, None, 1.0) * 100
    spend = Spend(12_345, Usage(123_456, 10**8, 10**7, 1.0, 12.5), Usage(1000, 10**6, 9, 1.0, 0.0))

    text = render("table", run(*(replace(cell(n, scores), spend=spend, task="t") for n in names)))

    assert max(map(width, text.splitlines())) <= 120


def test_the_table_says_why_a_run_cannot_tell_two_apart() -> None:
    text = " ".join(render("table", run()).split())

    assert "Smallest true difference that would be found four times in five" in text
    assert "One seed: the intervals do not tell how much another seed would change." in text


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {k for v in value.values() for k in _keys(v)}
    return {k for v in value for k in _keys(v)} if isinstance(value, list) else set()


def test_json_has_seconds_and_retries_only_as_measured_facts() -> None:
    assert not {"seconds", "retries"} & _keys(json.loads(render("json", run()))["cells"])
    assert {"seconds", "retries"} <= _keys(json.loads(render("json", run(), times=True)))
