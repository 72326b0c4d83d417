"""The results as a LaTeX table with booktabs rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from harness.results import RunResult
from harness.sheet import Group, Sheet, remarks_once, sheets

HEAD = "% Needs \\usepackage{booktabs}.\n"

_SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",  # an open bracket after \\ would be read as its argument
    "]": "{]}",
    "*": "{*}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "·": r"$\cdot$",
}
_NEGATIVE = re.compile(r"(?<![\w-])-(?=\d)")


def render(result: RunResult, *, times: bool) -> str:
    """Return a table environment with its footnotes; a second one with `times`."""
    return HEAD + "\n".join(_sheet(sheet) for sheet in sheets(result, times=times))


def escape(text: str) -> str:
    """Return text that LaTeX prints as it is."""
    text = "".join(_SPECIAL.get(c, c) for c in text)
    return text.replace("--", "-{}-").replace("--", "-{}-")


def _sheet(sheet: Sheet) -> str:
    columns = "".join("l" if c.left else "r" for c in sheet.columns)
    heads = [_row([c.head for c in sheet.columns], "task")]
    if any(c.unit for c in sheet.columns):
        heads.append(_row([c.unit for c in sheet.columns], ""))
    body = [
        text
        for i, group in enumerate(sheet.groups)
        for text in [*([r"\midrule"] if i else []), *_group(group, len(columns))]
    ]
    lines = [
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{escape(sheet.title)}}}",
        rf"\begin{{tabular}}{{l{columns}}}",
        r"\toprule",
        *heads,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    for block in sheet.notes:
        lines += ["", rf"\medskip\raggedright\textbf{{{escape(block.title)}}}"]
        lines += [text for item in block.items for text in ("", escape(item))]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _group(group: Group, n_columns: int) -> list[str]:
    texts: list[str] = []
    for i, line in enumerate(remarks_once(group)):
        texts.append(_row(line.cells, "" if i else group.label))
        for remark in line.remarks:
            span = rf"\multicolumn{{{n_columns}}}{{p{{0.75\linewidth}}}}"
            texts.append(rf" & {span}{{\emph{{{escape(remark)}}}}} \\")
    return texts


def _row(cells: Sequence[str], label: str) -> str:
    escaped = [escape(label), *(_NEGATIVE.sub("$-$", escape(cell)) for cell in cells)]
    return rf"{' & '.join(escaped)} \\"
