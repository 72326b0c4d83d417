"""The worker of the jail: a script that runs each call in a locked process of its own.

`pool.py` starts it, with the standard library only. It keeps one locked child ready. A call goes to
that child, the child ends with it, and the next is made: no call sees anything of another, and the
buffers that calls pass through are wiped. The worker itself is not locked and trusts nothing from a
child: it only counts and forwards bytes.
"""

from __future__ import annotations

import gc
import importlib
import os
import random
import select
import shutil
import signal
import sys
import time
from contextlib import suppress
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from types import FrameType, ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

if TYPE_CHECKING:
    from harness.jail.codec import (
        ANSWER_HEAD,
        COMPLETE,
        REQUEST_HEAD,
        Answer,
        NotPlain,
        decode,
        encode,
    )
    from harness.jail.locks import GRACE_S, SPARE_BYTES, Locks
else:  # as a script, whose folder is the first on the path
    from codec import ANSWER_HEAD, COMPLETE, REQUEST_HEAD, Answer, NotPlain, decode, encode
    from locks import GRACE_S, SPARE_BYTES, Locks

_CODE = "<code>"  # the file name of a call's code
_LOOK_EVERY_S = 0.1
_MAX_SCRATCH_FILES = 1_000
_MAX_REASON_CHARS, _MAX_STACK = 2_000, 6
_ALWAYS_LOADED = (
    "abc bisect collections copy dataclasses datetime decimal enum fractions functools heapq "
    "itertools json math operator random re statistics string textwrap typing"
)
_NEED = b"numpy"
_LOADED_ON_NEED = "numpy.random"  # numpy itself loads this part at its first use: in every call
# Each child runs this before its call comes: the memory that calls use is then its own already.
_REHEARSAL = ("def f(x):\n    return {'x': [x, 0.5, str(x)]}\n", "f", [1], dict[str, Any]())


class _Child(NamedTuple):
    """A locked process that waits for its one call."""

    pid: int
    requests: int
    replies: int


class _Worker:
    """Keeps one child ready, hands it the next call, and ends it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.scratch: str = settings["scratch"]
        # Private: by default a map is shared, and then a child could leave a note for the next.
        self.reply = mmap(-1, settings["reply_bytes"] + 1, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        self.locks = Locks(settings)

    def serve(self) -> None:
        """Run calls until the harness goes away."""
        may_load = True
        child = self._new_child()
        _send(Answer.READY)
        while (request := _receive()) is not None:
            if may_load and _NEED in request:
                may_load = False
                _end(child)
                with suppress(ImportError):
                    importlib.import_module(_LOADED_ON_NEED)
                child = self._new_child()
            n_bytes = self._run(child, request)
            request[:] = bytes(len(request))
            self.reply[:n_bytes] = bytes(n_bytes)
            for entry in os.scandir(self.scratch):
                os.unlink(entry.path)
            child = self._new_child()
        _end(child)

    def _new_child(self) -> _Child:
        gc.freeze()
        self.locks.measure()
        request_out, request_in = os.pipe()
        reply_out, reply_in = os.pipe()
        pid = os.fork()
        if pid == 0:
            _be_child(self.locks, self.settings, request_out, reply_in)
        os.close(request_out)
        os.close(reply_in)
        return _Child(pid, request_in, reply_out)

    def _run(self, child: _Child, request: bytearray) -> int:
        """Let the child run the call and send the answer; return the length of its reply."""
        with suppress(BrokenPipeError):
            _write(child.requests, REQUEST_HEAD.pack(len(request)))
            _write(child.requests, request)
        n_bytes, broken = self._await_reply(child)
        if broken is None and n_bytes:
            _send(Answer.REPLY, memoryview(self.reply)[:n_bytes])
        status = _end(child)
        if broken is not None:
            _send(broken)
        elif not n_bytes:
            _send(Answer.DEAD, str(os.waitstatus_to_exitcode(status)).encode())
        return n_bytes

    def _await_reply(self, child: _Child) -> tuple[int, Answer | None]:
        """Return the length of the reply once it is whole, and the limit that the child broke."""
        end = time.monotonic() + self.settings["time_s"] + GRACE_S
        n_bytes, room = 0, memoryview(self.reply)
        while (left := end - time.monotonic()) > 0:
            if not select.select([child.replies], [], [], min(left, _LOOK_EVERY_S))[0]:
                if self._scratch_is_full():
                    return n_bytes, Answer.SCRATCH_FULL
                continue
            got = os.readv(child.replies, [room[n_bytes:]])
            n_bytes += got
            if n_bytes == len(room):
                return n_bytes, Answer.REPLY_TOO_LARGE
            if got == 0:
                return n_bytes, None if n_bytes or _ends(child, left) else Answer.OUT_OF_TIME
        return n_bytes, Answer.OUT_OF_TIME

    def _scratch_is_full(self) -> bool:
        used = 0
        for n, entry in enumerate(os.scandir(self.scratch)):
            with suppress(FileNotFoundError):  # the code may delete it meanwhile
                used += entry.stat(follow_symlinks=False).st_blocks * 512
            if n >= _MAX_SCRATCH_FILES or used > self.settings["scratch_bytes"]:
                return True
        return False


def _ends(child: _Child, timeout_s: float) -> bool:
    """Wait for the child's own end, so that its exit status is not that of being killed."""
    process = os.pidfd_open(child.pid)
    ended = select.select([process], [], [], timeout_s)[0]
    os.close(process)
    return bool(ended)


