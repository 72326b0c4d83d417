"""Random programs for the tracing tests: as plain Python, as nodes, and their subgraph by search.

Bytes are a program, so hypothesis draws and shrinks it in one piece. Reading them runs the
program on plain values and writes down our own list of edges; `run_traced` runs it on nodes.
`minimal_subgraph` tries every path over our own edges. Nothing here asks a node for its inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.trace import ExecutionError, bundle, node, operators, stop_tracing

LARGEST, LONGEST, MOST = 10**9, 80, 40
Edge = tuple["str | None", int]


@dataclass(frozen=True)
class Op:
    """One operation: its names in a trace, its operands, how to run it on nodes and on values.

    kinds: i a whole number, s a text, l a list, g a list made of numbers and nodes, z a slice,
    a anything; e, u, v are a plain number, text, list: Python swaps a comparison of a node
    and a node of a subclass. A capital has to be a node. arguments: None where their names are
    not promised. defaults: what the call leaves out; they are inputs all the same.
    """

    name: str
    kinds: str
    run: Callable[..., Any]
    arguments: tuple[str, ...] | None
    on_values: Callable[..., Any] | None = None
    defaults: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class Vertex:
    """One value of a program, and how it came about.

    kind: "parameter"; "input", a node without a past; "raw", a plain operand; "gather", a list
    that holds nodes; "op". operands: what it is run on. edges: what it depends on, by argument.
    """

    kind: str
    value: Any
    type: str
    op: Op | None = None
    operands: tuple[int, ...] = ()
    edges: tuple[Edge, ...] = ()
    traced: bool = True


Program = Sequence[Vertex]


def doubled(x):
    return [x, x]


def joined(a, b="-"):
    return f"{a}{b}"


def chosen(a, b, *, c=2):
    return (a, b)[c % 2]


def counted(*args, **named):
    return len(args) + 10 * len(named)


def total(numbers, start=0):
    return sum(numbers, start)


def fragile(x, limit):
    if x % 3 == limit % 3:
        raise ValueError(f"{x} is too close to {limit}")
    return x - limit


DOUBLED, JOINED, CHOSEN = bundle(doubled), bundle(joined), bundle(chosen)
COUNTED, TOTAL, FRAGILE = bundle(counted), bundle(total), bundle(fragile)
X, XY, XI = ("x",), ("x", "y"), ("x", "index")

# fmt: off
OPS = (
    Op("neg", "i", lambda x: -x, X), Op("pos", "i", lambda x: +x, X),
    Op("invert", "i", lambda x: ~x, X), Op("abs", "i", abs, X),
    Op("floor", "i", math.floor, X), Op("ceil", "i", math.ceil, X),
    Op("lower", "S", lambda x: x.lower(), X), Op("upper", "S", lambda x: x.upper(), X),
    Op("title", "S", lambda x: x.title(), X), Op("swapcase", "S", lambda x: x.swapcase(), X),
    Op("capitalize", "S", lambda x: x.capitalize(), X), Op("strip", "S", lambda x: x.strip(), X),
    Op("len_", "L", lambda x: x.len(), X, len), Op("len_", "S", lambda x: x.len(), X, len),
    Op("to_str", "a", operators.to_str, X, str),
    *(Op("add concat", kinds, lambda x, y: x + y, XY) for kinds in ("ii", "ss", "ll")),
    Op("subtract", "ii", lambda x, y: x - y, XY),
    Op("multiply", "ii", lambda x, y: x * y, XY), Op("multiply", "Se", lambda x, y: x * y, XY),
    Op("divide", "ii", lambda x, y: x / y, XY), Op("floor_divide", "ii", lambda x, y: x // y, XY),
    Op("mod", "ii", lambda x, y: x % y, XY), Op("node_divmod", "ii", divmod, XY),
    Op("power", "Ie", lambda x, y: x**y, XY), Op("lshift", "Ie", lambda x, y: x << y, XY),
    Op("rshift", "Ie", lambda x, y: x >> y, XY), Op("and_", "ii", lambda x, y: x & y, XY),
    Op("or_", "ii", lambda x, y: x | y, XY), Op("xor", "ii", lambda x, y: x ^ y, XY),
    Op("matmul", "ii", lambda x, y: x @ y, XY), Op("lt", "Ie", lambda x, y: x < y, XY),
    Op("le", "Ie", lambda x, y: x <= y, XY), Op("gt", "Su", lambda x, y: x > y, XY),
    Op("ge", "Lv", lambda x, y: x >= y, XY),
    Op("eq", "Aa", lambda x, y: x.eq(y), XY, lambda x, y: x == y),
    Op("neq", "Aa", lambda x, y: x.neq(y), XY, lambda x, y: x != y),
    Op("getitem", "Li", lambda x, i: x[i], XI), Op("getitem", "Si", lambda x, i: x[i], XI),
    Op("getitem", "Lz", lambda x, i: x[i], XI), Op("split", "Ss", lambda x, y: x.split(y), None),
    Op("replace", "Sss", lambda x, y, z: x.replace(y, z), None),
    Op("join", "SL", lambda x, y: x.join(y), None),
    Op("format", "Saa", lambda x, y, z: x.format(y, z), None),
    Op("cond", "aaa", operators.cond, ("condition", "x", "y"), lambda c, x, y: x if c else y),
    Op("make_list", "aaa", operators.make_list, None, lambda *items: list(items)),
    Op("doubled", "a", DOUBLED, X, doubled),
    Op("joined", "a", JOINED, ("a",), joined, (("b", "-"),)),
    Op("joined", "as", JOINED, ("a", "b"), joined),
    Op("joined", "sa", lambda x, y: JOINED(b=y, a=x), ("a", "b"), joined),
    Op("chosen", "aa", CHOSEN, ("a", "b"), chosen, (("c", 2),)),
    Op("chosen", "aai", lambda x, y, z: CHOSEN(x, y, c=z), ("a", "b", "c"),
       lambda x, y, z: chosen(x, y, c=z)),
    Op("counted", "aaaa", lambda w, x, y, z: COUNTED(w, x, more=y, less=z),
       ("args_0", "args_1", "more", "less"), lambda w, x, y, z: counted(w, x, more=y, less=z)),
    Op("total", "gi", TOTAL, ("numbers", "start"), total),
    Op("total", "l", TOTAL, ("numbers",), total, (("start", 0),)),
    Op("fragile", "ii", FRAGILE, ("x", "limit"), fragile),
)
# fmt: on
CONSTANTS: Mapping[str, tuple[object, ...]] = {
    "i": (0, 1, 2, 3, -1, 7, 12, True),
    "s": ("a", "B c", "", " xyz ", "{}-{}", "été"),
    "l": ([1, 2, 3], [], ["p", [4, 5]], [0, -1, 2, 9], ["a", "b"]),
    "z": (slice(1, 3), slice(None, None, -1), slice(0, None)),
    "e": (0, 1, 2, 3, -1),
    "u": ("A", "b"),
    "v": ([], [2], ["a"]),
}


class Reader:
    """Grows a program from bytes; when they are used up every choice is the first one."""

    def __init__(self, code: bytes) -> None:
        self.code = iter(code)
        self.left = len(code)
        self.program: list[Vertex] = []

    def choose(self, n: int) -> int:
        self.left -= 1
        return next(self.code, 0) % n

    def pick(self, options: Sequence[Any]) -> Any:
        return options[self.choose(len(options))]

    def add(self, kind: str, value: object, **more: Any) -> int:
        self.program.append(Vertex(kind, value, **{"type": type(value).__name__, **more}))
        return len(self.program) - 1

    def nodes(self, kind: str) -> list[int]:
        """Return what may be used again and has a value of the kind."""
        found = nodes_of(self.program)
        return [i for i in found if kind in ("a", kind_of(self.program[i].value))]

    def operand(self, kind: str, raw_allowed: bool) -> int:
        """Return a value of the kind: a plain one, a list of nodes, a node; rarely any node."""
        small, choice = kind.lower(), self.choose(16)
        if small == "g":
            items = tuple(self.operand("i", i > 0) for i in range(1 + choice % 3))
            edges = tuple((None, i) for i in items)
            values = [self.program[i].value for i in items]
            return self.add("gather", values, operands=items, edges=edges)
        if small in "zeuv" or (choice < 4 and raw_allowed and kind == small):
            return self.add("raw", self.pick(CONSTANTS["i" if small == "a" else small]))
        found = self.nodes("a" if choice == 15 and kind == small else small)
        # Mostly recent values, so that programs grow deep and share what they made.
        return self.pick(found[-2:] if choice % 4 else found) if found else self.fresh(small)

    def fresh(self, kind: str) -> int:
        return self.leaf("input" if self.choose(2) else "parameter", kind)

    def leaf(self, kind: str, values: str) -> int:
        return self.add(kind, self.pick(CONSTANTS[values]))

    def step(self) -> None:
        """Add one leaf or one operation; none if its value would be too large."""
        choice, before = self.choose(16), len(self.program)
        if choice < 2:
            self.leaf("input" if choice else "parameter", self.pick("isl"))
            return
        op = self.pick(OPS)
        operands = tuple(self.operand(k, i > 0) for i, k in enumerate(op.kinds))
        operands = operands[::-1] if op.kinds in ("ii", "ss", "ll") and choice == 2 else operands
        names = op.arguments or (None,) * len(operands)
        edges = list(zip(names, operands, strict=True))
        edges += [(name, self.add("raw", value)) for name, value in op.defaults]
        value, error = on_values(op, [self.program[i].value for i in operands])
        if too_large(value):
            del self.program[before:]
            return
        traced = choice != 15
        kept = tuple(edges) if traced else ()
        facts = {"op": op, "operands": operands, "edges": kept, "traced": traced}
        self.add("op", value, **facts, type=error or type(value).__name__)


def read_program(code: bytes) -> Program:
    """Return the program that the bytes stand for; its values are those of plain Python."""
    reader = Reader(code)
    reader.leaf("parameter", reader.pick("isl"))
    while reader.left > 0 and len(reader.program) < MOST:
        reader.step()
    return reader.program


def on_values(op: Op, values: Sequence[object]) -> tuple[object, str | None]:
    """Return the plain result; for a failure what it leaves as a value, and the error's name."""
    try:
        return (op.on_values or op.run)(*values), None
    except Exception as error:  # noqa: BLE001  whatever an operation raises is its outcome
        return f"({type(error).__name__}) {error}", type(error).__name__


