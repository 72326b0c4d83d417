"""Small real parts for tests: a task, a scripted model, a log in memory, a problem made of them."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.config import LMSettings
from harness.evaluate import Bench, Evaluator
from harness.lm import LM, RecordedCall, Request, Slots, scripted
from harness.problem import Problem, Statement
from harness.registry import load_program
from harness.sandbox import Sandbox
from harness.types import (
    Budget,
    Candidate,
    Example,
    Pools,
    Rollout,
    RowSource,
    Score,
    SplitSizes,
    make_example,
)

GOOD = "Add the numbers with digits."
SIZES = SplitSizes(6, 6, 8)


@dataclass(frozen=True)
class Sums:
    """Sums of two small numbers; feedback tells the right one."""

    name: str = "sums"
    objective: str = "Give the sum."
    instruction: str = "Say the sum."
    program: str = "direct"
    presets: dict[str, SplitSizes] = field(default_factory=lambda: {"default": SIZES})

    def load(self, source: RowSource, sizes: SplitSizes, seed: int) -> Pools:
        return Pools([sum_example(a, b) for a in range(1, 8) for b in range(5)], None, "made here")

    def score(self, example: Example, output: str) -> Score:
        right = output.strip() == example.target
        return Score(float(right), "Right." if right else f"Expected {example.target}.")


def sum_example(a: int, b: int) -> Example:
    return make_example({"question": f"What is {a} + {b}?"}, str(a + b))


def student(request: Request) -> str:
    """Answer sums; wrong for odd first numbers unless told to use digits or shown an example.

    As an optimizer's model it suggests GOOD, in whatever form it is asked for.
    """
    asked = request.messages[-1]["content"]
    if request.schema is not None:
        return optimizer_reply(request)
    a, b = (int(n) for n in re.findall(r"\d+", asked)[-2:])
    told = "digits" in request.messages[0]["content"] or len(request.messages) > 2
    return str(a + b) if told or a % 2 == 0 else "a number"


def optimizer_reply(request: Request) -> str:
    """Fill the properties of the schema asked for."""
    properties = json.loads(json.dumps(request.schema))["properties"]
    if "suggestion" not in properties:
        return json.dumps({name: GOOD for name in properties})
    names = [n for n in properties["suggestion"]["properties"] if n.endswith("instruction")]
    return json.dumps({"reasoning": "use digits", "suggestion": {n: GOOD for n in names}})


class MemoryLog:
    """A call log in a dict."""

    def __init__(self) -> None:
        self.calls: dict[str, RecordedCall] = {}

    def get(self, key: str) -> RecordedCall | None:
        return self.calls.get(key)

    def put(self, key: str, call: RecordedCall) -> None:
        self.calls.setdefault(key, call)


@dataclass
class Toy:
    """A bench on the scripted student, with everything it did at hand."""

    asked: list[Request]
    log: MemoryLog
    bench: Bench
    evaluator: Evaluator
    recorded: list[Rollout]


def toy(
    reply: Callable[[Request], str] = student, program: str = "direct", jobs: int = 4, seed: int = 0
) -> Toy:
    asked: list[Request] = []
    log, stop, recorded = MemoryLog(), threading.Event(), list[Rollout]()

    def answer(request: Request) -> str:
        asked.append(request)
        return reply(request)

    def lm(side: str) -> LM:
        settings = LMSettings(model="scripted", retries=0)
        return LM(settings, "toy", scripted(answer), log, side, slots=Slots(8), stop=stop)  # pyright: ignore[reportArgumentType]

    bench = Bench(
        task=Sums(),
        build=load_program(program),
        lm=lm("task"),
        optimizer_lm=lm("optimizer"),
        code_runner=Sandbox(1).run,
        seed=seed,
        jobs=jobs,
        stop=stop,
    )

    def record(candidate: Candidate, rollouts: Sequence[Rollout]) -> None:
        recorded.extend(rollouts)

    return Toy(asked, log, bench, Evaluator(bench, record), recorded)


def problem(of: Toy, budget: Budget | None = None, n: int = 6) -> Problem:
    pool = [sum_example(a, b) for a in range(1, 8) for b in range(5)]
    statement = Statement(
        of.bench.task.objective,
        of.evaluator.parameters,
        of.evaluator.initial,
        tuple(pool[:n]),
        tuple(pool[n : 2 * n]),
        of.bench.seed,
    )
    return Problem(statement, of.evaluator, budget or Budget())
