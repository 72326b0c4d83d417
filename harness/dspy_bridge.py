"""DSPy's own optimizers on our traced program: instructions and demonstrations go in and out.

A DSPy module with one plain `dspy.Predict` per `harness.Predict` only holds instruction and demos;
its `forward` runs our program through the problem's metered oracle and appends the program's calls
to DSPy's trace. DSPy's proposer model is the problem's optimizer model. Nothing is configured
globally: everything runs inside `dspy.context`, in one thread, so DSPy's evaluation pool (which
submits slow examples twice) is never used. Written for dspy 3.4.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from harness.errors import OptoraceError, ends_the_run
from harness.predict import calls_in
from harness.problem import Problem
from harness.types import JSON, Candidate, Example, Rollout, encodable

EXAMPLE_ID = "example_id"  # DSPy's only input field: our program finds its inputs by it
TEXT, DEMOS = ".instruction", ".demos"


@dataclass(frozen=True, slots=True)
class Holder:
    """The fields of one `harness.Predict`: its name, input fields and output field."""

    name: str
    inputs: tuple[str, ...]
    output: str


@dataclass(slots=True)
class Rollouts:
    """Rollouts by candidate and example, so that a whole evaluation runs in parallel at once.

    `ahead` is the set of examples that the optimizer is known to evaluate under every candidate;
    the first of them brings all. Shared by DSPy's many deep copies of a program.
    """

    problem: Problem
    ahead: Sequence[Example] = ()
    known: dict[tuple[str, str, int], Rollout] = field(
        default_factory=dict[tuple[str, str, int], Rollout]
    )

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Rollouts:
        return self

    def get(self, candidate: Candidate, example: Example, sample: int) -> Rollout:
        """Return one rollout; runs it, or all of `ahead` with it, if it is not known yet."""
        key = (candidate.hash, example.id, sample)
        if key not in self.known:
            ids = {e.id for e in self.ahead}
            batch = self.ahead if example.id in ids else [example]
            missing = [e for e in batch if (candidate.hash, e.id, sample) not in self.known]
            with _past_dspy():
                rollouts = self.problem.rollout(candidate, missing, sample=sample)
            for r in rollouts:
                self.known[(candidate.hash, r.example.id, sample)] = r
        return self.known[key]


def untyped_dspy() -> Any:
    """Import dspy at the first use; its functions have no types to check against."""
    import dspy

    return dspy


def holders(problem: Problem) -> list[Holder]:
    """Return the predictors of a problem's program: names with `.instruction` and `.demos`."""
    names = [n.removesuffix(DEMOS) for n in problem.parameters if n.endswith(DEMOS)]
    found: list[Holder] = []
    for name in names:
        fields = problem.parameters[name + DEMOS].fields
        if name + TEXT in problem.parameters:
            found.append(Holder(name, fields[:-1], fields[-1]))
    return found


def compile_with(
    problem: Problem,
    run: Callable[[Any, Any, list[Any], Callable[..., float]], Any],
    rollouts: Rollouts,
) -> Candidate:
    """Run a DSPy optimizer and return what it made as a plain candidate.

    `run(student, lm, trainset, metric)` calls DSPy's compile and returns the compiled program.
    """
    dspy = untyped_dspy()

    student = _module(problem, rollouts)
    lm = dspy.LM("optorace/optimizer", engine=_Engine(problem), cache=False, max_tokens=None)
    by_id = {e.id: e for e in problem.train}
    trainset = [
        dspy.Example(**_labels(problem, e), example_id=e.id).with_inputs(EXAMPLE_ID)
        for e in problem.rng.sample(problem.train, len(problem.train))  # DSPy itself has no seed
    ]

    def metric(gold: Any, prediction: Any, trace: object = None) -> float:
        r = rollouts.known[(prediction.candidate, by_id[gold.example_id].id, prediction.sample)]
        return r.score or 0.0  # a failed rollout is never taken for a success

    quiet = {"num_threads": 1, "max_errors": 10**9, "adapter": dspy.JSONAdapter()}
    try:
        with dspy.context(lm=lm, trace=[], **quiet):
            return _candidate(problem, run(student, lm, trainset, metric))
    except _PastDspy as e:
        raise e.error from e


