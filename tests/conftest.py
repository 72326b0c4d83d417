"""Shared fixtures: where the data is, a scripted model, and a summary that hides nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Real files and shared, noisy cores: a deadline per example would fail by chance.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def mirror() -> Path | None:
    """The folder with real rows: OPTORACE_DATA, else ../shared/data, else None."""
    named = os.environ.get("OPTORACE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may use a key of the machine it runs on."""
    for name in [n for n in os.environ if n.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests that had real rows and those that ran on rows made here."""
    reports = terminalreporter.stats.get("passed", [])
    rows = Counter(value for r in reports for name, value in r.user_properties if name == "rows")
    absent = [str(r.longrepr) for r in terminalreporter.stats.get("skipped", [])]
    if absent:
        terminalreporter.write_line(f"could not run: {len(absent)} tests; {absent[0]}")
    if rows:
        terminalreporter.write_line(
            f"rows: {rows['real']} tests on real rows, {rows['made']} on made ones "
            "(OPTORACE_DATA or ../shared/data names the folder with real rows)"
        )
