"""The conformance suite of programs: parameters, state, one rollout, the calls read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from toys import Sums

from harness import registry
from harness.predict import Predict, calls_in, render
from harness.retrieval import best_passages
from harness.trace import Module, trace_of
from harness.types import ParameterInfo

NAMES = registry.names("programs")
CONTEXT = [
    {"title": "Paris", "text": "Paris is the capital of France."},
    {"title": "Rome", "text": "Rome is the capital of Italy."},
    {"title": "Tea", "text": "Tea is a drink."},
]
INPUTS = {"question": "What is the capital of Italy?", "context": CONTEXT}
LM_CALLS = {"direct": 1, "chain_of_thought": 1, "cot_with_extractor": 1, "multihop": 4}


class Recorder:
    """A model that repeats a fixed reply and keeps what it was asked."""

    def __init__(self, reply: str = "Thinking.\nAnswer: Rome"):
        self.asked: list[Sequence[Mapping[str, str]]] = []
        self.reply = reply

    def __call__(self, messages: Sequence[Mapping[str, str]]) -> str:
        self.asked.append(messages)
        return self.reply


def build(name: str, model: Recorder) -> Module:
    return registry.load_program(name)(model, Sums())


def infos(program: Module) -> dict[str, ParameterInfo]:
    return {
        n: ParameterInfo(n, p.kind, p.description, p.constraint, p.fields)
        for n, p in program.named_parameters().items()
    }


def test_the_promised_programs_are_there() -> None:
    assert set(LM_CALLS) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_kind_a_description_and_a_constraint(name: str) -> None:
    parameters = infos(build(name, Recorder())).values()

    assert parameters
    assert all(p.description and p.constraint for p in parameters)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_plain_data_that_makes_an_equal_program(name: str) -> None:
    state = build(name, Recorder()).state()
    other = build(name, Recorder())
    other.load_state(state)

    assert other.state() == state


@pytest.mark.parametrize("name", NAMES)
def test_a_rollout_asks_as_often_as_promised_and_its_calls_are_read_back(name: str) -> None:
    model = Recorder()
    program = build(name, model)

    trace = trace_of(program(**INPUTS), program.named_parameters())
    calls = calls_in(trace, infos(program))

    assert len(model.asked) == len(calls) == LM_CALLS[name]
    assert all(c.output == model.reply for c in calls)
    assert str(calls[0].inputs["question"]).endswith("What is the capital of Italy?")


@pytest.mark.parametrize("name", NAMES)
def test_instruction_and_demos_reach_the_request(name: str) -> None:
    model = Recorder()
    program = build(name, model)
    parameters = program.named_parameters()
    demos = next(n for n in parameters if n.endswith("demos"))
    fields = parameters[demos].fields
    instruction = demos.replace("demos", "instruction")
    program.load_state({instruction: "BE BRIEF", demos: [{f: f"<{f}>" for f in fields}]})

    program(**INPUTS)
    messages = next(m for m in model.asked if m[0]["content"].startswith("BE BRIEF"))

    assert [m["role"] for m in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"] == f"<{fields[-1]}>"


def test_the_extractor_takes_the_last_answer_or_the_last_line() -> None:
    replies = {
        "a\nAnswer: 4\nAnswer: 5\nrest": "5",
        "no marker\nlast line\n": "last line",
        "": "",
        "Answer:": "",
    }
    for reply, wanted in replies.items():
        assert build("cot_with_extractor", Recorder(reply))(**INPUTS).data == wanted


def test_multihop_retrieves_by_the_question_then_by_the_models_query() -> None:
    model = Recorder("tea")
    build("multihop", model)(**INPUTS)
    users = [m[-1]["content"] for m in model.asked]

    assert users[0].index("Rome is the capital of Italy") < users[0].index("Paris is the capital")
    assert "Tea is a drink" not in users[0]
    assert "Tea is a drink" in users[2]


@pytest.mark.parametrize(
    ("query", "context"),
    [("", CONTEXT), ("???", CONTEXT), ("x", []), ("a", [{"title": "", "text": ""}])],
)
def test_retrieval_takes_any_query_and_any_paragraphs(
    query: str, context: list[dict[str, str]]
) -> None:
    found = best_passages(query, context, 2)

    assert len(found.splitlines()) <= 2


def test_a_single_field_is_bare_and_several_are_named() -> None:
    assert render({"question": "q"}, ["question"]) == "q"
    assert render({"a": "x", "b": CONTEXT[2:]}, ["a", "b"]) == "A:\nx\n\nB:\nTea: Tea is a drink."


@pytest.mark.parametrize("value", ["x", [1], [{"q": "x"}], [{"question": "x", "answer": 3}]])
def test_demos_without_their_fields_are_refused(value: object) -> None:
    predict = Predict(Recorder(), "Do it.", ["question"], "answer")

    with pytest.raises(ValueError):
        predict.load_state({"demos": value})


def test_wrong_inputs_of_a_call_are_told() -> None:
    with pytest.raises(TypeError, match="this call takes"):
        Predict(Recorder(), "Do it.", ["question"], "answer")(quest="x")
