"""Threads, tasks and worker processes trace one program; not one link, value or name is wrong."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import itertools
import pickle
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import joblib
import pytest
from traced_letter import Letter, asking, item, no_pause, refuse, write, written

from harness.trace import ExecutionError, Node, SumPropagator, bundle, node, stop_tracing
from harness.trace.utils import sum_feedback

N_THREADS, N_TASKS, N_WORKERS, N_ITEMS = 8, 100, 4, 200


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], object], n: int = N_THREADS) -> list[Any]:
    """Run `work(number of the thread)` in threads that start at once; return their results."""
    start = threading.Barrier(n)
    results: list[Any] = [None] * n
    errors: list[BaseException] = []

    def run(k: int) -> None:
        start.wait()
        try:
            results[k] = work(k)
        except BaseException as error:  # noqa: BLE001  reported below, by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def expected(n: int) -> list[str]:
    """Return the traces of the items as one thread alone writes them, with a fresh program."""
    letter = Letter()
    return [write(letter, i) for i in range(n)]


def test_eight_threads_write_the_traces_that_one_thread_writes():
    letter, alone = Letter(), expected(N_ITEMS)

    found = in_threads(lambda k: [write(letter, i) for i in range(k, k + N_ITEMS)])

    more = expected(N_ITEMS + N_THREADS)
    assert more[:N_ITEMS] == alone
    assert found == [more[k : k + N_ITEMS] for k in range(N_THREADS)]


def test_a_program_used_first_by_eight_threads_at_once_has_one_code_parameter():
    alone = expected(N_THREADS)
    for _ in range(50):
        letter = Letter()

        outputs = in_threads(lambda k, letter=letter: letter(*item(k)))

        assert [written(output, letter) for output in outputs] == alone
        assert set(letter.named_parameters()) == {"decorate", "greeting", "times", "endings"}


def test_collecting_garbage_amid_parsing_code_breaks_no_thread(eager_collector):
    alone = expected(1)[0]

    found = in_threads(lambda k: {write(Letter(), 0) for _ in range(N_ITEMS)})

    assert found == [{alone}] * N_THREADS


@pytest.fixture
def eager_collector() -> Iterator[None]:
    """Run Python code in every collection, which is where CPython 3.11 mixes up its parsers."""

    def look(phase: str, info: dict[str, int]) -> None:
        assert sum(range(50)) == 1225

    before = gc.get_threshold()
    gc.callbacks.append(look)
    gc.set_threshold(20)
    yield
    gc.set_threshold(*before)
    gc.callbacks.remove(look)


def test_stop_tracing_in_some_threads_does_not_touch_the_others():
    letter, alone = Letter(), expected(N_ITEMS)

    def quiet(k: int) -> list[Any]:
        found: list[Any] = []
        for i in range(N_ITEMS):
            with stop_tracing():
                with stop_tracing():
                    inner = letter(*item(i))
                outer = letter(*item(i))
            found.append((outer.data, inner.inputs, outer.inputs, inner.data == outer.data))
            assert write(letter, i) == alone[i]
        return found

    def loud(k: int) -> list[str]:
        return [write(letter, i) for i in range(N_ITEMS)]

    found = in_threads(lambda k: loud(k) if k % 2 else quiet(k))

    plain = [(letter(*item(i)).data, {}, {}, True) for i in range(N_ITEMS)]
    assert found == [alone if k % 2 else plain for k in range(N_THREADS)]


def test_failures_in_threads_keep_their_own_inputs_and_messages():
    letter = Letter()

    def fail(i: int) -> str:
        who, number = item(i)
        with pytest.raises(ExecutionError) as caught:
            refuse(letter.opening(who, number), letter.times)
        return written(caught.value.exception_node, letter)

    found = in_threads(lambda k: [fail(i) for i in range(k, N_ITEMS)])

    alone = [fail(i) for i in range(N_ITEMS)]
    assert len(set(alone)) == N_ITEMS
    assert found == [alone[k:] for k in range(N_THREADS)]


@pytest.mark.parametrize("propagator", [None, SumPropagator()])
def test_feedback_from_threads_arrives_whole_and_once(propagator):
    letter = Letter()
    shared = letter.greeting + letter.greeting

    def give(k: int) -> None:
        for i in range(N_ITEMS):
            output = (shared + f"{k}.{i}") + letter.endings[i % 3]
            output.backward(f"{k}.{i}", propagator=propagator)

    in_threads(give)

    wanted = Counter(f"{k}.{i}" for k in range(N_THREADS) for i in range(N_ITEMS))
    for parameter in (letter.greeting, letter.endings):
        arrived = [item for found in parameter.feedback.values() for item in found]
        assert Counter(getattr(item, "user_feedback", item) for item in arrived) == wanted
    assert list(letter.greeting.feedback) == [shared]
    assert letter.times.feedback == {}


def test_feedback_from_threads_brings_its_own_graph():
    letter = Letter()
    shared = letter.greeting + " to "

    def give(k: int) -> dict[str, tuple[Node, Node]]:
        made = {f"{k}.{i}": shared + f"{k}.{i}" for i in range(N_ITEMS)}
        outputs = {said: (last + letter.endings[0], last) for said, last in made.items()}
        for said, (output, _) in outputs.items():
            output.backward(said)
        return outputs

    outputs = {said: own for found in in_threads(give) for said, own in found.items()}

    for graph in letter.greeting.feedback[shared]:
        output, last = outputs.pop(graph.user_feedback)
        inputs = {*output.inputs.values(), *last.inputs.values(), *shared.inputs.values()}
        assert {n for _, n in graph.graph} == {output, *inputs}
    assert outputs == {}


def test_a_parameter_shared_by_threads_gets_its_minimal_subgraph():
    letter = Letter()
    alone = len(subgraph(letter, 5))

    found = in_threads(lambda k: [len(subgraph(Letter(), 5)) for _ in range(N_ITEMS // 10)])

    assert found == [[alone] * (N_ITEMS // 10)] * N_THREADS


def subgraph(letter: Letter, i: int) -> list[Any]:
    letter(*item(i)).backward("why")
    return sum_feedback([letter.times, letter.greeting]).graph


async def in_tasks(letter: Letter, pause: Callable[[], Any], around: Any) -> list[str]:
    """Run the asking program in a hundred tasks, with others that read and stop in between."""
    run = asking(letter, pause)

    async def one(i: int) -> str:
        return written(await run(i), letter)

    async def read() -> None:
        for _ in range(20):
            assert letter.greeting.data == "Dear"
            assert letter.times == 2
            await asyncio.sleep(0)

    async def stop(i: int) -> None:
        with around():
            output = await run(i)
        assert output.inputs == {}

    others = [*(read() for _ in range(20)), *(stop(i) for i in range(20))]
    found = await asyncio.gather(*(one(i) for i in range(N_TASKS)), *others)
    return [trace for trace in found if trace is not None]


def random_pauses(seed: int) -> Callable[[], Any]:
    """Return what lets other tasks run a random number of times, so that they end in any order."""
    chance = random.Random(seed)

    async def pause() -> None:
        for _ in range(chance.randrange(12)):
            await asyncio.sleep(0)

    return pause


def test_a_hundred_tasks_write_the_traces_that_one_task_writes():
    letter = Letter()

    async def one_by_one() -> list[str]:
        fresh = Letter()
        run = asking(fresh, no_pause)
        return [written(await run(i), fresh) for i in range(N_TASKS)]

    alone = asyncio.run(one_by_one())
    found = asyncio.run(in_tasks(letter, random_pauses(1), stop_tracing))

    assert len(set(alone)) == N_TASKS
    assert found == alone
    assert asyncio.run(in_tasks(letter, random_pauses(2), stop_tracing)) == alone


def answers_in(order: Sequence[int]) -> str:
    """Return the trace of a program that asks three times at once; they end in the given order."""
    letter = Letter()

    async def run() -> str:
        gates = [asyncio.Event() for _ in order]

        @bundle
        async def ask(text, k):
            await gates[k].wait()
            gates[order[(order.index(k) + 1) % len(order)]].set()
            return f"{text}{k}"

        gates[order[0]].set()
        answers = await asyncio.gather(*(ask(letter.greeting + "a", k) for k in range(3)))
        return written(answers[0] + answers[1] + answers[2], letter)

    return asyncio.run(run())


def test_names_do_not_depend_on_which_task_ends_first():
    found = {answers_in(order) for order in itertools.permutations(range(3))}

    assert len(found) == 1


def test_an_async_generator_that_is_closed_elsewhere_does_not_stop_tracing():
    letter = Letter()

    async def numbers():
        with stop_tracing():
            yield 1
            yield 2

    async def run() -> int:
        started = numbers()
        await asyncio.create_task(anext(started))  # type: ignore[arg-type]
        await asyncio.create_task(started.aclose())
        return len((letter.greeting + "x").inputs)

    assert asyncio.run(run()) == 2


def test_four_worker_processes_write_the_traces_that_this_process_writes():
    letter, alone = Letter(), expected(40)
    write(letter, 0)

    with joblib.parallel_config("loky", n_jobs=N_WORKERS):
        found = joblib.Parallel()(joblib.delayed(write)(letter, i) for i in range(40))

    assert found == alone


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copied_program_writes_the_same_traces(copied):
    letter = Letter()
    letter.times.set(3)
    used = write(letter, 1)

    other = copied(letter)

    assert write(other, 1) == used
    assert other.times is not letter.times
    other.times.set(1)
    assert write(letter, 1) == used != write(other, 1)


def test_a_bundle_in_one_task_is_not_disturbed_by_reads_in_another():
    parameter = node("a", trainable=True)

    async def run() -> Node:
        reading = asyncio.Event()

        @bundle
        async def slow(text):
            await reading.wait()
            return text + "!"

        async def read() -> None:
            assert parameter.data == "a"
            assert (parameter + "b").data == "ab"
            reading.set()

        output, _ = await asyncio.gather(slow("x"), read())
        return output

    assert asyncio.run(run()).data == "x!"


@bundle
def echo(text):
    return text


def told(parameter: Node, i: int) -> Callable[[], bool]:
    """Make a text by an f-string; return a check that a bundle knows where it comes from."""
    text = f"{parameter + str(i)} and {parameter}"

    def known() -> bool:
        output = echo(text)
        first, second = output.inputs["text"].inputs.values()
        return (output.data, first.data, second) == (f"a{i} and a", f"a{i}", parameter)

    return known


def test_f_strings_in_threads_and_tasks_keep_what_they_were_made_from():
    parameter = node("a", trainable=True)
    told(parameter, 0)

    async def one(i: int) -> bool:
        known = told(parameter, i)
        await asyncio.sleep(0)
        return known()

    async def run() -> list[bool]:
        return await asyncio.gather(*(one(i) for i in range(1000)))

    in_threads_too = in_threads(lambda k: [told(parameter, i)() for i in range(N_ITEMS)])

    assert in_threads_too == [[True] * N_ITEMS] * N_THREADS
    assert asyncio.run(run()) == [True] * 1000


def inputs_amid_and_after(stops: Sequence[stop_tracing]) -> list[int]:
    """Return the number of inputs of operators within nested stops and after an error in them."""
    parameter = node(1, trainable=True)
    found: list[int] = []
    with pytest.raises(ZeroDivisionError), stops[0], stops[1]:
        with stops[2]:
            found.append(len((parameter + 1).inputs))
        found.append(len((parameter + 1).inputs))
        raise ZeroDivisionError
    return [*found, len((parameter + 1).inputs)]


@pytest.mark.parametrize("n_objects", [1, 3])
def test_what_was_before_is_restored_after_an_error_in_nested_stops(n_objects):
    stops = [stop_tracing() for _ in range(n_objects)] * 3

    # In a context of its own, so that a failure here is one failure and not many.
    found = contextvars.copy_context().run(inputs_amid_and_after, stops)

    assert found == [0, 0, 2]
