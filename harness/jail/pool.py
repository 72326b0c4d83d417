"""The pool of workers: each is proven to be locked before its first call."""

from __future__ import annotations

import os
import queue
import select
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from harness.errors import SandboxError
from harness.jail.answers import JailUnavailable, result_of
from harness.jail.codec import ANSWER_HEAD, REQUEST_HEAD, Answer, NotPlain, encode
from harness.jail.policy import Limits, Policy, policy_of_this_machine
from harness.jail.probe import PROBE, PROBED_FILES

_WORKER = Path(__file__).with_name("worker.py")
_OPTIONS = ("-s", "-S", "-B", "-X", "utf8")  # no start-up code of user or site, no .pyc files
_ENVIRONMENT = {
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
_PATIENCE_S = 30.0  # beyond a call's own time: for a start, or for the first import of numpy
_END_S = 1.0


class Jail:
    """Runs code that a model wrote with CPython, in processes that can reach nothing.

    Calls may come from many threads; as many run at once as there are workers. A worker is
    started by the first call that needs it. Chance from `random` and `numpy.random` has one seed
    in every call, and sets have one order; the clock and `os.urandom` are real.
    """

    def __init__(self, workers: int = 2, policy: Policy | None = None) -> None:
        self._policy = policy
        self._refusal: str | None = None
        self._n_slots = workers
        # First in, first out: while one worker makes its next child, another takes the call.
        self._slots: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._closing = threading.Lock()  # guards the slots against two closes, which block
        for _ in range(workers):
            self._slots.put(None)

    def run(
        self, source: str, name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> object:
        """Define `source` and call `name(*args, **kwargs)`; return the plain result.

        Raises CodeError if the code fails or breaks a limit, SandboxError for values that are not
        plain data, JailUnavailable if this machine has not the means to lock a process.
        """
        try:
            request = encode((source, name, list(args), dict(kwargs)), f"an argument of {name}")
        except NotPlain as e:
            raise SandboxError(str(e)) from e
        worker = self._slots.get()
        try:
            if worker is None or not worker.is_usable():
                worker = self._started(worker)
            answer, data = worker.ask(request)
            limits = worker.policy.limits
        except BaseException:
            if worker is not None:
                worker.close()
            worker = None
            raise
        finally:
            self._slots.put(worker)
        return result_of(answer, data, (source, name), limits)

    def close(self) -> None:
        """End the workers, once their calls are done. The next call starts them again."""
        with self._closing:
            for worker in [self._slots.get() for _ in range(self._n_slots)]:
                if worker is not None:
                    worker.close()
                self._slots.put(None)

    def _started(self, old: _Worker | None) -> _Worker:
        """Return a new worker. A refusal is kept: this machine will not change."""
        if old is not None:
            old.close()
        if self._refusal is not None:
            raise JailUnavailable(self._refusal)
        try:
            return _locked_worker(self._policy)
        except JailUnavailable as e:
            self._refusal = str(e)
            raise


class _Worker:
    """One worker process and the pipes to it."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._owner = os.getpid()
        self._scratch = tempfile.mkdtemp(prefix="optorace-jail-")
        places = {"HOME": self._scratch, "TMPDIR": self._scratch}
        if "LD_LIBRARY_PATH" in os.environ:  # some Python needs it to start at all
            places["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        try:
            self._process = subprocess.Popen(
                [sys.executable, *_OPTIONS, str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=_ENVIRONMENT | places,
                start_new_session=True,  # Ctrl-C is for the harness only
            )
        except OSError as e:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise SandboxError(f"the jail's worker does not start: {e}") from e

    def is_usable(self) -> bool:
        """Tell whether the process runs and belongs to this one, not to one that forked it."""
        return self._owner == os.getpid() and self._process.poll() is None

    def greet(self) -> tuple[Answer, bytes]:
        """Send the settings and return the first answer."""
        policy = self.policy
        settings = {
            **asdict(policy.limits),
            "system_calls": policy.system_calls.hex(),
            "readable": policy.readable,
            "module_folders": policy.module_folders,
            "scratch": self._scratch,
        }
        return self.ask(encode(settings, "a setting"))

    def ask(self, request: str) -> tuple[Answer, bytes]:
        """Send one request and return the answer. Raises SandboxError if none comes."""
        data = request.encode("ascii")
        until = time.monotonic() + self.policy.limits.time_s + _PATIENCE_S
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # then there is an answer that says why, or an end
            left = memoryview(REQUEST_HEAD.pack(len(data)) + data)
            while left:
                left = left[self._process.stdin.write(left) :]
        kind, n_bytes = ANSWER_HEAD.unpack(self._read(ANSWER_HEAD.size, until))
        return Answer(kind), self._read(n_bytes, until)

    def close(self) -> None:
        """End the process and remove its scratch folder; at most _END_S is spent on waiting."""
        if self._owner != os.getpid():
            return
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _read(self, n_bytes: int, until: float) -> bytes:
        assert self._process.stdout is not None
        out = self._process.stdout.fileno()
        parts = bytearray()
        poll = select.poll()
        poll.register(out, select.POLLIN)
        while len(parts) < n_bytes:
            left_ms = max(0, int((until - time.monotonic()) * 1000))
            if not poll.poll(left_ms):
                raise SandboxError("the jail's worker does not answer; it was ended")
            got = os.read(out, n_bytes - len(parts))
            if not got:
                raise SandboxError(f"the jail's worker ended{self._last_words()}")
            parts += got
        return bytes(parts)

    def _last_words(self) -> str:
        assert self._process.stderr is not None
        self._process.kill()  # its standard error may still be open
        lines = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""


def _locked_worker(policy: Policy | None) -> _Worker:
    """Start a worker and let it try what must fail. Raises JailUnavailable if anything works."""
    try:
        policy = policy or policy_of_this_machine(Limits())
    except NotImplementedError as e:
        raise JailUnavailable(f"the jail is not available: {e}") from e
    worker = _Worker(policy)
    try:
        answer, data = worker.greet()
        if answer is not Answer.READY:
            raise JailUnavailable(f"the jail is not available: {data.decode('utf-8', 'replace')}")
        _probe(worker)
    except BaseException as e:
        worker.close()
        if isinstance(e, SandboxError) and not isinstance(e, JailUnavailable):
            raise JailUnavailable(f"the jail is not available: {e}") from e
        raise
    return worker


def _probe(worker: _Worker) -> None:
    outside = Path(tempfile.gettempdir()) / f"optorace-jail-probe-{os.getpid()}"
    args: list[object] = [os.path.expanduser("~"), str(outside), list(PROBED_FILES)]
    request = (PROBE, "probe", args, dict[str, object]())
    answer, data = worker.ask(encode(request, "an argument of probe"))
    reached = result_of(answer, data, (PROBE, "probe"), worker.policy.limits)
    if reached:
        outside.unlink(missing_ok=True)
        raise JailUnavailable(f"the jail is not available: its code could {reached}")
