"""steps: the standard loop accepts what is not worse and survives what cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toys import GOOD, problem, toy

from harness.problem import Problem
from harness.steps import StepOptimizer
from harness.types import Candidate, Rollout


@dataclass(frozen=True, kw_only=True)
class Proposes(StepOptimizer):
    """Propose the given instructions, one a step."""

    texts: tuple[str, ...]
    parameter: str = "answer.instruction"
    name: str = "proposes"

    def step(
        self, candidate: Candidate, rollouts: Sequence[Rollout], problem: Problem
    ) -> Candidate:
        n = problem.counts["step"]
        problem.count("step")
        return candidate.replace({self.parameter: self.texts[n % len(self.texts)]})


def test_what_is_better_on_validation_is_kept() -> None:
    p = problem(toy())

    found = Proposes(texts=(GOOD,), steps=3).optimize(p)

    assert found.values["answer.instruction"] == GOOD
    assert p.counts["accepted"] == 1


def test_what_is_worse_is_not_accepted() -> None:
    p = problem(toy(lambda r: "1" if "Say the sum" in r.messages[0]["content"] else "x"))
    p.val = tuple(e for e in p.val if e.target == "1") or p.val

    found = Proposes(texts=("Be wrong.",), steps=2).optimize(p)

    assert p.validate(found) >= p.validate(p.initial)


def test_a_step_that_gives_no_usable_value_is_counted_and_the_loop_goes_on() -> None:
    p = problem(toy())

    found = Proposes(texts=("", GOOD), steps=4).optimize(p)

    assert p.counts["refused"] == 1
    assert found.values["answer.instruction"] == GOOD


def test_code_that_always_breaks_is_worse_than_code_that_is_always_wrong() -> None:
    p = problem(toy(lambda request: "never right", program="cot_with_extractor"))
    broken = "def extract(self, reply):\n    return 1 / 0\n"

    found = Proposes(texts=(broken,), steps=2, parameter="extract").optimize(p)

    assert found == p.initial
    assert p.counts["worse on validation"] == 2
