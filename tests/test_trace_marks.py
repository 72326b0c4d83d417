"""Text that plain Python makes from nodes keeps the dependency, or is refused."""

import contextlib
import dis
import io
import json
import logging
import os
import pickle
import subprocess
import sys

import pytest

from harness.trace import (
    ExecutionError,
    Parameter,
    TraceMissingInputsError,
    UsageError,
    apply,
    bundle,
    node,
    operators,
    plain_text,
    stop_tracing,
    trace_of,
)

WRITERS = {
    "f-string": lambda p: f"say {p}!",
    "str.format": lambda p: "say {}!".format(p),  # noqa: UP032  the way that is tried
    "named field": lambda p: "say {p}!".format(p=p),  # noqa: UP032
    "format_map": lambda p: "say {p}!".format_map({"p": p}),
    "percent": lambda p: "say %s!" % p,  # noqa: UP031
    "named percent": lambda p: "say %(p)s!" % {"p": p},  # noqa: UP031
    "str": lambda p: "say " + str(p) + "!",
    "join": lambda p: "".join(["say ", *map(str, [p]), "!"]),
    "replace": lambda p: "say X!".replace("X", str(p)),
    "print": lambda p: printed("say ", p, "!"),
    "twice": lambda p: f"{f'say {p}'}!",
}


