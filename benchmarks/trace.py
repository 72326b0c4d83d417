"""The tracing core in figures, side by side with trace-opt (`opto.trace`) in the same run.

    .venv/bin/python benchmarks/trace.py                                  this library alone
    .venv/bin/uv run --no-sync --with trace-opt==0.1.3.8 python benchmarks/trace.py

uv lays trace-opt over the project's own environment for one run; `--no-sync` leaves that as it is.
The two libraries take turns in one process, round by round: A B A B. The garbage collector is on,
but does not look at what was imported, so that neither library pays for the other's modules.

Times are CPU time, which a busy machine disturbs little; a call's has about 0.05 µs of loop in it,
an import's is what it takes more than a bare interpreter. Memory and imports are measured in fresh
processes. After a stop by the budget, larger sizes are not tried. The ratio tells how many times as
much trace-opt needs. An error's name in place of a figure is what the library raised. Needs Linux.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import importlib.util
import io
import json
import math
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from sidebyside import (
    Figure,
    Laps,
    Rounds,
    Row,
    head,
    in_fresh_process,
    line,
    machine,
    run_code,
    seconds_per_call,
)
from traced_programs import build, calls_of, joiner

N_PARAMETERS = 1_000
N_IMPORTS = 9
N_ITERATIONS = 100_000
FEEDBACK = "too low"

# What a call may cost in µs: traced, and under stop_tracing; None: no target.
CALLS: dict[str, tuple[float | None, float | None]] = {
    "node + node": (3, 1),
    "node + 1": (3, 1),
    "-node": (3, 1),
    "node[0]": (3, 1),
    "bundle of 1 node": (4, 1),
    "bundle of 1 value": (4, 1),
    "bundle of 5, 2 defaults": (None, None),
    "trainable bundle": (None, None),
    "bundled method": (None, None),
    "bundle that raises": (None, None),
}
# Which sizes of a shape are built, and what backward and extraction of the last may cost in ms.
GRAPHS: dict[str, tuple[tuple[int, ...], float | None]] = {
    "chain": ((100, 1_000, 10_000), 30),
    "diamond": ((100, 1_000, 10_000), 30),
    "ladder": ((10, 100, 1_000), 15),
    "fan-in": ((100, 1_000, 10_000), None),
}
PROMPTS: dict[str, float | None] = {"fan-in": 50, "sum": 50}  # ms
MEMORY: dict[str, float | None] = {"chain": 600, "sum": None}  # bytes an operator
# Operators, each with one more node, its constant; and whether the garbage collector is on. Its
# passes over all that lives begin with some thousand nodes, which would look like growth.
GROWTH = ((500, False), (5_000, False), (50_000, False), (500_000, False), (500_000, True))
GROWTH_POWER = 1.2  # linear is 1, n log n 1.1 with these sizes, quadratic 2


class Optorace:
    """This library."""

    name, module = "optorace", "harness.trace"

    def __init__(self) -> None:
        self.api: Any = importlib.import_module(self.module)

    def clear(self) -> None:
        """Do nothing: nodes die with their last reference."""

    def extract(self, output: Any, parameters: list[Any]) -> object:
        """Run backward and return the trace."""
        output.backward(FEEDBACK)
        return self.api.trace_of(output, _named(parameters))

    def prompt(self, output: Any, parameters: list[Any]) -> Callable[[], object]:
        """Run backward; return what then makes the trace and its text."""
        output.backward(FEEDBACK)
        named = _named(parameters)
        return lambda: self.api.to_text([(self.api.trace_of(output, named), FEEDBACK)], named)


class TraceOpt:
    """trace-opt, with the propagator and the prompt of its optimizer OptoPrime."""

    name, module = "trace-opt", "opto.trace"

    def __init__(self) -> None:
        self.api: Any = importlib.import_module(self.module)

    def clear(self) -> None:
        """Empty the global graph."""
        self.api.GRAPH.clear()

    def extract(self, output: Any, parameters: list[Any]) -> object:
        """Run backward and sum the graphs that the parameters got."""
        propagator = self.api.propagators.GraphPropagator()
        output.backward(FEEDBACK, propagator=propagator)
        return sum(propagator.aggregate(p.feedback) for p in parameters)

    def prompt(self, output: Any, parameters: list[Any]) -> Callable[[], object]:
        """Run backward; return what then sums the graphs and writes OptoPrime's prompt."""
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else its import asks the network
        with contextlib.redirect_stdout(io.StringIO()):
            optimizers = importlib.import_module("opto.optimizers")
        optimizer = optimizers.OptoPrime(parameters, llm=_no_model)
        optimizer.backward(output, FEEDBACK)
        return lambda: optimizer.construct_prompt(optimizer.summarize())


Library: TypeAlias = Optorace | TraceOpt
LIBRARIES: dict[str, type[Library]] = {x.name: x for x in (Optorace, TraceOpt)}


