"""direct: one LM call that gives the answer and nothing else."""

from harness.predict import Ask, Predict
from harness.trace import Module, Node
from harness.types import JSON, Task


class Direct(Module):
    """Question in, answer out."""

    def __init__(self, lm: Ask, task: Task):
        self.answer = Predict(
            lm, task.instruction, ["question"], "answer", "Reply with the answer only."
        )

    def forward(self, question: JSON, **rest: JSON) -> Node:
        """Answer one question; other inputs of the task are not used."""
        return self.answer(question=question)


PROGRAM = Direct
