"""The embedded model: llama.cpp's server in a child process, and the transport to it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO

from harness.config import LocalSettings
from harness.errors import LMRefused, LMUnavailable
from harness.lm.calls import RawReply, Request, Transient
from harness.lm.deadlines import Deadlines
from harness.lm.openai_http import OpenAICompatible, parse_reference

START_S = 120.0
STOP_S = 5.0
DYING_S = 1.0
PROMPT_CACHE_MIB = 512  # of each server: prompts that share a beginning are read once
SERVER = Path(__file__).with_name("server.py")


class LocalModel:
    """A transport to one child process, which may hold several servers; thread-safe.

    `exact`: a server has one slot, one thread and no flash attention, so that a reply depends on
    its request alone. With several slots 46 of 64 replies at temperature 0 stayed the same, with
    flash attention and the prompt cache 18 of 64; without it the cache changed 0 of 192 and made
    interleaved few-shot prompts 3.7 times as fast. One thread, because llama.cpp's threads wait for
    each other: on a busy machine two of them fell to 5 tokens/s.
    Waiting for a free server is not part of a call's deadline.
    """

    def __init__(self, path: Path, jobs: int, settings: LocalSettings):
        n_cores = _n_cores()
        exact = settings.serving == "exact"
        n_servers = min(jobs, n_cores) if exact else 1
        self.n_parallel = n_servers if exact else jobs
        self._context_tokens = settings.context_tokens
        self._child = _Child(
            {
                "model": str(path),
                "servers": n_servers,
                "slots": self.n_parallel // n_servers,
                "context": settings.context_tokens,
                "threads": 1 if exact else n_cores,
                "flash_attention": not exact,
                "cache_mib": PROMPT_CACHE_MIB,
            }
        )
        deadlines = Deadlines()
        self._lanes: list[OpenAICompatible] = []
        for address in self._child.addresses:
            endpoint, model = parse_reference(f"{address}/v1#local")
            self._lanes.append(OpenAICompatible(endpoint, model, cost_usd=0.0, deadlines=deadlines))
        self._free: queue.SimpleQueue[OpenAICompatible] = queue.SimpleQueue()
        for lane in self._lanes * (self.n_parallel // n_servers):
            self._free.put(lane)

    def __call__(self, request: Request, timeout_s: float) -> RawReply:
        """Make one attempt on the server that has been free for longest."""
        lane = self._free.get()
        try:
            return lane(request, timeout_s)
        except LMRefused as e:
            if "context size" in str(e):
                limit = f"local.context_tokens={self._context_tokens}"
                raise LMRefused(f"the prompt is too long for {limit}; raise it ({e})") from e
            raise
        except Transient as e:
            # A process that is being killed drops its connections before it can be waited for.
            if (ended := self._child.ended(DYING_S)) is not None:
                raise LMUnavailable(f"the embedded model's process ended: {ended}") from e
            raise
        finally:
            self._free.put(lane)

    @property
    def pid(self) -> int:
        """The child process."""
        return self._child.pid

    def close(self) -> None:
        """End the child process."""
        for lane in self._lanes:
            lane.close()
        self._child.close()


class _Child:
    """The process of `server.py`: its addresses, whether it lives, its last words."""

    def __init__(self, settings: dict[str, str | int]):
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        # A session of its own: Ctrl-C is for us, who may still want to finish the calls in flight.
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(SERVER), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        late = threading.Timer(START_S, self._process.kill)
        late.daemon = True
        late.start()
        try:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
        finally:
            late.cancel()
        if not line:
            self._process.wait(STOP_S)
            ended = self.ended()
            self.close()
            raise LMUnavailable(f"the embedded model does not start: {ended}; see the model's file")
        self.addresses: list[str] = json.loads(line)
        self.pid = self._process.pid

    def ended(self, patience_s: float = 0.0) -> str | None:
        """Return how the process ended with the last line of its log, None if it still runs."""
        try:
            code = self._process.wait(patience_s)
        except subprocess.TimeoutExpired:
            return None
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 4096))
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no message")
        return f"exit code {code}, {last}"

    def close(self) -> None:
        """End the process by closing its stdin, or by force."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        with contextlib.suppress(OSError):
            self._log.close()


def _n_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
