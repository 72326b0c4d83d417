"""A value that remembers how it was made; knows nothing of models, tasks or files."""

from harness.trace.bundle import (
    BoundBundle,
    Bundle,
    MissingCodeRunner,
    TraceMissingInputsError,
    bundle,
)
from harness.trace.context import CodeRunner, stop_tracing, use_code_runner
from harness.trace.feedback import Feedback, backward
from harness.trace.graph import Batch, Trace, TraceNode, merge, trace_of
from harness.trace.module import Module, model
from harness.trace.node import (
    ExceptionNode,
    ExecutionError,
    Node,
    Parameter,
    ParameterKind,
    ParameterNode,
    UsageError,
    node,
)
from harness.trace.ops import cond, str_
from harness.trace.record import apply, make_dict, make_list, make_tuple
from harness.trace.text import ParameterText, ProblemText, to_text

__all__ = [
    "Batch",
    "BoundBundle",
    "Bundle",
    "CodeRunner",
    "ExceptionNode",
    "ExecutionError",
    "Feedback",
    "MissingCodeRunner",
    "Module",
    "Node",
    "Parameter",
    "ParameterKind",
    "ParameterNode",
    "ParameterText",
    "ProblemText",
    "Trace",
    "TraceMissingInputsError",
    "TraceNode",
    "UsageError",
    "apply",
    "backward",
    "bundle",
    "cond",
    "make_dict",
    "make_list",
    "make_tuple",
    "merge",
    "model",
    "node",
    "stop_tracing",
    "str_",
    "to_text",
    "trace_of",
    "use_code_runner",
]