def printed(*parts):
    """Return what print writes, without the end of the line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print(*parts, sep="")  # noqa: T201  the way that is tried
    return out.getvalue().rstrip("\n")


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_text_made_of_a_node_depends_on_it(write):
    prompt = Parameter("hello", name="prompt")

    made = node(write(prompt))

    assert made.data == "say hello!" and made.op == "text"
    assert made.parents == [prompt] and made.parents[0] is prompt
    assert trace_of(made, {"prompt": prompt}).node("text1").inputs == (("part_0", "prompt"),)


def test_a_text_keeps_every_node_once_in_its_order():
    one, two = node("1"), node("2")

    made = node(f"{two} {one} {two}")

    assert made.data == "2 1 2"
    assert [n is m for n, m in zip(made.inputs.values(), (two, one), strict=True)] == [True, True]


def test_an_expression_within_an_f_string_is_an_input():
    prompt = Parameter("hello")

    made = node(f"{prompt.upper()} {prompt + '?'}")

    assert made.data == "HELLO hello?"
    assert [n.op for n in made.parents] == ["upper", "concat"]
    assert made.parameter_dependencies == {prompt}


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (lambda n: f"{n:.2f}", "3.14"),
        (lambda n: f"{n:>8.1f}|", "     3.1|"),
        (lambda n: f"{n:{8}.{2}f}", "    3.14"),
        (lambda n: "%s" % n, "3.14159"),  # noqa: UP031
        (lambda n: "%10s|" % plain_text(str(n)), "   3.14159|"),  # noqa: UP031
    ],
)
def test_a_format_is_that_of_the_value(write, text):
    number = node(3.14159)

    assert node(write(number)).data == text
    with pytest.raises(ValueError, match="Unknown format code"):
        f"{node('a'):.2f}"


def test_the_repr_of_a_node_in_a_text_is_only_a_repr():
    prompt = Parameter("hello")

    assert node(f"{prompt!r}").inputs == {}
    assert f"{prompt!r}" == repr(prompt)


USES = {
    "bundle": lambda text: bundle(lambda x: x)(text).inputs["x"],
    "apply": lambda text: apply("same", lambda x: x, {"x": text}).inputs["x"],
    "operand": lambda text: (node("a") + text).inputs["y"],
    "left operand": lambda text: (text + node("a")).inputs["x"],
    "operator": lambda text: operators.upper(text).inputs["x"],
    "method": lambda text: node("a").replace("a", text).inputs["new"],
    "template": lambda text: operators.format(text, 1).inputs["x"],
    "field": lambda text: node("{}").format(text).inputs["args_0"],
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_text_used_anywhere_brings_its_nodes_along(use):
    prompt = Parameter("hello")

    part = use(f"say {prompt}!")

    assert part.data == "say hello!" and part.parents[0] is prompt


WRAPS = {
    "list": lambda text: [text],
    "tuple": lambda text: (1, text),
    "dict": lambda text: {"content": text},
    "messages": lambda text: [{"role": "user", "content": text}],
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
def test_a_text_within_a_container_brings_its_nodes_along(wrap):
    prompt = Parameter("hello")
    same = bundle(lambda x: x)

    for made in (node(wrap(f"say {prompt}")), same(wrap(f"say {prompt}"))):
        assert made.parameter_dependencies == {prompt}
        assert same(made).data == wrap("say hello")
    assert node("").join([f"say {prompt}"]).data == "say hello"
    assert node("").join([f"say {prompt}"]).parameter_dependencies == {prompt}


def test_a_foreign_node_written_in_a_body_is_a_dependency_wherever_the_text_stands():
    secret = Parameter("s")

    for wrap in (lambda text: text, *WRAPS.values()):
        made = bundle(lambda x, wrap=wrap: wrap(f"{secret} {x}"))(1)
        assert made.data == wrap("s 1") and made.hidden_dependencies == {secret}
    with pytest.raises(TraceMissingInputsError):
        apply("write", lambda x: f"{secret} {x}", {"x": 1})


def test_what_a_body_writes_into_a_text_is_a_hidden_dependency_and_the_text_is_plain():
    secret = node("s", trainable=True)
    seen = []

    @bundle
    def asks(x):
        seen.append(f"{secret} {x}")
        return len(seen[0])

    made = asks("a")

    assert seen == ["s a"]
    assert made.info["external_dependencies"] == [secret] and made.hidden_dependencies == {secret}
    made.backward("longer")
    assert list(secret.feedback) == [made]


def test_a_parameter_holds_plain_text():
    prompt = Parameter("hello")
    other = Parameter(f"{prompt}!")

    assert other.data == "hello!"
    other.set(f"{prompt}?")
    assert other.data == "hello?"


def test_a_node_is_compared_with_the_plain_text():
    prompt = Parameter("hello")

    assert prompt == f"{prompt}" and not prompt != f"{prompt}"  # noqa: SIM202  both are asked
    assert f"{prompt}" in prompt and prompt != f"{prompt}!"


def test_a_hundred_nodes_made_within_one_text_are_its_inputs():
    made = node("\n".join(f"{node(i) + 1}" for i in range(100)))

    assert len(made.parents) == 100 and made.data.startswith("1\n2\n")


@pytest.mark.parametrize(
    "change", [str.upper, str.strip, lambda t: t.split()[0], lambda t: t + "?", lambda t: t[:]]
)
def test_a_text_changed_by_plain_python_keeps_its_nodes(change):
    prompt = Parameter("hello")

    made = node(change(f"{prompt}"))

    assert made.data == change("hello") and made.parents[0] is prompt


@pytest.mark.parametrize("cut", [slice(1, None), slice(4), slice(6, None)])
def test_a_slice_through_a_mark_is_refused(cut):
    text = f"ab{Parameter('hello')}"

    with pytest.raises(UsageError, match="the node's mark in it was cut out in part"):
        node(text[2:][cut])


def test_what_lies_outside_of_a_mark_may_be_cut():
    prompt = Parameter("hello")
    text = f"abc {prompt} def"

    assert node(text[2:-2]).data == "c hello d" and node(text[2:-2]).parents[0] is prompt
    assert node(text[:3]).data == "abc" and node(text[:3]).inputs == {}


def test_an_escaped_mark_is_refused():
    prompt = Parameter("hello")

    with pytest.raises(UsageError, match=r"was escaped \(by json\.dumps or repr\?\).*node\.data"):
        node(json.dumps({"prompt": f"{prompt}"}))
    with pytest.raises(UsageError, match="was escaped"):
        node(str([f"{prompt}"]))
    kept = node(json.dumps({"prompt": f"{prompt}"}, ensure_ascii=False))
    assert kept.data == '{"prompt": "hello"}' and kept.parents[0] is prompt


def test_the_mark_of_a_node_that_is_gone_is_refused():
    texts = [f"{node(i)}" for i in range(20_000)]

    with pytest.raises(UsageError, match="is gone; keep a reference"):
        node(texts[0])


def test_a_node_made_within_the_text_lives_until_the_text_is_used():
    made = node(f"{node(1) + 1} {node('a').upper()}")

    assert made.data == "2 A" and [n.op for n in made.parents] == ["add", "upper"]


@pytest.mark.parametrize(
    "text",
    [
        "\U000e0001\U000e0030\U000e0031\U000e0061\U000e0062\U000e0035\U000e007fhello",
        "a\U000e0001\U000e0065\U000e006eb",
        "a\U000e0001",
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "\U000e0030\U000e0030 and more",
        "é\U0001f600\u200b",
    ],
)
def test_foreign_text_that_looks_like_a_mark_is_text(text):
    for made in (node(text), operators.to_str(text), node("") + text):
        assert made.data == text
    assert node(text).inputs == {} and plain_text(text) == text


def test_plain_text_takes_marks_out_for_use_outside_the_program():
    prompt = Parameter("hello")
    text = f"say {prompt}!"

    assert plain_text(text) == "say hello!" and len(plain_text(text)) == 10
    assert plain_text("hello") == "hello"
    assert node(plain_text(text)).inputs == {}
    assert json.loads(json.dumps(plain_text(text))) == "say hello!"


def test_a_body_gets_and_writes_plain_text():
    lengths: list[int] = []

    @bundle
    def measure(x):
        lengths.append(len(x))
        return f"{node('a')}{x}"

    made = measure(f"{Parameter('hello')}")

    assert lengths == [5] and made.data == "ahello" and list(made.inputs) == ["x"]


def test_a_text_made_while_tracing_is_stopped_is_plain_text_in_the_end():
    with stop_tracing():
        made = node(f"{Parameter('hello')}!")

    assert made.data == "hello!" and made.inputs == {}


def test_a_failed_operation_on_a_text_has_its_node_as_input():
    prompt = Parameter("hello")

    with pytest.raises(ExecutionError) as caught:
        operators.to_int(f"{prompt}")

    assert caught.value.exception_node.inputs["x"].parents[0] is prompt
    assert "hello" in caught.value.exception_node.data
    assert caught.value.exception_node.data.isascii()


def test_a_log_line_and_a_pickle_hold_the_text(caplog):
    prompt = Parameter("hello")

    with caplog.at_level(logging.INFO):
        logging.getLogger("trace").info("prompt %s", prompt)

    assert plain_text(caplog.records[0].getMessage()) == "prompt hello"
    assert plain_text(pickle.loads(pickle.dumps(f"{prompt}"))) == "hello"


def test_a_node_in_a_percent_d_is_refused_and_int_of_it_is_plain():
    number = node(3, trainable=True)

    for template in ("%d items", "%5.2f", "%x"):
        with pytest.raises(TypeError):  # for %d Python puts words of its own over ours
            template % number
    assert node("%s items" % number).parameter_dependencies == {number}  # noqa: UP031  the subject
    assert (int(number), float(number), list(range(number))) == (3, 3.0, [0, 1, 2])
    assert (10 % number).data == 1


def test_the_remainder_operators_have_the_numbers_that_this_python_gives_them():
    code = compile("a % b\na %= b", "x", "exec")

    found = [i.arg for i in dis.get_instructions(code) if i.opname == "BINARY_OP"]
    assert found == [6, 19]


FORKS = """
import os
from harness.trace import UsageError, node

read, write = os.pipe()
if os.fork() == 0:
    os.write(write, f"{node('child')}".encode())
    os._exit(0)
os.wait()
own = [f"{node(i)}" for i in range(3)]
try:
    node(os.read(read, 1000).decode())
except UsageError as error:
    assert "was made in another process" in str(error)
else:
    raise AssertionError("the text of a child names a node of the parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_the_text_of_a_forked_process_names_no_node_of_this_one():
    subprocess.run([sys.executable, "-c", FORKS], check=True)
