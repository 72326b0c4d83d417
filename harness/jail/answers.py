"""What the harness makes of a worker's answer: the value, or an error with its reason."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

from harness.errors import SandboxError
from harness.jail.codec import COMPLETE, Answer, decode
from harness.jail.policy import MEGABYTE, Limits

_MAX_STACK = 6


class JailUnavailable(SandboxError):
    """This machine cannot hold code in the jail, so nothing runs in it."""


class CodeError(SandboxError):
    """The code itself failed or broke a limit.

    reason: `ErrorType: message`, the message's last line. line: the number of the failing line in
    the code, from 1; None if it is not known.
    """

    def __init__(self, message: str, reason: str = "", line: int | None = None) -> None:
        super().__init__(message)
        self.reason = reason or message
        self.line = line


def code_error(
    name: str, reason: str, source: str = "", stack: Sequence[tuple[int, str]] = ()
) -> CodeError:
    """Return the error of a call to `name`, with the code's lines on the way to the failure.

    stack: line numbers in `source` and function names, the failing one last; the last few count.
    """
    lines = [f"{name} failed in the sandbox"]
    code = source.split("\n")
    for line, function in stack[-_MAX_STACK:]:
        text = code[line - 1].strip() if 0 < line <= len(code) else ""
        lines.append(f"  line {line}, in {function}: {text}")
    if stack:
        lines[-1] += "  # <---"
    return CodeError("\n".join([*lines, reason]), reason, stack[-1][0] if stack else None)


def result_of(answer: Answer, data: bytes, call: tuple[str, str], limits: Limits) -> object:
    """Return the value of a call (source, name). Raises SandboxError for all else."""
    source, name = call
    if answer is Answer.REPLY:
        return _result_of_reply(data, source, name)
    if answer is Answer.UNAVAILABLE:
        raise SandboxError(f"the jail's worker ended: {data.decode('utf-8', 'replace')}")
    if answer is Answer.REPLY_TOO_LARGE:
        most = limits.reply_bytes // MEGABYTE
        raise SandboxError(f"the result of {name} is larger than {most} MB; return less")
    reason = {
        Answer.OUT_OF_TIME: f"TimeoutError: the code ran longer than {limits.time_s:g} s",
        Answer.SCRATCH_FULL: "OSError: the code filled its scratch folder",
    }.get(answer)
    raise code_error(name, reason or _death(data))


def _result_of_reply(data: bytes, source: str, name: str) -> object:
    """Read a reply. It comes from the code's own process, so nothing about it is certain."""
    try:
        if not data.endswith(COMPLETE):
            raise ValueError("it is cut off")
        reply: Any = decode(data.removesuffix(COMPLETE).decode("ascii"))
    except (ValueError, TypeError) as e:
        raise code_error(name, f"RuntimeError: the reply is not readable: {e}") from e
    match reply:
        case ("value", value):
            return value
        case ("refused", str(reason)):
            raise SandboxError(reason)
        case ("error", str(reason), list()):
            raise code_error(name, reason, source, _checked(reply[2]))
        case _:
            raise code_error(name, "RuntimeError: the reply is not readable: unknown form")


def _checked(stack: list[Any]) -> list[tuple[int, str]]:
    """Return the entries of a stack that have the right form."""
    found: list[tuple[int, str]] = []
    for entry in stack[-_MAX_STACK:]:
        match entry:
            case (int(line), str(function)):
                found.append((line, function[:100]))
            case _:
                continue
    return found


def _death(data: bytes) -> str:
    """Say how the process of a call ended, from its exit code, which is -n for signal n."""
    code = int(data or b"0")
    if code >= 0:
        return f"SystemExit: the code ended its process without a result (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"RuntimeError: the code's process was ended by {name} (a crash or a closed pipe)"
