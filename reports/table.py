"""The results as plain text for a terminal of 120 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from harness.formatting import width
from harness.results import RunResult
from harness.sheet import Group, Notes, Sheet, remarks_once, sheets

LINE_WIDTH = 120
INDENT = "  "


@dataclass(frozen=True, slots=True)
class Layout:
    """The width of each column, which of them stand left, and what is between two."""

    widths: tuple[int, ...]
    left: tuple[bool, ...]
    gap: str

    @property
    def total(self) -> int:
        """The width of a line."""
        return len(INDENT) + sum(self.widths) + len(self.gap) * (len(self.widths) - 1)


def render(result: RunResult, *, times: bool) -> str:
    """Return the table with its footnotes; a second one with `times`. No colours."""
    return "\n".join(_sheet(sheet) for sheet in sheets(result, times=times))


def _sheet(sheet: Sheet) -> str:
    layout = _layout(sheet)
    heads = [_line([column.head for column in sheet.columns], layout)]
    if any(column.unit for column in sheet.columns):
        heads.append(_line([column.unit for column in sheet.columns], layout))
    rule = "─" * layout.total
    body = [text for group in sheet.groups for text in _group(group, layout)]
    notes = [text for block in sheet.notes for text in _notes(block)]
    return "\n".join([sheet.title, rule, *heads, rule, *body, rule, *notes]) + "\n"


def _layout(sheet: Sheet) -> Layout:
    lines = [line.cells for group in sheet.groups for line in group.lines]
    widths = tuple(
        max(width(text) for text in (column.head, column.unit, *(line[i] for line in lines)))
        for i, column in enumerate(sheet.columns)
    )
    left = tuple(column.left for column in sheet.columns)
    wide = Layout(widths, left, "  ")
    return wide if wide.total <= LINE_WIDTH else Layout(widths, left, " ")


def _group(group: Group, layout: Layout) -> list[str]:
    texts = [group.label]
    for line in remarks_once(group):
        texts.append(_line(line.cells, layout))
        for remark in line.remarks:
            texts += _wrapped(remark, INDENT * 2 + "└ ")
    return texts


def _line(cells: Sequence[str], layout: Layout) -> str:
    padded = [
        cell + " " * (size - width(cell)) if left else " " * (size - width(cell)) + cell
        for cell, size, left in zip(cells, layout.widths, layout.left, strict=True)
    ]
    return (INDENT + layout.gap.join(padded)).rstrip()


def _notes(block: Notes) -> list[str]:
    return ["", block.title, *(text for item in block.items for text in _wrapped(item, "  - "))]


def _wrapped(text: str, first: str) -> list[str]:
    return textwrap.wrap(
        text,
        LINE_WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_on_hyphens=False,
    )
