"""Every error a user can cause. The command line prints its one line and exits with code 2.

OptoraceError
├── ConfigError     a flag, a setting, a configuration file, a results folder of another run
├── PluginError     a task, program, optimizer or report that is unknown or malformed
├── DataError       rows that cannot be reached or do not have the promised schema
├── LMError         a model call that failed for good
│   ├── LMUnavailable   no key, no such model, no server: nothing was asked of a model
│   ├── LMTimeout       the deadline of the call passed
│   └── LMRefused       the provider answered with an error that a retry cannot mend
├── SandboxError    code that a model wrote and that failed, was cut off, or was refused
│   ├── CodeError       the code's own error, with its line; in harness.jail
│   └── JailUnavailable this machine cannot lock CPython up; in harness.jail
└── StoreError      results that cannot be written or read

BudgetExhausted and Interrupted stand apart: they derive from BaseException, because optimizer
libraries swallow Exception and score the example 0.
"""

from __future__ import annotations


class OptoraceError(Exception):
    """The root of all errors a user can cause: what is wrong, what is allowed, what to do."""


class ConfigError(OptoraceError):
    """A flag, a setting, a configuration file or a results folder does not fit."""


class PluginError(OptoraceError):
    """A task, program, optimizer or report is unknown or malformed."""


class DataError(OptoraceError):
    """Rows cannot be reached, or do not have the promised schema."""


class LMError(OptoraceError):
    """A model call failed for good: after all retries, or in a way that a retry cannot mend."""


class LMUnavailable(LMError):
    """There is no key, no such model or no server; nothing was asked of a model."""


class LMTimeout(LMError):
    """The deadline of a call passed."""


class LMRefused(LMError):
    """The provider answered with an error that a retry cannot mend."""


class SandboxError(OptoraceError):
    """Code that a model wrote failed, was cut off, or was refused."""


class StoreError(OptoraceError):
    """Results cannot be written or read."""


class BudgetExhausted(BaseException):
    """The budget of a problem is spent; the harness goes on with `problem.best_seen()`."""


class Interrupted(BaseException):
    """The user asked the run to stop; what is recorded stays, the cell is not finished."""


def ends_the_run(error: BaseException | None) -> bool:
    """Tell whether an error is about the run and not about one rollout or one prompt.

    A refused prompt and a call past its deadline fail where they happen; a model that gives no
    reply after all retries, a store that cannot write and a wrong setting end the run, which can
    go on later with nothing lost.
    """
    local = (LMRefused, LMTimeout, SandboxError)
    return isinstance(error, OptoraceError) and not isinstance(error, local)


def one_line(error: BaseException) -> str:
    """Return `Type: message` in one line of at most 500 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
