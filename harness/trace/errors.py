"""The errors of traced programs.

Exception
├── ExecutionError            a traced operation failed; its node tells how
└── UsageError                the program itself must be mended
    ├── TraceMissingInputsError   a bundle read nodes that are not among its arguments
    └── MissingCodeRunner         replaced code, and nothing that may run it
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.trace.kinds import ExceptionNode


class ExecutionError(Exception):
    """A traced operation failed; the program's own exception is `__cause__`.

    Its text starts with the user's own line that failed.
    """

    def __init__(self, exception_node: ExceptionNode) -> None:
        super().__init__(exception_node)
        self.exception_node = exception_node

    def __str__(self) -> str:
        return self.exception_node.report


class UsageError(Exception):
    """The program itself must be mended; never recorded as the failure of one rollout."""


class TraceMissingInputsError(UsageError):
    """A bundle's body read nodes that are not among its arguments."""


class MissingCodeRunner(UsageError):
    """A code parameter was replaced, and nothing is at hand to run the new code."""
