"""A run, put together: plugins, data, models, cells. The only module that knows all parts."""

from __future__ import annotations

import itertools
import platform
import re
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, TypeAlias

from harness import registry
from harness.cells import Plan, cell_key, run_cell
from harness.config import LMSettings, RunConfig, check, to_json
from harness.data import Rows, split
from harness.errors import ConfigError, DataError, Interrupted, PluginError, StoreError, one_line
from harness.evaluate import Bench, in_parallel, inspect
from harness.folder import read
from harness.lm import LM, OpenedModel, identify, resolve
from harness.problem import Progress
from harness.results import RunResult
from harness.sandbox import Sandbox
from harness.store import CellKey, Store
from harness.types import JSON, Side, Splits, SplitSizes, Task, canonical

CELLS_AT_ONCE = 8
FREE = re.compile(
    r"config\.(jobs|data|tasks|optimizers|programs|seeds|options|local)\b"
    r"|config\.(lm|optimizer_lm)\.(model|timeout_s|retries)$"
)
PACKAGES = ("optorace", "datasets", "dspy", "joblib", "litellm", "pydantic-monty", "reasoning-gym")


@dataclass(frozen=True, slots=True)
class Event:
    """Something a user watching the run may want to see.

    `total` is the number of cells in the run. `progress` comes with `progress` and `ended` events,
    `text` with notes and with the end of a cell.
    """

    kind: Literal["note", "started", "progress", "ended"]
    text: str = ""
    key: CellKey | None = None
    total: int = 0
    progress: Progress | None = None


