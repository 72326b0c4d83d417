"""cot_with_extractor: a chain of thought plus a trainable function that takes the answer out.

Heterogeneous parameters (a prompt and code) as in the BIG-Bench Hard study of the Trace paper
(arXiv 2406.16218, section 5.3), where the extraction of the answer is learnt with the prompt.
"""

from harness.predict import Ask, Predict
from harness.retrieval import asked
from harness.trace import Module, Node, bundle
from harness.types import JSON, Task

FORMAT = "Think step by step. Write the final answer on a last line that begins with 'Answer:'."


class ChainOfThoughtWithExtractor(Module):
    """Question in; a reply, then the short answer that `extract` finds in it, out."""

    def __init__(self, lm: Ask, task: Task):
        self.answer = Predict(lm, task.instruction, ["question"], "reasoning", FORMAT)

    def forward(self, question: JSON, context: JSON = None) -> Node:
        """Answer one question; of paragraphs that come with it, the best stands before it."""
        return self.extract(self.answer(question=asked(question, context)))

    @bundle(trainable=True, description="Takes the short answer out of the model's reply.")
    def extract(self, reply: str) -> str:
        """Return the text after the last 'Answer:', or the last line if there is none."""
        _head, marker, tail = reply.rpartition("Answer:")
        lines = [line.strip() for line in (tail if marker else reply).splitlines() if line.strip()]
        if not lines:
            return ""
        return lines[0] if marker else lines[-1]


PROGRAM = ChainOfThoughtWithExtractor
