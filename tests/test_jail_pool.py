"""jail.pool: any Python runs, calls are apart from each other; workers come and go."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import children, jail_workers

from harness.errors import SandboxError
from harness.jail import CodeError, Jail, Limits, policy_of_this_machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")


@pytest.fixture(scope="module")
def jail() -> Iterator[Jail]:
    jail = Jail(2)
    yield jail
    jail.close()


GOOD: dict[str, tuple[str, object]] = {
    "operator": ("from operator import itemgetter\ndef f(): return itemgetter(1)([5, 6])", 6),
    "string": ("import string\ndef f(): return string.ascii_lowercase[:3]", "abc"),
    "statistics": ("import statistics\ndef f(): return statistics.median([3, 1, 2])", 2),
    "heapq": ("import heapq\ndef f(): return heapq.nsmallest(2, [3, 1, 2])", [1, 2]),
    "textwrap": ("import textwrap\ndef f(): return textwrap.wrap('a b c', 3)", ["a b", "c"]),
    "fractions": (
        "from fractions import Fraction\ndef f(): return str(Fraction(1, 3) + Fraction(1, 6))",
        "1/2",
    ),
    "a generator": ("def g():\n    yield from range(3)\ndef f(): return list(g())", [0, 1, 2]),
    "a data class": (
        "from __future__ import annotations\nfrom dataclasses import asdict, dataclass\n"
        "@dataclass\nclass P:\n    x: int = 1\ndef f(): return asdict(P(2))",
        {"x": 2},
    ),
    "classes": (
        "class A:\n    def name(self): return 'a'\n"
        "class B(A):\n    def name(self): return super().name() + 'b'\ndef f(): return B().name()",
        "ab",
    ),
    "an enum": (
        "from enum import Enum\nclass C(Enum):\n    RED = 1\ndef f(): return C(1).name",
        "RED",
    ),
    "a module that is not loaded yet": (
        "import hashlib\ndef f(): return hashlib.sha256(b'').hexdigest()[:4]",
        "e3b0",
    ),
    "a database in memory": (
        "import sqlite3\ndef f():\n    db = sqlite3.connect(':memory:')\n"
        "    return db.execute('select 1 + 1').fetchall()",
        [(2,)],
    ),
    "a file of its own": (
        "def f():\n    with open('a.txt', 'w') as g:\n        g.write('x')\n"
        "    return open('a.txt').read()",
        "x",
    ),
    "a file without a name": (
        "import tempfile\ndef f():\n    with tempfile.TemporaryFile() as g:\n"
        "        return g.write(b'xy')",
        2,
    ),
    "numpy": (
        "import numpy as np\ndef f(): return (np.eye(2) @ np.ones((2, 2))).tolist()",
        [[1.0, 1.0], [1.0, 1.0]],
    ),
    "a subclass of a plain type": (
        "from collections import Counter\ndef f(): return Counter('aab')",
        {"a": 2, "b": 1},
    ),
    "the end of input": ("def f():\n    try:\n        input()\n    except EOFError: return 1", 1),
}


@pytest.mark.parametrize("kind", GOOD)
def test_python_that_touches_nothing_runs(jail: Jail, kind: str) -> None:
    source, expected = GOOD[kind]

    assert jail.run(source, "f", [], {}) == expected


def test_arguments_go_in_and_out_unchanged(jail: Jail) -> None:
    value = [None, True, 2**70, -0.5, "ü\ud800\n", (1, [2]), {("k", 1): {"a": ()}}]

    result = jail.run("def f(x, *, y):\n    return [x, y]\n", "f", [value], {"y": 1})

    assert result == [value, 1]


def test_an_error_shows_its_lines_and_survives_a_pickle(jail: Jail) -> None:
    source = "def g(x):\n    return 1 / x\n\ndef f():\n    return g(0)\n"

    with pytest.raises(CodeError) as caught:
        jail.run(source, "f", [], {})

    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again).splitlines() == [
        "f failed in the sandbox",
        "  line 5, in f: return g(0)",
        "  line 2, in g: return 1 / x  # <---",
        "ZeroDivisionError: division by zero",
    ]
    assert (again.line, again.reason) == (2, "ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("def f():\n    return (\n", 2, "SyntaxError: '(' was never closed"),
        ("def g(): pass\n", None, "NameError: the code does not define f"),
        ("def f(x): pass\n", None, "TypeError: f() missing 1 required positional argument: 'x'"),
        ("x = 1\nimport nosuch\n", 2, "ModuleNotFoundError: No module named 'nosuch'"),
    ],
)
def test_an_error_before_the_call_is_the_codes_own(
    jail: Jail, source: str, line: int | None, reason: str
) -> None:
    with pytest.raises(CodeError) as caught:
        jail.run(source, "f", [], {})

    assert (caught.value.line, caught.value.reason) == (line, reason)


def test_a_loop_without_end_shows_its_line() -> None:
    jail = Jail(1, policy_of_this_machine(Limits(time_s=0.2)))

    with pytest.raises(CodeError) as caught:
        jail.run("def f():\n    x = 1\n    while x:\n        pass\n", "f", [], {})

    jail.close()
    assert caught.value.line in (3, 4)
    assert caught.value.reason == "TimeoutError: the code ran longer than 0.2 s"


def test_objects_do_not_go_in(jail: Jail) -> None:
    with pytest.raises(SandboxError, match="an argument of f holds a object"):
        jail.run("def f(x): return x", "f", [object()], {})


NOTES = {
    "a module": ("import math", "math.note = 1", "hasattr(math, 'note')"),
    "a built-in": ("import builtins", "builtins.note = 1", "hasattr(builtins, 'note')"),
    "a file": ("import os", "open('note', 'w').close()", "os.path.exists('note')"),
    "the folder": ("import os", "os.chdir('/')", "os.getcwd() == '/'"),
    "the worker's memory": (
        "import sys\n"
        "def reply():\n"
        "    frame = sys._getframe()\n"
        "    while not hasattr(frame.f_locals.get('self'), 'reply'):\n"
        "        frame = frame.f_back\n"
        "    return frame.f_locals['self'].reply\n",
        "reply()[-4:] = b'note'",
        "reply()[-4:] == b'note'",
    ),
}


@pytest.mark.parametrize("place", NOTES)
def test_one_call_leaves_no_note_for_the_next(place: str) -> None:
    head, write, look = NOTES[place]
    jail = Jail(1)

    before = jail.run(f"{head}\ndef f():\n    {write}\n    return {look}", "f", [], {})
    after = jail.run(f"{head}\ndef f():\n    return {look}", "f", [], {})

    jail.close()
    assert (before, after) == (True, False)


def test_a_call_cannot_find_what_an_earlier_one_got() -> None:
    jail = Jail(1)
    source = (
        "import sys\n"
        "def f(text):\n"
        "    frame = sys._getframe()\n"
        "    while not hasattr(frame.f_locals.get('self'), 'reply'):\n"
        "        frame = frame.f_back\n"
        "    seen = [frame.f_locals['self'].reply[:99]]\n"
        "    while frame:\n"
        "        seen += [bytes(v) for v in frame.f_locals.values() if type(v) is bytearray]\n"
        "        frame = frame.f_back\n"
        "    return text, any(b'sesame' in s for s in seen), len(seen)\n"
    )

    jail.run(source, "f", ["sesame"], {})
    _, found, n_seen = jail.run(source, "f", ["x"], {})  # pyright: ignore[reportGeneralTypeIssues]

    jail.close()
    assert n_seen >= 2
    assert not found


def test_chance_is_the_same_in_every_call_and_worker() -> None:
    source = (
        "import random, numpy\n"
        "def f(): return random.random(), float(numpy.random.rand()), str({'a', 'b', 'c', 'd'})"
    )
    results = set[object]()

    for _ in range(2):
        jail = Jail(2)
        results |= {jail.run(source, "f", [], {}) for _ in range(4)}
        jail.close()

    assert len(results) == 1


def test_many_threads_get_their_own_results(jail: Jail) -> None:
    def one(n: int) -> object:
        return jail.run("def f(n): return n * n", "f", [n], {})

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(one, range(200)))

    assert results == [n * n for n in range(200)]


def test_a_dead_worker_is_replaced_and_takes_its_call_with_it() -> None:
    others, folders = jail_workers(), scratch_folders()
    jail = Jail(1, policy_of_this_machine(Limits(time_s=30)))
    with ThreadPoolExecutor(1) as threads:
        jail.run("def f(): return 1", "f", [], {})
        (worker,) = jail_workers() - others
        source = "def f():\n    open('here', 'w').close()\n    while True: pass\n"
        loop = threads.submit(jail.run, source, "f", [], {})
        (folder,) = scratch_folders() - folders
        until(lambda: (folder / "here").exists())
        (child,) = children(worker)
        ended = os.pidfd_open(child)

        os.kill(worker, signal.SIGKILL)

        with pytest.raises(SandboxError, match="the jail's worker ended"):
            loop.result()
        assert select.select([ended], [], [], 10)[0]
        os.close(ended)
    assert jail.run("def f(): return 1", "f", [], {}) == 1
    jail.close()
    assert jail_workers() == others


def test_nothing_is_left_after_close() -> None:
    others, before = jail_workers(), scratch_folders()
    jail = Jail(2)
    jail.run("def f():\n    open('x', 'w').close()", "f", [], {})
    during = scratch_folders() - before

    jail.close()

    assert len(during) == 1
    assert scratch_folders() - before == set()
    assert jail_workers() == others
    assert jail.run("def f(): return 1", "f", [], {}) == 1  # a call starts it again
    jail.close()


def test_a_worker_ends_with_the_harness(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\nfrom harness.jail import Jail\njail = Jail(1)\n"
        "jail.run('def f(): return 1', 'f', [], {})\n"
        "tasks = pathlib.Path('/proc/self/task').iterdir()\n"
        "print(*[(t / 'children').read_text() for t in tasks], flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as harness:
        assert harness.stdout is not None
        worker = os.pidfd_open(int(harness.stdout.readline()))

        harness.kill()

        assert select.select([worker], [], [], 10)[0]
        os.close(worker)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_process_has_workers_of_its_own() -> None:
    jail = Jail(1)
    jail.run("def f(): return 1", "f", [], {})
    result, done = os.pipe()
    child = os.fork()
    if child == 0:
        value = jail.run("def f(): return 2", "f", [], {})
        os.write(done, f"{value} from {len(jail_workers())}".encode())
        os._exit(0)
    os.close(done)

    assert os.read(result, 9) == b"2 from 1"
    os.waitpid(child, 0)
    os.close(result)
    assert [jail.run("def f(): return 1", "f", [], {}) for _ in range(3)] == [1, 1, 1]
    jail.close()


def test_two_closes_at_once_end(jail: Jail) -> None:
    jail.run("def f(): return 1", "f", [], {})
    threads = [threading.Thread(target=jail.close) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert not any(t.is_alive() for t in threads)


def scratch_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("optorace-jail-*"))


def until(happened: Callable[[], bool]) -> None:
    """Return once it happened; fail after a long while."""
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        os.sched_yield()
