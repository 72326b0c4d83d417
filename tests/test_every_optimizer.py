"""The conformance suite of optimizers: every one, on one program, one model, one budget."""

from __future__ import annotations

import json
from typing import Any

import pytest
from toys import GOOD, optimizer_reply, problem, student, toy

from harness import registry
from harness.errors import BudgetExhausted, LMError, LMRefused, LMUnavailable
from harness.lm import Request
from harness.types import Budget, Candidate

NAMES = registry.names("optimizers")
LEARN = [n for n in NAMES if n != "none"]
ASK = [n for n in LEARN if n != "dspy_bootstrap"]  # those that ask the optimizer's model


def run(name: str, p: Any) -> Candidate:
    try:
        return registry.load_optimizer(name, {}).optimize(p)
    except BudgetExhausted:
        return p.best_seen()


def test_the_promised_optimizers_are_there() -> None:
    wanted = {"none", "best_of_n", "optoprime", "dspy_bootstrap", "dspy_copro"}

    assert wanted <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_returns_a_candidate_of_the_program_that_keeps_every_constraint(name: str) -> None:
    p = problem(toy())

    candidate = run(name, p)

    assert set(candidate.values) == set(p.parameters)
    p.check(candidate)


@pytest.mark.parametrize("name", LEARN)
def test_it_learns_what_there_is_to_learn(name: str) -> None:
    p = problem(toy())
    before = p.validate(p.initial)

    candidate = run(name, p)

    assert before < p.validate(candidate) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_candidate_and_the_same_calls(name: str) -> None:
    def once(jobs: int) -> tuple[str, int, list[str]]:
        of = toy(jobs=jobs)
        p = problem(of, Budget(rollouts=40))
        found = run(name, p).hash
        return found, p.spend.rollouts, sorted(of.log.calls)

    assert once(jobs=1) == once(jobs=4)


@pytest.mark.parametrize("name", LEARN)
@pytest.mark.parametrize("limit", [1, 5, 13])
def test_a_budget_is_never_exceeded_and_its_end_leaves_a_candidate(name: str, limit: int) -> None:
    of = toy()
    p = problem(of, Budget(rollouts=limit))

    candidate = run(name, p)

    assert len(of.recorded) == p.spend.rollouts <= limit
    p.check(candidate)


@pytest.mark.parametrize("name", ASK)
def test_an_optimizer_model_that_talks_nonsense_does_no_harm(name: str) -> None:
    def nonsense(request: Request) -> str:
        return "As a model I cannot { do" if request.schema is not None else student(request)

    p = problem(toy(nonsense))

    try:
        candidate = run(name, p)
    except Exception as e:  # noqa: BLE001 - what a library raises is a failed cell with a reason
        assert "JSON" in str(e) or "parse" in str(e).lower()
        return

    assert candidate.values["answer.instruction"] == p.initial.values["answer.instruction"]


@pytest.mark.parametrize("name", ["best_of_n", "optoprime"])
def test_what_was_refused_is_counted_with_its_reason(name: str) -> None:
    def unknown(request: Request) -> str:
        if request.schema is None:
            return student(request)
        return json.dumps({"suggestion": {"no.such": "x"}})

    p = problem(toy(unknown))

    run(name, p)

    assert p.counts["refused"] == p.counts["proposals"] > 0
    assert any("no.such" in note for note in p.notes)


@pytest.mark.parametrize("name", ASK)
@pytest.mark.parametrize("error", [LMError, LMUnavailable])
def test_a_dead_optimizer_model_ends_the_run_instead_of_looking_like_no_help(
    name: str, error: type[LMError]
) -> None:
    def dead(request: Request) -> str:
        if request.schema is not None:
            raise error("gone")
        return student(request)

    with pytest.raises(error, match="gone"):
        run(name, problem(toy(dead)))


@pytest.mark.parametrize("name", LEARN)
def test_a_dead_task_model_ends_the_run_instead_of_scoring_zero(name: str) -> None:
    def dead(request: Request) -> str:
        raise LMUnavailable("no server")

    with pytest.raises(LMUnavailable, match="no server"):
        run(name, problem(toy(dead)))


@pytest.mark.parametrize("name", ["best_of_n", "optoprime"])
def test_a_prompt_that_the_optimizer_model_refuses_is_counted(name: str) -> None:
    def refuse(request: Request) -> str:
        if request.schema is not None:
            raise LMRefused("too long")
        return student(request)

    p = problem(toy(refuse))

    assert run(name, p) == p.initial
    assert p.counts["refused"] > 0


@pytest.mark.parametrize("name", ["best_of_n", "optoprime"])
def test_half_an_emoji_in_a_suggestion_does_no_harm(name: str) -> None:
    def half(request: Request) -> str:
        if request.schema is None:
            return student(request)
        return '{"suggestion": {"answer.instruction": "Use digits \\ud83d."}}'

    candidate = run(name, problem(toy(half)))

    assert candidate.values["answer.instruction"] == "Use digits ?."


def test_dspy_bootstrap_differs_between_seeds() -> None:
    found = {run("dspy_bootstrap", problem(toy(seed=seed), n=12)).hash for seed in range(4)}

    assert len(found) > 1


def test_optoprime_shows_trace_feedback_and_constraints_in_one_prompt() -> None:
    of = toy()
    run("optoprime", problem(of))

    prompt = next(r.messages[-1]["content"] for r in of.asked if r.schema is not None)

    assert "predict" in prompt.split("#Code")[1].split("#Documentation")[0]
    assert "answer.instruction=Say the sum." in prompt
    assert "Expected" in prompt.split("#Feedback")[1]
    assert "1 to 4000 characters" in prompt.split("#Constraints")[1]
    assert "Give the sum." in prompt


def test_dspy_bootstrap_brings_home_demonstrations_that_passed_the_metric() -> None:
    p = problem(toy())

    candidate = run("dspy_bootstrap", p)

    demos: Any = candidate.values["answer.demos"]
    answers = {str(e.inputs["question"]): e.target for e in p.train}
    assert demos and all(answers[d["question"]] == d["answer"] for d in demos)
    assert p.spend.optimizer.calls == 0


def test_dspy_candidates_score_the_same_without_dspy() -> None:
    p = problem(toy())
    candidate = run("dspy_copro", p)
    within = p.val_score(candidate)

    again = problem(toy())

    assert candidate.values["answer.instruction"] == GOOD
    assert again.validate(candidate) == within


def test_dspy_leaves_no_global_state_behind() -> None:
    import dspy

    before = dspy.settings.copy()
    run("dspy_copro", problem(toy()))
    run("dspy_bootstrap", problem(toy()))

    assert dspy.settings.copy() == before


def test_a_library_that_is_cut_off_leaves_its_best_on_train() -> None:
    p = problem(toy(), Budget(rollouts=12))

    candidate = run("dspy_copro", p)

    assert candidate.values["answer.instruction"] == GOOD


def test_the_scripted_optimizer_fills_what_the_schema_asks() -> None:
    schema = {"properties": {"suggestion": {"properties": {"a.instruction": {}, "a.demos": {}}}}}
    request = Request("m", ({"role": "user", "content": "x"},), 0.0, 1.0, 9, 0, schema)

    assert json.loads(optimizer_reply(request))["suggestion"] == {"a.instruction": GOOD}
