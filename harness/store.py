"""Every model call, rollout, candidate and cell of a run, on disk as it happens (SQLAlchemy Core).

The storage is SQLite in write-ahead mode in the run's folder. A call is committed before its reply
is used, so a killed process loses only what was in flight; resuming is replaying.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from harness.errors import StoreError
from harness.lm import RecordedCall
from harness.types import JSON, Candidate, Rollout, Spend, Usage, canonical

if TYPE_CHECKING:
    from collections.abc import Generator

    import sqlalchemy as sa

DATABASE = "run.sqlite"
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class CellKey:
    """What a cell is: task x program x optimizer x models x seed. `id` hashes all that it is."""

    id: str
    task: str
    program: str
    optimizer: str
    model: str
    optimizer_model: str
    seed: int


@dataclass(frozen=True, slots=True)
class CellRecord:
    """How a cell ended. `status` is `done`, `failed` (it began and cannot end) or `not run`.

    `val_score` is the mean on the validation split of the returned candidate, None if that split
    was not run whole. `failures` counts failed rollouts, of optimization and test, by reason.
    `counts` are the optimizer's own: proposals, accepted, refused.
    """

    key: CellKey
    status: str
    reason: str = ""
    initial: Candidate | None = None
    final: Candidate | None = None
    val_score: float | None = None
    failures: Mapping[str, int] = field(default_factory=dict[str, int])
    spend: Spend = field(default_factory=Spend)
    test_usage: Usage = field(default_factory=Usage)
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A rollout as the store holds it, without its trace."""

    example: str
    score: float | None
    metrics: Mapping[str, float]
    output: str | None
    error: str | None


