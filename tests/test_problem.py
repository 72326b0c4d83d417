"""problem: the metered oracle, the hard budget, best seen, the sealed test split."""

from __future__ import annotations

import pytest
from toys import GOOD, problem, student, sum_example, toy

from harness.errors import BudgetExhausted, ConfigError, LMRefused
from harness.evaluate import in_parallel
from harness.lm import Request
from harness.types import Budget, Candidate, Spend, Usage


def good(p) -> Candidate:
    return p.initial.replace({"answer.instruction": GOOD})


def test_rollouts_come_back_in_the_order_of_the_examples() -> None:
    p = problem(toy())
    examples = [*p.val, *p.train]

    rollouts = p.rollout(p.initial, examples)

    assert [r.example.id for r in rollouts] == [e.id for e in examples]


def test_the_rollout_budget_is_exact_and_what_was_paid_for_is_kept() -> None:
    of = toy()
    p = problem(of, Budget(rollouts=8))
    p.rollout(p.initial, p.train)

    with pytest.raises(BudgetExhausted):
        p.rollout(p.initial, p.val)

    assert p.spend.rollouts == 8
    assert len(of.recorded) == 8


def test_the_end_of_the_budget_is_no_exception_that_a_library_can_swallow() -> None:
    assert not issubclass(BudgetExhausted, Exception)


def test_optimizer_calls_have_a_budget_of_their_own() -> None:
    p = problem(toy(lambda request: "x"), Budget(optimizer_calls=2))
    p.propose("a")
    p.propose("a")

    with pytest.raises(BudgetExhausted):
        p.propose("a")

    assert p.spend.optimizer.calls == 2
    assert p.spend.task.calls == 0


@pytest.mark.parametrize("budget", [Budget(task_calls=10), Budget(task_tokens=80)])
def test_limits_that_only_a_rollout_tells_stop_within_a_chunk(budget: Budget) -> None:
    p = problem(toy(), budget, n=16)

    with pytest.raises(BudgetExhausted):
        p.rollout(p.initial, [*p.train, *p.val])

    assert p.spend.rollouts in (8, 16)


def test_the_test_split_cannot_be_reached_through_a_problem() -> None:
    p = problem(toy())

    with pytest.raises(ValueError, match="neither train nor val"):
        p.rollout(p.initial, [sum_example(7, 4)])


def test_a_replayed_rollout_counts_as_spend() -> None:
    of = toy()
    p = problem(of)
    p.rollout(p.initial, p.train)
    p.rollout(p.initial, p.train)

    assert len(of.asked) == 6
    assert p.spend.rollouts == 12
    assert p.spend.task.calls == 12


def test_the_same_prompt_asked_again_is_a_new_sample() -> None:
    of = toy(lambda request: str(request.seed))
    p = problem(of)

    first, second = p.propose("a"), p.propose("a")

    assert first != second
    assert len(of.asked) == 2


def test_best_seen_is_the_best_whole_validation() -> None:
    p = problem(toy())
    p.validate(p.initial)
    p.rollout(good(p), p.val[:5])

    assert p.best_seen() == p.initial
    p.validate(good(p))
    assert p.best_seen() == good(p)
    assert p.val_score(good(p)) == 1.0


def test_without_any_whole_validation_a_whole_training_evaluation_decides() -> None:
    p = problem(toy())
    p.rollout(p.initial, p.train)
    p.rollout(good(p), p.train)

    assert p.best_seen() == good(p)
    assert p.val_score(good(p)) is None


def test_of_equal_candidates_the_first_is_the_best_seen() -> None:
    p = problem(toy(lambda request: "wrong"))
    p.validate(good(p))
    p.validate(p.initial)

    assert p.best_seen() == good(p)


def test_a_failed_rollout_has_no_score_and_is_counted() -> None:
    def broken(request: Request) -> str:
        raise LMRefused("the model is out")

    p = problem(toy(broken))

    rollouts = p.rollout(p.initial, p.train[:2])

    assert [r.score for r in rollouts] == [None, None]
    assert "the model is out" in str(rollouts[0].error)
    assert sum(p.failures.values()) == 2


def test_a_broken_constraint_is_refused_before_anything_is_spent() -> None:
    p = problem(toy())

    with pytest.raises(ValueError, match=r"answer\.instruction"):
        p.rollout(p.initial.replace({"answer.instruction": ""}), p.train)

    assert p.spend.rollouts == 0


def test_minibatches_visit_every_example_once_an_epoch_and_depend_on_the_seed_alone() -> None:
    p, same, other = problem(toy()), problem(toy()), problem(toy(seed=1))

    ids = [[e.id for e in batch] for batch in p.minibatches(2, 3)]

    assert sorted(i for batch in ids for i in batch) == sorted(e.id for e in p.train)
    assert ids == [[e.id for e in batch] for batch in same.minibatches(2, 3)]
    assert ids != [[e.id for e in batch] for batch in other.minibatches(2, 3)]


def test_student_is_wrong_without_and_right_with_the_good_instruction() -> None:
    p = problem(toy(student))

    before, after = p.validate(p.initial), p.validate(good(p))

    assert 0 < before < 1
    assert after == 1.0


def test_optimizer_calls_are_exact_under_threads() -> None:
    p = problem(toy(lambda request: "x"), Budget(optimizer_calls=3))

    def ask(n: int) -> bool:
        try:
            p.propose(str(n))
        except BudgetExhausted:
            return False
        return True

    assert sum(in_parallel(ask, range(16), 8)) == 3
    assert p.spend.optimizer.calls == 3


def test_no_minibatch_holds_an_example_twice() -> None:
    p = problem(toy())

    for batch in p.minibatches(4, 12):
        assert len({e.id for e in batch}) == len(batch) == 4


def test_a_money_budget_without_a_price_is_refused_instead_of_never_binding() -> None:
    of = toy()
    p = problem(of, Budget(cost_usd=1.0))
    p.spend = Spend(0, Usage(1, cost_usd=None), Usage())

    with pytest.raises(ConfigError, match="price_in"):
        p.rollout(p.initial, p.train)


def test_a_candidate_that_lacks_a_parameter_is_refused() -> None:
    p = problem(toy())

    with pytest.raises(ValueError, match="needed are exactly"):
        p.check(Candidate({"answer.demos": []}))