OnEvent: TypeAlias = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A task with its splits; without data they are empty and `reason` says why."""

    ref: str
    task: Task
    splits: Splits
    reason: str = ""


def run(config: RunConfig, out: Path, on_event: OnEvent, stop: threading.Event) -> RunResult:
    """Run every cell that `out` does not hold yet; return the results of all.

    Raises OptoraceError before anything is spent if the configuration cannot run, LMError if a
    model is down, Interrupted after `stop` was set. In each case what is recorded stays, and the
    same call goes on from there.
    """
    config = check(config)
    tasks = [(ref, registry.load_task(ref)) for ref in config.tasks]
    for ref in config.optimizers:
        registry.load_optimizer(ref, _options(config, ref))
    for _, task in tasks:
        for ref in config.programs or (task.program,):
            inspect(registry.load_program(ref), task)
    _refuse_twins("task", [task.name for _, task in tasks])
    _refuse_twins("program", [registry.name_of(ref) for ref in config.programs])
    _refuse_twins("optimizer", [registry.name_of(ref) for ref in config.optimizers])
    _refuse_idle_options(config)
    sides = _sides(config)
    identities: dict[str, str] = {side: identify(sides[side].model) for side in sides}
    with _locked(out) as store:
        _same_run(config, identities, store, out)
        loaded = [_load(config, ref, task) for ref, task in tasks]
        items = _keys(config, loaded, identities)
        todo = [item for item in items if not item[2].reason and store.cell(item[0].id) is None]
        watch = _Watch(on_event, len(todo), stop)
        with ExitStack() as stack:
            lms = _open_models(config, store, stack, watch) if todo else {}
            # Only now: a run that could not begin leaves the folder free for the corrected one.
            _write_facts(config, store, loaded, [key for key, _, _ in items], identities)
            if todo:
                _run_cells(config, store, todo, lms, watch)
        return read(store)


# ---- before the first cell


@contextmanager
def _locked(out: Path) -> Generator[Store]:
    """Open the store of a folder that no other process works on."""
    import filelock

    store = Store(out)
    lock = filelock.FileLock(out / "run.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as e:
        store.close()
        raise StoreError(
            f"another process works on {out}; wait for it, or use another --out"
        ) from e
    try:
        yield store
    finally:
        lock.release()
        store.close()


def _same_run(config: RunConfig, identities: Mapping[str, str], store: Store, out: Path) -> None:
    """Refuse a folder with results of other models, sampling, budgets or splits.

    Cells may be added, and what only helps a run along (jobs, patience, addresses) may change.
    """
    facts = store.read_run()
    if facts is None:
        return
    before = _flat({"config": facts["config"], "models": facts["models"]})
    now = _flat({"config": to_json(config), "models": dict(identities)})
    differ = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    differ = [k for k in differ if not FREE.match(k)]
    if differ:
        pairs = [(k.removeprefix("config."), before.get(k), now.get(k)) for k in differ[:4]]
        shown = ", ".join(f"{k} was {old!r}, is {new!r}" for k, old, new in pairs)
        raise ConfigError(f"{out} holds a run with other settings ({shown}); use another --out")


def _flat(data: JSON, prefix: str = "") -> dict[str, JSON]:
    if not isinstance(data, Mapping):
        return {prefix: data}
    parts = [_flat(v, f"{prefix}.{k}" if prefix else k) for k, v in data.items()]
    return dict(itertools.chain.from_iterable(p.items() for p in parts))


def _options(config: RunConfig, ref: str) -> Mapping[str, JSON]:
    return config.options.get(registry.name_of(ref), {})


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    twins = [name for name in names if names.count(name) > 1]
    if twins:
        raise ConfigError(f"two {what}s are called {twins[0]}; rename one of the files")


def _refuse_idle_options(config: RunConfig) -> None:
    idle = sorted(set(config.options) - {registry.name_of(ref) for ref in config.optimizers})
    if idle:
        raise ConfigError(
            f"options are given for {idle[0]}, which is not raced; add --optimizer {idle[0]}"
        )


def _sides(config: RunConfig) -> dict[Side, LMSettings]:
    """Return the settings of both sides; the optimizer's model defaults to the task's."""
    own = config.optimizer_lm
    return {"task": config.lm, "optimizer": replace(own, model=own.model or config.lm.model)}


def _load(config: RunConfig, ref: str, task: Task) -> _Loaded:
    sizes = _sizes(config, task)
    rows = Rows(Path(config.data) if config.data else None)
    try:
        pools = task.load(rows, sizes, config.split.seed)
        return _Loaded(ref, task, split(pools, sizes, config.split.seed))
    except DataError as e:
        return _Loaded(ref, task, Splits((), (), (), ""), str(e))
    except Exception as e:
        raise PluginError(f"task {ref} cannot load its examples: {one_line(e)}") from e


def _sizes(config: RunConfig, task: Task) -> SplitSizes:
    wanted = config.split
    if wanted.preset not in task.presets:
        known = ", ".join(sorted(task.presets))
        raise ConfigError(
            f"split.preset {wanted.preset!r} is unknown to task {task.name}; known: {known}"
        )
    preset = task.presets[wanted.preset]
    given = {n: v for n in ("train", "val", "test") if (v := getattr(wanted, n)) is not None}
    return replace(preset, **given)


Item: TypeAlias = "tuple[CellKey, _Names, _Loaded]"


@dataclass(frozen=True, slots=True)
class _Names:
    """The plugin references that a cell is made of."""

    program: str
    optimizer: str


def _keys(
    config: RunConfig, loaded: Sequence[_Loaded], identities: Mapping[str, str]
) -> list[Item]:
    """Return every cell in table order; a task without data has cells that only say why."""
    items: list[Item] = []
    for found in loaded:
        programs = config.programs or (found.task.program,)
        for program, optimizer in itertools.product(programs, config.optimizers):
            names = {
                "task": found.task.name,
                "task_digest": registry.find("tasks", found.ref).digest,
                "program": registry.name_of(program),
                "program_digest": registry.find("programs", program).digest,
                "optimizer": registry.name_of(optimizer),
                "optimizer_digest": registry.find("optimizers", optimizer).digest,
                "model": identities["task"],
                "optimizer_model": identities["optimizer"],
                "code": registry.library_digest(),
                "versions": canonical(_versions()),
            }
            for seed in range(config.seeds):
                key = cell_key(config, names, found.splits, seed)
                items.append((key, _Names(program, optimizer), found))
    return items


def _write_facts(
    config: RunConfig,
    store: Store,
    loaded: Sequence[_Loaded],
    keys: Sequence[CellKey],
    identities: Mapping[str, str],
) -> None:
    reasons = {found.task.name: found.reason for found in loaded}
    store.write_run(
        {
            "config": to_json(config),
            "models": dict(identities),
            "versions": _versions(),
            "sources": {f.task.name: f.splits.source for f in loaded if not f.reason},
            "splits": {f.task.name: _counts(f.splits) for f in loaded if not f.reason},
            "notes": [],
            "cells": [{**asdict(key), "reason": reasons[key.task]} for key in keys],
        }
    )


def _counts(splits: Splits) -> dict[str, JSON]:
    sizes: dict[str, JSON] = {n: len(getattr(splits, n)) for n in ("train", "val", "test")}
    return {**sizes, "n_dropped": splits.n_dropped}


def _versions() -> dict[str, JSON]:
    found: dict[str, JSON] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


# ---- the cells


@dataclass(frozen=True, slots=True)
class _Watch:
    """Who is told of what goes on, of how many cells, and who may end it."""

    on_event: OnEvent
    total: int
    stop: threading.Event


def _run_cells(
    config: RunConfig,
    store: Store,
    todo: Sequence[Item],
    lms: Mapping[Side, LM],
    watch: _Watch,
) -> None:
    """Run cells side by side; the first that cannot go on stops the others and is raised."""
    first: list[BaseException] = []
    sandbox = Sandbox()

    def one(item: Item) -> None:
        key, names, found = item
        bench = Bench(
            task=found.task,
            build=registry.load_program(names.program),
            lm=lms["task"],
            optimizer_lm=lms["optimizer"],
            code_runner=sandbox.run,
            seed=key.seed,
            jobs=config.jobs,
            stop=watch.stop,
        )
        try:
            if watch.stop.is_set():
                raise Interrupted
            _run_one(config, store, item, bench, watch)
        except BaseException as e:
            first.append(e)
            watch.stop.set()
            raise

    try:
        in_parallel(one, todo, min(config.jobs, CELLS_AT_ONCE))
    except BaseException as e:  # noqa: BLE001 - raised again: the others were only interrupted
        raise first[0] if first else e from None
    finally:
        sandbox.close()


def _run_one(config: RunConfig, store: Store, item: Item, bench: Bench, watch: _Watch) -> None:
    key, names, found = item
    optimizer = registry.load_optimizer(names.optimizer, _options(config, names.optimizer))
    watch.on_event(Event("started", key=key, total=watch.total))
    record = run_cell(
        Plan(key, optimizer, bench, found.splits),
        config,
        store,
        lambda p: watch.on_event(Event("progress", key=key, total=watch.total, progress=p)),
    )
    ended = Progress(record.spend, record.val_score)
    watch.on_event(Event("ended", record.reason, key, watch.total, ended))


def _open_models(
    config: RunConfig, store: Store, stack: ExitStack, watch: _Watch
) -> dict[Side, LM]:
    """Open each model once, also where both sides name the same one; they share its slots."""
    opened: dict[str, OpenedModel] = {}
    lms: dict[Side, LM] = {}
    for side, settings in _sides(config).items():
        if settings.model not in opened:
            watch.on_event(Event("note", f"opening {settings.model}", total=watch.total))
            opened[settings.model] = resolve(settings.model, jobs=config.jobs, local=config.local)
            stack.callback(opened[settings.model].close)
        model = opened[settings.model]
        door = (settings, model.identity, model.transport, store, side)
        lms[side] = LM(*door, slots=model.slots, stop=watch.stop)
    return lms
