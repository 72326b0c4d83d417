"""jail.probe: a jail with a hole refuses, and so does a kernel without the means."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from processes import jail_workers, run_where_the_kernel_lacks

from harness.jail import Jail, JailUnavailable, Limits, policy_of_this_machine
from harness.jail.policy import seccomp_program
from harness.jail.probe import PROBE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")

ALLOW_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)


@pytest.mark.parametrize(
    ("hole", "reached"),
    [
        ({"system_calls": ALLOW_ALL}, "'fork'"),
        ({"readable": ("/",)}, "'list the home folder', 'read /etc/passwd'"),
    ],
)
def test_a_jail_with_a_hole_refuses(hole: dict[str, object], reached: str) -> None:
    policy = replace(policy_of_this_machine(Limits()), **hole)  # pyright: ignore[reportArgumentType]
    others, jail = jail_workers(), Jail(1, policy)

    with pytest.raises(JailUnavailable) as first:
        jail.run("def f(): return 1", "f", [], {})
    with pytest.raises(JailUnavailable) as second:
        jail.run("def f(): return 1", "f", [], {})

    assert f"its code could [{reached}" in str(first.value).replace("'raise a limit', ", "")
    assert str(second.value) == str(first.value)
    assert jail_workers() == others


def test_the_probe_reaches_everything_where_nothing_is_locked(tmp_path: Path) -> None:
    script = f"{PROBE}\nprint(*probe('/', 'outside', ['/etc/passwd']), sep='|')"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip().split("|") == [
        "list the home folder",
        "write outside the scratch folder",
        "make a socket",
        "fork",
        "start a thread",
        "start a program",
        "send a signal",
        "raise a limit",
        "change a file's mode",
        "read /etc/passwd",
    ]


@pytest.mark.parametrize(
    ("number", "name"), [(444, "syscall 444"), (157, "prctl 1"), (446, "syscall 446")]
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_a_kernel_without_the_means_refuses(number: int, name: str) -> None:
    script = """
from harness.jail import Jail
try:
    print(Jail(1).run("def f(): return 1", "f", [], {}))
except Exception as e:
    print(type(e).__name__, e)
"""

    printed = run_where_the_kernel_lacks(number, script)

    assert printed.startswith("JailUnavailable the jail is not available")
    assert name in printed
    assert "Function not implemented" in printed


def test_a_filter_for_another_machine_ends_the_process() -> None:
    here = policy_of_this_machine(Limits())
    other = "aarch64" if os.uname().machine == "x86_64" else "x86_64"
    jail = Jail(1, replace(here, system_calls=seccomp_program(other)))

    with pytest.raises(JailUnavailable, match="SIGSYS"):
        jail.run("def f(): return 1", "f", [], {})
