"""The pages on tracing: each step runs after those before it, and no table has drifted.

A page is run as one file whose lines are those of the page, so a failure shows the page's line.
"""

import contextlib
import inspect
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, get_overloads

import pytest

import harness.trace
from harness.trace import Constraint, bundle, node, trace_of
from harness.trace.operators import OPS
from harness.trace.table import TABLE

DOCS = Path(__file__).parents[1] / "docs"
PAGES = ("tracing", "coming-from-trace")

Outcomes: TypeAlias = dict[str, dict[str, Exception | None]]


@dataclass(frozen=True, slots=True)
class Section:
    """The snippets of a page from one heading to the next; `lines` are by number in the page."""

    page: str
    title: str
    lines: Mapping[int, str]

    def __str__(self) -> str:
        return f"{self.page}: {self.title}"


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def sections_of(page: str) -> list[Section]:
    """Return the sections that have snippets, in their order."""
    found: list[tuple[str, dict[int, str]]] = []
    in_snippet = False
    for number, line in enumerate(text_of(page).splitlines(), 1):
        if line.startswith("```"):
            in_snippet = line == "```python"
        elif in_snippet:
            found[-1][1][number] = line
        elif line.startswith("#"):
            found.append((line.lstrip("# "), {}))
    return [Section(page, title, lines) for title, lines in found if lines]


def code_of(sections: list[Section]) -> str:
    """Return the snippets as a file with every line at its place in the page."""
    lines = {number: line for section in sections for number, line in section.lines.items()}
    return "".join(f"{lines.get(n, '')}\n" for n in range(1, max(lines) + 1))


def rows_of(page: str, heading: str) -> list[list[str]]:
    """Return the cells of all tables between a heading and the next, without their heads."""
    text = text_of(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    heads = [i for i, row in enumerate(rows) if row.startswith("|---")]
    kept = [row for i, row in enumerate(rows) if i not in heads and i + 1 not in heads]
    cells = [re.split(r"(?<!\\)\|", row)[1:-1] for row in kept]
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]


def code_words(text: str) -> set[str]:
    """Return the words that stand in the text as code."""
    return {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", code)}


SECTIONS = [section for page in PAGES for section in sections_of(page)]


def run_page(page: str, folder: Path) -> dict[str, Exception | None]:
    """Run the sections of a page up to the first that fails; return how each ended, by title."""
    sections = sections_of(page)
    name = page.replace("-", "_")
    file = folder / f"{name}.py"
    file.write_text(code_of(sections), encoding="utf-8")
    sys.modules[name] = module = types.ModuleType(name)
    module.__file__ = str(file)
    outcomes: dict[str, Exception | None] = {}
    try:
        with contextlib.chdir(folder):
            for section in sections:
                code = compile(code_of([section]), str(file), "exec", dont_inherit=True)
                exec(code, vars(module))
                outcomes[section.title] = None
    except Exception as error:  # noqa: BLE001  whatever a snippet raises is its outcome
        outcomes[section.title] = error
    finally:
        del sys.modules[name]
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    return {page: run_page(page, tmp_path_factory.mktemp("page")) for page in PAGES}


@pytest.mark.parametrize("section", SECTIONS, ids=str)
def test_a_section_runs_after_those_before_it(outcomes: Outcomes, section: Section):
    ended = outcomes[section.page]
    if section.title not in ended:
        pytest.skip(f"{list(ended)[-1]!r} before it failed")

    error = ended[section.title]

    if error is not None:
        raise error


def test_there_are_ten_steps():
    titles = [section.title for section in sections_of("tracing")]

    numbers = [int(found[1]) for title in titles if (found := re.match(r"Step (\d+):", title))]

    assert numbers == list(range(1, 11))


def test_every_section_has_a_title_of_its_own():
    titles = [str(section) for section in SECTIONS]

    assert len(titles) == len(set(titles))


def test_links_lead_to_headings_and_files():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)]+)\)", text_of(page)):
            file, _, heading = target.partition("#")
            other = file.removesuffix(".md") or page
            headings = re.findall(r"^#+ (.*)", text_of(other), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings]

            assert not heading or heading in anchors, target


def test_public_names_are_sorted_and_there():
    names = harness.trace.__all__

    def place(name):  # as isort has it: CONSTANTS, Classes, functions
        return (not name.isupper(), not name[0].isupper(), name)

    assert names == sorted(names, key=place)
    assert all(hasattr(harness.trace, name) for name in names)


def test_every_public_name_is_in_the_table_of_names():
    rows = rows_of("tracing", "All public names")

    told = {word for row in rows for word in code_words(row[0])}

    assert told == set(harness.trace.__all__)


def test_the_tables_of_operators_are_those_of_the_code():
    def row_of(rule):
        is_pythons = rule.method and rule.method.startswith("__")
        on_a_node = "Python" if is_pythons else f"`.{rule.method}`" if rule.method else ""
        return [f"`{rule.name}({', '.join(rule.arguments.split())})`", on_a_node, rule.doc]

    assert rows_of("tracing", "Operators") == [row_of(rule) for rule in TABLE]
    assert list(OPS) == [rule.name for rule in TABLE]


def test_the_options_of_bundle_are_those_of_the_code():
    told = [row[0].strip("`") for row in rows_of("tracing", "Options of `bundle`")]

    assert told == list(inspect.signature(get_overloads(bundle)[-1]).parameters)


def test_every_constraint_is_told():
    found = vars(harness.trace).values()
    public = {c.__name__ for c in found if isinstance(c, type) and issubclass(c, Constraint)}

    told = {re.match(r"`(\w+)", row[0])[1] for row in rows_of("tracing", "Constraints")}

    assert told == public - {"Constraint"}


def test_the_fields_of_a_written_trace_are_those_of_the_code():
    p = node(1, trainable=True)
    data = trace_of(p + 1, {"p": p}).to_json()

    told = [row[0].strip("`") for row in rows_of("tracing", "The JSON form of a trace")]

    assert told == [*data, *data["nodes"][0]]
