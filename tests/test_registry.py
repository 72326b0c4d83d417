"""registry: built-ins and a user's own files come in by the same door."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness import registry
from harness.errors import ConfigError, PluginError

OPTIMIZER = """
from dataclasses import dataclass

@dataclass(frozen=True)
class Mine:
    steps: int = 3
    name: str = "mine"

    def optimize(self, problem):
        return problem.initial

OPTIMIZER = Mine
"""

FAMILY = """
class T:
    objective = instruction = program = ""
    presets = {}
    load = score = None
    def __init__(self, name):
        self.name = name

VARIANTS = ("a", "b")
def task(variant):
    return T(f"task {variant}")
"""


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_users_file_is_an_optimizer_with_options(tmp_path: Path) -> None:
    ref = write(tmp_path / "mine.py", OPTIMIZER)

    assert registry.load_optimizer(ref, {"steps": 5}).steps == 5  # pyright: ignore


def test_loading_leaves_sys_path_and_plain_names_alone(tmp_path: Path) -> None:
    before = list(sys.path)
    ref = write(tmp_path / "none.py", OPTIMIZER)

    mine = registry.load_optimizer(ref, {})

    assert sys.path == before
    assert "none" not in sys.modules
    assert mine.name == "mine"
    assert registry.load_optimizer("none", {}).name == "none"


def test_a_file_is_executed_once(tmp_path: Path) -> None:
    ref = write(tmp_path / "mine.py", OPTIMIZER)

    assert registry.find("optimizers", ref).module is registry.find("optimizers", ref).module


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a = registry.find("optimizers", write(tmp_path / "a" / "x.py", "OPTIMIZER = 1"))
    b = registry.find("optimizers", write(tmp_path / "b" / "x.py", "OPTIMIZER = 2"))

    assert (a.module.OPTIMIZER, b.module.OPTIMIZER) == (1, 2)
    assert a.digest != b.digest


@pytest.mark.parametrize(
    ("kind", "ref", "message"),
    [
        ("optimizers", "optoprim", "did you mean optoprime?"),
        ("optimizers", "../optimizers/none", "unknown optimizer"),
        ("programs", "nonsense", "known: chain_of_thought"),
        ("tasks", "./gone.py", "task file ./gone.py not found"),
        ("reports", "", "unknown report ''"),
    ],
)
def test_an_unknown_name_is_told_with_what_is_known(kind: str, ref: str, message: str) -> None:
    with pytest.raises(PluginError) as error:
        registry.find(kind, ref)  # pyright: ignore[reportArgumentType]

    assert message in str(error.value)


def test_a_file_that_cannot_be_loaded_says_why_and_is_tried_again(tmp_path: Path) -> None:
    ref = write(tmp_path / "broken.py", "import no_such_module_at_all")
    with pytest.raises(PluginError, match="no_such_module_at_all"):
        registry.load_optimizer(ref, {})

    write(tmp_path / "broken.py", OPTIMIZER)

    assert registry.load_optimizer(ref, {}).name == "mine"


def test_a_file_that_defines_nothing_is_told_what_to_define(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.py", "")

    for load in (lambda: registry.load_optimizer(empty, {}), lambda: registry.load_program(empty)):
        with pytest.raises(PluginError, match="must define"):
            load()
    with pytest.raises(PluginError, match="neither TASK nor task"):
        registry.load_task(empty)


def test_an_unknown_option_of_an_optimizer_is_refused() -> None:
    with pytest.raises((PluginError, ConfigError), match="stepz"):
        registry.load_optimizer("optoprime", {"stepz": 3})


def test_a_family_of_tasks_comes_from_one_file(tmp_path: Path) -> None:
    text = FAMILY
    ref = write(tmp_path / "family.py", text)

    assert registry.load_task(f"{ref}#b").name == "task b"
    with pytest.raises(PluginError, match="family/a, family/b"):
        registry.load_task(f"{ref}#c")


def test_a_task_that_lacks_something_is_told_what(tmp_path: Path) -> None:
    ref = write(tmp_path / "half.py", "class TASK:\n    name = 'half'\n    presets = {}\n")

    with pytest.raises(PluginError, match="lacks objective, instruction, program, load, score"):
        registry.load_task(ref)


def test_a_single_task_has_no_variants() -> None:
    with pytest.raises(PluginError, match="hotpotqa has no variants"):
        registry.load_task("hotpotqa/x")


def test_a_file_that_exits_is_an_error_and_not_an_exit(tmp_path: Path) -> None:
    ref = write(tmp_path / "exits.py", "import sys\nsys.exit(0)\n")

    with pytest.raises(PluginError, match="SystemExit"):
        registry.load_task(ref)
