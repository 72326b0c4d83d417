"""Backward: how feedback on an output goes back through the graph.

The default, GraphPropagator, tells each parameter the feedback and its part of the graph, in one
sweep. Any other propagator is asked for each node, from the output on: what do its inputs get?
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from operator import attrgetter, itemgetter
from typing import Any

from harness.trace.context import CREATION
from harness.trace.graph import ancestors, batch_of, links, sources_of
from harness.trace.kinds import MessageNode, Node
from harness.trace.marks import plain_text
from harness.trace.operators import install
from harness.trace.parameters import ParameterNode

# Guards the feedback of nodes that several threads share.
_LOCK = threading.RLock()


class Way:
    """One backward: the output, the feedback on it, and all that the output depends on."""

    __slots__ = ("feedback", "number", "order", "output")

    def __init__(self, output: Node[Any], feedback: Any, order: list[Node[Any]]) -> None:
        self.output = output
        self.feedback = feedback
        self.order = order
        self.number = next(CREATION)


class TraceGraph:
    """The part of the graph between some nodes and outputs, with the feedback on those.

    `graph` is made when it is first asked for: pairs (level, node), inputs first, where a node's
    level is one more than the highest of its inputs. It holds the minimal subgraph: nodes on the
    way from the starts to the output, and the direct inputs of those.
    """

    __slots__ = ("_graph", "_said", "ways")

    def __init__(
        self, graph: list[tuple[int, Node[Any]]] | None = None, user_feedback: Any = None
    ) -> None:
        self._graph = graph
        self._said = user_feedback
        # each with the nodes from which on it is shown
        self.ways: dict[Way, tuple[Node[Any], ...]] = {}

    @classmethod
    def along(cls, ways: Mapping[Way, tuple[Node[Any], ...]]) -> TraceGraph:
        """Return the part of the graph that lies on these ways, from the given nodes on."""
        made = cls()
        made.ways = dict(ways)
        return made

    @property
    def graph(self) -> list[tuple[int, Node[Any]]]:
        """The pairs (level, node), sorted by level."""
        if self._graph is None:
            self._graph = self._drawn()
        return self._graph

    @property
    def user_feedback(self) -> Any:
        """The feedback; a list of them, in the order given, if outputs got different ones."""
        said = [] if self._said is None else [self._said]
        for way in sorted(self.ways, key=attrgetter("number")):
            if not any(way.feedback is other or _equal(way.feedback, other) for other in said):
                said.append(way.feedback)
        return said[0] if len(said) == 1 else said or None

    def expand(self, node: MessageNode[Any]) -> TraceGraph:
        """Return the graph that ran inside a node of a bundle with `traceable_code`."""
        inner = node.extra.inner if node.extra is not None else None
        if inner is None:
            return TraceGraph([])
        order = ancestors(inner)
        roots = {n for n in order if isinstance(n, ParameterNode) or _is_argument(n, node)}
        return TraceGraph(_leveled(order, roots))

    def visualize(self, simple_visualization: bool = True, **options: Any) -> Any:
        """Return a drawing of the graph; the options are Trace's and change nothing."""
        said = [(way.output, str(way.feedback)) for way in self.ways]
        return _drawing([n for _, n in self.graph], said)

    def empty(self) -> bool:
        """Tell whether there is nothing in it."""
        return not self.ways and not self._graph and self._said is None

    @classmethod
    def sum(cls, graphs: Iterable[TraceGraph]) -> TraceGraph:
        """Return all as one; what they share appears once, and several feedbacks stay apart."""
        whole = [graph for graph in graphs if not graph.empty()]
        if len(whole) == 1:
            return whole[0]
        ways: dict[Way, dict[Node[Any], None]] = {}
        for graph in whole:
            for way, starts in graph.ways.items():
                ways.setdefault(way, {}).update(dict.fromkeys(starts))
        made = cls.along({way: (*starts,) for way, starts in ways.items()})
        made._said = next((g._said for g in whole if g._said is not None), None)
        if any(not graph.ways for graph in whole):
            made._graph = _union(whole)
        return made

    def __add__(self, other: TraceGraph) -> TraceGraph:
        return TraceGraph.sum([self, other])

    def __radd__(self, other: object) -> TraceGraph:
        return self if other == 0 else NotImplemented

    def __len__(self) -> int:
        return len(self.graph)

    def __iter__(self) -> Iterator[tuple[int, Node[Any]]]:
        return iter(self.graph)

    def __reduce__(self) -> tuple[Any, ...]:
        return (TraceGraph, (self.graph, self.user_feedback))

    def __repr__(self) -> str:
        return f"<TraceGraph to {len(self.ways)} outputs; feedback {self.user_feedback!r}>"

    def _drawn(self) -> list[tuple[int, Node[Any]]]:
        if len(self.ways) == 1:
            ((way, starts),) = self.ways.items()
            return _leveled(way.order, set(starts))
        found = (TraceGraph.along({way: starts}).graph for way, starts in self.ways.items())
        levels = {n: level for graph in found for level, n in graph}
        return sorted(((level, n) for n, level in levels.items()), key=_level)


