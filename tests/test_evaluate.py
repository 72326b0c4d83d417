"""evaluate: rollouts in parallel, in order; failures are rows, never zeros, never hangs."""

from __future__ import annotations

import threading

import pytest
from toys import student, sum_example, toy

from harness.errors import Interrupted, LMError, LMRefused, LMUnavailable
from harness.evaluate import in_parallel
from harness.lm import Request

EXAMPLES = [sum_example(a, 1) for a in range(1, 7)]


@pytest.mark.parametrize("jobs", [1, 3, 16])
def test_results_keep_the_order_of_the_items(jobs: int) -> None:
    assert in_parallel(lambda n: n * n, range(20), jobs) == [n * n for n in range(20)]


@pytest.mark.parametrize("jobs", [1, 4])
def test_a_base_exception_in_a_worker_comes_home_instead_of_hanging(jobs: int) -> None:
    def stop_at_three(n: int) -> int:
        if n >= 3:
            raise Interrupted(str(n))
        return n

    with pytest.raises(Interrupted, match="3"):
        in_parallel(stop_at_three, range(8), jobs)


def test_parallel_calls_nest() -> None:
    def inner(n: int) -> list[int]:
        return in_parallel(lambda m: n * m, range(5), 4)

    assert in_parallel(inner, range(4), 4) == [[n * m for m in range(5)] for n in range(4)]


def test_as_many_rollouts_as_jobs_are_under_way_at_once() -> None:
    meeting = threading.Barrier(4, timeout=10)

    def meet(request: Request) -> str:
        meeting.wait()
        return student(request)

    of = toy(meet, jobs=4)

    rollouts = of.evaluator.run(of.evaluator.initial, EXAMPLES[:4], 0)

    assert len(rollouts) == 4


def test_a_rollout_carries_output_score_feedback_usage_and_trace() -> None:
    of = toy()

    (rollout,) = of.evaluator.run(of.evaluator.initial, [sum_example(2, 3)], 0)

    assert (rollout.output, rollout.score, rollout.feedback) == ("5", 1.0, "Right.")
    assert rollout.usage.calls == 1
    assert rollout.trace is not None
    kinds = {n.name: n.kind for n in rollout.trace.nodes}
    assert kinds["answer.instruction"] == kinds["answer.demos"] == "parameter"
    assert rollout.trace.node(rollout.trace.output).value == "5"


def test_a_failed_model_call_is_no_zero() -> None:
    def broken(request: Request) -> str:
        if "3 + 1" in request.messages[-1]["content"]:
            raise LMRefused("out of order")
        return student(request)

    of = toy(broken)

    rollouts = of.evaluator.run(of.evaluator.initial, EXAMPLES, 0)

    assert [r.score for r in rollouts] == [0.0, 1.0, None, 1.0, 0.0, 1.0]
    assert "out of order" in str(rollouts[2].error)
    assert "failed" in rollouts[2].feedback
    assert rollouts[2].trace is not None


@pytest.mark.parametrize("error", [LMUnavailable, LMError])
def test_a_model_that_is_not_there_ends_the_run_instead_of_failing_every_rollout(
    error: type[LMError],
) -> None:
    def gone(request: Request) -> str:
        raise error("no server")

    of = toy(gone)

    with pytest.raises(error, match="no server"):
        of.evaluator.run(of.evaluator.initial, EXAMPLES, 0)


def test_after_stop_no_rollout_begins() -> None:
    of = toy()
    of.bench.stop.set()

    with pytest.raises(Interrupted):
        of.evaluator.run(of.evaluator.initial, EXAMPLES, 0)

    assert of.asked == []


def test_code_of_a_candidate_runs_in_the_sandbox_and_its_error_is_shown_with_its_line() -> None:
    of = toy(lambda request: "Answer: 5", program="cot_with_extractor")
    bad = "def extract(self, reply):\n    return undefined_name\n"
    candidate = of.evaluator.initial.replace({"extract": bad})

    (rollout,) = of.evaluator.run(candidate, [sum_example(2, 3)], 0)

    assert rollout.score is None
    assert "undefined_name" in str(rollout.error)
    assert rollout.trace is not None
    assert "undefined_name" in str(rollout.trace.node(rollout.trace.output).error)


def test_code_of_a_candidate_is_used_once_it_works() -> None:
    of = toy(lambda request: "so it is =5= then", program="cot_with_extractor")
    code = "def extract(self, reply):\n    return reply.split('=')[1]\n"
    name = next(n for n, p in of.evaluator.parameters.items() if p.kind == "code")

    candidate = of.evaluator.initial.replace({name: code})
    (before,) = of.evaluator.run(of.evaluator.initial, [sum_example(2, 3)], 0)
    (after,) = of.evaluator.run(candidate, [sum_example(2, 3)], 0)

    assert (before.score, after.score) == (0.0, 1.0)
