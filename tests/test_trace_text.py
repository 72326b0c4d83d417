"""The text an optimizer reads, letter by letter."""

import pytest

from harness.trace import (
    ExecutionError,
    Parameter,
    ProblemText,
    apply,
    bundle,
    node,
    to_text,
    trace_of,
)
from harness.trace.text import cut

INSTRUCTION = Parameter(
    "Answer.",
    description="What the model is told first.",
    constraint="At most 50 words.",
)
DEMOS = Parameter([{"question": "1+1", "answer": "2"}], kind="demos")
NAMED = {"Ask.instruction": INSTRUCTION, "Ask.demos": DEMOS}


@bundle
def last_word(reply):
    """Take the last word of a reply."""
    return reply.split()[-1]


def rollout(question, reply):
    def ask(**inputs):
        return reply

    inputs = {"question": node(question, name="question")}
    said = apply(
        "Predict",
        ask,
        {"instruction": INSTRUCTION, "demos": DEMOS, **inputs},
        "Ask a language model.",
    )
    return last_word(said)


def test_the_text_of_one_rollout():
    trace = trace_of(rollout("2+2?", "It is 4"), NAMED)

    assert to_text([(trace, "Correct.")], NAMED) == ProblemText(
        code=(
            "Predict1 = Predict(instruction=Ask.instruction, demos=Ask.demos, question=question1)\n"
            "last_word1 = last_word(reply=Predict1)"
        ),
        documentation=(
            "[Predict] Ask a language model.\n"
            "[last_word] Take the last word of a reply.\n"
            "def last_word(reply):\n"
            '    """Take the last word of a reply."""\n'
            "    return reply.split()[-1]\n"
            "[Ask.instruction] What the model is told first."
        ),
        variables=(
            '(str) Ask.instruction=Answer.\n(list) Ask.demos=[{"question": "1+1", "answer": "2"}]'
        ),
        constraints="Ask.instruction: At most 50 words.",
        inputs="(str) question1=2+2?",
        others="(str) Predict1=It is 4",
        outputs="(str) last_word1=4",
        feedback="Correct.",
    )


def test_the_text_of_a_batch_with_a_failure():
    good = trace_of(rollout("2+2?", "It is 4"), NAMED)
    with pytest.raises(ExecutionError) as caught:
        rollout("é" * 9, "")
    bad = trace_of(caught.value.exception_node, NAMED)

    text = to_text([(good, "Correct."), (bad, "No answer.")], NAMED, max_value_chars=6)

    assert text.code == (
        "r0.Predict1 = Predict(instruction=Ask.instruction, demos=Ask.demos, "
        "question=r0.question1)\n"
        "r0.last_word1 = last_word(reply=r0.Predict1)\n"
        "r1.Predict1 = Predict(instruction=Ask.instruction, demos=Ask.demos, "
        "question=r1.question1)\n"
        "r1.last_word1 = last_word(reply=r1.Predict1)"
    )
    assert text.variables.startswith("(str) Ask.instruction=Answer.\n")
    assert text.inputs == (
        "(str) r0.question1=2+2?\n(str) r1.question1=ééé[... 3 characters left out ...]ééé"
    )
    assert text.others == (
        "(str) r0.Predict1=It [... 1 characters left out ...]s 4\n(str) r1.Predict1="
    )
    assert text.feedback == "r0.last_word1: Correct.\nr1.last_word1: No answer."
    long = to_text([(bad, "No answer.")], NAMED)
    assert long.outputs == (
        "(IndexError) last_word1=@bundle\n"
        "def last_word(reply):\n"
        '    """Take the last word of a reply."""\n'
        "    return reply.split()[-1]  # <--- (IndexError) list index out of range"
    )


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (10, "0123456789"),
        (9, "01234[... 1 characters left out ...]6789"),
        (1, "0[... 9 characters left out ...]"),
        (0, "[... 10 characters left out ...]"),
    ],
)
def test_a_long_value_loses_its_middle(limit, expected):
    assert cut("0123456789", limit) == expected


def test_a_budget_of_tokens_cuts_the_values_farthest_from_the_output_first():
    start = node("s" * 1000, trainable=True)
    made = start
    for _ in range(6):
        made = made + "x" * 1000
    trace = trace_of(made, {"start": start})
    whole = to_text([(trace, "Too long.")], {"start": start}, max_value_chars=10_000)

    short = to_text([(trace, "Too long.")], {"start": start}, 10_000, max_tokens=6000)

    assert short.variables == whole.variables and short.outputs == whole.outputs
    assert short.code == whole.code
    lengths = [len(line) for line in short.others.splitlines()]
    assert lengths == sorted(lengths) and lengths[0] < 200 and "characters left out" in short.others
    assert sum(len(getattr(short, name)) for name in ("others", "inputs")) < 6000 * 4
    assert short == to_text([(trace, "Too long.")], {"start": start}, 10_000, max_tokens=6000)
