"""dspy_bootstrap: DSPy's BootstrapFewShot; rollouts that pass the metric become demonstrations.

Khattab et al., arXiv 2310.03714, through dspy itself. Selection is on train; the result is
validated once, so that its validation score stands in the table and a budget cut is survived.
Raw labelled examples are used only where they have every field of a predictor.

Budget: at most |train| x rounds rollouts one after another, then |val|. No optimizer calls.
"""

from dataclasses import dataclass
from typing import Any

from harness.dspy_bridge import Rollouts, compile_with, untyped_dspy
from harness.problem import Problem
from harness.types import Candidate


@dataclass(frozen=True, kw_only=True)
class DspyBootstrap:
    """Demonstrations at most: bootstrapped and, with them, in all; the least score that passes."""

    max_bootstrapped_demos: int = 4
    max_labeled_demos: int = 4
    max_rounds: int = 1
    metric_threshold: float = 1.0
    name: str = "dspy_bootstrap"

    def optimize(self, problem: Problem) -> Candidate:
        """Compile, then validate the result once."""
        candidate = compile_with(problem, self._compile, Rollouts(problem))
        problem.validate(candidate)
        return candidate

    def _compile(self, student: Any, lm: Any, trainset: list[Any], metric: Any) -> Any:
        optimizer = untyped_dspy().BootstrapFewShot(
            metric=metric,
            metric_threshold=self.metric_threshold,
            max_bootstrapped_demos=self.max_bootstrapped_demos,
            max_labeled_demos=self.max_labeled_demos,
            max_rounds=self.max_rounds,
        )
        return optimizer.compile(student, trainset=trainset)


OPTIMIZER = DspyBootstrap
