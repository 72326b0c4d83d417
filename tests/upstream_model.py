"""A scripted model for Trace's own programs: it reads their OptoPrime's prompt and suggests values.

Numbers become 5, texts become "ten", and code becomes what is written here for its function. What
is no prompt of an optimizer is answered with a name. It speaks the OpenAI protocol on loopback.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any

VALUES = MappingProxyType({"int": 5, "float": 5.0, "str": "ten"})
STRANGE_SORT = """def strange_sort_list(lst):
    rest, result, smallest = sorted(lst), [], True
    while rest:
        result.append(rest.pop(0) if smallest else rest.pop())
        smallest = not smallest
    return result
"""
CODE = MappingProxyType(
    {
        "my_fun": "def my_fun(x):\n    return -(x**2 + 1)\n",
        "fun": "def fun(x):\n    return 2 * x - 3\n",
        "strange_sort_list": STRANGE_SORT,
        "decide_lang": 'def decide_lang(self, response):\n    return "es"\n',
        "select_coordinate": "def select_coordinate(self, map, plan):\n    return [0, plan]\n",
        "act": "def act(self, map, plan):\n    return [0, plan]\n",
        "reason": "def reason(self, map):\n    return map[0].index('.')\n",
    }
)
VARIABLES = re.compile(r"#Variables\n(.*?)\n#Constraints\n", re.DOTALL)
VARIABLE = re.compile(r"^\((\w+)\) (\w+)[=:](.*?)(?=^\(\w+\) \w+[=:]|\Z)", re.MULTILINE | re.DOTALL)


def answer(prompt: str) -> str:
    """Return the reply to a prompt: a suggestion for every variable that it knows how to change."""
    found = VARIABLES.search(prompt)
    if found is None:
        return "Juan"
    suggestion: dict[str, object] = {}
    for kind, name, value in VARIABLE.findall(found[1]):
        function = re.search(r"^def (\w+)", value, re.MULTILINE)
        if kind == "code" and function and function[1] in CODE:
            suggestion[name] = CODE[function[1]]
        elif kind in VALUES:
            suggestion[name] = VALUES[kind]
    return json.dumps({"reasoning": "It is in the script.", "suggestion": suggestion})


@contextmanager
def served() -> Iterator[str]:
    """Serve the model until the block ends; gives the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = {"role": "assistant", "content": answer(body["messages"][-1]["content"])}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        kind = {"id": "x", "object": "chat.completion", "created": 0, "model": "scripted"}
        data = json.dumps({**kind, "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
