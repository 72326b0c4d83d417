"""sandbox: code that a model wrote gives a plain value or an error, and touches nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.errors import SandboxError
from harness.sandbox import Sandbox


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
        ("import os\n    return os.system('true')", "system"),
        ("import subprocess", "subprocess"),
        ("import socket", "socket"),
        ("return __import__('os')", "__import__"),
        ("raise SystemExit(3)", ""),
        ("return 1 / 0", "ZeroDivisionError"),
        ("return (", ""),
        ("return {1, 2}", "only plain data"),
        ("return f", "f"),
    ],
)
def test_what_goes_wrong_inside_is_a_reason_outside(
    sandbox: Sandbox, body: str, reason: str
) -> None:
    try:
        result = sandbox.run(f"def f():\n    {body}\n", "f", [], {})
    except SandboxError as e:
        assert reason in str(e)
    else:
        assert isinstance(result, str)  # a function comes out as its repr: text, not an object


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
