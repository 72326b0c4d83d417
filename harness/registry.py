"""Plugins by name, by path, by entry point: a built-in comes in by the same door as a user's file.

A plugin is one Python file. By kind it defines:

    tasks        TASK, or task(variant) with VARIANTS or variants() for a family
    optimizers   OPTIMIZER, called with the options of `[options.NAME]`
    programs     PROGRAM, called with (lm, task)
    reports      render(result, *, times)
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import hashlib
import importlib.util
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias, cast, get_type_hints

from harness.config import typed
from harness.errors import OptoraceError, PluginError
from harness.types import JSON, Optimizer, Task

Kind: TypeAlias = Literal["tasks", "optimizers", "programs", "reports"]
TASK_FIELDS = ("name", "objective", "instruction", "program", "presets", "load", "score")
HERE = Path(__file__).resolve().parent

_loaded: dict[Path, ModuleType] = {}
_lock = threading.Lock()  # guards _loaded: two threads must not execute one file twice


@dataclass(frozen=True, slots=True)
class Plugin:
    """A loaded plugin file: the module, the variant asked for, and a hash of the file's text."""

    name: str
    variant: str
    module: ModuleType
    digest: str


def load_task(ref: str) -> Task:
    """Return the task `gsm8k`, `bbh/web_of_lies`, `./mine.py` or `./mine.py#variant`."""
    plugin = find("tasks", ref)
    if hasattr(plugin.module, "TASK") and not plugin.variant:
        return _whole_task(ref, plugin.module.TASK)
    known = _variants(plugin)
    if plugin.variant not in known:
        full = [f"{plugin.name}/{v}" if v else plugin.name for v in known]
        raise PluginError(_unknown("task", ref, full))
    return _whole_task(ref, plugin.module.task(plugin.variant))


def load_optimizer(ref: str, options: Mapping[str, JSON]) -> Optimizer:
    """Return the optimizer `optoprime` or `./mine.py`, made with its options."""
    plugin = find("optimizers", ref)
    make = cast("Callable[..., Optimizer]", _attribute(plugin, "OPTIMIZER", "optimizer"))
    try:
        return make(**_typed_options(plugin.name, make, options))
    except OptoraceError:
        raise
    except Exception as e:
        raise PluginError(f"optimizer {ref}: {e}; options given: {sorted(options)}") from e


def load_program(ref: str) -> Callable[..., Any]:
    """Return what builds the program `chain_of_thought` or `./mine.py`: called with (lm, task)."""
    plugin = find("programs", ref)
    return cast("Callable[..., Any]", _attribute(plugin, "PROGRAM", "program"))


def load_report(ref: str) -> Callable[..., str]:
    """Return the function that renders the report `table` or `./mine.py`."""
    return cast("Callable[..., str]", _attribute(find("reports", ref), "render", "report"))


@functools.cache
def library_digest() -> str:
    """Return a hash of the library's own code, built-in plugins apart."""
    whole = hashlib.sha256()
    for path in sorted(HERE.rglob("*.py")):
        whole.update(path.relative_to(HERE).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:16]


def name_of(ref: str) -> str:
    """Return the name of a reference: of `./mine.py` it is `mine`, of a built-in the reference."""
    target = ref.partition("#")[0]
    return Path(target).stem if target.endswith(".py") else ref


def names(kind: Kind) -> list[str]:
    """Return the names of all plugins of a kind that need no path, sorted; families once."""
    found = {p.stem for folder in _folders(kind) for p in folder.glob("*.py")}
    found |= {e.name for e in entry_points(group=f"optorace.{kind}")}
    return sorted(n for n in found if not n.startswith("_"))


def list_tasks() -> list[str]:
    """Return every task reference, the members of families included; sorted."""
    refs: list[str] = []
    for name in names("tasks"):
        plugin = find("tasks", name)
        family = [] if hasattr(plugin.module, "TASK") else _variants(plugin)
        refs += [f"{name}/{v}" if v else name for v in family] or [name]
    return sorted(refs)


