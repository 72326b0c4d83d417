"""direct: one LM call that gives the answer and nothing else."""

from harness.predict import Ask, Predict
from harness.retrieval import asked
from harness.trace import Module, Node
from harness.types import JSON, Task


class Direct(Module):
    """Question in, answer out."""

    def __init__(self, lm: Ask, task: Task):
        self.answer = Predict(
            lm, task.instruction, ["question"], "answer", "Reply with the answer only."
        )

    def forward(self, question: JSON, context: JSON = None) -> Node:
        """Answer one question; of paragraphs that come with it, the best stands before it."""
        return self.answer(question=asked(question, context))


PROGRAM = Direct
