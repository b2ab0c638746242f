"""CloudFormation's side of a custom resource: a server that receives the answer."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from stack.console import say
from stack.settings import HOST


@contextlib.contextmanager
def answering() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server during the block. Yields its URL and the list of received answers."""
    answers: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            say(f"    CloudFormation receives {json.dumps(answers[-1])}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_) -> None:
            """Log nothing."""

    with HTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_port}/answer", answers
        finally:
            server.shutdown()