def find(kind: Kind, ref: str) -> Plugin:
    """Load the plugin file behind a reference. Raises PluginError with what is known."""
    target, _, variant = ref.partition("#")
    if target.endswith(".py"):
        path = Path(target).expanduser()
        if not path.is_file():
            raise PluginError(f"{_one(kind)} file {target} not found; give the path of a .py file")
        return _plugin(path.stem, variant, path)
    name, _, variant = ref.partition("/")
    for folder in _folders(kind):
        path = folder / f"{name}.py"
        if name.isidentifier() and not name.startswith("_") and path.is_file():
            return _plugin(name, variant, path)
    for entry in entry_points(group=f"optorace.{kind}", name=name):
        module = cast("ModuleType", entry.load())
        return Plugin(name, variant, module, _digest(Path(str(module.__file__))))
    raise PluginError(_unknown(_one(kind), ref, names(kind)))


def _plugin(name: str, variant: str, path: Path) -> Plugin:
    return Plugin(name, variant, _load(path.resolve()), _digest(path))


def _load(path: Path) -> ModuleType:
    with _lock:
        if path in _loaded:
            return _loaded[path]
        digest = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        spec = importlib.util.spec_from_file_location(f"optorace_plugin_{path.stem}_{digest}", path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path} cannot be loaded as a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except OptoraceError:
            del sys.modules[spec.name]
            raise
        except (Exception, SystemExit) as e:
            del sys.modules[spec.name]
            raise PluginError(f"{path.name} cannot be loaded: {type(e).__name__}: {e}") from e
        _loaded[path] = module
        return module


def _folders(kind: Kind) -> list[Path]:
    """Built-ins: beside `harness/` in a checkout, inside it in a wheel."""
    if kind == "programs":
        return [HERE / "programs"]
    beside, inside = HERE.parent / kind, HERE / "_builtin" / kind
    return [inside] if inside.is_dir() else [beside]


def _variants(plugin: Plugin) -> list[str]:
    module = plugin.module
    if hasattr(module, "TASK"):
        raise PluginError(f"task {plugin.name} has no variants; got {plugin.variant!r}")
    if not hasattr(module, "task"):
        raise PluginError(f"task file {plugin.name} defines neither TASK nor task(variant)")
    listed = module.variants() if hasattr(module, "variants") else getattr(module, "VARIANTS", ())
    return list(listed)


def _whole_task(ref: str, task: Any) -> Task:
    missing = [name for name in TASK_FIELDS if not hasattr(task, name)]
    if missing:
        raise PluginError(f"task {ref} lacks {', '.join(missing)}; see Task in harness/types.py")
    return cast("Task", task)


def _typed_options(name: str, make: Any, options: Mapping[str, JSON]) -> dict[str, Any]:
    """Check options against the fields of a dataclass; another callable checks its own."""
    if not dataclasses.is_dataclass(make):
        return dict(options)
    hints = get_type_hints(make)
    fields = [f.name for f in dataclasses.fields(make) if f.init]
    unknown = sorted(set(options) - set(fields))
    if unknown:
        known = ", ".join(f for f in fields if f != "name")
        raise PluginError(f"optimizer {name} has no option {unknown[0]!r}; known: {known}")
    return {n: typed(v, hints[n], f"options.{name}.{n}") for n, v in options.items()}


def _attribute(plugin: Plugin, attribute: str, what: str) -> Any:
    if plugin.variant:
        raise PluginError(f"{what} {plugin.name} has no variants; got {plugin.variant!r}")
    if not hasattr(plugin.module, attribute):
        raise PluginError(f"{what} file {plugin.name}.py must define {attribute}; see the README")
    return getattr(plugin.module, attribute)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _one(kind: Kind) -> str:
    return kind.removesuffix("s")


def _unknown(what: str, ref: str, known: list[str]) -> str:
    close = difflib.get_close_matches(ref, known, 3, 0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    shown = ", ".join(known) if len(known) <= 12 else f"{', '.join(known[:8])}, ... ({len(known)})"
    return (
        f"unknown {what} {ref!r}; {hint}known: {shown}; "
        f"see `optorace list {what}s`, or give a path to a .py file"
    )
