"""none: the unchanged program, the control that every difference is measured against.

Budget: nothing.
"""

from dataclasses import dataclass

from harness.problem import Problem
from harness.types import Candidate


@dataclass(frozen=True)
class NoOptimizer:
    """Return the initial candidate."""

    name: str = "none"

    def optimize(self, problem: Problem) -> Candidate:
        """Change nothing, spend nothing."""
        return problem.initial


OPTIMIZER = NoOptimizer
