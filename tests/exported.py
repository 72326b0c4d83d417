"""Programs as texts, and what an exported text does in a process of its own."""

import json
import subprocess
import sys

from harness.trace import use_code_runner

HEAD = """\
from harness.trace import Module, Parameter, bundle, model, node
"""
TUTOR = (
    '''\
"""Teaches."""

import re
from dataclasses import dataclass

'''
    + HEAD
    + '''

# A remark of the author.
LIMIT = 3


@dataclass
class Remark:
    text: str


class Tutor(Module):
    """Answers questions."""

    def __init__(self):
        self.instruction = node("Answer briefly.", trainable=True, constraint="Short.")  # what
        self.demos = Parameter([], kind="demos")
        self.temperature = Parameter(
            0.5,
            kind="number",
        )

    @bundle(trainable=True)
    def tidy(self, reply):  # called last
        """Clean a reply."""
        return re.sub(r"\\s+", " ", reply)  # the old way

    def forward(self, question):
        return self.tidy(self.instruction + question)
'''
)
TUTOR_STATE = {
    "instruction": 'Think "hard".\nIt\'s \\n not a line,\ttab.\n\n  ünïcode \u2028 🙂 \x00' * 3,
    "demos": [{"question": "1\n+1?" * 30, "answer": "2"}, {"question": "", "answer": None}],
    "temperature": -0.25,
    "tidy": """\
def tidy(self, reply):
    \"\"\"Tidy.

    More.\"\"\"
    return reply.upper() + '''a
  b
'''
""",
}


HELPED = """
import re
from math import pi

LIMIT = 2


def tidy(self, x):
    return helper(x) + re.sub("a", "b", x) * LIMIT + f"{pi:.2f}"


def helper(x):
    return "" if not x else x[-1] + helper(x[:-1])
"""


PARTS = (
    HEAD
    + """
from parts import Far


class Part(Module):
    def __init__(self, text):
        self.prompt = Parameter(text)
        self.tail = node("!", trainable=True)

    @bundle(trainable=True)
    def shout(self, x):
        return x.upper()

    def forward(self, x):
        return self.shout(self.prompt + x + self.tail)


class Whole(Module):
    def __init__(self, greeting="hi"):
        self.parts = [Part(greeting), Part("b")]
        self.far = Far()

    def forward(self, x):
        return self.far(self.parts[0](x) + self.parts[1](x))
"""
)
FAR = (
    HEAD
    + """

class Far(Module):
    def __init__(self):
        self.end = node("end", trainable=True)

    @bundle(trainable=True)
    def close(self, x, end):
        return x + end

    def forward(self, x):
        return self.close(x, self.end)
"""
)


def run_code(source, name, args, kwargs):
    """Run learned code by itself, as a sandbox does."""
    names = {"__name__": "learned"}
    exec(compile(source, "learned", "exec"), names)
    return names[name](*args, **kwargs)


def outputs(program, *inputs):
    """Return what the program makes of each input."""
    with use_code_runner(run_code):
        return [program(x).data for x in inputs]


def outputs_alone(folder, text, build, *inputs):
    """Return what an exported text makes of each input in a process of its own, with no runner."""
    (folder / "exported.py").write_text(text, encoding="utf-8", newline="")
    code = (
        f"import json, exported; p = exported.{build}\n"
        f"print(json.dumps([p(x).data for x in {inputs!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def code_program(tail=""):
    """Return the text of a program with one trainable method `tidy(self, x)`."""
    return (
        HEAD
        + """

class Program(Module):
    @bundle(trainable=True)
    def tidy(self, x):
        return x

    def forward(self, x):
        return self.tidy(x)
"""
        + tail
    )


SCRIPT = code_program(
    """

# Runs as a script.
if __name__ == "__main__":
    import sys
    from harness.trace.export import export

    p = Program()
    if sys.argv[1:]:
        p.load_state({"tidy": "def tidy(self, x):\\n    return x * 2\\n"})
        print(export(p), end="")
    else:
        print(p("ab").data)
"""
)


MADE = (
    HEAD
    + """

@bundle(trainable=True)
def shout(x):
    return x.upper()


@model
class Program:
    def __init__(self):
        self.first, self.shout = node("a", trainable=True), shout
        self.second: object = node(data="b", trainable=True)

    def forward(self, x):
        return self.shout(self.first + self.second + x)
"""
)
_PLACES = {
    "computed": 'self.p = node("a" + x, trainable=True)',
    "changed later": 'self.p = node("a", trainable=True)\n        self.p.set("b")',
    "made twice": 'self.p = node("a", trainable=True)\n        self.p = node("b", trainable=True)',
    "made by another function": 'self.p = make("a", trainable=True)',
    "in a list": 'self.p = [node("a", trainable=True)]',
    "made by the base too": 'super().__init__()\n        self.base = node("a", trainable=True)',
    "in a dict": 'self.p = {"k": node("a", trainable=True)}',
}

_PLACE = """

def make(x, **options):
    return node(x + x, **options)


class Base(Module):
    def __init__(self):
        self.base = node("base", trainable=True)


class Program(Base):
    def __init__(self, x=""):
        {}
"""
PLACES = {case: HEAD + _PLACE.format(line) for case, line in _PLACES.items()}
