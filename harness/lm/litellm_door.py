"""The door to every provider that litellm knows; it costs 4 ms of CPU a call."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import threading
import warnings
from collections.abc import Coroutine
from concurrent import futures
from dataclasses import replace
from typing import Any

from harness.errors import LMRefused, LMTimeout, LMUnavailable
from harness.lm.calls import RawReply, Request, Transient
from harness.lm.chat_format import (
    TRANSIENT_STATUS,
    error_text,
    hide,
    parse_fields,
    response_format,
    retry_after_s,
)

# How long after the deadline the calling thread waits for the loop, should that be stuck itself.
GRACE_S = 5.0


class LiteLLM:
    """A transport through litellm, whose calls run on one background event loop; thread-safe.

    litellm's own retries, caches, callbacks and log output are off. The seed and the schema are
    sent if litellm says that the model takes them; any other setting that the model does not take
    is refused, not dropped.
    """

    def __init__(self, model: str):
        self._model = model
        self._litellm = _quiet_litellm()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="litellm", daemon=True)
        self._thread.start()
        self._takes: frozenset[str] = frozenset()

    def preflight(self) -> None:
        """See whether litellm knows the provider and has its key. Raises LMUnavailable."""
        try:
            _, provider, _, _ = self._litellm.get_llm_provider(self._model)
        except self._litellm.exceptions.BadRequestError as e:
            raise LMUnavailable(
                f"unknown model {self._model!r}; write local/NAME, local:PATH, "
                "openai-compatible:http://host:port/v1#MODEL, or PROVIDER/MODEL as litellm names it"
            ) from e
        missing = self._litellm.validate_environment(self._model)["missing_keys"]
        if missing:
            raise LMUnavailable(
                f"{self._model} needs {', '.join(sorted(missing))} in the environment; set it"
            )
        takes = self._litellm.get_supported_openai_params(self._model, provider)
        self._takes = frozenset(takes or ())

    def __call__(self, request: Request, timeout_s: float) -> RawReply:
        """Make one attempt; see `Transport`."""
        enforced = request.schema is None or "response_format" in self._takes
        call = self._litellm.acompletion(**self._arguments(request, timeout_s))
        try:
            response = self._within(call, timeout_s)
        except (TimeoutError, futures.CancelledError, self._litellm.exceptions.Timeout) as e:
            raise LMTimeout(f"no complete reply within {timeout_s:g} s") from e
        except Exception as e:  # litellm's exceptions have no common root
            raise self._explained(e) from e
        raw = parse_fields(response.model_dump())
        return replace(raw, cost_usd=self._cost(response), schema_enforced=enforced)

    def close(self) -> None:
        """End the background loop with all that runs on it."""
        asyncio.run_coroutine_threadsafe(_cancel_all(self._litellm), self._loop).result(GRACE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GRACE_S)
        self._loop.close()

    def _within(self, call: Coroutine[Any, Any, Any], timeout_s: float) -> Any:
        """Run a coroutine on the background loop and end it at the deadline."""
        limited = asyncio.wait_for(call, timeout_s)
        running = asyncio.run_coroutine_threadsafe(limited, self._loop)
        try:
            return running.result(timeout_s + GRACE_S)
        except TimeoutError:
            running.cancel()
            raise

    def _arguments(self, request: Request, timeout_s: float) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self._model,
            "messages": [dict(message) for message in request.messages],
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "timeout": timeout_s,
            "max_retries": 0,
            "num_retries": 0,
        }
        if request.top_p != 1:  # some providers refuse temperature and top_p together
            arguments["top_p"] = request.top_p
        if "seed" in self._takes:
            arguments["seed"] = request.seed
        if request.schema is not None and "response_format" in self._takes:
            arguments["response_format"] = response_format(request.schema)
        return arguments

    def _explained(self, failure: Exception) -> Exception:
        """Return what one of litellm's exceptions means to the caller."""
        status = getattr(failure, "status_code", None)
        told = f"{type(failure).__name__}: {error_text(_hide_keys(str(failure)).encode())}"
        if "insufficient_quota" in told:
            return LMUnavailable(f"the account's quota is used up ({told}); add credit")
        if status in (401, 403, 404):
            return LMUnavailable(f"{self._model} cannot be had ({told}); check its name and key")
        mendable = status in TRANSIENT_STATUS
        if isinstance(status, int) and 400 <= status < 500 and not mendable:
            return LMRefused(f"{self._model} refuses the request ({told}); change it or the model")
        headers: Any = getattr(failure, "litellm_response_headers", None) or {}
        return Transient(told, retry_after_s(headers.get("retry-after")))

    def _cost(self, response: Any) -> float | None:
        try:
            return float(self._litellm.completion_cost(response, model=self._model))
        except Exception:  # noqa: BLE001  # raised for a model without a known price, no common root
            return None


def _quiet_litellm() -> Any:
    """Import litellm with its network look-up, log output and telemetry off."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    # Its reply types warn once, at the first call.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"pydantic\._internal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm: Any = importlib.import_module("litellm")  # its types are partial
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.cache = None
    litellm.callbacks = []
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return litellm


def _hide_keys(text: str) -> str:
    """Hide the values of all variables that look like a key; providers like to repeat them."""
    for name, value in os.environ.items():
        if name.endswith(("_KEY", "_TOKEN", "_SECRET")):
            text = hide(text, value)
    return text


async def _cancel_all(litellm: Any) -> None:
    await litellm.close_litellm_async_clients()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
