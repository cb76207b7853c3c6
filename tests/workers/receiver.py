"""A webhook receiver that shares no code with csms: the standard library's HTTP server in a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Received:
    """A request."""

    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Received], tuple[int, dict[str, str], bytes]]


class Receiver:
    """Listens on a free port of loopback; ``answer`` decides what is said."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        self.answer: Answer = answer or (lambda _: (204, {}, b""))
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                receiver.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = Received(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                receiver.requests.append(request)
                status, headers, answer = receiver.answer(request)
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(answer))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self) -> None:
                receiver.requests.append(Received(f"GET {self.path}", {}, b""))

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A client that hangs up is part of the tests."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def url(self, path: str = "/hook") -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
