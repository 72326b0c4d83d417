"""What people read about an operation that failed: the user's own line first."""

from __future__ import annotations

import os
import traceback
from types import TracebackType

from harness.trace.errors import ExecutionError

_HERE = os.path.dirname(__file__)
_HOUSE = os.path.dirname(_HERE)
# This package, and what runs replaced code.
_OURS = (_HERE, os.path.join(_HOUSE, "sandbox.py"), os.path.join(_HOUSE, "jail"))
# Where the standard library is; packages lie below it, or in a folder of this name elsewhere.
_LIBRARY, _PACKAGES = os.path.dirname(os.__file__), "site-packages"


def report(error: Exception, op: str, text: str, comment: str | None) -> str:
    """Return the operation and its error, the user's line, and the marked source if there is one.

    Of an operation that failed within another, the line of the inner one is shown.
    """
    if isinstance(error, ExecutionError):
        _, _, inner = error.exception_node.report.partition("\n")
        return "\n".join(part for part in (f"{op}: {text}", inner) if part)
    parts = (f"{op}: {text}", _own_line(error), comment if comment != text else None)
    return "\n".join(part for part in parts if part)


def trim(error: BaseException) -> None:
    """Take this package's frames off the top of an error's traceback."""
    at = error.__traceback__
    while at is not None and _is_ours(at.tb_frame.f_code.co_filename):
        at = at.tb_next
    error.__traceback__ = at


def frames_of(error: BaseException) -> list[TracebackType]:
    """Return the frames that an error passed through, outermost first, without this package's."""
    frames: list[TracebackType] = []
    at = error.__traceback__
    while at is not None:
        if not _is_ours(at.tb_frame.f_code.co_filename):
            frames.append(at)
        at = at.tb_next
    return frames


def _own_line(error: BaseException) -> str:
    """Return the innermost line of the user's code, else the innermost of any; maybe empty."""
    found = [(f.tb_frame, f.tb_lineno) for f in frames_of(error)]
    if not found:  # an operator: the line is the one that called it
        around = traceback.walk_stack(None)
        found = [next(((f, n) for f, n in around if not _is_ours(f.f_code.co_filename)), None)]
    own = [at for at in found if at and not _is_library(at[0].f_code.co_filename)]
    best = (own or found)[-1]
    if best is None:
        return ""
    summary = traceback.StackSummary.extract(iter([best]))
    return "".join(summary.format()).rstrip()


def _is_library(filename: str) -> bool:
    return filename.startswith(_LIBRARY) or _PACKAGES in filename


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OURS)
