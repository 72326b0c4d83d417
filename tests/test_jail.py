"""jail: hostile code gives an error, a refusal or a harmless value, and the host is as before."""

from __future__ import annotations

import errno
import os
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from processes import children, jail_workers

from harness.errors import SandboxError
from harness.jail import Jail, Limits, policy_of_this_machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the jail needs Linux")

KEY = "sk-the-key-of-the-user"
QUICK = Limits(time_s=0.5, memory_bytes=64 << 20)
DENIED = "PermissionError"

# What each does with `host` (secret, folder, port, unix, victim, parent), and the reason or the
# value that must come out. A reason is a regular expression on the error's text.
ATTACKS: dict[str, tuple[str, object]] = {
    # files
    "read a file of the user": ("return open(host['secret']).read()", DENIED),
    "read a system file": ("return open('/etc/passwd').read()", DENIED),
    "list the home folder": ("return os.listdir(os.path.dirname(host['secret']))", DENIED),
    "read the project": (f"return open({__file__!r}).read()", DENIED),
    "import the project": ("import harness; return 1", "ModuleNotFoundError"),
    "import by path": (
        "sys.path.insert(0, host['project']); import harness; return 1",
        "ModuleNot",
    ),
    "read the own environment": ("return open('/proc/self/environ').read()", DENIED),
    "read the parent's environment": (
        "return open(f'/proc/{host[\"parent\"]}/environ').read()",
        DENIED,
    ),
    "look for the key": ("return [v for v in os.environ.values() if v.startswith('sk-')]", []),
    "write the parent's memory": ("return open(f'/proc/{host[\"parent\"]}/mem', 'wb')", DENIED),
    "write the worker's memory": ("return open(f'/proc/{os.getppid()}/mem', 'wb')", DENIED),
    "write into a file of the user": ("open(host['secret'], 'w')", DENIED),
    "append to a file of the user": ("open(host['secret'], 'a')", DENIED),
    "make a file elsewhere": ("open(host['folder'] + '/new', 'w')", DENIED),
    "make a file in /tmp": ("open('/tmp/optorace-jail-test', 'w')", DENIED),
    "make a file in /dev/shm": ("open('/dev/shm/optorace-jail-test', 'w')", DENIED),
    "change the standard library": ("open(os.__file__, 'a')", DENIED),
    "delete": ("os.unlink(host['secret'])", DENIED),
    "truncate": ("os.truncate(host['secret'], 0)", DENIED),
    "rename": ("os.rename(host['secret'], 'mine')", DENIED),
    "change a mode": ("os.chmod(host['secret'], 0)", DENIED),
    "change a time": ("os.utime(host['secret'], (0, 0))", DENIED),
    "link": ("os.link(host['secret'], 'mine'); return open('mine').read()", DENIED),
    "link by name": ("os.symlink(host['secret'], 'mine'); return open('mine').read()", DENIED),
    "make a folder": ("os.mkdir('deep')", DENIED),
    "open a terminal": ("return open('/dev/tty', 'w')", DENIED),
    "a large file": ("open('big', 'wb').write(bytes(17 << 20))", "File too large"),
    "many files": (
        "i = 0\nwhile True:\n    open(str(i), 'w').close(); i += 1",
        "filled its scratch folder|too many|TimeoutError",
    ),
    # network
    "connect": ("socket.create_connection(('127.0.0.1', host['port']))", DENIED),
    "send a datagram": (
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        DENIED,
    ),
    "listen": ("socket.create_server(('127.0.0.1', 0))", DENIED),
    "a socket in a file": ("socket.socket(socket.AF_UNIX).connect(host['unix'])", DENIED),
    "a pair of sockets": ("socket.socketpair()", DENIED),
    "ask for a name": ("socket.getaddrinfo('example.com', 80)", "gaierror|PermissionError"),
    "fetch a page": (
        "import urllib.request as u; u.urlopen('http://example.com')",
        "URLError|Perm",
    ),
    # processes
    "run a program": ("subprocess.run(['true'])", DENIED),
    "run a shell": ("return os.system('true')", 127 << 8),
    "become a program": ("os.execv('/bin/true', ['true'])", DENIED),
    "fork": ("os.fork()", DENIED),
    "a fork bomb": (
        "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "Timeout",
    ),
    "a thread": ("threading.Thread(target=print).start()", "can't start new thread"),
    "a pool of processes": ("import multiprocessing as m; m.Pool(2).map(abs, [1])", "Error"),
    "kill another process": ("os.kill(host['victim'], 9)", DENIED),
    "kill the parent": ("os.kill(host['parent'], 9)", DENIED),
    "kill the worker": ("os.kill(os.getppid(), 9)", DENIED),
    "a signal through a pipe": ("fcntl.fcntl(0, fcntl.F_SETOWN, host['victim'])", DENIED),
    "type into a terminal": ("fcntl.ioctl(0, termios.TIOCSTI, b'x')", DENIED),
    "trace another process": ("return libc.ptrace(16, host['victim'], 0, 0)", -1),
    "the rights of another process": ("os.setpriority(os.PRIO_PROCESS, host['victim'], 1)", DENIED),
    # limits
    "no limit": (
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
        "not allowed to raise maximum limit",
    ),
    "an endless loop": ("while True: pass", "TimeoutError: the code ran longer than 0.5 s"),
    "a loop that catches all": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "TimeoutError",
    ),
    "a loop without alarms": (
        "signal.setitimer(signal.ITIMER_REAL, 0)\nsignal.signal(signal.SIGXCPU, print)\n"
        "while True: pass",
        "TimeoutError",
    ),
    "a long sleep": ("time.sleep(60)", "TimeoutError"),
    "a loop in C": ("return len(str(3 ** (10 ** 8)))", "TimeoutError"),
    "a slow pattern": ("import re; re.match('(a+)+$', 'a' * 40 + 'b')", "TimeoutError"),
    "much memory at once": ("return len(bytes(10 ** 9))", "MemoryError"),
    "much memory bit by bit": (
        "x = []\nwhile True: x.append('a' * 10 ** 6)",
        "MemoryError|TimeoutError",
    ),
    "much memory in numpy": ("import numpy; return numpy.ones(10 ** 9).sum()", "MemoryError"),
    "endless recursion": ("return f(host)", "RecursionError"),
    "recursion without a limit": (
        "sys.setrecursionlimit(10 ** 9)\nreturn f(host)",
        "SIGSEGV|MemoryError|RecursionError|Timeout",
    ),
    "deep brackets": ("return eval('(' * 10 ** 5)", "Error"),
    "a large result": ("return 'x' * (5 << 20)", "larger than 4 MB"),
    "a long result": ("return [0] * 2_000_000", "over a million values"),
    "an endless list": (
        "class L(list):\n    def __iter__(self):\n        while True: yield 1\nreturn L()",
        "Mem|Time",
    ),
    "a list that holds itself": (
        "x = []; x.append(x); return x",
        "over a million values|TimeoutError",
    ),
    "much printing": ("print('gotcha' * 10 ** 6); sys.stderr.write('gotcha'); return 1", 1),
    # the way back
    "an exit": ("sys.exit(0)", "SystemExit"),
    "a hard exit": ("os._exit(0)", "without a result"),
    "an interrupt": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "an abort": ("os.abort()", "was ended by SIG"),
    "a crash": ("ctypes.string_at(0)", "SIGSEGV"),
    "an error that cannot be told": (
        "class E(Exception):\n    def __str__(self): sys.exit()\nraise E",
        r"E: \(its message cannot be read: SystemExit\)",
    ),
    "look for open files": (
        "n = 0\nfor file in range(256):\n    try: os.fstat(file); n += 1\n"
        "    except OSError: pass\nreturn n",
        4,
    ),
    "all files closed": ("os.closerange(0, 99); return 1", "without a result"),
    "all files closed and a loop": ("os.closerange(0, 99)\nwhile True: pass", "without a"),
    "garbage in all files": (
        "for n in range(99):\n    try: os.write(n, b'gotcha')\n    except OSError: pass\nreturn 1",
        "reply is not readable",
    ),
    "a forged reply": (
        "for n in range(3, 99):\n    try: os.write(n, b't2\\n\"value\"\\nl1\\nend'); os.close(n)\n"
        "    except OSError: pass",
        "reply is not readable",
    ),
    "a cut reply": (
        "for n in range(3, 99):\n    try: os.write(n, b't2\\n\"value\"\\ni1'); os.close(n)\n"
        "    except OSError: pass",
        "reply is not readable",
    ),
    "a forged object": (
        "for n in range(3, 99):\n    try: os.write(n, b't2\\n\"value\"\\nl\\nend'); os.close(n)\n"
        "    except OSError: pass",
        "reply is not readable",
    ),
    "a worker with other functions": (
        "import json\nos._exit = lambda code: None\njson.dumps = lambda x: 'i7'\nreturn 'x'",
        "reply is not readable",
    ),
    "the worker's own loop": (
        "frame = sys._getframe()\nwhile frame:\n    w = frame.f_locals.get('self')\n"
        "    if hasattr(w, 'serve'): w.serve()\n    frame = frame.f_back",
        DENIED,
    ),
    "a call of another architecture": (
        "import mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes.fromhex('b814000000cd80c3'))\n"
        "at = ctypes.addressof(ctypes.c_char.from_buffer(m))\n"
        "return ctypes.CFUNCTYPE(ctypes.c_int)(at)()",
        "SIGSYS",
    ),
    "code for the end": ("import atexit\natexit.register(lambda: open('x', 'w'))\nreturn 1", 1),
    "an object that fights its end": (
        "class A:\n    def __del__(self):\n        while True: pass\n"
        "globals()['a'] = A()\nreturn 1",
        1,
    ),
    "an object as the result": ("return object()", "only plain data"),
    "code as the result": ("return f", "only plain data"),
}
if platform.machine() != "x86_64":
    del ATTACKS["a call of another architecture"]
