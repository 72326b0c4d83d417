"""The facts that travel through the house, as frozen dataclasses, and the plugin Protocols."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from harness.problem import Problem
    from harness.trace import Trace

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Side: TypeAlias = Literal["task", "optimizer"]
SplitName: TypeAlias = Literal["train", "val", "test"]


def canonical(value: JSON) -> str:
    """Return the one JSON text of a value: keys sorted, no blanks, non-ASCII kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def content_hash(value: JSON) -> str:
    """Return 16 hex digits of the sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


def encodable(text: str) -> str:
    """Replace lone surrogates (an emoji cut in half) that no file, hash or database can take."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


# ---- data


@dataclass(frozen=True, slots=True)
class Example:
    """One row of a task: what the program gets, what is expected, what scoring needs besides.

    `content` is what makes two examples the same for the splits (a question's text, say); no two
    splits share it. `id` is a hash of inputs, target and meta, so it is equal in every process.
    """

    id: str
    inputs: Mapping[str, JSON]
    target: str
    content: str
    meta: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


def make_example(
    inputs: Mapping[str, JSON],
    target: str,
    *,
    content: str | None = None,
    meta: Mapping[str, JSON] | None = None,
) -> Example:
    """Make an example with its id; `content` defaults to the inputs, squeezed and casefolded."""
    meta = meta or {}
    text = canonical(inputs) if content is None else content
    key = " ".join(text.casefold().split())
    return Example(content_hash([inputs, target, meta]), inputs, target, key, meta)


@dataclass(frozen=True, slots=True)
class SplitSizes:
    """How many examples each split has; `test` None means all that remain."""

    train: int
    val: int
    test: int | None


@dataclass(frozen=True, slots=True)
class Pools:
    """A task's examples as the source gives them, in its order, before the split.

    Train and val are drawn from `optimize`. Test is drawn from `test`, or from what is left of
    `optimize` if `test` is None. `source` tells the reader of a table where the rows come from.
    """

    optimize: Sequence[Example]
    test: Sequence[Example] | None
    source: str


@dataclass(frozen=True, slots=True)
class Splits:
    """Three splits, disjoint by content; `n_dropped` repeated examples were left out."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]
    test: tuple[Example, ...]
    source: str
    n_dropped: int = 0


@dataclass(frozen=True, slots=True)
class HubRef:
    """A split of a data set: on the Hub at a pinned revision, and its name in a mirror folder.

    The mirror file is `{mirror}/{config}/{split}.jsonl` or `.jsonl.gz`.
    """

    repo: str
    revision: str
    config: str
    split: str
    mirror: str


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with the fields of the Hub's schema, in the Hub's order, and where they come from."""

    rows: Sequence[Mapping[str, JSON]]
    source: str


class RowSource(Protocol):
    """Where a task gets its rows."""

    def rows(self, ref: HubRef) -> Table:
        """Return one split. Raises DataError if neither the mirror nor the Hub has it."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """A score in [0, 1] under the task's official rule, feedback in words, other rules by name."""

    value: float
    feedback: str
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])


# ---- what an optimizer changes

ParameterKind: TypeAlias = Literal["text", "demos", "code", "number", "choice", "data"]


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """What an optimizer may change: its kind, its meaning and its constraint in words.

    For `demos`, `fields` are the input fields and, last, the output field of a demonstration.
    `schema` is what JSON schema can say of the values that are allowed; empty if it cannot.
    """

    name: str
    kind: ParameterKind
    description: str
    constraint: str = ""
    fields: tuple[str, ...] = ()
    schema: Mapping[str, JSON] = field(default_factory=dict[str, JSON])


@dataclass(frozen=True, slots=True)
class Candidate:
    """Immutable values for all parameters of a program, by parameter name. Plain data."""

    values: Mapping[str, JSON]

    @property
    def hash(self) -> str:
        """16 hex digits of the content."""
        return content_hash(dict(self.values))

    def replace(self, values: Mapping[str, JSON]) -> Candidate:
        """Return a candidate with some values replaced. Raises KeyError for unknown names."""
        unknown = sorted(set(values) - set(self.values))
        if unknown:
            raise KeyError(f"unknown parameters {unknown}; known: {sorted(self.values)}")
        return Candidate({**self.values, **values})


# ---- what happened


@dataclass(frozen=True, slots=True)
class Usage:
    """What model calls took: seconds of latency, and US dollars (None: the price is unknown)."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    cost_usd: float | None = 0.0
    retries: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        """Add up; an unknown cost stays unknown."""
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.seconds + other.seconds,
            (self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
            self.retries + other.retries,
        )


@dataclass(frozen=True, slots=True)
class Spend:
    """What a cell has spent: rollouts, and usage on the task's and the optimizer's side."""

    rollouts: int = 0
    task: Usage = field(default_factory=Usage)
    optimizer: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one cell; None means no limit. A replayed call counts as spend.

    Rollouts and optimizer calls are never exceeded. What only a finished rollout can tell (task
    calls and tokens, money, seconds) is looked at every eight rollouts, so that a run always stops
    at the same place; it may exceed the limit by as many. Tokens count prompt and completion.
    Seconds are the summed latencies of all calls as they were recorded, so that a replay stops
    where the first run stopped.
    """

    rollouts: int | None = None
    task_calls: int | None = None
    optimizer_calls: int | None = None
    task_tokens: int | None = None
    optimizer_tokens: int | None = None
    cost_usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One example through the program under one candidate.

    `score` is None if the rollout failed; `error` then says why, `feedback` tells it to an
    optimizer. `trace` is the minimal subgraph up to the output or to the failing operator.
    """

    example: Example
    candidate: str
    sample: int
    output: str | None
    score: float | None
    feedback: str
    metrics: Mapping[str, float]
    usage: Usage
    trace: Trace | None
    error: str | None = None


# ---- plugins


class Task(Protocol):
    """Examples with their splits, a metric that gives a score and feedback, a default program.

    `objective` tells an optimizer what is wanted; `instruction` is what a program starts from.
    `presets` are named split sizes and hold at least `default`.
    """

    @property
    def name(self) -> str:
        """The full reference, such as `bbh/web_of_lies`."""
        ...

    @property
    def objective(self) -> str:
        """What an optimizer is told to reach."""
        ...

    @property
    def instruction(self) -> str:
        """The instruction a program starts with."""
        ...

    @property
    def program(self) -> str:
        """The default program's name."""
        ...

    @property
    def presets(self) -> Mapping[str, SplitSizes]:
        """Named split sizes."""
        ...

    def load(self, source: RowSource, sizes: SplitSizes, seed: int) -> Pools:
        """Return the examples. Raises DataError. Generators use `sizes` and `seed`."""
        ...

    def score(self, example: Example, output: str) -> Score:
        """Score one output. Never raises for any text."""
        ...


class Optimizer(Protocol):
    """Owns its loop."""

    @property
    def name(self) -> str:
        """The reference under which a table shows it."""
        ...

    def optimize(self, problem: Problem) -> Candidate:
        """Return the best candidate found within the problem's budget."""
        ...
