"""The command line: it parses, calls one function, prints. Heavy imports sit in the commands."""

from __future__ import annotations

import contextlib
import hashlib
import io
import signal
import sys
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from harness.errors import Interrupted, OptoraceError, StoreError

if TYPE_CHECKING:
    from harness.config import RunConfig
    from harness.registry import Kind

KINDS = ("tasks", "optimizers", "programs", "models", "reports")
TABLES = (("table", "txt"), ("markdown", "md"), ("csv", "csv"), ("json", "json"))
FORMATS = ("table", "markdown", "latex", "csv", "json")


def main() -> None:
    """Run the command line; exit code 2 and one line for every error a user can cause."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")  # tables have lines and arrows
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as e:
        sys.exit(e.exit_code)
    except click.ClickException as e:
        e.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except OptoraceError as e:
        from harness.formatting import printable

        click.echo(f"optorace: {printable(str(e))}", err=True)
        sys.exit(2)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="optorace", message="optorace %(version)s")
def cli() -> None:
    """Compare generative optimizers: same program, same data, same budget, honest tables."""


@cli.command()
@click.argument("config", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--task", "tasks", multiple=True, help="Task: a name or ./file.py. Repeatable.")
@click.option("--optimizer", "optimizers", multiple=True, help="Optimizer: name or ./file.py.")
@click.option("--program", "programs", multiple=True, help="Program; default: each task's own.")
@click.option("--lm", help="Model of the program. [default: local/smollm2-135m]")
@click.option("--optimizer-lm", help="Model of the optimizer. [default: the program's]")
@click.option("--seeds", type=int, help="Cells per optimizer, seeds 0 .. N-1. [default: 1]")
@click.option(
    "--budget", "budget", multiple=True, help="Limit a cell, as rollouts=200. Repeatable."
)
@click.option("--jobs", type=int, help="Rollouts in flight at once, over all cells. [default: 4]")
@click.option("--data", help="Mirror folder SET/CONFIG/SPLIT.jsonl. [default: $OPTORACE_DATA]")
@click.option("--set", "settings", multiple=True, help="Any setting, as lm.temperature=0.7.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder. [default: results/NAME]")
def run(config: Path | None, out: Path | None, **flags: object) -> None:
    """Race optimizers on tasks; go on with a run that was stopped.

    Settings come from CONFIG (TOML), then from flags, then from --set. With --out alone the run in
    that folder goes on. Exit code 0: the table has scores, and each row without one says why; 1: no
    cell has a score; 2: it cannot run or go on; 130: stopped by Ctrl-C.
    """
    settings = _settings(config, out, flags)
    out = out or _default_out(config, settings)
    from harness.progress import Watcher
    from harness.runner import run as run_cells

    stop = threading.Event()
    stderr = sys.stderr
    try:
        with _stoppable(stop), _captured(out / "libraries.log"), Watcher(stderr) as watcher:
            result = run_cells(settings, out, watcher, stop)
    except (Interrupted, KeyboardInterrupt):
        click.echo(f"stopped; go on with: optorace run --out {out}", err=True)
        sys.exit(130)
    from harness.registry import load_report

    click.echo(load_report("table")(result, times=True), nl=False)
    for name, suffix in TABLES:
        text = load_report(name)(result, times=False)
        try:
            (out / f"table.{suffix}").write_text(text, encoding="utf-8")
        except OSError as e:
            raise StoreError(f"cannot write table.{suffix} into {out}: {e.strerror}") from e
    click.echo(f"written to {out}: {', '.join(f'table.{s}' for _, s in TABLES)}", err=True)
    if not any(score is not None for cell in result.cells for score in cell.test_scores):
        click.echo("no cell has a score; the table says why", err=True)
        sys.exit(1)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--format", "form", default="table", show_default=True, help=", ".join(FORMATS))
@click.option("--times", is_flag=True, help="Add the measured seconds, which no two runs share.")
def report(folder: Path, form: str, times: bool) -> None:
    """Print the table of a run. FORM is a built-in format or a ./file.py."""
    from harness.folder import load
    from harness.registry import load_report

    click.echo(load_report(form)(load(folder), times=times), nl=False)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("cell", default="")
def show(folder: Path, cell: str) -> None:
    """Show what cells changed: parameters as a diff, counts, spend.

    CELL is a part of `task:optimizer:seed`, or the beginning of a cell's id.
    """
    from harness.folder import records
    from harness.show import describe, select

    click.echo("\n\n".join(describe(r) for r in select(records(folder), cell)))


@cli.command("list")
@click.argument("kind", type=click.Choice(KINDS))
def list_names(kind: str) -> None:
    """List what can be named: tasks, optimizers, programs, models, reports."""
    if kind == "models":
        from harness.lm import CATALOGUE

        for name, weights in CATALOGUE.items():
            click.echo(f"local/{name}  {weights.size / 1e6:.0f} MB, {weights.license}")
        click.echo("local:/path/to/model.gguf")
        click.echo("openai-compatible:http://HOST:PORT/v1#MODEL")
        click.echo("PROVIDER/MODEL, for any provider that litellm knows, as openai/gpt-4.1-mini")
        return
    from harness import registry

    for name in registry.list_tasks() if kind == "tasks" else registry.names(cast("Kind", kind)):
        click.echo(name)


@cli.group()
def models() -> None:
    """Fetch the weights of embedded models."""


@models.command("get")
@click.argument("name")
def models_get(name: str) -> None:
    """Fetch weights into the cache folder, check their sha256, print their path."""
    from harness.lm import fetch

    click.echo(fetch(name.removeprefix("local/")))


def _settings(config: Path | None, out: Path | None, flags: dict[str, object]) -> RunConfig:
    """Lay the flags over the file, the folder's own settings, or the defaults."""
    from harness import config as c

    given = {name: value for name, value in flags.items() if value not in (None, ())}
    base = c.read_toml(config) if config else None
    if base is None and out is not None and not set(given) - {"jobs", "data"}:
        from harness.folder import stored_config

        base = stored_config(out)
    base = base or c.RunConfig()
    if not base.data:
        base = replace(base, data=c.data_from_environment())
    return c.from_flags(base, given)


def _default_out(config: Path | None, settings: RunConfig) -> Path:
    """Return the same folder for the same settings, so that the same command goes on."""
    from harness.config import to_json
    from harness.types import canonical

    if config is not None:
        return Path("results") / config.stem
    identity = {k: v for k, v in to_json(settings).items() if k not in ("jobs", "data")}
    return Path("results") / hashlib.sha256(canonical(identity).encode()).hexdigest()[:8]


@contextlib.contextmanager
def _stoppable(stop: threading.Event) -> Generator[None]:
    """The first Ctrl-C or SIGTERM ends the run at the next call; a second one ends it at once."""

    def ask(signum: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


@contextlib.contextmanager
def _captured(log: Path) -> Generator[None]:
    """Send what libraries print to a file of the run folder, once there is one.

    stdout belongs to the table, stderr to the progress.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            yield
    finally:
        if said.getvalue() and log.parent.is_dir():
            with log.open("a", encoding="utf-8") as file:
                file.write(said.getvalue())


if __name__ == "__main__":
    main()