class Store:
    """One run's database. Safe to use from several threads. Implements the call log of `lm`."""

    def __init__(self, folder: Path):
        """Open or create the database in `folder`. Raises StoreError if that cannot be."""
        self.path = folder / DATABASE
        self._lock = threading.Lock()  # guards _connection: one statement at a time
        with _errors(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._tables = _tables()
            self._connection = _connect(self.path)
            self._tables["runs"].metadata.create_all(self._connection)
            self._connection.commit()

    def close(self) -> None:
        """Close the database file."""
        with self._lock:
            self._connection.close()
            self._connection.engine.dispose()

    # ---- calls

    def get(self, key: str) -> RecordedCall | None:
        """Return the recorded call under a key, or None."""
        calls = self._tables["calls"]
        row = self._first(calls.select().where(calls.c.key == key))
        return None if row is None else RecordedCall.from_json(json.loads(row.call))

    def put(self, key: str, call: RecordedCall) -> None:
        """Record a call; it is on disk when this returns. A second one under a key is ignored."""
        row = {"key": key, "side": call.side, "call": canonical(call.to_json())}
        self._write("calls", [row], "IGNORE")

    # ---- rollouts and candidates

    def save_candidate(self, candidate: Candidate) -> None:
        """Record a candidate's values under its hash."""
        row = {"hash": candidate.hash, "values": canonical(dict(candidate.values))}
        self._write("candidates", [row], "IGNORE")

    def save_rollouts(self, cell: str, split: str, rollouts: Sequence[Rollout]) -> None:
        """Record rollouts of one cell; a replayed rollout overwrites itself."""
        self._write("rollouts", [_rollout_row(cell, split, r) for r in rollouts], "REPLACE")

    def test_rollouts(self, cell: str, candidate: str) -> list[StoredRollout]:
        """Return a cell's test rollouts under one candidate, in the order of their examples' ids.

        The order is that of the ids, not of the split, so that cells pair up by example.
        """
        t = self._tables["rollouts"]
        where = (t.c.cell == cell) & (t.c.split == "test") & (t.c.candidate == candidate)
        rows = self._all(t.select().where(where).order_by(t.c.example))
        return [
            StoredRollout(r.example, r.score, json.loads(r.metrics), r.output, r.error)
            for r in rows
        ]

    # ---- run and cells

    def write_run(self, facts: Mapping[str, JSON]) -> None:
        """Record the run's configuration, versions, sources and its list of cells."""
        self._write("runs", [{"id": SCHEMA, "facts": canonical(dict(facts))}], "REPLACE")

    def read_run(self) -> dict[str, JSON] | None:
        """Return what `write_run` recorded, or None in a new folder."""
        row = self._first(self._tables["runs"].select())
        if row is None:
            return None
        if row.id != SCHEMA:
            raise StoreError(
                f"{self.path} has the layout {row.id}, this version writes {SCHEMA}; "
                "use another --out, or the version that made it"
            )
        return cast("dict[str, JSON]", json.loads(row.facts))

    def save_cell(self, cell: CellRecord) -> None:
        """Record how a cell ended."""
        self._write("cells", [{"id": cell.key.id, "record": canonical(_plain(cell))}], "REPLACE")

    def cell(self, cell_id: str) -> CellRecord | None:
        """Return how a cell ended, or None if it has not."""
        cells = self._tables["cells"]
        row = self._first(cells.select().where(cells.c.id == cell_id))
        return None if row is None else _record(json.loads(row.record))

    # ---- statements

    def _write(self, table: str, rows: Sequence[Mapping[str, JSON]], on_conflict: str) -> None:
        if not rows:
            return
        statement = self._tables[table].insert().prefix_with(f"OR {on_conflict}")
        with self._lock, _errors(self.path):
            try:
                self._connection.execute(statement, list(rows))
                self._connection.commit()
            except Exception:
                self._connection.rollback()  # else the next error would hide this one
                raise

    def _first(self, statement: sa.Select[Any]) -> Any:
        with self._lock, _errors(self.path):
            row = self._connection.execute(statement).first()
            self._connection.rollback()
            return row

    def _all(self, statement: sa.Select[Any]) -> list[Any]:
        with self._lock, _errors(self.path):
            rows = list(self._connection.execute(statement))
            self._connection.rollback()
            return rows


@contextmanager
def _errors(path: Path) -> Generator[None]:
    """Turn what a file system or a database raises into one line."""
    import sqlalchemy.exc

    try:
        yield
    except sqlalchemy.exc.SQLAlchemyError as e:
        reason = str(getattr(e, "orig", None) or e).splitlines()[0]
        advice = "see whether the disk is full or the file damaged, or give another --out"
        raise StoreError(f"cannot use {path}: {reason}; {advice}") from e
    except OSError as e:
        raise StoreError(f"cannot use {path}: {e.strerror}; give another --out") from e


def _connect(path: Path) -> sa.Connection:
    import sqlalchemy as sa

    url = sa.URL.create("sqlite", database=str(path))  # a path is no URL: it may hold `?`
    engine = sa.create_engine(url, connect_args={"check_same_thread": False, "timeout": 30})
    connection = engine.connect()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
        connection.exec_driver_sql(f"PRAGMA {pragma}")
    connection.rollback()
    return connection


def _tables() -> dict[str, sa.Table]:
    import sqlalchemy as sa

    def key(name: str) -> sa.Column[str]:
        return sa.Column(name, sa.String, primary_key=True)

    def text(name: str) -> sa.Column[str]:
        return sa.Column(name, sa.Text)

    meta = sa.MetaData()
    tables = (
        sa.Table("runs", meta, sa.Column("id", sa.Integer, primary_key=True), text("facts")),
        sa.Table("calls", meta, key("key"), text("side"), text("call")),
        sa.Table("candidates", meta, key("hash"), text("values")),
        sa.Table(
            "rollouts",
            meta,
            *(key(name) for name in ("cell", "split", "candidate", "example")),
            sa.Column("sample", sa.Integer, primary_key=True),
            sa.Column("score", sa.Float),
            *(text(n) for n in ("feedback", "metrics", "output", "error", "usage", "trace")),
        ),
        sa.Table("cells", meta, key("id"), text("record")),
    )
    return {t.name: t for t in tables}


def _rollout_row(cell: str, split: str, r: Rollout) -> dict[str, JSON]:
    return {
        "cell": cell,
        "split": split,
        "candidate": r.candidate,
        "example": r.example.id,
        "sample": r.sample,
        "score": r.score,
        "feedback": r.feedback,
        "metrics": canonical(dict(r.metrics)),
        "output": r.output,
        "error": r.error,
        "usage": canonical(cast("JSON", asdict(r.usage))),
        "trace": None if r.trace is None else canonical(r.trace.to_json()),
    }


def _plain(cell: CellRecord) -> JSON:
    """`asdict`, with candidates as their values."""
    data = asdict(cell)
    for name in ("initial", "final"):
        candidate = cast("Candidate | None", getattr(cell, name))
        data[name] = None if candidate is None else dict(candidate.values)
    return cast("JSON", data)


def _record(data: Any) -> CellRecord:
    spend = data["spend"]
    rest = {n: data[n] for n in ("status", "reason", "val_score", "failures", "counts")}
    return CellRecord(
        key=CellKey(**data["key"]),
        initial=None if data["initial"] is None else Candidate(data["initial"]),
        final=None if data["final"] is None else Candidate(data["final"]),
        spend=Spend(spend["rollouts"], Usage(**spend["task"]), Usage(**spend["optimizer"])),
        test_usage=Usage(**data["test_usage"]),
        notes=tuple(data["notes"]),
        **rest,
    )
