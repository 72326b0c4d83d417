"""What belongs to one thread and one task: tracing on or off, the code runner, the model."""

import asyncio
import contextvars
import threading

import pytest

from harness.trace import (
    ExecutionError,
    Parameter,
    UsageError,
    apply,
    bundle,
    is_tracing,
    node,
    operators,
    stop_tracing,
    use_llm,
)


@bundle
def double(x):
    return 2 * x


def test_nested_stop_tracing_ends_with_the_outermost():
    one = node(1)

    with stop_tracing():
        with stop_tracing():
            pass
        silent = one + 1
    loud = one + 1

    assert silent.data == 2 and silent.inputs == {}
    assert set(loud.inputs) == {"x", "y"}


def test_stop_tracing_ends_with_an_exception():
    with pytest.raises(KeyError), stop_tracing():
        raise KeyError

    assert (node(1) + 1).inputs


def test_everything_runs_and_remembers_nothing_while_tracing_is_stopped():
    parameter = Parameter(1)

    with stop_tracing():
        made = [
            parameter + 1,
            double(parameter),
            apply("same", lambda x: x, {"x": parameter}),
            node([parameter]),
            next(iter(node([parameter]))),
        ]
        with pytest.raises(ExecutionError) as caught:
            parameter / 0

        assert not is_tracing()
    assert [n.data for n in made] == [2, 2, 1, [1], 1]
    assert [n.inputs for n in made] == [{}] * 5
    assert caught.value.exception_node.inputs == {}


def test_a_body_may_stop_tracing_and_its_reads_are_still_seen():
    secret = node("s", name="secret")

    @bundle
    def hides(x):
        with stop_tracing():
            return x + secret.data

    with pytest.raises(UsageError, match="hides reads <Node secret"):
        hides("a")
    assert is_tracing()


def test_threads_trace_independently_of_each_other():
    barrier = threading.Barrier(4)
    wrong: list[str] = []

    def work(stopped: bool) -> None:
        barrier.wait()
        for i in range(300):
            if stopped:
                with stop_tracing():
                    made = double(node(i))
            else:
                made = double(node(i))
            if made.data != 2 * i or bool(made.inputs) == stopped:
                wrong.append(f"{stopped} {i}")

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


def test_a_generator_that_is_left_in_the_middle_can_be_closed_elsewhere():
    def silent():
        with stop_tracing():
            yield

    left = silent()
    contextvars.copy_context().run(next, left)

    left.close()

    assert is_tracing()


def test_tasks_stop_tracing_each_for_itself():
    async def work(stopped: bool) -> list[bool]:
        seen: list[bool] = []
        for _ in range(5):
            if stopped:
                with stop_tracing():
                    await asyncio.sleep(0)
                    seen.append(bool((node(1) + 1).inputs))
            else:
                await asyncio.sleep(0)
                seen.append(bool((node(1) + 1).inputs))
        return seen

    async def all_tasks() -> list[list[bool]]:
        return await asyncio.gather(*(work(i % 2 == 0) for i in range(6)))

    assert asyncio.run(all_tasks()) == [[False] * 5, [True] * 5] * 3


def test_a_language_model_is_asked_as_an_operation():
    seen: list[object] = []
    system, user = Parameter("Be brief."), node("Why?")

    def ask(messages, **settings):
        seen.append((messages, settings))
        return "Because."

    with use_llm(ask):
        made = operators.call_llm(system, user, f"{user} Once more.", temperature=0)

    assert made.data == "Because." and made.op == "call_llm"
    assert made.inputs["system_prompt"] is system and made.inputs["user_prompts_0"] is user
    assert made.inputs["user_prompts_1"].parents == [user]
    assert seen == [
        (
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Why?"},
                {"role": "user", "content": "Why? Once more."},
            ],
            {"temperature": 0},
        )
    ]


def test_a_model_that_fails_is_a_failed_operation():
    def ask(messages):
        raise ConnectionError("down")

    with use_llm(ask), pytest.raises(ExecutionError) as caught:
        operators.call_llm("a", "b")

    assert caught.value.exception_node.data == "(ConnectionError) down"
    assert list(caught.value.exception_node.inputs) == ["system_prompt", "user_prompts_0"]


def test_without_a_model_or_after_it_the_call_says_what_to_do():
    with use_llm(lambda messages: "a"), use_llm(lambda messages: "b"):
        assert operators.call_llm("s", "u").data == "b"

    with pytest.raises(UsageError, match="with use_llm"):
        operators.call_llm("s", "u")


def test_stop_tracing_decorates_a_function_and_refuses_what_runs_later():
    @stop_tracing()
    def plain(x):
        return x + 1

    async def later(x):
        return x

    assert plain(node(1)).inputs == {} and (node(1) + 1).inputs
    with pytest.raises(TypeError, match="write `with stop_tracing"):
        stop_tracing()(later)
