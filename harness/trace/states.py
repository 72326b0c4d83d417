"""The values of parameters as a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from os import PathLike
from typing import Any


def write_state(path: str | PathLike[str], values: Mapping[str, Any]) -> None:
    """Write the values. Raises TypeError, before anything is written, for what is no JSON."""
    for name, value in values.items():
        _require_json(name, value)
    text = json.dumps(dict(values), indent=2, ensure_ascii=False)
    content = f"{text}\n".encode()
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    new = f"{os.fspath(path)}.new"
    with open(new, "wb") as file:
        file.write(content)
    os.replace(new, path)  # so a file that was good stays until the new one is


def _require_json(name: str, value: Any) -> None:
    try:
        found: Any = json.loads(json.dumps(value))
        same = (tuple(found) if type(value) is tuple else found) == value
    except (TypeError, ValueError) as error:
        raise TypeError(f"parameter {name} cannot be saved: {error}; keep plain data") from error
    if not same:
        raise TypeError(
            f"parameter {name} cannot be saved: {value!r:.80} is not the same after JSON; keep "
            "texts as keys, and lists in place of tuples within others"
        )


def read_state(path: str | PathLike[str]) -> dict[str, Any]:
    """Return what `write_state` wrote. Raises ValueError for any other file."""
    try:
        with open(path, encoding="utf-8") as file:
            values: Any = json.load(file)
    except ValueError as error:
        raise ValueError(f"{path} is no state: it must be a JSON object ({error})") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is no state: it must be a JSON object of values by name")
    return values  # pyright: ignore[reportUnknownVariableType]  # untyped data comes in