def _end(child: _Child) -> int:
    """Kill the child, if it still runs, and return its exit status."""
    os.kill(child.pid, signal.SIGKILL)
    _, status = os.waitpid(child.pid, 0)
    os.close(child.requests)
    os.close(child.replies)
    return status


class _OutOfTime(BaseException):
    """The time of the call is over; raised within the code, so that its line is known."""


def _be_child(locks: Locks, settings: dict[str, Any], requests: int, replies: int) -> NoReturn:
    """Lock this process, run the one call that comes, answer it, and end."""
    status = 1
    try:
        _keep_open(requests, replies, locks.rules)
        os.chdir(settings["scratch"])
        locks.close()
        _answer(encode(_REHEARSAL, "a call"), settings["time_s"])
        (size,) = REQUEST_HEAD.unpack(_read(requests, REQUEST_HEAD.size) or b"")
        request = _read(requests, size) or b""
        os.close(requests)
        _write(replies, _answer(request.decode("ascii"), settings["time_s"]).encode() + COMPLETE)
        os.close(replies)  # ends the reply before the memory is given back, which takes longer
        status = 0
    except OSError as e:
        reply = encode(("refused", f"the jail does not close: {e}"), "a reply")
        _write(replies, reply.encode() + COMPLETE)
    finally:
        os._exit(status)


def _keep_open(*files: int) -> None:
    """Close all files but these; the standard ones lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    first = 3
    for kept in sorted(files):
        os.closerange(first, kept)
        first = kept + 1
    os.closerange(first, first + 64)


def _answer(request: str, time_s: float) -> str:
    """Run the call and return ("value", it), ("refused", why) or ("error", what, where) as text."""
    source, name, args, kwargs = decode(request)
    what = f"the result of {name}"
    spare = [bytes(SPARE_BYTES)]  # untouched memory, which costs nothing, unlike a bytearray's
    try:
        signal.signal(signal.SIGALRM, _out_of_time)
        signal.setitimer(signal.ITIMER_REAL, time_s)
        try:
            return encode(("value", _called(source, name, args, kwargs)), what)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a late alarm is raised here, not below
    except NotPlain as e:
        return encode(("refused", str(e)), what)
    except BaseException as e:  # noqa: BLE001 - whatever the code raises is its result
        spare.clear()
        return encode(("error", _reason(e, time_s), _stack(e)), what)


def _called(source: str, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    random.seed(0)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(0)
    gc.enable()
    module = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(source, _CODE, "exec", dont_inherit=True), module.__dict__)
    if name not in module.__dict__:
        raise NameError(f"the code does not define {name}")
    return module.__dict__[name](*args, **kwargs)


def _out_of_time(number: int, frame: FrameType | None) -> NoReturn:
    raise _OutOfTime


def _reason(error: BaseException, time_s: float) -> str:
    if isinstance(error, _OutOfTime):
        return f"TimeoutError: the code ran longer than {time_s:g} s"
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except BaseException as e:  # noqa: BLE001 - the code wrote this method
        message = f"(its message cannot be read: {type(e).__name__})"
    return f"{type(error).__name__}: {message}"[:_MAX_REASON_CHARS].removesuffix(": ")


def _stack(error: BaseException) -> list[tuple[int, str]]:
    """Return line and function of the innermost calls in the code, the failing one last."""
    if isinstance(error, SyntaxError) and error.filename == _CODE:
        return [(error.lineno or 1, "<module>")]
    found: list[tuple[int, str]] = []
    at: TracebackType | None = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if code.co_filename == _CODE:
            found.append((at.tb_lineno, code.co_name))
        at = at.tb_next
    return found[-_MAX_STACK:]


def _read(file: int, n_bytes: int) -> bytearray | None:
    """Return exactly so many bytes, in memory that can be wiped; None at the end of the file."""
    data = bytearray(n_bytes)
    done = 0
    while done < n_bytes:
        got = os.readv(file, [memoryview(data)[done:]])
        if got == 0:
            return None
        done += got
    return data


def _write(file: int, data: bytes | bytearray | memoryview) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _receive() -> bytearray | None:
    head = _read(0, REQUEST_HEAD.size)
    return None if head is None else _read(0, REQUEST_HEAD.unpack(head)[0])


def _send(answer: Answer, data: bytes | memoryview = b"") -> None:
    _write(1, ANSWER_HEAD.pack(answer, len(data)))
    _write(1, data)


def main() -> None:
    """Take the settings, then calls, from standard input, until it ends."""
    settings: dict[str, Any] = decode((_receive() or b"").decode("ascii"))
    sys.path[:] = [*sys.path[1:], *settings["module_folders"]]
    gc.disable()
    try:
        for name in _ALWAYS_LOADED.split():
            importlib.import_module(name)
        _Worker(settings).serve()
    except BrokenPipeError:  # the harness ended
        return
    except OSError as e:
        with suppress(BrokenPipeError):
            _send(Answer.UNAVAILABLE, str(e).encode())
    finally:
        shutil.rmtree(settings["scratch"], ignore_errors=True)


if __name__ == "__main__":
    main()
