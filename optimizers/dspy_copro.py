"""dspy_copro: DSPy's COPRO; breadth-first search over instructions.

Opsahl-Ong et al., arXiv 2406.11695, section 4 (its ancestor), through dspy itself. It selects on
train; the result is validated once. COPRO's output prefix is not a parameter of our programs and is
left out, so candidates that differ in it alone are evaluated only once.

Budget: |train| rollouts a new candidate, breadth x depth candidates a predictor, then |val|;
about breadth optimizer calls a depth.
"""

from dataclasses import dataclass
from typing import Any

from harness.dspy_bridge import Rollouts, compile_with, untyped_dspy
from harness.problem import Problem
from harness.types import Candidate


@dataclass(frozen=True, kw_only=True)
class DspyCopro:
    """breadth: new instructions a round (2 or more); depth: rounds; init_temperature: of them."""

    breadth: int = 3
    depth: int = 2
    init_temperature: float = 1.0
    name: str = "dspy_copro"

    def optimize(self, problem: Problem) -> Candidate:
        """Compile, then validate the result once."""
        candidate = compile_with(problem, self._compile, Rollouts(problem, problem.train))
        problem.validate(candidate)
        return candidate

    def _compile(self, student: Any, lm: Any, trainset: list[Any], metric: Any) -> Any:
        optimizer = untyped_dspy().COPRO(
            prompt_model=lm,
            metric=metric,
            breadth=self.breadth,
            depth=self.depth,
            init_temperature=self.init_temperature,
        )
        quiet = {"num_threads": 1, "display_progress": False, "display_table": False}
        return optimizer.compile(student, trainset=trainset, eval_kwargs=quiet)


OPTIMIZER = DspyCopro
