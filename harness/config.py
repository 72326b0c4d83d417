"""RunConfig: every setting of a run, declared once; read from TOML and from `--set a.b=value`."""

from __future__ import annotations

import difflib
import json
import os
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

from harness.errors import ConfigError
from harness.types import JSON, Budget


@dataclass(frozen=True, slots=True)
class LMSettings:
    """How a model is asked.

    model: `local/NAME`, `local:/path/to.gguf`, `openai-compatible:http://host:port/v1#MODEL`, or
        a provider name that litellm knows, such as `openai/gpt-4.1-mini`. On the optimizer's side
        "" means the task's model.
    temperature, top_p: sampling; max_tokens: of one reply.
    timeout_s: seconds after which one attempt is ended, whatever it waits for.
    retries: further attempts after a failed one.
    price_in, price_out: US dollars per million tokens, where the price list is wrong or silent.
    """

    model: str = ""
    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    timeout_s: float = 120.0
    retries: int = 5
    price_in: float | None = None
    price_out: float | None = None


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """How an embedded model is served.

    serving: `exact` runs one single-slot worker a core, so that a reply depends on its request
        alone and a fresh run prints the same bytes; `batched` runs one server with as many slots
        as jobs, which is faster on many cores, but a reply then depends on its neighbours.
    context_tokens: the longest prompt plus reply of one call.
    """

    serving: Literal["exact", "batched"] = "exact"
    context_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class SplitSettings:
    """Which examples: a named preset of the task, single sizes over it, and the shuffle's seed.

    train, val, test: None takes the preset's size. The seed fixes the splits; it is not a cell's.
    """

    preset: str = "default"
    train: int | None = None
    val: int | None = None
    test: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The cells of a run (tasks x programs x optimizers x seeds) and how they are run.

    programs: empty takes each task's default. seeds: cells use the seeds 0 .. seeds-1.
    jobs: rollouts in flight at once, over all cells. data: a mirror folder SET/CONFIG/SPLIT.jsonl.
    options: keyword arguments of an optimizer, as `[options.optoprime]` or
        `--set options.optoprime.steps=3`.
    """

    tasks: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    seeds: int = 1
    jobs: int = 4
    data: str = ""
    lm: LMSettings = field(default_factory=lambda: LMSettings(model="local/smollm2-135m"))
    optimizer_lm: LMSettings = field(
        default_factory=lambda: LMSettings(temperature=0.7, max_tokens=512)
    )
    local: LocalSettings = field(default_factory=LocalSettings)
    budget: Budget = field(default_factory=Budget)
    split: SplitSettings = field(default_factory=SplitSettings)
    options: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict[str, Mapping[str, JSON]])


def to_json(config: RunConfig) -> dict[str, JSON]:
    """Return the whole configuration as plain data."""
    return cast("dict[str, JSON]", json.loads(json.dumps(asdict(config))))


def from_json(data: Mapping[str, JSON], where: str = "configuration") -> RunConfig:
    """Build a configuration from plain data. Raises ConfigError for unknown names or types."""
    return _build(RunConfig(), data, where, "")


def read_toml(path: Path) -> RunConfig:
    """Read a configuration file. Raises ConfigError if it is missing or does not fit."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise ConfigError(f"cannot read {path}: {e.strerror}; give a TOML file") from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(f"{path} is not valid TOML: {e}") from e
    return from_json(data, str(path))


