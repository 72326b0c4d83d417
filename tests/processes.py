"""What tests of the jail ask the system about processes, and a kernel that lacks something."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_REFUSE = """
import ctypes, struct
step = struct.Struct("=HBBI").pack
load, refuse, allow = step(0x20, 0, 0, 0), step(6, 0, 0, 0x50026), step(6, 0, 0, 0x7FFF0000)
code = ctypes.create_string_buffer(load + step(0x15, 0, 1, {number}) + refuse + allow, 32)
libc = ctypes.CDLL(None)
libc.prctl(38, 1, 0, 0, 0)
libc.prctl(22, 2, struct.pack("HP", 4, ctypes.addressof(code)), 0, 0)
"""


def run_where_the_kernel_lacks(number: int, script: str) -> str:
    """Return what a Python script prints where one system call is not implemented."""
    command = [sys.executable, "-c", _REFUSE.format(number=number) + script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def jail_workers() -> set[int]:
    """Return the jail's workers that this process started and has not reaped."""
    return {p for p in children(os.getpid()) if "jail/worker.py" in commandline(p)}


def children(process: int) -> list[int]:
    """Return the processes that `process` started and that still are there, zombies too."""
    lists = [t / "children" for t in Path(f"/proc/{process}/task").iterdir()]
    return [int(p) for found in lists for p in found.read_text(encoding="ascii").split()]


def commandline(process: int) -> str:
    """Return the command line; nothing for a zombie and for a process that is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return ""
