"""One call of a bundle: where its body runs, and what becomes of its result."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from inspect import isawaitable
from types import GeneratorType
from typing import TYPE_CHECKING, Any, cast

from harness.trace.context import CREATION, SCOPE, Scope
from harness.trace.errors import ExecutionError, TraceMissingInputsError, UsageError
from harness.trace.graph import ancestors
from harness.trace.kinds import NODE, MessageNode, Node, serial
from harness.trace.nodes import failure, record
from harness.trace.origins import Extra
from harness.trace.parameters import CODE, ParameterNode
from harness.trace.snapshots import BARE, snapshot

if TYPE_CHECKING:
    from harness.trace.function import Bundle


class Run(Scope):
    """The scope of a bundle's body: tracing is stopped, and the nodes that it reads are noted."""

    __slots__ = ("around", "bundle", "inputs", "mark")

    def __init__(
        self,
        bundle: Bundle[..., Any],
        inputs: Mapping[str, Node[Any]],
        around: Scope | None,
    ) -> None:
        self.bundle = bundle
        self.inputs = inputs
        self.reads: set[Node[Any]] = set()  # pyright: ignore[reportIncompatibleVariableOverride]  # never None here
        self.told: set[Node[Any]] = set()  # pyright: ignore[reportIncompatibleVariableOverride]
        traced = bundle.options.traceable_code
        self.tracing = traced and (around is None or around.tracing)
        plain = () if around is None else around.plain
        self.plain = (*plain, inputs.get(CODE, bundle)) if bundle.plain_recursion else plain
        self.mark = next(CREATION)

    def __enter__(self) -> None:
        self.around = SCOPE.get()
        SCOPE.set(self)

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        SCOPE.set(self.around)
        if not isinstance(error, Exception) or isinstance(error, UsageError):
            return
        if self.bundle.options.catch_execution_error:
            raise self.failure(error) from error
        self._hidden()

    def now(
        self, function: Callable[..., Any], args: list[Any], kwargs: Mapping[str, Any]
    ) -> MessageNode[Any]:
        """Run the body; return the node of its result, of what a generator yields as one list."""
        with self:
            value = function(*args, **kwargs)
            if type(value) is GeneratorType:
                value = list(cast("Any", value))
        return self.result(value)

    async def later(
        self, function: Callable[..., Any], args: list[Any], kwargs: Mapping[str, Any]
    ) -> MessageNode[Any]:
        """Run an async body; return the node of its result."""
        with self:
            value = function(*args, **kwargs)
            if isinstance(value, AsyncGenerator):
                value = [item async for item in cast("AsyncGenerator[Any]", value)]
            elif isawaitable(value):
                value = await value
        return self.result(value)

    def result(self, value: Any) -> MessageNode[Any]:
        """Return the node of a result."""
        inner: Node[Any] | None = value if isinstance(value, NODE) else None
        reads = self.reads
        if type(value) not in BARE:
            written: list[Node[Any]] = []  # nodes in the result, also in an f-string
            value = snapshot(value, written)
            reads.update(written)
        if not reads and not self.told and inner is None:
            return record(value, self.bundle, self.inputs)
        if self.bundle.options.traceable_code:
            seen = ancestors(inner) if inner is not None else reads
            hidden: list[Node[Any]] = [n for n in seen if isinstance(n, ParameterNode)]
            note_reads(hidden)
        else:
            hidden, inner = self._hidden(), None
        extra = Extra(tuple(hidden), inner) if hidden or inner is not None else None
        return record(value, self.bundle, self.inputs, extra)

    def failure(self, error: Exception) -> ExecutionError:
        """Return the error to raise for one that left the body."""
        bundle = self.bundle
        hidden = [] if bundle.options.traceable_code else self._hidden()
        failed = failure(error, bundle, self.inputs, bundle.marked(error, self.inputs))
        failed.exception_node.extra = Extra(tuple(hidden), None) if hidden else None
        return failed

    def _hidden(self) -> list[Node[Any]]:
        """Return what the body read besides its inputs; refuse all but code, unless allowed.

        Nodes made in the body do not count; the code of a method may be made there, though. What
        the body wrote into a text is never refused: programs print.
        """
        known = set(self.inputs.values())
        if not self.bundle.options.process_inputs:  # texts came with their marks
            known.update(ancestors(*known))
        unknown = sorted(self.reads - known, key=serial)
        outside = [n for n in unknown if n.serial < self.mark or isinstance(n, ParameterNode)]
        bare = [n for n in outside if not (isinstance(n, ParameterNode) and n.kind == "code")]
        if bare and not self.bundle.options.allow_external_dependencies:
            raise TraceMissingInputsError(
                f"{self.bundle.__qualname__} reads {', '.join(map(repr, bare[:3]))} which it does "
                "not take as arguments; pass them as arguments, or set "
                "allow_external_dependencies=True"
            )
        told = sorted(self.told - known - set(outside), key=serial)
        outside += [n for n in told if n.serial < self.mark]
        note_reads(outside)
        return outside


def note_reads(nodes: Iterable[Node[Any]]) -> None:
    """Tell the bundle around, if there is one, that it reads these nodes."""
    around = SCOPE.get()
    if around is not None and around.reads is not None:
        around.reads.update(nodes)