def with_settings(config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """Apply `name.sub=value` strings in order; values are JSON, else text. Raises ConfigError."""
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set {text!r} is not NAME=VALUE; example: lm.temperature=0.7")
        nested: JSON = _value(value)
        for part in reversed(name.strip().split(".")):
            nested = {part: nested}
        config = _build(config, cast("Mapping[str, JSON]", nested), f"--set {text}", "")
    return config


def parse_budget(items: Sequence[str], base: Budget) -> Budget:
    """Read `rollouts=200` items, also several joined by commas, over `base`."""
    data: dict[str, JSON] = {}
    for item in (part for text in items for part in text.split(",")):
        name, equals, value = item.partition("=")
        if not equals:
            raise ConfigError(f"--budget {item!r} is not NAME=NUMBER; example: rollouts=200")
        data[name.strip()] = _value(value)
    return cast("Budget", _build(base, data, f"--budget {','.join(items)}", "budget."))


def from_flags(base: RunConfig, flags: Mapping[str, object]) -> RunConfig:
    """Lay the flags of the command line over `base`, `settings` (--set) last."""
    direct = ("tasks", "optimizers", "programs", "seeds", "jobs", "data")
    data: dict[str, Any] = {name: flags[name] for name in direct if name in flags}
    for name in ("lm", "optimizer_lm"):
        if name in flags:
            data[name] = {"model": flags[name]}
    config = _build(base, data, "command line", "")
    budget = parse_budget(cast("Sequence[str]", flags.get("budget", ())), base.budget)
    settings = cast("Sequence[str]", flags.get("settings", ()))
    return with_settings(replace(config, budget=budget), settings)


def check(config: RunConfig) -> RunConfig:
    """Return the configuration if it can run. Raises ConfigError for empty or absurd values."""
    _at_least("seeds", config.seeds, 1)
    _at_least("jobs", config.jobs, 1)
    if config.data and not Path(config.data).is_dir():
        raise ConfigError(f"there is no data folder {config.data}; give a mirror of the data sets")
    for name, values in (("task", config.tasks), ("optimizer", config.optimizers)):
        if not values:
            raise ConfigError(f"no {name} given; use --{name} NAME, see `optorace list {name}s`")
        twice = sorted({v for v in values if values.count(v) > 1})
        if twice:
            raise ConfigError(f"{name} {twice[0]} is given twice; name it once")
    for side, lm in (("lm", config.lm), ("optimizer_lm", config.optimizer_lm)):
        _check_lm(side, lm)
    for f in fields(Budget):
        _at_least(f"budget.{f.name}", getattr(config.budget, f.name), 0)
    for name, floor in (("train", 0), ("val", 1), ("test", 1)):
        _at_least(f"split.{name}", getattr(config.split, name), floor)
    return config


def data_from_environment() -> str:
    """Return the mirror folder that OPTORACE_DATA names, or ""."""
    return os.environ.get("OPTORACE_DATA", "")


def _at_least(name: str, value: float | None, floor: float) -> None:
    if value is not None and value < floor:
        raise ConfigError(f"{name} is {value}; it must be {floor} or more")


def _check_lm(side: str, lm: LMSettings) -> None:
    if side == "lm" and not lm.model:
        raise ConfigError("no model given; use --lm NAME, see `optorace list models`")
    bounds = (("temperature", 0, 5), ("top_p", 0, 1), ("max_tokens", 1, 10**7))
    for name, low, high in (*bounds, ("timeout_s", 0.001, 10**6), ("retries", 0, 1000)):
        value = getattr(lm, name)
        if not low <= value <= high:
            raise ConfigError(f"{side}.{name} is {value}; it must be from {low} to {high}")


def _value(text: str) -> JSON:
    try:
        return cast("JSON", json.loads(text))
    except json.JSONDecodeError:
        return text


def _build(base: Any, data: Mapping[str, JSON], where: str, prefix: str) -> Any:
    """Return `base` with `data` laid over it, each name and type checked."""
    hints = typing.get_type_hints(cast("type[Any]", type(base)))
    names = [f.name for f in fields(base)]
    changed: dict[str, Any] = {}
    for name, value in data.items():
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {prefix}{close[0]}? " if close else ""
            known = ", ".join(prefix + n for n in names)
            raise ConfigError(f"{where}: unknown setting {prefix}{name}; {hint}known: {known}")
        old = getattr(base, name)
        if is_dataclass(old):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{where}: {prefix}{name} is a group; set {prefix}{name}.SETTING")
            changed[name] = _build(old, value, where, f"{prefix}{name}.")
        elif name == "options":
            changed[name] = _merge_options(old, value, where)
        else:
            changed[name] = typed(value, hints[name], f"{where}: {prefix}{name}")
    return replace(base, **changed)


def _merge_options(
    old: Mapping[str, Mapping[str, JSON]], value: JSON, where: str
) -> dict[str, Mapping[str, JSON]]:
    merged = dict(old)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: options must be options.OPTIMIZER.NAME=VALUE")
    for plugin, given in value.items():
        if not isinstance(given, Mapping):
            raise ConfigError(f"{where}: options.{plugin} must be options.{plugin}.NAME=VALUE")
        merged[plugin] = {**merged.get(plugin, {}), **given}
    return merged


def typed(value: Any, hint: Any, what: str) -> Any:
    """Return `value` if it has the declared type; whole numbers pass as floats, lists as tuples.

    `what` names the setting in the ConfigError for any other value.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return None if value is None else typed(value, args[0], what)
    if origin is Literal:
        if value in args:
            return value
        raise ConfigError(f"{what} is {value!r}; allowed: {', '.join(map(str, args))}")
    if origin is tuple:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list | tuple):
            return tuple(typed(item, args[0], what) for item in cast("list[Any]", items))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (bool, int, float, str) and type(value) is hint:
        return value
    if hint is str and isinstance(value, int | float):
        return str(value)
    wanted = getattr(hint, "__name__", str(hint)).replace("tuple", "list of names")
    raise ConfigError(f"{what} is {value!r}; a value of type {wanted} is needed")
