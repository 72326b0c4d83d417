"""What code in the jail may do, as plain data: the system calls, the files, the limits.

Built here, in the parent; `locks.py` puts it into force in each process that runs a call:

- seccomp: a list of allowed system calls. All others fail with PermissionError, so there are no
  sockets, processes, threads, programs, signals to others, new limits, links or folders.
- Landlock: files are read in the Python installation, site-packages and the system's libraries,
  and written in the scratch folder; nothing else can be opened.
- resource limits: memory, CPU time, file size, open files, no core dump.

The first two are required and need no root. Names and sizes of other files can be asked for
(`os.stat`): Landlock does not cover that.
"""

from __future__ import annotations

import platform
import struct
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

MEGABYTE = 1024 * 1024

# Name, number on x86_64, number on aarch64 (`-`: there is no such call), from the kernel's
# asm/unistd_64.h and asm-generic/unistd.h.
ALLOWED_CALLS = """
read 0 63, write 1 64, close 3 57, close_range 436 436, lseek 8 62, pread64 17 67, pwrite64 18 68,
readv 19 65, writev 20 66, fstat 5 80, stat 4 -, lstat 6 -, newfstatat 262 79, statx 332 291,
statfs 137 43, fstatfs 138 44, access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -,
readlinkat 267 78, getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50, umask 95 166,
unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38, ftruncate 77 46, fsync 74 82,
fdatasync 75 83, fadvise64 221 223, dup 32 23, dup2 33 -, dup3 292 24, pipe 22 -, pipe2 293 59,
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create1 291 20, epoll_ctl 233 21,
epoll_wait 232 -, epoll_pwait 281 22, eventfd2 290 19, mmap 9 222, mprotect 10 226, munmap 11 215,
brk 12 214, mremap 25 216, madvise 28 233, rt_sigaction 13 134, rt_sigprocmask 14 135,
rt_sigreturn 15 139, sigaltstack 131 132, getitimer 36 102, setitimer 38 103, alarm 37 -,
pause 34 -, getpid 39 172, getppid 110 173, gettid 186 178, getuid 102 174, geteuid 107 175,
getgid 104 176, getegid 108 177, getgroups 115 158, uname 63 160, sysinfo 99 179,
getrlimit 97 163, getrusage 98 165, times 100 153, getcpu 309 168, sched_yield 24 124,
sched_getaffinity 204 123, clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115,
nanosleep 35 101, gettimeofday 96 169, time 201 -, getrandom 318 278, futex 202 98,
set_robust_list 273 99, rseq 334 293, membarrier 324 283, restart_syscall 219 128, exit 60 93,
exit_group 231 94
"""


@dataclass(frozen=True, slots=True)
class Guard:
    """A call that is allowed for some values of one argument only: `argument & mask`."""

    call: str
    argument: int
    mask: int
    values: tuple[int, ...]
    allowed: bool  # whether these values are the allowed or the refused ones


_ALL_BITS, _ACCESS_MODE, _TRUNCATE = 0xFFFFFFFF, 0o3, 0o1000
GUARDS = (
    # TCGETS, FIONBIO, FIOCLEX, FIONREAD: not TIOCSTI, which types into a terminal.
    Guard("ioctl 16 29", 1, _ALL_BITS, (0x5401, 0x5421, 0x5451, 0x541B), True),
    # Copies and flags: not F_SETOWN, which lets the kernel send signals to any process.
    Guard("fcntl 72 25", 1, _ALL_BITS, (0, 1, 2, 3, 4, 1030), True),
    # O_RDONLY | O_TRUNC empties a file that Landlock before version 3 takes as only read.
    Guard("open 2 -", 1, _ACCESS_MODE | _TRUNCATE, (_TRUNCATE,), False),
    Guard("openat 257 56", 2, _ACCESS_MODE | _TRUNCATE, (_TRUNCATE,), False),
)

_ARCHITECTURES = {"x86_64": (1, 0xC000003E), "aarch64": (2, 0xC00000B7)}  # column, AUDIT_ARCH
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_KILL_PROCESS, _NOT_PERMITTED, _ALLOW = 0x80000000, 0x00050001, 0x7FFF0000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16

_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/usr/share/zoneinfo")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use. `scratch_bytes` is looked at every tenth of a second."""

    time_s: float = 2.0
    memory_bytes: int = 256 * MEGABYTE
    reply_bytes: int = 4 * MEGABYTE
    file_bytes: int = 16 * MEGABYTE
    scratch_bytes: int = 64 * MEGABYTE


@dataclass(frozen=True, slots=True)
class Policy:
    """All that a worker needs to lock a process. `system_calls` is a BPF program."""

    system_calls: bytes
    readable: tuple[str, ...]
    module_folders: tuple[str, ...]
    limits: Limits


def policy_of_this_machine(limits: Limits) -> Policy:
    """Return the policy. Raises NotImplementedError where the jail has no means."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _ARCHITECTURES:
        raise NotImplementedError(
            f"it needs Linux on {' or '.join(_ARCHITECTURES)}; this is {sys.platform} on {machine}"
        )
    modules = tuple(p for p in sys.path if Path(p).name in ("site-packages", "dist-packages"))
    python = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")]
    python += [str(Path(sys.base_prefix) / "lib"), str(Path(sys.base_exec_prefix) / "lib")]
    readable = dict.fromkeys([*python, *modules, *_SYSTEM_LIBRARIES, *_SYSTEM_FILES])
    present = tuple(p for p in readable if Path(p).exists())
    return Policy(seccomp_program(machine), present, modules, limits)


def seccomp_program(machine: str) -> bytes:
    """Return the filter: calls of another architecture kill, unlisted ones are not permitted."""
    column, architecture = _ARCHITECTURES[machine]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    for entry in ALLOWED_CALLS.split(","):
        number = entry.split()[column]
        if number != "-":
            steps += [(_EQUAL, 0, 1, int(number)), (_RETURN, 0, 0, _ALLOW)]
    for guard in GUARDS:
        number = guard.call.split()[column]
        if number != "-":
            body = list(_guard_steps(guard))
            steps += [(_EQUAL, 0, len(body), int(number)), *body]
    steps.append((_RETURN, 0, 0, _NOT_PERMITTED))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _guard_steps(guard: Guard) -> Iterable[tuple[int, int, int, int]]:
    """Yield the steps for one call; each way through them ends in a return."""
    found, other = (_ALLOW, _NOT_PERMITTED) if guard.allowed else (_NOT_PERMITTED, _ALLOW)
    yield (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * guard.argument)
    yield (_AND, 0, 0, guard.mask)
    for value in guard.values:
        yield (_EQUAL, 0, 1, value)
        yield (_RETURN, 0, 0, found)
    yield (_RETURN, 0, 0, other)