@dataclass(frozen=True, slots=True)
class Bench:
    """The libraries to measure, and the limits of each measurement with each of them."""

    libraries: list[Library]
    rounds: int
    budget_s: float

    def calls(self) -> Iterator[Row]:
        """Time single calls, traced and under stop_tracing."""
        for i, suffix in enumerate(("", ", stop_tracing")):
            for what, targets in CALLS.items():
                rounds = self._alternate(partial(time_call, what, i == 0))
                figures = {name: r.figure("call", 1e6) for name, r in rounds.items()}
                yield Row(what + suffix, "µs", figures, targets[i])

    def graphs(self) -> Iterator[Row]:
        """Time forward, and backward with extraction, on shapes of growing size."""
        for shape, (sizes, target) in GRAPHS.items():
            stopped: dict[str, Figure] = {}
            for n in sizes:
                rounds = self._alternate(partial(time_graph, shape, n), stopped)
                for phase, after in (("forward", None), ("backward + extraction", "forward")):
                    figures = {name: r.figure(phase, 1e3, after) for name, r in rounds.items()}
                    aim = target if n == sizes[-1] and after else None
                    yield Row(f"{shape} of {n:,}: {phase}", "ms", stopped | figures, aim)
                late = [name for name, r in rounds.items() if r.stopped]
                stopped.update(dict.fromkeys(late, Figure(note="not tried")))

    def prompts(self) -> Iterator[Row]:
        """Time the way from feedback at the parameters to the text of a prompt."""
        for library in self.libraries:  # what this imports is no garbage to look through later
            library.prompt(*build("sum", library.api, 2))
        gc.collect()
        gc.freeze()
        for shape, target in PROMPTS.items():
            rounds = self._alternate(partial(time_prompt, shape))
            figures = {name: r.figure("prompt", 1e3) for name, r in rounds.items()}
            yield Row(f"prompt, {shape} of {N_PARAMETERS:,} parameters", "ms", figures, target)

    def memory(self) -> Iterator[Row]:
        """Measure bytes per operator, and what 100,000 iterations leave behind."""
        names = [x.name for x in self.libraries]
        for shape, target in MEMORY.items():
            used = {x: Figure((in_fresh_process(bytes_per_operator, x, shape),)) for x in names}
            yield Row(f"operator in a {shape} of {N_PARAMETERS:,}", "byte", used, target)
        left = {name: in_fresh_process(left_behind, name, self.budget_s) for name in names}
        whats = (("more memory", "KiB", 1024), ("more nodes alive", "node", 0))
        for i, (what, unit, target) in enumerate(whats):
            figures = {name: Figure((x[i],), f"in {x[2]:,}") for name, x in left.items()}
            yield Row(f"{N_ITERATIONS:,} iterations: {what}", unit, figures, target)

    def growth(self) -> Iterator[Row]:
        """Tell what a node costs in chains of up to a million nodes, of this library only."""
        laps = {x: in_fresh_process(seconds_per_node, *x, self.rounds) for x in GROWTH}
        for phase in laps[GROWTH[0]]:
            for (n, collected), each in laps.items():
                what = f"{phase}, a node of {2 * n + 1:,}{', gc on' * collected}"
                yield Row(what, "µs", {Optorace.name: Figure((each[phase] * 1e6,))})
            # From the second size on: what is smaller fits into the processor's cache.
            small, large = GROWTH[1], GROWTH[3]
            factor = laps[large][phase] / laps[small][phase]
            power = 1 + math.log(factor) / math.log(large[0] / small[0])
            figures = {Optorace.name: Figure((power,))}
            yield Row(f"{phase}, power of growth", "", figures, GROWTH_POWER)

    def imports(self) -> Iterator[Row]:
        """Time the import over a bare interpreter; count the other projects' packages it loads."""
        seconds: dict[str, list[float]] = {x.name: [] for x in self.libraries}
        for _ in range(N_IMPORTS):
            for library in self.libraries:
                bare = run_code("pass")[1]
                seconds[library.name].append(run_code(f"import {library.module}")[1] - bare)
        # The first one may have to compile.
        figures = {x: Figure(tuple(s * 1e3 for s in more)) for x, (_, *more) in seconds.items()}
        yield Row("import", "ms", figures, 60)
        foreign = {x.name: Figure((n_foreign_packages(x.module),)) for x in self.libraries}
        yield Row("import: packages of other projects", "", foreign, 0)

    def _alternate(
        self, once: Callable[[Library, Laps], None], skip: Container[str] = ()
    ) -> dict[str, Rounds]:
        """Let the libraries take turns, each with an empty graph; return their rounds."""
        taking = [x for x in self.libraries if x.name not in skip]
        rounds = {x.name: Rounds(self.budget_s) for x in taking}
        for _ in range(self.rounds):
            for library in taking:
                library.clear()
                rounds[library.name].add(partial(once, library))
        return rounds


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "calls": Bench.calls,
    "graphs": Bench.graphs,
    "prompts": Bench.prompts,
    "memory": Bench.memory,
    "growth": Bench.growth,
    "imports": Bench.imports,
}


def time_call(what: str, traced: bool, library: Library, laps: Laps) -> None:
    """Time one call of the table."""
    call = calls_of(library.api)[what]
    with contextlib.nullcontext() if traced else library.api.stop_tracing():
        laps["call"] = seconds_per_call(call)


