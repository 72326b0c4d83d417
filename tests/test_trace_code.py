import ast
import functools

import pytest

from harness.trace.code import Signature


def plain(a, /, b, c=1, *rest, d, e=2, **options):
    return (yield from rest)


async def waits(x: int, *, y: str = "a") -> None: ...


async def streams(x):
    yield x


class Holder:
    def method(self, a): ...


@functools.wraps(plain)
def wrapped(*args): ...


def test_a_signature_is_the_same_from_a_function_and_from_its_source():
    with open(__file__, encoding="utf-8") as file:
        parsed = {
            part.name: Signature.of_def(part)
            for part in ast.walk(ast.parse(file.read()))
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    for function in (plain, waits, streams, Holder.method, Holder().method):
        assert Signature.of(function) == parsed[function.__name__]
    assert Signature.of(wrapped) == Signature.of(plain)
    assert Signature.of(plain).parameters == ("a", "/", "b", "c", "*rest", "d", "e", "**options")
    assert Signature.of(waits).parameters == ("x", "*", "y")
    assert parsed["waits"].head == "async def waits(x: int, *, y: str='a') -> None:"
    assert "\nasync def waits(x, *, y):" in Signature.of(waits).words
    for wrong in (lambda x: x, len, 5):
        with pytest.raises(TypeError, match="made by `def`"):
            Signature.of(wrong)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("rule", "code", "reason"),
    [
        (Signature("f", ("x",)), 5, "it must be a text, not int"),
        (Signature("f", ("x",)), "#" * 100_001, "it has 100001 characters; at most 100000"),
        (Signature("f", ("x",)), "def f(x:\n", "the code does not parse: '(' was never closed"),
        (
            Signature("f", ("x",)),
            "x = '\0'",
            "does not parse: source code string cannot contain null bytes",
        ),
        (Signature("f", ("x",)), "x = '\ud800'", "does not parse: UnicodeEncodeError"),
        (Signature("f", ("x",)), "x = " + "-" * 90_000 + "1", "the code does not parse: "),
        (Signature("f", ("x",)), "x = a" + ".a" * 40_000, "does not parse: RecursionError"),
        (Signature("f", ("x",)), "def g(x): pass", "`f` once at top level; it defines there: g"),
        (
            Signature("f"),
            "def f(): pass\ndef f(): pass",
            "once at top level; it defines there: f, f",
        ),
        (Signature("f", ("x",)), "", "it defines there: nothing"),
        (Signature("f", ("x",)), "class f: pass", "`f` must be a plain `def`, neither `async def`"),
        (Signature("f", ("x",)), "async def f(x): pass", "`f` must be a plain `def`"),
        (Signature("f", ("x",), True), "def f(x): pass", "`f` must be an `async def`, neither"),
        (Signature("f", ("x",)), "def f(y): pass", "must have the parameters (x); it has (y)"),
        (Signature("f", ("x", "y")), "def f(x, *, y): pass", "it has (x, *, y)"),
        (Signature("f", ("x",)), "def f(x, /): pass", "it has (x, /)"),
        (Signature("f", ("x",)), "def f(x): yield 1", "`f` must return, not yield"),
        (Signature("f", ("x",), False, True), "def f(x): return [1]", "`f` must yield"),
        (Signature("f", yields=True), "def f():\n def g(): yield 1", "`f` must yield"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_code_that_does_not_keep_the_signature_is_refused(rule: Signature, code, reason: str):
    assert reason in (rule.refusal(code) or "")


def test_code_that_keeps_the_signature_is_fine():
    code = "import re\nLIMIT = 3\n\ndef g(x):\n    yield x\n\n"

    assert Signature("f", ("x",)).refusal(code + "def f(x: int = 3) -> int: return x") is None
    assert Signature("f", ("x",), True, True).refusal(code + "async def f(x): yield x") is None
    assert Signature("f", (), False, True).refusal("def f():\n  if 1:\n    x = yield") is None
