"""rewrite: new literals and code in a file, which mean there what they meant by themselves."""

import ast
import inspect
from textwrap import indent

import pytest
from exported import HELPED
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.trace.rewrite import (
    Edit,
    RewriteError,
    function_edit,
    literal,
    literal_edit,
    new_code,
    rewritten,
    under,
)

# Names of the file that are those of builtins.
FILE = """
def max(*args, **kwargs):
    return "the file's own"

min = max


class Place:
    def tidy(self, x):  # as before
        return x

    tail = 1
"""
CODES = {
    "helpers, imports and constants": HELPED,
    "recursion": """
def tidy(self, x):
    return x if len(x) < 2 else tidy(None, x[1:]) + x[0]
""",
    "a look at self": """
def tidy(self, x):
    return "alone" if self is None else "with self"
""",
    "a decorator": """
def twice(f):
    return lambda self, x: 2 * f(self, x)

@twice
def tidy(self, x):
    return x
""",
    "a decorator alone": """
@(lambda f: lambda *args: 2 * f(*args))
def tidy(self, x):
    return x
""",
    "one name in two scopes": """
x = "top"

def other():
    return x

def tidy(self, x):
    return other() + x
""",
    "one line": "def tidy(self, x): return x.upper(); y = 1",
    "odd indents": """
def tidy(self, x):
  if x:
        return x.title()
    # between
  return "none"
  # the end
""",
    "tabs": "def tidy(self, x):\n\tif x:\n\t\treturn x.title()\n",
    "text at the margin": """
def tidy(self, x):
    return f\"\"\"{x}
    in
  out {
    x}
\"\"\" + "a\\
b"
""",
    "continued lines": """
def tidy(self, x):
    return x + \\
"!" + (
"a"
  "b")
""",
    "other line ends": "def tidy(self, x):\r\n    x += x\r\n    return x.upper()\r\n",
    "a builtin that the file hides": """
def tidy(self, x):
    return str(max(x, default=0))
""",
    "a builtin beside a helper": """
def low(x):
    return min(x)

def tidy(self, x):
    return low(x)
""",
    "a class": """
class Box:
    def __init__(self, x):
        self.x = x

def tidy(self, x):
    return Box(x).x * 3
""",
    "docstrings": """
\"\"\"About.\"\"\"

def tidy(self, x):
    \"\"\"Doc.

      deep
    end\"\"\"
    return "ä" + x
""",
}


def placed(text, code, name="tidy", bound=True):
    """Return the text with new code in its function `name`."""
    tree, lines = ast.parse(text), text.split("\n")
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    old = next(n for n in ast.walk(tree) if isinstance(n, kinds) and n.name == name)
    edit = function_edit(lines, old, new_code(code, name), bound, ["max", "min"])
    return rewritten(lines, tree, {old: edit})


def names_of(text):
    """Run a text and return the names it defines."""
    names = {}
    exec(text, names)
    return names


@pytest.mark.parametrize("case", CODES)
@pytest.mark.parametrize("x", ["banana", "x"])
def test_code_does_in_its_place_what_it_did_by_itself(case, x):
    place = names_of(placed(FILE, CODES[case]))["Place"]

    assert "\r" not in placed(FILE, CODES[case])
    assert place().tidy(x) == names_of(CODES[case])["tidy"](None, x)
    assert place.tail == 1


@pytest.mark.parametrize("case", CODES)
def test_a_place_that_is_written_anew_is_as_a_fresh_one(case):
    assert placed(placed(FILE, CODES["recursion"]), CODES[case]) == placed(FILE, CODES[case])


def test_a_parameter_named_like_a_builtin_leaves_it_to_the_helpers():
    code = "def last(list):\n    return f(list)\n\ndef f(a):\n    return list(a)[-1]\n"

    text = placed("def last(list):\n    return 0\n", code, "last", bound=False)

    assert names_of(text)["last"]("abc") == "c"


def test_arguments_of_every_kind_reach_code_with_helpers():
    head = "def f(self, a, /, b, *c, d=4, **e):\n    "
    code = f"def g(*x):\n    return x\n\n{head}return g(self, a, b, c, d, e)\n"

    text = placed(f"{head}return 0\n", code, "f")

    assert names_of(text)["f"]("me", 1, 2, 3, k=5) == (None, 1, 2, (3,), 4, {"k": 5})


def test_code_without_company_replaces_the_body_only():
    text = placed(FILE, "def tidy(self, x: str = 'y') -> str:\n    # why\n    return x * 2")

    assert text == FILE.replace("        return x\n", "        return x * 2\n")


def test_a_function_on_one_line_gets_its_body_below():
    text = placed(
        "class A:\n    def tidy(self, x): return x  # old\n", "def tidy(self, x): return 2"
    )

    assert text == "class A:\n    def tidy(self, x):\n        return 2\n"


def test_docstrings_move_with_their_function():
    place = names_of(placed(FILE, CODES["docstrings"]))["Place"]

    assert inspect.getdoc(place.tidy) == "Doc.\n\n  deep\nend"


