"""What a cell changed: its parameters before and after as a diff, its counts, its spend."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from harness.errors import ConfigError
from harness.formatting import count, percent, printable, usage
from harness.store import CellRecord
from harness.types import JSON, Candidate


def select(records: Sequence[CellRecord], which: str) -> list[CellRecord]:
    """Return the cells whose id begins with `which` or whose name contains it; all for "".

    A cell's name is `task:optimizer:seed`. Raises ConfigError if none fits.
    """
    found = [r for r in records if r.key.id.startswith(which) or which in name(r)]
    if not found:
        known = ", ".join(name(r) for r in records[:12]) or "none has ended yet"
        raise ConfigError(f"no cell {which!r} in this run; its cells: {known}")
    return found


def name(record: CellRecord) -> str:
    """Return `task:optimizer:seed`."""
    return f"{record.key.task}:{record.key.optimizer}:{record.key.seed}"


def describe(record: CellRecord) -> str:
    """Return a cell as text for a terminal; what a model wrote has its control characters gone."""
    lines = [f"{name(record)}  ({record.key.id}, {record.key.program}, {record.key.model})"]
    lines.append(f"  {_outcome(record)}")
    for side, used in (("task", record.spend.task), ("optimizer", record.spend.optimizer)):
        lines.append(f"  {side} side: {usage(used)}, {used.retries} retries")
    lines += [f"  {n} failed: {printable(reason)}" for reason, n in record.failures.items()]
    lines += [f"  {printable(what)}: {n}" for what, n in sorted(record.counts.items())]
    notes = Counter(record.notes)
    lines += [f"  note{f' x {n}' if n > 1 else ''}: {printable(t)}" for t, n in notes.items()]
    lines += [f"  {line}" for line in _changes(record.initial, record.final)]
    return "\n".join(lines)


def _outcome(record: CellRecord) -> str:
    val = "" if record.val_score is None else f", validation {percent(record.val_score)}"
    reason = f" ({printable(record.reason)})" if record.reason else ""
    failed = sum(record.failures.values())
    rollouts = f"{count(record.spend.rollouts)} rollouts, {failed} failed with the test's"
    return f"{record.status}{reason}, {rollouts}{val}"


def _changes(before: Candidate | None, after: Candidate | None) -> Iterator[str]:
    if before is None or after is None:
        yield "no candidate came back"
        return
    if before.hash == after.hash:
        yield "nothing changed"
    for parameter in before.values:
        old, new = before.values[parameter], after.values[parameter]
        if old == new:
            continue
        yield ""
        pair = (f"{parameter} before", f"{parameter} after")
        for line in difflib.unified_diff(_lines(old), _lines(new), *pair, lineterm="", n=3):
            indent = line[: len(line) - len(line.lstrip(" "))]
            yield indent + printable(line)


def _lines(value: JSON) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False)
    return text.splitlines()
