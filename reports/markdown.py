"""The results as a GitHub table and lists of footnotes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.results import RunResult
from harness.sheet import Group, Sheet, sheets

_SPECIAL = re.compile(r"([\\`*_\[\]|~$#!])")


def render(result: RunResult, *, times: bool) -> str:
    """Return the table with its footnotes; a second one with `times`."""
    return "\n".join(_sheet(sheet) for sheet in sheets(result, times=times))


def escape(text: str) -> str:
    """Return text that Markdown and HTML show as it is, also inside a table's cell."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _SPECIAL.sub(r"\\\1", text)


def _sheet(sheet: Sheet) -> str:
    heads = ["task", *(f"{c.head} {c.unit}".strip() for c in sheet.columns)]
    rules = ["---", *("---" if c.left else "---:" for c in sheet.columns)]
    body = [row for group in sheet.groups for row in _group(group)]
    lines = [f"### {escape(sheet.title)}", "", _row(heads), f"| {' | '.join(rules)} |", *body]
    for block in sheet.notes:
        lines += ["", f"**{escape(block.title)}**", "", *(f"- {escape(i)}" for i in block.items)]
    return "\n".join(lines) + "\n"


def _group(group: Group) -> list[str]:
    texts: list[str] = []
    for i, line in enumerate(group.lines):
        name, score, *others = line.cells
        if line.remarks:
            score = f"{score} ({'; '.join(line.remarks)})"
        texts.append(_row(["" if i else group.label, name, score, *others]))
    return texts


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(escape, cells))} |"
