"""Deadlines that end what a thread waits for: one watching thread, no thread per call."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable


class Deadlines:
    """Calls a function when its time has come, unless it was forgotten before.

    A socket's own timeout starts anew with every byte that arrives; a server that drips one byte a
    second would hold a thread for hours. The functions are called in the watching thread, one
    after the other, and must not block.
    """

    def __init__(self):
        # Guards _ends, _wakes_at and _closed; notified when the watching thread must look again.
        self._changed = threading.Condition()
        self._ends: dict[int, tuple[float, Callable[[], None]]] = {}
        self._tickets = itertools.count()
        self._wakes_at = math.inf
        self._closed = False
        self._thread: threading.Thread | None = None

    def watch(self, at: float, end: Callable[[], None]) -> int:
        """Call `end` at the time `at` of `time.monotonic`; return a ticket for `forget`."""
        with self._changed:
            ticket = next(self._tickets)
            self._ends[ticket] = (at, end)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            if at < self._wakes_at:
                self._changed.notify()
        return ticket

    def forget(self, ticket: int) -> bool:
        """Return whether the deadline had not come; afterwards it never will."""
        with self._changed:
            return self._ends.pop(ticket, None) is not None

    def close(self) -> None:
        """End the watching thread; deadlines still watched do not come."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        # Few deadlines are watched at once (one per call in flight), so a scan is cheap, and calls
        # that end in time leave nothing behind, as they would in a heap.
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                for ticket in [t for t, (at, _) in self._ends.items() if at <= now]:
                    self._ends.pop(ticket)[1]()
                self._wakes_at = min((at for at, _ in self._ends.values()), default=math.inf)
                idle = self._wakes_at == math.inf
                self._changed.wait(None if idle else max(0.0, self._wakes_at - now))