def time_graph(shape: str, n: int, library: Library, laps: Laps) -> None:
    """Time the way forward and back through a new graph."""
    start = time.thread_time()
    output, parameters = build(shape, library.api, n)
    middle = time.thread_time()
    laps["forward"] = middle - start
    library.extract(output, parameters)
    laps["backward + extraction"] = time.thread_time() - middle


def time_prompt(shape: str, library: Library, laps: Laps) -> None:
    """Time the writing of a prompt, backward not counted."""
    write = library.prompt(*build(shape, library.api, N_PARAMETERS))
    start = time.thread_time()
    write()
    laps["prompt"] = time.thread_time() - start


def bytes_per_operator(name: str, shape: str) -> float:
    """Return what stays allocated while the output lives, for each operator."""
    library = LIBRARIES[name]()
    build(shape, library.api, 10)
    library.clear()
    gc.collect()
    tracemalloc.start()
    graph = build(shape, library.api, N_PARAMETERS)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    del graph
    return used / N_PARAMETERS


def left_behind(name: str, budget_s: float) -> tuple[float, int, int]:
    """Return more KiB and more nodes after iterations with one parameter, and how many there were.

    An iteration is forward, backward and zero_feedback. It ends early if the budget is spent.
    """
    api = LIBRARIES[name]().api
    parameter, join = api.node(1, trainable=True), joiner(api)

    def iterate() -> None:
        join(parameter * 2, parameter + 1).backward(FEEDBACK)
        parameter.zero_feedback()

    for _ in range(1_000):
        iterate()
    n_nodes, kib = _live_nodes(api), _resident_kib()
    n_done, end = 0, time.thread_time() + budget_s
    while n_done < N_ITERATIONS and time.thread_time() < end:
        iterate()
        n_done += 1
    more_kib = _resident_kib() - kib
    return more_kib, _live_nodes(api) - n_nodes, n_done


def seconds_per_node(n: int, collected: bool, rounds: int) -> Laps:
    """Return the least of up to 3 rounds over a chain of n operators, for each of its nodes.

    The least, because what a busy machine adds would look like growth.
    """
    library, least = Optorace(), dict[str, float]()
    gc.freeze()
    for _ in range(min(rounds, 3)):
        laps: Laps = {}
        gc.collect()
        if not collected:
            gc.disable()
        time_graph("chain", n, library, laps)
        least = {phase: min(s, least.get(phase, s)) for phase, s in laps.items()}
    return {phase: s / (2 * n + 1) for phase, s in least.items()}


def n_foreign_packages(module: str) -> int:
    """Return how many packages an import loads that are neither its own nor Python's."""
    printed, _ = run_code(f"import {module}\nprint(*sys.modules)")
    loaded = {name.partition(".")[0] for name in printed.split()}
    own = {module.partition(".")[0], "__main__"}
    foreign = loaded - own - sys.stdlib_module_names
    # Python's own, under the platform's name.
    return sum(not name.startswith("_sysconfigdata") for name in foreign)


def _named(parameters: list[Any]) -> dict[str, Any]:
    return {f"p{i}": p for i, p in enumerate(parameters)}


def _no_model(*_: object, **__: object) -> None:
    raise AssertionError("a prompt is written without a model")


def _live_nodes(api: Any) -> int:
    gc.collect()
    return sum(isinstance(x, api.Node) for x in gc.get_objects())


def _resident_kib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def main() -> int:
    """Measure and print row by row; return 1 if a target is missed that is to be checked."""
    arguments = _arguments()
    # This checkout, not another one that the environment may hold.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    installed = importlib.util.find_spec("opto") is not None
    libraries: list[Library] = [Optorace(), TraceOpt()] if installed else [Optorace()]
    gc.collect()
    gc.freeze()
    bench = Bench(libraries, arguments.rounds, arguments.budget)
    versions = [f"harness.trace of {Path(libraries[0].api.__file__).parent}"]
    versions.append(f"trace-opt {version('trace-opt')}" if installed else "trace-opt not installed")
    lines = [machine(), *versions]
    print(*lines, head(Optorace.name, TraceOpt.name), sep="\n", flush=True)
    rows: list[Row] = []
    for section in arguments.only or SECTIONS:
        for row in SECTIONS[section](bench):
            print(line(row, Optorace.name, TraceOpt.name), flush=True)
            rows.append(row)
    print(machine())
    if arguments.json:
        facts = {"machine": lines, "rows": [row.to_json() for row in rows]}
        arguments.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    missed = [row.what for row in rows if row.met(Optorace.name) is False]
    print(f"missed: {', '.join(missed)}" if missed else "every target is met")
    return 1 if arguments.check and missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Figures of the tracing core.")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}"
    )
    parser.add_argument("--rounds", type=int, default=7, help="for each library; default 7")
    parser.add_argument(
        "--budget",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="CPU time for each measurement with each library; default 30",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.budget <= 0:
        parser.error("nothing to measure: give at least one round and a budget above 0 seconds")
    return arguments


if __name__ == "__main__":
    raise SystemExit(main())