class Propagator:
    """What the inputs of a node get of its feedback; the base of your own.

    A subclass writes `init_feedback(node, feedback)`, what the output itself gets, and
    `_propagate(child)`, which returns the feedback for each of `child.parents`; it finds its own in
    `child.feedback`: lists by the node they came from.
    """

    def __init__(self) -> None:
        self.override: dict[str, Callable[[MessageNode[Any]], Mapping[Node[Any], Any]]] = {}

    def register(
        self,
        operator_name: str,
        propagate_function: Callable[[MessageNode[Any]], Mapping[Node[Any], Any]],
    ) -> None:
        """Use another function for the operation of that name."""
        self.override[operator_name] = propagate_function

    def __call__(self, child: MessageNode[Any]) -> Mapping[Node[Any], Any]:
        """Return the feedback of every input. Raises ValueError if one is left out."""
        found = self.propagate(child)
        missing = [p for p in child.parents if p not in found]
        if missing:
            raise ValueError(f"the propagator gave no feedback for {missing} of {child!r}")
        return found

    def propagate(self, child: MessageNode[Any]) -> Mapping[Node[Any], Any]:
        """Return the feedback of every input, by the function registered for the operation."""
        return self.override.get(child.op or "", self._propagate)(child)

    def init_feedback(self, node: Node[Any], feedback: Any) -> Any:
        """Return what the output itself gets."""
        raise NotImplementedError(f"{type(self).__name__} has no init_feedback(); define it")

    def _propagate(self, child: MessageNode[Any]) -> Mapping[Node[Any], Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _propagate(); define it")


class SumPropagator(Propagator):
    """Every input gets the sum of the feedback: texts joined, numbers added."""

    def init_feedback(self, node: Node[Any], feedback: Any) -> Any:
        """Return the feedback."""
        return feedback

    def _propagate(self, child: MessageNode[Any]) -> Mapping[Node[Any], Any]:
        found = [item for items in child.feedback.values() for item in items]
        total = "".join(found) if all(isinstance(f, str) for f in found) else sum(found)
        return dict.fromkeys(child.parents, total)


class GraphPropagator(Propagator):
    """Every input gets the feedback with the part of the graph between it and the output."""

    def init_feedback(self, node: Node[Any], feedback: Any) -> TraceGraph:
        """Return the graph of the output alone."""
        return TraceGraph.along({Way(node, feedback, ancestors(node)): (node,)})

    def aggregate(self, feedback: Mapping[Node[Any], list[TraceGraph]]) -> TraceGraph:
        """Return the graphs that came through all children as one."""
        return TraceGraph.sum(graph for graphs in feedback.values() for graph in graphs)

    def _propagate(self, child: MessageNode[Any]) -> Mapping[Node[Any], Any]:
        ways = dict.fromkeys(self.aggregate(child.feedback).ways, (child,))
        return dict.fromkeys(child.parents, TraceGraph.along(ways))


def backward(  # noqa: PLR0913  Trace's own signature
    node: Node[Any],
    feedback: Any = "",
    propagator: Propagator | None = None,
    retain_graph: bool = False,
    visualize: bool = False,
    simple_visualization: bool = True,
    reverse_plot: bool = False,
    print_limit: int = 100,
) -> Any:
    """Send feedback on a node back to the parameters that it depends on.

    They keep it in `.feedback`, by the child it came through, until `zero_feedback()`; until then
    it keeps the graph alive. retain_graph: every node on the way keeps it. Several outputs may
    share nodes, and each has its own feedback. With `visualize` a drawing is returned; the options
    after it are Trace's and change nothing.
    """
    order = ancestors(node)
    feedback = plain_text(feedback) if isinstance(feedback, str) else feedback
    start = propagator or GraphPropagator()
    usual = type(start) is GraphPropagator and not (retain_graph or start.override)
    with _LOCK:
        is_root = not node.sources and node.extra is None
        if is_root and usual and not isinstance(node, ParameterNode):
            pass  # nothing to tell
        elif is_root:
            node.add_feedback(Node("FEEDBACK_ORACLE"), start.init_feedback(node, feedback))
        elif usual:
            _send_graphs(node, feedback, order)
        else:
            _sweep(node, feedback, order, start, retain_graph)
    if not visualize:
        return None
    return _drawing(order, [(node, str(feedback))])


def _send_graphs(output: Node[Any], feedback: Any, order: list[Node[Any]]) -> None:
    """Give each parameter one graph for each child, at once: what a sweep would bring it."""
    parameters = {n for n in order if isinstance(n, ParameterNode)}
    way = Way(output, feedback, order)
    for child in order:
        if child.sources or child.extra is not None:
            for source in sources_of(child):
                if source in parameters:
                    _tell_once(source, child, way)


def _tell_once(parameter: Node[Any], child: Node[Any], way: Way) -> None:
    """Add a graph, unless the parameter is a further input of the same child."""
    known: list[TraceGraph] = parameter.feedback.get(child, [])
    if not known or way not in known[-1].ways:
        parameter.add_feedback(child, TraceGraph.along({way: (child,)}))


def _sweep(
    output: Node[Any],
    feedback: Any,
    order: list[Node[Any]],
    propagator: Propagator,
    retain_graph: bool,
) -> None:
    before = {n: n.feedbacks for n in order}
    for n in order:
        n.feedbacks = None
    try:
        output.add_feedback(Node("FEEDBACK_ORACLE"), propagator.init_feedback(output, feedback))
        _pass_down(order, propagator)
    except BaseException:
        for n in order:
            n.feedbacks = before[n]
        raise
    for n in order:
        fresh = n.feedback if retain_graph or not n.sources else {}
        merged = dict(before[n] or {})
        for child, items in fresh.items():
            merged[child] = merged.get(child, []) + items
        n.feedbacks = merged or None


def _pass_down(order: list[Node[Any]], propagator: Propagator) -> None:
    for n in reversed(order):
        if isinstance(n, MessageNode) and n.feedbacks and (n.sources or n.extra):
            found = propagator(n)
            # What is no input gets what the inputs get; without any, what the node itself got.
            own = [item for items in n.feedback.values() for item in items]
            whole = next(iter(found.values()), own[0])
            for source in dict.fromkeys(sources_of(n)):
                source.add_feedback(n, found.get(source, whole))


def _leveled(order: list[Node[Any]], starts: Container[Node[Any]]) -> list[tuple[int, Node[Any]]]:
    """Return the nodes that depend on the starts, and their inputs, with their levels, by level."""
    levels: dict[Node[Any], int] = {}
    between: set[Node[Any]] = set()
    shown: set[Node[Any]] = set()
    for n in order:
        level, inside = 0, n in starts
        if n.sources or n.extra is not None:
            sources = sources_of(n)
            for source in sources:
                level = max(level, levels[source] + 1)
                inside = inside or source in between
            if inside:
                shown.update(sources)
        if inside:
            between.add(n)
            shown.add(n)
        levels[n] = level
    return sorted([(levels[n], n) for n in order if n in shown], key=_level)


_level = itemgetter(0)


def _union(graphs: Iterable[TraceGraph]) -> list[tuple[int, Node[Any]]]:
    found = {n: level for graph in graphs for level, n in graph}
    return sorted(((level, n) for n, level in found.items()), key=_level)


def _is_argument(n: Node[Any], call: MessageNode[Any]) -> bool:
    """Tell whether a root of the inner graph stands for an input of the call."""
    names = [argument for argument, _ in links(call)]
    return not n.sources and n.label in names and not isinstance(n, ParameterNode)


def _equal(one: Any, other: Any) -> bool:
    """Tell whether two feedbacks are plain and equal; others are compared by identity."""
    plain = (str, int, float, bool, tuple)
    return type(one) in plain and type(one) is type(other) and one == other


def _drawing(nodes: list[Node[Any]], said: list[tuple[Node[Any], str]]) -> Any:
    from harness.trace.draw import Drawing

    return Drawing(batch_of(nodes, said))


def _dependencies(node: Node[Any]) -> set[Node[Any]]:
    """Return the parameters that a node was visibly made from."""
    return {n for n in _visible(node) if isinstance(n, ParameterNode)}


def _expandable(node: Node[Any]) -> set[Node[Any]]:
    """Return the nodes on the way whose inner graph uses parameters that are not inputs."""
    return {n for n in _visible(node) if isinstance(n, MessageNode) and _hidden(n)}


def _hidden(node: Node[Any]) -> set[Node[Any]]:
    """Return the parameters that a node depends on without having them as inputs."""
    extra = node.extra if isinstance(node, MessageNode) else None
    found = ancestors(*extra.hidden) if extra is not None else []
    return {n for n in found if isinstance(n, ParameterNode)}


def _visible(node: Node[Any]) -> set[Node[Any]]:
    found = {node}
    waiting = [node]
    while waiting:
        new = [s for s in waiting.pop().sources.values() if s not in found]
        found.update(new)
        waiting += new
    return found


def _own_level(node: Node[Any]) -> int:
    """One more than the highest level of its inputs; 0 without any."""
    return dict((n, level) for level, n in _leveled(ancestors(node), {node}))[node]


install("backward", backward, "Send feedback back to the parameters that it depends on.")
Node.level = property(_own_level)
Node.parameter_dependencies = property(_dependencies)
Node.expandable_dependencies = property(_expandable)
Node.hidden_dependencies = property(_hidden)
