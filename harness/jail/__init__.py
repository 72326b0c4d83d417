"""CPython in a jail: the second level of the sandbox, for code that needs all of Python.

codec.py     values as text
policy.py    what code in the jail may do, as data
locks.py     puts the policy into force in a process
worker.py    the process that runs calls in locked children
probe.py     tries what must fail
answers.py   an answer as a value or an error
pool.py      Jail: the workers
"""

from __future__ import annotations

from harness.jail.answers import CodeError, JailUnavailable, code_error
from harness.jail.policy import Limits, Policy, policy_of_this_machine
from harness.jail.pool import Jail

__all__ = [
    "CodeError",
    "Jail",
    "JailUnavailable",
    "Limits",
    "Policy",
    "code_error",
    "policy_of_this_machine",
]