def _module(problem: Problem, rollouts: Rollouts) -> Any:
    """Return the DSPy program. The class is made here because dspy is imported lazily."""
    dspy = untyped_dspy()

    class TracedProgram(dspy.Module):
        """Holds instructions and demos; `forward` runs our program under them."""

        def __init__(self) -> None:
            super().__init__()  # pyright: ignore[reportUnknownMemberType]  # dspy has no types
            self.rollouts = rollouts
            for i, holder in enumerate(holders(problem)):
                setattr(self, f"p{i}", _predict(holder, problem))

        def forward(self, example_id: str) -> Any:
            """Run one example through our program; append its LM calls to DSPy's trace."""
            trace = dspy.settings.trace
            candidate = _candidate(problem, self)
            example = next(e for e in problem.train if e.id == example_id)
            sample = int(dspy.settings.lm.kwargs.get("rollout_id") or 0)
            rollout = rollouts.get(candidate, example, sample)
            if trace is not None and rollout.trace is not None:
                mine = dict(zip([h.name for h in holders(problem)], self.predictors(), strict=True))
                outputs = {h.name: h.output for h in holders(problem)}
                for call in calls_in(rollout.trace, problem.parameters):
                    made = dspy.Prediction(**{outputs[call.name]: call.output})
                    trace.append((mine[call.name], dict(call.inputs), made))
            return dspy.Prediction(output=rollout.output, candidate=candidate.hash, sample=sample)

    return TracedProgram()


def _predict(holder: Holder, problem: Problem) -> Any:
    dspy = untyped_dspy()

    fields: dict[str, Any] = {n: (str, dspy.InputField()) for n in holder.inputs}
    fields[holder.output] = (str, dspy.OutputField())
    instruction = str(problem.initial.values[holder.name + TEXT])
    return dspy.Predict(dspy.Signature(fields, instruction))


def _candidate(problem: Problem, program: Any) -> Candidate:
    """Read instructions and complete demonstrations out of a DSPy program."""
    values: dict[str, JSON] = {}
    for holder, predictor in zip(holders(problem), program.predictors(), strict=True):
        fields = (*holder.inputs, holder.output)
        demos = [{f: d[f] for f in fields} for d in predictor.demos if all(f in d for f in fields)]
        values[holder.name + TEXT] = encodable(str(predictor.signature.instructions))
        values[holder.name + DEMOS] = cast("JSON", demos)
    return problem.initial.replace(values)


def _labels(problem: Problem, example: Example) -> dict[str, Any]:
    """Return the fields that a raw example can show as a demonstration: inputs and the answer."""
    return {**example.inputs, "answer": example.target}


class _PastDspy(BaseException):
    """Carries an error that ends the run past DSPy, which swallows any Exception as a 0."""

    def __init__(self, error: OptoraceError):
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def _past_dspy() -> Generator[None]:
    try:
        yield
    except OptoraceError as e:
        if ends_the_run(e):
            raise _PastDspy(e) from e
        raise


class _Engine:
    """DSPy's door to a model: complete(Request) -> Response, through the problem's meter."""

    supports_response_schema = True
    supported_params = frozenset({"temperature", "max_tokens", "response_format"})

    def __init__(self, problem: Problem):
        self._problem = problem

    def __deepcopy__(self, memo: Mapping[int, Any]) -> _Engine:
        return self

    def complete(self, request: Any) -> Any:
        """Answer one request. The budget's end passes through DSPy as a BaseException."""
        lm15 = untyped_dspy().lm15
        messages = [{"role": m.role, "content": m.text or ""} for m in request.messages]
        if request.system:
            messages.insert(0, {"role": "system", "content": _system_text(request.system)})
        wanted: dict[str, JSON] = request.config.response_format or {}
        with _past_dspy():
            reply = self._problem.ask(
                messages, schema=wanted.get("schema"), temperature=request.config.temperature
            )
        usage = lm15.Usage(
            input_tokens=reply.usage.prompt_tokens,
            output_tokens=reply.usage.completion_tokens,
            total_tokens=reply.usage.tokens,
        )
        return lm15.Response(
            id=None,
            model=request.model,
            message=lm15.Message.assistant([lm15.TextPart(reply.text)]),
            finish_reason="stop",
            usage=usage,
        )


def _system_text(system: Any) -> str:
    parts: tuple[Any, ...] = (system,) if isinstance(system, str) else tuple(system)
    return "\n\n".join(p if isinstance(p, str) else str(p.text) for p in parts)
