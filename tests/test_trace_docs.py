"""The page on tracing runs as it stands, and the public names are those it is built on."""

import re
import runpy
from pathlib import Path

import harness.trace

PAGE = Path(__file__).parents[1] / "docs" / "tracing.md"


def test_the_page_on_tracing_runs(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    file = tmp_path / "page.py"
    file.write_text("\n".join(blocks), encoding="utf-8")

    names = runpy.run_path(str(file))

    assert len(blocks) >= 6 and "text" in names


def test_public_names_are_sorted_and_there():
    names = harness.trace.__all__

    assert names == sorted(names)
    assert all(hasattr(harness.trace, name) for name in names)
