"""StepOptimizer: the standard loop around `step(candidate, rollouts, problem)`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import LMRefused
from harness.problem import Problem, selection_score
from harness.types import Candidate, Rollout


@dataclass(frozen=True, kw_only=True)
class StepOptimizer(ABC):
    """Minibatch, step, accept what is not worse on validation, keep the best.

    steps: updates at most; the budget may end the loop earlier. batch: train examples per step.
    A batch without a mistake is skipped: there is nothing to learn from it.
    """

    steps: int = 10
    batch: int = 4

    @abstractmethod
    def step(
        self, candidate: Candidate, rollouts: Sequence[Rollout], problem: Problem
    ) -> Candidate:
        """Return a new candidate from rollouts of `candidate`, or `candidate` for no change.

        ValueError and LMRefused count as a refused proposal: the loop goes on without it.
        """

    def optimize(self, problem: Problem) -> Candidate:
        """Run the loop; return the last accepted candidate, which is the best on validation."""
        current = problem.initial
        score = selection_score(problem.rollout(current, problem.val))
        for batch in problem.minibatches(self.batch, self.steps):
            rollouts = problem.rollout(current, batch)
            if selection_score(rollouts)[0] >= 1.0:
                problem.count("skipped", "no mistake in the batch")
                continue
            try:
                proposal = self.step(current, rollouts, problem)
                problem.check(proposal)
            except (ValueError, LMRefused) as e:  # a reply that cannot be used; Refused is one
                problem.count("refused", str(e))
                continue
            if proposal.hash == current.hash:
                problem.count("unchanged")
                continue
            new = selection_score(problem.rollout(proposal, problem.val))
            if new >= score:
                current, score = proposal, new
                problem.count("accepted")
            else:
                problem.count("worse on validation")
        return current
