"""Names of models, and models that are scripts."""

from pathlib import Path

import pytest

import harness.lm
from harness.config import LocalSettings
from harness.errors import LMRefused, LMTimeout, LMUnavailable
from harness.lm import CATALOGUE, OpenedModel, resolve, scripted
from tests.test_lm_http import ask

SCRIPT = """
from __future__ import annotations
from dataclasses import dataclass

@dataclass
class Echo:
    text: str

def echo(request):
    return Echo(request.messages[-1]["content"]).text + "!"
"""


def open_script(reference: str) -> OpenedModel:
    return resolve(f"script:{reference}", jobs=3, local=LocalSettings())


def test_a_users_function_is_a_model(tmp_path: Path):
    file = tmp_path / "mine.py"
    file.write_text(SCRIPT)

    opened = open_script(f"{file}#echo")
    raw = opened.transport(ask("one two"), 1)

    assert (raw.text, raw.prompt_tokens, raw.completion_tokens) == ("one two!", 2, 2)
    assert (raw.cost_usd, opened.slots.n) == (0.0, 3)


def test_a_changed_script_is_another_model_and_its_folder_is_not(tmp_path: Path):
    one, two, three = tmp_path / "a/m.py", tmp_path / "b/m.py", tmp_path / "c/m.py"
    for file, text in ((one, SCRIPT), (two, SCRIPT), (three, SCRIPT + "\n")):
        file.parent.mkdir()
        file.write_text(text)

    first, same, other = (open_script(f"{file}#echo").identity for file in (one, two, three))

    assert first == same != other
    assert str(tmp_path) not in first


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("mine.py", "needed: an existing file and a function"),
        ("{folder}/none.py#f", "needed: an existing file and a function"),
        ("{folder}/mine.py#f", "has no function 'f'"),
        ("{folder}/broken.py#f", "fails when loaded: SyntaxError"),
    ],
)
def test_a_script_that_cannot_be_used_is_one_clear_line(tmp_path: Path, reference: str, told: str):
    (tmp_path / "mine.py").write_text(SCRIPT)
    (tmp_path / "broken.py").write_text("def f(:")

    with pytest.raises(LMUnavailable, match=told):
        open_script(reference.format(folder=tmp_path))


def test_a_script_that_fails_says_how():
    def broken(request: object) -> str:
        raise ZeroDivisionError("by zero")

    with pytest.raises(LMRefused, match="ZeroDivisionError: by zero"):
        scripted(broken)(ask("x"), 1)


def test_a_script_may_play_a_failing_provider():
    def late(request: object) -> str:
        raise LMTimeout("late")

    with pytest.raises(LMTimeout, match="late"):
        scripted(late)(ask("x"), 1)


def test_an_unknown_local_model_lists_the_known_ones():
    with pytest.raises(LMUnavailable) as caught:
        resolve("local/gpt-9", jobs=1, local=LocalSettings())

    assert all(name in str(caught.value) for name in CATALOGUE)


def test_a_missing_file_is_one_clear_line(tmp_path: Path):
    with pytest.raises(LMUnavailable, match=r"there is no file .*none.gguf; give a GGUF file"):
        resolve(f"local:{tmp_path}/none.gguf", jobs=1, local=LocalSettings())


def test_the_public_names_are_sorted_and_there():
    names = harness.lm.__all__

    assert sorted(names) == sorted(set(names))
    assert all(hasattr(harness.lm, name) for name in names)
