"""export: a learned program as a Python file that does the same by itself."""

import ast
import importlib
import json
import os
import subprocess
import sys

import pytest
from exported import (
    FAR,
    HEAD,
    HELPED,
    MADE,
    PARTS,
    PLACES,
    SCRIPT,
    TUTOR,
    TUTOR_STATE,
    code_program,
    outputs,
    outputs_alone,
)

from harness.trace.export import ExportError, export


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Write a text as a module and import it; the module's file is tmp_path/name.py."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def imported(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8", newline="")
        importlib.invalidate_caches()
        names.append(name)
        return importlib.import_module(name)

    yield imported
    for name in names:
        sys.modules.pop(name, None)


def test_the_exported_file_gives_the_learned_outputs_by_itself(load, tmp_path):
    tutor = load("tutor", TUTOR).Tutor()
    tutor.load_state(TUTOR_STATE)

    text = export(tutor)

    assert outputs_alone(tmp_path, text, "Tutor()", "why? ", "a\nb") == outputs(
        tutor, "why? ", "a\nb"
    )
    assert load("again", text).Tutor().state() == {**TUTOR_STATE, "tidy": _tidy(text)}


def _tidy(text):
    """Return the source of the method `tidy` in an exported text, without its margin."""
    found = next(n for n in ast.walk(ast.parse(text)) if getattr(n, "name", "") == "tidy")
    lines = text.split("\n")[found.lineno - 1 : found.end_lineno]
    return "".join(f"{line.removeprefix('    ')}\n" for line in lines)


def test_all_that_was_not_learned_stays_as_it_was(load):
    module = load("tutor", TUTOR)
    unchanged, changed = module.Tutor(), module.Tutor()
    changed.load_state({"instruction": "Think.", "tidy": TUTOR_STATE["tidy"]})
    header = "# Exported by harness.trace with the learned values of Tutor.\n"

    assert export(unchanged) == header + TUTOR
    assert export(changed) == header + TUTOR.replace('"Answer briefly."', "'Think.'").replace(
        '''        """Clean a reply."""
        return re.sub(r"\\s+", " ", reply)  # the old way
''',
        '''        """Tidy.

        More."""
        return reply.upper() + \'\'\'a
  b
\'\'\'
''',
    )


def test_helpers_and_imports_come_along(load, tmp_path):
    program = load("program", code_program()).Program()
    program.load_state({"tidy": HELPED})

    text = export(program)

    assert outputs_alone(tmp_path, text, "Program()", "banana") == outputs(program, "banana")
    assert export(load("again", text).Program()) == text


def test_instances_that_differ_and_other_files_go_to_learned(load, tmp_path):
    load("parts", FAR)
    whole = load("program", PARTS).Whole("hello")
    whole.load_state({"parts.0.prompt": "A", "parts.1.tail": "?", "far.end": "\n"})

    text = export(whole)

    assert outputs_alone(tmp_path, text, "learned('hello')", "x") == outputs(whole, "x")
    assert load("again", text).LEARNED == {
        "parts.0.prompt": "A",
        "parts.1.prompt": "b",
        "parts.1.tail": "?",
        "far.end": "\n",
    }


def test_instances_that_agree_change_their_class(load, tmp_path):
    load("parts", FAR)
    whole = load("program", PARTS).Whole()
    code = "def shout(self, x):\n    return x.lower()\n"
    state = {f"parts.{i}.{name}": v for i in (0, 1) for name, v in (("tail", "?"), ("shout", code))}
    whole.load_state(state)

    text = export(whole)

    assert outputs_alone(tmp_path, text, "Whole()", "X") == outputs(whole, "X")
    assert "node('?', trainable=True)" in text and "return x.lower()" in text
    assert list(load("again", text).LEARNED) == ["parts.0.prompt", "parts.1.prompt", "far.end"]


def test_code_in_learned_runs_within_a_runner_as_before(load):
    load("parts", FAR)
    whole = load("program", PARTS).Whole()
    whole.load_state({"parts.0.shout": "def shout(self, x):\n    return x.lower()\n"})

    again = load("again", export(whole)).learned()

    assert outputs(again, "Xy") == outputs(whole, "Xy") == ["hixy!BXY!end"]


def test_a_method_of_a_base_class_is_changed_there(load, tmp_path):
    text = code_program(
        "\n\nclass Child(Program):\n    pass\n\n\n@model\nclass Other(Child):\n    pass\n"
    )
    child = load("program", text).Other()
    child.load_state({"tidy": "def tidy(self, x):\n    return x + x\n"})

    exported = export(child)

    assert exported.split("\n", 1)[1] == text.replace("return x\n", "return x + x\n", 1)
    assert outputs_alone(tmp_path, exported, "Other()", "a") == ["aa"]


