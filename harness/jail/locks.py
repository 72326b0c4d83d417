"""Puts a policy into force in a process, for good: Landlock, seccomp and resource limits.

`worker.py` runs this file, too: it imports the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from typing import Any

if sys.platform == "linux":
    import resource

GRACE_S = 0.5  # from the end of a call's time, when the code is told, to its process's end
SPARE_BYTES = 4 * 1024 * 1024  # of memory, to tell what went wrong when all other is used
_MAX_OPEN_FILES = 64

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2

# Landlock: its system calls, its rights on files, and what it can refuse beside files.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITE, _READ, _LIST, _UNLINK, _MAKE, _TRUNCATE = 2, 4, 8, 32, 256, 1 << 14
_N_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # by version; 16 from version 5 on
_BIND_AND_CONNECT_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 3, 3


class Locks:
    """Prepared once in the worker, closed in each child.

    settings: `system_calls` (BPF program in hexadecimal), `readable`, `scratch` (paths),
    `memory_bytes`, `file_bytes`, `time_s`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._worker = os.getpid()
        libc = ctypes.CDLL(None, use_errno=True)
        self._functions = {"prctl": libc.prctl, "syscall": libc.syscall}
        code = bytes.fromhex(settings["system_calls"])
        self._code = ctypes.create_string_buffer(code, len(code))
        self._program = struct.pack("HP", len(code) // 8, ctypes.addressof(self._code))
        self.rules = self._file_rules()
        self._base_bytes = 0

    def measure(self) -> None:
        """Take the memory that the worker uses as what a child starts with."""
        with open("/proc/self/statm", encoding="ascii") as f:
            self._base_bytes = int(f.read().split()[0]) * resource.getpagesize()

    def close(self) -> None:
        """Lock this process. Raises OSError if a lock does not close."""
        self._call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._worker:
            raise OSError("the worker ended")
        self._limit()
        self._call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        self._call("syscall", _RESTRICT, self.rules, 0)
        os.close(self.rules)
        self._call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, self._program, 0, 0)

    def _limit(self) -> None:
        memory = self._base_bytes + self._settings["memory_bytes"] + SPARE_BYTES
        for what, limit in (
            (resource.RLIMIT_AS, memory),
            (resource.RLIMIT_CPU, int(self._settings["time_s"] + GRACE_S) + 1),
            (resource.RLIMIT_FSIZE, self._settings["file_bytes"]),
            (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
            (resource.RLIMIT_NPROC, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            _, most = resource.getrlimit(what)
            least = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(what, (least, least))

    def _file_rules(self) -> int:
        """Return Landlock's rules as a file descriptor. Raises OSError if the kernel has none."""
        version = self._call("syscall", _CREATE, None, 0, 1)
        handled = (1 << _N_RIGHTS.get(version, 16)) - 1
        form = struct.pack("QQQ", handled, _BIND_AND_CONNECT_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS)
        form = form[: 8 if version < 4 else 16 if version < 6 else 24]
        rules = self._call("syscall", _CREATE, form, len(form), 0)
        for path in self._settings["readable"]:
            self._allow(rules, path, _READ | _LIST if os.path.isdir(path) else _READ)
        change = (_READ | _WRITE | _TRUNCATE) & handled
        self._allow(rules, os.devnull, change)
        self._allow(rules, self._settings["scratch"], change | _LIST | _MAKE | _UNLINK)
        return rules

    def _allow(self, rules: int, path: str, rights: int) -> None:
        at = os.open(path, os.O_PATH | os.O_CLOEXEC)
        self._call("syscall", _ADD, rules, 1, struct.pack("=Qi", rights, at), 0)
        os.close(at)

    def _call(self, function: str, *args: int | bytes | None) -> int:
        """Call a function of the C library; whole numbers go as long, as it takes them."""
        given = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
        result: int = self._functions[function](*given)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{function} {args[0]}: {os.strerror(number)}")
        return result
