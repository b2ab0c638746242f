"""CloudFormation's side of a custom resource: an address that takes the answer."""

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
    """An address, for as long as the block runs, and the answers that it has been sent."""
    answers: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            say(f"    CloudFormation is answered {json.dumps(answers[-1])}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_) -> None:
            """Say nothing else."""

    with HTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_port}/answer", answers
        finally:
            server.shutdown()
