"""Weights on disk: fetched once, verified by content, shared by all processes of a user."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.errors import LMUnavailable
from harness.lm.catalogue import Weights
from harness.types import JSON, canonical, content_hash


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return $OPTORACE_CACHE, else $XDG_CACHE_HOME/optorace, else ~/.cache/optorace."""
    if environ.get("OPTORACE_CACHE"):
        return Path(environ["OPTORACE_CACHE"]).expanduser()
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "optorace"
    return Path.home() / ".cache" / "optorace"


def weights_path(weights: Weights, cache: Path) -> Path:
    """Return the verified file in the cache folder, fetched if it is not there yet.

    Processes that fetch at once wait for one of them. Raises LMUnavailable.
    """
    from filelock import FileLock

    path = cache / "models" / f"{weights.name}.gguf"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with FileLock(path.with_suffix(".lock")):
                if not path.exists():
                    _fetch(weights, path)
        size, digest = path.stat().st_size, sha256_of(path, cache)
    except OSError as e:
        raise LMUnavailable(
            f"cannot write the cache folder {cache}: {e}; make it writable, or set OPTORACE_CACHE "
            "to another folder"
        ) from e
    if (size, digest) != (weights.size, weights.sha256):
        raise LMUnavailable(
            f"{path} is not {weights.name}: it has {size} bytes and sha256 {digest[:8]}, "
            f"needed are {weights.size} and {weights.sha256[:8]}; delete the file, and it will be "
            "fetched again"
        )
    return path


def sha256_of(path: Path, cache: Path) -> str:
    """Return the sha256 of a file; remembered in the cache folder by path, size and time."""
    facts = path.stat()
    known = cache / "hashes" / f"{content_hash(str(path.resolve()))}.json"
    stamp: JSON = [facts.st_size, facts.st_mtime_ns]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # no usable memory: hash
        memory = json.loads(known.read_text(encoding="utf-8"))
        if memory["stamp"] == stamp:
            return str(memory["sha256"])
    digest = _hash(path)
    with contextlib.suppress(OSError):  # a read-only cache folder costs time only
        known.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=known.parent, delete=False) as file:
            file.write(canonical({"stamp": stamp, "sha256": digest}))
        os.replace(file.name, known)
    return digest


def _fetch(weights: Weights, path: Path) -> None:
    """Put the verified file in place at once. A broken-off download of the Hub is taken up."""
    work = path.parent / f"fetching-{weights.name}"
    work.mkdir(exist_ok=True)
    found = weights.source.fetch(work)
    size, digest = found.stat().st_size, _hash(found)
    if (size, digest) == (weights.size, weights.sha256):
        os.replace(found, path)
    shutil.rmtree(work)
    if not path.exists():
        raise LMUnavailable(
            f"the source of {weights.name} has another file now: {size} bytes and sha256 "
            f"{digest[:8]}, needed are {weights.size} and {weights.sha256[:8]}; use another model, "
            "or get the file elsewhere and use local:PATH"
        )


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