def test_a_class_made_by_model_and_a_function_as_a_part(load, tmp_path):
    program = load("program", MADE).Program()
    program.load_state({"first": "1", "second": "2", "shout": "def shout(x):\n    return x * 2"})

    exported = export(program)

    assert "node(data='2', trainable=True)" in exported and "    return x * 2\n" in exported
    assert outputs_alone(tmp_path, exported, "learned()", "x") == ["12x12x"]


def test_containers_class_methods_and_inner_classes_are_reached(load, tmp_path):
    text = "from harness.trace import Map, Seq\n" + code_program().replace(
        "    @bundle(trainable=True)\n", "    @bundle(trainable=True)\n    @classmethod\n"
    )
    text += """

class Outer:
    class Inner(Module):
        def __init__(self):
            self.parts = Seq({"a.b": node("x", trainable=True)}, Map({1: {"c": Program()}}))

        def forward(self, x):
            return self.parts[1][1]["c"](self.parts[0]["a.b"] + x)
"""
    program = load("program", text).Outer.Inner()
    code = "def tidy(self, x):\n    return x * 2\n"
    program.load_state({"parts.0.a.b": "y", "parts.1.1.c.tidy": code})

    exported = export(program)

    assert "return x * 2\n" in exported and "LEARNED = {\n    'parts.0.a.b': 'y',\n}" in exported
    assert outputs_alone(tmp_path, exported, "learned()", "z") == ["yzyz"]


@pytest.mark.parametrize("case", PLACES)
def test_a_value_without_one_literal_goes_to_learned(load, case):
    text = PLACES[case]
    program = load("program", text).Program()
    (path,) = program.named_parameters()
    program.load_state({path: "new"})

    exported = export(program)

    assert text in exported
    assert load("again", exported).learned().state() == {path: "new"}


def test_a_function_with_a_decorator_below_bundle_is_left_to_the_runner(load):
    text = code_program().replace("    def tidy", "    @more\n    def tidy")
    more = "def more(f):\n    return functools.wraps(f)(lambda self, x: f(self, x) + '+')\n\n\n"
    text = f"import functools\n\n\n{more}{text}"
    program = load("program", text).Program()
    program.load_state({"tidy": "def tidy(self, x):\n    return x * 2\n"})

    again = load("again", export(program)).learned()

    assert outputs(again, "a") == outputs(program, "a") == ["aa"]


def test_a_script_exports_itself(tmp_path):
    script, exported = tmp_path / "script.py", tmp_path / "exported.py"
    script.write_text("#!/usr/bin/env python\n" + SCRIPT, encoding="utf-8")
    run = {"cwd": tmp_path, "text": True, "check": True, "stdout": subprocess.PIPE}

    exported.write_text(subprocess.run([sys.executable, "script.py", "x"], **run).stdout, "utf-8")

    assert exported.read_text("utf-8").startswith("#!/usr/bin/env python\n# Exported by")
    assert subprocess.run([sys.executable, "exported.py"], **run).stdout == "abab\n"


