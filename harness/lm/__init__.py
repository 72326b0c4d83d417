"""The only door to a model: replay, retries, deadlines, metering; local, HTTP and scripted models.

An LM asks one model for one side and serves all cells of a run:

    opened = resolve("local/smollm2-135m", jobs=4, local=LocalSettings())
    lm = LM(settings, opened.identity, opened.transport, log, "task", slots=opened.slots, stop=stop)
    reply = lm.complete([{"role": "user", "content": "Name a prime."}], seed=0)
    opened.close()
"""

from harness.lm.calls import (
    CallLog,
    RawReply,
    RecordedCall,
    Reply,
    Request,
    Transient,
    Transport,
    request_key,
)
from harness.lm.catalogue import CATALOGUE, Weights
from harness.lm.client import LM, Slots
from harness.lm.resolve import OpenedModel, fetch, identify, resolve
from harness.lm.scripted import Script, scripted
from harness.lm.weights import cache_folder

__all__ = [
    "CATALOGUE",
    "LM",
    "CallLog",
    "OpenedModel",
    "RawReply",
    "RecordedCall",
    "Reply",
    "Request",
    "Script",
    "Slots",
    "Transient",
    "Transport",
    "Weights",
    "cache_folder",
    "fetch",
    "identify",
    "request_key",
    "resolve",
    "scripted",
]
