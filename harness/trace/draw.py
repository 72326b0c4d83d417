"""A trace as a picture: Mermaid, Graphviz, and one HTML file to look around in.

A box is a value; an edge leads from a value to what was made of it. Parameters, failures, outputs
and feedback are marked, and so is the way of the feedback: the edges between values that depend on
a parameter. The same trace gives the same text to the byte; only SVG and PNG depend on Graphviz.

All text of a trace may come from a model and may be hostile: whatever is written here is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import Any

from harness.trace.boxes import Box, Graph, boxes_of, depend_on_parameter, edges_of, json_text

_LINE_CHARS, _MAX_LINES = 36, 3
_MANY_EDGES = 400
# Fill and border of a box; view.html has the same colors.
_COLORS = {
    "parameter": ("#eef2ff", "#4f46e5"),
    "op": ("#ffffff", "#a1a1aa"),
    "input": ("#f4f4f5", "#a1a1aa"),
    "feedback": ("#fffbeb", "#d97706"),
    "failed": ("#fef2f2", "#dc2626"),
}
_WAY = _COLORS["feedback"][1]
_MERMAID_SHAPES = {
    "parameter": ("[", "]"),
    "op": ("(", ")"),
    "input": ("([", "])"),
    "feedback": (">", "]"),
}
_FONT, _MONO = "Helvetica,Arial,sans-serif", "DejaVu Sans Mono,Consolas,monospace"
# Controls, halves of characters (XML forbids both), and what ends a line or turns its direction.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_NO_GRAPHVIZ = (
    "SVG and PNG need Graphviz, and there is neither its program `dot` in PATH nor the package "
    "pygraphviz, which brings it along; call `pip install pygraphviz`, or write .html, .mmd or .dot"
)
# In a process of its own: it is not safe among threads, and it writes warnings.
_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
kind, options = sys.argv[1][2:], " ".join(sys.argv[2:])
sys.stdout.buffer.write(graph.draw(format=kind, prog="dot", args=options))
"""


class GraphvizMissing(RuntimeError):
    """SVG and PNG need Graphviz, which is not there."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A trace to look at: in a notebook as it is, elsewhere by `save`."""

    graph: Graph
    title: str = "Trace"

    @property
    def source(self) -> str:
        """The picture in Graphviz' language."""
        return to_dot(self.graph)

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file and return its path; see `draw`."""
        return draw(self.graph, path, title=self.title)

    def _repr_html_(self) -> str:
        # A sandboxed frame has an origin of its own: the page cannot reach the notebook.
        page = html.escape(to_html(self.graph, title=self.title))
        style = "width:100%;height:600px;border:1px solid #8884;border-radius:8px"
        return f'<iframe sandbox="allow-scripts" srcdoc="{page}" style="{style}"></iframe>'


def draw(graph: Graph, path: str | Path, *, title: str = "Trace") -> Path:
    """Write a picture by the path's suffix, .html, .mmd, .dot, .gv, .svg or .png; return the path.

    Raises ValueError for another suffix, and GraphvizMissing for SVG and PNG without Graphviz.
    """
    path = Path(path)
    writers: dict[str, Callable[[], str | bytes]] = {
        ".html": lambda: to_html(graph, title=title),
        ".mmd": lambda: to_mermaid(graph),
        ".dot": lambda: to_dot(graph),
        ".gv": lambda: to_dot(graph),
        ".svg": lambda: _rendered(to_dot(graph), "-Tsvg"),
        ".png": lambda: _rendered(to_dot(graph), "-Tpng", "-Gdpi=144"),
    }
    if path.suffix.lower() not in writers:
        raise ValueError(
            f"the name {path.name!r} does not tell the kind of picture; allowed: "
            f"{', '.join(writers)}; give the file one of these suffixes"
        )
    content = writers[path.suffix.lower()]()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def to_mermaid(graph: Graph) -> str:
    """Return a Mermaid flowchart. Mermaid takes no more than 500 edges unless told to."""
    boxes = boxes_of(graph)
    edges = list(edges_of(boxes))
    lines = ["flowchart TD"]
    for i, box in enumerate(boxes):
        left, right = _MERMAID_SHAPES[box.kind]
        name, value = _mermaid(_short(box.name)), _mermaid(" ".join(_cut(box.text)))
        lines.append(f'    n{i}{left}"{name}<br/>{value}"{right}')
    for edge in edges:
        arrow = "-->" if edge.label else "-.-"
        label = f'|"{_mermaid(_short(edge.label))}"|' if edge.label else ""
        lines.append(f"    n{edge.source} {arrow}{label} n{edge.target}")
    for look, (fill, border) in _COLORS.items():
        lines.append(f"    classDef {look} fill:{fill},stroke:{border},color:#18181b")
    lines.append("    classDef output stroke-width:4px")
    for look in (*_COLORS, "output"):
        found = [f"n{i}" for i, box in enumerate(boxes) if look in box.looks]
        lines += [f"    class {','.join(found)} {look}"] if found else []
    way = [str(i) for i, edge in enumerate(edges) if edge.is_way]
    lines += [f"    linkStyle {','.join(way)} stroke:{_WAY},stroke-width:2px"] if way else []
    return _joined(lines)


def to_dot(graph: Graph) -> str:
    """Return the picture in Graphviz' language; it takes Graphviz minutes beyond 1,000 boxes."""
    boxes = boxes_of(graph)
    edges = list(edges_of(boxes))
    # Curves and the best rows would take a minute for 500 edges.
    haste = ", splines=line, nslimit=1" if len(edges) > _MANY_EDGES else ""
    legend = "".join(
        f'<td bgcolor="{fill}" color="{border}" border="1"> {look} </td>'
        for look, (fill, border) in _COLORS.items()
        if look != "op"
    )
    words = f'bold border: output; <font color="{_WAY}">line: the way of the feedback</font>'
    lines = [
        "digraph trace {",
        f'  graph [fontname="{_FONT}", fontsize=9, pad=0.2, nodesep=0.3, ranksep=0.45{haste},',
        f'    label=<<table border="0"><tr>{legend}<td>{words}</td></tr></table>>];',
        f'  node [fontname="{_FONT}", fontsize=11, fontcolor="#18181b", shape=box];',
        f'  edge [fontname="{_FONT}", fontsize=9, fontcolor="#71717a", color="#a1a1aa"];',
    ]
    lines += [f"  n{i} [{_dot_box(box)}];" for i, box in enumerate(boxes)]
    for edge in edges:
        label = f"label=< {_dot(_short(edge.label))} >"
        looks = [label if edge.label else "style=dashed, dir=none"]
        looks += [f'color="{_WAY}", penwidth=1.6'] if edge.is_way else []
        lines.append(f"  n{edge.source} -> n{edge.target} [{', '.join(looks)}];")
    return _joined([*lines, "}"])


