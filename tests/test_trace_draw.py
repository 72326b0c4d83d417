"""Pictures of a trace: Mermaid, Graphviz, HTML; in real programs where they are installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chromium import Page, find_chromium
from hypothesis import example, given
from hypothesis import strategies as st

from harness.trace import (
    Batch,
    ExecutionError,
    Module,
    Parameter,
    Trace,
    TraceNode,
    bundle,
    merge,
    node,
    trace_of,
)
from harness.trace.draw import Drawing, GraphvizMissing, draw, to_dot, to_html, to_mermaid

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1><!--<script>"
    "\u2028\u2029\u202e\x00\x1b\ud800 \\N \\n &amp; #35; `c` %%{init: {}}%% {{data}} $$x$$"
    " \"'*_]|\n1. "
)
needs_graphviz = pytest.mark.skipif(
    not (shutil.which("dot") or find_spec("pygraphviz")), reason="no Graphviz, no pygraphviz"
)


@bundle
def number(line):
    """Return the number in a line."""
    return int(line)


class Tutor(Module):
    def __init__(self) -> None:
        self.instruction = Parameter("Say: ", description="What comes first.")

    def forward(self, question):
        return number(self.instruction[5:] + question)


def traced(question: str) -> Trace:
    tutor = Tutor()
    try:
        output = tutor(node(question, name="question"))
    except ExecutionError as error:
        output = error.exception_node
    return trace_of(output, tutor.named_parameters())


def one_node(text: str) -> Trace:
    return Trace((TraceNode(text, "parameter", None, text, (), text, "str"),), text)


def apart() -> Batch:
    """`outside` does not depend on the parameter, `inside` does, `end` takes both."""
    nodes = (
        TraceNode("theta", "parameter", None, "", (), 1, "int"),
        TraceNode("x", "input", None, "", (), 2, "int"),
        TraceNode("outside", "op", "neg", "", (("x", "x"),), -2, "int"),
        TraceNode("inside", "op", "neg", "", (("x", "theta"),), -1, "int"),
        TraceNode("end", "op", "add", "", (("x", "inside"), ("y", "outside")), -3, "int"),
    )
    return Batch(nodes, (("end", "Too small."), ("inside", "Too large.")))


def hostile() -> Batch:
    theta = TraceNode(HOSTILE, "parameter", None, HOSTILE, (), HOSTILE, HOSTILE)
    inputs = ((HOSTILE, HOSTILE),)
    op = TraceNode("op", "op", HOSTILE, HOSTILE, inputs, HOSTILE, "str", HOSTILE, HOSTILE)
    return Batch((theta, op), (("op", HOSTILE),))


def view_data(page: str) -> dict[str, dict[str, object]]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return {found["name"]: found for found in json.loads(text)["nodes"]}


def tags(page: str) -> list[str]:
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append(tag)
    parser.feed(page)
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    program = find_chromium()
    if program is None:
        pytest.skip("no Chromium; install it with `apt-get install chromium`")
    with Page(program, tmp_path_factory.mktemp("profile")) as page:
        yield page


def test_the_way_of_the_feedback_is_what_depends_on_a_parameter() -> None:
    source = to_dot(apart())

    edges = re.findall(r"n(\d) -> n(\d) \[(.*)\];", source)
    assert {(a, b) for a, b, _ in edges} == {
        ("1", "2"), ("0", "3"), ("3", "4"), ("2", "4"), ("4", "5"), ("3", "6"),
    }  # fmt: skip
    plain = {(a, b) for a, b, looks in edges if "color=" not in looks}
    assert plain == {("1", "2"), ("2", "4")}


def test_feedback_arrives_at_what_its_output_was_made_of() -> None:
    found = view_data(to_html(apart()))

    assert {name: facts["feedback"] for name, facts in found.items()} == {
        "theta": [5, 6],
        "x": [],
        "outside": [],
        "inside": [5, 6],
        "end": [5],
        "Feedback on end": [5],
        "Feedback on inside": [6],
    }


def test_a_batch_shows_shared_parameters_once_and_each_output_with_its_feedback() -> None:
    batch = merge([(traced("7"), "Fine."), (traced("seven"), "Not a number.")])

    found = view_data(to_html(batch))

    looks = {name: facts["looks"] for name, facts in found.items()}
    assert sum(look == ["parameter"] for look in looks.values()) == 1
    assert looks["r0.number1"] == ["op", "output"]
    assert looks["r1.number1"] == ["failed", "output"]
    assert found["Feedback on r1.number1"]["value"] == "Not a number."
    assert "# <---" in str(found["r1.number1"]["error"])
    assert "return int(line)" in str(found["r0.number1"]["source"])


def test_mermaid_and_graphviz_mark_failures_outputs_and_feedback() -> None:
    batch = merge([(traced("seven"), "Not a number.")])
    places = {n.name: f"n{i}" for i, n in enumerate(batch.nodes)}

    mermaid, dot = to_mermaid(batch), to_dot(batch)

    classes = dict(reversed(found) for found in re.findall(r"    class (\S+) (\w+)\n", mermaid))
    assert classes["failed"] == classes["output"] == places["number1"]
    assert classes["parameter"] == places["instruction"]
    assert classes["feedback"] == f"n{len(batch.nodes)}"
    (failed,) = re.findall(rf"  {places['number1']} \[.*\];", dot)
    assert 'color="#dc2626", penwidth=2.5' in failed
    assert "shape=note" in dot


def test_a_trace_alone_has_no_feedback_and_its_output_is_marked() -> None:
    found = view_data(to_html(traced("7")))

    assert not any(facts["kind"] == "feedback" for facts in found.values())
    assert found["number1"]["looks"] == ["op", "output"]


def test_a_box_shows_the_beginning_and_the_panel_all() -> None:
    trace = one_node("word " * 10_000)

    assert to_dot(trace).count("word") == 4 * 7
    assert to_mermaid(trace).count("word") == 4 * 7
    assert view_data(to_html(trace))["word " * 10_000]["value"] == "word " * 10_000


def test_a_value_is_shown_exactly_where_javascript_could_not_hold_it() -> None:
    trace = Trace((TraceNode("n", "parameter", None, "", (), 2**60 + 1, "int"),), "n")

    assert view_data(to_html(trace))["n"]["value"] == "1152921504606846977"


@given(st.text())
@example(HOSTILE)
def test_any_text_in_mermaid_is_one_label_of_harmless_characters(text: str) -> None:
    lines = to_mermaid(one_node(text)).splitlines()

    assert lines[0] == "flowchart TD"
    label = re.fullmatch(r'    n0\["([^"]*)<br/>([^"]*)"\]', lines[1])
    assert label is not None
    assert all(re.fullmatch(r"(#\d+;|[^\W_]|[ ,=])*", part) for part in label.groups())
    numbers = [int(n) for n in re.findall(r"#(\d+);", lines[1])]
    assert all(n > 31 and not 0x2028 <= n <= 0x202E and not 0xD800 <= n < 0xE000 for n in numbers)
    assert lines[1].count("#92;") == lines[1].count("#92;#8203;")
    assert all(line.startswith("    class") for line in lines[2:])


@given(st.text())
@example(HOSTILE)
def test_any_text_in_dot_is_one_label_of_escaped_characters(text: str) -> None:
    source = to_dot(one_node(text))

    (label,) = re.findall(r"^  n0 \[label=<(.*)>, style=[^<>]*\];$", source, re.MULTILINE)
    parsed = ElementTree.fromstring(f"<label>{label}</label>")
    assert {element.tag for element in parsed.iter()} <= {"label", "b", "font", "br"}
    assert re.search(r"(?<!\\)(\\\\)*\\(?!\\)", "".join(parsed.itertext())) is None


@given(st.text(st.characters(codec=None, exclude_categories=())))
@example(HOSTILE)
def test_any_text_in_html_stays_in_the_data_and_comes_back_whole(text: str) -> None:
    page = to_html(one_node(text), title=text)

    assert tags(page) == tags(to_html(one_node("plain")))
    assert view_data(page)[text]["value"] == text
    page.encode()


@needs_graphviz
def test_graphviz_draws_hostile_text_as_it_is(tmp_path: Path) -> None:
    trace = one_node(r"\N <b>&amp;</b> \G \n")

    path = draw(trace, tmp_path / "hostile.svg")

    texts = [e.text for e in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")]
    assert texts[-2:] == [r"\N <b>&amp;</b> \G \n"] * 2
    draw(hostile(), tmp_path / "hostile.png")


def test_the_same_trace_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_trace_draw import *\n"
        "batch = merge([(traced('7'), 'Fine.'), (traced('seven'), 'No.')])\n"
        "print([hash('x')], to_dot(batch), to_mermaid(batch), to_html(batch))"
    )
    command = [sys.executable, "-c", code]

    outputs = [
        subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True)
        for seed in ("1", "2")
    ]

    first, second = (done.stdout.partition(b"]") for done in outputs)
    assert first[0] != second[0], outputs[0].stderr
    assert first[2] == second[2]


@pytest.mark.parametrize("suffix", ["html", "mmd", "dot", "gv", "HTML"])
def test_a_file_gets_the_picture_that_its_suffix_says(tmp_path: Path, suffix: str) -> None:
    trace = traced("7")
    writers = {"html": to_html, "mmd": to_mermaid, "dot": to_dot, "gv": to_dot}

    path = draw(trace, str(tmp_path / f"trace.{suffix}"))

    assert path == tmp_path / f"trace.{suffix}"
    assert path.read_text(encoding="utf-8") == writers[suffix.lower()](trace)


def test_another_suffix_is_refused_with_those_that_are_allowed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trace\.pdf.*\.html, \.mmd, \.dot, \.gv, \.svg, \.png"):
        draw(traced("7"), tmp_path / "trace.pdf")

    assert list(tmp_path.iterdir()) == []


@needs_graphviz
def test_graphviz_writes_svg_and_png(tmp_path: Path) -> None:
    batch = merge([(traced("7"), "Fine."), (traced("seven"), "No.")])

    svg, png = draw(batch, tmp_path / "a.svg"), draw(batch, tmp_path / "a.png")

    root = ElementTree.parse(svg).getroot()
    groups = [g.get("class") for g in root.iter("{http://www.w3.org/2000/svg}g")]
    assert groups.count("node") == len(batch.nodes) + 2
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_without_graphviz_the_error_says_what_to_install(tmp_path: Path) -> None:
    # -S: no installed packages; no PATH: no program.
    code = (
        "from harness.trace import Trace, TraceNode\n"
        "from harness.trace.draw import GraphvizMissing, draw\n"
        "try:\n    draw(Trace((TraceNode('n','parameter',None,'',(),1,'int'),),'n'), 'n.svg')\n"
        "except GraphvizMissing as error:\n    print(error)"
    )
    command = [sys.executable, "-S", "-c", code]

    done = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True)

    assert b"pip install pygraphviz" in done.stdout, done.stderr
    assert issubclass(GraphvizMissing, RuntimeError)


def test_a_drawing_saves_itself_and_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    drawing = Drawing(hostile(), title="Hostile")

    frame = drawing._repr_html_()

    assert drawing.source == to_dot(hostile())
    assert drawing.save(tmp_path / "x.mmd").read_text() == to_mermaid(hostile())
    assert frame.startswith('<iframe sandbox="allow-scripts" srcdoc="')
    assert frame.count("<") == 2


def test_a_click_on_a_failed_value_tells_all_about_it(page: Page, tmp_path: Path) -> None:
    batch = merge([(traced("7"), "Fine."), (traced("seven"), "Not a number.")])
    page.open(draw(batch, tmp_path / "batch.html", title="Tutor"))

    page.click(".box.failed")

    told = page.ask("document.querySelector('#panel').innerText")
    value = "(ValueError) invalid literal for int() with base 10: 'seven'"
    assert {"r1.number1", "Made by", value, "Not a number."} <= set(told.splitlines())
    assert "Fine." not in told
    marked = page.ask("document.querySelector('#panel mark').textContent")
    assert marked.startswith("    return int(line)  # <--- (ValueError)")
    dim = page.ask("document.querySelectorAll('.box:not(.lit)').length")
    assert dim == sum(n.name.startswith("r0.") for n in batch.nodes) + 1


def test_arrow_keys_go_along_the_edges_and_enter_to_the_panel(page: Page, tmp_path: Path) -> None:
    page.open(draw(merge([(traced("7"), "Fine.")]), tmp_path / "one.html"))
    page.ask("document.querySelector('.box.output').focus()")
    names: list[str] = []

    for key in ("ArrowDown", "ArrowUp", "ArrowUp"):
        page.press(key)
        names.append(page.ask("document.activeElement.querySelector('b').textContent"))
    page.press("Enter")

    assert names == ["Feedback on number1", "number1", traced("7").node("number1").inputs[0][1]]
    assert page.ask("document.activeElement.id") == "panel"
    assert page.ask("document.querySelector('#panel h2').textContent") == names[-1]


def test_a_search_finds_values_by_their_text(page: Page, tmp_path: Path) -> None:
    batch = merge([(traced("7"), "Fine."), (traced("seven"), "Not a number.")])
    page.open(draw(batch, tmp_path / "batch.html"))
    page.press("/")

    page.ask("search.value = 'Not a NUMBER'; search.dispatchEvent(new Event('input'))")

    assert page.ask("document.activeElement.id") == "search"
    found = page.ask("[...document.querySelectorAll('.box.lit b')].map(e => e.textContent)")
    assert found == ["Feedback on r1.number1"]


def test_hostile_text_is_shown_and_does_not_run(page: Page, tmp_path: Path) -> None:
    page.open(draw(hostile(), tmp_path / "hostile.html", title=HOSTILE))
    page.requests.clear()

    page.click(".box.failed")

    values = page.ask("[...document.querySelectorAll('#panel pre')].map(e => e.textContent)")
    assert HOSTILE.encode(errors="replace") in [v.encode(errors="replace") for v in values]
    assert page.ask("typeof window.hacked") == "undefined"
    assert page.ask("document.querySelectorAll('img').length") == 0
    assert page.requests == []


def test_the_page_s_policy_stops_scripts_that_are_not_ours(page: Page, tmp_path: Path) -> None:
    path = draw(traced("7"), tmp_path / "trace.html")
    evil = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1></body>"
    path.write_text(path.read_text().replace("</body>", evil))

    page.open(path)

    assert page.ask("typeof window.hacked") == "undefined"
    assert page.ask("document.querySelectorAll('.box').length") > 1


def test_five_thousand_values_can_be_looked_at(page: Page, tmp_path: Path) -> None:
    nodes = [TraceNode("theta", "parameter", None, "", (), "v", "str")]
    for i in range(5_000):
        inputs = (("x", nodes[-1].name), ("y", "theta"))
        nodes.append(TraceNode(f"add{i}", "op", "add", "", inputs, "v" * 50, "str"))
    page.open(draw(Trace(tuple(nodes), nodes[-1].name), tmp_path / "long.html"))

    page.click(".box.output")

    assert page.ask("document.querySelector('#panel h2').textContent") == "add4999"
    assert page.ask("document.querySelectorAll('.box').length") < 100
    page.press("0")
    assert page.ask("document.querySelectorAll('.box').length") == 1
