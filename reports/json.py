"""The results as JSON: the rows of the table and every cell with its scores per example."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import cast

from harness.results import RunResult, rows
from harness.types import JSON

# Both differ between two runs of one configuration.
MEASURED = frozenset({"seconds", "retries"})


def render(result: RunResult, *, times: bool) -> str:
    """Return one object; measured seconds and retries are in it only with `times`."""
    config = {name: value for name, value in result.config.items() if name != "data"}
    content = {
        "config": config,  # without the mirror's folder: it tells nothing that `sources` does not
        "versions": result.versions,
        "sources": result.sources,
        "splits": {task: asdict(counts) for task, counts in result.splits.items()},
        "notes": result.notes,
        "rows": _measured([asdict(row) for row in rows(result)], times=times),
        "cells": _measured([asdict(cell) for cell in result.cells], times=times),
    }
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _measured(facts: Sequence[object], *, times: bool) -> JSON:
    return cast("JSON", facts if times else _without_measured(facts))


def _without_measured(value: object) -> object:
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return {k: _without_measured(v) for k, v in items if k not in MEASURED}
    if isinstance(value, list | tuple):
        return [_without_measured(v) for v in cast("Sequence[object]", value)]
    return value
