"""README: its files and commands, run as they stand, by a user in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", README, re.DOTALL))
COMMANDS = [
    shlex.split(line.replace("\\\n", " "))[1:]
    for line in re.findall(r"^    (optorace (?:.|\\\n)*?)(?: +#.*)?(?<!\\)$", README, re.MULTILINE)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


def optorace(folder: Path, args: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.cli", *args]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_readme_shows_one_file_of_each_kind() -> None:
    assert set(FILES) == {"shorter.py", "sums.py", "twice.py", "model.py"}


def test_the_race_without_a_model_finds_that_the_new_optimizer_helps(folder: Path) -> None:
    run, report = (c for c in COMMANDS if "results/ci" in c)

    done = optorace(folder, run)
    table = optorace(folder, report)

    assert done.returncode == 0, done.stderr
    assert table.returncode == 0, table.stderr
    rows = [line.split(",") for line in table.stdout.splitlines()]
    assert [row[rows[0].index("optimizer")] for row in rows[1:]] == ["none", "shorter"]
    scores = [float(row[rows[0].index("test_score")]) for row in rows[1:]]
    assert scores == [0.0, 1.0]


def test_every_other_command_of_the_readme_is_understood(folder: Path) -> None:
    others = [c for c in COMMANDS if "results/ci" not in c]
    assert len(others) >= 5

    for command in others:
        done = optorace(folder, [command[0], "--help"])

        assert done.returncode == 0
        known = set(re.findall(r"--[a-z-]+", done.stdout))
        assert {a for a in command if a.startswith("--")} <= known, command


def test_every_link_of_the_readme_leads_somewhere() -> None:
    root = Path(__file__).resolve().parent.parent
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]

    assert links
    assert [link for link in links if not (root / link).exists()] == []