def run_traced(program: Program) -> list[Any]:
    """Run the program on nodes; what failed is its exception node."""
    made: list[Any] = []
    for i, v in enumerate(program):
        operands = [made[j] for j in v.operands]
        if v.kind in ("parameter", "input"):
            made.append(node(v.value, name=f"v{i}", trainable=v.kind == "parameter"))
        elif v.kind == "raw":
            made.append(v.value)
        elif v.kind == "gather":
            made.append(operands)
        else:
            made.append(outcome(v, operands))
    return made


def outcome(v: Vertex, operands: Sequence[Any]) -> Any:
    """Return the node of one operation."""
    assert v.op is not None
    try:
        if v.traced:
            return v.op.run(*operands)
        with stop_tracing():
            return v.op.run(*operands)
    except ExecutionError as error:
        return error.exception_node


def largest(program: Program) -> int:
    """Return the node that depends on the most others."""
    below: list[set[int]] = []
    for i, v in enumerate(program):
        below.append({i}.union(*(below[source] for _, source in v.edges)))
    return max(nodes_of(program), key=lambda i: len(below[i]))


def nodes_of(program: Program) -> list[int]:
    """Return what `run_traced` makes a node of; the rest are operands of one operation."""
    return [i for i, v in enumerate(program) if v.kind not in ("raw", "gather")]


def paths(program: Program, output: int) -> Iterator[tuple[int, ...]]:
    """Yield every path from the output back to a value that depends on nothing."""
    sources = {source for _, source in program[output].edges}
    if not sources:
        yield (output,)
    for source in sources:
        for rest in paths(program, source):
            yield (output, *rest)


def minimal_subgraph(
    program: Program, outputs: Sequence[int], parameters: Sequence[int]
) -> tuple[set[int], set[int]]:
    """Return what lies on a path from a parameter to an output, and the direct inputs of that."""
    between: set[int] = set()
    for output in outputs:
        for path in paths(program, output):
            if path[-1] in parameters:
                between.update(path)
    direct = {source for i in between for _, source in program[i].edges}
    return between, direct - between


def kind_of(value: object) -> str:
    if isinstance(value, int):
        return "i"
    if isinstance(value, str):
        return "s"
    return "l" if isinstance(value, list | tuple) else "a"


def too_large(value: object) -> bool:
    return (isinstance(value, int) and abs(value) > LARGEST) or len(repr(value)) > LONGEST
