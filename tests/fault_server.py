"""A small OpenAI-compatible server with faults, for tests: deterministic, on loopback.

The prompt tells the server what to do: the last message is a comma-separated list of steps, the
first request takes the first step, and the last step stays. Anything else is answered with itself.
Steps: `ok`, a status such as `429` or `500`, and the kinds in FAULTS.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = (
    "reset",
    "hang-up",
    "stall",
    "drip",
    "drip-unsized",
    "malformed",
    "cut-off",
    "no-choices",
    "no-content",
    "empty",
    "no-usage",
    "html",
    "error-in-200",
    "close-after",
)


@dataclass(eq=False)
class FaultServer:
    """What the server was asked, and how it behaves."""

    latency_s: float = 0.0
    retry_after: str = "0"
    takes_schemas: bool = True
    key: str = ""
    models_status: int = 200
    requests: Counter[str] = field(default_factory=Counter[str])
    bodies: list[dict[str, Any]] = field(default_factory=list)
    connections: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def fault_server(**settings: Any) -> Iterator[FaultServer]:
    """Serve until the block ends."""
    state = FaultServer(**settings)

    class Handler(_Handler):
        server_state = state

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 512

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hung up is part of the game."""

    server = Server(("127.0.0.1", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_state: FaultServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def setup(self) -> None:
        super().setup()
        with self.server_state.lock:
            self.server_state.connections += 1

    def do_GET(self) -> None:
        self._send(self.server_state.models_status, {"data": [{"id": "mock"}]})

    def do_POST(self) -> None:
        state = self.server_state
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["messages"][-1]["content"]
        with state.lock:
            n = state.requests[prompt]
            state.requests[prompt] += 1
            state.bodies.append(body)
            state.in_flight += 1
            state.most_in_flight = max(state.most_in_flight, state.in_flight)
        try:
            if state.latency_s:
                time.sleep(state.latency_s)
            if state.key and self.headers.get("authorization") != f"Bearer {state.key}":
                given = self.headers.get("authorization", "")
                self._send(401, {"error": {"message": f"wrong key {given}"}})
            elif body.get("response_format") and not state.takes_schemas:
                self._send(400, {"error": {"message": "response_format is not supported"}})
            else:
                steps = prompt.split(",")
                self._act(steps[min(n, len(steps) - 1)], prompt)
        finally:
            with state.lock:
                state.in_flight -= 1

    def _act(self, step: str, prompt: str) -> None:
        if step.isdigit():
            error = {"message": f"told to fail with {step}", "type": "mock"}
            self._send(int(step), {"error": error})
        elif step in FAULTS:
            getattr(self, "_" + step.replace("-", "_"))(prompt)
        else:
            self._send(200, reply(prompt))

    def _reset(self, prompt: str) -> None:
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._hang_up(prompt)

    def _hang_up(self, prompt: str) -> None:
        self.close_connection = True
        self.connection.close()

    def _stall(self, prompt: str) -> None:
        self.server_state.closing.wait(30)
        self.close_connection = True

    def _drip(self, prompt: str) -> None:
        self._trickle("Content-Length: 100000")

    def _drip_unsized(self, prompt: str) -> None:
        self._trickle("Connection: close")

    def _trickle(self, header: str) -> None:
        self.wfile.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{header}\r\n\r\n".encode()
        )
        self.close_connection = True
        while not self.server_state.closing.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()

    def _malformed(self, prompt: str) -> None:
        self._send_bytes(200, json.dumps(reply(prompt)).encode()[:-9])

    def _cut_off(self, prompt: str) -> None:
        data = json.dumps(reply(prompt)).encode()
        self._send_bytes(200, data[:20], length=len(data))
        self.close_connection = True

    def _no_choices(self, prompt: str) -> None:
        self._send(200, {**reply(prompt), "choices": []})

    def _no_content(self, prompt: str) -> None:
        self._send(200, {**reply(prompt), "choices": [{"message": {"content": None}}]})

    def _empty(self, prompt: str) -> None:
        self._send(200, reply(""))

    def _no_usage(self, prompt: str) -> None:
        self._send(200, {**reply(prompt), "usage": None})

    def _html(self, prompt: str) -> None:
        self._send_bytes(200, b"<html>a gateway</html>", content_type="text/html")

    def _error_in_200(self, prompt: str) -> None:
        self._send(200, {"error": {"message": "the upstream is down", "code": 502}})

    def _close_after(self, prompt: str) -> None:
        """Answer, then close the connection without having said so."""
        self._send(200, reply(prompt))
        self.close_connection = True

    def _send(self, status: int, data: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(data).encode())

    def _send_bytes(
        self,
        status: int,
        data: bytes,
        content_type: str = "application/json",
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        if status == 429:
            self.send_header("Retry-After", self.server_state.retry_after)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()


def reply(text: str) -> dict[str, Any]:
    """Return a chat completion; tokens are words."""
    n = len(text.split())
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": n, "completion_tokens": n, "total_tokens": 2 * n}
    kind = {"id": "x", "object": "chat.completion", "created": 0, "model": "mock"}
    return {**kind, "choices": [choice], "usage": usage}
