"""An example of a fulfilment endpoint: `python3 tests/stack/receiver.py PORT SECRET`.

It checks each call's signature, fulfils an order once however often it is told of it, and says what it did.
"""

import hashlib
import hmac
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

TOLERANCE_SECONDS = 300


def is_ours(header: str, body: bytes, secret: bytes) -> bool:
    """Whether the signature is that of the body under the secret, and recent."""
    fields = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    expected = hmac.new(secret, f"{fields.get('t')}.".encode() + body, hashlib.sha256).hexdigest()
    is_recent = fields.get("t", "").isdecimal() and abs(time.time() - int(fields["t"])) < TOLERANCE_SECONDS
    return is_recent and hmac.compare_digest(expected, fields.get("v1", ""))


class Receiver(BaseHTTPRequestHandler):
    """Takes the calls. What was fulfilled is kept in memory here; a real endpoint keeps it with the order."""

    secret = b""
    fulfilled: set[str] = set()

    def do_POST(self) -> None:
        """Fulfil the order, once; 401 for a call that is not signed by the secret."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not is_ours(self.headers.get("Ordermill-Signature", ""), body, self.secret):
            self.send_response(401)
        else:
            order_id = self.headers["Idempotency-Key"]
            print("again   " if order_id in self.fulfilled else "fulfils ", json.loads(body), flush=True)
            self.fulfilled.add(order_id)
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_) -> None:
        """Say nothing else."""


if __name__ == "__main__":
    port, Receiver.secret = int(sys.argv[1]), sys.argv[2].encode()
    HTTPServer(("127.0.0.1", port), Receiver).serve_forever()
