"""Candidates x examples through a program, in parallel through joblib, results in order."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from harness.errors import Interrupted, PluginError, ends_the_run, one_line
from harness.lm import LM, Reply
from harness.predict import Ask
from harness.problem import AskOptions
from harness.trace import (
    CodeRunner,
    ExecutionError,
    Module,
    Node,
    ParameterNode,
    Trace,
    UsageError,
    trace_of,
    use_code_runner,
    use_llm,
)
from harness.types import (
    JSON,
    Candidate,
    Example,
    ParameterInfo,
    Rollout,
    Task,
    Usage,
    encodable,
)

A = TypeVar("A")
B = TypeVar("B")


class BuildProgram(Protocol):
    """What a program plugin's PROGRAM is: called once per rollout, so it must be cheap."""

    def __call__(self, lm: Ask, task: Task) -> Module:
        """Return a fresh program that asks `lm`."""
        ...


@dataclass(frozen=True, slots=True)
class Bench:
    """One task, one program, two models and a seed: everything a rollout is made with."""

    task: Task
    build: BuildProgram
    lm: LM
    optimizer_lm: LM
    code_runner: CodeRunner
    seed: int
    jobs: int
    stop: threading.Event


class Evaluator:
    """The oracle behind a Problem. Rollouts are recorded through `record` before they return."""

    def __init__(self, bench: Bench, record: Callable[[Candidate, Sequence[Rollout]], None]):
        self._bench = bench
        self._record = record
        self.parameters, self.initial = inspect(bench.build, bench.task)

    def run(self, candidate: Candidate, examples: Sequence[Example], sample: int) -> list[Rollout]:
        """Run examples in parallel; results in the order of the examples."""
        rollouts = in_parallel(
            lambda example: self._rollout(candidate, example, sample), examples, self._bench.jobs
        )
        self._record(candidate, rollouts)
        return rollouts

    def ask(self, messages: Sequence[Mapping[str, str]], options: AskOptions) -> Reply:
        """Ask the optimizer's model once."""
        return self._bench.optimizer_lm.complete(
            messages,
            seed=self._bench.seed,
            sample=options.sample,
            schema=options.schema,
            temperature=options.temperature,
        )

    def check(self, candidate: Candidate) -> None:
        """Raise ValueError if a parameter is missing or unknown or a value breaks a constraint."""
        if set(candidate.values) != set(self.parameters):
            raise ValueError(
                f"the candidate has the parameters {sorted(candidate.values)}; "
                f"needed are exactly {sorted(self.parameters)}"
            )
        self._bench.build(_no_model, self._bench.task).load_state(candidate.values)

    def _rollout(self, candidate: Candidate, example: Example, sample: int) -> Rollout:
        bench, usages = self._bench, list[Usage]()

        def ask(messages: Sequence[Mapping[str, str]]) -> str:
            reply = bench.lm.complete(messages, seed=bench.seed, sample=sample)
            usages.append(reply.usage)
            return reply.text

        if bench.stop.is_set():
            raise Interrupted
        program = bench.build(ask, bench.task)
        program.load_state(candidate.values)
        output, trace, error = self._forward(program, example, ask)
        score, feedback, metrics = None, f"The program failed: {error}", dict[str, float]()
        if output is not None:
            score, feedback, metrics, error = _scored(bench.task, example, output)
        usage = sum(usages, Usage())
        return Rollout(
            example, candidate.hash, sample, output, score, feedback, metrics, usage, trace, error
        )

    def _forward(
        self, program: Module, example: Example, ask: Ask
    ) -> tuple[str | None, Trace | None, str | None]:
        """Return the output, the trace and, if the program failed, the error in one line."""
        parameters = program.named_parameters()
        try:
            with use_code_runner(self._bench.code_runner), use_llm(ask):
                node = program(**example.inputs)
        except ExecutionError as e:
            if e.__cause__ is not None and ends_the_run(e.__cause__):
                raise e.__cause__ from e
            return None, trace_of(e.exception_node, parameters), one_line(e.__cause__ or e)
        except UsageError as e:
            raise PluginError(f"the program is not traced right: {one_line(e)}") from e
        except Exception as e:
            if ends_the_run(e):
                raise
            return None, None, one_line(e)
        if not isinstance(node, Node):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's
            raise PluginError(f"the program returned a {type(node).__name__}; return a node")
        made = cast("Node[Any]", node)
        return encodable(str(made.data)), trace_of(made, parameters), None


def inspect(build: BuildProgram, task: Task) -> tuple[dict[str, ParameterInfo], Candidate]:
    """Return a program's parameters and their first values. Raises PluginError."""
    try:
        program = build(_no_model, task)
        infos = {name: _info(name, p) for name, p in program.named_parameters().items()}
        return infos, Candidate(cast("Mapping[str, JSON]", program.state()))
    except Exception as e:
        raise PluginError(f"the program cannot be built for task {task.name}: {one_line(e)}") from e


def _scored(
    task: Task, example: Example, output: str
) -> tuple[float | None, str, dict[str, float], str | None]:
    """Return score, feedback, metrics and, if the task cannot score it, the error in one line."""
    try:
        result = task.score(example, output)
        if 0 <= result.value <= 1:  # false for NaN too
            return result.value, encodable(result.feedback), dict(result.metrics), None
        reason = f"the task gave the score {result.value}; it must be in [0, 1]"
    except Exception as e:  # noqa: BLE001 - a user's metric; the rollout fails with its reason
        reason = f"the task cannot score this output: {one_line(e)}"
    return None, f"No score: {reason}", {}, reason


def in_parallel(function: Callable[[A], B], items: Sequence[A], jobs: int) -> list[B]:
    """Return `function` of each item, in order; raise the first exception in that order.

    BaseException is carried home as a value: raised in a worker of joblib's thread pool it would
    end the worker and leave the pool waiting for ever.
    """
    joblib: Any = importlib.import_module("joblib")  # without types

    def guarded(item: A) -> B | BaseException:
        try:
            return function(item)
        except BaseException as e:  # noqa: BLE001 - raised again below, in the caller's thread
            return e

    if jobs == 1 or len(items) < 2:
        return [function(item) for item in items]
    pool = joblib.Parallel(n_jobs=min(jobs, len(items)), backend="threading")
    results = cast("list[B | BaseException]", pool(joblib.delayed(guarded)(i) for i in items))
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[B]", results)


def _no_model(messages: Sequence[Mapping[str, str]]) -> str:
    raise RuntimeError("this program was built to read its parameters; it has no model")


def _info(name: str, p: ParameterNode) -> ParameterInfo:
    schema = cast("Mapping[str, JSON]", p.rule.schema())
    return ParameterInfo(name, p.kind, p.doc, p.constraint, p.fields, schema)
