"""Problem: an OPTO instance as an optimizer sees it. Oracle, budget meter, best seen.

The test split is not in it: rollouts of other examples than train and val are refused.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from harness.errors import BudgetExhausted, ConfigError
from harness.lm import Reply
from harness.types import (
    JSON,
    Budget,
    Candidate,
    Example,
    ParameterInfo,
    Rollout,
    Side,
    Spend,
    Usage,
    canonical,
)

CHUNK = 8  # rollouts between two looks at limits that only a rollout itself can tell


class Oracle(Protocol):
    """What stands behind a problem: the program on the task's model, and the optimizer's model."""

    def run(self, candidate: Candidate, examples: Sequence[Example], sample: int) -> list[Rollout]:
        """Run examples in parallel; results in the order of the examples."""
        ...

    def ask(self, messages: Sequence[Mapping[str, str]], options: AskOptions) -> Reply:
        """Ask the optimizer's model once. Raises LMError."""
        ...

    def check(self, candidate: Candidate) -> None:
        """Raise ValueError with the parameter and the reason if a constraint is broken."""
        ...


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How one question to the optimizer's model differs from its settings."""

    sample: int
    schema: JSON = None
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """The fixed part of a problem: what to change, what to reach, on which examples."""

    objective: str
    parameters: Mapping[str, ParameterInfo]
    initial: Candidate
    train: tuple[Example, ...]
    val: tuple[Example, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a cell stands: its spend and the best validation score so far (None: none whole)."""

    spend: Spend
    best: float | None


class Problem:
    """What an optimizer gets. Every rollout and every question to a model is metered.

    `rng` is seeded by the cell. `counts` and `notes` are the optimizer's own diary.
    """

    def __init__(
        self,
        statement: Statement,
        oracle: Oracle,
        budget: Budget,
        on_progress: Callable[[Progress], None] | None = None,
    ):
        self.objective = statement.objective
        self.parameters = statement.parameters
        self.initial = statement.initial
        self.train, self.val = statement.train, statement.val
        self.rng = random.Random(statement.seed)
        self.budget = budget
        self.spend = Spend()
        self.counts: Counter[str] = Counter()
        self.notes: list[str] = []
        self.failures: Counter[str] = Counter()  # reasons of failed rollouts
        self._oracle = oracle
        self._on_progress = on_progress
        self._known = {e.id for e in (*self.train, *self.val)}
        self._seen: dict[str, tuple[Candidate, dict[str, float]]] = {}
        self._asked: Counter[str] = Counter()
        self._n_asked = 0  # questions begun: two threads must not share the last one
        self._lock = threading.RLock()  # guards spend, counts and _seen: libraries use threads

    # ---- the oracle

    def rollout(
        self, candidate: Candidate, examples: Sequence[Example], *, sample: int = 0
    ) -> list[Rollout]:
        """Run train or val examples under a candidate; results in the order of the examples.

        `sample` numbers repeats of the same pair at a temperature above 0. Raises BudgetExhausted
        after the last rollout that the budget paid for, ValueError for a broken constraint or an
        example that is not the problem's.
        """
        strangers = [e.id for e in examples if e.id not in self._known]
        if strangers:
            raise ValueError(f"examples {strangers[:3]} are neither train nor val of this problem")
        self._oracle.check(candidate)
        done: list[Rollout] = []
        while len(done) < len(examples):
            chunk = examples[len(done) : len(done) + self._chunk(len(examples) - len(done))]
            with self._lock:
                n = self._reserve(len(chunk))
            rollouts = self._oracle.run(candidate, chunk[:n], sample)
            self._book(candidate, rollouts)
            done += rollouts
        return done

    def propose(
        self,
        prompt: str,
        *,
        system: str = "",
        schema: JSON = None,
        temperature: float | None = None,
    ) -> str:
        """Ask the optimizer's model; return the reply's text.

        The same prompt asked again is a new sample. `schema` is a JSON schema, enforced where the
        server can. Raises BudgetExhausted, LMError.
        """
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt})
        return self.ask(messages, schema=schema, temperature=temperature).text

    def ask(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        schema: JSON = None,
        temperature: float | None = None,
    ) -> Reply:
        """Ask the optimizer's model with a whole chat; like `propose`, but returns the Reply."""
        question = canonical([dict(m) for m in messages])
        key = hashlib.sha256(f"{question}{temperature}".encode()).hexdigest()
        with self._lock:
            self._stop_if_spent()
            if _reached(self._n_asked, self.budget.optimizer_calls):
                raise BudgetExhausted("optimizer_calls")
            self._n_asked += 1
            sample = self._asked[key]
            self._asked[key] += 1
        reply = self._oracle.ask(messages, AskOptions(sample, schema, temperature))
        with self._lock:
            self.spend = _add(self.spend, reply.usage, "optimizer")
            self._report()
        return reply

    def check(self, candidate: Candidate) -> None:
        """Raise ValueError with the parameter and the reason if a constraint is broken."""
        self._oracle.check(candidate)

    # ---- what every loop needs

    def validate(self, candidate: Candidate) -> float:
        """Return the mean score on the validation split; a failed rollout counts as 0 here.

        That is the rule of selection only: tables show failures as failures.
        """
        return selection_score(self.rollout(candidate, self.val))[0]

    def minibatches(self, size: int, n: int) -> Iterator[list[Example]]:
        """Yield `n` batches of train examples, each epoch in a new order from `rng`.

        No batch holds an example twice; without train examples there is no batch.
        """
        size = min(size, len(self.train))
        queue: list[Example] = []
        for _ in range(n if size else 0):
            if len(queue) < size:
                epoch = self.rng.sample(self.train, len(self.train))
                queue += [e for e in epoch if e not in queue]
            batch, queue = queue[:size], queue[size:]
            yield batch

    def best_seen(self) -> Candidate:
        """Return the best candidate with a whole validation, the first of equals.

        If none has one, the best with all of train (a library that selects on train was cut off);
        else the initial candidate.
        """
        whole = self._whole(self.val) or self._whole(self.train)
        return max(whole, key=lambda pair: pair[1])[0] if whole else self.initial

    def val_score(self, candidate: Candidate) -> float | None:
        """Return the mean validation score of a candidate if it was validated whole."""
        return next((s for c, s in self._whole(self.val) if c.hash == candidate.hash), None)

    def count(self, what: str, note: str = "") -> None:
        """Count an event of the optimizer (`accepted`, `refused: ...`), with a note to be shown."""
        with self._lock:
            self.counts[what] += 1
            if note and len(self.notes) < 200:
                self.notes.append(f"{what}: {note}")

    # ---- the meter

    def _chunk(self, n: int) -> int:
        b = self.budget
        only_rollouts = (b.task_calls, b.task_tokens, b.cost_usd, b.seconds) == (None,) * 4
        return n if only_rollouts else min(n, CHUNK)

    def _reserve(self, n: int) -> int:
        """Take up to `n` rollouts from the budget; they count as spent from now on."""
        self._stop_if_spent()
        limit = self.budget.rollouts
        n = n if limit is None else min(n, limit - self.spend.rollouts)
        if n <= 0:
            raise BudgetExhausted("rollouts")
        self.spend = replace(self.spend, rollouts=self.spend.rollouts + n)
        return n

    def _stop_if_spent(self) -> None:
        b, s = self.budget, self.spend
        cost = (s.task + s.optimizer).cost_usd
        if b.cost_usd is not None and cost is None:
            raise ConfigError(
                "budget.cost_usd is set, but a model has no known price; set price_in and "
                "price_out of lm and optimizer_lm, in US dollars per million tokens"
            )
        limits = (
            ("task_calls", s.task.calls, b.task_calls),
            ("task_tokens", s.task.tokens, b.task_tokens),
            ("optimizer_tokens", s.optimizer.tokens, b.optimizer_tokens),
            ("cost_usd", cost or 0.0, b.cost_usd),
            ("seconds", s.task.seconds + s.optimizer.seconds, b.seconds),
        )
        for name, spent, limit in limits:
            if _reached(spent, limit):
                raise BudgetExhausted(name)

    def _book(self, candidate: Candidate, rollouts: Sequence[Rollout]) -> None:
        with self._lock:
            scores = self._seen.setdefault(candidate.hash, (candidate, {}))[1]
            for r in rollouts:
                self.spend = _add(self.spend, r.usage, "task")
                if r.score is None:
                    self.failures[r.error or "unknown"] += 1
                scores.setdefault(r.example.id, r.score or 0.0)
            self._report()

    def _whole(self, part: Sequence[Example]) -> list[tuple[Candidate, float]]:
        """Return the candidates that ran on every example of a split, with their mean score."""
        with self._lock:
            return [
                (candidate, sum(scores[e.id] for e in part) / len(part))
                for candidate, scores in self._seen.values()
                if part and all(e.id in scores for e in part)
            ]

    def _report(self) -> None:
        if self._on_progress is not None:
            whole = self._whole(self.val)
            best = max(score for _, score in whole) if whole else None
            self._on_progress(Progress(self.spend, best))


def selection_score(rollouts: Sequence[Rollout]) -> tuple[float, int]:
    """Return what candidates are ranked by: the mean score with failures as 0, then minus their
    number, so that a program that always breaks is worse than one that is always wrong.
    """
    mean = sum(r.score or 0.0 for r in rollouts) / len(rollouts) if rollouts else 0.0
    return mean, -sum(r.score is None for r in rollouts)


def _reached(spent: float, limit: float | None) -> bool:
    return limit is not None and spent >= limit


def _add(spend: Spend, usage: Usage, side: Side) -> Spend:
    if side == "task":
        return replace(spend, task=spend.task + usage)
    return replace(spend, optimizer=spend.optimizer + usage)
