"""One cell, from its identity to its record: optimize, then test the result once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import cast

from harness.config import LMSettings, RunConfig
from harness.errors import BudgetExhausted, ends_the_run, one_line
from harness.evaluate import Bench, Evaluator
from harness.problem import Problem, Progress, Statement
from harness.store import CellKey, CellRecord, Store
from harness.types import JSON, Candidate, Optimizer, Rollout, Splits, Usage, content_hash


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one cell is run with; `key.id` is a hash of all that can change its result."""

    key: CellKey
    optimizer: Optimizer
    bench: Bench
    splits: Splits


def cell_key(config: RunConfig, names: Mapping[str, str], splits: Splits, seed: int) -> CellKey:
    """Return the identity of a cell.

    `names` has `task`, `program`, `optimizer`, `model`, `optimizer_model`, a `*_digest` of each
    plugin's file, and a digest and the versions of the libraries: changed code is another cell,
    whose calls still come back from the store. Addresses and patience are not part of it.
    """
    examples = [[e.id for e in part] for part in (splits.train, splits.val, splits.test)]
    identity: Mapping[str, JSON] = {
        **names,
        "seed": seed,
        "examples": content_hash(examples),
        "lm": _sampling(config.lm),
        "optimizer_lm": _sampling(config.optimizer_lm),
        "local": cast("JSON", asdict(config.local)),
        "budget": cast("JSON", asdict(config.budget)),
        "options": dict(config.options.get(names["optimizer"], {})),
    }
    shown = ("task", "program", "optimizer", "model", "optimizer_model")
    return CellKey(id=content_hash(identity), seed=seed, **{name: names[name] for name in shown})


def _sampling(lm: LMSettings) -> JSON:
    data = asdict(lm)
    return {k: data[k] for k in data if k not in ("model", "timeout_s", "retries")}


def run_cell(
    plan: Plan, config: RunConfig, store: Store, on_progress: Callable[[Progress], None]
) -> CellRecord:
    """Optimize within the budget, test what came out, record both; return the record.

    An optimizer that raises gives a record with status `failed`. Interrupted and what
    `ends_the_run` pass through; the run can go on later.
    """

    def record(candidate: Candidate, rollouts: Sequence[Rollout]) -> None:
        store.save_candidate(candidate)
        train = {e.id for e in plan.splits.train}
        for split, part in (("train", True), ("val", False)):
            chosen = [r for r in rollouts if (r.example.id in train) == part]
            store.save_rollouts(plan.key.id, split, chosen)

    evaluator = Evaluator(plan.bench, record)
    statement = Statement(
        plan.bench.task.objective,
        evaluator.parameters,
        evaluator.initial,
        plan.splits.train,
        plan.splits.val,
        plan.key.seed,
    )
    problem = Problem(statement, evaluator, config.budget, on_progress)
    ended = _optimize(plan, problem)
    if ended.final is not None:
        ended = _test(plan, store, ended, ended.final)
    store.save_cell(ended)
    return ended


def _optimize(plan: Plan, problem: Problem) -> CellRecord:
    status, reason = "done", ""
    final: Candidate | None = None
    try:
        final = plan.optimizer.optimize(problem)
        if not isinstance(final, Candidate):  # pyright: ignore[reportUnnecessaryIsInstance]  # a user's
            raise TypeError(f"optimize() returned a {type(final).__name__}; return a Candidate")
        problem.check(final)
    except BudgetExhausted as e:
        final = problem.best_seen()
        reason = f"the budget of {e} ended it"
    except (Exception, SystemExit) as e:
        if ends_the_run(e):
            raise
        final = None  # an optimizer under test; its error is its result
        status, reason = "failed", one_line(e)
    return CellRecord(
        key=plan.key,
        status=status,
        reason=reason,
        initial=problem.initial,
        final=final,
        val_score=None if final is None else problem.val_score(final),
        failures=dict(problem.failures),
        spend=problem.spend,
        counts=dict(sorted(problem.counts.items())),
        notes=tuple(problem.notes),
    )


def _test(plan: Plan, store: Store, ended: CellRecord, final: Candidate) -> CellRecord:
    """Run the test split once under the final candidate; it is outside of the budget."""

    def record(candidate: Candidate, rollouts: Sequence[Rollout]) -> None:
        store.save_candidate(candidate)
        store.save_rollouts(plan.key.id, "test", rollouts)

    rollouts = Evaluator(plan.bench, record).run(final, plan.splits.test, sample=0)
    failures = Counter(ended.failures)
    failures.update(r.error or "unknown" for r in rollouts if r.score is None)
    usage = sum((r.usage for r in rollouts), Usage())
    return replace(ended, failures=dict(failures), test_usage=usage)
