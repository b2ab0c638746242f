"""A merchant's fulfilment endpoint. An order's items select its answer: `broken`, `slow`."""

import json
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(ThreadingHTTPServer):
    """Fulfils orders."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.reset()
        self._calls: Counter[str] = Counter()

    def reset(self) -> None:
        """Refuse broken orders, and answer the first calls for a slow order that it needs more time."""
        self.is_repaired = False
        self.slow_calls = 2

    def answer(self, order: dict) -> tuple[int, dict[str, str]]:
        """Return the status and headers for an order."""
        self._calls[order["order_id"]] += 1
        if "broken" in order["item_ids"] and not self.is_repaired:
            return 422, {}
        if "slow" in order["item_ids"] and self._calls[order["order_id"]] <= self.slow_calls:
            return 202, {"Retry-After": "2"}
        return 204, {}


class Handler(BaseHTTPRequestHandler):
    """Answers a call as the endpoint decides, and logs nothing."""

    def do_POST(self) -> None:
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, headers = self.server.answer(order)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_) -> None:
        pass
