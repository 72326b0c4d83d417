"""A value that remembers how it was made; knows nothing of models, tasks or files.

The files have the names of Trace's own modules where they hold the same things, so that programs
written for `opto.trace` run when only the import changes.
"""

from harness.trace import iterators, nodes, operators, propagators
from harness.trace.bound import BoundBundle
from harness.trace.broadcast import apply_op
from harness.trace.bundle import bundle
from harness.trace.code import Signature
from harness.trace.constraints import (
    Constraint,
    DictOf,
    ListOf,
    Matches,
    MaxLength,
    OfType,
    OneOf,
    Range,
    Satisfies,
    Words,
)
from harness.trace.containers import Map, NodeContainer, ParameterContainer, Seq
from harness.trace.context import (
    CodeRunner,
    LanguageModel,
    is_tracing,
    stop_tracing,
    use_code_runner,
    use_llm,
)
from harness.trace.errors import (
    ExecutionError,
    MissingCodeRunner,
    TraceMissingInputsError,
    UsageError,
)
from harness.trace.function import Bundle
from harness.trace.graph import Batch, Trace, TraceNode, merge, trace_of
from harness.trace.kinds import ExceptionNode, MessageNode, Node
from harness.trace.marks import plain_text
from harness.trace.modules import Module, model
from harness.trace.nodes import GRAPH, apply, make_dict, make_list, make_tuple, node
from harness.trace.parameters import Parameter, ParameterKind, ParameterNode
from harness.trace.propagators import GraphPropagator, Propagator, SumPropagator, TraceGraph
from harness.trace.snapshots import to_data
from harness.trace.text import ParameterText, ProblemText, to_text

__all__ = [
    "GRAPH",
    "Batch",
    "BoundBundle",
    "Bundle",
    "CodeRunner",
    "Constraint",
    "DictOf",
    "ExceptionNode",
    "ExecutionError",
    "GraphPropagator",
    "LanguageModel",
    "ListOf",
    "Map",
    "Matches",
    "MaxLength",
    "MessageNode",
    "MissingCodeRunner",
    "Module",
    "Node",
    "NodeContainer",
    "OfType",
    "OneOf",
    "Parameter",
    "ParameterContainer",
    "ParameterKind",
    "ParameterNode",
    "ParameterText",
    "ProblemText",
    "Propagator",
    "Range",
    "Satisfies",
    "Seq",
    "Signature",
    "SumPropagator",
    "Trace",
    "TraceGraph",
    "TraceMissingInputsError",
    "TraceNode",
    "UsageError",
    "Words",
    "apply",
    "apply_op",
    "bundle",
    "is_tracing",
    "iterators",
    "make_dict",
    "make_list",
    "make_tuple",
    "merge",
    "model",
    "node",
    "nodes",
    "operators",
    "plain_text",
    "propagators",
    "stop_tracing",
    "to_data",
    "to_text",
    "trace_of",
    "use_code_runner",
    "use_llm",
]