KINDS = {
    "async def f(a, b):\n    return g(a) + b\n": "import asyncio\nr = asyncio.run(f(1, 2))",
    "def f(a, b):\n    yield g(a)\n    return b\n": "r = [*f(1, 2)][0] + 2",
    "async def f(a, b):\n    yield g(a) + b\n": (
        "import asyncio\nasync def all():\n    return [x async for x in f(1, 2)]\n"
        "r = asyncio.run(all())[0]"
    ),
}


@pytest.mark.parametrize("code", KINDS)
def test_helpers_stand_in_async_functions_and_generators_too(code):
    head = code.partition("\n")[0]
    kind = "yield" if "yield" in code else "return"
    text = f"{head}\n    {kind} a\n"

    result = placed(text, f"def g(x):\n    return 10 * x\n\n{code}", "f", bound=False)

    assert names_of(result + KINDS[code])["r"] == 12


FIRST, SECOND = "a" * 60 + "\n", "b" * 60
LITERALS = {
    "f('old')": "f(\n    ({0!r}\n     {1!r}))",
    "def g():\n\tf(x='ä', y='old')": "def g():\n\tf(x='ä', y=\n\t    ({0!r}\n\t     {1!r}))",
    "f(\n    'old'\n    'er',\n)": "f(\n    ({0!r}\n     {1!r}),\n)",
}


@pytest.mark.parametrize("text", LITERALS)
def test_a_long_literal_stands_in_lines_of_its_own(text):
    tree, lines = ast.parse(text), text.split("\n")
    old = next(n for n in ast.walk(tree) if "old" in str(getattr(n, "value", "")))

    result = rewritten(lines, tree, {old: literal_edit(lines, old, literal(FIRST + SECOND))})

    assert result == LITERALS[text].format(FIRST, SECOND)


VALUES = st.recursive(
    st.text()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
WORDS = st.lists(
    st.sampled_from(["word ", "\n", "'", '"', "\\", "\t", "{x}", "ü", "\r", "\f", "a" * 90, " "])
)


@settings(max_examples=200, deadline=None)
@given(VALUES | WORDS.map("".join))
def test_every_plain_value_comes_back_exactly(value):
    lines = ["def g():", "    return f(", "        'old', k='old'", "    )"]
    tree = ast.parse("\n".join(lines))
    call = tree.body[0].body[0].value
    old = [call.args[0], call.keywords[0].value]

    text = rewritten(lines, tree, {o: literal_edit(lines, o, literal(value)) for o in old})

    call = ast.parse(text.encode()).body[0].body[0].value
    assert repr(ast.literal_eval(call.args[0])) == repr(value)
    assert repr(ast.literal_eval(call.keywords[0].value)) == repr(value)
    block = indent(f"'k':{under(literal(value))},", "    ")
    assert repr(ast.literal_eval(f"{{\n{block}\n}}")) == repr({"k": value})


class Odd(str):
    def __repr__(self):
        return "Odd()"


BAD = [float("nan"), float("inf"), {1, 2}, {"k": {1}}, object(), Odd("x"), [1, len]]


@pytest.mark.parametrize("value", BAD, ids=["nan", "inf", "set", "dict", "object", "odd", "list"])
def test_a_value_without_a_literal_is_refused(value):
    with pytest.raises(RewriteError, match="without a fixed literal in Python; allowed are texts"):
        literal(value)


REFUSED = {
    "print(1)\ndef tidy(self, x):\n    return x": r"`print\(1\)` in its code",
    "if 1:\n    y = 2\ndef tidy(self, x):\n    return x": "`if 1:` in its code",
    "from os import *\ndef tidy(self, x):\n    return x": r"`from os import \*` in its code",
    "from __future__ import annotations\ndef tidy(self, x):\n    return x": "`from __future__",
    "n = 0\ndef tidy(self, x):\n    global n\n    n += 1\n    return x": "`global` in its code",
    "def tidy(self, x):\n    return x\nbreak": "does not compile",
    "def other(self, x):\n    return x": "does not define tidy",
    # A form feed sets the indent back to zero, so moving its line to the right ends the method.
    "def tidy(self, x):\n    if x:\n        x = 1\n\f    return x": "means something else",
    f"def tidy(self, x):\n    return {'-' * 1500}x": "means something else|does not compile",
}


@pytest.mark.parametrize("code", REFUSED)
def test_code_that_could_reach_beyond_its_function_is_refused(code):
    with pytest.raises(RewriteError, match=REFUSED[code]):
        placed(FILE, code)


def test_a_text_that_breaks_out_of_its_place_is_refused():
    lines = ["a = 1", "b = 2"]
    tree = ast.parse("\n".join(lines))
    old = tree.body[0].value
    edit = Edit(4, 5, "3; import os", ast.Constant(3))

    with pytest.raises(RewriteError, match="means something else"):
        rewritten(lines, tree, {old: edit})
