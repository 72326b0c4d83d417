"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("harness", "tasks", "optimizers", "reports", "tests", "benchmarks")
FILES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
MAX_LINES, MAX_FUNCTION_LINES = 400, 40


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_over_400_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_function_is_over_40_lines(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    long = [f.name for f in functions if _lines(f) > MAX_FUNCTION_LINES]

    assert long == []


def test_importing_the_library_loads_nothing_heavy() -> None:
    heavy = "{'litellm', 'dspy', 'datasets', 'pandas', 'numpy', 'sqlalchemy', 'xllamacpp', 'rich'}"
    code = f"import sys, harness, harness.cli; sys.exit(str({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stderr.strip() == "set()"


def test_plugins_import_harness_only_and_never_each_other() -> None:
    for path in (p for f in ("tasks", "optimizers", "reports") for p in (ROOT / f).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules = {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        modules |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}

        assert not {m.split(".")[0] for m in modules} & {"tasks", "optimizers", "reports"}, path


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or 0) - function.lineno + 1
