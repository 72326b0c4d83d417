"""Measure peers side by side: rounds in turn, medians with their spread, a budget, a table.

Knows nothing of what is measured. A figure is the median of the rounds, with the least and the
largest. A peer that needs more CPU time than the budget is stopped; its figure is shown as `>`.

The clock is that of the thread: while a profiling timer runs, the process's goes in steps of 4 ms.
"""

from __future__ import annotations

import contextlib
import gc
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any, TypeAlias

Laps: TypeAlias = dict[str, float]  # CPU seconds by phase

_BLOCK_S, _BATCH = 0.02, 100


class OutOfTime(BaseException):
    """The budget is spent; no Exception, since what is measured may catch those."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What the rounds gave; without values, the note says why. stopped: it is more than that."""

    values: tuple[float, ...] = ()
    note: str = ""
    stopped: bool = False

    def __str__(self) -> str:
        if not self.values:
            return self.note
        text = ("> " if self.stopped else "") + short(self.median)
        if len(self.values) > 1:
            text += f" [{short(min(self.values))} {short(max(self.values))}]"
        return f"{text} {self.note}".rstrip()

    @property
    def median(self) -> float:
        """The median of the values."""
        return statistics.median(self.values)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: figures by peer; target: the most that the first peer may need."""

    what: str
    unit: str
    figures: dict[str, Figure]
    target: float | None = None

    def met(self, ours: str) -> bool | None:
        """Return whether this peer keeps the target; None without a target."""
        figure = self.figures[ours]
        if self.target is None:
            return None
        return bool(figure.values) and not figure.stopped and figure.median <= self.target

    def ratio(self, ours: str, theirs: str) -> str:
        """Return how many times as much the other peer needs; empty if that cannot be told."""
        a, b = self.figures[ours], self.figures.get(theirs, Figure())
        if not a.values or not b.values or a.stopped or a.median <= 0:
            return ""
        return ("> " if b.stopped else "") + short(b.median / a.median)

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        figures = {
            name: {
                "median": f.median if f.values else None,
                "values": f.values,
                "note": f.note,
                "stopped": f.stopped,
            }
            for name, f in self.figures.items()
        }
        return {"what": self.what, "unit": self.unit, "target": self.target, "figures": figures}


@dataclass(slots=True)
class Rounds:
    """The rounds of one measurement with one peer."""

    budget_s: float
    laps: list[Laps] = field(default_factory=list[Laps])
    spent_s: float = 0.0
    stopped: bool = False
    failure: str = ""

    def add(self, once: Callable[[Laps], None]) -> None:
        """Do one more round, which notes its phases, if the budget has room for it.

        An exception ends the rounds and is shown in place of the figure.
        """
        mean_s = self.spent_s / max(len(self.laps), 1)
        if self.stopped or self.failure or self.spent_s + mean_s > self.budget_s:
            return
        gc.collect()
        self.laps.append({})
        start = time.thread_time()
        try:
            with _deadline(self.budget_s):
                once(self.laps[-1])
        except OutOfTime:
            self.stopped = True
        except Exception as error:  # noqa: BLE001  the peer under test
            self.failure = type(error).__name__
        self.spent_s += time.thread_time() - start

    def figure(self, phase: str, per_s: float, after: str | None = None) -> Figure:
        """Return the figure of one phase; one that was stopped took more than was left for it.

        after: the phase before it, if there is one.
        """
        if self.failure:
            return Figure(note=self.failure)
        values = tuple(laps[phase] * per_s for laps in self.laps if phase in laps)
        if values:
            return Figure(values)
        if after is not None and after not in self.laps[-1]:
            return Figure(note="not reached")
        return Figure(((self.budget_s - sum(self.laps[-1].values())) * per_s,), stopped=True)


def seconds_per_call(call: Callable[[], object]) -> float:
    """Return the CPU time of one call, the mean over a block of 20 ms, after a warm-up."""
    for _ in range(_BATCH):
        call()
    n_calls, start = 0, time.thread_time()
    while True:
        for _ in range(_BATCH):
            call()
        n_calls += _BATCH
        spent_s = time.thread_time() - start
        if spent_s > _BLOCK_S:
            return spent_s / n_calls


def in_fresh_process(function: Callable[..., Any], *args: object) -> Any:
    """Return the result from a new interpreter; the function stands at the top level of a file."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def run_code(code: str) -> tuple[str, float]:
    """Run code in an interpreter without site and environment, only sys.path set as here.

    Returns what it printed and its CPU seconds from start to end.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}\n{code}"
    command = [sys.executable, "-I", "-S", "-W", "ignore", "-c", code]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def short(number: float) -> str:
    """Return three digits, or the whole part if that has more."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def machine() -> str:
    """Return the interpreter, the processor count and how busy the machine is right now."""
    load = ", ".join(f"{x:.2f}" for x in os.getloadavg())
    return (
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} CPUs; "
        f"load over 1, 5 and 15 minutes: {load}"
    )


def head(ours: str, theirs: str) -> str:
    """Return the table's head."""
    return _line("what", "unit", ours, theirs, "ratio", "target", "met")


def line(row: Row, ours: str, theirs: str) -> str:
    """Return a row of the table."""
    target = "" if row.target is None else short(row.target)
    met = {None: "", True: "yes", False: "NO"}[row.met(ours)]
    figures = [str(row.figures.get(name, Figure(note="-"))) for name in (ours, theirs)]
    return _line(row.what, row.unit, *figures, row.ratio(ours, theirs), target, met)


def _line(*cells: str) -> str:
    widths = (50, 5, 22, 26, 8, 7, 4)
    return "".join(f"{c:<{w}} " for c, w in zip(cells, widths, strict=True)).rstrip()


@contextlib.contextmanager
def _deadline(cpu_s: float) -> Generator[None]:
    """Raise OutOfTime in this block once it has used so much CPU time."""

    def stop(*_: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    # Again each second, should the first one be lost in a destructor.
    signal.setitimer(signal.ITIMER_PROF, cpu_s, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