def test_learned_values_stand_before_the_main_block(load, tmp_path):
    text = (
        PARTS
        + '\n\n# Runs as a script.\nif __name__ == "__main__":\n    print(learned()("x").data)\n'
    )
    load("parts", FAR)

    exported = export(load("program", text).Whole())

    (tmp_path / "exported.py").write_text(exported, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "exported.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("HIX!BX!end\n", "")
    assert "return program\n\n\n# Runs as a script.\nif __name__" in exported


def test_the_export_of_an_export_is_the_same(load):
    load("parts", FAR)
    whole = load("program", PARTS).Whole()
    whole.load_state(
        {
            "far.end": "line\n" * 40,
            "parts.0.shout": HELPED.replace("tidy", "shout"),
        }
    )
    text = export(whole)

    again = load("again", text).learned()

    assert export(again) == text
    assert again.state() == whole.state()


def test_a_later_export_renews_the_learned_values(load):
    load("parts", FAR)
    first = load("again", export(load("program", PARTS).Whole())).learned()
    first.load_state({"far.end": "new", "parts.0.prompt": "later"})

    text = export(first)

    assert text.count("LEARNED = {") == 1 and text.count("def learned(") == 1
    assert load("third", text).learned().state() == first.state()


def test_the_text_does_not_hang_on_the_process(load, tmp_path):
    (tmp_path / "tutor.py").write_text(TUTOR, encoding="utf-8")
    code = (
        "import json, sys, tutor; from harness.trace.export import export; t = tutor.Tutor()\n"
        "t.load_state(json.loads(sys.argv[1])); sys.stdout.buffer.write(export(t).encode())"
    )

    texts = {
        subprocess.run(
            [sys.executable, "-c", code, json.dumps(TUTOR_STATE)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }

    assert len(texts) == 1


def test_a_file_laid_out_alike_is_not_taken_for_the_own(load):
    text = code_program(
        "\n\n    def __init__(self):\n        self.end = node('a', trainable=True)\n"
    )
    program = load("program", text).Program()
    program.far = load("far", text).Program()
    state = {"tidy": "def tidy(self, x):\n    return x + x\n", "end": "b"}
    program.load_state(state | {f"far.{name}": value for name, value in state.items()})

    exported = export(program)

    assert "return x + x\n" in exported and "node('b'" in exported
    assert list(load("again", exported).LEARNED) == ["far.tidy", "far.end"]


def test_a_value_that_cannot_be_written_is_refused_by_name(load):
    tutor = load("tutor", TUTOR).Tutor()
    tutor.load_state({"demos": [{"question": object()}]})
    program = load("program", code_program()).Program()
    program.load_state({"tidy": "print(1)\n\ndef tidy(self, x):\n    return x\n"})

    with pytest.raises(ExportError, match=r"parameter demos holds a list without a fixed literal"):
        export(tutor)
    with pytest.raises(ExportError, match=r"parameter tidy holds `print\(1\)` in its code"):
        export(program)


# A form feed sets the indent back to zero, so moving its line to the right ends the method.
FORM_FEED = "def tidy(self, x):\n    if x:\n        x = 1\n\f    return x"


def test_code_that_would_reach_beyond_its_function_is_refused(load):
    program = load("program", code_program()).Program()
    program.load_state({"tidy": FORM_FEED})

    with pytest.raises(ExportError, match=r"Program cannot be exported: .* something else"):
        export(program)


def test_nothing_that_was_learned_runs(load, tmp_path):
    mark = tmp_path / "ran"
    run = f"open({str(mark)!r}, 'w').close()"
    other = f"def f(z={run}):\n    return 1\n"
    program = load("program", code_program()).Program()
    program.load_state({"tidy": f"y = {run}\n{other}\ndef tidy(self, x={run}):\n    return x"})

    load("again", export(program)).Program()

    assert not mark.exists()


@pytest.mark.parametrize("head", ["class Program(Module)", "@model\nclass Program"])
def test_a_file_that_changed_since_its_import_is_refused(load, tmp_path, head):
    text = code_program().replace("class Program(Module)", head)
    program = load("program", text).Program()
    (tmp_path / "program.py").write_text(text.replace("return x", "return  x"), "utf-8")

    with pytest.raises(ExportError, match=r"program.py holds another Program.tidy than the loaded"):
        export(program)


def test_a_file_in_another_encoding_is_refused(load):
    program = load("program", "# coding: latin-1\n# ü\n" + code_program()).Program()

    with pytest.raises(ExportError, match="is written in iso-8859-1; save it as UTF-8"):
        export(program)


def test_a_class_without_a_place_in_a_file_is_refused(load):
    made = "\ndef make():\n    class P(Module):\n        pass\n    return P\n\nQ = make()\n"
    twice = "\nclass R(Module):\n    pass\n\nS = R\n\nclass R(Module):\n    pass\n"
    module = load("program", HEAD + made + twice)
    names = {"__name__": "nowhere"}
    exec(f"{HEAD}\nclass P(Module):\n    pass\n", names)

    for cls in (module.Q, module.S, names["P"]):
        with pytest.raises(ExportError, match=r"cannot be exported: .*outside of functions"):
            export(cls())


def test_names_of_the_export_that_the_file_uses_are_refused(load):
    load("parts", FAR)
    own = (
        "\n\nLEARNED = 1\n\n\ndef learned(*args, **kwargs):\n    program = Whole(*args, **kwargs)\n"
    )

    with pytest.raises(ExportError, match="uses the name LEARNED or learned; rename"):
        export(load("program", PARTS + own).Whole())


def test_the_learned_values_of_two_programs_do_not_mix(load):
    load("parts", FAR)
    text = export(load("program", PARTS).Whole())

    with pytest.raises(ExportError, match="learned values of another program"):
        export(load("again", text).Part("x"))


def test_windows_line_ends_and_a_mark_of_the_encoding_are_read(load, tmp_path):
    tutor = load("tutor", "\ufeff" + TUTOR.replace("\n", "\r\n")).Tutor()
    tutor.load_state(TUTOR_STATE)
    other = load("plain", TUTOR).Tutor()
    other.load_state(TUTOR_STATE)

    assert export(tutor) == export(other)
