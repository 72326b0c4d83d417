"""jail.policy: the filter lets through what is listed, by the kernel's own numbers, and no more."""

from __future__ import annotations

import os
import re
import struct
import sys
from pathlib import Path

import pytest

from harness.jail import Limits, policy_of_this_machine
from harness.jail.policy import ALLOWED_CALLS, GUARDS, seccomp_program

ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMNS = {"x86_64": 1, "aarch64": 2}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
# socket, connect, clone, execve, kill, ptrace, setrlimit, mkdirat, prctl, io_uring_setup
REFUSED = {
    "x86_64": (41, 42, 56, 57, 58, 59, 62, 101, 160, 83, 258, 157, 302, 425, 435),
    "aarch64": (198, 203, 220, 221, 129, 117, 164, 34, 167, 261, 425, 435),
}
FCNTL = {"x86_64": 72, "aarch64": 25}
IOCTL = {"x86_64": 16, "aarch64": 29}
OPENAT = {"x86_64": 257, "aarch64": 56}


def verdict(machine: str, number: int, *args: int, architecture: int | None = None) -> int:
    """Run the filter as the kernel does: an independent reading of the BPF manual."""
    called_on = ARCHITECTURES[machine] if architecture is None else architecture
    data = struct.pack("=IIQ6Q", number, called_on, 0, *args, *([0] * (6 - len(args))))
    steps = list(struct.iter_unpack("=HBBI", seccomp_program(machine)))
    at = register = 0
    while True:
        code, if_true, if_false, k = steps[at]
        at += 1
        if code == 0x20:
            (register,) = struct.unpack_from("=I", data, k)
        elif code == 0x54:
            register &= k
        elif code == 0x15:
            at += if_true if register == k else if_false
        else:
            assert code == 0x06
            return k


def numbers(machine: str) -> dict[str, int]:
    entries = [*ALLOWED_CALLS.split(","), *(g.call for g in GUARDS)]
    parts = [entry.split() for entry in entries]
    column = COLUMNS[machine]
    return {p[0]: int(p[column]) for p in parts if p[column] != "-"}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip(f"{HEADERS[machine]} is not installed")
    text = HEADERS[machine].read_text(encoding="utf-8")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
    known = {name: int(number) for name, number in reversed(found)}
    known.setdefault("newfstatat", known.get("fstatat", -1))

    assert numbers(machine) == {name: known[name] for name in numbers(machine)}


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_every_call_that_is_not_listed_is_refused(machine: str) -> None:
    listed = set(numbers(machine).values())

    allowed = {n for n in range(600) if verdict(machine, n) == ALLOW}

    assert allowed <= listed
    assert listed - allowed == {IOCTL[machine]}  # an ioctl of 0 is nothing
    assert not allowed & set(REFUSED[machine])
    assert verdict(machine, 0x40000000) == REFUSE  # x32's numbers


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_another_architecture_kill(machine: str) -> None:
    assert verdict(machine, 0, architecture=0x40000003) == KILL


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (os.O_RDONLY, ALLOW),
        (os.O_RDONLY | os.O_CREAT, ALLOW),
        (os.O_WRONLY | os.O_TRUNC, ALLOW),  # Landlock sees these two
        (os.O_RDWR | os.O_TRUNC | os.O_CREAT, ALLOW),
        (os.O_RDONLY | os.O_TRUNC, REFUSE),
        (os.O_RDONLY | os.O_TRUNC | os.O_CLOEXEC, REFUSE),
        (1 << 32 | os.O_RDONLY | os.O_TRUNC, REFUSE),
    ],
)
def test_a_file_open_for_reading_cannot_be_emptied(machine: str, flags: int, expected: int) -> None:
    assert verdict(machine, OPENAT[machine], 0, 0, flags) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
@pytest.mark.parametrize(
    ("call", "argument", "expected"),
    [
        (FCNTL, 1, ALLOW),  # F_GETFD
        (FCNTL, 8, REFUSE),  # F_SETOWN
        (FCNTL, 10, REFUSE),  # F_SETSIG
        (FCNTL, 15, REFUSE),  # F_SETOWN_EX
        (FCNTL, 1024, REFUSE),  # F_SETLEASE
        (FCNTL, 1031, REFUSE),  # F_SETPIPE_SZ
        (IOCTL, 0x5401, ALLOW),  # TCGETS
        (IOCTL, 0x5412, REFUSE),  # TIOCSTI
        (IOCTL, 0x541C, REFUSE),  # TIOCLINUX
        (IOCTL, 0x8901, REFUSE),  # FIOSETOWN
    ],
)
def test_only_harmless_controls_are_allowed(
    machine: str, call: dict[str, int], argument: int, expected: int
) -> None:
    assert verdict(machine, call[machine], 0, argument) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")
def test_neither_home_nor_project_nor_temporary_files_are_readable() -> None:
    readable = [Path(p).resolve() for p in policy_of_this_machine(Limits()).readable]

    project = Path(__file__).parents[1]
    for private in (Path.home(), project, Path("/tmp"), Path("/etc"), Path("/proc"), Path("/root")):
        assert not any(private.is_relative_to(p) for p in readable)