HEAD = "import ctypes, fcntl, os, resource, signal, socket, subprocess, sys, termios, threading\n"
HEAD += "import time\nlibc = ctypes.CDLL(None)\n"
# Kernel interfaces that Python does not offer, by their number on both architectures or on x86_64.
FORBIDDEN_CALLS = {
    "io_uring_setup": 425,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "clone3": 435,
    "open_tree": 428,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "openat2": 437,
} | (
    {
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "memfd_create": 319,
        "bpf": 321,
        "userfaultfd": 323,
        "perf_event_open": 298,
        "seccomp": 317,
        "prctl": 157,
        "keyctl": 250,
        "add_key": 248,
        "unshare": 272,
        "setns": 308,
        "mount": 165,
        "chroot": 161,
        "pivot_root": 155,
        "setuid": 105,
        "capset": 126,
        "clone": 56,
        "vfork": 58,
        "execveat": 322,
        "tgkill": 234,
        "rt_sigqueueinfo": 129,
        "prlimit64": 302,
        "shmget": 29,
        "mq_open": 240,
        "inotify_init1": 294,
        "name_to_handle_at": 303,
        "open_by_handle_at": 304,
        "modify_ldt": 154,
        "init_module": 175,
        "reboot": 169,
        "personality": 135,
        "setxattr": 188,
        "mknod": 133,
        "fallocate": 285,
        "mlock": 149,
    }
    if platform.machine() == "x86_64"
    else {}
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """A jail, and what its code must not touch."""
    folder = tmp_path_factory.mktemp("user")
    secret = folder / "secret"
    secret.write_text("secret", encoding="utf-8")
    with (
        pytest.MonkeyPatch.context() as patch,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        subprocess.Popen(["sleep", "600"]) as victim,
    ):
        patch.setenv("THE_KEY_OF_A_SERVICE", KEY)
        unix.bind(str(folder / "unix"))
        unix.listen()
        tcp.setblocking(False)
        unix.setblocking(False)
        others = jail_workers()
        jail = Jail(1, policy_of_this_machine(QUICK))
        facts = {
            "secret": str(secret),
            "folder": str(folder),
            "project": str(Path(__file__).parents[1]),
            "port": tcp.getsockname()[1],
            "unix": str(folder / "unix"),
            "victim": victim.pid,
            "parent": os.getpid(),
        }
        yield SimpleNamespace(
            jail=jail, facts=facts, victim=victim, servers=(tcp, unix), others=others
        )
        jail.close()
        victim.kill()


def call(host: SimpleNamespace, body: str) -> object:
    """Return what the body returns, or its error."""
    source = HEAD + "def f(host):\n" + "".join(f"    {line}\n" for line in body.split("\n"))
    try:
        return host.jail.run(source, "f", [host.facts], {})
    except SandboxError as e:
        return e


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_fails_and_the_host_is_untouched(
    host: SimpleNamespace, attack: str, capfd: pytest.CaptureFixture[str]
) -> None:
    body, expected = ATTACKS[attack]

    result = call(host, body)

    if isinstance(expected, str):
        assert isinstance(result, SandboxError), result
        assert re.search(expected, str(result)), result
    else:
        assert result == expected
    assert_untouched(host)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", FORBIDDEN_CALLS)
def test_other_system_calls_are_refused(host: SimpleNamespace, name: str) -> None:
    body = "libc = ctypes.CDLL(None, use_errno=True)\n"
    body += f"return libc.syscall({FORBIDDEN_CALLS[name]}, 0, 0, 0, 0, 0, 0), ctypes.get_errno()"

    assert call(host, body) == (-1, errno.EPERM)


def assert_untouched(host: SimpleNamespace) -> None:
    secret = Path(host.facts["secret"])
    assert secret.read_text(encoding="utf-8") == "secret"
    assert secret.stat().st_nlink == 1
    assert secret.stat().st_mtime > 0
    assert sorted(p.name for p in Path(host.facts["folder"]).iterdir()) == ["secret", "unix"]
    assert host.victim.poll() is None
    for server in host.servers:
        with pytest.raises(BlockingIOError):
            server.accept()
    assert host.jail.run("def f():\n    import os\n    return os.listdir('.')", "f", [], {}) == []
    (worker,) = jail_workers() - host.others
    assert len(children(worker)) <= 1
