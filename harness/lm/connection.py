"""One keep-alive HTTP connection whose every wait ends at a deadline."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import LMTimeout, LMUnavailable
from harness.lm.calls import Transient
from harness.lm.deadlines import Deadlines


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    content_type: str
    retry_after: str | None
    body: bytes


class Connection:
    """A connection for one thread at a time, opened when it is first used.

    `tls` None means plain HTTP. Only the resolver's own patience bounds looking a host name up.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None, deadlines: Deadlines):
        self._host = host
        self._port = port
        self._tls = tls
        self._deadlines = deadlines
        self._deadline = 0.0
        self._wire: socket.socket | None = None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        timeout_s: float,
    ) -> Answer:
        """Send one request and read the answer. Raises Transient, LMTimeout, LMUnavailable.

        A request is never sent twice. A connection that the server closed while it was idle is
        opened anew first, when nothing of the request has been sent. No header may hold a line end.
        """
        self._deadline = time.monotonic() + timeout_s
        if not self._is_idle():
            self.close()
        ticket = self._deadlines.watch(self._deadline, self._cut)
        answer, failure = None, None
        try:
            answer = self._exchange(method, self._message(method, path, body, headers))
        except (OSError, UnicodeError, http.client.HTTPException) as e:
            failure = e
        finally:
            in_time = self._deadlines.forget(ticket)
            if answer is None or not in_time:
                self.close()
        if not in_time or isinstance(failure, TimeoutError):
            raise LMTimeout(f"no complete reply within {timeout_s:g} s") from failure
        if answer is None:
            raise _explained(failure, self._host) from failure
        return answer

    def close(self) -> None:
        """Close the connection; it opens again when used."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _exchange(self, method: str, message: bytes) -> Answer:
        wire = self._wire or self._open()
        wire.sendall(message)
        with http.client.HTTPResponse(wire, method=method) as response:
            response.begin()
            answer = Answer(
                response.status,
                response.getheader("content-type", ""),
                response.getheader("retry-after"),
                response.read(),
            )
            closes = response.will_close
        if closes:
            self.close()
        return answer

    def _message(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return head and body as one piece: one system call, one packet."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}:{self._port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode("ascii") + body

    def _open(self) -> socket.socket:
        """Open the connection before the deadline."""
        wire = self._wire = self._reach()
        if self._tls is not None:
            # The handshake comes apart, so that the deadline can end it.
            wire = self._wire = self._tls.wrap_socket(
                wire, server_hostname=self._host, do_handshake_on_connect=False
            )
            wire.do_handshake()
        return wire

    def _reach(self) -> socket.socket:
        """Connect to the first address of the host that answers."""
        failure: OSError = OSError(f"{self._host} has no address")
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        for family, kind, protocol, _, address in found:
            wire = socket.socket(family, kind, protocol)
            try:
                wire.settimeout(max(0.001, self._deadline - time.monotonic()))
                wire.connect(address)
                # From here on the deadline alone ends a wait.
                wire.settimeout(None)
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return wire
            except OSError as e:
                wire.close()
                failure = e
        raise failure

    def _is_idle(self) -> bool:
        """Tell whether the connection is open and silent; a readable one was closed, or is off."""
        wire = self._wire
        if wire is None:
            return False
        try:
            wire.settimeout(0)
            socket.socket.recv(wire, 1, socket.MSG_PEEK)  # beneath TLS
        except BlockingIOError:
            wire.settimeout(None)
            return True
        except OSError:
            return False
        return False

    def _cut(self) -> None:
        """End every wait on the socket; called at the deadline, from another thread."""
        wire = self._wire
        if wire is not None:
            with contextlib.suppress(OSError):  # closed a moment ago: nothing waits for it
                socket.socket.shutdown(wire, socket.SHUT_RDWR)


def _explained(failure: Exception | None, host: str) -> Exception:
    """Return what a failed exchange means to the caller."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        why = failure.verify_message
        return LMUnavailable(f"the certificate of {host} is not valid: {why}; check the address")
    if isinstance(failure, http.client.IncompleteRead):
        return Transient("the reply was cut off")
    if isinstance(failure, http.client.RemoteDisconnected):
        return Transient("the server closed the connection without a reply")
    if isinstance(failure, socket.gaierror | UnicodeError):
        return Transient(f"the host name {host} cannot be looked up")
    if isinstance(failure, ConnectionRefusedError):
        return Transient(f"nothing listens at the address of {host}: connection refused")
    if isinstance(failure, OSError):
        return Transient(f"the connection failed: {failure.strerror or type(failure).__name__}")
    return Transient(f"the answer is not valid HTTP: {type(failure).__name__}")
