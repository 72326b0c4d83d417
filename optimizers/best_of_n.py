"""best_of_n: n rewrites of the instructions by the optimizer's model, the best on validation.

The random search of APE (Zhou et al., arXiv 2211.01910) without its resampling, and the control at
equal budget: an optimizer that reads traces and feedback should beat it. Code, numbers and
demonstrations stay as they are.

Budget: (n + 1) x |val| rollouts, n optimizer calls.
"""

from dataclasses import dataclass

from harness.errors import LMRefused
from harness.problem import Problem
from harness.replies import Refused, read_update, update_schema
from harness.types import Candidate, ParameterInfo

PROMPT = """You improve the instructions of a language model program.

Task: {objective}

The instructions now, as JSON:
{instructions}

Write a better version of each instruction. Be clear and specific, and vary the wording.
Reply with JSON only: {{"reasoning": "...", "suggestion": {{{names}}}}}"""


@dataclass(frozen=True, kw_only=True)
class BestOfN:
    """n: rewrites; temperature: of the rewriting."""

    n: int = 4
    temperature: float = 1.0
    name: str = "best_of_n"

    def optimize(self, problem: Problem) -> Candidate:
        """Validate the initial candidate and every readable rewrite; return the best."""
        texts = {n: p for n, p in problem.parameters.items() if p.kind == "text"}
        problem.validate(problem.initial)
        for _ in range(self.n):
            candidate = self._rewrite(problem, texts)
            if candidate is not None:
                problem.validate(candidate)
        return problem.best_seen()

    def _rewrite(self, problem: Problem, texts: dict[str, ParameterInfo]) -> Candidate | None:
        prompt = PROMPT.format(
            objective=problem.objective,
            instructions="\n".join(f"{n}: {problem.initial.values[n]}" for n in texts),
            names=", ".join(f'"{n}": "..."' for n in texts),
        )
        problem.count("proposals")
        try:
            schema = update_schema(texts)
            reply = problem.propose(prompt, schema=schema, temperature=self.temperature)
            candidate = read_update(reply, problem.initial, texts)
            problem.check(candidate)
        except (Refused, ValueError, LMRefused) as e:
            problem.count("refused", str(e))
            return None
        return candidate


OPTIMIZER = BestOfN
