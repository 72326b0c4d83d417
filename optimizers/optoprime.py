"""optoprime: the trace's minimal subgraph, values, feedback and constraints in one prompt.

OptoPrime of *Trace is the Next AutoDiff* (arXiv 2406.16218, section 4 and appendix), written from
the paper: one optimizer call per step gives typed suggestions for all parameters at once. Against
the authors' library: the reply is held to a JSON schema where the server can, an update is applied
whole or not at all, texts are never run through a code formatter, and a suggestion counts only if
validation is not worse (the standard loop). No memory of past steps yet.

Budget: |val| rollouts at the start, then `batch` + |val| and one optimizer call a step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.problem import Problem
from harness.replies import read_update, update_schema
from harness.steps import StepOptimizer
from harness.trace import ProblemText, to_text
from harness.types import Candidate, Rollout

SYSTEM = """You improve a program by changing its variables. You see one or more runs of it:
#Code: how each value was computed, one line each
#Documentation: what the operators and the variables mean
#Variables: the values you may change
#Constraints: rules that each changed value must keep
#Inputs, #Others, #Outputs: values that came in, values between, and results
#Feedback: what was good or bad about the results
Find what in the variables led to the feedback, and suggest better values. General rules help;
answers to single examples do not, because the program is tested on others."""

PROMPT = """#Objective
{objective}

#Code
{t.code}

#Documentation
{t.documentation}

#Variables
{t.variables}

#Constraints
{t.constraints}

#Inputs
{t.inputs}

#Others
{t.others}

#Outputs
{t.outputs}

#Feedback
{t.feedback}

Reply with JSON only, a short reasoning and the changed variables, each whole:
{{"reasoning": "...", "suggestion": {{{names}}}}}"""


@dataclass(frozen=True, kw_only=True)
class OptoPrime(StepOptimizer):
    """max_value_chars: values that are no variables lose their middle beyond this length."""

    max_value_chars: int = 1000
    temperature: float | None = None
    name: str = "optoprime"

    def step(
        self, candidate: Candidate, rollouts: Sequence[Rollout], problem: Problem
    ) -> Candidate:
        """Ask once for new values; raise Refused if the reply holds none that can be used."""
        problem.count("proposals")
        reply = problem.propose(
            self._prompt(rollouts, problem),
            system=SYSTEM,
            schema=update_schema(problem.parameters),
            temperature=self.temperature,
        )
        return read_update(reply, candidate, problem.parameters)

    def _prompt(self, rollouts: Sequence[Rollout], problem: Problem) -> str:
        traced = [(r.trace, r.feedback) for r in rollouts if r.trace is not None]
        text: ProblemText = to_text(traced, problem.parameters, self.max_value_chars)
        names = ", ".join(f'"{name}": ...' for name in problem.parameters)
        return PROMPT.format(objective=problem.objective, t=text, names=names)


OPTIMIZER = OptoPrime
