"""A model that is a plain function: for tests, and for trying an optimizer without a model."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

from harness.errors import LMError, LMRefused, LMUnavailable
from harness.lm.calls import RawReply, Request, Transient, Transport

Script: TypeAlias = Callable[[Request], str]


def scripted(function: Script) -> Transport:
    """Return a transport that calls `function`, from many threads; tokens are its words.

    The function may raise Transient or an LMError; any other exception becomes LMRefused.
    """

    def transport(request: Request, timeout_s: float) -> RawReply:
        try:
            text = function(request)
        except (LMError, Transient):
            raise
        except Exception as e:  # the user's own code runs here
            raise LMRefused(f"the scripted model raised {type(e).__name__}: {e}") from e
        prompt = " ".join(message["content"] for message in request.messages)
        return RawReply(text, len(prompt.split()), len(text.split()), "stop", 0.0)

    return transport


def load_script(reference: str) -> tuple[str, Script]:
    """Return the identity and function of `PATH.py#FUNCTION`. Raises LMUnavailable.

    The identity holds a hash of the file, so that a changed script is another model.
    """
    path_text, _, name = reference.partition("#")
    path = Path(path_text).expanduser().resolve()
    if not name or path.suffix != ".py" or not path.is_file():
        raise LMUnavailable(
            f"no scripted model at {reference!r}; needed: an existing file and a function, "
            "as script:/path/to/file.py#function"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    function = getattr(_run_file(path), name, None)
    if not callable(function):
        raise LMUnavailable(f"{path} has no function {name!r}; define it or name another one")
    return f"script:{path.stem}.{name}@{digest[:8]}", cast("Script", function)


def _run_file(path: Path) -> Any:
    """Run the user's file as a module under a name of its own, with `sys.path` untouched."""
    unique = "optorace_script_" + hashlib.sha256(str(path).encode()).hexdigest()[:12]
    spec = importlib.util.spec_from_file_location(unique, path)
    if spec is None or spec.loader is None:
        raise LMUnavailable(f"{path} cannot be loaded as Python; give a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses in the file look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as e:
        raise LMUnavailable(f"{path} fails when loaded: {type(e).__name__}: {e}; mend it") from e
    return module
