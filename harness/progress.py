"""What a user sees while a run goes on: a live panel on a terminal, plain lines in a pipe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TextIO

from harness.formatting import cost, count, percent, printable
from harness.problem import Progress
from harness.runner import Event
from harness.store import CellKey
from harness.types import Spend

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

LINE_EVERY_S = 15.0  # between two progress lines of one cell in a pipe
RECENT = 6  # ended cells that stay on the panel


@dataclass(frozen=True, slots=True)
class CellState:
    """A cell as the panel shows it. `since` is None until it starts."""

    key: CellKey
    state: str
    progress: Progress
    since: float


class Watcher:
    """Folds events into a picture of the run. Safe to call from the threads of all cells."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self._stream, self._clock = stream, clock
        self._begin = clock()
        self._cells: dict[str, CellState] = {}
        self._total = 0
        self._spoke: dict[str, float] = {}
        self._lock = threading.Lock()  # guards _cells, _spoke and the stream
        self._live: Live | None = None

    def __enter__(self) -> Watcher:
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                get_renderable=self._panel,
                console=Console(file=self._stream),
                refresh_per_second=4,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.__exit__(None, None, None)

    def __call__(self, event: Event) -> None:
        """Take in one event; in a pipe, say it if it is news."""
        with self._lock:
            self._total = max(self._total, event.total)
            now = self._clock()
            if event.key is not None:
                self._take(event, event.key, now)
            if self._live is None:
                self._say(event, now)
            elif event.kind == "note":
                self._live.console.print(printable(event.text), markup=False, highlight=False)

    def _take(self, event: Event, key: CellKey, now: float) -> None:
        old = self._cells.get(key.id) or CellState(key, "runs", Progress(Spend(), None), now)
        state = "ended" if event.kind == "ended" else "runs"
        self._cells[key.id] = replace(old, state=state, progress=event.progress or old.progress)

    def _say(self, event: Event, now: float) -> None:
        if event.key is None:
            self._stream.write(f"{printable(event.text)}\n")
        elif event.kind != "progress" or now - self._spoke[event.key.id] >= LINE_EVERY_S:
            self._spoke[event.key.id] = now
            cell = self._cells[event.key.id]
            words = f"{event.kind}: {label(cell.key)}"
            if event.progress is not None:
                words += f", {_spent(cell.progress)}"
            note = f" ({printable(event.text)})" if event.text else ""
            self._stream.write(f"[{self._summary(now)}] {words}{note}\n")
        self._stream.flush()

    def _ended(self) -> int:
        return sum(c.state == "ended" for c in self._cells.values())

    def _summary(self, now: float) -> str:
        done, elapsed = self._ended(), now - self._begin
        text = f"{done}/{self._total} cells, {_clock(elapsed)}"
        if 0 < done < self._total:
            text += f", about {_clock(elapsed / done * (self._total - done))} left"
        return text

    def _panel(self) -> RenderableType:
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            now = self._clock()
            cells = list(self._cells.values())
            table = Table(title=self._summary(now), box=None, pad_edge=False, title_justify="left")
            for name in ("task", "optimizer", "seed", "state", "rollouts", "best", "spend"):
                table.add_column(name)
            ended = [c for c in cells if c.state == "ended"][-RECENT:]
            for c in [*ended, *(c for c in cells if c.state == "runs")]:
                best = "-" if c.progress.best is None else percent(c.progress.best)
                row = (c.key.task, c.key.optimizer, str(c.key.seed), c.state)
                spend = (count(c.progress.spend.rollouts), best, _bill(c.progress.spend))
                table.add_row(*(Text(printable(v)) for v in (*row, *spend)))
            return table


def label(key: CellKey) -> str:
    """Return `task / optimizer / seed 0`."""
    return f"{printable(key.task)} / {printable(key.optimizer)} / seed {key.seed}"


def _spent(progress: Progress) -> str:
    best = "none yet" if progress.best is None else percent(progress.best)
    rollouts = count(progress.spend.rollouts)
    return f"{rollouts} rollouts, best on validation {best}, {_bill(progress.spend)}"


def _bill(spend: Spend) -> str:
    both = spend.task + spend.optimizer
    return f"{count(both.tokens)} tokens, {cost(both.cost_usd)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
