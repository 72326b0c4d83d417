"""chain_of_thought: one LM call that reasons and ends with a line `Answer: ...`."""

from harness.predict import Ask, Predict
from harness.retrieval import asked
from harness.trace import Module, Node
from harness.types import JSON, Task

FORMAT = "Think step by step. Write the final answer on a last line that begins with 'Answer:'."


class ChainOfThought(Module):
    """Question in, reasoning with a final answer out; the task's metric finds the answer in it."""

    def __init__(self, lm: Ask, task: Task):
        self.answer = Predict(lm, task.instruction, ["question"], "reasoning", FORMAT)

    def forward(self, question: JSON, context: JSON = None) -> Node:
        """Answer one question; of paragraphs that come with it, the best stands before it."""
        return self.answer(question=asked(question, context))


PROGRAM = ChainOfThought
