"""From a model's name, as a user writes it, to an identity, a transport and its slots."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.config import LocalSettings
from harness.errors import LMUnavailable
from harness.lm.calls import Transport
from harness.lm.catalogue import CATALOGUE, Weights
from harness.lm.client import Slots
from harness.lm.scripted import load_script, scripted
from harness.lm.weights import cache_folder, sha256_of, weights_path


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A model that answered its preflight. Open each name once per run: both sides may share it.

    identity: goes into the key of each call; never a path, a host or a port, since ports change
        from day to day. Two servers that give different models one name share their keys.
    slots: bounds the calls in flight over everyone who uses this model.
    """

    identity: str
    transport: Transport
    slots: Slots
    close: Callable[[], None]


def resolve(model: str, *, jobs: int, local: LocalSettings) -> OpenedModel:
    """Open the model of a name in one of the forms of `LMSettings.model`, or `script:`.

    Raises LMUnavailable if there is no such model, no server or no key. Nothing is asked of a
    model yet; a local one may be fetched and is started.
    """
    kind, _, rest = model.partition(":")
    if model.startswith("local/"):
        return _open_weights(fetch(model.removeprefix("local/")), model, jobs, local)
    if kind == "local":
        return _open_weights(_existing(rest), model, jobs, local)
    if kind == "openai-compatible":
        return _open_server(rest, jobs)
    if kind == "script":
        identity, function = load_script(rest)
        return OpenedModel(identity, scripted(function), Slots(jobs), _nothing)
    return _open_provider(model, jobs)


def identify(model: str) -> str:
    """Return the identity that `resolve` would give a model, without opening it.

    Raises LMUnavailable if the name alone tells that there is no such model.
    """
    kind, _, rest = model.partition(":")
    if model.startswith("local/"):
        weights = _named(model.removeprefix("local/"))
        return f"{weights.name}@{weights.sha256[:8]}"
    if kind == "local":
        path = _existing(rest)
        return f"{path.stem}@{sha256_of(path, cache_folder())[:8]}"
    if kind == "openai-compatible":
        from harness.lm.openai_http import parse_reference

        return parse_reference(rest)[1]
    return load_script(rest)[0] if kind == "script" else model


def fetch(name: str) -> Path:
    """Return the verified weights of a catalogue name, fetched if need be. Raises LMUnavailable."""
    return weights_path(_named(name), cache_folder())


def _named(name: str) -> Weights:
    if name not in CATALOGUE:
        raise LMUnavailable(
            f"unknown local model {name!r}; known: {', '.join(CATALOGUE)}; or give a GGUF file as "
            "local:PATH"
        )
    return CATALOGUE[name]


def _existing(path_text: str) -> Path:
    path = Path(path_text).expanduser()
    if not path.is_file():
        known = ", ".join(f"local/{name}" for name in CATALOGUE)
        raise LMUnavailable(f"there is no file {path}; give a GGUF file, or one of: {known}")
    return path


def _open_weights(path: Path, model: str, jobs: int, local: LocalSettings) -> OpenedModel:
    from harness.lm.local import LocalModel

    served = LocalModel(path, jobs, local)
    return OpenedModel(identify(model), served, Slots(served.n_parallel), served.close)


def _open_server(reference: str, jobs: int) -> OpenedModel:
    from harness.lm.openai_http import KEY_VARIABLE, OpenAICompatible, check_key, parse_reference

    endpoint, name = parse_reference(reference)
    key = check_key(os.environ.get(KEY_VARIABLE, ""))
    server = OpenAICompatible(endpoint, name, key)
    try:
        server.preflight()
    except LMUnavailable:
        server.close()
        raise
    return OpenedModel(name, server, Slots(jobs), server.close)


def _open_provider(model: str, jobs: int) -> OpenedModel:
    from harness.lm.litellm_door import LiteLLM

    door = LiteLLM(model)
    door.preflight()
    return OpenedModel(model, door, Slots(jobs), door.close)


def _nothing() -> None:
    """Close what holds nothing open."""