def to_html(graph: Graph, *, title: str = "Trace") -> str:
    """Return one HTML file that shows the trace in any browser, without a network.

    Its policy lets nothing run but our own script and style, by their hashes.
    """
    folder = Path(__file__).parent
    names = ("view.html", "view_layout.js", "view.js")
    template, layout, code = ((folder / name).read_text(encoding="utf-8") for name in names)
    script = layout + code
    (style,) = re.findall("<style>(.*?)</style>", template, re.DOTALL)
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    data = json.dumps({"title": title, "nodes": _view_nodes(boxes_of(graph))})
    for character in "<>&":  # `</script>` and `<!--` would end or change the data's element
        data = data.replace(character, f"\\u{ord(character):04x}")
    parts = {"policy": policy, "title": _escaped(title), "data": data, "script": script}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def _view_nodes(boxes: Sequence[Box]) -> list[dict[str, Any]]:
    """Return what view.js reads; `feedback` has the places of the feedback that arrives."""
    comments = [i for i, box in enumerate(boxes) if box.kind == "feedback"]
    masks = [0] * len(boxes)  # bit i: comment i arrives
    for i, place in enumerate(comments):
        masks[place] = 1 << i
    for edge in reversed([edge for edge in edges_of(boxes) if edge.is_way]):
        masks[edge.source] |= masks[edge.target]
    return [
        {
            "name": box.name,
            "kind": box.kind,
            "looks": box.looks,
            "value": box.text,
            "inputs": box.inputs,
            "depends": depends,
            "feedback": [place for i, place in enumerate(comments) if mask >> i & 1],
            "op": box.node.op if box.node else None,
            "type": box.node.type if box.node else "",
            "description": box.node.description if box.node else "",
            "error": box.node.error if box.node else None,
            "source": box.node.source if box.node else "",
        }
        for box, depends, mask in zip(boxes, depend_on_parameter(boxes), masks, strict=True)
    ]


def _dot_box(box: Box) -> str:
    fill, border = _COLORS[box.looks[0]]
    width = 2.5 if box.is_output else 1
    style = "filled,dashed" if box.kind == "input" else "filled"
    left = '<br align="left"/>'
    name, value = _dot(_short(box.name)), left.join(map(_dot, _cut(box.text)))
    label = f'<b>{name}</b>{left}<font face="{_MONO}" point-size="9">{value}{left}</font>'
    shape = ", shape=note" if box.kind == "feedback" else ""
    paint = f'style="{style}", fillcolor="{fill}", color="{border}", penwidth={width}{shape}'
    return f"label=<{label}>, {paint}"


def _rendered(source: str, *options: str) -> bytes:
    # Half of this file's import time, and seldom needed.
    import shutil
    import subprocess

    program = shutil.which("dot")
    if program is None and find_spec("pygraphviz") is None:
        raise GraphvizMissing(_NO_GRAPHVIZ)
    command = [program] if program else [sys.executable, "-P", "-c", _PYGRAPHVIZ]
    done = subprocess.run([*command, *options], input=source.encode(), capture_output=True)
    if done.returncode != 0 or not done.stdout:
        reason = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"Graphviz failed: {reason}; look at the source, `to_dot(graph)`")
    return done.stdout


def _cut(text: str) -> list[str]:
    """Return the first lines of the text, short enough for a box; blanks as they are in code."""
    words = (text.lstrip() or json_text(text))[: 4 * _LINE_CHARS * _MAX_LINES].split()
    return wrap(" ".join(words), _LINE_CHARS, max_lines=_MAX_LINES, placeholder=" …")


def _short(name: str) -> str:
    return name if len(name) <= _LINE_CHARS else f"{name[: _LINE_CHARS - 1]}…"


def _hash(text: str) -> str:
    """Return what a content security policy calls the text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _escaped(text: str) -> str:
    return html.escape(_UNPRINTABLE.sub("\ufffd", text))


def _dot(text: str) -> str:
    """Escape for a label of Graphviz, where `\\N` would be the name of the node."""
    return _escaped(text).replace("\\", "\\\\")


def _mermaid(text: str) -> str:
    """Write all that could be Markdown, HTML, an icon or a directive as the number it has.

    A backslash is parted from what follows: Mermaid would make a line's end of it and an n.
    """
    text = _UNPRINTABLE.sub("\ufffd", text).replace("\\", "\\\u200b")
    return re.sub(r"[^\w ,=]|_", lambda found: f"#{ord(found[0])};", text)


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
