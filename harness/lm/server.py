"""The child process that serves an embedded model; it ends when its parent does, however that ends.

Run as a file, so that it needs nothing of this package:
    python server.py '{"model": PATH, "servers": 2, "slots": 1, "context": 4096, "threads": 1,
                       "flash_attention": false, "cache_mib": 512}'
One JSON line on stdout lists the servers' addresses; everything else goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from typing import Any


def main() -> None:
    """Serve until the parent closes our stdin, which its death does too."""
    settings = json.loads(sys.argv[1])
    report = os.dup(1)
    os.dup2(2, 1)  # llama.cpp writes wherever it likes
    threading.Thread(target=_end_with_parent, daemon=True).start()
    servers = [_serve(settings) for _ in range(settings["servers"])]
    addresses = [server.listening_address for server in servers]
    os.write(report, json.dumps(addresses).encode() + b"\n")
    threading.Event().wait()


def _end_with_parent() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock a dying interpreter would wait for
        pass
    os._exit(0)


def _serve(settings: dict[str, Any]) -> Any:
    x: Any = importlib.import_module("xllamacpp")  # without type stubs
    p = x.CommonParams()
    p.model.path = settings["model"]
    p.hostnames = ["127.0.0.1"]
    p.port = 0
    p.n_parallel = settings["slots"]
    p.n_ctx = settings["context"] * settings["slots"]
    p.kv_unified = False
    p.cont_batching = True
    p.cpuparams.n_threads = settings["threads"]
    p.cpuparams_batch.n_threads = settings["threads"]
    p.cache_ram_mib = settings["cache_mib"]
    modes = x.llama_flash_attn_type
    on = settings["flash_attention"]
    p.flash_attn_type = (
        modes.LLAMA_FLASH_ATTN_TYPE_AUTO if on else modes.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    p.warmup = False
    p.ui = False
    p.verbosity = -1
    return x.Server(p)


if __name__ == "__main__":
    main()
