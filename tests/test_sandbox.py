"""sandbox: code that a model wrote gives a plain value or an error, and touches nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import run_where_the_kernel_lacks

from harness.errors import SandboxError
from harness.jail import CodeError
from harness.sandbox import Sandbox, run_code

LANDLOCK = 444  # the number of landlock_create_ruleset
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox(1)
    yield box
    box.close()


def test_a_function_gets_its_arguments_and_returns_plain_data(sandbox: Sandbox) -> None:
    source = "import re\n\ndef f(text, n=1):\n    return re.findall(r'[0-9]+', text) * n\n"

    assert sandbox.run(source, "f", ["a1b22"], {"n": 2}) == ["1", "22", "1", "22"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("while True:\n        pass", "TimeoutError"),
        ("return [0] * 10**10", "MemoryError"),
        ("return f()", "RecursionError"),
        ("return open('/etc/passwd').read()", "PermissionError"),
        ("return 1 / 0", "ZeroDivisionError"),
        ("return (", "SyntaxError"),
        ("return nosuch", "NameError"),
        ("return 'a'.nosuch()", "AttributeError"),
        ("return {1, 2}", "only plain data"),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", marks=LINUX),
        pytest.param("import os\n    os.fork()", "PermissionError", marks=LINUX),
        pytest.param("import subprocess\n    subprocess.run('ls')", "PermissionErr", marks=LINUX),
        pytest.param("import socket\n    socket.socket()", "PermissionError", marks=LINUX),
        pytest.param("return __import__('os')", "only plain data", marks=LINUX),
        pytest.param("import nosuch", "ModuleNotFoundError", marks=LINUX),
        pytest.param("raise NotImplementedError('later')", "Error: later", marks=LINUX),
    ],
)
def test_what_goes_wrong_inside_is_a_reason_outside(
    sandbox: Sandbox, body: str, reason: str
) -> None:
    with pytest.raises(SandboxError, match=reason):
        sandbox.run(f"def f():\n    {body}\n", "f", [], {})


def test_a_function_comes_out_as_text(sandbox: Sandbox) -> None:
    assert isinstance(sandbox.run("def f():\n    return f\n", "f", [], {}), str)


@LINUX
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import statistics\ndef f(): return statistics.mean([1, 3])", 2),
        ("def f():\n    import heapq\n    return heapq.nlargest(1, [1, 3])", [3]),
        ("from math import *\ndef f(): return floor(2.5)", 2),
        ("def g():\n    yield 1\ndef f(): return list(g())", [1]),
        ("class A(Exception): pass\ndef f(): return A.__name__", "A"),
        ("def f():\n    x = [1, 2]\n    del x[0]\n    return x", [2]),
        ("def f(): return (5).bit_length()", 3),
        ("def f(): return 'abc'.translate(str.maketrans('a', 'b'))", "bbc"),
        ("def f(): return list(bytearray(b'a'))", [97]),
        ("import collections\ndef f(): return dict(collections.OrderedDict(a=1))", {"a": 1}),
        ("import numpy as np\ndef f(): return np.arange(3).tolist()", [0, 1, 2]),
    ],
)
def test_what_the_small_interpreter_lacks_runs_in_the_jail(
    sandbox: Sandbox, source: str, expected: object
) -> None:
    assert sandbox.run(source, "f", [], {}) == expected


def test_an_error_of_the_code_does_not_run_it_again(sandbox: Sandbox) -> None:
    source = "from datetime import datetime\ndef f():\n    raise ValueError(str(datetime.now()))\n"

    with pytest.raises(CodeError, match="ValueError: 2000-01-01"):  # the jail has the real clock
        sandbox.run(source, "f", [], {})


@pytest.mark.parametrize("head", ["", pytest.param("import statistics\n", marks=LINUX)])
def test_an_error_names_its_line_on_both_levels(sandbox: Sandbox, head: str) -> None:
    source = f"{head}def g(x):\n    return 1 / x\n\ndef f():\n    return g(0)\n"
    more = head.count("\n")

    with pytest.raises(CodeError) as caught:
        sandbox.run(source, "f", [], {})

    assert caught.value.line == 2 + more
    assert caught.value.reason == "ZeroDivisionError: division by zero"
    assert str(caught.value).splitlines() == [
        "f failed in the sandbox",
        f"  line {5 + more}, in f: return g(0)",
        f"  line {2 + more}, in g: return 1 / x  # <---",
        "ZeroDivisionError: division by zero",
    ]


def test_one_call_leaves_nothing_for_the_next(sandbox: Sandbox) -> None:
    sandbox.run("seen = []\ndef f():\n    seen.append(1)\n    return len(seen)\n", "f", [], {})

    with pytest.raises(SandboxError, match="seen"):
        sandbox.run("def f():\n    return len(seen)\n", "f", [], {})


def test_chance_and_clock_are_the_same_in_every_call(sandbox: Sandbox) -> None:
    source = "import random\nfrom datetime import datetime\n"
    source += "def f():\n    return [random.random(), str(datetime.now())]\n"

    assert sandbox.run(source, "f", [], {}) == sandbox.run(source, "f", [], {})


def test_what_the_code_prints_does_not_reach_the_terminal(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox.run("def f():\n    print('\\x1b[2Jgotcha')\n", "f", [], {})

    assert capfd.readouterr().out == ""


def test_objects_do_not_cross(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="object"):
        sandbox.run("def f(x):\n    return x\n", "f", [object()], {})


def test_a_list_that_holds_itself_does_not_hang(sandbox: Sandbox) -> None:
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(SandboxError, match="million"):
        sandbox.run("def f(x):\n    return 1\n", "f", [endless], {})


def test_many_threads_share_one_sandbox() -> None:
    def one(n: int) -> object:
        lack = "import statistics\n" if n % 2 and sys.platform == "linux" else ""
        return run_code(f"{lack}def f(n):\n    return n + 1\n", "f", [n], {})

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(one, range(60)))

    assert results == list(range(1, 61))


def test_the_shared_sandbox_ends_with_the_process() -> None:
    script = "from harness.sandbox import run_code\n"
    script += "print(run_code('import string\\ndef f(): return 1', 'f', [], {}))"

    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", script], capture_output=True, text=True, timeout=60
    )

    assert (done.stdout, done.stderr) == ("1\n", "")


@LINUX
def test_without_a_jail_the_error_says_what_the_code_needs() -> None:
    script = """
from harness.sandbox import run_code
print(run_code("def f(): return 1", "f", [], {}))
try:
    run_code("import statistics\\ndef f(): return 1", "f", [], {})
except Exception as e:
    print(type(e).__name__, e)
"""

    printed = run_where_the_kernel_lacks(LANDLOCK, script)

    assert printed.splitlines() == [
        "1",
        "SandboxError f needs more than the small interpreter of the sandbox has "
        "(ModuleNotFoundError: No module named 'statistics'), and CPython cannot run it here: the "
        "jail is not available: [Errno 38] syscall 444: Function not implemented; use Linux with "
        "Landlock and seccomp, or keep the code within the small interpreter's subset",
    ]
